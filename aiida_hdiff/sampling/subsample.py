"""Smaller sets: frames drawn at random, with shares of kinds, or every n-th."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.sampling.splits import apportion, frame_count


@dataclass(frozen=True)
class Choice:
    """How to choose fewer frames: exactly one of the first three.

    Attributes
    ----------
    n_random
        Number of frames drawn at random.
    fraction
        Share of the frames drawn at random, between 0 and 1.
    stride
        Take every n-th frame, in the order of the set.
    start
        First frame, for ``stride``.
    """

    n_random: int | None = None
    fraction: float | None = None
    stride: int | None = None
    start: int = 0


def subsample(kinds: ArrayLike, choice: Choice, seed: int = 0) -> NDArray[np.int64]:
    """Choose frames; random ones with each kind in proportion.

    Parameters
    ----------
    kinds
        Number of the kind of each frame, from 0, shape (n_frames,); all 0 for one kind.
    choice
        How many and which.
    seed
        Of the random numbers.

    Returns
    -------
    array
        Indices of the chosen frames, increasing.

    Raises
    ------
    ValueError
        Not exactly one way, more frames than there are, or none.
    """
    kinds = np.asarray(kinds, dtype=np.int64)
    n = len(kinds)
    ways = [name for name in ('n_random', 'fraction', 'stride') if getattr(choice, name) is not None]
    if len(ways) != 1:
        raise ValueError(f'give exactly one of `n_random`, `fraction` and `stride`, not {", ".join(ways) or "none"}.')
    if choice.stride is not None:
        if choice.stride < 1 or not 0 <= choice.start < n:
            raise ValueError(
                f'every {choice.stride}th frame from {choice.start} on: `stride` is 1 or more, `start` 0 to {n - 1}.'
            )
        return np.arange(choice.start, n, choice.stride, dtype=np.int64)
    size = choice.n_random if choice.fraction is None else float(choice.fraction)
    total = frame_count(ways[0], size, n)
    if total > n:
        raise ValueError(f'`n_random` is {total}, but there are {n} frames: reduce it.')
    rng = np.random.default_rng(seed)
    counts = np.bincount(kinds)
    chosen = [
        rng.choice(np.flatnonzero(kinds == kind), size=share, replace=False)
        for kind, share in enumerate(apportion(counts, total, rng).tolist())
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
