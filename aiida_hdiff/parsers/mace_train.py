"""Parser of trainings by `hdiff-engine train-mace`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from ase.data import chemical_symbols

from aiida_hdiff.calculations import mace_train as files
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.engine.mace_config import NAME
from aiida_hdiff.engine.mace_state import last_resume_file, resume_epoch
from aiida_hdiff.formats.mace_results import MaceCurves, read_mace_results, results_before
from aiida_hdiff.parsers.base import JobParser

REPLAY_HEAD = 'pt_head'
_SUMMARY = (
    'best_epoch', 'best_loss', 'stage', 'stopped_early', 'start_epoch', 'heads', 'r_max', 'n_parameters', 'n_trainable',
    'dtype', 'foundation_dtype', 'energy_shift_eV_per_atom', 'E0s_set_again',
)  # fmt: skip
_SPLITS = {'train_Default': 'train', 'valid_Default': 'valid', 'Default_Default': 'test'}


class MaceTrainParser(JobParser):
    """Turn what a training has left into a potential, curves and errors; every branch ends in an exit code."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        status, summary = self.status(), self.retrieved_json(files.SUMMARY_FILE)
        results = folder / files.results_file(self.node.inputs.seed.value)
        if not results.is_file():
            results = folder / results.name
        lines = results.read_text(encoding='utf-8').splitlines(keepends=True) if results.is_file() else []
        curves = read_mace_results(lines)
        if len(curves.train_epochs) or curves.valid_epochs:
            self._store_curves(curves)
        code = status.get('exit_code')
        if code == engine.FINISHED:
            model = next((path for path in self._models(folder) if path.is_file() and path.stat().st_size), None)
            if model is None or not summary:
                missing = 'the model' if model is None else files.SUMMARY_FILE
                return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason=f'{missing} is missing.')
            self._store_potential(model.read_bytes(), summary)
        self._store_results(status, summary, curves)
        if code == engine.FINISHED:
            return None
        return self._failure(status, folder, lines)

    def _models(self, folder: Path) -> list[Path]:
        return [folder / f'{NAME}_stagetwo.model', folder / f'{NAME}.model']

    def _store_potential(self, content: bytes, summary: dict[str, Any]) -> None:
        options: dict[str, Any] = {'dtype': summary['dtype']}
        if len(summary['heads']) > 1:
            options['head'] = next(head for head in summary['heads'] if head != REPLAY_HEAD)
        potential = PotentialData(
            architecture='mace',
            elements=[chemical_symbols[number] for number in summary['atomic_numbers']],
            files=[content],
            cutoff_A=summary['r_max'],
            options=options,
        )
        potential.label = 'MACE, ' + files.strategy(self.node.inputs).replace('_', ' ')
        self.out('potential', potential)

    def _store_curves(self, curves: MaceCurves) -> None:
        node = orm.ArrayData()
        node.set_array('train_epoch', curves.train_epochs)
        node.set_array('train_loss', curves.train_losses)
        node.set_array('train_time_s', curves.train_times_s)
        for head, arrays in curves.valid.items():
            name = 'replay' if head == REPLAY_HEAD else 'valid'
            node.set_array(f'{name}_epoch', curves.valid_epochs[head])
            for metric, values in arrays.items():
                if not np.all(np.isnan(values)):
                    node.set_array(f'{name}_{metric}', values)
        node.base.attributes.set('units', {'e_per_atom': 'eV/atom', 'f': 'eV/Å', 'stress': 'eV/Å³', 'time_s': 's'})
        self.out('curves', node)

    def _store_results(self, status: dict[str, Any], summary: dict[str, Any], curves: MaceCurves) -> None:
        record = files.config_record(self.node.inputs)
        stage = summary.get('stage', 'one')
        values: dict[str, Any] = {
            **record,
            'finished': status.get('exit_code') == engine.FINISHED,
            'epochs': curves.n_epochs,
            'epochs_wanted': record['config']['max_num_epochs'],
            'last_step': curves.n_epochs,
            'seed': self.node.inputs.seed.value,
            'n_frames': {name: self.node.inputs[name].n_frames for name in files.DATASETS if name in self.node.inputs},
            'versions': status.get('versions') or {},
            'seconds': status.get('wall_s'),
            'training_seconds': float(np.nansum(curves.train_times_s)),
            'initial': _initial(curves),
        }
        if summary:
            values |= {
                'splits': _splits(summary['splits'].get(stage) or {}),
                'E0s': _by_symbol(summary['E0s']),
                'foundation_E0s': _by_symbol(summary.get('foundation_E0s') or {}),
                **{name: summary.get(name) for name in _SUMMARY},
            }
        self.out('results', orm.Dict(values))

    def _failure(self, status: dict[str, Any], folder: Path, lines: list[str]) -> ExitCode:
        codes, reason = self.exit_codes, str(status.get('message', ''))
        named = {
            engine.NOT_A_NUMBER: codes.ERROR_NOT_A_NUMBER,
            engine.DIVERGED: codes.ERROR_DIVERGED,
            engine.OUT_OF_MEMORY: codes.ERROR_OUT_OF_MEMORY,
            engine.ENERGY_SHIFT: codes.ERROR_ENERGY_SHIFT,
            engine.MISSING_PACKAGE: codes.ERROR_PACKAGE_MISSING,
            engine.BAD_INPUT: codes.ERROR_INPUT_REFUSED,
            engine.MODEL_NOT_LOADED: codes.ERROR_FOUNDATION_REFUSED,
            engine.MODEL_REFUSED: codes.ERROR_MODEL_NOT_TRUSTED,
        }
        code = status.get('exit_code')
        if code in named:
            return named[code].format(reason=reason)
        if status and code != engine.INTERRUPTED:
            return codes.ERROR_ENGINE_FAILED.format(reason=reason)
        if not status:
            if self.was_out_of_memory():
                return codes.ERROR_OUT_OF_MEMORY.format(reason='the kernel or the scheduler killed the job.')
        return self._stopped(status, folder, lines)

    def _stopped(self, status: dict[str, Any], folder: Path, lines: list[str]) -> ExitCode:
        """Return the exit code of a job that can go on, and attach from what."""
        name = last_resume_file([path.name for path in folder.iterdir()])
        epoch = None if name is None else resume_epoch(name)
        if name is None or epoch is None or epoch <= self._start_epoch():
            if not status and not lines and not self.retrieved.base.repository.list_object_names():
                return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason='no file was retrieved.')
            return self.exit_codes.ERROR_INTERRUPTED_EARLY
        node = orm.FolderData()
        node.base.repository.put_object_from_file(folder / name, name)
        for path in sorted((folder / files.CHECKPOINTS).glob('*.pt')):
            node.base.repository.put_object_from_file(path, f'{files.CHECKPOINTS}/{path.name}')
        history = ''.join(results_before(lines, epoch)).encode()
        node.base.repository.put_object_from_filelike(io.BytesIO(history), files.HISTORY_FILE)
        self.out('checkpoint', node)
        epochs = files.config_record(self.node.inputs)['config']['max_num_epochs']
        walltime = 'time limit' in str(status.get('message', ''))
        found = self.exit_codes.ERROR_OUT_OF_WALLTIME if walltime else self.exit_codes.ERROR_INTERRUPTED
        return found.format(epoch=epoch, epochs=epochs)

    def _start_epoch(self) -> int:
        if 'checkpoint' not in self.node.inputs:
            return 0
        name = last_resume_file(self.node.inputs.checkpoint.base.repository.list_object_names())
        return 0 if name is None else resume_epoch(name) or 0


def _initial(curves: MaceCurves) -> dict[str, float]:
    """Return the errors of the validation set before the first epoch: of the foundation model, if there is one."""
    for head, epochs in curves.valid_epochs.items():
        if head != REPLAY_HEAD and len(epochs) and epochs[0] == -1:
            found = {name: float(values[0]) for name, values in curves.valid[head].items()}
            return {name: value for name, value in found.items() if np.isfinite(value)}
    return {}


def _by_symbol(energies: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        head: {chemical_symbols[int(number)]: energy for number, energy in of_head.items()}
        for head, of_head in energies.items()
    }


def _splits(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the errors by split, in meV/atom, meV/Å and meV/Å³, beside the numbers of mace."""
    splits = {}
    for name, metrics in found.items():
        label = _SPLITS.get(name, name.replace(REPLAY_HEAD, 'replay'))
        splits[label] = {
            **metrics,
            **{
                key: 1000 * metrics[source]
                for key, source in (
                    ('energy_rmse_meV_per_atom', 'rmse_e_per_atom'),
                    ('force_rmse_meV_A', 'rmse_f'),
                    ('stress_rmse_meV_A3', 'rmse_stress'),
                )
                if source in metrics
            },
        }
    return splits
