"""Labelled configurations in extended xyz files, as ASE reads and writes them, with all digits.

Format: https://github.com/libAtoms/extxyz.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_frame import INFO_KEYS, LabelledFrame


def write_extxyz(frames: Iterable[LabelledFrame], target: str | Path | IO[str], *, prefix: str = '') -> None:
    """Write labelled configurations as extended xyz; `ase.io.read` returns the same numbers, bit by bit.

    Parameters
    ----------
    frames
        Such as `LabelledFrames`.
    target
        Path or text stream.
    prefix
        Put before the names of the labels: MACE trains on ``REF_energy``, ``REF_forces``, ``REF_stress``, which ASE
        does not take for results.
    """
    if isinstance(target, (str, Path)):
        with Path(target).open('w', encoding='utf-8', newline='\n') as stream:
            stream.writelines(_text(frame, prefix) for frame in frames)
    else:
        target.writelines(_text(frame, prefix) for frame in frames)


def iter_extxyz(source: str | Path, *, prefix: str = '') -> Iterator[LabelledFrame]:
    """Stream the configurations of an extended xyz file.

    Parameters
    ----------
    source
        The file.
    prefix
        See `write_extxyz`.

    Raises
    ------
    ValueError
        A frame cannot be read or has no energy or forces; names the file and the frame.
    """
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    frames, index = ase.io.iread(source, index=':', format='extxyz'), 0
    while True:
        try:
            atoms = next(frames)
            if prefix:
                found = {**atoms.info, **atoms.arrays}
                labels = {key: found[prefix + key] for key in ('energy', 'forces', 'stress') if prefix + key in found}
                atoms.calc = SinglePointCalculator(atoms, **labels)
            frame = LabelledFrame.from_ase(atoms)
        except StopIteration:
            break
        except FileNotFoundError:
            raise
        except Exception as error:
            hint = '' if prefix else ', or set the prefix of the names of the labels'
            raise ValueError(
                f'{Path(source).name}, frame {index}: {error}: it should be extended xyz with energies and forces{hint}'
            ) from error
        yield frame
        index += 1
    if index == 0:
        raise ValueError(f'{Path(source).name} has no frames: it should be extended xyz with energies and forces')


def read_extxyz(source: str | Path, *, prefix: str = '') -> LabelledFrames:
    """Read an extended xyz file; see `iter_extxyz`."""
    return LabelledFrames.from_frames(iter_extxyz(source, prefix=prefix))


def _text(frame: LabelledFrame, prefix: str) -> str:
    from ase.data import chemical_symbols

    cell = ' '.join(map(repr, frame.cell.ravel().tolist()))
    entries = [
        f'Lattice="{cell}"',
        f'Properties=species:S:1:pos:R:3:{prefix}forces:R:3',
        f'{prefix}energy={frame.energy!r}',
    ]
    if frame.stress is not None:
        matrix = frame.stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
        entries.append(f'{prefix}stress="{" ".join(map(repr, matrix.tolist()))}"')
    for key in INFO_KEYS:
        value = getattr(frame, key)
        if value not in ('', None):
            entries.append(f'{key}={_word(value)}')
    entries.append(f'pbc="{" ".join("T" if periodic else "F" for periodic in frame.pbc)}"')
    symbols = [chemical_symbols[number] for number in frame.numbers]
    rows = np.hstack([frame.positions, frame.forces]).tolist()
    lines = [f'{symbol:2s} ' + ' '.join(map(repr, row)) for symbol, row in zip(symbols, rows, strict=True)]
    return '\n'.join([str(len(symbols)), ' '.join(entries), *lines]) + '\n'


def _word(value: str | float | bool) -> str:
    """Return a value as ASE reads it back with its type: as JSON where a text looks like something else."""
    from ase.io.extxyz import key_val_str_to_dict

    if isinstance(value, bool):
        return 'T' if value else 'F'
    if not isinstance(value, str):
        return repr(float(value))
    plain = _quoted(value)
    found = key_val_str_to_dict(f'key={plain}')['key'] if value.isprintable() else None
    return plain if isinstance(found, str) and found == value else _quoted('_JSON ' + json.dumps(value))


def _quoted(text: str) -> str:
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return f'"{escaped}"'
