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


def _holes(simplices: NDArray[np.int64], groups: NDArray[np.int64]) -> dict[str, list[NDArray[np.int64]]]:
    """Return by kind the corners ``(n, 4)`` or ``(n, 6)`` of the polyhedra that are tetrahedra or octahedra."""
    single = np.bincount(groups)[groups] == 1
    tetrahedra = np.sort(simplices[single], axis=1)[np.argsort(groups[single], kind='stable')]
    octahedra = _with_six_corners(groups[~single], simplices[~single])
    return {'octahedral': [octahedra, _shared_edge_octahedra(simplices, single)], 'tetrahedral': [tetrahedra]}


def _with_six_corners(names: NDArray[np.int64], simplices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the corners ``(n, 6)`` of the polyhedra that have six, from the name of the one each simplex is in."""
    size = int(simplices.max(initial=0)) + 1
    corners = np.unique((names[:, None] * size + simplices).ravel())
    _, inverse, counts = np.unique(corners // size, return_inverse=True, return_counts=True)
    found: NDArray[np.int64] = (corners[counts[inverse] == 6] % size).reshape(-1, 6)
    return found


def _shared_edge_octahedra(simplices: NDArray[np.int64], single: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the bcc-like octahedra: four tetrahedra around one edge, whose ends are the two nearest corners.

    These are not vertices of the Voronoi tessellation, because the other four corners are further away.
    """
    edges = np.sort(np.concatenate([simplices[:, pair] for pair in combinations(range(4), 2)]), axis=1)
    names = edges[:, 0] * (int(simplices.max()) + 1) + edges[:, 1]
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(6, len(simplices))
    tetrahedra = np.bincount(inverse[:, single].ravel(), minlength=len(counts))
    wanted = (counts == 4) & (tetrahedra == 4)
    row, simplex = np.nonzero(wanted[inverse])
    return _with_six_corners(inverse[row, simplex], simplices[simplex])


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
    for kind, parts in _holes(simplices, groups).items():
        for corners in parts:
            around = crystal.positions[corners]
            centres = around.mean(axis=1)
            distances = np.linalg.norm(around - centres[:, None], axis=2).min(axis=1, initial=np.inf)
            scaled = host.cell.scaled_positions(centres)
            inside = np.all((scaled >= -EDGE) & (scaled <= 1 + EDGE), axis=1) & (distances <= length)
            folded = host.pbc & ((scaled < 0) | (scaled > 1 - EDGE))
            positions = host.cell.cartesian_positions(np.where(folded, scaled - np.floor(scaled + EDGE), scaled))
            for hole in np.flatnonzero(inside):
                index, shift = crystal.index[corners[hole]], crystal.shift[corners[hole]]
                names = [(n, x, y, z) for n, (x, y, z) in zip(index.tolist(), shift.tolist(), strict=True)]
                neighbours = tuple(host_index[index].tolist())
                site = InterstitialSite(kind, positions[hole], neighbours, float(distances[hole]))
                found.setdefault(_identity(names), site)
    return [found[key] for key in sorted(found, key=lambda key: (found[key].kind, key))]
