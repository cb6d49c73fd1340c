"""Stays of hydrogen on interstitial sites by the stable-states criterion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._periodic import IntArray
from aiida_hdiff.analysis.assignment import CHUNK_FRAMES, trajectory_and_locator
from aiida_hdiff.analysis.sites import InterstitialSites
from aiida_hdiff.common.rich import RichResult


@dataclass(frozen=True)
class Stays(RichResult):
    """The stays of the atoms on sites, by the stable-states criterion; sorted by atom, then time.

    Attributes
    ----------
    atoms, sites
        Shape (n_stays,).
    first_frames, end_frames
        A stay lasts from its first frame until before its end frame, shape (n_stays,).
    shifts
        Lattice translation of the image of the site, shape (n_stays, 3).
    n_frames, n_atoms
        Size of the trajectory.
    core_radius_A
        Radius of the cores (Å).
    fraction_in_cores
        Part of all atom-frames that are in a core.
    """

    atoms: IntArray
    sites: IntArray
    first_frames: IntArray
    end_frames: IntArray
    shifts: IntArray
    n_frames: int
    n_atoms: int
    core_radius_A: float
    fraction_in_cores: float


def find_stays(positions: ArrayLike, sites: InterstitialSites, *, core_fraction: float = 0.3) -> Stays:
    """Divide the trajectory of each atom into stays on sites.

    An atom is on a site from the frame in which it first enters the core of the site, a sphere, until it
    first enters the core of another site (or of another image of the same site). Where it is between cores,
    it is still on the site that it left, so that crossing the border back and forth is no jump. This is the
    stable-states picture of Northrup and Hynes, J. Chem. Phys. 73, 2700 (1980), doi:10.1063/1.440484, as used
    for jumps by Laage and Hynes, J. Phys. Chem. B 112, 14230 (2008), doi:10.1021/jp805217u: the rate of a
    jump is that of first arrivals in the core of the product. Frames before an atom first enters a core
    belong to no stay.

    Parameters
    ----------
    positions
        Unwrapped positions of the hydrogen atoms in Å relative to the averaged host (drift removed), shape
        (n_frames, n_atoms, 3).
    sites
        The sites.
    core_fraction
        Core radius in units of the distance of the two nearest sites, above 0 and at most 0.5, where the
        cores touch.

    Raises
    ------
    ValueError
        Positions of a wrong shape or not finite, no sites, a core fraction out of range, or no atom that is
        ever in a core.
    """
    if not 0.0 < core_fraction <= 0.5:
        raise ValueError(f'core_fraction must be above 0 and at most 0.5, where cores touch, not {core_fraction}')
    trajectory, locator = trajectory_and_locator(positions, sites)
    n_frames, n_atoms, _ = trajectory.shape
    radius = core_fraction * sites.nearest_distance_A
    parts: list[tuple[IntArray, ...]] = []
    n_inside, closest = 0, np.inf
    for atom in range(n_atoms):
        entered: list[tuple[IntArray, ...]] = []
        for start in range(0, n_frames, CHUNK_FRAMES):
            path = np.array(trajectory[start : start + CHUNK_FRAMES, atom], dtype=np.float64)
            site, shift, distance = locator.along_path(path)
            inside = np.flatnonzero(distance <= radius)
            n_inside, closest = n_inside + len(inside), min(closest, float(distance.min()))
            keep = inside[_changes(site[inside], shift[inside])]
            entered.append((keep + start, site[keep], shift[keep]))
        frame, site, shift = (np.concatenate(column) for column in zip(*entered, strict=True))
        keep = np.flatnonzero(_changes(site, shift))
        end = np.append(frame[keep][1:], n_frames)[: len(keep)]
        parts.append((np.full(len(keep), atom), site[keep], frame[keep], end, shift[keep]))
    if not n_inside:
        raise ValueError(
            f'no atom is ever in the core of a site: the closest comes to {closest:.2f} Å, the core radius is '
            f'{radius:.2f} Å. Check that the host, the cell and the hydrogen are of one trajectory, or enlarge '
            'core_fraction'
        )
    atoms, on_sites, first_frames, end_frames, shifts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Stays(
        atoms=atoms,
        sites=on_sites,
        first_frames=first_frames,
        end_frames=end_frames,
        shifts=shifts,
        n_frames=n_frames,
        n_atoms=n_atoms,
        core_radius_A=radius,
        fraction_in_cores=n_inside / (n_frames * n_atoms),
    )


def _changes(sites: IntArray, shifts: IntArray) -> NDArray[np.bool_]:
    """Return where a site differs from the one before; the first always does."""
    changed = np.ones(len(sites), dtype=bool)
    changed[1:] = (sites[1:] != sites[:-1]) | np.any(shifts[1:] != shifts[:-1], axis=1)
    return changed
