"""Which interstitial site an atom is on, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_positions
from aiida_hdiff.analysis._periodic import IntArray, PeriodicImages, periodic_images
from aiida_hdiff.analysis.host_lattice import nearest_distances_A
from aiida_hdiff.analysis.sites import InterstitialSites

ANCHOR_STRIDE = 8
"""Frames between two that are looked up in the tree before those between them."""
CHUNK_FRAMES = 2**15


@dataclass
class SiteLocator:
    """Finds the periodic image of a site that is nearest to a point, exactly.

    A tree of the sites and their images around the cell answers for any point. Along a trajectory most
    questions need no tree: a point that is closer to a site than half the distance from there to the next
    site is nearest to that site.
    """

    sites: InterstitialSites
    _images: PeriodicImages = field(init=False)
    _safe_radius: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self._safe_radius = 0.5 * nearest_distances_A(self.sites.positions, self.sites.cell)
        self._inverse = np.linalg.inv(self.sites.cell)
        self._grow(3.0 * float(self._safe_radius.max()))

    def _grow(self, margin_A: float) -> None:
        from scipy.spatial import cKDTree

        self._images = periodic_images(self.sites.positions, self.sites.cell, margin_A)
        self._tree = cKDTree(self._images.positions)

    def nearest(self, points: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return the site, the lattice translation of its nearest image and the distance (Å) for each point.

        Parameters
        ----------
        points
            Å, shape (n, 3), anywhere.

        Returns
        -------
        tuple
            Arrays of shapes (n,), (n, 3) and (n,).
        """
        home = np.floor(points @ self._inverse)
        wrapped = points - home @ self.sites.cell
        distances, found = map(np.asarray, self._tree.query(wrapped))
        while len(points) and distances.max() > self._images.margin_A:
            self._grow(2.0 * self._images.margin_A)
            distances, found = map(np.asarray, self._tree.query(wrapped))
        return self._images.index[found], self._images.shifts[found] + home.astype(np.int64), distances

    def along_path(self, path: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return the same as :meth:`nearest` for successive positions of one atom."""
        anchors, anchor_shifts, _ = self.nearest(path[::ANCHOR_STRIDE])
        sites = np.repeat(anchors, ANCHOR_STRIDE)[: len(path)]
        shifts = np.repeat(anchor_shifts, ANCHOR_STRIDE, axis=0)[: len(path)]
        offsets = path - self.sites.positions[sites] - shifts @ self.sites.cell
        distances: FloatArray = np.sqrt(np.einsum('tx,tx->t', offsets, offsets))
        unsure = np.flatnonzero(distances > self._safe_radius[sites])
        sites[unsure], shifts[unsure], distances[unsure] = self.nearest(path[unsure])
        return sites, shifts, distances


def nearest_sites(positions: ArrayLike, sites: InterstitialSites) -> NDArray[np.int32]:
    """Return the nearest site of every atom in every frame: the Voronoi assignment.

    It follows every vibration across the border of two sites; see :func:`find_stays` for one that does not.

    Parameters
    ----------
    positions
        Positions of the hydrogen atoms in Å relative to the averaged host, wrapped or not, shape
        (n_frames, n_atoms, 3).
    sites
        The sites.

    Returns
    -------
    numpy.ndarray
        Indices of sites, shape (n_frames, n_atoms).

    Raises
    ------
    ValueError
        Positions of a wrong shape or not finite, or no sites.
    """
    trajectory, locator = trajectory_and_locator(positions, sites)
    nearest = np.empty(trajectory.shape[:2], dtype=np.int32)
    for atom in range(trajectory.shape[1]):
        for start in range(0, len(trajectory), CHUNK_FRAMES):
            path = np.array(trajectory[start : start + CHUNK_FRAMES, atom], dtype=np.float64)
            nearest[start : start + CHUNK_FRAMES, atom] = locator.along_path(path)[0]
    return nearest


def trajectory_and_locator(positions: ArrayLike, sites: InterstitialSites) -> tuple[NDArray[np.floating], SiteLocator]:
    """Return the positions, checked, and the locator of the sites, or raise ValueError."""
    if not len(sites):
        raise ValueError('there are no sites: the host has no holes, check its positions and cell')
    return as_positions(positions), SiteLocator(sites)
