"""A long training run as a series of short jobs: their steps, temperatures and random numbers. No AiiDA."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_hdiff.formats.incar import seed_value


@dataclass(frozen=True)
class Chunk:
    """One job of a stage.

    Attributes
    ----------
    first_step
        Steps of the stage that are done before.
    steps
        Steps of the job, NSW.
    start_K, end_K
        Temperatures at its beginning and end, TEBEG and TEEND.
    """

    first_step: int
    steps: int
    start_K: float
    end_K: float

    @property
    def last_step(self) -> int:
        """Steps of the stage that are done after it."""
        return self.first_step + self.steps


def ramp_temperature_K(step: int, steps: int, start_K: float, end_K: float) -> float:
    """Return the target temperature (K) of a step of a linear ramp over ``steps`` steps.

    Raises
    ------
    ValueError
        If the step lies outside the ramp.
    """
    if not 0 <= step <= steps or steps < 1:
        raise ValueError(f'step {step} is outside the ramp of {steps} steps.')
    return start_K + (end_K - start_K) * (step / steps)


def next_chunk(first_step: int, *, steps: int, chunk_steps: int, start_K: float, end_K: float) -> Chunk:
    """Return the next job of a stage, whatever the jobs before it have done.

    What is left is split evenly, so that no job is longer than ``chunk_steps`` and none much shorter than the others.

    Parameters
    ----------
    first_step
        Steps of the stage that are done.
    steps
        Steps of the whole stage.
    chunk_steps
        Longest job, in steps.
    start_K, end_K
        Temperatures (K) at the beginning and the end of the whole stage.

    Raises
    ------
    ValueError
        If nothing is left to do, or the longest job has no step.
    """
    left = steps - first_step
    if left < 1 or first_step < 0:
        raise ValueError(f'step {first_step} of {steps}: nothing is left to do.')
    if chunk_steps < 1:
        raise ValueError(f'`chunk_steps` is {chunk_steps}: give at least 1.')
    own = -(-left // -(-left // chunk_steps))
    return Chunk(
        first_step=first_step,
        steps=own,
        start_K=ramp_temperature_K(first_step, steps, start_K, end_K),
        end_K=ramp_temperature_K(first_step + own, steps, start_K, end_K),
    )


def chunks(*, steps: int, chunk_steps: int, start_K: float, end_K: float) -> list[Chunk]:
    """Return all jobs of a stage if none is interrupted."""
    found: list[Chunk] = []
    done = 0
    while done < steps:
        found.append(next_chunk(done, steps=steps, chunk_steps=chunk_steps, start_K=start_K, end_K=end_K))
        done = found[-1].last_step
    return found


def random_seed(seed: int, stage: str, first_step: int, attempt: int) -> str:
    """Return RANDOM_SEED of a job: the same for the same arguments, another one for any other."""
    entropy = [seed, zlib.crc32(stage.encode()), first_step, attempt]
    return seed_value(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def chunk_incar(
    parameters: Mapping[str, Any], stage: Mapping[str, Any], chunk: Mapping[str, Any], random_seed: str
) -> dict[str, Any]:
    """Return the INCAR tags of one job of a stage.

    Parameters
    ----------
    parameters
        Tags of the stage, as `stage_incar` gives them.
    stage
        ``mode``: train, select or refit.
    chunk
        ``steps``, ``start_K``, ``end_K``, ``threshold_eV_A``, ``max_configurations``, ``max_local_configurations``.
    random_seed
        RANDOM_SEED.
    """
    tags = {**parameters, 'NSW': chunk['steps']}
    if stage['mode'] == 'refit':
        return tags
    tags |= {'ML_MCONF': chunk['max_configurations'], 'ML_MB': chunk['max_local_configurations']}
    if stage['mode'] == 'train':
        tags |= {
            'TEBEG': chunk['start_K'],
            'TEEND': chunk['end_K'],
            'RANDOM_SEED': random_seed,
            'ML_CTIFOR': chunk['threshold_eV_A'],
        }
    return tags
