"""Labelling of configurations, frame by frame, in the working directory.

Files written: ``labels.jsonl`` (see :mod:`aiida_hdiff.engine.label_file`) and ``progress.json``. A job that is started
again in its directory goes on with the first frame that is not in ``labels.jsonl``.
"""

from __future__ import annotations

import hashlib
import json
from time import monotonic, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_hdiff.engine.checkpoint import write_atomically
from aiida_hdiff.engine.exit_codes import BAD_INPUT, INTERRUPTED, TOO_MANY_FAILURES, EngineError
from aiida_hdiff.engine.interruption import Interrupter, Interruption
from aiida_hdiff.engine.label_calculators import build_labeller
from aiida_hdiff.engine.label_file import LabelWriter
from aiida_hdiff.engine.label_input import LabelInput, read_configurations
from aiida_hdiff.formats.configurations import structure_keys

if TYPE_CHECKING:
    from ase import Atoms

LABELS = 'labels.jsonl'
PROGRESS = 'progress.json'
REASON_LENGTH = 500


class Labelling:
    """A labelling job that is ready to run.

    Parameters
    ----------
    job
        The input.

    Attributes
    ----------
    done, failed
        Number of frames with labels and without, of this job.

    Raises
    ------
    EngineError
        If the input or the calculator cannot be used.
    """

    def __init__(self, job: LabelInput) -> None:
        self._job, self._settings = job, job.settings
        self._frames = read_configurations(job.frames)
        if any(not 0 <= index < len(self._frames) for index in job.skip):
            raise EngineError(BAD_INPUT, f'`skip` names frames that are not in {job.frames}.')
        self._calculator: Any = self._new_calculator()
        self._used = False
        self.done = self.failed = 0
        digest = hashlib.sha256(''.join(structure_keys(self._frames)).encode()).hexdigest()
        self._header = {'reference': job.reference, 'n_frames': len(self._frames), 'frames_sha256': digest}

    def _new_calculator(self) -> Any:
        job = self._job
        return build_labeller(self._settings, model=job.model, threads=job.threads, trusted=job.trusted)

    def run(self, started: float) -> None:
        """Label the frames that are left.

        Parameters
        ----------
        started
            Time of :func:`time.monotonic` at which the program started, from which ``max_seconds`` counts.

        Raises
        ------
        EngineError
            If the job is interrupted or too many frames fail.
        """
        try:
            writer = LabelWriter(LABELS, self._header)
        except ValueError as error:
            raise EngineError(BAD_INPUT, f'{error}.') from error
        attempted = set(self._job.skip)
        for record in writer.earlier:
            attempted.add(record['frame'])
            self._count(record)
        left = [index for index in range(len(self._frames)) if index not in attempted]
        begun, before = monotonic(), self.done + self.failed
        try:
            with Interrupter(started, self._job.max_seconds) as interrupter:
                for index in left:
                    self._stop_at_limit()
                    record = self._label(index, interrupter)
                    writer.write(record)
                    self._count(record)
                    self._write_progress(len(self._frames) - len(self._job.skip), monotonic() - begun, before)
                self._stop_at_limit()
        except Interruption as interruption:
            total = len(self._frames) - len(self._job.skip)
            raise EngineError(
                INTERRUPTED, f'stopped by {interruption} after {self.done + self.failed} of {total} frames.'
            ) from None
        finally:
            writer.close()

    def _count(self, record: dict[str, Any]) -> None:
        if 'energy' in record:
            self.done += 1
        else:
            self.failed += 1

    def _stop_at_limit(self) -> None:
        if self.failed > self._settings.max_failures:
            raise EngineError(
                TOO_MANY_FAILURES,
                f'{self.failed} frames failed, more than `max_failures` = {self._settings.max_failures}.',
            )

    def _label(self, index: int, interrupter: Interrupter) -> dict[str, Any]:
        """Return the record of one frame; where a calculator fails that was used before, a new one tries again."""
        begun, cpu = monotonic(), process_time()
        again = self._used
        found = self._attempt(index, interrupter)
        if again and 'exception' in found:
            found = self._attempt(index, interrupter)
        if not self._settings.reuse_calculator:
            self._drop_calculator()
        spent = {'seconds': round(monotonic() - begun, 3), 'cpu_seconds': round(process_time() - cpu, 3)}
        return {'frame': index, **found, **spent}

    def _attempt(self, index: int, interrupter: Interrupter) -> dict[str, Any]:
        """Return the labels of one frame, or why there are none."""
        try:
            with interrupter.interruptible():
                if self._calculator is None:
                    self._calculator = self._new_calculator()
                self._used = True
                return self._evaluate(self._frames.to_ase(index))
        except EngineError:
            raise
        except Exception as error:
            # A calculator that has failed may be in any state.
            self._drop_calculator()
            return {'exception': type(error).__name__, 'reason': ' '.join(str(error).split())[:REASON_LENGTH]}

    def _drop_calculator(self) -> None:
        self._calculator, self._used = None, False

    def _evaluate(self, atoms: Atoms) -> dict[str, Any]:
        calculator = atoms.calc = self._calculator
        free = self._settings.force_consistent_energy and 'free_energy' in calculator.implemented_properties
        labels: dict[str, Any] = {
            'energy': float(atoms.get_potential_energy(force_consistent=free)),
            'forces': np.array(atoms.get_forces(), dtype=np.float64),
        }
        if self._settings.stress and atoms.pbc.all():
            labels['stress'] = np.array(atoms.get_stress(), dtype=np.float64)
        for name, values in labels.items():
            if not np.all(np.isfinite(values)):
                raise ArithmeticError(f'{name} not finite')
        if self._settings.calculator == 'gpaw':
            labels['scf_converged'] = True
        return {**labels, 'energy_kind': 'free_energy' if free else 'energy'}

    def _write_progress(self, total: int, elapsed_s: float, before: int) -> None:
        attempted = self.done + self.failed
        progress = {
            'step': attempted,
            'steps': total,
            'failed': self.failed,
            'elapsed_s': round(elapsed_s, 3),
            'steps_per_s': round((attempted - before) / elapsed_s, 6) if elapsed_s > 0 else 0.0,
        }
        write_atomically(PROGRESS, json.dumps(progress).encode())
