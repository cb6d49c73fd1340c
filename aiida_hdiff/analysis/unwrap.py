"""Continuous trajectories: unwrapping and removal of the host's drift."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions
from aiida_hdiff.analysis.input_checks import check_cells


def unwrap_positions(positions: ArrayLike, cells: ArrayLike, *, scaled: bool = False) -> FloatArray:
    """Remove the jumps across periodic boundaries.

    Every displacement between two frames is replaced by its image in the later frame's cell that is nearest
    to zero. For a fixed cell this is exact as long as no atom moves further between two frames than half
    the smallest height of the cell. For a varying cell it is the displacement-preserving
    (toroidal-view-preserving) scheme, which does not blow up with the fluctuations of the cell (von Bülow,
    Bullerjahn, Hummer, J. Chem. Phys. 153, 021101 (2020), doi:10.1063/5.0008316).

    Parameters
    ----------
    positions
        Wrapped positions, shape (n_frames, n_atoms, 3), in Å or, if `scaled`, in units of the lattice
        vectors.
    cells
        Lattice vectors as rows in Å, shape (3, 3) if fixed, else (n_frames, 3, 3).
    scaled
        Whether positions are fractional.

    Returns
    -------
    numpy.ndarray
        Unwrapped Cartesian positions in Å, shape (n_frames, n_atoms, 3); the first frame is as given.

    Raises
    ------
    ValueError
        Positions or cells of a wrong shape, not finite, a cell without volume or of changing handedness.
    """
    given = as_positions(positions)
    vectors = check_cells(cells, given.shape[0])
    wrapped = np.array(given @ vectors if scaled else given, dtype=np.float64)
    later = vectors[1:] if len(vectors) > 1 else vectors
    images = np.round(np.diff(wrapped, axis=0) @ np.linalg.inv(later))
    wrapped[1:] -= np.cumsum(images @ later, axis=0)
    return wrapped


def remove_host_drift(positions: ArrayLike, host_positions: ArrayLike) -> FloatArray:
    """Subtract the displacement of the host atoms' mean position since the first frame.

    Parameters
    ----------
    positions
        Unwrapped positions in Å, shape (n_frames, n_atoms, 3).
    host_positions
        Unwrapped positions of the host atoms in Å, shape (n_frames, n_host_atoms, 3).

    Raises
    ------
    ValueError
        Wrong shapes, values that are not finite, or different numbers of frames.
    """
    atoms = as_positions(positions)
    host = as_positions(host_positions, 'host_positions')
    if atoms.shape[0] != host.shape[0]:
        raise ValueError(f'positions have {atoms.shape[0]} frames, host_positions {host.shape[0]}')
    centre = host.mean(axis=1, keepdims=True, dtype=np.float64)
    moved: FloatArray = atoms - (centre - centre[0])
    return moved
