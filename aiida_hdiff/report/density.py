"""Many points as few: counts in the cells of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_hdiff.report.details import FloatArray

MAX_POINTS = 400
"""Up to so many points are drawn one by one."""


@dataclass(frozen=True, eq=False)
class Density:
    """Occupied cells of a grid.

    Attributes
    ----------
    x_edges, y_edges : ndarray
        Edges of the cells, shape (n_x + 1,) and (n_y + 1,).
    counts : ndarray
        Points in each cell, shape (n_x, n_y).
    """

    x_edges: FloatArray
    y_edges: FloatArray
    counts: FloatArray

    @property
    def x(self) -> FloatArray:
        """Middles of the cells along x."""
        return _middles(self.x_edges)

    @property
    def y(self) -> FloatArray:
        """Middles of the cells along y."""
        return _middles(self.y_edges)

    @property
    def occupied(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Middle and count of each cell that is not empty."""
        i, j = np.nonzero(self.counts)
        return self.x[i], self.y[j], self.counts[i, j]


def density(
    x: FloatArray, y: FloatArray, cells: tuple[int, int], limits: tuple[tuple[float, float], tuple[float, float]]
) -> Density:
    """Return how many points lie in each cell of a grid; all points count.

    Parameters
    ----------
    x, y : ndarray
        Shape (n,).
    cells : tuple of int
        Number of cells along x and y.
    limits : tuple
        Lowest and highest x, and y, see `limits_of`.
    """
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=cells, range=limits)
    return Density(x_edges, y_edges, counts)


def limits_of(*values: FloatArray, margin: float = 0.04) -> tuple[float, float]:
    """Return limits that hold all values, with a margin as a share of their range."""
    low, high = min(float(one.min()) for one in values), max(float(one.max()) for one in values)
    room = margin * (high - low) or 1e-3 + abs(high) * margin
    return low - room, high + room


def _middles(edges: FloatArray) -> FloatArray:
    middles: FloatArray = 0.5 * (edges[1:] + edges[:-1])
    return middles
