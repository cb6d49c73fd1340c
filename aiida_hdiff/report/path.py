"""The way of one hydrogen atom through the host, from positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from aiida_hdiff.report.details import FloatArray, HydrogenPath

MAX_POINTS = 600
MAX_HOST_ATOMS = 500
_NEIGHBOUR_TOLERANCE = 1.2


def hydrogen_path(
    times_ps: FloatArray,
    hydrogen_A: FloatArray,
    hydrogen_indices: Sequence[int],
    host_A: FloatArray,
    host_symbols: Sequence[str],
    cell_A: FloatArray,
) -> HydrogenPath:
    """Return the path of the hydrogen atom that moved furthest, with the host atoms around it.

    The path is averaged over equal pieces of the run, at most `MAX_POINTS` of them, which takes the
    vibrations out and leaves the jumps.

    Parameters
    ----------
    times_ps : ndarray
        Times in ps, shape (n,).
    hydrogen_A : ndarray
        Unwrapped positions of hydrogen relative to the host in Å, shape (n, n_hydrogen, 3).
    hydrogen_indices : sequence of int
        Index in the cell of each hydrogen atom.
    host_A : ndarray
        Averaged host positions in Å, shape (n_host, 3).
    host_symbols : sequence of str
        Their chemical symbols.
    cell_A : ndarray
        Cell in Å, shape (3, 3).

    Returns
    -------
    HydrogenPath
        The path and the images of the host within reach of it.
    """
    moved = np.linalg.norm(hydrogen_A[-1] - hydrogen_A[0], axis=1)
    chosen = int(np.argmax(moved))
    pieces = np.array_split(np.arange(len(times_ps)), min(MAX_POINTS, len(times_ps)))
    points = np.array([hydrogen_A[piece, chosen].mean(axis=0) for piece in pieces])
    middles = np.array([times_ps[piece].mean() for piece in pieces])
    spacing = _neighbour_distance(host_A, cell_A)
    positions, origin = _images_near(points, host_A, cell_A, 1.1 * spacing)
    tree = cKDTree(positions)
    bonds = tree.query_pairs(_NEIGHBOUR_TOLERANCE * spacing, output_type='ndarray').reshape(-1, 2)
    return HydrogenPath(
        atom=int(hydrogen_indices[chosen]),
        times_ps=middles,
        positions_A=points,
        host_positions_A=positions,
        host_symbols=tuple(host_symbols[index] for index in origin),
        bonds=bonds.astype(np.int64),
        displacement_A=float(moved[chosen]),
    )


def _shifts(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> FloatArray:
    """Return all integer shifts between two corners, shape (n, 3)."""
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3).astype(np.float64)


def _neighbour_distance(host_A: FloatArray, cell_A: FloatArray) -> float:
    """Return the mean distance in Å from a host atom to its nearest neighbour, images included."""
    ones = np.ones(3, dtype=np.int64)
    images = (host_A[None] + (_shifts(-ones, ones) @ cell_A)[:, None]).reshape(-1, 3)
    distances = np.asarray(cKDTree(images).query(host_A, k=2)[0])
    return float(distances[:, 1].mean())


def _images_near(
    points_A: FloatArray, host_A: FloatArray, cell_A: FloatArray, reach_A: float
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the host images within reach of the points, nearest first, and the atom each is an image of."""
    inverse = np.linalg.inv(cell_A)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    fractional, host = points_A @ inverse, host_A @ inverse
    margin = reach_A / heights
    low = np.floor(fractional.min(axis=0) - margin - host.max(axis=0)).astype(np.int64)
    high = np.ceil(fractional.max(axis=0) + margin - host.min(axis=0)).astype(np.int64)
    tree = cKDTree(points_A)
    positions, origin, distance = [], [], []
    for shift in _shifts(low, high):
        images = host_A + shift @ cell_A
        nearest = np.asarray(tree.query(images, distance_upper_bound=reach_A)[0])
        keep = np.nonzero(np.isfinite(nearest))[0]
        positions.append(images[keep])
        origin.append(keep)
        distance.append(nearest[keep])
    order = np.argsort(np.concatenate(distance), kind='stable')[:MAX_HOST_ATOMS]
    return np.concatenate(positions)[order], np.concatenate(origin)[order].astype(np.int64)
