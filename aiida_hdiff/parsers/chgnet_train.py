"""Parser of fine-tuning of CHGNet by `hdiff-engine train-chgnet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_hdiff.calculations import chgnet_train as files
from aiida_hdiff.calculations.training_sets import SPLITS
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.parsers.base import JobParser

CUTOFF_A = 6.0
"""Cutoff of the atom graph of CHGNet (Å)."""


class ChgnetTrainParser(JobParser):
    """Store the best model, learning curves and errors, or what a stopped job goes on from."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        status = self.status()
        finished = status.get('exit_code') == engine.FINISHED
        training = _json(folder / files.TRAINING_FILE)
        errors = _json(folder / files.ERRORS_FILE) if finished else {}
        if finished and not (errors and training and (folder / files.MODEL_FILE).is_file()):
            raise ValueError('the job finished, but its model, errors or learning curves are missing')
        self._store_curves(training.get('history', []))
        self._store_results(status, training, errors)
        if finished:
            self._store_model((folder / files.MODEL_FILE).read_bytes())
        elif (folder / files.CHECKPOINT_FILE).is_file():
            self.out('checkpoint', orm.SinglefileData(folder / files.CHECKPOINT_FILE, filename=files.CHECKPOINT_FILE))
        return self._exit_code(status, training)

    def _store_curves(self, history: list[dict[str, Any]]) -> None:
        if not history:
            return
        node = orm.ArrayData()
        for key in history[0]:
            values = np.array([record[key] for record in history])
            node.set_array(key, values.astype(np.int64 if key == 'epoch' else np.float64))
        self.out('curves', node)

    def _store_model(self, content: bytes) -> None:
        foundation, train = self.node.inputs.foundation, self.node.inputs.train
        # Only the energies of elements in the training set fit its labels.
        model = PotentialData(
            architecture='chgnet',
            elements=train.elements,
            files=[content],
            cutoff_A=foundation.cutoff_A or CUTOFF_A,
            options=foundation.options,
        )
        model.label = 'CHGNet, fine-tuned'
        self.out('potential', model)

    def _store_results(self, status: dict[str, Any], training: dict[str, Any], errors: dict[str, Any]) -> None:
        inputs, history = self.node.inputs, training.get('history', [])
        self.out(
            'results',
            orm.Dict(
                {
                    'strategy': 'fine_tuning',
                    'finished': status.get('exit_code') == engine.FINISHED,
                    'epochs': training.get('epoch', 0),
                    'epochs_wanted': files.training_settings(inputs).epochs,
                    'last_step': training.get('epoch', 0),
                    'best_epoch': training.get('best_epoch'),
                    'stopped_early': training.get('stopped_early', False),
                    'seed': inputs.seed.value,
                    'targets': training.get('targets'),
                    'composition_shift': training.get('shift', {}),
                    'n_parameters': training.get('n_parameters'),
                    'n_trainable': training.get('n_trained_parameters'),
                    'n_frames': {name: inputs[name].n_frames for name in SPLITS if name in inputs},
                    'initial': _splits(errors.get('before', {})),
                    'splits': _splits(errors.get('best', {})),
                    'errors': errors,
                    'seconds': status.get('wall_s'),
                    'training_seconds': float(sum(one['seconds'] for one in history)),
                    'versions': status.get('versions') or {},
                }
            ),
        )

    def _exit_code(self, status: dict[str, Any], training: dict[str, Any]) -> ExitCode | None:
        codes, code, reason = self.exit_codes, status.get('exit_code'), status.get('message', '')
        named = {
            engine.DIVERGED: codes.ERROR_DIVERGED,
            engine.NOT_A_NUMBER: codes.ERROR_NOT_A_NUMBER,
            engine.OUT_OF_MEMORY: codes.ERROR_OUT_OF_MEMORY,
            engine.ENERGY_SHIFT: codes.ERROR_ENERGY_SHIFT,
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.MODEL_NOT_LOADED: codes.ERROR_FOUNDATION_REFUSED,
            engine.BAD_INPUT: codes.ERROR_INPUT_REFUSED,
            engine.ERROR: codes.ERROR_ENGINE_FAILED,
        }
        if code in named:
            return named[code].format(reason=reason)
        if code == engine.FINISHED:
            return None
        started = self.node.get_option('output_filename') in self.retrieved.list_object_names()
        if code is None and not training and not started:
            return codes.ERROR_OUTPUT_MISSING.format(reason='the engine did not start.')
        if code is None and self.was_out_of_memory():
            return codes.ERROR_OUT_OF_MEMORY.format(reason='the kernel or the scheduler killed the job.')
        if 'checkpoint' not in self.outputs:
            return codes.ERROR_INTERRUPTED_EARLY
        out_of_time = code == engine.INTERRUPTED and 'time limit' in reason
        stopped = codes.ERROR_OUT_OF_WALLTIME if out_of_time else codes.ERROR_INTERRUPTED
        epochs = files.training_settings(self.node.inputs).epochs
        return stopped.format(epoch=training.get('epoch', 0), epochs=epochs)


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding='utf-8'))) if path.is_file() else {}


def _splits(errors: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the root mean square errors of each set."""
    sources = (
        ('energy_rmse_meV_per_atom', 'energy_meV_per_atom'),
        ('energy_shifted_rmse_meV_per_atom', 'energy_meV_per_atom_without_element_offsets'),
        ('force_rmse_meV_A', 'force_meV_A'),
        ('stress_rmse_meV_A3', 'stress_meV_A3'),
    )
    return {
        split: {name: summary[source]['rmse'] for name, source in sources if summary[source]}
        for split, summary in errors.items()
    }
