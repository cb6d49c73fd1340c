"""The split of a set of labelled frames, with the reason for the place of each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.configurations import structure_keys
from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.origins import formulas, parse_origins, places
from aiida_hdiff.sampling.blocks import Nearness, blocks, join_equal, nearness, steps_to
from aiida_hdiff.sampling.splits import LEFT_OUT, PARTS, TEST, TRAIN, Size, leave_gap, part_sizes, split_groups
from aiida_hdiff.sampling.strata import BIN_K, Strata, strata

RANDOM, BLOCKS = WAYS = ('random', 'blocks')
REFUSE, ALONE, LEAVE_OUT = UNPLACED = ('refuse', 'alone', 'leave_out')
ASSIGNED, NOT_NEEDED, TOO_NEAR, NO_STEP = REASONS = ('assigned', 'not needed', 'too near in time', 'step not told')
BLOCKS_PER_RUN = 10


@dataclass(frozen=True)
class SplitSettings:
    """How to split.

    Attributes
    ----------
    seed
        Of the random numbers.
    train, valid, test
        See `aiida_hdiff.sampling.splits.part_sizes`.
    by
        ``random``: frame by frame; ``blocks``: whole blocks of a trajectory.
    stratify
        Kinds whose shares each part keeps, see `aiida_hdiff.sampling.strata.strata`.
    temperature_bin_K
        Width of the bins of temperatures.
    blocks_per_run, block_steps
        Number of blocks in each run, 10 by default, or length of a block in steps.
    gap_steps
        Frames to train on that are nearer to a frame of the other parts are left out.
    unplaced
        With blocks, what to do with frames whose step is not told: ``refuse`` the split, take each as a block
        ``alone``, or ``leave_out``.

    Raises
    ------
    ValueError
        A value that is none of those, or a setting that does not go with the others.
    """

    seed: int
    train: Size = None
    valid: Size = 0.1
    test: Size = 0.1
    by: str = RANDOM
    stratify: tuple[str, ...] = ()
    temperature_bin_K: float = BIN_K
    blocks_per_run: int | None = None
    block_steps: int | None = None
    gap_steps: int = 0
    unplaced: str = REFUSE

    def __post_init__(self) -> None:
        for name, value, known in (('by', self.by, WAYS), ('unplaced', self.unplaced, UNPLACED)):
            if value not in known:
                raise ValueError(f'`{name}` is {value!r}: give {" or ".join(known)}.')
        for name, least in (('seed', 0), ('blocks_per_run', 1), ('block_steps', 1), ('gap_steps', 0)):
            value = getattr(self, name)
            optional = name.startswith('block') and value is None
            if not optional and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f'`{name}` is {value!r}: give a whole number of at least {least}.')
        if self.by == RANDOM:
            unused: dict[str, Any] = {'blocks_per_run': None, 'block_steps': None, 'gap_steps': 0, 'unplaced': REFUSE}
            for name, value in unused.items():
                if getattr(self, name) != value:
                    raise ValueError(f'`{name}` belongs to `by: {BLOCKS}`: set that, or leave it out.')
        elif self.blocks_per_run is not None and self.block_steps is not None:
            raise ValueError('give one of `blocks_per_run` and `block_steps`.')


@dataclass(frozen=True, eq=False)
class FrameSplit:
    """Which frame goes where and why.

    Attributes
    ----------
    parts
        Index in `aiida_hdiff.sampling.splits.PARTS` of each frame, -1 if left out, shape (n_frames,).
    reasons
        Index in `REASONS`, shape (n_frames,).
    groups
        Number of the block of each frame; frames with equal structures share one, shape (n_frames,).
    strata
        Kind of each frame.
    steps_to_train
        Distance in steps from each frame to the nearest frame to train on in its run, -1 if there is none, shape
        (n_frames,); 0 for those themselves.
    wanted
        Number of frames that each part was to get.
    nearness
        Of each pair of parts.
    """

    parts: NDArray[np.int64]
    reasons: NDArray[np.int64]
    groups: NDArray[np.int64]
    strata: Strata
    steps_to_train: NDArray[np.int64]
    wanted: Mapping[str, int]
    nearness: tuple[Nearness, ...]

    def indices(self, name: str) -> NDArray[np.int64]:
        """Return the frames of a part, increasing."""
        return np.flatnonzero(self.parts == PARTS.index(name)).astype(np.int64)

    def summary(self) -> dict[str, Any]:
        """Return the numbers in terms of JSON: sizes, shares of each kind, distances in time."""
        names = list(self.wanted)
        counts = {
            name: np.bincount(self.strata.numbers[self.indices(name)], minlength=len(self.strata.labels)).tolist()
            for name in names
        }
        return {
            'n_frames': {name: len(self.indices(name)) for name in names},
            'n_wanted': dict(self.wanted),
            'left_out': {reason: int((self.reasons == code).sum()) for code, reason in enumerate(REASONS) if code},
            'n_blocks': len(np.unique(self.groups)),
            'strata': [
                {'kind': label, **{name: counts[name][number] for name in names}}
                for number, label in enumerate(self.strata.labels)
            ],
            'nearness': [one.to_dict() for one in self.nearness],
        }


def split_frames(frames: LabelledFrames, settings: SplitSettings) -> FrameSplit:
    """Split a set of labelled frames.

    Frames with equal structures never go to different parts, whatever their labels.

    Raises
    ------
    ValueError
        The settings cannot be met: see `part_sizes`, `split_groups`, `strata`, `leave_gap`; or, with blocks, frames
        whose step is not told.

    Examples
    --------
    >>> split = split_frames(frames, SplitSettings(seed=1, test=0.1, by='blocks'))  # doctest: +SKIP
    >>> test_set = frames.select(split.indices('test'))  # doctest: +SKIP
    """
    where = places(parse_origins(frames), formulas(frames))
    kinds = strata(frames, settings.stratify, bin_K=settings.temperature_bin_K)
    reasons = np.full(len(frames), REASONS.index(ASSIGNED), dtype=np.int64)
    groups = np.arange(len(frames), dtype=np.int64)
    if settings.by == BLOCKS:
        unplaced = np.flatnonzero(where.steps < 0)
        if len(unplaced) and settings.unplaced == REFUSE:
            raise ValueError(
                f'{len(unplaced)} of {len(frames)} frames do not tell their step in a trajectory, the first is frame '
                f'{unplaced[0]} with the origin {frames.origins[unplaced[0]]!r}: set `unplaced` to {ALONE} if they are '
                f'independent structures or to {LEAVE_OUT}, or split by {RANDOM}.'
            )
        if settings.unplaced == LEAVE_OUT:
            reasons[unplaced] = REASONS.index(NO_STEP)
        per_run = BLOCKS_PER_RUN if settings.block_steps is None else None
        groups = blocks(where, blocks_per_run=settings.blocks_per_run or per_run, block_steps=settings.block_steps)
    groups = join_equal(groups, structure_keys(frames))
    used = np.flatnonzero(reasons == REASONS.index(ASSIGNED))
    sizes = part_sizes(len(used), train=settings.train, valid=settings.valid, test=settings.test)
    parts = np.full(len(frames), LEFT_OUT, dtype=np.int64)
    of_used = np.unique(groups[used], return_inverse=True)[1].ravel()
    parts[used] = split_groups(of_used, kinds.numbers[used], sizes, settings.seed)
    reasons[used[parts[used] == LEFT_OUT]] = REASONS.index(NOT_NEEDED)
    if settings.gap_steps:
        before, parts = parts, leave_gap(parts, where, settings.gap_steps)
        reasons[(before != LEFT_OUT) & (parts == LEFT_OUT)] = REASONS.index(TOO_NEAR)
    members = {name: np.flatnonzero(parts == PARTS.index(name)).astype(np.int64) for name in sizes}
    return FrameSplit(
        parts=parts,
        reasons=reasons,
        groups=groups,
        strata=kinds,
        steps_to_train=steps_to(where, np.arange(len(frames), dtype=np.int64), members[TRAIN])[0],
        wanted=sizes,
        nearness=tuple(nearness(where, members[a], members[b], (a, b)) for a, b in combinations(sizes, 2)),
    )


def overlap(train: LabelledFrames, test: LabelledFrames) -> dict[str, Any]:
    """Say how much of a test set is in the set that was trained on, and how near in time the rest is to it.

    Trajectories are the same if their names and compositions are, see `aiida_hdiff.formats.origins.places`.

    Returns
    -------
    dict
        ``n_train``, ``n_test``; ``equal_structures``, the frames of the test set whose structure is in the other;
        ``nearness`` of the two, whose ``frames`` count within each set; ``steps_to_train`` of each frame of the test
        set, -1 where its trajectory has no frame to train on.
    """
    both = LabelledFrames.concatenate([train, test])
    where = places(parse_origins(both), formulas(both))
    mine = np.arange(len(train), dtype=np.int64)
    others = np.arange(len(train), len(both), dtype=np.int64)
    known = set(structure_keys(train))
    found = nearness(where, mine, others, (TRAIN, TEST)).to_dict()
    if found['frames'] is not None:
        found['frames'][1] -= len(train)
    return {
        'n_train': len(train),
        'n_test': len(test),
        'equal_structures': [index for index, key in enumerate(structure_keys(test)) if key in known],
        'nearness': found,
        'steps_to_train': steps_to(where, others, mine)[0].tolist(),
    }
