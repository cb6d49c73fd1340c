"""ICONST files: which degrees of freedom of the cell a VASP run at constant pressure may change.

Format: https://www.vasp.at/wiki/index.php/ICONST. The angles (LA) and lengths (LR) of the lattice vectors are the
primitive coordinates; each line ``S`` is a combination of them that keeps its first value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

CONSTRAINTS = ('fixed_shape', 'fixed_angles', 'none')
"""Only the volume changes; lengths change and angles do not; all six change."""

EQUAL_LENGTHS_RTOL = 1e-5


def iconst(cell: ArrayLike, constraint: str = 'fixed_shape') -> str:
    """Return the text of ICONST.

    ``fixed_shape`` keeps the angles and the ratios of the lengths of the lattice vectors, for any cell.
    ``fixed_angles`` keeps the angles, and the ratio of the first two lengths if they are equal.

    Parameters
    ----------
    cell
        Lattice vectors in rows (Å), shape (3, 3): those at the start of the whole study, so that every part of it is
        run with the same file.
    constraint
        ``fixed_shape`` or ``fixed_angles``.

    Raises
    ------
    ValueError
        If the constraint is unknown, or the cell has no volume.
    """
    if constraint not in CONSTRAINTS[:2]:
        raise ValueError(f'constraint {constraint!r} has no ICONST: choose one of {", ".join(CONSTRAINTS[:2])}.')
    vectors = np.asarray(cell, dtype=np.float64)
    if vectors.shape != (3, 3) or not np.all(np.isfinite(vectors)) or not abs(np.linalg.det(vectors)) > 0:
        raise ValueError(f'the cell {vectors.tolist()} has no volume: give three lattice vectors in Å.')
    a, b, c = (f'{length:.12g}' for length in np.linalg.norm(vectors, axis=1))
    lines = ['LA 1 2 0', 'LA 1 3 0', 'LA 2 3 0', 'LR 1 0', 'LR 2 0', 'LR 3 0']
    lines += ['S 1 0 0 0 0 0 0', 'S 0 1 0 0 0 0 0', 'S 0 0 1 0 0 0 0']
    lengths = np.linalg.norm(vectors, axis=1)
    if constraint == 'fixed_shape':
        lines += [f'S 0 0 0 {b} -{a} 0 0', f'S 0 0 0 {c} 0 -{a} 0', f'S 0 0 0 0 {c} -{b} 0']
    elif np.isclose(lengths[0], lengths[1], rtol=EQUAL_LENGTHS_RTOL, atol=0.0):
        lines += [f'S 0 0 0 {b} -{a} 0 0']
    return '\n'.join(lines) + '\n'
