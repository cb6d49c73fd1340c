"""Interstitial sites of a crystal, found from the averaged positions of its atoms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions
from aiida_hdiff.analysis._periodic import IntArray, periodic_images
from aiida_hdiff.analysis.host_lattice import Lattice, atomic_spacing_A, lattice_type, nearest_distances_A
from aiida_hdiff.common.rich import RichResult

SAME_SITE = 0.2
"""Circumcentres closer than this, in units of the atomic spacing, are of one site. Neighbouring sites are
0.40 apart in bcc, 0.41 in hcp and 0.61 in fcc; the split circumcentres of a blurred octahedron are 0.1 apart."""
MARGIN = 3.5
"""Width of the layer of images around the cell, in the same unit."""
JOGGLE = 1e-5
"""Displacement, in the same unit, that makes the Delaunay tessellation of an ideal crystal unique."""
FLAT = 0.03
"""Volume, in units of the cubed spacing, below which a tetrahedron encloses no site: four corners of a square.
The tetrahedra of fcc, hcp and bcc have 0.12."""
EDGE = 1e-6
"""Scaled coordinates this close below a face of the cell are on it."""


@dataclass(frozen=True)
class InterstitialSites(RichResult):
    """The interstitial sites of a periodic host.

    Attributes
    ----------
    positions
        Centroids of the host atoms around the sites (Å), in the cell, shape (n_sites, 3).
    kinds
        Index into `kind_names`, shape (n_sites,).
    kind_names
        ``octahedral`` (6 host atoms around the site), ``tetrahedral`` (4), or such as ``8-coordinated``.
    cell
        Lattice vectors as rows (Å), shape (3, 3).
    lattice
        ``fcc``, ``bcc``, ``hcp`` or ``other``.
    """

    _units = {'positions': 'Å', 'cell': 'Å'}

    positions: FloatArray
    kinds: IntArray
    kind_names: tuple[str, ...]
    cell: FloatArray
    lattice: Lattice

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def nearest_distance_A(self) -> float:
        """Distance (Å) of the two nearest sites, counting images."""
        return float(nearest_distances_A(self.positions, self.cell).min())

    def count(self, kind: str) -> int:
        """Return how many sites are of a kind."""
        return int(np.count_nonzero(self.kinds == self.kind_names.index(kind))) if kind in self.kind_names else 0

    def select(self, kind_names: Iterable[str]) -> InterstitialSites:
        """Return only the sites of some kinds, for hydrogen that never rests on the others.

        Raises
        ------
        ValueError
            If there are no sites of a kind.
        """
        wanted = tuple(kind_names)
        for name in wanted:
            if name not in self.kind_names:
                raise ValueError(f'the host has no {name!r} sites: choose from {", ".join(self.kind_names)}')
        numbers = [self.kind_names.index(name) for name in wanted]
        chosen = np.isin(self.kinds, numbers)
        renumbered = np.searchsorted(sorted(numbers), self.kinds[chosen])
        names = tuple(name for name in self.kind_names if name in wanted)
        return replace(self, positions=self.positions[chosen], kinds=renumbered, kind_names=names)


def find_sites(host_positions: ArrayLike, cell: ArrayLike) -> InterstitialSites:
    """Find the interstitial sites of a crystal from the positions of its atoms alone.

    The sites are the vertices of the periodic Voronoi tessellation of the host atoms, that is the centres of
    the largest empty spheres, or of the circumspheres of the Delaunay tetrahedra. Vertices that nearly
    coincide are one site, and its coordination is the number of atoms on the common sphere: the octahedron
    of fcc and hcp is several tetrahedra with one centre, also if thermal motion splits that centre. The
    octahedral sites of bcc are no vertices, because two of their six atoms are nearer than the others. They
    are found as the edges shared by exactly four tetrahedral sites.

    fcc and hcp hosts have 1 octahedral and 2 tetrahedral sites per atom, bcc hosts 3 and 6, at any c/a and
    small strain. Any other crystal has sites too, named after their coordination.

    Parameters
    ----------
    host_positions
        Averaged positions of the host atoms in Å, shape (n_host, 3), anywhere.
    cell
        Lattice vectors as rows in Å, shape (3, 3).

    Raises
    ------
    ValueError
        No host atoms, wrong shapes, values that are not finite, a cell without volume.
    """
    host = np.asarray(host_positions, dtype=np.float64)
    if host.ndim != 2 or host.shape[1:] != (3,):
        raise ValueError(f'host_positions must have shape (n_host, 3), not {host.shape}')
    if not len(host):
        raise ValueError('there are no host atoms: give the positions of the crystal around the hydrogen')
    as_positions(host[None], 'host_positions')
    vectors = as_cells(cell, 1)[0]
    spacing = atomic_spacing_A(vectors, len(host))
    points = periodic_images(host, vectors, MARGIN * spacing).positions
    polyhedra = _polyhedra(points, spacing)
    centres = np.array([points[corners].mean(axis=0) for corners in polyhedra])
    scaled = centres @ np.linalg.inv(vectors)
    inside = np.all(np.floor(scaled + EDGE) == 0.0, axis=1)
    coordination = np.array([len(corners) for corners in polyhedra])[inside]
    order = np.lexsort((*np.round(scaled[inside], 5).T, coordination))
    numbers = sorted(set(coordination.tolist()), key=lambda n: (n != 6, n != 4, n))
    return InterstitialSites(
        positions=centres[inside][order],
        kinds=np.array([numbers.index(n) for n in coordination[order]]),
        kind_names=tuple({6: 'octahedral', 4: 'tetrahedral'}.get(n, f'{n}-coordinated') for n in numbers),
        cell=vectors,
        lattice=lattice_type(host, vectors),
    )


def _polyhedra(points: FloatArray, spacing: float) -> list[NDArray[np.int64]]:
    """Return the corners of every polyhedron of host atoms around one empty sphere, and the octahedra of bcc."""
    from scipy.spatial import Delaunay, cKDTree

    noise = np.random.default_rng(0).uniform(-JOGGLE * spacing, JOGGLE * spacing, points.shape)
    simplices = Delaunay(points + noise).simplices.astype(np.int64)
    corners = points[simplices] + noise[simplices]
    edges = corners[:, 1:] - corners[:, :1]
    offsets = np.linalg.solve(2.0 * edges, np.einsum('sij,sij->si', edges, edges)[..., None])[..., 0]
    solid = np.abs(np.linalg.det(edges)) / 6.0 > FLAT * spacing**3
    simplices, centres = simplices[solid], (corners[:, 0] + offsets)[solid]
    groups = _connected(len(centres), cKDTree(centres).query_pairs(SAME_SITE * spacing, output_type='ndarray'))
    single = np.bincount(groups)[groups] == 1
    order = np.argsort(groups, kind='stable')
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [np.unique(simplices[group]) for group in members] + _octahedra_around_edges(simplices, single)


def _connected(n_nodes: int, pairs: NDArray[np.intp]) -> NDArray[np.int32]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs), dtype=bool), pairs.T), shape=(n_nodes, n_nodes))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def _octahedra_around_edges(simplices: NDArray[np.int64], single: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the corners of the octahedra that are four tetrahedral sites around one edge."""
    edges = np.sort(np.concatenate([simplices[:, pair] for pair in combinations(range(4), 2)]), axis=1)
    _, inverse, counts = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    owners = np.tile(np.arange(len(simplices)), 6)
    inverse = inverse.ravel()
    tetrahedra = np.bincount(inverse, weights=np.tile(single, 6))
    wanted = (counts == 4) & (tetrahedra == 4)
    order = np.argsort(inverse, kind='stable')
    around = owners[order[wanted[inverse[order]]]].reshape(-1, 4)
    octahedra = [np.unique(simplices[four]) for four in around]
    return [corners for corners in octahedra if len(corners) == 6]
