"""Checks of times, cells and positions that come from elsewhere; each error names the frame at fault."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions, as_series

MIN_JUMP_A = 4.0
"""Longest way in Å that an atom may be displaced between two frames without any suspicion: longer than a hop."""

CHUNK_POSITIONS = 2**15
"""Number of positions that are looked at together."""


def check_times(times_fs: ArrayLike, *, rtol: float = 1e-3) -> float:
    """Return the time between frames of an equidistant trajectory.

    Parameters
    ----------
    times_fs
        Times of the frames in fs, shape (n_frames,).
    rtol
        Deviation of a step, relative to the usual one, that counts as rounding, beside that of the numbers'
        own precision.

    Returns
    -------
    float
        Mean time between frames in fs.

    Raises
    ------
    ValueError
        One frame; times that are not finite, repeat, go back, or whose step changes.
    """
    given = np.asarray(times_fs)
    times = as_series(given, 'times_fs')
    if times.size < 2:
        raise ValueError(f'times_fs has {times.size} frame: a trajectory needs at least two')
    steps = np.diff(times)
    if steps.min() <= 0.0:
        frame = int(np.argmax(steps <= 0.0)) + 1
        fault = 'repeats' if steps[frame - 1] == 0.0 else 'goes back'
        raise ValueError(
            f'times_fs {fault} at frame {frame}: {times[frame]:g} fs after {times[frame - 1]:g} fs: sort the frames '
            'and drop those that occur twice, such as the frame shared by a run and its continuation'
        )
    usual = float(np.median(steps))
    rounding = float(np.spacing(np.abs(given).max())) if np.issubdtype(given.dtype, np.floating) else 0.0
    uneven = np.abs(steps - usual) > rtol * usual + 2.0 * rounding
    if uneven.any():
        frame = int(np.argmax(uneven)) + 1
        raise ValueError(
            f'times_fs is not equidistant: the step to frame {frame} is {steps[frame - 1]:g} fs, elsewhere '
            f'{usual:g} fs: frames are missing, or runs with different output intervals were joined: bring them to one'
        )
    return float(times[-1] - times[0]) / (times.size - 1)


def check_cells(cells: ArrayLike, n_frames: int) -> FloatArray:
    """Return the cells of a trajectory, shape (1, 3, 3) if fixed, else (n_frames, 3, 3).

    Parameters
    ----------
    cells
        Lattice vectors as rows in Å, shape (3, 3) or (n_frames, 3, 3).
    n_frames
        Number of frames of the trajectory.

    Raises
    ------
    ValueError
        Wrong shape, a cell that is not finite or has no volume, or one whose handedness differs from the
        first frame's.
    """
    array = as_cells(cells, n_frames)
    handedness = np.sign(np.linalg.det(array))
    if not np.all(handedness == handedness[0]):
        frame = int(np.argmax(handedness != handedness[0]))
        raise ValueError(
            f'the cell changes its handedness at frame {frame}: lattice vectors were exchanged or inverted: give all '
            'frames the same right-handed or left-handed set'
        )
    return array


def check_unwrapped(positions: ArrayLike, cell: ArrayLike | None = None) -> None:
    """Refuse positions that jump across the periodic boundary.

    With a cell, a displacement between two frames is such a jump if it is longer than 4 Å, taking away a
    whole number of lattice vectors leaves less than a quarter of it, and most others are six times shorter,
    without which nobody can tell. Without a cell, it is if its Cartesian component is longer than 4 Å and
    than two thirds of the range of that coordinate, and displacements half as long are ten times rarer: atoms
    that stay in one cell and now and then cross it at once. Hops of 2 to 3 Å are not taken for it.

    Parameters
    ----------
    positions
        Positions in Å, shape (n_frames, n_atoms, 3).
    cell
        Lattice vectors as rows in Å, shape (3, 3) or (n_frames, 3, 3), if known.

    Raises
    ------
    ValueError
        The positions are wrapped, or not valid; names the frame and the atom.
    """
    trajectory = as_positions(positions)
    cells = None if cell is None else check_cells(cell, trajectory.shape[0])
    if max((max(steps.max(), -steps.min()) for _, steps in _steps(trajectory)), default=0.0) < 0.5 * MIN_JUMP_A:
        return
    found = _first_jump(trajectory) if cells is None else _first_crossing(trajectory, cells)
    if found is not None:
        frame, atom = found
        jump = float(np.linalg.norm(trajectory[frame, atom] - trajectory[frame - 1, atom]))
        raise ValueError(
            f'positions are wrapped: atom {atom} jumps by {jump:.3g} Å, about a cell length, at frame {frame}: unwrap '
            'them first with unwrap_positions(positions, cells), or have the MD code write unwrapped ones'
        )


def _steps(trajectory: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """Yield the first frame of a chunk and its displacements, shape (n, n_atoms, 3)."""
    chunk = max(1, CHUNK_POSITIONS // trajectory.shape[1])
    for start in range(0, trajectory.shape[0] - 1, chunk):
        yield start, np.diff(trajectory[start : start + chunk + 1], axis=0)


def _first_crossing(trajectory: NDArray[np.floating], cells: FloatArray) -> tuple[int, int] | None:
    """Return frame and atom of the first displacement that is a lattice vector up to a quarter of its length."""
    for start, steps in _steps(trajectory):
        if np.abs(steps).max() < MIN_JUMP_A / np.sqrt(3.0):
            continue
        later = cells if len(cells) == 1 else cells[start + 1 : start + 1 + len(steps)]
        lengths = np.linalg.norm(steps, axis=2)
        residues = steps - np.round(steps @ np.linalg.inv(later)) @ later
        shortest_jump = max(MIN_JUMP_A, 6.0 * float(np.median(lengths)))
        crossing = (lengths > shortest_jump) & (np.linalg.norm(residues, axis=2) < 0.25 * lengths)
        if crossing.any():
            frame, atom = np.argwhere(crossing)[0]
            return start + int(frame) + 1, int(atom)
    return None


def _first_jump(trajectory: NDArray[np.floating]) -> tuple[int, int] | None:
    """Return frame and atom of the first step across all that the atoms visit, if few steps go half as far."""
    spread = trajectory.max(axis=0).max(axis=0) - trajectory.min(axis=0).min(axis=0)
    shortest_jump = np.maximum(MIN_JUMP_A, 0.65 * spread)
    n_jumps, n_half = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    found: dict[int, tuple[int, int]] = {}
    for start, steps in _steps(trajectory):
        lengths = np.abs(steps)
        for axis in np.nonzero(lengths.max(axis=0).max(axis=0) > 0.5 * shortest_jump)[0].tolist():
            jumps = lengths[..., axis] > shortest_jump[axis]
            n_jumps[axis] += np.count_nonzero(jumps)
            n_half[axis] += np.count_nonzero(lengths[..., axis] > 0.5 * shortest_jump[axis])
            if axis not in found and jumps.any():
                frame, atom = np.argwhere(jumps)[0]
                found[axis] = start + int(frame) + 1, int(atom)
    return min((where for axis, where in found.items() if n_half[axis] < 1.1 * n_jumps[axis]), default=None)
