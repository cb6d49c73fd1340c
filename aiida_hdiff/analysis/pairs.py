"""Pairs of hydrogen atoms: how many are close, against random placement, and whether any become molecules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import mean_with_error
from aiida_hdiff.analysis.images import images_within
from aiida_hdiff.common.rich import RichResult

CHUNK_DISTANCES = 2**18
"""Distances that are held at once."""

MIN_WINDOWS = 4
"""Fewest windows from which the mean number of pairs gets a standard error."""


@dataclass(frozen=True)
class PairResult(RichResult):
    """Close pairs of atoms.

    Attributes
    ----------
    times_ps
        Centres of the windows in ps, shape (n_windows,), counted from the first frame.
    counts
        Mean number of pairs under the cut-off in each window, shape (n_windows,).
    mean, std_error
        Mean of the counts and its blocked standard error, not-a-number for fewer than four windows.
    random
        Number expected for independent, uniformly placed atoms (ideal gas), n(n - 1)/2 · 4πr³/3V. Atoms on interstitial
        sites without double occupancy can differ from it by some ten per cent even if nothing attracts them.
    formed, dissolved
        How often a pair came together and came apart, judged by the majority of frames in each window.
    cutoff_A, window_ps
        The cut-off and the length of the windows as used.
    min_distance_A, min_distance_time_ps
        Smallest distance of two atoms and when it was seen; not-a-number for a single atom.
    bond_fraction
        Fraction of the frames with at least one pair under the bond length.
    longest_bond_ps, longest_bond_start_ps
        Longest time that one pair stays under the bond length, and when that began; 0 and not-a-number for none.
    """

    times_ps: FloatArray
    counts: FloatArray
    mean: float
    std_error: float
    random: float
    formed: int
    dissolved: int
    cutoff_A: float
    window_ps: float
    min_distance_A: float
    min_distance_time_ps: float
    bond_fraction: float
    longest_bond_ps: float
    longest_bond_start_ps: float


def hydrogen_pairs(
    positions: ArrayLike,
    cells: ArrayLike,
    timestep_fs: float,
    *,
    cutoff_A: float = 3.0,
    window_ps: float = 1.0,
    bond_A: float = 0.9,
) -> PairResult:
    """Count pairs of atoms closer than a cut-off, averaged over windows of time.

    Two atoms make one pair, at the distance of their nearest images, whatever the shape of the cell.

    Parameters
    ----------
    positions
        Positions of the hydrogen atoms in Å, wrapped or not, shape (n_frames, n_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (3, 3) if fixed, else (n_frames, 3, 3).
    timestep_fs
        Time between frames in fs.
    cutoff_A
        Distance in Å under which two atoms are a pair.
    window_ps
        Length of the windows in ps; frames after the last whole window enter all but the counts.
    bond_A
        Distance in Å under which two atoms are a molecule.

    Raises
    ------
    ValueError
        Positions or cells of a wrong shape or not finite; timestep, cut-off, bond or window not positive; a run
        shorter than one window.
    """
    atoms = as_positions(positions)
    n_frames, n_atoms, _ = atoms.shape
    vectors = as_cells(cells, n_frames)
    timestep_ps = as_timestep_ps(timestep_fs)
    for name, value in (('cutoff_A', cutoff_A), ('window_ps', window_ps), ('bond_A', bond_A)):
        if not value > 0.0:
            raise ValueError(f'{name} must be positive, not {value}')
    window = max(1, round(window_ps / timestep_ps))
    if n_frames < window:
        raise ValueError(
            f'the run of {n_frames * timestep_ps:g} ps is shorter than one window of {window_ps:g} ps: '
            'give a shorter window_ps'
        )
    i, j = np.triu_indices(n_atoms, k=1)
    tracker = _PairTracker(i.size, window, cutoff_A, bond_A)
    step = window * max(1, CHUNK_DISTANCES // (window * max(i.size, 1)))
    for start in range(0, n_frames if i.size else 0, step):
        frames = slice(start, start + step)
        cell = vectors if len(vectors) == 1 else vectors[frames]
        tracker.add(_nearest_distances(atoms[frames], cell, i, j, max(cutoff_A, bond_A)))
    counts = np.concatenate(tracker.counts) if i.size else np.zeros(n_frames // window)
    mean, error = float(counts.mean()), float('nan')
    if counts.size >= MIN_WINDOWS:
        mean, error = mean_with_error(counts)
    sphere = 4.0 / 3.0 * np.pi * cutoff_A**3
    return PairResult(
        times_ps=np.linspace(0.5, counts.size - 0.5, counts.size) * (window * timestep_ps),
        counts=counts,
        mean=mean,
        std_error=error,
        random=float(i.size * sphere * np.mean(1.0 / np.abs(np.linalg.det(vectors)))),
        formed=tracker.formed,
        dissolved=tracker.dissolved,
        cutoff_A=float(cutoff_A),
        window_ps=window * timestep_ps,
        min_distance_A=tracker.smallest if i.size else float('nan'),
        min_distance_time_ps=tracker.smallest_frame * timestep_ps if i.size else float('nan'),
        bond_fraction=tracker.bonded_frames / n_frames,
        longest_bond_ps=tracker.longest * timestep_ps,
        longest_bond_start_ps=tracker.longest_start * timestep_ps if tracker.longest else float('nan'),
    )


def _nearest_distances(
    positions: NDArray[np.floating], cells: FloatArray, i: NDArray[np.intp], j: NDArray[np.intp], radius: float
) -> FloatArray:
    """Return distances of nearest images, shape (n_frames, n_pairs), exact wherever they are below `radius`."""
    scaled = positions @ np.linalg.inv(cells)
    separation = scaled[:, j] - scaled[:, i]
    separation -= np.round(separation)
    shifts = np.unique(np.concatenate([images_within(cell, radius) for cell in cells]), axis=0)
    nearest = np.full(separation.shape[:2], np.inf)
    for shift in shifts:
        vectors = (separation + shift) @ cells
        np.minimum(nearest, np.einsum('tpx,tpx->tp', vectors, vectors), out=nearest)
    distances: FloatArray = np.sqrt(nearest)
    return distances


class _PairTracker:
    """Statistics of pair distances that come chunk by chunk, in whole windows but for the last."""

    def __init__(self, n_pairs: int, window: int, cutoff: float, bond: float) -> None:
        self._window, self._cutoff, self._bond = window, cutoff, bond
        self._together: NDArray[np.bool_] | None = None
        self._spell = np.zeros(n_pairs, dtype=np.int64)
        self._frame = 0
        self.counts: list[FloatArray] = []
        self.formed = self.dissolved = 0
        self.smallest, self.smallest_frame = float('inf'), 0
        self.bonded_frames = self.longest = self.longest_start = 0

    def add(self, distances: FloatArray) -> None:
        frame, pair = np.unravel_index(np.argmin(distances), distances.shape)
        if distances[frame, pair] < self.smallest:
            self.smallest, self.smallest_frame = float(distances[frame, pair]), self._frame + int(frame)
        self._add_bonds(distances < self._bond)
        whole = len(distances) // self._window
        close = distances[: whole * self._window] < self._cutoff
        share = close.reshape(whole, self._window, close.shape[1]).mean(axis=1)
        self.counts.append(share.sum(axis=1))
        together = share > 0.5
        if self._together is not None:
            together = np.concatenate([self._together[None], together])
        self.formed += int(np.sum(together[1:] & ~together[:-1]))
        self.dissolved += int(np.sum(~together[1:] & together[:-1]))
        self._together = together[-1] if len(together) else self._together
        self._frame += len(distances)

    def _add_bonds(self, bonded: NDArray[np.bool_]) -> None:
        """Prolong the spells of bonded pairs; at each frame a spell is the time since the last frame without bond."""
        self.bonded_frames += int(bonded.any(axis=1).sum())
        if not bonded.any():
            self._spell[:] = 0
            return
        frames = np.arange(len(bonded))[:, None]
        broken = np.maximum.accumulate(np.where(bonded, -1 - self._spell, frames), axis=0)
        spells = frames - broken
        self._spell = spells[-1].astype(np.int64)
        frame = int(np.argmax(spells.max(axis=1)))
        longest = int(spells[frame].max())
        if longest > self.longest:
            self.longest = longest
            self.longest_start = self._frame + frame - longest + 1
