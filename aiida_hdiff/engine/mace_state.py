"""The state of a MACE training between two epochs: with it a training goes on as if it had not stopped.

mace's own checkpoint is the best epoch, without the moving average and the order of the frames; going on from it
repeats epochs. This one is of the last epoch, with all of them.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from aiida_hdiff.engine.checkpoint import write_atomically
from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError
from aiida_hdiff.engine.model_load import load_checkpoint

PREFIX = 'resume_epoch-'
_NAME = re.compile(rf'^{PREFIX}(\d+)\.pt$')
_PARTS = (
    'model', 'optimizer', 'lr_scheduler', 'random_state', 'order_state', 'best_losses', 'first_loss', 'waited', 'epoch',
)  # fmt: skip


def resume_epoch(name: str) -> int | None:
    """Return the epoch with which a file goes on, by its name; ``None`` if it is no such file."""
    match = _NAME.match(name)
    return None if match is None else int(match.group(1))


def last_resume_file(names: list[str]) -> str | None:
    """Return the file that goes on latest."""
    found = [name for name in names if resume_epoch(name) is not None]
    return max(found, key=lambda name: resume_epoch(name) or 0, default=None)


def save_state(epoch: int, loop: dict[str, Any], record: dict[str, Any]) -> str:
    """Write the state before an epoch, and remove the older ones.

    Parameters
    ----------
    epoch
        The epoch that comes next.
    loop
        The arguments of mace's training loop.
    record
        ``best_losses`` by stage, ``first_loss`` and ``waited``.

    Returns
    -------
    str
        Name of the file.
    """
    import torch

    state = {
        **record,
        'epoch': epoch,
        'model': loop['model'].state_dict(),
        'optimizer': loop['optimizer'].state_dict(),
        'lr_scheduler': loop['lr_scheduler'].state_dict(),
        'ema': None if loop['ema'] is None else loop['ema'].state_dict(),
        'swa_scheduler': None if loop['swa'] is None else loop['swa'].scheduler.state_dict(),
        'random_state': torch.get_rng_state().long(),
        'order_state': loop['train_loader'].generator.get_state().long(),
    }
    stream = io.BytesIO()
    torch.save(state, stream)
    name = f'{PREFIX}{epoch}.pt'
    write_atomically(name, stream.getvalue())
    for path in Path().glob(f'{PREFIX}*.pt'):
        if path.name != name:
            path.unlink()
    return name


def read_tensors(name: str | Path, device: str) -> dict[str, Any]:
    """Read a file of tensors and plain values only.

    Raises
    ------
    EngineError
        If the file cannot be read, or has more than that in it.
    """
    try:
        return load_checkpoint(name, device=device)
    except EngineError as error:
        raise EngineError(
            error.exit_code, f'{name}, the state to continue from, has more in it than numbers and is not loaded.'
        ) from error
    except Exception as error:
        raise EngineError(BAD_INPUT, f'{name} cannot be read: {type(error).__name__}: {error}') from error


def read_state(name: str, device: str) -> dict[str, Any]:
    """Read a state.

    Raises
    ------
    EngineError
        If the file is no such state, or has more in it than tensors and plain values.
    """
    state = read_tensors(name, device)
    missing = [part for part in _PARTS if part not in state]
    if missing:
        raise EngineError(BAD_INPUT, f'{name} lacks {", ".join(missing)}: it is no state of a training.')
    return state


def restore_state(state: dict[str, Any], loop: dict[str, Any]) -> None:
    """Put a state into the arguments of mace's training loop; the random numbers are left to :func:`restore_random`.

    Raises
    ------
    EngineError
        If it is of another model or optimizer.
    """
    try:
        loop['model'].load_state_dict(state['model'])
        loop['optimizer'].load_state_dict(state['optimizer'])
        loop['lr_scheduler'].load_state_dict(state['lr_scheduler'])
        if loop['ema'] is not None:
            loop['ema'].load_state_dict(state['ema'])
        if loop['swa'] is not None and state['swa_scheduler'] is not None:
            loop['swa'].scheduler.load_state_dict(state['swa_scheduler'])
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EngineError(BAD_INPUT, f'the state to continue from is of another training: {reason}') from error


def restore_random(state: dict[str, Any], loop: dict[str, Any]) -> None:
    """Put the random numbers where they were, so that the order of the frames goes on."""
    import torch

    torch.set_rng_state(state['random_state'].byte().cpu())
    loop['train_loader'].generator.set_state(state['order_state'].byte().cpu())
