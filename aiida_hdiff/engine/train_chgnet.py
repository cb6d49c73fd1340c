"""Fine-tuning of CHGNet by its own `Trainer`, epoch by epoch, so that it can stop early, stop in time and go on.

Files written: ``checkpoint.pt`` (everything to go on from the last complete epoch, and the best model so far),
``progress.json``, ``training.json`` (learning curves and what was done), and at the end ``model.pth.tar`` (the best
epoch) and ``errors.json`` (errors of each set before the training and of the best epoch). The order of the frames in
an epoch depends only on the seed and its number: a training that goes on ends as one that was never stopped.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from aiida_hdiff.analysis.error_summary import error_summary
from aiida_hdiff.analysis.errors import element_offsets
from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.checkpoint import write_atomically
from aiida_hdiff.engine.exit_codes import (
    BAD_INPUT,
    DIVERGED,
    ENERGY_SHIFT,
    INTERRUPTED,
    MISSING_PACKAGE,
    NOT_A_NUMBER,
    OUT_OF_MEMORY,
    EngineError,
)
from aiida_hdiff.engine.interruption import Interrupter, Interruption
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.train_chgnet_input import ChgnetTrainingInput, read_labelled

CHECKPOINT = 'checkpoint.pt'
PROGRESS = 'progress.json'
TRAINING = 'training.json'
MODEL = 'model.pth.tar'
ERRORS = 'errors.json'
DIVERGENCE = 100.0
"""A validation error this many times that before the training ends it."""
_FROZEN = {
    'none': (),
    'embeddings': ('atom_embedding', 'bond_embedding', 'angle_embedding'),
    'all_but_last': (
        'atom_embedding',
        'bond_basis_expansion',
        'bond_embedding',
        'bond_weights_ag',
        'bond_weights_bg',
        'angle_basis_expansion',
        'angle_embedding',
        'bond_conv_layers',
        'angle_layers',
        'site_wise',
    ),
}
_UNITS = {'e': ('energy', 'meV_per_atom', 1e3), 'f': ('force', 'meV_A', 1e3), 's': ('stress', 'GPa', 1.0)}
_UNITS |= {'m': ('magmom', 'muB', 1.0)}


class ChgnetTraining:
    """A training that is ready to run.

    Parameters
    ----------
    job
        The input.

    Attributes
    ----------
    epoch
        Number of complete epochs.
    best_epoch
        The one with the smallest validation error, counted from 1; 0: the shifted foundation itself.

    Raises
    ------
    EngineError
        If the input, the foundation or the checkpoint cannot be used.
    """

    def __init__(self, job: ChgnetTrainingInput) -> None:
        self._job, self._settings = job, job.settings
        foundation = Potential('chgnet', job.model, job.options, job.trusted, implementation='stock')
        sets = {name: read_labelled(file) for name, file in job.sets.items()}
        self._identity = job.identity()
        self._model = build_calculator(foundation, with_stress=True, threads=job.threads).model
        self._model_args = dict(self._model.model_args)
        try:
            from aiida_hdiff.engine.train_chgnet_data import FramesOfChgnet
        except ModuleNotFoundError as error:
            raise EngineError(MISSING_PACKAGE, f'package {error.name} is missing: pip install {error.name}.') from error
        with_magmoms = any(magmoms is not None for _, magmoms in sets.values()) and self._settings.magmom_weight > 0
        self._targets = f'ef{"s" if self._settings.stress_weight > 0 else ""}{"m" if with_magmoms else ""}'
        for name, (frames, _) in sets.items():
            new = sorted({*frames.numbers.tolist()} - {*sets['train'][0].numbers.tolist()})
            if new:
                raise EngineError(BAD_INPUT, f'`{name}` has atomic numbers {new}, which `train` lacks: split again.')
        self._sets = {
            name: FramesOfChgnet(name, frames, self._model, self._targets if name != 'test' else 'ef', magmoms=magmoms)
            for name, (frames, magmoms) in sets.items()
        }
        self.epoch = self.best_epoch = 0
        self._history: list[dict[str, Any]] = []
        self._best: dict[str, Any] = {}
        self._shift: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self._baseline: dict[str, float] = {}
        self._trainer: Any = None

    def run(self, started: float) -> None:
        """Train, and write the best model and its errors.

        Parameters
        ----------
        started
            Time of :func:`time.monotonic` at which the program started, from which ``max_seconds`` counts.

        Raises
        ------
        EngineError
            If the job is interrupted, the training diverges, or there is not enough memory.
        """
        import torch

        try:
            with Interrupter(started, self._job.max_seconds) as interrupter:
                with interrupter.interruptible():
                    self._start()
                begun, before = monotonic(), self.epoch
                while not self._is_done:
                    with interrupter.interruptible():
                        self._train_one_epoch()
                    self._write_state(monotonic() - begun, self.epoch - before)
                with interrupter.interruptible():
                    errors = self._errors_of_best()
        except Interruption as interruption:
            raise EngineError(
                INTERRUPTED, f'stopped by {interruption} after {self.epoch} of {self._settings.epochs} epochs.'
            ) from None
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise EngineError(
                OUT_OF_MEMORY,
                f'not enough memory for batches of {self._settings.batch_size} frames: give smaller ones.',
            ) from error
        stream = io.BytesIO()
        torch.save({'model': {'model_args': self._model_args, 'state_dict': self._model.state_dict()}}, stream)
        write_atomically(MODEL, stream.getvalue())
        write_atomically(ERRORS, json.dumps(errors).encode())

    @property
    def _is_done(self) -> bool:
        patience = self._settings.patience
        return self.epoch >= self._settings.epochs or (
            patience is not None and self.epoch - self.best_epoch >= patience
        )

    def _start(self) -> None:
        """Shift the energies of the elements, freeze, and go on from a checkpoint if there is one."""
        name = CHECKPOINT if Path(CHECKPOINT).is_file() else self._job.checkpoint
        if name is None and self._settings.composition != 'keep':
            self._shift_energies()
        for frozen in _FROZEN[self._settings.freeze]:
            for parameter in getattr(self._model, frozen).parameters():
                parameter.requires_grad_(False)
        if self._settings.freeze == 'all_but_last':
            for layer in self._model.atom_conv_layers[:-1]:
                for parameter in layer.parameters():
                    parameter.requires_grad_(False)
        self._trainer = self._new_trainer()
        if name is not None:
            self._restore(name)
            return
        self._before = self._errors()
        self._best = {'score': self._score(self._before['valid']), 'state': self._copy_of_state()}
        valid = self._before['valid']
        self._baseline = {
            key: valid[f'{_UNITS[key][0]}_{_UNITS[key][1]}']['mae'] for key in self._targets if key != 'm'
        }
        self._check_energy(self._before['train']['energy_meV_per_atom']['mean'] / 1e3)
        self._write_state(0.0, 0)

    def _check_energy(self, error_eV: float) -> None:
        limit = self._settings.max_energy_shift_eV_per_atom
        if limit is not None and abs(error_eV) > limit:
            raise EngineError(
                ENERGY_SHIFT,
                f'the energies of `train` are off by {error_eV:.3g} eV/atom before the training, more than '
                f'`max_energy_shift_eV_per_atom` = {limit:g}: set `composition` to `shift`, or look at the set.',
            )

    def _shift_energies(self) -> None:
        import torch
        from ase.data import chemical_symbols

        predictions = self._sets['train'].predict(self._model, stress=False)
        fit = element_offsets(predictions.frames, predictions.energy_errors)
        with torch.no_grad():
            for number, offset in zip(fit.numbers, fit.offsets_eV, strict=True):
                self._model.composition_model.fc.weight[0, number - 1] -= float(offset)
        self._shift = {
            'shifts_eV': {
                chemical_symbols[number]: -float(offset)
                for number, offset in zip(fit.numbers, fit.offsets_eV, strict=True)
            },
            'unique': fit.rank == len(fit.numbers),
            'rmse_before_meV_per_atom': float(np.sqrt((predictions.energy_errors**2).mean()) * 1e3),
            'rmse_after_meV_per_atom': float(np.sqrt((fit.errors**2).mean()) * 1e3),
        }

    def _new_trainer(self) -> Any:
        from chgnet.trainer import Trainer

        settings = self._settings
        return Trainer(
            model=self._model,
            targets=self._targets,
            energy_loss_ratio=settings.energy_weight,
            force_loss_ratio=settings.force_weight,
            stress_loss_ratio=settings.stress_weight,
            mag_loss_ratio=settings.magmom_weight,
            optimizer=settings.optimizer,
            scheduler=settings.scheduler,
            criterion=settings.criterion,
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            torch_seed=settings.seed,
            use_device=self._job.options.get('device', 'cpu'),
            print_freq=10**9,
        )

    def _loader(self, name: str) -> Any:
        import torch
        from chgnet.data.dataset import collate_graphs
        from torch.utils.data import DataLoader

        order = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + self.epoch)
        return DataLoader(
            self._sets[name],
            batch_size=self._settings.batch_size,
            shuffle=name == 'train',
            generator=order,
            collate_fn=collate_graphs,
        )

    def _train_one_epoch(self) -> None:
        begun, trainer = monotonic(), self._trainer
        trainer.starting_epoch, trainer.epochs = self.epoch, self.epoch + 1
        rate = float(trainer.optimizer.param_groups[0]['lr'])
        trainer.train(
            self._loader('train'),
            self._loader('valid'),
            save_dir='',
            train_composition_model=self._settings.composition == 'shift_and_train',
        )
        record: dict[str, Any] = {'epoch': self.epoch + 1, 'learning_rate': rate}
        for key in self._targets:
            label, unit, scale = _UNITS[key]
            for split in ('train', 'val'):
                errors = trainer.training_history[key][split]
                value = errors[self.epoch] if len(errors) > self.epoch else float('nan')
                if not np.isfinite(value):
                    raise EngineError(
                        NOT_A_NUMBER,
                        f'the {label} error is not a number in epoch {self.epoch + 1}: lower `learning_rate`.',
                    )
                record[f'{"valid" if split == "val" else split}_{label}_mae_{unit}'] = value * scale
        for key, start in self._baseline.items():
            label, unit, _ = _UNITS[key]
            now = record[f'valid_{label}_mae_{unit}']
            if now > DIVERGENCE * max(start, 1.0):
                raise EngineError(
                    DIVERGED,
                    f'the {label} error of the validation set is {now:.4g} {unit} in epoch {self.epoch + 1}, and was '
                    f'{start:.4g} before the training: lower `learning_rate`.',
                )
        score = self._score_of_record(record)
        self.epoch += 1
        if score < self._best['score']:
            self._best, self.best_epoch = {'score': score, 'state': self._copy_of_state()}, self.epoch
        self._history.append({**record, 'score': score, 'seconds': round(monotonic() - begun, 3)})

    def _score_of_record(self, record: dict[str, Any]) -> float:
        values = {
            key: record[f'valid_{_UNITS[key][0]}_mae_{_UNITS[key][1]}'] / _UNITS[key][2]
            for key in self._targets
            if key != 'm'
        }
        return self._weighted(values)

    def _score(self, errors: dict[str, Any]) -> float:
        values = {
            key: errors[f'{_UNITS[key][0]}_{_UNITS[key][1]}']['mae'] / _UNITS[key][2]
            for key in self._targets
            if key != 'm'
        }
        return self._weighted(values)

    def _weighted(self, values: dict[str, float]) -> float:
        """Return what the best epoch has the least of, in eV/atom, eV/Å and GPa."""
        settings = self._settings
        if settings.best_by != 'weighted':
            return values['e' if settings.best_by == 'energy' else 'f']
        weights = {'e': settings.energy_weight, 'f': settings.force_weight, 's': settings.stress_weight}
        return sum(weights[key] * value for key, value in values.items())

    def _copy_of_state(self) -> dict[str, Any]:
        return {key: value.detach().cpu().clone() for key, value in self._model.state_dict().items()}

    def _errors(self) -> dict[str, Any]:
        """Return the errors of the model as it is on each set, without the lists of frames."""
        found = {}
        for name, frames in self._sets.items():
            stress = bool(np.isfinite(frames.frames.stresses).any())
            found[name] = error_summary(frames.predict(self._model, stress=stress), n_worst=0)
        return found

    def _errors_of_best(self) -> dict[str, Any]:
        self._model.load_state_dict(self._best['state'])
        return {'before': self._before, 'best': self._errors()}

    def _write_state(self, elapsed_s: float, epochs: int) -> None:
        import torch

        rate = epochs / elapsed_s if elapsed_s > 0 else 0.0
        left = self._settings.epochs - self.epoch
        stream = io.BytesIO()
        torch.save(
            {
                'identity': self._identity,
                'epoch': self.epoch,
                'best_epoch': self.best_epoch,
                'best': self._best,
                'history': self._history,
                'shift': self._shift,
                'before': self._before,
                'baseline': self._baseline,
                'model': self._model.state_dict(),
                'optimizer': self._trainer.optimizer.state_dict(),
                'scheduler': self._trainer.scheduler.state_dict(),
                'training_history': self._trainer.training_history,
            },
            stream,
        )
        write_atomically(CHECKPOINT, stream.getvalue())
        parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        training = {
            'epoch': self.epoch,
            'best_epoch': self.best_epoch,
            'stopped_early': self._is_done and self.epoch < self._settings.epochs,
            'targets': self._targets,
            'shift': self._shift,
            'history': self._history,
            'n_parameters': sum(parameter.numel() for parameter in self._model.parameters()),
            'n_trained_parameters': sum(parameter.numel() for parameter in parameters),
        }
        write_atomically(TRAINING, json.dumps(training).encode())
        progress = {
            'step': self.epoch,
            'steps': self._settings.epochs,
            'elapsed_s': round(elapsed_s, 3),
            'steps_per_s': round(rate, 6),
            'eta_s': round(left / rate, 1) if rate > 0 else None,
            'score': self._history[-1]['score'] if self._history else None,
        }
        write_atomically(PROGRESS, json.dumps(progress).encode())

    def _restore(self, name: str) -> None:
        import torch

        try:
            state = torch.load(name, map_location='cpu', weights_only=True)
            if state['identity'] != self._identity:
                raise EngineError(
                    BAD_INPUT, f'{name} is of a training with other settings, sets or foundation: leave it out.'
                )
            self._model.load_state_dict(state['model'])
            self._trainer.optimizer.load_state_dict(state['optimizer'])
            self._trainer.scheduler.load_state_dict(state['scheduler'])
            self._trainer.training_history = state['training_history']
            self.epoch, self.best_epoch = int(state['epoch']), int(state['best_epoch'])
            self._best, self._history, self._shift = state['best'], state['history'], state['shift']
            self._before, self._baseline = state['before'], state['baseline']
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(BAD_INPUT, f'{name} is no checkpoint: {type(error).__name__}: {error}') from error
