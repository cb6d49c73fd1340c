"""Periodic images of points around a cell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis._arrays import FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PeriodicImages:
    """The points of a cell, wrapped into it, followed by all their images within a margin around it.

    Attributes
    ----------
    positions
        Å, shape (n_images, 3).
    index
        The point that each is an image of, shape (n_images,).
    shifts
        Lattice translations, shape (n_images, 3): image = point + shift @ cell, for the point as given.
    margin_A
        Width of the layer around the cell.
    """

    positions: FloatArray
    index: IntArray
    shifts: IntArray
    margin_A: float


def periodic_images(points: FloatArray, cell: FloatArray, margin_A: float) -> PeriodicImages:
    """Return the points wrapped into the cell, in their order, and then their images within the margin.

    Parameters
    ----------
    points
        Å, shape (n, 3), anywhere.
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    margin_A
        Every image that is no further than this from the cell is included.
    """
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    margin = margin_A / heights
    scaled = points @ np.linalg.inv(cell)
    home = np.floor(scaled).astype(np.int64)
    reach = np.ceil(margin).astype(int)
    translations = np.array(sorted(product(*(range(-n, n + 1) for n in reach)), key=lambda t: t != (0, 0, 0)))
    images = (scaled - home)[None] + translations[:, None]
    near = np.all((images >= -margin) & (images <= 1.0 + margin), axis=2)
    near[0] = True
    which, index = np.nonzero(near)
    return PeriodicImages(images[near] @ cell, index, translations[which] - home[index], margin_A)
