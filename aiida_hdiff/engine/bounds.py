"""The physical bounds of a run; outside them the potential extrapolates and the trajectory is worthless."""

from __future__ import annotations

import numpy as np

from aiida_hdiff.engine.system import System

MAX_FORCE_EV_PER_A = 100.0
MIN_DISTANCE_A = 0.3


def max_temperature_K(target_K: float) -> float:
    """Return the instantaneous temperature (K) above which a run at ``target_K`` has exploded."""
    return 5 * target_K + 1000


def outside_bounds(system: System, target_K: float, *, with_distances: bool) -> str | None:
    """Return what is wrong with the present state, or ``None``.

    Parameters
    ----------
    system
        The atoms, evaluated.
    target_K
        Temperature that is aimed at (K).
    with_distances
        Also look for atoms on top of each other, which costs a neighbour list.
    """
    for name, values in (
        ('energy', system.potential_energy),
        ('forces', system.forces),
        ('positions', system.positions),
        ('velocities', system.velocities),
        ('cell', system.cell),
    ):
        if not np.all(np.isfinite(values)):
            return f'the {name} are not finite numbers.'
    force = float(np.linalg.norm(system.forces, axis=1).max())
    if force > MAX_FORCE_EV_PER_A:
        return f'a force is {force:.4g} eV/Å, above {MAX_FORCE_EV_PER_A:g} eV/Å.'
    limit = max_temperature_K(target_K)
    if system.temperature_K > limit:
        return f'the temperature is {system.temperature_K:.4g} K, above {limit:.4g} K (target {target_K:.4g} K).'
    if with_distances:
        from ase.neighborlist import neighbor_list

        distances = neighbor_list('d', system.atoms, MIN_DISTANCE_A)
        if len(distances):
            return f'two atoms are {distances.min():.2g} Å apart, below {MIN_DISTANCE_A} Å.'
    return None
