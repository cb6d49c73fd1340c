"""Partial radial distribution functions and coordination numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions

CHUNK_PAIRS = 2**18
"""Pair distances that are held at once."""


@dataclass(frozen=True)
class RDFResult:
    """Partial radial distribution functions.

    Attributes
    ----------
    r
        Centres of the bins in Å, shape (bins,).
    edges
        Edges of the bins in Å, shape (bins + 1,).
    g
        For each pair (a, b) of atomic numbers g_ab at `r`, shape (bins,).
    coordination
        For each pair (a, b) the mean number of atoms b within `edges[1:]` of an atom a, shape (bins,).
    """

    r: FloatArray
    edges: FloatArray
    g: dict[tuple[int, int], FloatArray]
    coordination: dict[tuple[int, int], FloatArray]


def radial_distribution(
    positions: ArrayLike,
    cells: ArrayLike,
    numbers: ArrayLike,
    pairs: Sequence[tuple[int, int]],
    *,
    r_max: float,
    bins: int = 200,
) -> RDFResult:
    """Compute partial radial distribution functions, averaged over frames.

    Within the in-sphere of the cell only the nearest image counts; beyond it all periodic images do, so
    that the count is complete at any r_max. For a = b the density of neighbours is (N - 1)/V: the ideal gas
    has g = 1 for any number of atoms. From the shortest lattice vector on, an atom's own images count as
    well and show as peaks. Distances are computed in single precision (error below 1e-5 Å).

    Parameters
    ----------
    positions
        Positions in Å, wrapped or not, shape (n_frames, n_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (3, 3) if fixed, else (n_frames, 3, 3).
    numbers
        Atomic numbers, shape (n_atoms,).
    pairs
        Pairs of atomic numbers.
    r_max
        Largest distance in Å.
    bins
        Number of bins between 0 and r_max.

    Raises
    ------
    ValueError
        Wrong shapes, values that are not finite, an element that does not occur, r_max or bins not
        positive.
    """
    given = as_positions(positions)
    n_frames, n_atoms, _ = given.shape
    vectors = as_cells(cells, n_frames)
    elements = np.asarray(numbers)
    if elements.shape != (n_atoms,):
        raise ValueError(f'numbers must have shape ({n_atoms},), not {elements.shape}')
    if not r_max > 0.0:
        raise ValueError(f'r_max must be positive, not {r_max}')
    if bins < 1:
        raise ValueError(f'bins must be positive, not {bins}')
    members: dict[int, NDArray[np.intp]] = {int(z): np.flatnonzero(elements == z) for z in np.unique(elements)}
    for z in {z for pair in pairs for z in pair}:
        if z not in members:
            raise ValueError(f'no atom has the atomic number {z}')

    edges = np.linspace(0.0, r_max, bins + 1)
    shells = np.diff(4.0 / 3.0 * np.pi * edges**3)
    mean_density = float(np.mean(1.0 / np.abs(np.linalg.det(vectors))))
    inverse = np.linalg.inv(vectors).astype(np.float64)
    images = _images(inverse, r_max)
    g: dict[tuple[int, int], FloatArray] = {}
    coordination: dict[tuple[int, int], FloatArray] = {}
    for a, b in pairs:
        per_atom = _count(given, vectors, inverse, members[a], members[b], images, r_max, bins) / n_frames
        partners = max(members[b].size - (a == b), 1)
        g[a, b] = per_atom / (partners * mean_density * shells)
        coordination[a, b] = np.cumsum(per_atom)
    return RDFResult(r=0.5 * (edges[1:] + edges[:-1]), edges=edges, g=g, coordination=coordination)


def _images(inverse: FloatArray, r_max: float) -> NDArray[np.int64]:
    """Return the shifts, shape (n, 3), that take a nearest-image separation to every image within r_max."""
    heights = 1.0 / np.linalg.norm(inverse, axis=1).max(axis=0)
    reach = np.floor(r_max / heights * (1.0 - 1e-12) + 0.5).astype(np.int64)
    axes = [np.arange(-n, n + 1) for n in reach]
    shifts: NDArray[np.int64] = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3)
    return shifts


def _count(
    positions: NDArray[np.floating],
    vectors: FloatArray,
    inverse: FloatArray,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    images: NDArray[np.int64],
    r_max: float,
    bins: int,
) -> FloatArray:
    """Return the histogram of distances from an atom of `first` to those of `second`, summed over frames."""
    same = np.array_equal(first, second)
    if same:
        i, j = np.triu_indices(first.size, k=1)
    else:
        i, j = (index.ravel() for index in np.indices((first.size, second.size)))
    weight = 2.0 if same else 1.0
    counts = np.zeros(bins)
    step = max(1, CHUNK_PAIRS // max(i.size, 1))
    for start in range(0, positions.shape[0], step):
        frames = slice(start, start + step)
        cell, to_scaled = (vectors, inverse) if len(vectors) == 1 else (vectors[frames], inverse[frames])
        metric = (cell @ cell.transpose(0, 2, 1)).astype(np.float32)
        a = _scaled(positions[frames, first], to_scaled)
        b = a if same else _scaled(positions[frames, second], to_scaled)
        separation = b[..., j] - a[..., i]
        separation -= np.round(separation)
        for shift in images:
            counts += weight * _histogram(separation, shift, metric, r_max, bins)
            if same and shift.any():
                own = np.zeros((3, separation.shape[1], 1), dtype=np.float32)
                counts += first.size * _histogram(own, shift, metric, r_max, bins)
    return counts / first.size


def _scaled(positions: NDArray[np.floating], inverse: FloatArray) -> NDArray[np.float32]:
    """Return fractional positions within 0 ... 1, shape (3, n_frames, n_atoms)."""
    scaled = positions @ inverse
    scaled -= np.floor(scaled)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32)


def _histogram(
    separation: NDArray[np.float32],
    shift: NDArray[np.int64],
    metric: NDArray[np.float32],
    r_max: float,
    bins: int,
) -> FloatArray:
    x, y, z = (separation[axis] + np.float32(shift[axis]) if shift[axis] else separation[axis] for axis in range(3))
    m = metric[:, :, :, None]
    squared = x * (m[:, 0, 0] * x + 2.0 * m[:, 0, 1] * y + 2.0 * m[:, 0, 2] * z)
    squared += y * (m[:, 1, 1] * y + 2.0 * m[:, 1, 2] * z)
    squared += m[:, 2, 2] * z * z
    distances = np.sqrt(squared[squared < np.float32(r_max * r_max)])
    index = (distances * np.float32(bins / r_max)).astype(np.int32)
    counts: FloatArray = np.bincount(index, minlength=bins)[:bins].astype(np.float64)
    return counts
