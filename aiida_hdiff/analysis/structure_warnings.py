"""What happened to the structure that a reader of the diffusion coefficient must know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aiida_hdiff.analysis.host_state import HostState
from aiida_hdiff.analysis.pairs import PairResult

SIGMAS = 3.0


@dataclass(frozen=True)
class StructureWarning:
    """One finding.

    Attributes
    ----------
    kind
        'h2_formation', 'clustering', 'melting' or 'phase_change'.
    message
        The finding with its numbers, in plain words.
    time_ps
        When it began, in ps since the first frame, where that can be said.
    """

    kind: Literal['h2_formation', 'clustering', 'melting', 'phase_change']
    message: str
    time_ps: float | None


def hydrogen_warnings(
    pairs: PairResult, *, bond_time_ps: float = 0.1, clustering_factor: float = 2.0
) -> list[StructureWarning]:
    """Return what the pairs of hydrogen tell: H2 formation and clustering.

    H2: two atoms stay under the bond length of the count for longer than `bond_time_ps`. Clustering: more pairs than
    `clustering_factor` times the random number, either in the mean by three standard errors (blocked error and Poisson
    error of the pairs formed together), or in the last quarter of the run with a net formation of pairs that is three
    standard deviations from none. Atoms that merely start as a pair and stay where they are do not count.

    Parameters
    ----------
    pairs
        Result of `hydrogen_pairs`.
    bond_time_ps
        Longest time in ps for which a collision may last.
    clustering_factor
        Number of pairs, in units of the random one, that is tolerated.
    """
    found = []
    if pairs.longest_bond_ps > bond_time_ps:
        found.append(
            StructureWarning(
                'h2_formation',
                f'Two H atoms stay bound as H2 for {pairs.longest_bond_ps:.3g} ps from '
                f'{pairs.longest_bond_start_ps:.4g} ps on (closest: '
                f'{pairs.min_distance_A:.2f} Å): this is not diffusion of atomic hydrogen.',
                pairs.longest_bond_start_ps,
            )
        )
    expected = clustering_factor * pairs.random
    last = float(pairs.counts[-max(1, pairs.counts.size // 4) :].mean())
    error = float(np.hypot(np.nan_to_num(pairs.std_error), pairs.mean / np.sqrt(max(pairs.formed, 1))))
    net, events = pairs.formed - pairs.dissolved, pairs.formed + pairs.dissolved
    many = pairs.mean - SIGMAS * error > expected
    growing = events > 0 and net > SIGMAS * np.sqrt(events) and last > expected
    if many or growing:
        course = f'; {pairs.formed} formed and {pairs.dissolved} came apart, {last:.2f} at the end' if growing else ''
        found.append(
            StructureWarning(
                'clustering',
                f'{pairs.mean:.2f} ± {error:.2f} H-H pairs are closer than {pairs.cutoff_A:g} Å where '
                f'{pairs.random:.2f} are expected at random{course}: hydrogen clusters, so D is that of a '
                'supersaturated or ordering solid.',
                None,
            )
        )
    return found


def host_warnings(host: HostState, *, lindemann_limit: float = 0.2, shell_limit: float = 0.1) -> list[StructureWarning]:
    """Return what the host tells: melting, or else a phase change.

    Parameters
    ----------
    host
        Result of `host_state`.
    lindemann_limit, shell_limit
        See `HostState.melted_since_ps` and `HostState.transformed_since_ps`.
    """
    melted = host.melted_since_ps(lindemann_limit)
    if melted is not None:
        message = (
            f'The host is molten from {melted:.4g} ps on: at the end its atoms spread over {host.lindemann[-1]:.0%} of '
            f'their spacing of {host.spacing_A:.2f} Å within {host.window_ps:.3g} ps (a crystal: below '
            f'{lindemann_limit:.0%}), and {host.moved_fraction[-1]:.0%} of them have left their place.'
        )
        return [StructureWarning('melting', message, melted)]
    changed = host.transformed_since_ps(shell_limit)
    if changed is not None:
        message = (
            f'The lattice of the host changes from {host.lattices[0]} to {host.lattices[-1]} at {changed:.4g} ps: the '
            f'distances to the nearest neighbours change by {host.shell_change[-1]:.0%} of the spacing, '
            f'{host.moved_fraction[-1]:.0%} of the atoms have left their place.'
        )
        return [StructureWarning('phase_change', message, changed)]
    return []
