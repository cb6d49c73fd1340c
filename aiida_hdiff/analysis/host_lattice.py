"""The average lattice of the host atoms and its type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions
from aiida_hdiff.analysis._periodic import periodic_images

Lattice: TypeAlias = Literal['fcc', 'bcc', 'hcp', 'other']

MOLTEN = 0.2
"""Root-mean-square displacement of the host atoms, in units of their spacing, beyond which there is no lattice.
Crystals melt at 0.1 to 0.15 (Lindemann's criterion); in a melt it grows without limit."""
CLOSEST = 0.5
"""Averaged host atoms closer than this, in the same unit, belong to no crystal."""
SHELL_GAP = 1.1
"""Ratio of distances that separates two shells of neighbours. It is 1.41 in ideal fcc, hcp and bcc."""
MAJORITY = 0.75
"""Part of the host atoms that must have the surroundings of a lattice to give the crystal its name."""


@dataclass(frozen=True)
class AverageHost:
    """The host, averaged over a run.

    Attributes
    ----------
    positions
        Mean positions (Å) relative to the drift, shape (n_host, 3).
    cell
        Lattice vectors as rows (Å), shape (3, 3).
    drift_A
        Displacement of the mean host position since the first frame (Å), shape (n_frames, 3).
    rms_displacement_A
        Root-mean-square displacement of the host atoms from their mean positions (Å).
    """

    positions: FloatArray
    cell: FloatArray
    drift_A: FloatArray
    rms_displacement_A: float


def atomic_spacing_A(cell: FloatArray, n_atoms: int) -> float:
    """Return the distance of nearest neighbours (Å) if the atoms were close-packed."""
    return float((np.sqrt(2.0) * abs(np.linalg.det(cell)) / n_atoms) ** (1 / 3))


def average_host(chunks: Iterable[ArrayLike], cell: ArrayLike) -> AverageHost:
    """Average the host over a run with a fixed cell, one piece of the trajectory at a time.

    Parameters
    ----------
    chunks
        Successive pieces of the unwrapped trajectory of the host atoms in Å, each of shape
        (n_frames, n_host, 3). A whole trajectory is one piece: ``[positions]``.
    cell
        Lattice vectors as rows in Å, shape (3, 3).

    Raises
    ------
    ValueError
        No frames, wrong shapes, values that are not finite, or a host without a lattice: the atoms spread
        over more than 0.2 of their spacing (molten, or diffusing), or two of them meet on average.
    """
    vectors = as_cells(cell, 1)[0]
    drifts: list[FloatArray] = []
    first: FloatArray | None = None
    total = squares = np.zeros(())
    for chunk in chunks:
        host = as_positions(chunk, 'host_positions')
        if first is None:
            first = np.array(host[0], dtype=np.float64)
        if host.shape[1] != len(first):
            raise ValueError(f'the pieces of host_positions have {len(first)} and {host.shape[1]} atoms')
        moved = host - first
        drift = moved.mean(axis=1)
        moved -= drift[:, None]
        drifts.append(drift)
        total = total + moved.sum(axis=0)
        squares = squares + np.einsum('tax,tax->', moved, moved)
    if first is None:
        raise ValueError('host_positions has no frames')
    drift = np.concatenate(drifts)
    mean = total / len(drift)
    variance = squares / (len(drift) * len(first)) - np.einsum('ax,ax->', mean, mean) / len(first)
    host_average = AverageHost(first + mean, vectors, drift - drift[0], float(np.sqrt(max(variance, 0.0))))
    _check_crystal(host_average)
    return host_average


def _check_crystal(host: AverageHost) -> None:
    spacing = atomic_spacing_A(host.cell, len(host.positions))
    if host.rms_displacement_A > MOLTEN * spacing:
        raise ValueError(
            f'the host has no lattice: its atoms are spread by {host.rms_displacement_A:.2f} Å (rms) around their '
            f'mean positions, {host.rms_displacement_A / spacing:.0%} of their spacing of {spacing:.2f} Å, more than '
            f'the {MOLTEN:.0%} of a crystal. It is molten, it changes its structure, or the positions are wrapped: '
            'use a run in which it stays solid, with unwrapped positions'
        )
    closest = nearest_distances_A(host.positions, host.cell).min()
    if closest < CLOSEST * spacing:
        raise ValueError(
            f'the host has no lattice: two averaged host atoms are {closest:.2f} Å apart, their spacing is '
            f'{spacing:.2f} Å. Check that positions are unwrapped and that the cell belongs to them'
        )


def nearest_distances_A(points: FloatArray, cell: FloatArray) -> FloatArray:
    """Return the distance (Å) of each point of a periodic set to the nearest other one or image, shape (n,)."""
    from scipy.spatial import cKDTree

    images = periodic_images(points, cell, float(np.linalg.norm(cell, axis=1).min()) * (1.0 + 1e-9))
    distances = np.asarray(cKDTree(images.positions).query(images.positions[: len(points)], k=2)[0])
    return distances[:, 1]


def lattice_type(positions: ArrayLike, cell: ArrayLike) -> Lattice:
    """Return the type of a lattice, also if it is strained, sheared or blurred by thermal motion.

    The neighbours of an atom are its 12 or 14 nearest atoms, whichever are separated better from the next
    one. The bonds among them (24 in fcc and hcp, 36 in bcc) and the number of them that have another on the
    opposite side (12 in fcc, 6 in hcp, 14 in bcc) tell the lattices apart. Bonds among neighbours are what
    the common neighbour analysis looks at (Honeycutt and Andersen, J. Phys. Chem. 91, 4950 (1987),
    doi:10.1021/j100303a014); 12 for close-packed and 14 neighbours for bcc as in Stukowski, Model. Simul.
    Mater. Sci. Eng. 20, 045021 (2012), doi:10.1088/0965-0393/20/4/045021.

    Parameters
    ----------
    positions
        Å, shape (n_atoms, 3).
    cell
        Lattice vectors as rows in Å, shape (3, 3).

    Returns
    -------
    str
        ``fcc``, ``bcc`` or ``hcp`` if three quarters of the atoms have that surroundings, else ``other``.
    """
    from scipy.spatial import cKDTree

    points, vectors = as_positions(np.asarray(positions)[None])[0], as_cells(cell, 1)[0]
    spacing = atomic_spacing_A(vectors, len(points))
    images = periodic_images(points.astype(np.float64), vectors, 2.5 * spacing)
    home = images.positions[: len(points)]
    distances, index = map(np.asarray, cKDTree(images.positions).query(home, k=16))
    ratio = {n: float(np.median(distances[:, n + 1] / distances[:, n])) for n in (12, 14)}
    n_neighbours = max(ratio, key=lambda n: ratio[n])
    if not SHELL_GAP < ratio[n_neighbours] < np.inf:
        return 'other'
    cutoff = float(np.median(distances[:, n_neighbours : n_neighbours + 2]))
    bonds = images.positions[index[:, 1 : n_neighbours + 1]] - home[:, None]
    first, second = np.triu_indices(n_neighbours, 1)
    n_bonds = np.count_nonzero(np.linalg.norm(bonds[:, first] - bonds[:, second], axis=2) < cutoff, axis=1)
    sums = np.linalg.norm(bonds[:, :, None] + bonds[:, None], axis=3).min(axis=2)
    n_opposite = np.count_nonzero(sums < 0.3 * spacing, axis=1)
    expected: dict[Lattice, tuple[int, int, int]] = {'fcc': (12, 24, 12), 'hcp': (12, 24, 6), 'bcc': (14, 36, 14)}
    for name, (neighbours, inner, opposite) in expected.items():
        alike = (np.abs(n_bonds - inner) <= 2) & (np.abs(n_opposite - opposite) <= 2)
        if neighbours == n_neighbours and alike.mean() >= MAJORITY:
            return name
    return 'other'
