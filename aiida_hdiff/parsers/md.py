"""Parser of molecular dynamics with `hdiff-engine md`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from aiida.engine import ExitCode

from aiida_hdiff.calculations import md as files
from aiida_hdiff.calculations.engine_job import PROGRESS_FILE, STATUS_FILE
from aiida_hdiff.calculations.md_job import md_parameters
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.formats.frame_stream import read_frame_stream
from aiida_hdiff.formats.trajectory import BLOCK_FRAMES, TrajectoryWriter
from aiida_hdiff.parsers.committee import CommitteeRecord, read_committee_record
from aiida_hdiff.parsers.md_base import MDParserBase


class MDParser(MDParserBase):
    """Turn the frames of a run, complete or not, into a trajectory and a state."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        status = self.retrieved_json(STATUS_FILE)
        finished = (folder / files.FINAL_FILE).is_file()
        last = folder / (files.FINAL_FILE if finished else files.CHECKPOINT_FILE)
        state = _read_state(last)
        if state is not None and state.step <= self.first_step(default=0) and not finished:
            state = None
        last_step = -1 if state is None else state.step
        frames = self._store_trajectory(folder / files.FRAMES_FILE, last_step)
        versions = status.get('versions', {})
        version = ', '.join(f'{name} {number}' for name, number in sorted(versions.items())) or None
        record = None if state is None else read_committee_record(last, md_parameters(self.node.inputs))
        watched = {} if record is None else {'committee': record.results}
        speed = self.retrieved_json(PROGRESS_FILE).get('steps_per_s')
        evaluated = {key: status[key] for key in ('calculator',) if key in status}
        self.out_results('ase', version, last_step, frames, speed, **watched, **evaluated)
        if state is not None:
            self.out('final_state', state)
        if record is not None:
            for name, node in record.nodes().items():
                self.out(name, node)
        return self._exit_code(folder, status, state, record)

    def _exit_code(
        self, folder: Path, status: dict[str, Any], state: MDState | None, record: CommitteeRecord | None
    ) -> ExitCode | None:
        codes, code = self.exit_codes, status.get('exit_code')
        reason = status.get('message', '')
        steps = md_parameters(self.node.inputs).steps
        if code == engine.FINISHED and state is not None:
            if record is None or not record.results['n_flagged']:
                return None
            counts = {key: record.results[key] for key in ('n_flagged', 'n_compared')}
            return codes.WARNING_UNCERTAIN.format(first=record.results['flagged_steps'][0], **counts)
        if code == engine.UNCERTAIN:
            return codes.ERROR_UNCERTAIN.format(reason=reason)
        if code == engine.EXPLODED:
            frame = _read_state(folder / files.EXPLODED_FILE)
            if frame is not None:
                self.out('failed_frame', frame)
            not_a_number = 'not finite' in reason
            return (codes.ERROR_NOT_A_NUMBER if not_a_number else codes.ERROR_EXPLODED).format(reason=reason)
        named = {
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.MODEL_NOT_LOADED: codes.ERROR_POTENTIAL_REFUSED,
            engine.BAD_INPUT: codes.ERROR_ENGINE_FAILED,
            engine.ERROR: codes.ERROR_ENGINE_FAILED,
        }
        if code in named:
            return named[code].format(reason=reason)
        if code is None and not (folder / files.FRAMES_FILE).is_file():
            return codes.ERROR_OUTPUT_MISSING.format(
                reason=f'the engine did not start: see {self.node.get_option("output_filename")}.'
            )
        if state is None:
            return codes.ERROR_INTERRUPTED_EARLY
        if code == engine.INTERRUPTED and 'time limit' in reason:
            return codes.ERROR_OUT_OF_WALLTIME.format(step=state.step, steps=steps)
        return codes.ERROR_INTERRUPTED.format(step=state.step)

    def _store_trajectory(self, path: Path, last_step: int) -> int:
        """Write the frames up to ``last_step`` into a trajectory node; return how many."""
        if last_step < 0 or not path.is_file():
            return 0
        frames = read_frame_stream(path)
        wanted = (frames['step'] > self.first_step(default=-1)) & (frames['step'] <= last_step)
        frames = frames[: int(np.count_nonzero(wanted))] if wanted.all() else frames[wanted]
        if not len(frames):
            return 0
        parameters = md_parameters(self.node.inputs)
        numbers = self.node.inputs.structure.get_ase().numbers
        with TemporaryDirectory() as scratch:
            target = Path(scratch) / MDTrajectory.DEFAULT_FILENAME
            with TrajectoryWriter(
                target, numbers, timestep_fs=parameters.timestep_fs, velocities=parameters.velocities
            ) as writer:
                for start in range(0, len(frames), BLOCK_FRAMES):
                    block = frames[start : start + BLOCK_FRAMES]
                    writer.append(
                        block['step'],
                        block['positions'],
                        block['cell'],
                        {
                            'potential_energy': block['potential_energy'],
                            'kinetic_energy': block['kinetic_energy'],
                            'temperature': block['temperature_K'],
                            'pressure': block['pressure'],
                        },
                        block['velocities'] if parameters.velocities else None,
                    )
            self.out('trajectory', MDTrajectory(target))
        return len(frames)


def _read_state(path: Path) -> MDState | None:
    """Return the state in a file of the engine, with the file as checkpoint; ``None`` if there is no file."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return MDState(
            numbers=arrays['numbers'],
            positions=arrays['positions'],
            velocities=arrays['velocities'],
            cell=arrays['cell'],
            step=int(arrays['step']),
            checkpoint=path.read_bytes() if 'random_state' in arrays else None,
            engine='ase',
        )
