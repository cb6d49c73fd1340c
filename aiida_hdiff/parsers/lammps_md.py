"""Parser of molecular dynamics with LAMMPS."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from aiida.engine import ExitCode
from numpy.typing import NDArray

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.calculations.md_job import md_parameters, start_arrays
from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA, GPA_IN_BAR
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.formats.lammps import (
    ScreenOutput,
    read_dump,
    read_screen_output,
    read_time_series,
    restart_is_complete,
    restricted_triclinic,
)
from aiida_hdiff.formats.trajectory import TrajectoryWriter
from aiida_hdiff.parsers.md_base import MDParserBase


class LammpsMDParser(MDParserBase):
    """Turn the dumps of a run, complete or not, into a trajectory and a state."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        name = self.node.get_option('output_filename')
        if name not in self.retrieved.list_object_names():
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason=f'{name} is not there.')
        screen = read_screen_output(self.retrieved.get_object_content(name))
        parameters = md_parameters(self.node.inputs)
        start = start_arrays(self.node.inputs)
        _, rotation = restricted_triclinic(start['cell'])

        finished = any(mark.startswith(script.FINISHED_MARK) for mark in screen.marks)
        state = self._final_state(folder, start, rotation) if finished else self._checkpoint(folder, start, rotation)
        last_step = -1 if state is None else state.step
        frames = self._store_trajectory(folder, last_step, start, rotation)
        status = self.status()
        evaluated = {key: status[key] for key in ('calculator',) if key in status}
        self.out_results('lammps', _version(screen, status), last_step, frames, screen.steps_per_s, **evaluated)
        failure = self._failure(screen, finished, status) or self._engine_failure(status)
        if failure is not None:
            if state is not None and failure.status == self.exit_codes.ERROR_EXPLODED.status:
                self.out('failed_frame', state)
            return failure
        if state is None:
            return self.exit_codes.ERROR_INTERRUPTED_EARLY
        self.out('final_state', state)
        if not finished:
            return self.exit_codes.ERROR_INTERRUPTED.format(step=last_step)
        if last_step < parameters.steps:
            if status.get('exit_code') == engine.INTERRUPTED and 'time limit' not in status['message']:
                return self.exit_codes.ERROR_INTERRUPTED.format(step=last_step)
            return self.exit_codes.ERROR_OUT_OF_WALLTIME.format(step=last_step, steps=parameters.steps)
        return None

    def _engine_failure(self, status: dict[str, Any]) -> ExitCode | None:
        """Return what `hdiff-engine`, where it runs LAMMPS, says went wrong."""
        codes, code, reason = self.exit_codes, status.get('exit_code'), status.get('message', '')
        if code == engine.EXPLODED and 'not finite' in reason:
            return codes.ERROR_NOT_A_NUMBER.format(reason=reason)
        named = {
            engine.EXPLODED: codes.ERROR_EXPLODED,
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.MODEL_NOT_LOADED: codes.ERROR_POTENTIAL_REFUSED,
            engine.BAD_INPUT: codes.ERROR_ENGINE_FAILED,
            engine.ERROR: codes.ERROR_ENGINE_FAILED,
        }
        return named[code].format(reason=reason) if code in named else None

    def _failure(self, screen: ScreenOutput, finished: bool, status: dict[str, Any]) -> ExitCode | None:
        codes = self.exit_codes
        if screen.halted:
            return codes.ERROR_EXPLODED.format(reason='the temperature rose above its limit.')
        if screen.error is None:
            if not finished and screen.version is None and not status:
                return codes.ERROR_OUTPUT_MISSING.format(reason='LAMMPS did not start: see the scheduler output.')
            return None
        error = screen.error
        lowered = error.lower()
        if 'lost atoms' in lowered or 'atom count is inconsistent' in lowered:
            return codes.ERROR_LOST_ATOMS.format(reason=error)
        if 'tilted box too far' in lowered:
            return codes.ERROR_EXPLODED.format(reason=error)
        if 'non-numeric' in lowered:
            return codes.ERROR_NOT_A_NUMBER.format(reason=error)
        if 'unrecognized pair style' in lowered or 'unknown pair style' in lowered:
            return codes.ERROR_UNKNOWN_STYLE.format(reason=error)
        loading = screen.last_step is None and re.search(r'\(\S*pair_[^/\s]*\.cpp:\d+\)$', error) is not None
        if loading or 'potential file' in lowered or 'pair_coeff' in lowered or 'pair coeff' in lowered:
            return codes.ERROR_POTENTIAL_REFUSED.format(reason=error)
        return codes.ERROR_ENGINE_FAILED.format(reason=error)

    def _final_state(self, folder: Path, start: dict[str, Any], rotation: NDArray[Any]) -> MDState | None:
        frames = list(read_dump(folder / script.FINAL_DUMP))
        restart = folder / script.FINAL_RESTART
        if not frames or not restart.is_file() or not restart_is_complete(restart):
            return self._checkpoint(folder, start, rotation)
        return _state(frames[-1], -1, start, rotation, restart.read_bytes())

    def _checkpoint(self, folder: Path, start: dict[str, Any], rotation: NDArray[Any]) -> MDState | None:
        """Return the last checkpoint after the start of this job whose restart file and frame are both complete."""
        dump = folder / script.CHECKPOINT_DUMP
        if not dump.is_file():
            return None
        first = self.first_step(default=0)
        restarts = {
            int(path.name.split('.')[1]): path
            for path in folder.glob(script.CHECKPOINT_RESTARTS)
            if restart_is_complete(path)
        }
        best: MDState | None = None
        for frames in read_dump(dump):
            for index, step in enumerate(frames.steps.tolist()):
                if step in restarts and step > first:
                    best = _state(frames, index, start, rotation, restarts[step].read_bytes())
        return best

    def _store_trajectory(self, folder: Path, last_step: int, start: dict[str, Any], rotation: NDArray[Any]) -> int:
        """Write the frames after the starting checkpoint and up to ``last_step``; return how many."""
        dump, series_file = folder / script.TRAJECTORY_FILE, folder / script.SERIES_FILE
        if last_step < 0 or not dump.is_file() or not series_file.is_file():
            return 0
        after = self.first_step(default=-1)
        series = read_time_series(series_file)
        parameters = md_parameters(self.node.inputs)
        count = 0
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / MDTrajectory.DEFAULT_FILENAME
            with TrajectoryWriter(
                path, start['numbers'], timestep_fs=parameters.timestep_fs, velocities=parameters.velocities
            ) as writer:
                for frames in read_dump(dump):
                    wanted = (frames.steps > after) & (frames.steps <= last_step)
                    wanted &= np.isin(frames.steps, series[:, 0])
                    if not wanted.any():
                        continue
                    steps = frames.steps[wanted]
                    rows = series[np.searchsorted(series[:, 0], steps)]
                    vectors = frames.columns[wanted]
                    writer.append(
                        steps,
                        vectors[..., :3] @ rotation.T,
                        frames.cells[wanted] @ rotation.T,
                        {
                            'potential_energy': rows[:, 1],
                            'kinetic_energy': rows[:, 2],
                            'temperature': rows[:, 3],
                            'pressure': rows[:, 4] / (GPA_IN_BAR * EV_PER_ANGSTROM3_IN_GPA),
                        },
                        vectors[..., 3:] @ rotation.T / 1000.0 if parameters.velocities else None,
                    )
                    count += len(steps)
            if count:
                self.out('trajectory', MDTrajectory(path))
        return count


def _version(screen: ScreenOutput, status: dict[str, Any]) -> str | None:
    """Return the version of LAMMPS, and of what gave the forces if that was `hdiff-engine`."""
    versions = status.get('versions', {})
    packages = [f'{name} {number}' for name, number in sorted(versions.items())]
    return ', '.join(filter(None, [screen.version, *packages])) or None


def _state(frames: Any, index: int, start: dict[str, Any], rotation: NDArray[Any], checkpoint: bytes) -> MDState:
    vectors = frames.columns[index]
    return MDState(
        numbers=start['numbers'],
        positions=vectors[:, :3] @ rotation.T,
        velocities=vectors[:, 3:] @ rotation.T / 1000.0,
        cell=frames.cells[index] @ rotation.T,
        step=int(frames.steps[index]),
        checkpoint=checkpoint,
        engine='lammps',
    )
