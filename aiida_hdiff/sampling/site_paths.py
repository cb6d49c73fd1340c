"""Straight paths of one hydrogen atom between interstitial sites of a rigid host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.sampling.sites import HYDROGEN, find_interstitial_sites

if TYPE_CHECKING:
    from ase import Atoms

PATHS = {'T-T': ('tetrahedral', 'tetrahedral'), 'T-O': ('tetrahedral', 'octahedral')}
SITES = ('tetrahedral', 'octahedral')
_SAME_A = 0.1


def site_paths(host: Atoms, n_points: int) -> dict[str, list[Atoms]]:
    """Return hydrogen on its way from a tetrahedral site to the nearest of its kind, and to an octahedral site.

    Parameters
    ----------
    host
        The host; hydrogen in it is left out. Its atoms do not move.
    n_points
        Positions along each path, the sites included.

    Returns
    -------
    dict
        Configurations by the name of the path, ``T-T`` and ``T-O``, as far as the host has such sites.
    """
    rigid = host[host.numbers != HYDROGEN]
    rigid.calc = None
    sites = find_interstitial_sites(rigid)
    positions = {kind: np.array([one.position for one in sites if one.kind == kind]) for kind in SITES}
    if not len(positions['tetrahedral']):
        return {}
    start = positions['tetrahedral'][0]
    found = {}
    for name, (_, kind) in PATHS.items():
        step = _nearest(rigid, start, positions[kind])
        if step is not None:
            found[name] = [_with_hydrogen(rigid, start + share * step) for share in np.linspace(0.0, 1.0, n_points)]
    return found


def _nearest(host: Atoms, start: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the vector to the nearest of some positions that is another one; of equally near ones to the first."""
    from ase.geometry import get_distances

    if not len(ends):
        return None
    vectors, lengths = get_distances(start[None], ends, cell=host.cell, pbc=host.pbc)
    others = np.flatnonzero(lengths[0] > _SAME_A)
    if not len(others):
        return None
    nearest = lengths[0][others].min()
    first = others[np.flatnonzero(lengths[0][others] < nearest + _SAME_A)[0]]
    return np.array(vectors[0][first], dtype=np.float64)


def _with_hydrogen(host: Atoms, position: NDArray[np.float64]) -> Atoms:
    from ase import Atoms as AseAtoms

    atoms: Atoms = host.copy()
    atoms.extend(AseAtoms('H', positions=[position]))
    atoms.wrap()
    return atoms
