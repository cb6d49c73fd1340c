"""Files of labelled configurations of all formats that are read: which format a file has, and its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_ase_db import read_ase_db
from aiida_hdiff.formats.labelled_ml_ab import labelled_from_ml_ab
from aiida_hdiff.formats.labelled_xyz import read_extxyz
from aiida_hdiff.formats.ml_ab_read import read_ml_ab
from aiida_hdiff.formats.vasp_labels import find_vasp_output, read_vasp_labels

EXTXYZ, ASE_DB, ML_AB, VASP = FORMATS = ('extxyz', 'ase-db', 'ml-ab', 'vasp')
DEFAULTS: dict[str, Any] = {
    'reference': None,
    'config_type': None,
    'prefix': '',
    'selection': '',
    'skip_unlabelled': False,
    'free_energy': False,
    'allow_truncated': False,
}
"""How files are read: the method of labels that tell none, the group of frames that tell none, what the names of labels
in extended xyz begin with, rows of a database and which of its energies, and whether incomplete files are taken."""


@dataclass(frozen=True)
class Source:
    """One file to import.

    Attributes
    ----------
    path
        Of the file; in a folder given instead, its vasprun.xml or OUTCAR.
    kind
        One of `FORMATS`.
    name
        What the origins of its frames begin with.
    """

    path: Path
    kind: str
    name: str


def find_sources(files: Sequence[Path], kind: str | None) -> list[Source]:
    """Return the files with their formats; in folders the output of VASP.

    Raises
    ------
    ValueError
        If there is no such file, or its format is not clear.
    """
    found: list[Source] = []
    for given in files:
        path, name = given, given.name
        if given.is_dir():
            path, name = find_vasp_output(given), given.resolve().name
        elif not given.is_file():
            raise ValueError(f'{given.name} is no file.')
        if any(one.name == name for one in found):
            name = f'{name}-{len(found) + 1}'
        found.append(Source(path, kind or _format(path), name))
    return found


def _format(path: Path) -> str:
    name = path.name
    if 'ML_AB' in name:
        return ML_AB
    if 'OUTCAR' in name or 'vasprun' in name:
        return VASP
    for kind, endings in ((EXTXYZ, ('.xyz', '.extxyz')), (ASE_DB, ('.db', '.json'))):
        if path.suffix in endings:
            return kind
    raise ValueError(f'the format of {name} is not clear from its name: give it, one of {", ".join(FORMATS)}.')


def check_levels(read: Sequence[tuple[str, Any]], reference: str | None) -> None:
    """Refuse files whose labels are of different levels.

    Raises
    ------
    ValueError
        Naming the levels and a file of each.
    """
    levels: dict[str, str] = {}
    for name, frames in read:
        for level in set(frames.references):
            levels.setdefault(level or reference or '', name)
    if len(levels) > 1:
        found = ', '.join(f'{level or "unknown"!r} (in {name})' for level, name in sorted(levels.items()))
        raise ValueError(
            f'the labels have different references: {found}. Their energies do not belong together: import them apart, '
            'and train on one.'
        )


def read_source(source: Source, options: Mapping[str, Any]) -> LabelledFrames:
    """Return the labelled frames of a file; nothing is stored.

    Raises
    ------
    ValueError
        If it cannot be read, or frames lack labels.
    """
    try:
        if source.kind == EXTXYZ:
            return read_extxyz(source.path, prefix=options['prefix'])
        if source.kind == ASE_DB:
            return read_ase_db(source.path, **database_options(options))
        if source.kind == ML_AB:
            return labelled_from_ml_ab(read_ml_ab(source.path, allow_truncated=options['allow_truncated']))
        return vasp_labels(source, options).frames  # type: ignore[no-any-return]
    except (ValueError, OSError) as error:
        raise ValueError(f'{source.name} cannot be read: {error}') from error


def vasp_labels(source: Source, options: Mapping[str, Any]) -> Any:
    """Return what a vasprun.xml or OUTCAR has, see `aiida_hdiff.formats.vasp_labels`."""
    return read_vasp_labels(
        source.path,
        origin=source.name,
        reference=options['reference'],
        allow_truncated=options['allow_truncated'],
    )


def database_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a database of ASE is read."""
    return {
        'selection': options['selection'],
        'energy': 'free_energy' if options['free_energy'] else 'energy',
        'skip_unlabelled': options['skip_unlabelled'],
    }
