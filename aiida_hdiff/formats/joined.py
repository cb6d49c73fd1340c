"""Several trajectory files of one run, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.trajectory import BLOCK_FRAMES, OBSERVABLES, TrajectoryFile, TrajectoryWriter

Floats = NDArray[np.float64]


class JoinedTrajectory:
    """Random access to the segments of one run, without copying them; the interface is that of `TrajectoryFile`.

    Parameters
    ----------
    parts
        Open trajectory files, in the order of time.

    Raises
    ------
    ValueError
        If the segments differ in atoms or time step, overlap, or leave a gap.
    """

    def __init__(self, parts: Sequence[TrajectoryFile]) -> None:
        check_segments(parts)
        self._parts = list(parts)
        self.numbers = parts[0].numbers
        self.timestep_fs = parts[0].timestep_fs
        self.steps: NDArray[np.int64] = np.concatenate([part.steps for part in parts])
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def times_fs(self) -> Floats:
        """Time of each frame (fs), shape (n_frames,)."""
        return np.asarray(self.steps * self.timestep_fs, dtype=np.float64)

    @property
    def has_velocities(self) -> bool:
        """Whether velocities are stored."""
        return all(part.has_velocities for part in self._parts)

    @property
    def cells(self) -> Floats:
        """Cell vectors in rows (Å), shape (n_frames, 3, 3)."""
        return np.concatenate([part.cells for part in self._parts])

    def observable(self, name: str) -> Floats:
        """Return one of the observables, shape (n_frames,)."""
        return np.concatenate([part.observable(name) for part in self._parts])

    def positions(self, atoms: Sequence[int] | NDArray[Any] | None = None, frames: slice = slice(None)) -> Floats:
        """Return unwrapped positions (Å), shape (n_frames, n_atoms, 3), of a choice of atoms and a range of frames."""
        return self._vectors('positions', atoms, frames)

    def velocities(self, atoms: Sequence[int] | NDArray[Any] | None = None, frames: slice = slice(None)) -> Floats:
        """Return velocities (Å/fs), shape (n_frames, n_atoms, 3)."""
        return self._vectors('velocities', atoms, frames)

    def _vectors(self, name: str, atoms: Sequence[int] | NDArray[Any] | None, frames: slice) -> Floats:
        wanted = np.arange(len(self))[frames]
        pieces = []
        for part, end in zip(self._parts, self._ends, strict=True):
            first = end - len(part)
            inside = wanted[(wanted >= first) & (wanted < end)] - first
            if len(inside):
                low, high = int(inside.min()), int(inside.max()) + 1
                stride = int(inside[1] - inside[0]) if len(inside) > 1 else 1
                piece = slice(low, high, stride) if stride > 0 else slice(high - 1, low - 1 if low else None, stride)
                pieces.append(getattr(part, name)(atoms, piece))
        if frames.step is not None and frames.step < 0:
            pieces.reverse()
        if not pieces:
            return np.asarray(getattr(self._parts[0], name)(atoms, slice(0, 0)))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def check_segments(parts: Sequence[TrajectoryFile]) -> None:
    """Check that trajectory files follow each other as the segments of one run do.

    Raises
    ------
    ValueError
        If the segments differ in atoms or time step, overlap, or leave a gap.
    """
    first = parts[0]
    interval: int | None = None
    previous: int | None = None
    for part in parts:
        if not np.array_equal(part.numbers, first.numbers) or part.timestep_fs != first.timestep_fs:
            raise ValueError('the segments differ in their atoms or time step: they are not of one run.')
        steps = part.steps if previous is None else np.concatenate(([previous], part.steps))
        for gap in np.unique(np.diff(steps)):
            interval = int(gap) if interval is None else interval
            if gap != interval:
                raise ValueError(f'frames are {int(gap)} steps apart where {interval} was expected.')
        previous = int(steps[-1]) if len(steps) else previous


def concatenate(parts: Sequence[TrajectoryFile], target: str | Path | BinaryIO) -> None:
    """Join the segments of one run, in order, into one trajectory file.

    Raises
    ------
    ValueError
        If the segments differ in atoms or time step, overlap, or leave a gap.
    """
    joined = JoinedTrajectory(parts)
    with TrajectoryWriter(
        target, joined.numbers, timestep_fs=joined.timestep_fs, velocities=joined.has_velocities
    ) as writer:
        cells = joined.cells
        observables = {name: joined.observable(name) for name in OBSERVABLES}
        for start in range(0, len(joined), BLOCK_FRAMES):
            block = slice(start, start + BLOCK_FRAMES)
            writer.append(
                joined.steps[block],
                joined.positions(frames=block),
                cells[block],
                {name: values[block] for name, values in observables.items()},
                joined.velocities(frames=block) if joined.has_velocities else None,
            )
