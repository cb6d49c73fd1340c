"""Parts of a set to train on, to stop by and to test against: sizes, shares of kinds, whole groups; all seeded."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.formats.origins import Places
from aiida_hdiff.sampling.blocks import steps_to

Integers = NDArray[np.int64]
Size = float | int | None

TRAIN, VALID, TEST = PARTS = ('train', 'valid', 'test')
LEFT_OUT = -1
_FILLED = (TEST, VALID, TRAIN)
"""The test set is drawn first, so that it does not depend on the size of the others."""


def part_sizes(n_frames: int, *, train: Size = None, valid: Size = 0.1, test: Size = 0.1) -> dict[str, int]:
    """Return the number of frames of each part.

    Parameters
    ----------
    n_frames
        Of the set.
    train, valid, test
        A fraction of all frames between 0 and 1 as float, which is rounded, or a count as int; 0 or ``None`` for no
        such part, but ``None`` for ``train`` is all that is left.

    Raises
    ------
    ValueError
        Fractions that are not between 0 and 1, more frames than there are, or a part without frames.
    """
    given = {name: size for name, size in ((TRAIN, train), (VALID, valid), (TEST, test)) if size not in (None, 0)}
    if train == 0 and train is not None:
        raise ValueError('`train` is 0: leave it out to take all frames that are in no other part.')
    if not given.keys() & {VALID, TEST}:
        raise ValueError('neither `valid` nor `test` is given: there is nothing to split.')
    sizes = {name: frame_count(name, size, n_frames) for name, size in given.items()}
    fractions = [size for size in given.values() if isinstance(size, float)]
    if sum(fractions) > 1.0 + 1e-9:
        raise ValueError(f'the fractions {", ".join(map(str, fractions))} add up to more than 1: reduce them.')
    asked = ', '.join(f'{name} {sizes[name]}' for name in PARTS if name in sizes)
    held_out = sum(size for name, size in sizes.items() if name != TRAIN)
    if TRAIN not in sizes or isinstance(train, float):
        left = n_frames - held_out
        sizes[TRAIN] = min(sizes.get(TRAIN, left), left)
    if sizes[TRAIN] < 1 or sum(sizes.values()) > n_frames:
        raise ValueError(f'{asked} of {n_frames} frames leave too few for train: ask for fewer, or label more frames.')
    return {name: sizes[name] for name in PARTS if name in sizes}


def frame_count(name: str, size: Size, n_frames: int) -> int:
    """Return the number of frames that a fraction or a count stands for.

    Raises
    ------
    ValueError
        It is neither, or stands for no frames; the message begins with the name.
    """
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise ValueError(f'`{name}` is {size!r}: give a fraction such as 0.1, or a number of frames.')
    if isinstance(size, int):
        if size < 1:
            raise ValueError(f'`{name}` is {size}: give a fraction such as 0.1, or a positive number of frames.')
        return size
    if not 0.0 < size < 1.0:
        raise ValueError(f'`{name}` is {size}: a fraction is between 0 and 1, a number of frames has no decimal point.')
    count = floor(size * n_frames + 0.5)
    if count < 1:
        raise ValueError(
            f'`{name}` is {size} of {n_frames} frames, which is none: give more, or 0 for no part of that name.'
        )
    return count


def apportion(counts: ArrayLike, total: int, rng: np.random.Generator) -> Integers:
    """Share a number among kinds in proportion to their counts: largest remainders, equal ones by lot.

    Parameters
    ----------
    counts
        Of each kind, shape (n_kinds,).
    total
        At most their sum.

    Returns
    -------
    array
        Shares, which add up to ``total``, each less than 1 from the exact proportion, shape (n_kinds,).

    Raises
    ------
    ValueError
        More than there is.
    """
    counts = np.asarray(counts, dtype=np.int64)
    available = int(counts.sum())
    if not 0 <= total <= available:
        raise ValueError(f'{total} of {available} frames are wanted: ask for fewer.')
    if not total:
        return np.zeros_like(counts)
    shares, remainders = np.divmod(counts * total, available)
    order = rng.permutation(len(counts))
    largest = order[np.argsort(-remainders[order], kind='stable')]
    shares[largest[: total - int(shares.sum())]] += 1
    return np.asarray(shares, dtype=np.int64)


def split_groups(groups: ArrayLike, kinds: ArrayLike, sizes: Mapping[str, int], seed: int) -> Integers:
    """Distribute groups of frames to the parts, so that each part has its size and each kind its share in it.

    Groups stay whole: sizes and shares are met exactly if all groups are single frames, and as nearly as the groups
    allow otherwise. What one kind cannot give, because its groups are too large, the next gives.

    Parameters
    ----------
    groups
        Number of the group of each frame, from 0 without gaps, shape (n_frames,).
    kinds
        Number of the kind of each frame, from 0, shape (n_frames,); a group is of the kind of most of its frames.
    sizes
        What `part_sizes` returns. ``train`` gets all frames that are left if it has as many.
    seed
        Of the random numbers.

    Returns
    -------
    array
        Index in `PARTS` for each frame, `LEFT_OUT` for those that are not needed, shape (n_frames,).

    Raises
    ------
    ValueError
        A part stays empty because the groups are too large.
    """
    groups, kinds = np.asarray(groups, dtype=np.int64), np.asarray(kinds, dtype=np.int64)
    rng = np.random.default_rng(seed)
    lengths = np.bincount(groups)
    votes = np.zeros((len(lengths), int(kinds.max()) + 1), dtype=np.int64)
    np.add.at(votes, (groups, kinds), 1)
    pools: list[list[int]] = [[] for _ in range(votes.shape[1])]
    for group in rng.permutation(len(lengths)).tolist():
        pools[int(votes[group].argmax())].append(group)
    assigned = np.full(len(lengths), LEFT_OUT, dtype=np.int64)
    rest = sum(sizes.values()) == len(groups)
    for name in _FILLED:
        if name not in sizes:
            continue
        if name == TRAIN and rest:
            chosen = [group for pool in pools for group in pool]
        else:
            chosen = _draw(pools, lengths, sizes[name], rng)
        if not chosen:
            raise ValueError(
                f'{name} would get no frames: its {sizes[name]} of {len(groups)} are fewer than half a block (of up to '
                f'{int(lengths.max())} frames) or all blocks are taken. Make the blocks shorter or the part larger.'
            )
        assigned[chosen] = PARTS.index(name)
        taken = set(chosen)
        pools = [[group for group in pool if group not in taken] for pool in pools]
    parts: Integers = assigned[groups]
    return parts


def _draw(pools: list[list[int]], lengths: Integers, total: int, rng: np.random.Generator) -> list[int]:
    """Return groups with ``total`` frames in all, or nearly, of each kind in proportion."""
    counts = [int(lengths[pool].sum()) for pool in pools]
    wanted = apportion(counts, min(total, sum(counts)), rng)
    chosen: list[int] = []
    missing = 0
    for kind in rng.permutation(len(pools)).tolist():
        missing += int(wanted[kind])
        left = []
        for group in pools[kind]:
            if lengths[group] <= missing:
                chosen.append(group)
                missing -= int(lengths[group])
            else:
                left.append(group)
        larger = next((group for group in left if lengths[group] < 2 * missing), None)
        if larger is not None:
            chosen.append(larger)
            missing -= int(lengths[larger])
    return chosen


def leave_gap(parts: Integers, where: Places, gap_steps: int) -> Integers:
    """Leave out frames to train on, and then to stop by, that are nearer than a gap to a frame of a later part.

    Parameters
    ----------
    parts
        What `split_groups` returns.
    where
        Runs and steps of the frames.
    gap_steps
        Smallest distance in steps that may stay.

    Raises
    ------
    ValueError
        Nothing would be left of a part.
    """
    parts = parts.copy()
    for name, others in ((VALID, (TEST,)), (TRAIN, (VALID, TEST))):
        mine = np.flatnonzero(parts == PARTS.index(name))
        theirs = np.flatnonzero(np.isin(parts, [PARTS.index(other) for other in others]))
        distances, _ = steps_to(where, mine, theirs)
        near = (distances >= 0) & (distances < gap_steps)
        if len(mine) and near.all():
            raise ValueError(
                f'a gap of {gap_steps} steps leaves no frame for {name}: make it shorter or blocks longer.'
            )
        parts[mine[near]] = LEFT_OUT
    return parts
