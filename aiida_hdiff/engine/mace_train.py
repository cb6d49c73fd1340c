"""Training of a MACE model by mace's own ``mace_run_train``, in the working directory.

mace's program runs in this process, with the same arguments, parser and loop. Hooks in its loop write the state of
every epoch, so that a stopped training goes on, stop at a signal or the end of the time, at a loss that is no number or
has diverged, and after `patience` evaluations without a better one (mace counts them, but stops only where it has
several processes). The hooks are set for one run and taken away again.

Files written: ``trained.model`` (and ``trained_stagetwo.model``), ``results/trained_run-<seed>_train.txt``,
``training.json``, ``progress.json``, ``resume_epoch-<N>.pt`` and ``checkpoints/`` until the training is finished.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

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
from aiida_hdiff.engine.mace_foundation import heads, isolated_energies, prepare_foundation
from aiida_hdiff.engine.mace_input import MaceInput
from aiida_hdiff.engine.mace_options import option_arguments
from aiida_hdiff.engine.mace_state import PREFIX, read_state, read_tensors, restore_random, restore_state, save_state

PROGRESS = 'progress.json'
SUMMARY = 'training.json'
_METRICS = (
    'loss', 'rmse_e', 'rmse_e_per_atom', 'mae_e_per_atom', 'rmse_f', 'mae_f', 'rel_rmse_f', 'rmse_stress', 'mae_stress',
)  # fmt: skip
_CHECKPOINTS = 'checkpoints'
_REPLAY_HEAD = 'pt_head'
_NEVER = 10**9


class _EarlyStop(Exception):  # noqa: N818  (no error)
    pass


class MaceTraining:
    """A training that is ready to run.

    Parameters
    ----------
    job
        The input.

    Attributes
    ----------
    epoch
        The epoch with which a continuation would begin, ``None`` before the loop.
    """

    def __init__(self, job: MaceInput) -> None:
        self._job, self._foundation = job, job.foundation
        self.epoch: int | None = None
        self._start, self._last = 0, 0
        self._state: dict[str, Any] | None = None
        self._loop: dict[str, Any] = {}
        self._first_loss: float | None = None
        self._loss = math.nan
        self._best: dict[str, float] = {}
        self._best_epoch: dict[str, int] = {}
        self._waited = 0
        self._begun = monotonic()
        self._summary: dict[str, Any] = {'splits': {}, 'initial': {}, 'stopped_early': False}

    def run(self, started: float) -> None:
        """Train until the last epoch.

        Parameters
        ----------
        started
            Time of :func:`time.monotonic` at which the program started, from which ``max_seconds`` counts.

        Raises
        ------
        EngineError
            If the training is interrupted or fails.
        """
        try:
            import torch
            from mace.cli import run_train
        except ModuleNotFoundError as error:
            raise EngineError(
                MISSING_PACKAGE,
                f'a training of MACE needs the package {error.name}, which is not installed on this machine: '
                'pip install "aiida-hdiff[mace]".',
            ) from error
        torch.set_num_threads(self._job.threads)
        self._check_files()
        arguments = self._arguments()
        try:
            with Interrupter(started, self._job.max_seconds) as interrupter, self._hooks(run_train):
                with interrupter.interruptible():
                    run_train.run(arguments)
        except Interruption as interruption:
            raise EngineError(INTERRUPTED, f'stopped by {interruption} in epoch {self.epoch or 0}.') from None
        except EngineError:
            raise
        except Exception as error:
            raise self._error(error) from error
        self._finish()

    def _error(self, error: Exception) -> EngineError:
        text = ' '.join(f'{type(error).__name__}: {error}'.split())[:500]
        low = text.lower()
        if isinstance(error, MemoryError) or 'out of memory' in low or "can't allocate memory" in low:
            return EngineError(OUT_OF_MEMORY, f'{text} Take a smaller `batch_size` or model.')
        if self.epoch is None:
            return EngineError(BAD_INPUT, f'mace refused its input: {text}')
        raise error

    def _check_files(self) -> None:
        """Scan and open what will be loaded, before mace does."""
        self._foundation, found = prepare_foundation(self._job)
        self._summary |= found
        if self._job.resume is not None:
            device = str(self._job.config.get('device', 'cpu'))
            self._state = read_state(self._job.resume, device)
            for path in Path(_CHECKPOINTS).glob('*.pt'):
                read_tensors(path, device)

    def _arguments(self) -> Any:
        from mace import tools

        config = dict(self._job.config)
        if self._foundation is not None:
            config['foundation_model'] = self._foundation
        parser = tools.build_default_arg_parser()

        def refuse(message: str) -> None:
            raise EngineError(BAD_INPUT, f'mace refuses its arguments: {message}.')

        parser.error = refuse
        return parser.parse_args(option_arguments(config))

    @contextmanager
    def _hooks(self, run_train: Any) -> Iterator[None]:
        loop_module = sys.modules['mace.tools.train']
        places = [
            (run_train.tools, 'train', self._train),
            (run_train, 'create_error_table', self._evaluate_splits),
            (run_train, 'configure_model', self._configure_model),
            (loop_module, 'train_one_epoch', self._train_one_epoch),
        ]
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        self._original_train, _, self._original_model, self._original_epoch = (one[2] for one in before)
        for owner, name, hook in places:
            setattr(owner, name, hook)
        try:
            yield
        finally:
            for owner, name, original in before:
                setattr(owner, name, original)

    def _train(self, **loop: Any) -> None:
        self._loop, self._last = loop, int(loop['max_num_epochs'])
        if self._state is not None:
            restore_state(self._state, loop)
            self._start = int(self._state['epoch'])
            self._first_loss, self._waited = self._state['first_loss'], int(self._state['waited'])
            self._best = dict(self._state['best_losses'])
            self._summary['energy_shift_eV_per_atom'] = self._state.get('energy_shift')
            self._best_epoch = dict(self._state.get('best_epochs') or {})
        self.epoch = self._start
        self._describe(loop['model'])
        if self._job.foundation is not None and self._state is None:
            self._check_energies(loop['model'])
        self._original_log = loop['logger'].log
        loop['logger'].log = self._log
        loop['checkpoint_handler'].save = self._save_best
        more = {} if loop['swa'] is not None else {'patience': _NEVER}
        try:
            self._original_train(**{**loop, 'start_epoch': self._start, **more})
        except _EarlyStop:
            self._summary['stopped_early'] = True
        self._summary['epochs'] = int(self.epoch or 0)

    def _configure_model(self, *arguments: Any, **named: Any) -> Any:
        """Build the model with the energies of the atoms that were asked for.

        mace 0.3.16 copies all of the foundation's state of the same shape over them at the end of
        `load_foundations_elements`: their energies are lost where the data have all elements of the foundation.
        """
        import torch

        built = self._original_model(*arguments, **named)
        wanted = named.get('atomic_energies', arguments[2] if len(arguments) > 2 else None)
        if wanted is not None:
            energies = built[0].atomic_energies_fn.atomic_energies
            values = torch.as_tensor(wanted, dtype=energies.dtype, device=energies.device).reshape(energies.shape)
            self._summary['E0s_set_again'] = not torch.allclose(energies, values)
            energies.copy_(values)
        return built

    def _describe(self, model: Any) -> None:
        self._summary |= {
            'atomic_numbers': [int(number) for number in model.atomic_numbers],
            'heads': heads(model),
            'r_max': float(model.r_max),
            'E0s': isolated_energies(model),
            'n_parameters': sum(parameter.numel() for parameter in model.parameters()),
            'n_trainable': sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
            'start_epoch': self._start,
        }

    def _train_one_epoch(self, **arguments: Any) -> None:
        epoch = int(arguments['epoch'])
        self.epoch = epoch
        if epoch > self._start:
            if self._loop['swa'] is None and self._job.patience is not None and self._waited >= self._job.patience:
                raise _EarlyStop
            self._save_state(epoch)
        elif self._state is not None:
            restore_random(self._state, self._loop)
        self._original_epoch(**arguments)
        self.epoch = epoch + 1

    def _save_state(self, epoch: int) -> None:
        record = {
            'best_losses': self._best,
            'best_epochs': self._best_epoch,
            'first_loss': self._first_loss,
            'waited': self._waited,
            'energy_shift': self._summary.get('energy_shift_eV_per_atom'),
        }
        save_state(epoch, self._loop, record)
        self._write_progress(epoch)

    def _log(self, record: dict[str, Any]) -> None:
        loss = float(record['loss'])
        self._original_log(record)
        epoch = record.get('epoch')
        place = 'before the first epoch' if epoch is None else f'in epoch {epoch}'
        if not math.isfinite(loss):
            kind = 'training' if record['mode'] == 'opt' else 'validation'
            raise EngineError(
                NOT_A_NUMBER, f'the {kind} loss is {loss} {place}: take a smaller learning rate, or check the labels.'
            )
        if record['mode'] != 'eval':
            return
        head = str(record.get('head') or 'Default')
        if epoch is None:
            self._summary['initial'][head] = _numbers(record)
        if head != self._last_head():
            return
        if self._first_loss is None:
            self._first_loss = loss
        self._loss = loss
        if epoch is not None:
            self._waited += 1
            if loss > self._job.divergence_factor * self._first_loss:
                raise EngineError(
                    DIVERGED,
                    f'the validation loss is {loss:.4g} {place} and was {self._first_loss:.4g} at the start: take a '
                    'smaller learning rate.',
                )

    def _check_energies(self, model: Any) -> None:
        """Measure the mean error of the energies of the training set before the first epoch, and refuse a large one."""
        import torch

        loader, errors = self._loop['train_loader'], []
        state, head = loader.generator.get_state(), self._summary['heads'].index(self._head())
        with torch.no_grad():
            for batch in loader:
                batch = batch.to(self._loop['device'])  # noqa: PLW2901
                energies = model(batch.to_dict(), training=False, compute_force=False)['energy']
                per_atom = (batch.energy - energies) / (batch.ptr[1:] - batch.ptr[:-1])
                errors += per_atom[batch.head.reshape(-1) == head].tolist()
        loader.generator.set_state(state)
        shift = sum(errors) / len(errors) if errors else 0.0
        self._summary['energy_shift_eV_per_atom'] = shift
        limit = self._job.max_energy_shift_eV_per_atom
        if limit is not None and abs(shift) > limit:
            raise EngineError(
                ENERGY_SHIFT,
                f'the energies of the data set are {shift:.3f} eV/atom from those of the foundation model, more than '
                f'{limit:g}: with `e0s` {self._job.config.get("E0s")} they have different zeros; choose estimated.',
            )

    def _head(self) -> str:
        """Return the head that is trained on our data."""
        return next(str(head) for head in self._summary['heads'] if head != _REPLAY_HEAD)

    def _last_head(self) -> str:
        return str(list(self._loop['valid_loaders'])[-1])

    def _save_best(self, state: Any, epochs: int, keep_last: bool = False) -> None:
        """Write the best epoch of a stage, atomically, and remove the one that was the best before."""
        handler, swa = self._loop['checkpoint_handler'], self._loop['swa']
        stage = 'two' if swa is not None and epochs >= swa.start else 'one'
        if self._loss >= self._best.get(stage, math.inf):
            return
        import io

        import torch

        folder = Path(handler.io.directory)
        folder.mkdir(exist_ok=True)
        name = handler.io._get_checkpoint_filename(epochs, handler.io.swa_start if stage == 'two' else None)
        stream = io.BytesIO()
        torch.save(handler.builder.create_checkpoint(state), stream)
        write_atomically(str(folder / name), stream.getvalue())
        for path in folder.glob('*.pt'):
            if path.name != name and path.stem.endswith('_swa') == (stage == 'two'):
                path.unlink()
        self._best[stage], self._best_epoch[stage], self._waited = self._loss, epochs, 0

    def _evaluate_splits(self, **arguments: Any) -> str:
        """Take the place of mace's table of errors, which is only printed."""
        from mace.tools import evaluate

        stage = 'two' if Path(f'{self._job.config["name"]}_stagetwo.model').exists() else 'one'
        for name, loader in arguments['all_data_loaders'].items():
            _, found = evaluate(
                model=arguments['model'],
                loss_fn=arguments['loss_fn'],
                data_loader=loader,
                output_args=arguments['output_args'],
                device=arguments['device'],
            )
            self._summary['splits'].setdefault(stage, {})[name] = _numbers(found)
        return json.dumps(self._summary['splits'][stage])

    def _write_progress(self, epoch: int) -> None:
        elapsed = monotonic() - self._begun
        progress = {
            'step': epoch,
            'steps': self._last,
            'loss': self._loss,
            'elapsed_s': round(elapsed, 3),
            'steps_per_s': round((epoch - self._start) / elapsed, 6) if elapsed > 0 else 0.0,
        }
        write_atomically(PROGRESS, json.dumps(progress).encode())

    def _finish(self) -> None:
        stage = 'two' if 'two' in self._summary['splits'] else 'one'
        self._summary |= {
            'stage': stage,
            'best_epoch': self._best_epoch.get(stage),
            'best_loss': self._best.get(stage),
            'dtype': self._job.config.get('default_dtype'),
            'seconds': round(monotonic() - self._begun, 3),
        }
        self._write_progress(self.epoch or 0)
        write_atomically(SUMMARY, json.dumps(self._summary, indent=1).encode())
        for path in [*Path().glob(f'{PREFIX}*.pt'), *Path(_CHECKPOINTS).glob('*.pt')]:
            path.unlink()


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    return {name: float(record[name]) for name in _METRICS if record.get(name) is not None}
