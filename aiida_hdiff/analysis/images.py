"""Periodic images: which of them matter within a distance, and histograms over all of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray

CHUNK_FRAMES = 256
"""Frames for which one list of candidate pairs is made."""

BLOCK_PAIRS = 64
"""Candidates whose distances are held at once, so that they stay in the cache of the processor."""


def in_sphere_radius_A(cell: ArrayLike) -> float:
    """Return the radius (Å) of the largest sphere in a cell, half its smallest height.

    Parameters
    ----------
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    """
    vectors = np.asarray(cell, dtype=np.float64)
    return float(0.5 / np.linalg.norm(np.linalg.inv(vectors), axis=0).max())


def images_within(cell: FloatArray, radius: float) -> FloatArray:
    """Return the shifts, shape (n, 3), that take a nearest-image separation to every image within a radius.

    A nearest-image separation is one whose fractional coordinates lie within ±1/2.

    Parameters
    ----------
    cell
        Lattice vectors as rows, shape (3, 3).
    radius
        Distance in the units of the cell.
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = np.floor(radius / heights * (1.0 - 1e-12) + 0.5).astype(np.int64)
    axes = [np.arange(-n, n + 1) for n in reach]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3).astype(np.float64)


class FrameChunk:
    """Consecutive frames with what bounds the motion of their atoms.

    Distances between atoms of a chunk change by no more than both atoms' excursions from their mean position. So a
    pair and a periodic image of it whose mean positions lie further apart than r_max plus both excursions can be
    left out in all frames, and the others need no minimum-image search: the image stays the same. Both are exact by
    the triangle inequality, for any r_max and any cell, and cheap as long as most atoms vibrate about a site.

    Parameters
    ----------
    positions
        Positions in Å, wrapped or not, shape (n_frames, n_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (1, 3, 3) if fixed, else (n_frames, 3, 3).
    """

    def __init__(self, positions: NDArray[np.floating], cells: FloatArray) -> None:
        scaled = positions @ np.linalg.inv(cells)
        scaled -= np.floor(scaled[:1])
        scaled -= np.round(scaled - scaled[:1])
        self._cells = cells
        self._mean_cell = cells.mean(axis=0)
        self._mean = scaled.mean(axis=0)
        self._positions = np.ascontiguousarray((scaled @ cells).transpose(2, 1, 0))
        excursions = (scaled - self._mean) @ self._mean_cell
        self._excursion = np.sqrt(np.einsum('tax,tax->ta', excursions, excursions).max(axis=0))
        strains = np.linalg.inv(cells) @ self._mean_cell
        self._stretch = float(np.linalg.norm(strains, ord=2, axis=(1, 2)).max())

    def histogram(
        self, first: NDArray[np.intp], second: NDArray[np.intp], r_max: float, bins: int
    ) -> NDArray[np.float64]:
        """Return the histogram of distances below r_max from atoms `first` to all images of `second`, over frames.

        Both groups are equal or disjoint; equal groups count every pair from either end, and an atom's own images.
        """
        n_frames = self._positions.shape[2]
        scale = bins / r_max
        points = self._positions * scale
        cells = self._cells * scale
        near, far = np.empty((2, 3, BLOCK_PAIRS, n_frames))
        index = np.empty((BLOCK_PAIRS, n_frames), dtype=np.intp)
        counts = np.zeros(bins)
        for i, j, shift in self._candidates(first, second, r_max):
            for start in range(0, i.size, BLOCK_PAIRS):
                rows = slice(start, start + BLOCK_PAIRS)
                size = i[rows].size
                a, b, indices = near[:, :size], far[:, :size], index[:size]
                for axis in range(3):
                    points[axis].take(i[rows], axis=0, out=a[axis], mode='clip')
                    points[axis].take(j[rows], axis=0, out=b[axis], mode='clip')
                b -= a
                b += np.einsum('pn,tnx->xpt', shift[rows], cells, order='C')
                b *= b
                b[0] += b[1]
                b[0] += b[2]
                np.sqrt(b[0], out=b[0])
                np.copyto(indices, b[0], casting='unsafe')
                counts += np.bincount(indices.ravel(), minlength=bins)[:bins]
        return counts * (2.0 if np.array_equal(first, second) else 1.0)

    def _candidates(
        self, first: NDArray[np.intp], second: NDArray[np.intp], r_max: float
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]]:
        """Yield, image by image, the pairs that may come within r_max, and the lattice translation of the second."""
        same = np.array_equal(first, second)
        if same:
            rows, columns = np.triu_indices(first.size)
        else:
            rows, columns = (index.ravel() for index in np.indices((first.size, second.size)))
        i, j = first[rows], second[columns]
        separation = self._mean[j] - self._mean[i]
        wrap = -np.round(separation)
        cartesian = ((separation + wrap) @ self._mean_cell).T
        reach = self._stretch * r_max + self._excursion[i] + self._excursion[j]
        for image in images_within(self._mean_cell, float(reach.max())):
            x, y, z = cartesian + (image @ self._mean_cell)[:, None]
            close = x * x + y * y + z * z < reach * reach
            if same and not image[np.flatnonzero(image)][:1].sum() > 0:
                close &= i != j
            chosen = np.flatnonzero(close)
            if chosen.size:
                yield i[chosen], j[chosen], wrap[chosen] + image
