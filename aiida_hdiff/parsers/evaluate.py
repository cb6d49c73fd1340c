"""Parser of predictions by `hdiff-engine evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_hdiff.analysis.error_summary import error_summary
from aiida_hdiff.analysis.errors import Predictions, element_offsets
from aiida_hdiff.calculations import evaluate as files
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.engine.label_file import read_labels
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.parsers.base import JobParser
from aiida_hdiff.parsers.label import failure_text


class EvaluateParser(JobParser):
    """Compare what a job has predicted, complete or not, with the labels; every branch ends in an exit code."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        status, path = self.status(), folder / files.PREDICTIONS_FILE
        records: list[dict[str, Any]] = []
        if path.is_file() and path.stat().st_size:
            header, records = read_labels(path)
            if header['reference'] != files.prediction_reference(self.node.inputs.potential):
                raise ValueError(f'the predictions are by {header["reference"]}, not by the potential of this job')
        found = sorted((record for record in records if 'energy' in record), key=lambda one: one['frame'])
        failures = [record for record in records if 'energy' not in record]
        self._store(status, found, failures)
        return self._exit_code(status, path.is_file(), failures, len(found))

    def _store(self, status: dict[str, Any], found: list[dict[str, Any]], failures: Sequence[dict[str, Any]]) -> None:
        dataset, potential = self.node.inputs.dataset, self.node.inputs.potential
        frames, summary = dataset.frames(), {}
        if found:
            predictions = join_predictions(frames, found)
            summary = error_summary(predictions, n_worst=files.evaluation_settings(self.node.inputs)['n_worst'])
            places = [record['frame'] for record in found]
            for key in ('worst_by_force', 'worst_by_energy'):
                summary[key] = [{**one, 'frame': places[one['frame']]} for one in summary[key]]
            self.out('parity', parity_arrays(predictions, places))
        cpu = [record['cpu_seconds'] for record in found]
        self.out(
            'results',
            orm.Dict(
                {
                    **summary,
                    'n_frames': dataset.n_frames,
                    'n_predicted': len(found),
                    'n_failed': len(failures),
                    'n_left': dataset.n_frames - len(found) - len(failures),
                    'failures': [
                        {
                            **{key: one.get(key) for key in ('frame', 'exception', 'reason')},
                            'origin': frames.origins[one['frame']],
                        }
                        for one in failures
                    ],
                    'architecture': potential.architecture,
                    'potential': files.prediction_reference(potential),
                    'reference': dataset.references[0] if dataset.references else None,
                    'versions': status.get('versions', {}),
                    'cpu_seconds_per_frame': float(np.mean(cpu)) if cpu else None,
                }
            ),
        )

    def _exit_code(
        self, status: dict[str, Any], started: bool, failures: Sequence[dict[str, Any]], done: int
    ) -> ExitCode | None:
        codes, code, reason = self.exit_codes, status.get('exit_code'), status.get('message', '')
        named = {
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.MODEL_NOT_LOADED: codes.ERROR_POTENTIAL_REFUSED,
            engine.BAD_INPUT: codes.ERROR_SETTINGS_REFUSED,
            engine.ERROR: codes.ERROR_ENGINE_FAILED,
        }
        if code in named:
            return named[code].format(reason=reason)
        if code is None and not started:
            return codes.ERROR_OUTPUT_MISSING.format(
                reason=f'the engine did not start: see {self.node.get_option("output_filename")}.'
            )
        if failures and (code == engine.TOO_MANY_FAILURES or not done):
            return codes.ERROR_FRAMES_FAILED.format(reason=failure_text(failures[0]), done=done)
        if code == engine.FINISHED:
            if done + len(failures) < self.node.inputs.dataset.n_frames:
                return codes.ERROR_OUTPUT_UNREADABLE.format(reason='predictions are missing, but the job finished')
            return None
        out_of_time = code == engine.INTERRUPTED and 'time limit' in reason
        stopped = codes.ERROR_OUT_OF_WALLTIME if out_of_time else codes.ERROR_INTERRUPTED
        return stopped.format(done=done, total=self.node.inputs.dataset.n_frames)


def join_predictions(frames: LabelledFrames, records: Sequence[dict[str, Any]]) -> Predictions:
    """Return the labels and the predictions of the frames that have them, in the order of the records.

    Raises
    ------
    ValueError
        If a prediction is not one of the frame that it names.
    """
    places = [record['frame'] for record in records]
    if len(set(places)) != len(places) or any(not 0 <= place < len(frames) for place in places):
        raise ValueError('the predictions name frames twice, or some that are not in the set')
    unknown = [np.nan] * 6
    return Predictions(
        frames=frames.select(places),
        energies=np.array([record['energy'] for record in records], dtype=np.float64),
        forces=np.concatenate([np.array(record['forces'], dtype=np.float64) for record in records]),
        stresses=np.array([record.get('stress', unknown) for record in records], dtype=np.float64),
    )


def parity_arrays(predictions: Predictions, places: Sequence[int]) -> orm.ArrayData:
    """Return the node of labels and predictions; `places` are the indices of the frames in the set."""
    frames = predictions.frames
    node = orm.ArrayData()
    node.set_array('frames', np.array(places, dtype=np.int64))
    node.set_array('numbers', frames.numbers)
    node.set_array('offsets', frames.offsets)
    for name in ('energies', 'forces', 'stresses'):
        pair = np.stack([getattr(frames, name), getattr(predictions, name)], axis=-1)
        node.set_array(name, np.where(np.isnan(pair), np.nan, pair))
    node.set_array('energy_errors', predictions.energy_errors)
    shifted = element_offsets(frames, predictions.energy_errors).errors
    node.set_array('energy_errors_without_element_offsets', shifted)
    node.set_array('force_rmse', predictions.force_rmse)
    node.set_array('force_max', predictions.force_max)
    return node
