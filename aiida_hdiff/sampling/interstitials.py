"""Structures with interstitial hydrogen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.sampling.sites import HYDROGEN, find_interstitial_sites

if TYPE_CHECKING:
    from ase import Atoms

SITE_CHOICES = ('octahedral', 'tetrahedral', 'mixed', 'random')
SHUFFLES = 200
"""Random orders of the sites that are tried before the hydrogen is said not to fit."""
TRIALS_PER_ATOM = 5000
"""Random positions that are tried for each hydrogen atom before it is said not to fit."""

Floats = NDArray[np.float64]


def _number_of_hydrogen(n_hydrogen: int | None, ratio: float | None, n_host: int) -> int:
    if (n_hydrogen is None) == (ratio is None):
        raise ValueError('give either `n_hydrogen` or `ratio` (H per host atom), and not both.')
    if ratio is not None:
        if not 0 < ratio < np.inf:
            raise ValueError(f'`ratio` is {ratio!r}: give a positive number of H per host atom.')
        number = round(ratio * n_host)
        if number < 1:
            raise ValueError(
                f'`ratio` {ratio} of {n_host} host atoms is less than one H: '
                f'give at least {1 / n_host:.4g}, `n_hydrogen`, or a larger cell.'
            )
        return number
    if isinstance(n_hydrogen, bool) or not isinstance(n_hydrogen, (int, np.integer)) or n_hydrogen < 1:
        raise ValueError(f'`n_hydrogen` is {n_hydrogen!r}: give a whole number of at least 1.')
    return int(n_hydrogen)


def _choose_sites(
    candidates: Floats, number: int, min_distance: float, atoms: Atoms, rng: np.random.Generator
) -> Floats:
    from ase import Atoms as AseAtoms
    from ase.neighborlist import neighbor_list

    occupied = atoms.positions[atoms.numbers == HYDROGEN]
    points = np.concatenate([candidates, occupied])
    marks = AseAtoms(numbers=np.zeros(len(points), int), positions=points, cell=atoms.cell, pbc=atoms.pbc)
    first, second = neighbor_list('ij', marks, float(min_distance))
    neighbours = np.split(second, np.searchsorted(first, np.arange(1, len(points))))
    available = np.ones(len(points), dtype=bool)
    available[len(candidates) :] = False
    for hydrogen in range(len(candidates), len(points)):
        available[neighbours[hydrogen]] = False
    best = 0
    for _ in range(SHUFFLES):
        free = available.copy()
        chosen: list[int] = []
        for site in rng.permutation(len(candidates)):
            if free[site]:
                chosen.append(int(site))
                free[neighbours[site]] = False
            if len(chosen) == number:
                return candidates[chosen]
        best = max(best, len(chosen))
    raise ValueError(
        f'no room for {number} H on {np.count_nonzero(available)} free sites at least {min_distance} Å apart: '
        f'at most {best} were placed. Give fewer H, a larger cell, or a smaller `min_distance_A`.'
    )


def _distances(point: Floats, others: Floats, atoms: Atoms) -> Floats:
    from ase.geometry import get_distances

    distances = get_distances(point[None], others, cell=atoms.cell, pbc=atoms.pbc)[1]
    return np.asarray(distances[0], dtype=np.float64)


def _random_positions(
    number: int, min_distance: float, min_host_distance: float, atoms: Atoms, rng: np.random.Generator
) -> Floats:
    points = np.array(atoms.positions)
    limits = np.where(atoms.numbers == HYDROGEN, min_distance, min_host_distance)
    for placed in range(number):
        for _ in range(TRIALS_PER_ATOM):
            point = rng.random(3) @ atoms.cell.array
            if np.all(_distances(point, points, atoms) >= limits):
                points = np.concatenate([points, point[None]])
                limits = np.append(limits, min_distance)
                break
        else:
            raise ValueError(
                f'no room for {number} H at least {min_distance} Å from each other and {min_host_distance} Å '
                f'from the host: {placed} were placed. '
                'Give fewer H, a larger cell, or smaller distances.'
            )
    return points[len(atoms) :]


def insert_interstitials(
    atoms: Atoms,
    *,
    n_hydrogen: int | None = None,
    ratio: float | None = None,
    sites: str = 'octahedral',
    seed: int,
    min_distance_A: float = 1.8,
    min_host_distance_A: float = 1.2,
) -> Atoms:
    """Insert hydrogen at randomly chosen interstitial sites of a host.

    Parameters
    ----------
    atoms
        The host crystal or supercell, ideal or displaced; hydrogen already in it is kept and avoided.
    n_hydrogen, ratio
        Number of H to insert, or H per host atom (rounded to a whole number of H). Give one of them.
    sites
        ``octahedral``, ``tetrahedral``, ``mixed`` (both, all sites equally likely) or ``random`` (anywhere).
    seed
        Seed of the choice; the same seed gives the same structure.
    min_distance_A
        Shortest distance between two H (Å), over periodic boundaries.
    min_host_distance_A
        Shortest distance between H and a host atom (Å).

    Returns
    -------
    ase.Atoms
        A copy of the host with the new H last.

    Raises
    ------
    ValueError
        If a setting is out of range, the host has no such sites, or the hydrogen does not fit.
    """
    from ase import Atoms as AseAtoms

    if sites not in SITE_CHOICES:
        raise ValueError(f'`sites` is {sites!r}: choose one of {", ".join(SITE_CHOICES)}.')
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f'`seed` is {seed!r}: give a whole number of at least 0.')
    for name, value in (('min_distance_A', min_distance_A), ('min_host_distance_A', min_host_distance_A)):
        if not 0 <= value < np.inf:
            raise ValueError(f'`{name}` is {value!r}: give a distance in Å.')
    if atoms.cell.rank < 3:
        raise ValueError('the structure has no cell volume: give a crystal with three cell vectors.')
    n_host = int(np.count_nonzero(atoms.numbers != HYDROGEN))
    if n_host == 0:
        raise ValueError('the structure has no host atom: give a crystal of a metal.')
    number = _number_of_hydrogen(n_hydrogen, ratio, n_host)
    rng = np.random.default_rng(int(seed))
    if sites == 'random':
        positions = _random_positions(number, min_distance_A, min_host_distance_A, atoms, rng)
    else:
        candidates = _wide_sites(atoms, sites, min_host_distance_A)
        positions = _choose_sites(candidates, number, min_distance_A, atoms, rng)
    with_hydrogen: Atoms = atoms.copy()
    with_hydrogen.extend(AseAtoms(numbers=[HYDROGEN] * number, positions=positions))
    return with_hydrogen


def _wide_sites(atoms: Atoms, sites: str, min_host_distance: float) -> Floats:
    found = find_interstitial_sites(atoms)
    of_kind = [site for site in found if sites in ('mixed', site.kind)]
    if not of_kind:
        kinds = sorted({site.kind for site in found})
        has = f'it has {" and ".join(kinds)} ones only' if kinds else 'none were found at all'
        raise ValueError(f'the host has no {sites} sites: {has}. Choose others, or `random`.')
    wide = [site.position for site in of_kind if site.host_distance_A >= min_host_distance]
    if not wide:
        largest = max(site.host_distance_A for site in of_kind)
        raise ValueError(
            f'every {sites} site is nearer to the host than `min_host_distance_A` = {min_host_distance} Å; '
            f'the widest has {largest:.2f} Å.'
        )
    return np.array(wide)
