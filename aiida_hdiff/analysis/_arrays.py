"""Checks of the arrays that the user hands in."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]


def as_positions(positions: ArrayLike, name: str = 'positions') -> NDArray[np.floating]:
    """Return positions as a floating-point array of shape (n_frames, n_atoms, 3), not copied if possible.

    Parameters
    ----------
    positions
        Array of shape (n_frames, n_atoms, 3).
    name
        How to call it in an error message.

    Raises
    ------
    ValueError
        Wrong shape, no atoms, or a value that is not finite.
    """
    array = np.asarray(positions)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f'{name} must have shape (n_frames, n_atoms, 3), not {array.shape}')
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f'{name} is empty: {array.shape[0]} frames of {array.shape[1]} atoms')
    if not np.isfinite(np.sum(array)):  # a sum needs no temporary of the size of the trajectory
        for frame, values in enumerate(array):
            if not np.isfinite(values).all():
                atom = int(np.argmin(np.isfinite(values).all(axis=1)))
                raise ValueError(
                    f'{name} contains values that are not finite: frame {frame}, atom {atom}, {values[atom].tolist()}: '
                    'the run blew up or its file is damaged: use the frames before'
                )
    return array


def as_series(values: ArrayLike, name: str) -> FloatArray:
    """Return a finite one-dimensional float64 array.

    Raises
    ------
    ValueError
        Not one-dimensional, or a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f'{name} must be one-dimensional, not of shape {array.shape}')
    if not np.all(np.isfinite(array)):
        raise ValueError(f'{name} contains values that are not finite')
    return array


def as_cells(cells: ArrayLike, n_frames: int) -> FloatArray:
    """Return cells (Å, lattice vectors as rows) with shape (1, 3, 3) if fixed, else (n_frames, 3, 3).

    Raises
    ------
    ValueError
        Wrong shape, or a cell without volume.
    """
    array = np.asarray(cells, dtype=np.float64)
    if array.shape == (3, 3):
        array = array[None]
    elif array.shape != (n_frames, 3, 3):
        raise ValueError(f'cells must have shape (3, 3) or ({n_frames}, 3, 3), not {array.shape}')
    finite = np.isfinite(array)
    volumes = np.abs(np.linalg.det(np.where(finite, array, 0.0)))
    valid = finite.all(axis=(1, 2)) & (volumes > 0.0)
    if not valid.all():
        frame = int(np.argmin(valid))
        raise ValueError(f'cells must have a finite, non-zero volume, but frame {frame} has {array[frame].tolist()}')
    return array


def as_timestep_ps(timestep_fs: float) -> float:
    """Return the time between frames in ps.

    Raises
    ------
    ValueError
        The time is not positive and finite.
    """
    from aiida_hdiff.common.units import FS_PER_PS

    if not (np.isfinite(timestep_fs) and timestep_fs > 0.0):
        raise ValueError(f'timestep_fs must be positive, not {timestep_fs}')
    return float(timestep_fs) / FS_PER_PS


def atoms_per_chunk(n_frames: int, limit_bytes: int = 2**24) -> int:
    """Return how many atoms' float64 trajectories of this length fit in a chunk."""
    return max(1, limit_bytes // (24 * n_frames))
