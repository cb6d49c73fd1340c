"""Writers of XDATCAR and CONTCAR."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin.record import Run, fortran

Floats = NDArray[np.float64]


def xdatcar_header(run: Run, cell: Floats) -> str:
    """Return the lines before a frame: once with a fixed cell, before every frame with a varying one."""
    poscar = run.poscar
    rows = ''.join(' {:12.6f}{:12.6f}{:12.6f}\n'.format(*row) for row in cell.tolist())
    elements = ''.join(f'   {element:2s}' for element in poscar.elements)
    counts = ''.join(f'{count:5d}' for count in poscar.counts)
    return f'{poscar.comment:40.40s}\n           1\n{rows}{elements}\n{counts}\n'


def xdatcar_frame(number: int, scaled: Floats) -> str:
    """Return a frame; the number overflows as in VASP past 999,999."""
    label = f'{number:6d}' if number < 10**6 else '*' * 6
    rows = ''.join(' {:12.8f}{:12.8f}{:12.8f}\n'.format(*row) for row in scaled.tolist())
    return f'Direct configuration={label}\n{rows}'


def contcar(run: Run, cell: Floats, scaled: Floats, velocities: Floats | None, lattice: Floats | None) -> str:
    """Return CONTCAR, with velocities in Å/fs where there are."""
    poscar = run.poscar
    rows = ''.join(' {:22.16f}{:22.16f}{:22.16f}\n'.format(*row) for row in cell.tolist())
    elements = ''.join(f'   {element:2s}' for element in poscar.elements)
    counts = ''.join(f'{count:6d}' for count in poscar.counts)
    atoms = ''.join('{:20.16f}{:20.16f}{:20.16f}\n'.format(*row) for row in scaled.tolist())
    text = f'{poscar.comment:40.40s}\n   1.00000000000000     \n{rows}{elements}\n{counts}\nDirect\n{atoms}'
    if lattice is not None:
        text += 'Lattice velocities and vectors\n           1\n' + _table(lattice) + _table(cell)
    if velocities is not None:
        text += ' \n' + _table(velocities)
    return text


def _table(table: Floats) -> str:
    return ''.join(
        ''.join(f'{fortran(value, 8, zero=True):>16s}' for value in row) + '\n' for row in np.asarray(table).tolist()
    )
