"""Parser of labels by `hdiff-engine label`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_hdiff.calculations import label as files
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.engine.label_file import read_labels
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.parsers.base import JobParser


def failure_text(failure: Mapping[str, Any]) -> str:
    """Return why a frame has no labels: the exception of the calculator, and its message if it has one."""
    return ': '.join(text for text in (failure['exception'], failure['reason']) if text)


class LabelParser(JobParser):
    """Turn the labels that a job has written, complete or not, into a data set; every branch ends in an exit code."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        status, path = self.status(), folder / files.LABELS_FILE
        records: list[dict[str, Any]] = []
        if path.is_file() and path.stat().st_size:
            header, records = read_labels(path)
            if header['reference'] != files.label_reference(self.node.inputs):
                raise ValueError(f'the labels are of {header["reference"]}, not of this job')
        n_before, n_new = self._store_dataset(records)
        failures = [record for record in records if 'energy' not in record]
        self._store_results(status, records, failures, n_before, n_new)
        return self._exit_code(status, path.is_file(), failures, n_before + n_new)

    def _store_dataset(self, records: list[dict[str, Any]]) -> tuple[int, int]:
        """Attach the labelled frames, in the order of the input; return how many are from before and from this job."""
        before = files.labelled_before(self.node.inputs)
        labels = {record['frame']: record for record in records if 'energy' in record}
        if not before and not labels:
            return 0, 0
        configurations = self.node.inputs.frames.frames()
        reference = files.label_reference(self.node.inputs)
        previous = self.node.inputs.previous.frames() if before else None
        frames: list[LabelledFrame] = []
        for index in sorted({*before, *labels}):
            if previous is not None and index in before:
                frames.append(previous[before[index]])
                continue
            record, atoms = labels[index], configurations.to_ase(index)
            frames.append(
                LabelledFrame(
                    numbers=atoms.numbers.astype(np.int64),
                    positions=atoms.positions,
                    cell=np.array(atoms.cell),
                    pbc=tuple(bool(periodic) for periodic in atoms.pbc),
                    energy=float(record['energy']),
                    forces=np.array(record['forces'], dtype=np.float64),
                    stress=np.array(record['stress'], dtype=np.float64) if 'stress' in record else None,
                    origin=configurations.origins[index],
                    reference=reference,
                    config_type=configurations.config_types[index],
                    scf_converged=record.get('scf_converged'),
                )
            )
        self.out('dataset', LabelledDataset(LabelledFrames.from_frames(frames)))
        return len(before), len(labels)

    def _store_results(
        self,
        status: dict[str, Any],
        records: list[dict[str, Any]],
        failures: list[dict[str, Any]],
        n_before: int,
        n_new: int,
    ) -> None:
        configurations = self.node.inputs.frames
        origins = configurations.frames().origins if failures else ()
        seconds = {key: [record[key] for record in records] for key in ('seconds', 'cpu_seconds')}
        kinds = sorted({record['energy_kind'] for record in records if 'energy_kind' in record})
        self.out(
            'results',
            orm.Dict(
                {
                    'n_frames': configurations.n_frames,
                    'n_labelled': n_before + n_new,
                    'n_from_previous': n_before,
                    'n_failed': len(failures),
                    'n_left': configurations.n_frames - n_before - n_new - len(failures),
                    'failures': [
                        {
                            **{key: one.get(key) for key in ('frame', 'exception', 'reason')},
                            'origin': origins[one['frame']],
                        }
                        for one in failures
                    ],
                    'reference': files.label_reference(self.node.inputs),
                    'calculator': self.node.inputs.settings['calculator'],
                    'energy_kind': kinds[0] if kinds else None,
                    'versions': status.get('versions', {}),
                    **{f'{key}_per_frame': float(np.mean(spent)) if spent else None for key, spent in seconds.items()},
                    **{key: float(np.sum(spent)) for key, spent in seconds.items()},
                }
            ),
        )

    def _exit_code(
        self, status: dict[str, Any], started: bool, failures: list[dict[str, Any]], done: int
    ) -> ExitCode | None:
        codes, code, reason = self.exit_codes, status.get('exit_code'), status.get('message', '')
        named = {
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.MODEL_NOT_LOADED: codes.ERROR_CALCULATOR_REFUSED,
            engine.BAD_INPUT: codes.ERROR_SETTINGS_REFUSED,
            engine.ERROR: codes.ERROR_ENGINE_FAILED,
        }
        if code in named:
            return named[code].format(reason=reason)
        if code is None and not started:
            return codes.ERROR_OUTPUT_MISSING.format(
                reason=f'the engine did not start: see {self.node.get_option("output_filename")}.'
            )
        if failures and not done and code in (engine.FINISHED, engine.TOO_MANY_FAILURES):
            return codes.ERROR_ALL_FRAMES_FAILED.format(reason=failure_text(failures[0]))
        if code == engine.FINISHED:
            return None
        if code == engine.TOO_MANY_FAILURES:
            return codes.ERROR_TOO_MANY_FAILURES.format(reason=reason)
        if not done:
            return codes.ERROR_INTERRUPTED_EARLY
        out_of_time = code == engine.INTERRUPTED and 'time limit' in reason
        stopped = codes.ERROR_OUT_OF_WALLTIME if out_of_time else codes.ERROR_INTERRUPTED
        return stopped.format(done=done, total=self.node.inputs.frames.n_frames)
