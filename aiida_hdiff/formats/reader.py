"""One reader for the trajectories of every code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.positions import Positions

if TYPE_CHECKING:
    from aiida_hdiff.formats.sources import Block

Floats = NDArray[np.float64]


def read_positions(
    source: str | Path | Iterable[Any],
    *,
    timestep_fs: float | None = None,
    md_timestep_fs: float | None = None,
    elements: Sequence[str] | Mapping[int, str] | None = None,
    allow_truncated: bool = False,
) -> Positions:
    """Read a trajectory, unwrapped, from a file or from frames of ASE.

    Files are recognised by their content: trajectories of aiida-hdiff (HDF5), text and binary dumps of
    LAMMPS (lengths in Å), XDATCAR, and whatever ASE reads (``.traj``, extended xyz, ...). Text dumps and
    XDATCAR may be gzipped. Files are read in blocks: the memory is that of the positions.

    A dump is best written with ``id element xu yu zu``; ``x y z`` with or without ``ix iy iz``, and scaled
    positions, are understood as well, in any order of the atoms. Where neither unwrapped positions nor
    image flags are given, as in XDATCAR and ASE frames, every displacement is taken to the nearest image.

    Parameters
    ----------
    source
        Path of a file, or `ase.Atoms`, one per frame.
    timestep_fs
        Time between frames in fs; not for trajectories of aiida-hdiff, which know it.
    md_timestep_fs
        Instead: time step of the integration in fs, for dumps of LAMMPS, which count steps.
    elements
        Symbols of LAMMPS's atom types 1, 2, ..., or by type, if the dump has no column ``element``.
    allow_truncated
        Leave out an incomplete last frame of a text file, as a killed run leaves it, instead of raising an
        error.

    Returns
    -------
    Positions
        Positions in Å, cells, atomic numbers and times.

    Raises
    ------
    ValueError
        The file is unknown, truncated or damaged; no or two times between frames; elements missing; atoms
        that change; steps that repeat, go back or are not equidistant; values that are not finite; a cell
        that changes its handedness. The message names the file and the line or the frame.

    Examples
    --------
    >>> run = read_positions('dump.lammpstrj', md_timestep_fs=0.5, elements=('Ni', 'H'))  # doctest: +SKIP
    >>> h, host = run.select('H'), run.host('H')  # doctest: +SKIP
    >>> diffusion_coefficient(h.positions, h.timestep_fs, host_positions=host.positions)  # doctest: +SKIP
    """
    from aiida_hdiff.formats import sources

    for name, value in (('timestep_fs', timestep_fs), ('md_timestep_fs', md_timestep_fs)):
        if value is not None and not (np.isfinite(value) and value > 0.0):
            raise ValueError(f'{name} must be positive, not {value}')
    if not isinstance(source, (str, Path)):
        return _collect('frames', sources.ase(source), timestep_fs, md_timestep_fs)
    path = Path(source)
    kind = sources.recognise(path)
    if kind == 'hdiff':
        if timestep_fs is not None or md_timestep_fs is not None:
            raise ValueError(f'{path.name} knows its times: leave out timestep_fs and md_timestep_fs')
        run = sources.stored(path)
        return replace(run, cells=_check_cells(path.name, run.cells))
    if kind == 'xdatcar':
        blocks = sources.xdatcar(path, allow_truncated)
    elif kind == 'ase':
        blocks = sources.ase(path)
    else:
        blocks = sources.dump(path, elements, allow_truncated, binary=kind == 'binary dump')
    return _collect(path.name, blocks, timestep_fs, md_timestep_fs)


def _collect(name: str, blocks: Iterator[Block], timestep_fs: float | None, md_timestep_fs: float | None) -> Positions:
    """Join blocks in one growing array and check what only the whole shows."""
    if (timestep_fs is None) == (md_timestep_fs is None):
        raise ValueError(f'{name}: give either timestep_fs, the time between frames, or md_timestep_fs for a dump')
    positions = np.empty((0, 0, 3))
    cells: list[Floats] = []
    steps: list[NDArray[np.int64]] = []
    counted = True
    numbers, unwrapping, n_frames = np.empty(0, dtype=np.int64), '', 0
    for block in blocks:
        end = n_frames + len(block.positions)
        if end > len(positions):
            grown = end if n_frames == 0 else end + end // 4
            positions = _resized(positions, (grown, *block.positions.shape[1:]))
        positions[n_frames:end] = block.positions
        cells.append(block.cells)
        counted = counted and block.steps is not None
        if block.steps is not None:
            steps.append(block.steps)
        numbers, unwrapping, n_frames = block.numbers, block.unwrapping, end
    if n_frames == 0:
        raise ValueError(f'{name} has no complete frame')
    every = _check_steps(name, np.concatenate(steps)) if counted else None
    if md_timestep_fs is not None:
        if every is None:
            raise ValueError(f'{name} counts no steps of the integration: give timestep_fs, the time between frames')
        timestep_fs = md_timestep_fs * every
    return Positions(
        positions=_resized(positions, (n_frames, *positions.shape[1:])),
        cells=_check_cells(name, np.concatenate(cells)),
        numbers=numbers,
        times_fs=np.arange(n_frames, dtype=np.float64) * (timestep_fs or 0.0),
        unwrapping=unwrapping,
    )


def _resized(array: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the array with another number of frames; the memory is moved, if at all, by the system."""
    if array.shape[1:] != shape[1:]:
        return np.empty(shape)
    array.resize(shape, refcheck=False)
    return array


def _check_steps(name: str, steps: NDArray[np.int64]) -> int:
    """Return the number of steps between frames."""
    if len(steps) < 2:
        return 1
    gaps = np.diff(steps)
    wrong = gaps != gaps[0] if gaps[0] > 0 else gaps <= 0
    if wrong.any():
        frame = int(np.argmax(wrong)) + 1
        fault = 'repeats' if gaps[frame - 1] == 0 else 'goes back' if gaps[frame - 1] < 0 else 'is not equidistant'
        raise ValueError(
            f'{name}: the step {fault} at frame {frame}: {steps[frame]} after {steps[frame - 1]}, with {gaps[0]} '
            'between the first frames: the file joins several runs or lacks frames: read the parts one by one'
        )
    return int(gaps[0])


def _check_cells(name: str, cells: Floats) -> Floats:
    """Return one cell if it is fixed, else all."""
    handedness = np.sign(np.linalg.det(cells))
    if np.any(handedness != handedness[0]):
        frame = int(np.argmax(handedness != handedness[0]))
        raise ValueError(f'{name}: the cell changes its handedness at frame {frame}: lattice vectors were exchanged')
    if np.all(cells == cells[0]):
        fixed: Floats = cells[0]
        return fixed
    exchanged = np.any(np.round(cells[1:] @ np.linalg.inv(cells[:-1])) != np.eye(3), axis=(1, 2))
    if exchanged.any():
        frame = int(np.argmax(exchanged)) + 1
        raise ValueError(
            f'{name}: frame {frame} has other lattice vectors than the frame before, so that atoms cannot be followed: '
            'in LAMMPS run fix npt with "flip no"'
        )
    return cells
