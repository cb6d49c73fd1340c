"""Calcfunctions from trajectories to the structure: radial distributions, correlations of H, state of the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import (
    DiffusionResult,
    HostState,
    PairResult,
    collective_diffusion,
    haven_ratio,
    host_state,
    host_warnings,
    hydrogen_pairs,
    hydrogen_warnings,
    in_sphere_radius_A,
    radial_distribution_of_blocks,
    van_hove_self,
)
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.trajectory import MDTrajectory, read_run

HYDROGEN = 1
BLOCK_FRAMES = 1024
HOST_BYTES = 2**26
HOST_FRAMES = 40
MSD_POINTS = 400


@calcfunction
def radial_distributions(trajectory: MDTrajectory, settings: orm.Dict, **extensions: MDTrajectory) -> orm.ArrayData:
    """Return the partial radial distribution functions of a fixed-cell run.

    Keys of ``settings['analysis']``: ``rdf_r_max_A`` (``None`` for the largest sphere in the cell; beyond it all
    periodic images count), ``rdf_bins``, ``rdf_frame_interval_fs``. Arrays: ``r_A``, and per pair ``g_A_B`` and
    ``coordination_A_B``, the number of neighbours up to the outer edge of each bin.
    """
    from ase.data import chemical_symbols

    options = settings['analysis']
    with read_run(trajectory, extensions) as reader:
        numbers, cell = reader.numbers, reader.cells[0]
        stride = max(1, round(options['rdf_frame_interval_fs'] / _interval_fs(reader)))
        kinds = [int(n) for n in dict.fromkeys(numbers.tolist())]
        pairs = [(a, b) for i, a in enumerate(kinds) for b in kinds[i:]]
        pairs = [(a, b) for a, b in pairs if a != b or np.count_nonzero(numbers == a) > 1]
        r_max = options['rdf_r_max_A'] or in_sphere_radius_A(cell)
        blocks = ((positions, cell[None]) for positions in _blocks(reader, None, stride))
        result = radial_distribution_of_blocks(blocks, numbers, pairs, r_max=r_max, bins=options['rdf_bins'])
    node = orm.ArrayData()
    node.set_array('r_A', result.r)
    for a, b in pairs:
        name = f'{chemical_symbols[a]}_{chemical_symbols[b]}'
        node.set_array(f'g_{name}', result.g[a, b])
        node.set_array(f'coordination_{name}', result.coordination[a, b])
    node.label = 'RDF'
    return node


@calcfunction
def hydrogen_correlations(
    trajectory: MDTrajectory, diffusivity: DiffusivityData, settings: orm.Dict, **extensions: MDTrajectory
) -> orm.ArrayData:
    """Return what hydrogen atoms do together and how far they move: van Hove function, close pairs, collective D.

    Keys of ``settings['analysis']``: ``pair_cutoff_A``, ``pair_window_ps``, ``h2_bond_A``, ``van_hove_lags_ps`` (those
    longer than half the run are left out), ``van_hove_bins``, ``jump_length_A``. The fit window and the tracer
    coefficient are those of ``diffusivity``.

    Arrays: ``van_hove_r_A``, ``van_hove_lags_ps``, ``van_hove_self`` (4πr²G_s in 1/Å, lag by distance),
    ``non_gaussian``, ``pair_times_ps``, ``pair_counts``, ``collective_lag_times_ps``, ``collective_msd_A2``.
    Attributes: ``pair_cutoff_A``, ``pair_mean``, ``pair_std_error``, ``pair_random`` (of an ideal gas),
    ``min_distance_A``, ``collective_value_m2_s``, ``collective_std_error_m2_s``, ``collective_upper_bound_m2_s``,
    ``collective_reason``, ``haven_ratio``, ``haven_ratio_std_error``; ``None`` where a single atom or too few data give
    none.
    """
    options = settings['analysis']
    with read_run(trajectory, extensions) as reader:
        positions, interval_fs = _hydrogen(reader), _interval_fs(reader)
        pairs = _pairs(reader, positions, options)
    run_ps = (len(positions) - 1) * interval_fs / FS_PER_PS
    lags = [lag for lag in options['van_hove_lags_ps'] if interval_fs / FS_PER_PS <= lag <= 0.5 * run_ps]
    van_hove = van_hove_self(positions, interval_fs, lags or [0.5 * run_ps], bins=options['van_hove_bins'])
    collective = collective_diffusion(
        positions, interval_fs, window_ps=tuple(diffusivity['window_ps']), jump_length_A=options['jump_length_A']
    )
    last = len(collective.msd.msd) - 1
    chosen = np.unique(np.concatenate([np.linspace(0, last, MSD_POINTS // 2), np.geomspace(1, last, MSD_POINTS // 2)]))
    chosen = chosen.round().astype(int)

    node = orm.ArrayData()
    arrays = {
        'van_hove_r_A': van_hove.r_A,
        'van_hove_lags_ps': van_hove.lags_ps,
        'van_hove_self': van_hove.density,
        'non_gaussian': van_hove.non_gaussian,
        'pair_times_ps': pairs.times_ps,
        'pair_counts': pairs.counts,
        'collective_lag_times_ps': collective.msd.lag_times_ps[chosen],
        'collective_msd_A2': collective.msd.msd[chosen],
    }
    for name, values in arrays.items():
        node.set_array(name, values)
    node.base.attributes.set_many(
        {
            'pair_cutoff_A': pairs.cutoff_A,
            'pair_mean': pairs.mean,
            'pair_std_error': _finite(pairs.std_error),
            'pair_random': pairs.random,
            'min_distance_A': _finite(pairs.min_distance_A),
            **_collective_attributes(collective.diffusion, diffusivity, positions, interval_fs),
        }
    )
    node.label = 'H-H pairs, van Hove function and collective diffusion'
    return node


@calcfunction
def check_structure(trajectory: MDTrajectory, settings: orm.Dict, **extensions: MDTrajectory) -> orm.Dict:
    """Return warnings of what makes D doubtful: H2, clustering of hydrogen, a host that melts or transforms.

    Keys of ``settings['analysis']``: ``pair_cutoff_A``, ``pair_window_ps``, ``h2_bond_A``, ``h2_time_ps``,
    ``clustering_factor``, ``host_window_ps``, ``lindemann_limit``, ``shell_change_limit``, ``rdf_frame_interval_fs``.
    The result holds ``warnings``, a list of ``{'kind', 'message', 'time_ps'}``, and the numbers they were judged by.
    """
    options = settings['analysis']
    with read_run(trajectory, extensions) as reader:
        pairs = _pairs(reader, _hydrogen(reader), options)
        host = _host(reader, options)
    warnings = hydrogen_warnings(
        pairs, bond_time_ps=options['h2_time_ps'], clustering_factor=options['clustering_factor']
    )
    if host is not None:
        limits = {'lindemann_limit': options['lindemann_limit'], 'shell_limit': options['shell_change_limit']}
        warnings += host_warnings(host, **limits)
    numbers = {
        'pair_mean': pairs.mean,
        'pair_std_error': _finite(pairs.std_error),
        'pair_random': pairs.random,
        'pairs_formed': pairs.formed,
        'pairs_dissolved': pairs.dissolved,
        'min_distance_A': _finite(pairs.min_distance_A),
        'h2_fraction': pairs.bond_fraction,
        'h2_longest_ps': pairs.longest_bond_ps,
        'host_window_ps': host and host.window_ps,
        'host_spacing_A': host and host.spacing_A,
        'host_rms_displacement_A': host and float(host.displacement_A[-1]),
        'host_lindemann': host and float(host.lindemann[-1]),
        'host_moved_fraction': host and float(host.moved_fraction[-1]),
        'host_shell_change': host and float(host.shell_change[-1]),
        'host_lattice_first': host and host.lattices[0],
        'host_lattice_last': host and host.lattices[-1],
    }
    node = orm.Dict({'warnings': [asdict(warning) for warning in warnings], **numbers})
    node.label = 'structure check'
    return node


def _interval_fs(reader: Any) -> float:
    return float(reader.times_fs[1] - reader.times_fs[0])


def _blocks(reader: Any, atoms: Any, stride: int) -> Iterator[Any]:
    """Yield the positions (Å) of every stride-th frame, some frames at a time."""
    step = BLOCK_FRAMES * stride
    for start in range(0, len(reader), step):
        yield reader.positions(atoms, slice(start, start + step, stride))


def _hydrogen(reader: Any) -> Any:
    """Return the positions (Å) of hydrogen without the drift of the host, if there is one."""
    hydrogen, host = (np.flatnonzero(mask) for mask in (reader.numbers == HYDROGEN, reader.numbers != HYDROGEN))
    if not hydrogen.size:
        raise ValueError('the trajectory has no hydrogen')
    positions = reader.positions(hydrogen)
    if host.size:
        drift = np.concatenate([block.mean(axis=1) for block in _blocks(reader, host, 1)])
        positions -= (drift - drift[0])[:, None]
    return positions


def _cells(reader: Any, stride: int = 1) -> Any:
    """Return the one cell (Å) of a run in which it is fixed, else the cell of every stride-th frame."""
    cells = reader.cells[::stride]
    return cells[0] if np.ptp(cells, axis=0).max() == 0.0 else cells


def _pairs(reader: Any, positions: Any, options: dict[str, Any]) -> PairResult:
    interval_fs = _interval_fs(reader)
    return hydrogen_pairs(
        positions,
        _cells(reader),
        interval_fs,
        cutoff_A=options['pair_cutoff_A'],
        window_ps=min(options['pair_window_ps'], len(positions) * interval_fs / FS_PER_PS),
        bond_A=options['h2_bond_A'],
    )


def _host(reader: Any, options: dict[str, Any]) -> HostState | None:
    host = np.flatnonzero(reader.numbers != HYDROGEN)
    if not host.size:
        return None
    interval_fs = _interval_fs(reader)
    sparse = min(round(options['rdf_frame_interval_fs'] / interval_fs), len(reader) // HOST_FRAMES)
    bounded = -(-len(reader) * host.size * 24 // HOST_BYTES)
    stride = max(1, sparse, bounded)
    positions = np.concatenate(list(_blocks(reader, host, stride)))
    return host_state(positions, _cells(reader, stride), interval_fs * stride, window_ps=options['host_window_ps'])


def _collective_attributes(
    result: DiffusionResult, diffusivity: DiffusivityData, positions: np.ndarray, interval_fs: float
) -> dict[str, Any]:
    n_atoms = positions.shape[1]
    resolved = n_atoms > 1 and result.status == 'resolved'
    ratio: tuple[float | None, float | None] = (None, None)
    if resolved and diffusivity['value_m2_s'] is not None:
        ratio = haven_ratio(positions, interval_fs, window_ps=result.window_ps)
    return {
        'collective_value_m2_s': float(result.value) if resolved else None,
        'collective_std_error_m2_s': float(result.std_error) if resolved else None,
        'collective_upper_bound_m2_s': float(result.upper_bound) if n_atoms > 1 else None,
        'collective_reason': result.reason if n_atoms > 1 else 'a single hydrogen atom has no collective motion',
        'haven_ratio': ratio[0],
        'haven_ratio_std_error': ratio[1],
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
