"""Which frames of short runs of a student its teacher should label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aiida_hdiff.sampling.sites import HYDROGEN

if TYPE_CHECKING:
    from ase import Atoms

N_LAST = 3
"""Last frames of a run that failed: what happened in them is what the student does not know."""
_REACH_A = 2.0


def chosen_frames(n_frames: int, n_wanted: int, *, failed: bool) -> list[int]:
    """Return the indices of frames spread evenly over a run, without the first; of a failed run the last ones too.

    Parameters
    ----------
    n_frames
        Frames that the run has.
    n_wanted
        Frames to choose, fewer if there are fewer.
    failed
        Whether the run ended before its time.
    """
    if n_frames < 2:
        return []
    spread = np.unique(np.linspace(0, n_frames - 1, min(n_wanted, n_frames - 1) + 1).round().astype(int))[1:]
    last = range(max(1, n_frames - N_LAST), n_frames) if failed else ()
    return sorted({*spread.tolist(), *last})


def frame_with_nearest_hydrogen(frames: Sequence[Atoms], min_distance_A: float) -> int | None:
    """Return the index of the frame in which two hydrogen atoms are nearest, but not nearer than a limit in Å.

    ``None`` if there is no such frame, or there are no two.

    Pairs of hydrogen are rare and their energy is flat: what a student makes of them shows last in errors, and first
    in runs that fail.
    """
    from ase.geometry import get_distances

    if not frames or np.count_nonzero(frames[0].numbers == HYDROGEN) < 2:
        return None
    shortest = []
    for atoms in frames:
        positions = atoms.positions[atoms.numbers == HYDROGEN]
        _, distances = get_distances(positions, cell=atoms.cell, pbc=atoms.pbc)
        shortest.append(distances[np.triu_indices(len(positions), 1)].min())
    allowed = np.where(np.array(shortest) < min_distance_A, np.inf, shortest)
    return int(np.argmin(allowed)) if np.isfinite(allowed).any() else None


def nearest_distance_A(atoms: Atoms) -> float:
    """Return the shortest distance between two atoms in Å, periodic images included; infinite if it is above 2 Å."""
    from ase.neighborlist import neighbor_list

    distances = neighbor_list('d', atoms, _REACH_A)
    return float(distances.min()) if len(distances) else float('inf')


def n_before_expansion(volumes: Sequence[float], largest_change: float) -> int:
    """Return how many frames a run has before its volume has changed too much.

    Parameters
    ----------
    volumes
        Of all frames, in any unit.
    largest_change
        Share of the first volume.
    """
    changes = np.abs(np.asarray(volumes, dtype=np.float64) / volumes[0] - 1.0) if len(volumes) else np.empty(0)
    too_large = np.flatnonzero(changes > largest_change)
    return int(too_large[0]) if len(too_large) else len(changes)
