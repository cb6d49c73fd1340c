"""Whether a folder is that of a finished VASP run, and its input files those of that run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aiida_hdiff.formats.incar import numbers, truth
from aiida_hdiff.formats.poscar import Contcar
from aiida_hdiff.formats.vasp_messages import read_outcar_end
from aiida_hdiff.formats.vasprun import iter_vasprun

TAIL_BYTES = 2**12
START_TOLERANCE_A = 1e-4


def check_finished(folder: Path) -> None:
    """Check that VASP has run in a folder and has ended by itself.

    Raises
    ------
    ValueError
        If not; the message says what is missing.
    """
    for name in ('INCAR', 'POSCAR'):
        if not (folder / name).is_file():
            raise ValueError(f'{name} is missing: give the folder in which VASP ran, with its input files.')
    if not any((folder / name).is_file() for name in ('OUTCAR', 'vasprun.xml')):
        packed = [name for name in ('OUTCAR.gz', 'vasprun.xml.gz') if (folder / name).exists()]
        hint = f'unpack {packed[0]}' if packed else 'VASP has not run here'
        raise ValueError(f'neither OUTCAR nor vasprun.xml is there: {hint}.')
    if not (read_outcar_end(folder / 'OUTCAR').finished or _closed(folder / 'vasprun.xml')):
        raise ValueError(
            'the run has not finished: OUTCAR does not end with the timing and vasprun.xml is not complete. Wait for '
            'it, or let VASP continue it; labels of a killed run come in with `import-mlab --allow-truncated ML_ABN`.'
        )


def check_inputs_of_run(path: Path, tags: Mapping[str, Any], start: Contcar) -> None:
    """Compare INCAR and POSCAR with what vasprun.xml says the run has read: users change them for the next run.

    Raises
    ------
    ValueError
        If a number or logical value of INCAR, or a position of POSCAR, is another.
    """
    if not path.is_file():
        return
    header = iter_vasprun(path, allow_truncated=True).header
    for tag in sorted(set(tags) & set(header.incar)):
        used, given = header.incar[tag], tags[tag]
        logical = (truth(used), truth(given))
        numeric = (numbers(used), numbers(given))
        differ = None not in logical and logical[0] != logical[1]
        if None not in numeric and not differ:
            differ = not _same_numbers(np.array(numeric[0]), np.array(numeric[1]))
        if differ:
            raise ValueError(
                f'INCAR has {tag} = {given}, but the run was made with {used.strip()}: put the INCAR of the run there.'
            )
    if header.positions is None or header.cell is None:
        return
    if header.symbols != start.symbols:
        raise ValueError(f'POSCAR has {len(start.symbols)} atoms, the run {len(header.symbols)}, or in another order.')
    scaled = (start.positions - header.positions) @ np.linalg.inv(header.cell)
    away = np.abs((scaled - np.round(scaled)) @ header.cell).max()
    if away > START_TOLERANCE_A or not np.allclose(header.cell, start.cell, atol=START_TOLERANCE_A):
        raise ValueError(
            f'POSCAR is not what the run began with (atoms are up to {away:.2g} Å away): if CONTCAR was copied over '
            'it, put the first one back.'
        )


def _same_numbers(one: Any, other: Any) -> bool:
    return one.shape != other.shape or bool(np.allclose(one, other, rtol=1e-4, atol=1e-8))


def _closed(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open('rb') as stream:
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return stream.read().rstrip().endswith(b'</modeling>')
