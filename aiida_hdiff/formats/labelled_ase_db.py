"""Labelled configurations from a database of ASE, in SQLite or JSON.

Format: https://ase-lib.org/ase/db/db.html.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_frame import LabelledFrame
from aiida_hdiff.formats.origins import with_temperature

ENERGIES = ('energy', 'free_energy')
_TYPES = {'.db': 'db', '.json': 'json'}


def read_ase_db(
    path: str | Path,
    *,
    selection: str = '',
    energy: str = 'energy',
    skip_unlabelled: bool = False,
    origin: str | None = None,
) -> LabelledFrames:
    """Read the rows of a database with energies and forces, in the order of their numbers.

    Of the key-value pairs ``origin``, ``reference``, ``config_type``, and ``temperature`` or ``temperature_K`` are
    taken over; the origin of a row without one is ``set.db:3``.

    Parameters
    ----------
    path
        File with the ending .db or .json.
    selection
        Rows to take, as `ase db` has it, such as ``calculator=gpaw,natoms>3``.
    energy
        ``energy``, or ``free_energy``, to which the forces belong where electrons are smeared.
    skip_unlabelled
        Pass over rows without energy or forces instead of raising an error.
    origin
        Goes before the number of a row, by default the name of the file.

    Raises
    ------
    ValueError
        Not such a database, a row without labels, or no rows.
    """
    path = Path(path)
    if path.suffix not in _TYPES:
        raise ValueError(f'{path.name} has the ending {path.suffix!r}: a database of ASE ends in .db or .json.')
    if energy not in ENERGIES:
        raise ValueError(f'`energy` is {energy!r}: give {" or ".join(ENERGIES)}.')
    if not path.is_file():
        raise FileNotFoundError(f'{path.name} is not there.')
    frames = []
    for row in _rows(path, selection):
        missing = [name for name in (energy, 'forces') if row.get(name) is None]
        if missing and skip_unlabelled:
            continue
        if missing:
            raise ValueError(
                f'{path.name}, row {row.id}: no {missing[0]}: leave such rows out with a selection or skip_unlabelled'
            )
        try:
            frames.append(_frame(row, energy, path.name if origin is None else origin))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{path.name}, row {row.id}: {error}') from error
    if not frames:
        chosen = f' that match {selection!r}' if selection else ''
        raise ValueError(f'{path.name} has no labelled rows{chosen}: check the file and the selection.')
    return LabelledFrames.from_frames(frames)


def _rows(path: Path, selection: str) -> list[Any]:
    from ase.db import connect

    with path.open('rb') as stream:
        head = stream.read(16)
    if path.suffix == '.db' and not head.startswith(b'SQLite format 3'):
        raise ValueError(f'{path.name} is no SQLite file: give a database that ASE wrote.')
    try:
        database = connect(path, type=_TYPES[path.suffix], use_lock_file=False)
        return list(database.select(selection or None, sort='id'))
    except Exception as error:
        # SQLite, JSON and the parser of selections raise what they like.
        raise ValueError(
            f'{path.name} cannot be read as a database of ASE ({error or type(error).__name__}): check the file and '
            'the selection.'
        ) from error


def _frame(row: Any, energy: str, origin: str) -> LabelledFrame:
    pairs = row.key_value_pairs
    atoms = row.toatoms(add_additional_information=False)
    atoms.info |= {key: str(pairs[key]) for key in ('origin', 'reference', 'config_type') if key in pairs}
    atoms.calc.results['energy'] = row[energy]
    frame = LabelledFrame.from_ase(atoms)
    text = frame.origin or f'{origin}:{row.id}'
    kelvin = pairs.get('temperature_K', pairs.get('temperature'))
    return replace(frame, origin=text if kelvin is None else with_temperature(text, float(kelvin)))
