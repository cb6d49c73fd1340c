"""A molecular dynamics stage, from its input to its files in the working directory.

Files written: ``frames.bin`` (see :mod:`aiida_hdiff.formats.frame_stream`), ``progress.json`` about once a
second, ``checkpoint.npz``, and at the end ``final.npz`` (a checkpoint, too) or ``exploded.npz``. The record of a
committee is in the checkpoints.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from types import FrameType
from typing import Any

import numpy as np

from aiida_hdiff.engine.bounds import outside_bounds
from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.checkpoint import read_checkpoint, write_arrays, write_atomically, write_checkpoint
from aiida_hdiff.engine.committee import CommitteeMonitor
from aiida_hdiff.engine.exit_codes import (
    BAD_INPUT,
    EXPLODED,
    INTERRUPTED,
    MODEL_NOT_LOADED,
    UNCERTAIN,
    EngineError,
)
from aiida_hdiff.engine.implementations import calculator_record, replaced_if_wrong
from aiida_hdiff.engine.integrators import build_integrator
from aiida_hdiff.engine.md_input import MDInput, read_arrays, read_start
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.engine.system import System
from aiida_hdiff.formats.frame_stream import FrameStreamWriter

FRAMES = 'frames.bin'
CHECKPOINT = 'checkpoint.npz'
FINAL = 'final.npz'
EXPLODED_FRAME = 'exploded.npz'
PROGRESS = 'progress.json'
PROGRESS_SECONDS = 1.0


def stop_requests() -> Callable[[], str | None]:
    """Catch SIGTERM and SIGINT from now on; the returned function names the signal that came, or ``None``."""
    received: list[str] = []

    def remember(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, remember)
    return lambda: received[0] if received else None


class Stage:
    """A stage that is ready to run.

    Parameters
    ----------
    job
        The input.
    stop
        Returns the name of a signal that asks the run to stop, or ``None``.
    started
        Time of :func:`time.monotonic` at which the program started, from which ``max_seconds`` counts.

    Attributes
    ----------
    step
        Number of steps done.

    Raises
    ------
    EngineError
        If the input, the structure, the model or the checkpoint cannot be used.
    """

    def __init__(self, job: MDInput, stop: Callable[[], str | None], started: float) -> None:
        self._job = job
        self._stop = stop
        self._started = started
        self._parameters: MDParameters = job.parameters
        with_stress = self._parameters.ensemble == 'npt'
        atoms, velocities = read_start(job.start)
        if with_stress and not atoms.pbc.all():
            raise EngineError(BAD_INPUT, f'{job.start}: an `npt` stage needs a structure periodic in all directions.')
        potential = replace(job.potential, implementation=self._parameters.calculator)
        atoms.calc = build_calculator(potential, with_stress=with_stress, threads=job.threads)
        self._rng = np.random.default_rng(self._parameters.seed)
        self._system = System(atoms, with_stress=with_stress)
        if velocities is None:
            self._system.draw_velocities(self._parameters.temperature_K, self._rng)
        else:
            self._system.velocities = self._system.without_drift(velocities)
        self._integrator = build_integrator(self._system, self._parameters, self._rng)
        self.step = 0
        if job.checkpoint is not None:
            self.step = read_checkpoint(job.checkpoint, self._system, self._integrator, self._rng, self._parameters)
        self._first_step = self.step
        self._monitor = self._build_monitor()

    def run(self) -> None:
        """Do the steps that are left.

        Raises
        ------
        EngineError
            If the run is interrupted or explodes, or ends because its committee is not certain of the forces.
        """
        parameters, system = self._parameters, self._system
        try:
            system.evaluate()
            if replaced_if_wrong(system.atoms, parameters.calculator):
                system.evaluate()
            if self._monitor is not None:
                self._monitor.prepare()
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(
                MODEL_NOT_LOADED,
                f'{self._job.potential.architecture} cannot describe the structure: {type(error).__name__}: {error}',
            ) from error
        begun = reported = monotonic()
        with FrameStreamWriter(FRAMES, len(system.positions), velocities=parameters.velocities) as frames:
            # A scheduler may run a job again in its old directory: then there are frames already.
            frames.discard_after(self.step if self._job.checkpoint is not None else -1)
            self._check_bounds()
            if self._job.checkpoint is None:
                self._write_frame(frames)
                self._watch()
            while self.step < parameters.steps:
                self._stop_if_asked()
                self._integrator.step(self._bath_K(self.step + 0.5))
                self.step += 1
                self._check_bounds()
                if self.step % parameters.output_interval == 0:
                    self._write_frame(frames)
                self._watch()
                if self.step % parameters.checkpoint_every == 0:
                    self._write_checkpoint(CHECKPOINT)
                if monotonic() - reported > PROGRESS_SECONDS:
                    reported = monotonic()
                    self._write_progress(reported - begun)
        self._write_progress(monotonic() - begun)
        self._write_checkpoint(FINAL)

    def _build_monitor(self) -> CommitteeMonitor | None:
        settings, job = self._parameters.committee, self._job
        if settings is None:
            return None
        members = [replace(member, implementation=self._parameters.calculator) for member in job.committee]
        monitor = CommitteeMonitor(members, settings, self._system, threads=job.threads)
        if job.checkpoint is not None:
            monitor.restore(read_arrays(job.checkpoint))
        return monitor

    def _watch(self) -> None:
        if self._monitor is None:
            return
        uncertain = self._monitor.compare(self.step)
        if uncertain is not None and self._monitor.stops:
            self._write_checkpoint(FINAL)
            raise EngineError(UNCERTAIN, uncertain)

    @property
    def calculator(self) -> dict[str, Any]:
        """Which implementation of the potential runs, and what is to be said about it."""
        return calculator_record(self._system.atoms.calc)

    def _bath_K(self, step: float) -> float:
        """Return the target temperature (K) after ``step`` steps."""
        start, end = self._parameters.temperature_K, self._parameters.final_temperature_K
        return start + (end - start) * step / self._parameters.steps

    def _stop_if_asked(self) -> None:
        limit = self._job.max_seconds
        reason = self._stop()
        if reason is None and limit is not None and monotonic() - self._started >= limit:
            reason = f'the time limit of {limit:g} s'
        if reason is not None:
            self._write_checkpoint(CHECKPOINT)
            raise EngineError(INTERRUPTED, f'stopped by {reason} after {self.step} of {self._parameters.steps} steps.')

    def _check_bounds(self) -> None:
        with_distances = self.step % self._parameters.output_interval == 0
        wrong = outside_bounds(self._system, self._bath_K(self.step), with_distances=with_distances)
        if wrong is not None:
            system = self._system
            write_arrays(
                EXPLODED_FRAME,
                {
                    **system.arrays(),
                    'forces': system.forces,
                    'potential_energy': system.potential_energy,
                    'step': self.step,
                },
            )
            raise EngineError(EXPLODED, f'step {self.step}: {wrong}')

    def _write_frame(self, frames: FrameStreamWriter) -> None:
        system = self._system
        frames.write(
            self.step,
            self.step * self._parameters.timestep_fs,
            system.potential_energy,
            system.kinetic_energy,
            system.temperature_K,
            system.pressure,
            system.cell,
            system.positions,
            system.velocities if self._parameters.velocities else None,
        )

    def _write_checkpoint(self, name: str) -> None:
        record = {} if self._monitor is None else self._monitor.arrays()
        write_checkpoint(name, self.step, self._system, self._integrator, self._rng, self._parameters, record)

    def _write_progress(self, elapsed_s: float) -> None:
        done = self.step - self._first_step
        progress = {
            'step': self.step,
            'steps': self._parameters.steps,
            'elapsed_s': round(elapsed_s, 3),
            'steps_per_s': round(done / elapsed_s, 3) if elapsed_s > 0 else 0.0,
        }
        write_atomically(PROGRESS, json.dumps(progress).encode())
