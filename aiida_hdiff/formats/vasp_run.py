"""The molecular dynamics of one VASP run in blocks of frames, from whichever of its files have it.

Steps come from vasprun.xml. Where that was cut off, the steps behind come from OUTCAR. Where both have energies alone,
as with `ML_OUTPUT_MODE = 0`, the frames come from XDATCAR, and the energies are assigned to them by the number of the
step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.ionic_step import IonicStep, StepStream, StreamEnd, VaspHeader
from aiida_hdiff.formats.oszicar import Oszicar, read_oszicar
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.formats.xdatcar import read_xdatcar

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

BLOCK_COORDINATES = 2**20
MAX_BLOCK_FRAMES = 1000
ROUNDING_OF_XDATCAR_A = 6e-7


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Consecutive frames; NaN where nothing is known.

    Attributes
    ----------
    steps
        Numbers of the steps, as VASP counts them, from 1, shape (n,).
    dft
        Whether each step is of DFT, shape (n,).
    scaled
        Positions in units of the lattice vectors, shape (n, n_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (n, 3, 3).
    free_energies, kinetic_energies
        In eV, shape (n,).
    stresses
        In eV/Å³ with ASE's sign and order, shape (n, 6).
    scf_failed
        Whether the electronic steps reached their limit, shape (n,).
    """

    steps: Integers
    dft: Booleans
    scaled: Floats
    cells: Floats
    free_energies: Floats
    kinetic_energies: Floats
    stresses: Floats
    scf_failed: Booleans


class VaspRun:
    """The output files of a run in a folder, read once.

    Parameters
    ----------
    folder
        Has any of vasprun.xml, OUTCAR, XDATCAR and OSZICAR.
    interval
        Steps between two that are written: `ML_OUTBLOCK` of a prediction-only run, 1 otherwise; by default that of
        OSZICAR.
    frame_interval
        Steps between two frames of XDATCAR, `NBLOCK`; `interval` if that is larger.

    Attributes
    ----------
    interval
        Steps between two that are written.
    header
        Of vasprun.xml or OUTCAR; None if neither has one.
    warnings
        What was wrong with files, one text for each.
    n_steps
        Number of the last complete step, so far.
    n_dft_steps, n_ml_steps
        Steps that were written, by where their energies come from, so far.
    first_failed_step
        The first step whose electronic steps reached their limit, so far; None if there is none.
    last_scf_steps
        Number of electronic steps of the last step of DFT, so far.
    end
        Structure after the last step, from vasprun.xml.
    complete
        Whether the file of the steps has a proper end; known after all blocks.
    """

    def __init__(self, folder: str | Path, *, interval: int | None = None, frame_interval: int = 1) -> None:
        self._folder = Path(folder)
        self.warnings: list[str] = []
        self._n_written = 0
        self.n_steps = self.n_dft_steps = self.n_ml_steps = self.last_scf_steps = 0
        self.first_failed_step: int | None = None
        self.complete = False
        self._oszicar = self._read_oszicar()
        self.interval = self._oszicar_interval() if interval is None else max(1, interval)
        self._frame_interval = max(frame_interval, self.interval)
        self._vasprun = self._open('vasprun.xml', iter_vasprun)
        self._outcar = self._open('OUTCAR', iter_outcar) if self._vasprun is None else None
        stream = self._vasprun or self._outcar
        self.header: VaspHeader | None = None if stream is None else stream.header
        self.end = StreamEnd() if stream is None else stream.end

    def has(self, name: str) -> bool:
        """Whether a file is there and not empty."""
        path = self._folder / name
        return path.is_file() and path.stat().st_size > 0

    def blocks(self) -> Iterator[FrameBlock]:
        """Return the frames in blocks; frames without a structure are counted and passed over."""
        steps = self.steps()
        first = next(steps, None)
        if first is not None and first.positions is not None:
            yield from self._from_steps(chain([first], steps))
        else:
            yield from self._from_xdatcar(chain([] if first is None else [first], steps))

    def steps(self) -> Iterator[IonicStep]:
        """Return the steps of vasprun.xml, and those of OUTCAR that it lacks; `step` counts as written."""
        yield from self._steps_of(self._vasprun)
        if not self.complete:
            if self._vasprun is not None:
                self._outcar = self._open('OUTCAR', iter_outcar)
            yield from self._steps_of(self._outcar)

    def _steps_of(self, stream: StepStream | None) -> Iterator[IonicStep]:
        if stream is None:
            return
        try:
            for step in stream:
                if step.step > self._n_written:
                    self._n_written = step.step
                    self._count(step)
                    yield step
        except ValueError as error:
            self.warnings.append(str(error))
        else:
            self.complete = stream.end.truncated is False

    def _count(self, step: IonicStep) -> None:
        self.n_steps = max(self.n_steps, self._number(step.step))
        if step.source == 'dft':
            self.n_dft_steps += 1
            self.last_scf_steps = step.scf_steps
            if step.scf_converged is False and self.first_failed_step is None:
                self.first_failed_step = self._number(step.step)
        else:
            self.n_ml_steps += 1

    def _number(self, ordinal: int) -> int:
        """Return the number of the step that is written as the n-th, from 1."""
        if self.interval == 1:
            return ordinal
        table = self._oszicar
        if table is not None and self._oszicar_interval() == self.interval:
            extra = ordinal - len(table.steps)
            return int(table.steps[min(ordinal, len(table.steps)) - 1]) + max(0, extra) * self.interval
        return ordinal * self.interval

    def _from_steps(self, steps: Iterator[IonicStep]) -> Iterator[FrameBlock]:
        first = next(steps)
        assert first.positions is not None
        size = max(1, min(MAX_BLOCK_FRAMES, BLOCK_COORDINATES // (3 * len(first.positions))))
        known = None if self._oszicar is None else _Energies.of(self._oszicar)
        whole = (step for step in chain([first], steps) if step.positions is not None and step.cell is not None)
        while group := list(islice(whole, size)):
            cells = np.array([step.cell for step in group])
            positions = np.array([step.positions for step in group])
            numbers = np.array([self._number(step.step) for step in group], dtype=np.int64)
            kinetic = np.array([_or_nan(step.kinetic_energy) for step in group])
            if known is not None:
                kinetic = np.where(np.isnan(kinetic), known.at(numbers).kinetic, kinetic)
            yield FrameBlock(
                steps=numbers,
                dft=np.array([step.source == 'dft' for step in group]),
                scaled=positions @ np.linalg.inv(cells),
                cells=cells,
                free_energies=np.array([step.free_energy for step in group]),
                kinetic_energies=kinetic,
                stresses=np.array([np.full(6, np.nan) if step.stress is None else step.stress for step in group]),
                scf_failed=np.array([step.scf_converged is False for step in group]),
            )

    def _from_xdatcar(self, steps: Iterator[IonicStep]) -> Iterator[FrameBlock]:
        energies = self._energies(steps)
        if not self.has('XDATCAR'):
            return
        last = 0
        by_step: bool | None = None
        try:
            for frames in read_xdatcar(self._folder / 'XDATCAR', allow_truncated=True):
                written = frames.configurations
                if by_step is None:
                    ordinal = np.array_equal(written, np.arange(1, len(written) + 1))
                    by_step = not (ordinal and self._frame_interval > 1)
                numbers = _numbers(written, last, self._frame_interval, by_step)
                last = int(numbers[-1])
                self.n_steps = max(self.n_steps, last)
                own = energies.at(numbers)
                yield FrameBlock(
                    steps=numbers,
                    dft=own.dft,
                    scaled=frames.scaled,
                    cells=self._with_all_digits(frames.cells),
                    free_energies=own.free,
                    kinetic_energies=own.kinetic,
                    stresses=np.full((len(numbers), 6), np.nan),
                    scf_failed=np.zeros(len(numbers), dtype=np.bool_),
                )
        except ValueError as error:
            self.warnings.append(str(error))

    def _with_all_digits(self, cells: Floats) -> Floats:
        """Replace cells that are the initial one but for the six decimals of XDATCAR."""
        if self.header is None or self.header.cell is None:
            return cells
        same = np.abs(cells - self.header.cell).max(axis=(1, 2)) < ROUNDING_OF_XDATCAR_A
        return np.where(same[:, None, None], self.header.cell, cells)

    def _energies(self, steps: Iterator[IonicStep]) -> _Energies:
        rows = [
            (self._number(step.step), step.source == 'dft', step.free_energy, _or_nan(step.kinetic_energy))
            for step in steps
        ]
        table = self._oszicar
        if not rows and table is not None:
            self.n_steps = int(table.steps[-1]) if len(table.steps) else 0
            self.n_dft_steps, self.n_ml_steps = int(np.sum(~table.is_ml)), int(np.sum(table.is_ml))
            return _Energies.of(table)
        values = np.array(rows, dtype=np.float64).reshape(-1, 4)
        return _Energies(values[:, 0].astype(np.int64), values[:, 1] > 0, values[:, 2], values[:, 3])

    def _read_oszicar(self) -> Oszicar | None:
        if not self.has('OSZICAR'):
            return None
        try:
            return read_oszicar(self._folder / 'OSZICAR', allow_truncated=True)
        except ValueError as error:
            self.warnings.append(str(error))
            return None

    def _oszicar_interval(self) -> int:
        intervals = np.diff(self._oszicar.steps[:100]) if self._oszicar is not None else np.empty(0)
        return max(1, int(intervals[0])) if len(intervals) and np.all(intervals == intervals[0]) else 1

    def _open(self, name: str, reader: Callable[..., StepStream]) -> StepStream | None:
        if not self.has(name):
            return None
        try:
            return reader(self._folder / name, allow_truncated=True)
        except ValueError as error:
            self.warnings.append(str(error))
            return None


@dataclass(frozen=True, eq=False)
class _Energies:
    """Energies by step, in ascending order of the steps."""

    steps: Integers
    dft: Booleans
    free: Floats
    kinetic: Floats

    @classmethod
    def of(cls, table: Oszicar) -> _Energies:
        """Return those of OSZICAR."""
        return cls(table.steps, ~table.is_ml, table.free_energy, table.kinetic_energy)

    def at(self, numbers: Integers) -> _Energies:
        """Return those of some steps, NaN where there are none."""
        places = np.searchsorted(self.steps, numbers)
        known = places < len(self.steps)
        known[known] = self.steps[places[known]] == numbers[known]
        free, kinetic = np.full(len(numbers), np.nan), np.full(len(numbers), np.nan)
        dft = np.zeros(len(numbers), dtype=np.bool_)
        free[known], kinetic[known] = self.free[places[known]], self.kinetic[places[known]]
        dft[known] = self.dft[places[known]]
        return _Energies(numbers, dft, free, kinetic)


def _numbers(written: Integers, last: int, interval: int, by_step: bool) -> Integers:
    """Return the steps of frames with the numbers in XDATCAR, -1 where these overflowed, that follow step `last`."""
    numbers = last + interval * np.arange(1, len(written) + 1)
    known = np.flatnonzero(written > 0)
    if by_step and len(known):
        end = int(known[-1]) + 1
        numbers[:end] = written[:end]
        numbers[end:] = written[end - 1] + interval * np.arange(1, len(written) - end + 1)
    if np.any(np.diff(numbers, prepend=last) <= 0):
        raise ValueError('XDATCAR: the numbers of the frames do not increase: the file is damaged')
    return numbers


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
