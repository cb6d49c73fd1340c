"""Octahedral and tetrahedral interstitial sites of a periodic host, found from its geometry alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

HYDROGEN = 1
SAME_SPHERE = 1.3
"""Two Delaunay tetrahedra belong to one polyhedron if the far corner of each is within this factor of the
radius of the other's circumsphere. The factor is 1 inside an ideal octahedron, and at least 1.6 between
neighbouring polyhedra of fcc, hcp and bcc. With a value in between, random displacements of 0.08 Å per axis
lose no site; with larger ones some of the sites are too distorted to be found."""
PADDING = 4.0
"""Width of the layer of periodic images around the cell, in units of the cube root of the volume per atom."""
JOGGLE = 1e-4
"""Displacement, in the same unit, that makes the Delaunay tessellation of an ideal crystal unique."""

EDGE = 1e-9
"""Scaled coordinates this close to a face of the cell are on it."""

Floats = NDArray[np.float64]
Corner = tuple[int, int, int, int]


@dataclass(frozen=True)
class InterstitialSite:
    """One interstitial site.

    Attributes
    ----------
    kind
        ``octahedral`` or ``tetrahedral``.
    position
        Centroid of the host atoms around it, ``(3,)``, in Å, inside the cell.
    neighbours
        Indices of the 6 or 4 host atoms around it, in the structure searched; in a small cell one index may
        occur several times, for several periodic images.
    host_distance_A
        Distance to the nearest of them (Å).
    """

    kind: str
    position: Floats
    neighbours: tuple[int, ...]
    host_distance_A: float


@dataclass(frozen=True)
class _PaddedCrystal:
    """The atoms of the cell and images around it: position (Å), index in the cell, lattice translation."""

    positions: Floats
    index: NDArray[np.int64]
    shift: NDArray[np.int64]


def _padded(atoms: Atoms, length: float) -> _PaddedCrystal:
    cell = np.asarray(atoms.cell.array, dtype=float)
    padding = PADDING * length
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    margin = padding / heights
    scaled = atoms.get_scaled_positions(wrap=False)
    wrapped = np.where(atoms.pbc, np.floor(scaled), 0.0).astype(np.int64)
    reach = np.where(atoms.pbc, np.ceil(margin), 0).astype(int)
    translations = np.array(list(product(*(range(-n, n + 1) for n in reach))))
    all_scaled = (scaled - wrapped)[None] + translations[:, None]
    near = np.all((all_scaled > -margin) & (all_scaled < 1 + margin), axis=2)
    which, index = np.nonzero(near)
    return _PaddedCrystal(all_scaled[near] @ cell, index, translations[which] - wrapped[index])


def _circumspheres(corners: Floats) -> tuple[Floats, Floats]:
    edges = corners[:, 1:] - corners[:, :1]
    offsets = np.linalg.solve(2 * edges, (edges**2).sum(axis=2)[..., None])[..., 0]
    return corners[:, 0] + offsets, np.linalg.norm(offsets, axis=1)


def _polyhedra(points: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the Delaunay tetrahedra ``(m, 4)`` and the number ``(m,)`` of the polyhedron each belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import Delaunay

    tessellation = Delaunay(points)
    simplices = tessellation.simplices
    centres, radii = _circumspheres(points[simplices])
    first, face = np.nonzero(tessellation.neighbors >= 0)
    second = tessellation.neighbors[first, face]
    far = np.linalg.norm(points[simplices[first, face]] - centres[second], axis=1) < SAME_SPHERE * radii[second]
    touching = coo_matrix((far, (first, second)), shape=(len(simplices), len(simplices))).tocsr()
    mutual = touching.multiply(touching.T)
    return simplices.astype(np.int64), connected_components(mutual, directed=False)[1].astype(np.int64)


def _holes(simplices: NDArray[np.int64], groups: NDArray[np.int64]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the kind and corners of every polyhedron that is a tetrahedron or an octahedron."""
    members = np.argsort(groups, kind='stable')
    holes: list[tuple[str, tuple[int, ...]]] = []
    single = np.bincount(groups)[groups] == 1
    for group in np.split(members, np.flatnonzero(np.diff(groups[members])) + 1):
        corners = tuple(int(corner) for corner in np.unique(simplices[group]))
        if len(group) == 1:
            holes.append(('tetrahedral', corners))
        elif len(corners) == 6:
            holes.append(('octahedral', corners))
    return holes + _shared_edge_octahedra(simplices, single)


def _shared_edge_octahedra(
    simplices: NDArray[np.int64], single: NDArray[np.bool_]
) -> list[tuple[str, tuple[int, ...]]]:
    """Return the bcc-like octahedra: four tetrahedra around one edge, whose ends are the two nearest corners.

    These are not vertices of the Voronoi tessellation, because the other four corners are further away.
    """
    edges = np.sort(np.concatenate([simplices[:, pair] for pair in combinations(range(4), 2)]), axis=1)
    unique, inverse, counts = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(6, len(simplices))
    tetrahedra = np.bincount(inverse[:, single].ravel(), minlength=len(unique))
    wanted = np.flatnonzero((counts == 4) & (tetrahedra == 4))
    around: dict[int, set[int]] = {int(edge): set() for edge in wanted}
    for row in inverse:
        for simplex in np.flatnonzero(np.isin(row, wanted)):
            around[int(row[simplex])].update(simplices[simplex].tolist())
    return [('octahedral', tuple(sorted(corners))) for corners in around.values() if len(corners) == 6]


def _identity(corners: list[Corner]) -> tuple[Corner, ...]:
    """Return the corners translated so that periodic images of one polyhedron are the same tuple."""
    lowest = min(corner[0] for corner in corners)
    images = []
    for _, *origin in (corner for corner in corners if corner[0] == lowest):
        moved = [(n, x - origin[0], y - origin[1], z - origin[2]) for n, x, y, z in corners]
        images.append(tuple(sorted(moved)))
    return min(images)


def find_interstitial_sites(atoms: Atoms) -> list[InterstitialSite]:
    """Find the octahedral and tetrahedral sites of a host.

    The sites are the polyhedra of the periodic Delaunay tessellation of the host atoms; tetrahedra with a
    common circumsphere form an octahedron, and so do four tetrahedra around one edge (bcc). An fcc or hcp
    crystal has 1 octahedral and 2 tetrahedral sites per atom, bcc 3 and 6, also when displaced and strained.

    Parameters
    ----------
    atoms
        The host; hydrogen in it is not counted as host. Any cell, down to one primitive cell.

    Returns
    -------
    list of InterstitialSite
        Octahedral sites first, in an order that depends on the order of the atoms only.

    Raises
    ------
    ValueError
        If there is no host atom or no cell volume, or if the structure is too thin for a tessellation.
    """
    from scipy.spatial import QhullError

    host_index = np.flatnonzero(atoms.numbers != HYDROGEN)
    if not len(host_index):
        raise ValueError('the structure has no host atom: give a crystal of a metal.')
    if atoms.cell.rank < 3:
        raise ValueError('the structure has no cell volume: give a crystal with three cell vectors.')
    host = atoms[host_index]
    length = float((host.get_volume() / len(host)) ** (1 / 3))
    crystal = _padded(host, length)
    noise = np.random.default_rng(0).uniform(-JOGGLE * length, JOGGLE * length, crystal.positions.shape)
    try:
        simplices, groups = _polyhedra(crystal.positions + noise)
    except (QhullError, np.linalg.LinAlgError) as error:
        raise ValueError('the host atoms enclose no volume: give a three-dimensional crystal.') from error
    found: dict[tuple[Corner, ...], InterstitialSite] = {}
    for kind, corners in _holes(simplices, groups):
        around = list(corners)
        centre = crystal.positions[around].mean(axis=0)
        scaled = host.cell.scaled_positions(centre)
        distance = float(np.linalg.norm(crystal.positions[around] - centre, axis=1).min())
        if np.any((scaled < -EDGE) | (scaled > 1 + EDGE)) or distance > length:
            continue
        scaled = np.where(host.pbc & ((scaled < 0) | (scaled > 1 - EDGE)), scaled - np.floor(scaled + EDGE), scaled)
        names = [
            (int(index), int(x), int(y), int(z))
            for index, (x, y, z) in zip(crystal.index[around], crystal.shift[around], strict=True)
        ]
        neighbours = tuple(int(host_index[name[0]]) for name in names)
        site = InterstitialSite(kind, host.cell.cartesian_positions(scaled), neighbours, distance)
        found.setdefault(_identity(names), site)
    return [found[key] for key in sorted(found, key=lambda key: (found[key].kind, key))]
