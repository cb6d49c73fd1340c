"""Checkpoints: everything that a run needs to go on as if it had not stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError
from aiida_hdiff.engine.integrators import Integrator
from aiida_hdiff.engine.md_input import read_arrays
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.engine.system import System

_FIXED_SETTINGS = ('ensemble', 'thermostat', 'barostat', 'timestep_fs', 'seed')
"""Settings that may not change between a checkpoint and its continuation."""


def write_atomically(name: str, content: bytes) -> None:
    """Write a file so that a reader finds either the old or the new content, also after a crash."""
    temporary = Path(f'{name}.tmp')
    with temporary.open('wb') as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(name)


def write_arrays(name: str, arrays: dict[str, Any]) -> None:
    """Write an ``.npz`` file atomically."""
    import io

    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_atomically(name, stream.getvalue())


def write_checkpoint(
    name: str,
    step: int,
    system: System,
    integrator: Integrator,
    rng: np.random.Generator,
    parameters: MDParameters,
    record: Mapping[str, Any],
) -> None:
    """Write the state after ``step`` steps, and what has been recorded on the way.

    The file also is a start file for another stage: ``numbers``, ``positions`` (Å, unwrapped), ``velocities``
    (Å/fs), ``cell`` (Å) and ``pbc``.
    """
    state = {f'integrator_{key}': value for key, value in integrator.state.items()}
    write_arrays(
        name,
        {
            **system.arrays(),
            **state,
            **record,
            'step': np.int64(step),
            'time_fs': np.float64(step * parameters.timestep_fs),
            'random_state': np.array(json.dumps(rng.bit_generator.state)),
            'parameters': np.array(json.dumps(parameters.as_dict())),
        },
    )


def read_checkpoint(
    name: str, system: System, integrator: Integrator, rng: np.random.Generator, parameters: MDParameters
) -> int:
    """Restore the state of a checkpoint and return its step.

    Raises
    ------
    EngineError
        If the file is not a checkpoint of this stage.
    """
    arrays = read_arrays(name)
    expected = {'step', 'random_state', 'parameters', *system.arrays()}
    expected |= {f'integrator_{key}' for key in integrator.state}
    missing = sorted(expected - set(arrays))
    if missing:
        raise EngineError(BAD_INPUT, f'{name}: not a checkpoint of this stage, it lacks {", ".join(missing)}.')
    if not np.array_equal(arrays['numbers'], system.atoms.numbers):
        raise EngineError(BAD_INPUT, f'{name}: its atoms are not those of the start file.')
    earlier, now = json.loads(str(arrays['parameters'])), parameters.as_dict()
    for key in _FIXED_SETTINGS:
        if earlier[key] != now[key]:
            raise EngineError(BAD_INPUT, f'{name}: it was written with `{key}` = {earlier[key]!r}, not {now[key]!r}.')
    system.positions = arrays['positions']
    system.velocities = arrays['velocities']
    system.cell = arrays['cell']
    prefix = 'integrator_'
    integrator.state = {key[len(prefix) :]: arrays[key] for key in arrays if key.startswith(prefix)}
    rng.bit_generator.state = json.loads(str(arrays['random_state']))
    return int(arrays['step'])
