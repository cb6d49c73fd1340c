"""Jumps of hydrogen between interstitial sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_hdiff.analysis._arrays import FloatArray, as_timestep_ps
from aiida_hdiff.analysis._periodic import IntArray
from aiida_hdiff.analysis.sites import InterstitialSites
from aiida_hdiff.analysis.stays import Stays
from aiida_hdiff.common.rich import RichResult


@dataclass(frozen=True)
class Jumps(RichResult):
    """Jumps between sites, sorted by atom, then time.

    Attributes
    ----------
    atoms, frames, from_sites, to_sites
        Shape (n_jumps,); the frame is the first one in the core of the new site.
    times_ps
        Time of that frame since the first frame of the trajectory, shape (n_jumps,).
    displacements_A
        Vector (Å) from the image of the old site to that of the new one, shape (n_jumps, 3).
    """

    atoms: IntArray
    frames: IntArray
    from_sites: IntArray
    to_sites: IntArray
    times_ps: FloatArray
    displacements_A: FloatArray

    def __len__(self) -> int:
        return len(self.atoms)

    @property
    def mean_length_A(self) -> float:
        """Mean length (Å) of the jumps; not-a-number without any."""
        return float(np.linalg.norm(self.displacements_A, axis=1).mean()) if len(self) else float('nan')

    def network(self) -> tuple[IntArray, IntArray]:
        """Return the pairs of sites, in either direction, with jumps between them, (k, 2), and how many, (k,)."""
        pairs = np.sort(np.column_stack([self.from_sites, self.to_sites]), axis=1)
        edges, counts = np.unique(pairs, axis=0, return_counts=True)
        return edges.astype(np.int64).reshape(-1, 2), counts.astype(np.int64)


def find_jumps(stays: Stays, sites: InterstitialSites, timestep_fs: float) -> Jumps:
    """Return the jumps: every stay but the first of each atom begins with one.

    Parameters
    ----------
    stays
        From :func:`~aiida_hdiff.analysis.find_stays`.
    sites
        The sites of the stays.
    timestep_fs
        Time between frames in fs.

    Raises
    ------
    ValueError
        A time step that is not positive.
    """
    later = np.flatnonzero(stays.atoms[1:] == stays.atoms[:-1]) + 1
    places = sites.positions[stays.sites] + stays.shifts @ sites.cell
    return Jumps(
        atoms=stays.atoms[later],
        frames=stays.first_frames[later],
        from_sites=stays.sites[later - 1],
        to_sites=stays.sites[later],
        times_ps=stays.first_frames[later].astype(np.float64) * as_timestep_ps(timestep_fs),
        displacements_A=places[later] - places[later - 1],
    )
