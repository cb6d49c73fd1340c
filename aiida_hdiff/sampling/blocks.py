"""Blocks of trajectories, so that neighbours in time stay together, and how near in time the parts of a split are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aiida_hdiff.formats.origins import Places

Integers = NDArray[np.int64]


def blocks(where: Places, *, blocks_per_run: int | None = None, block_steps: int | None = None) -> Integers:
    """Return the number of the block of each frame, shape (n_frames,).

    Frames of one step are never parted. A frame without a step is a block of its own.

    Parameters
    ----------
    where
        Runs and steps of the frames.
    blocks_per_run
        Cut each run into that many blocks of equal numbers of frames, or fewer if it has fewer frames.
    block_steps
        Or cut each run into blocks of that many steps.

    Raises
    ------
    ValueError
        Not exactly one of the two, or not positive.
    """
    if (blocks_per_run is None) == (block_steps is None):
        raise ValueError('give one of `blocks_per_run` and `block_steps`.')
    size = blocks_per_run if block_steps is None else block_steps
    if size is None or size < 1:
        raise ValueError(f'`{"blocks_per_run" if block_steps is None else "block_steps"}` is {size}: give 1 or more.')
    found = np.full(len(where.steps), -1, dtype=np.int64)
    next_block = 0
    for run in range(len(where.names)):
        members = np.flatnonzero((where.runs == run) & (where.steps >= 0))
        if len(members):
            steps, inverse = np.unique(where.steps[members], return_inverse=True)
            if block_steps is None:
                n_blocks = min(size, len(steps))
                own = np.arange(len(steps)) * n_blocks // len(steps)
            else:
                own = np.unique((steps - steps[0]) // size, return_inverse=True)[1]
            found[members] = next_block + own[inverse.ravel()]
            next_block += int(own[-1]) + 1
    alone = np.flatnonzero(found < 0)
    found[alone] = next_block + np.arange(len(alone))
    return found


def join_equal(groups: Integers, keys: Sequence[str]) -> Integers:
    """Join groups that have an equal structure, so that none is both learned and tested.

    Parameters
    ----------
    groups
        Number of the group of each frame, shape (n_frames,).
    keys
        See `aiida_hdiff.formats.configurations.structure_keys`.

    Returns
    -------
    array
        Number of the joined group of each frame, from 0 in the order of first appearance, shape (n_frames,).
    """
    n = len(groups)
    own = np.unique(groups, return_inverse=True)[1].ravel()
    structures = np.unique(np.asarray(keys), return_inverse=True)[1].ravel()
    size = n + 1
    graph = coo_array((np.ones(n), (own, size + structures)), shape=(2 * size, 2 * size))
    labels = connected_components(graph, directed=False)[1][own]
    order = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([order[label] for label in labels.tolist()], dtype=np.int64)


def steps_to(where: Places, frames: Integers, others: Integers) -> tuple[Integers, Integers]:
    """Return how many steps the nearest of some frames is away in the same run, and which it is.

    Parameters
    ----------
    where
        Runs and steps of all frames.
    frames, others
        Indices of frames.

    Returns
    -------
    distances, nearest
        For each of ``frames``, -1 where no other is in its run or a step is not told.
    """
    distances = np.full(len(frames), -1, dtype=np.int64)
    nearest = np.full(len(frames), -1, dtype=np.int64)
    placed = others[where.steps[others] >= 0]
    for run in np.unique(where.runs[frames]):
        mine = np.flatnonzero((where.runs[frames] == run) & (where.steps[frames] >= 0))
        theirs = placed[where.runs[placed] == run]
        if not len(mine) or not len(theirs):
            continue
        theirs = theirs[np.argsort(where.steps[theirs], kind='stable')]
        steps, wanted = where.steps[theirs], where.steps[frames[mine]]
        right = np.searchsorted(steps, wanted).clip(max=len(steps) - 1)
        left = (right - 1).clip(min=0)
        take = np.where(np.abs(steps[left] - wanted) <= np.abs(steps[right] - wanted), left, right)
        distances[mine], nearest[mine] = np.abs(steps[take] - wanted), theirs[take]
    return distances, nearest


@dataclass(frozen=True)
class Nearness:
    """How near two parts of a split are in time.

    Attributes
    ----------
    parts
        Names of the parts.
    smallest_distance_steps
        Between a frame of the one and a frame of the other in the same run, in the numbers of the origins: steps of
        dynamics, or frames of a file; ``None`` if they share no run.
    frames
        Those two frames, in the order of the parts.
    run
        Their run.
    n_neighbours
        Pairs of frames of the two parts with no frame of their run between them.
    n_unplaced
        Frames of the two parts whose step is not told, about which nothing is known.
    """

    parts: tuple[str, str]
    smallest_distance_steps: int | None
    frames: tuple[int, int] | None
    run: str | None
    n_neighbours: int
    n_unplaced: int

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers in terms of JSON."""
        return {**asdict(self), 'parts': list(self.parts), 'frames': None if self.frames is None else list(self.frames)}


def nearness(where: Places, one: Integers, other: Integers, names: tuple[str, str]) -> Nearness:
    """Return how near two parts are in time, given by the indices of their frames."""
    distances, nearest = steps_to(where, one, other)
    unplaced = int((where.steps[np.concatenate([one, other])] < 0).sum())
    known = np.flatnonzero(distances >= 0)
    if not len(known):
        return Nearness(names, None, None, None, 0, unplaced)
    place = int(known[np.argmin(distances[known])])
    part = np.zeros(len(where.steps), dtype=np.int64)
    part[one], part[other] = 1, 2
    placed = np.flatnonzero(where.steps >= 0)
    placed = placed[np.lexsort((where.steps[placed], where.runs[placed]))]
    before, after = placed[:-1], placed[1:]
    neighbours = (where.runs[before] == where.runs[after]) & (part[before] + part[after] == 3)
    return Nearness(
        parts=names,
        smallest_distance_steps=int(distances[place]),
        frames=(int(one[place]), int(nearest[place])),
        run=where.names[int(where.runs[one[place]])],
        n_neighbours=int((neighbours & (part[before] * part[after] > 0)).sum()),
        n_unplaced=unplaced,
    )
