"""Configurations with hydrogen too near to another atom, from which a fitted potential learns what not to do.

Molecular dynamics of a good potential does not go there; that of a potential fitted to it alone does, and ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.sampling.dataset_statistics import dataset_statistics
from aiida_hdiff.sampling.sites import HYDROGEN

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]

DIRECTIONS = 100
"""Directions that are tried for a contact; one of the half that leaves most space to all other atoms is taken."""
CONTACT_H_H_A = 1.0
CONTACT_H_HOST_A = 1.3
"""Sets without distances of hydrogen below these have no close contacts."""


@dataclass(frozen=True)
class ContactSettings:
    """How the configurations are made.

    Attributes
    ----------
    n_frames
        How many; half of them with two hydrogen atoms near each other, half with one near a host atom.
    seed
        Of all random numbers.
    h_h_A, h_host_A
        Smallest and largest distance (Å) of the pair that is brought together; distances are evenly distributed.
    rattle_A
        Standard deviation of the displacements of all atoms along each axis (Å).
    max_strain
        Largest relative change of the lengths of the cell, evenly distributed, the same in all directions.
    """

    n_frames: int
    seed: int
    h_h_A: tuple[float, float] = (0.65, 2.2)
    h_host_A: tuple[float, float] = (0.85, 1.7)
    rattle_A: float = 0.1
    max_strain: float = 0.03

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ContactSettings:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or a value is out of range; the message says what to give instead.
        """
        known = [one.name for one in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f'unknown setting `{key}`: known are {", ".join(known)}.')
        for key, least in (('n_frames', 1), ('seed', 0)):
            value = values.get(key)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f'`{key}` is {value!r}: give a whole number of at least {least}.')
        for key in ('h_h_A', 'h_host_A'):
            pair = values.get(key, (0.5, 1.0))
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not 0.0 < pair[0] < pair[1]:
                raise ValueError(f'`{key}` is {pair!r}: give the smallest and the largest distance in Å.')
        for key in ('rattle_A', 'max_strain'):
            value = values.get(key, 0.0)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < 0.5:
                raise ValueError(f'`{key}` is {value!r}: give a number from 0 to 0.5.')
        pairs = {key: tuple(values[key]) for key in ('h_h_A', 'h_host_A') if key in values}
        return cls(**{**values, **pairs})


def close_contacts(structures: Sequence[Atoms], settings: ContactSettings) -> list[tuple[Atoms, str]]:
    """Return configurations with a close contact of hydrogen, and the pair of each, such as ``H-Ni``.

    Parameters
    ----------
    structures
        Hosts with hydrogen, which are taken in turn. Where there is one hydrogen atom only, a pair gets a second.
    settings
        How they are made.

    Raises
    ------
    ValueError
        No structures, or one without hydrogen or without host atoms.
    """
    if not structures:
        raise ValueError('no structures: give at least one host with hydrogen.')
    for atoms in structures:
        if not 0 < np.count_nonzero(atoms.numbers == HYDROGEN) < len(atoms):
            raise ValueError(f'{atoms.get_chemical_formula()} is no host with hydrogen: insert hydrogen into a host.')
    rng = np.random.default_rng(settings.seed)
    distances = (
        _evenly(settings.h_h_A, (settings.n_frames + 1) // 2, rng),
        _evenly(settings.h_host_A, settings.n_frames // 2, rng),
    )
    found = []
    for index in range(settings.n_frames):
        atoms = structures[(index // 2) % len(structures)].copy()
        atoms.calc = None
        strain = 1.0 + rng.uniform(-settings.max_strain, settings.max_strain)
        atoms.set_cell(atoms.cell.array * strain, scale_atoms=True)
        atoms.positions += rng.normal(0.0, settings.rattle_A, atoms.positions.shape)
        distance_A = float(distances[index % 2][index // 2])
        pair = (_approach_hydrogen, _approach_host)[index % 2](atoms, distance_A, rng)
        atoms.wrap()
        found.append((atoms, pair))
    return found


def _evenly(limits_A: tuple[float, float], count: int, rng: np.random.Generator) -> Floats:
    """Return distances (Å) in random order, one at a random place of each of ``count`` equal parts of a range."""
    low, high = limits_A
    return low + (high - low) * rng.permutation((np.arange(count) + rng.uniform(size=count)) / max(1, count))


def _approach_hydrogen(atoms: Atoms, distance_A: float, rng: np.random.Generator) -> str:
    hydrogens = np.flatnonzero(atoms.numbers == HYDROGEN)
    if len(hydrogens) == 1:
        atoms.append('H')
        first, second = int(hydrogens[0]), len(atoms) - 1
    else:
        first, second = (int(one) for one in rng.choice(hydrogens, size=2, replace=False))
    _place(atoms, second, first, distance_A, rng)
    return 'H-H'


def _approach_host(atoms: Atoms, distance_A: float, rng: np.random.Generator) -> str:
    hydrogen = int(rng.choice(np.flatnonzero(atoms.numbers == HYDROGEN)))
    hosts = np.flatnonzero(atoms.numbers != HYDROGEN)
    nearest = hosts[np.argsort(atoms.get_distances(hydrogen, hosts, mic=True), kind='stable')[:4]]
    host = int(rng.choice(nearest))
    _place(atoms, hydrogen, host, distance_A, rng)
    return f'H-{atoms.symbols[host]}'


def _place(atoms: Atoms, moved: int, centre: int, distance_A: float, rng: np.random.Generator) -> None:
    """Put an atom at a distance from another, where it has space, periodic images included."""
    from ase.geometry import get_distances

    directions = rng.normal(size=(DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    places = atoms.positions[centre] + distance_A * directions
    others = [index for index in range(len(atoms)) if index not in (moved, centre)]
    _, distances = get_distances(places, atoms.positions[others], cell=atoms.cell, pbc=atoms.pbc)
    by_space = np.argsort(-distances.min(axis=1), kind='stable')
    atoms.positions[moved] = places[by_space[rng.integers(DIRECTIONS // 2)]]


def shortest_distances(frames: LabelledFrames) -> dict[str, float]:
    """Return the shortest distance (Å) of each pair of elements in a set, such as ``H-Ni``, as far as it is below 3 Å.

    Raises
    ------
    ValueError
        No frames.
    """
    contacts = dataset_statistics(frames)['contacts']['shortest_A']
    return {pair: float(one['distance_A']) for pair, one in contacts.items()}


def contact_warnings(shortest_A: Mapping[str, float]) -> list[str]:
    """Return that a set with hydrogen has no close contacts, for each pair that lacks them.

    Parameters
    ----------
    shortest_A
        As `shortest_distances` returns them.
    """
    warnings = []
    for pair, distance in shortest_A.items():
        if 'H' not in pair.split('-'):
            continue
        limit = CONTACT_H_H_A if pair == 'H-H' else CONTACT_H_HOST_A
        if distance > limit:
            warnings.append(
                f'no close contacts of {pair}: the nearest are {distance:.2f} Å apart, more than {limit} Å. Potentials '
                'fitted to such frames lose atoms in hot runs: add labelled frames of `hdiff.close_contacts`, or use '
                'the workchain `hdiff.distill`.'
            )
    return warnings
