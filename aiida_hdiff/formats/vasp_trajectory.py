"""A VASP run as a trajectory file, and the state from which it goes on.

VASP's step n, counted from 1, is that of the configuration after n - 1 moves: step `first_step + n - 1` of a stage
that is made of several runs. CONTCAR holds the configuration calculated last, the velocities v with which VASP has left
it, x(t + dt) = x(t) + v dt, and that next configuration, which is what the stage goes on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.formats.poscar import Contcar
from aiida_hdiff.formats.trajectory import TrajectoryWriter
from aiida_hdiff.formats.unwrapping import Unwrapper
from aiida_hdiff.formats.vasp_run import FrameBlock, VaspRun

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SAME_POSITION_A = 1e-4
"""Files have between five decimals in Å and eight in lattice vectors."""


@dataclass(frozen=True, eq=False)
class RunState:
    """What a stage goes on from.

    Attributes
    ----------
    step
        Step of the stage: moves made since its start.
    positions
        Positions in Å, continuous with the trajectory, shape (n_atoms, 3).
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    velocities, lattice_velocities
        In Å/fs, shapes (n_atoms, 3) and (3, 3); None if unknown.
    source
        ``CONTCAR``, ``vasprun.xml``, ``differences`` of the last two frames, or ``frame`` without velocities.
    """

    step: int
    positions: Floats
    cell: Floats
    velocities: Floats | None
    lattice_velocities: Floats | None
    source: str


@dataclass(eq=False)
class DftSteps:
    """The steps of DFT of a run, as columns.

    Attributes
    ----------
    steps
        Steps of the stage.
    free_energies, temperatures_K
        In eV and K.
    scf_failed
        Whether the electronic steps reached their limit.
    """

    steps: list[int] = field(default_factory=list)
    free_energies: list[float] = field(default_factory=list)
    temperatures_K: list[float] = field(default_factory=list)
    scf_failed: list[bool] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """What was written.

    Attributes
    ----------
    steps
        Steps of the stage of the frames in the trajectory, shape (n_frames,).
    dft
        Whether each is of DFT, shape (n_frames,).
    dft_steps
        All steps of DFT that were read.
    state
        What the stage goes on from; None if there is nothing.
    """

    steps: Integers
    dft: NDArray[np.bool_]
    dft_steps: DftSteps
    state: RunState | None


def record_run(
    run: VaspRun,
    target: str | Path | BinaryIO,
    numbers: Sequence[int] | NDArray[np.int64],
    *,
    timestep_fs: float,
    degrees_of_freedom: int,
    first_step: int = 0,
    start: tuple[ArrayLike, ArrayLike] | None = None,
    contcar: Contcar | None = None,
    ended: bool = False,
    n_requested: int | None = None,
) -> RecordedRun:
    """Write the frames of a run that come before the state with which it goes on.

    Parameters
    ----------
    run
        The output files; read here.
    target
        Trajectory file.
    numbers
        Atomic numbers, shape (n_atoms,).
    timestep_fs
        POTIM.
    degrees_of_freedom
        Of the temperature: 3 N with a Langevin thermostat, which moves the centre of mass; 3 N - 3 otherwise.
    first_step
        Step of the stage at which the run begins.
    start
        Cell and positions in Å that the run started from; the trajectory continues these.
    contcar
        CONTCAR, if there is any.
    ended
        Whether the run has ended by itself, so that CONTCAR is not older than the last frame.
    n_requested
        NSW: number of steps of a run that has ended by itself although the last of them were not written.

    Raises
    ------
    ValueError
        The files have other numbers of atoms than `numbers`.
    """
    recorder = _Recorder(numbers, timestep_fs, degrees_of_freedom, first_step, start)
    with TrajectoryWriter(target, np.asarray(numbers), timestep_fs=timestep_fs) as writer:
        for block in run.blocks():
            recorder.take(block, writer)
        ended, n_steps = ended or run.complete, run.n_steps
        if ended and n_requested is not None and n_steps > n_requested - run.interval:
            n_steps = n_requested
        state = recorder.state(contcar, run, ended, n_steps)
        recorder.finish(writer, state)
    return RecordedRun(
        steps=_joined(recorder.steps, np.int64),
        dft=_joined(recorder.dft, np.bool_),
        dft_steps=recorder.dft_steps,
        state=state,
    )


@dataclass(frozen=True, eq=False)
class _Frames:
    """Frames with continuous positions and steps of the stage."""

    steps: Integers
    dft: NDArray[np.bool_]
    positions: Floats
    cells: Floats
    observables: dict[str, Floats]

    def __getitem__(self, chosen: slice) -> _Frames:
        observables = {name: values[chosen] for name, values in self.observables.items()}
        return _Frames(self.steps[chosen], self.dft[chosen], self.positions[chosen], self.cells[chosen], observables)

    def followed_by(self, other: _Frames) -> _Frames:
        """Return both in one."""
        return _Frames(
            np.concatenate([self.steps, other.steps]),
            np.concatenate([self.dft, other.dft]),
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.cells, other.cells]),
            {name: np.concatenate([values, other.observables[name]]) for name, values in self.observables.items()},
        )


class _Recorder:
    """Writes frames two behind those that are read, so that the state can be any of the last."""

    def __init__(
        self,
        numbers: Sequence[int] | NDArray[np.int64],
        timestep_fs: float,
        degrees_of_freedom: int,
        first_step: int,
        start: tuple[ArrayLike, ArrayLike] | None,
    ) -> None:
        self._n_atoms = len(numbers)
        self._timestep_fs, self._degrees, self._first_step = timestep_fs, degrees_of_freedom, first_step
        self._unwrap = Unwrapper()
        if start is not None:
            cell, positions = (np.asarray(values, dtype=np.float64) for values in start)
            self._unwrap((positions @ np.linalg.inv(cell))[None], cell[None], continuous=False)
        self.last: _Frames | None = None
        self.failed = False
        self.steps: list[Integers] = []
        self.dft: list[NDArray[np.bool_]] = []
        self.dft_steps = DftSteps()

    def take(self, block: FrameBlock, writer: TrajectoryWriter) -> None:
        """Take in a block and write what is far enough behind."""
        frames = self._converted(block)
        for index in np.flatnonzero(block.dft):
            self.dft_steps.steps.append(int(frames.steps[index]))
            self.dft_steps.free_energies.append(float(block.free_energies[index]))
            self.dft_steps.temperatures_K.append(float(frames.observables['temperature'][index]))
            self.dft_steps.scf_failed.append(bool(block.scf_failed[index]))
        if self.failed:
            return
        known = 0 if self.last is None else len(self.last.steps)
        frames = frames if self.last is None else self.last.followed_by(frames)
        if block.scf_failed.any():
            self.failed = True
            frames = frames[: known + int(np.argmax(block.scf_failed))]
        self._write(frames[:-2], writer)
        self.last = frames[-2:] if len(frames.steps) else None

    def finish(self, writer: TrajectoryWriter, state: RunState | None) -> None:
        """Write those of the last frames that come before the state."""
        if self.last is not None and state is not None:
            self._write(self.last[: int(np.sum(self.last.steps < state.step))], writer)

    def state(self, contcar: Contcar | None, run: VaspRun, ended: bool, n_steps: int) -> RunState | None:
        """Return the state after the last frame, or that frame itself."""
        state = None
        if not self.failed:
            state = self._from_contcar(contcar, ended, n_steps) or self._from_end(run)
        return state or self._from_frames()

    def _from_contcar(self, contcar: Contcar | None, ended: bool, n_steps: int) -> RunState | None:
        if contcar is None or len(contcar.positions) != self._n_atoms:
            return None
        here = self._is_last_frame(contcar.positions, contcar.cell)
        if not (here or (ended and n_steps)):
            # A killed run leaves files of different age.
            return None
        moved = contcar.next_positions is not None or not here
        cell = contcar.cell if contcar.next_cell is None else contcar.next_cell
        positions = contcar.positions if contcar.next_positions is None else contcar.next_positions
        calculated = self._first_step + n_steps - 1 if not here or self.last is None else int(self.last.steps[-1])
        return RunState(
            step=calculated + int(moved),
            positions=self._next_to_last(positions, cell),
            cell=cell,
            velocities=contcar.velocities,
            lattice_velocities=contcar.lattice_velocities,
            source='CONTCAR',
        )

    def _from_end(self, run: VaspRun) -> RunState | None:
        end = run.end
        if not run.complete or self.last is None or end.positions is None or end.cell is None:
            return None
        here = self._is_last_frame(end.positions, end.cell)
        positions = self._next_to_last(end.positions, end.cell)
        step = int(self.last.steps[-1]) + int(not here)
        return RunState(step, positions, end.cell, end.velocities, None, 'vasprun.xml')

    def _from_frames(self) -> RunState | None:
        """Return the last frame with velocities from the one before, if that is the step before."""
        if self.last is None:
            return None
        frames = self.last
        step, positions, cell = int(frames.steps[-1]), frames.positions[-1], frames.cells[-1]
        if len(frames.steps) < 2 or frames.steps[-1] - frames.steps[-2] != 1:
            return RunState(step, positions, cell, None, None, 'frame')
        scaled = [frames.positions[i] @ np.linalg.inv(frames.cells[i]) for i in (-2, -1)]
        lattice_velocities = (cell - frames.cells[-2]) / self._timestep_fs
        return RunState(
            step=step,
            positions=positions,
            cell=cell,
            velocities=(scaled[1] - scaled[0]) @ cell / self._timestep_fs,
            lattice_velocities=lattice_velocities if np.any(lattice_velocities) else None,
            source='differences',
        )

    def _is_last_frame(self, positions: Floats, cell: Floats) -> bool:
        if self.last is None or np.abs(cell - self.last.cells[-1]).max() > SAME_POSITION_A:
            return False
        shifted = self._next_to_last(positions, cell)
        return bool(np.abs(shifted - self.last.positions[-1]).max() < SAME_POSITION_A)

    def _next_to_last(self, positions: Floats, cell: Floats) -> Floats:
        """Return positions shifted by lattice vectors to be next to those of the last frame."""
        if self.last is None:
            return positions
        scaled = self.last.positions[-1] @ np.linalg.inv(self.last.cells[-1])
        target = positions @ np.linalg.inv(cell)
        return np.asarray((target - np.round(target - scaled)) @ cell)

    def _converted(self, block: FrameBlock) -> _Frames:
        if block.scaled.shape[1] != self._n_atoms:
            raise ValueError(
                f'the files have {block.scaled.shape[1]} atoms, not {self._n_atoms}: they are of another structure'
            )
        volumes = np.abs(np.linalg.det(block.cells))
        kinetic = block.kinetic_energies
        observables = {
            'potential_energy': block.free_energies,
            'kinetic_energy': kinetic,
            'temperature': 2.0 * kinetic / (self._degrees * BOLTZMANN_EV_PER_K),
            'pressure': 2.0 * kinetic / (3.0 * volumes) - block.stresses[:, :3].mean(axis=1),
        }
        positions = self._unwrap(block.scaled, block.cells, continuous=False)
        return _Frames(self._first_step + block.steps - 1, block.dft, positions, block.cells, observables)

    def _write(self, frames: _Frames, writer: TrajectoryWriter) -> None:
        if len(frames.steps):
            writer.append(frames.steps, frames.positions, frames.cells, frames.observables)
            self.steps.append(frames.steps)
            self.dft.append(frames.dft)


def _joined(parts: list[Any], kind: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)
