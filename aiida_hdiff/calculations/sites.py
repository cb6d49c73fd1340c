"""Calcfunction from a trajectory to the sites of hydrogen and its jumps between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import (
    AverageHost,
    InterstitialSites,
    Jumps,
    Stays,
    average_host,
    correlation_factor,
    find_jumps,
    find_sites,
    find_stays,
    jump_diffusion,
    site_statistics,
)
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.trajectory import MDTrajectory, read_run

HYDROGEN = 1
CHUNK_FRAMES = 1000
_SITE_ARRAYS = {
    'positions_A': (0, 3),
    'kinds': (0,),
    'occupation': (0,),
    'cell_A': (0, 3),
    'host_positions_A': (0, 3),
    'host_numbers': (0,),
    'edges': (0, 2),
    'edge_counts': (0,),
}
_INTEGER_ARRAYS = ('kinds', 'host_numbers', 'edges', 'edge_counts', 'atoms', 'from_sites', 'to_sites')
_JUMP_ARRAYS = {'atoms': (0,), 'times_ps': (0,), 'from_sites': (0,), 'to_sites': (0,), 'displacements_A': (0, 3)}
_SITE_ATTRIBUTES: dict[str, Any] = {
    'lattice': 'other',
    'kind_names': [],
    'occupation_fractions': {},
    'occupation_per_site': {},
    'residence_times_ps': {},
    'jump_rates_per_ps': {},
    'n_jumps': 0,
    'mean_jump_length_A': None,
    'nearest_site_distance_A': None,
    'jump_diffusivity_m2_s': None,
    'jump_diffusivity_std_error_m2_s': None,
    'jump_diffusivity_per_axis_m2_s': None,
    'jump_diffusivity_per_axis_std_error_m2_s': None,
    'correlation_factor': None,
    'correlation_factor_std_error': None,
    'core_radius_A': None,
    'assigned_fraction': None,
    'host_rms_displacement_A': None,
    'reason': None,
}


@calcfunction
def hydrogen_sites(
    trajectory: MDTrajectory, diffusivity: DiffusivityData, settings: orm.Dict, **extensions: MDTrajectory
) -> dict[str, Any]:
    """Return the interstitial sites with what hydrogen does on them (``sites``) and its jumps (``jumps``).

    ``diffusivity`` is that of the same trajectory; its D over that of the jumps is the correlation factor. Keys of
    ``settings['analysis']``: ``core_fraction``, see :func:`~aiida_hdiff.analysis.find_stays`, and ``site_kinds``, the
    kinds of sites that hydrogen may rest on (``None`` for all). The run must have a fixed cell.

    If there is no lattice, or hydrogen is on none of the sites, the arrays are empty and the attribute ``reason`` of
    ``sites`` says why.
    """
    options = settings['analysis']
    try:
        arrays, attributes, jump_arrays = _analyse(trajectory, extensions, diffusivity, options)
    except ValueError as error:
        arrays, attributes, jump_arrays = {}, {'reason': str(error)}, {}
    sites = _node(arrays, _SITE_ARRAYS, 'sites of H')
    sites.base.attributes.set_many({**_SITE_ATTRIBUTES, **attributes})
    return {'sites': sites, 'jumps': _node(jump_arrays, _JUMP_ARRAYS, 'jumps of H')}


def _analyse(
    trajectory: MDTrajectory,
    extensions: Mapping[str, MDTrajectory],
    diffusivity: DiffusivityData,
    options: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the arrays and attributes of the sites, and the arrays of the jumps."""
    with read_run(trajectory, extensions) as reader:
        numbers, cells, times = reader.numbers, reader.cells, reader.times_fs
        host_atoms, hydrogen = np.flatnonzero(numbers != HYDROGEN), np.flatnonzero(numbers == HYDROGEN)
        _check(cells, len(host_atoms), len(hydrogen))
        host = average_host(_chunks(reader, host_atoms), cells[0])
        positions = reader.positions(hydrogen)
    positions -= host.drift_A[:, None, :]
    interval_fs = float(times[1] - times[0])
    sites = find_sites(host.positions, host.cell)
    if options['site_kinds'] is not None:
        sites = sites.select(options['site_kinds'])
    stays = find_stays(positions, sites, core_fraction=options['core_fraction'])
    jumps = find_jumps(stays, sites, interval_fs)
    statistics = site_statistics(stays, jumps, sites, interval_fs)
    edges, counts = jumps.network()
    arrays = {
        'positions_A': sites.positions,
        'kinds': sites.kinds,
        'occupation': statistics.occupation,
        'cell_A': host.cell,
        'host_positions_A': host.positions,
        'host_numbers': numbers[host_atoms],
        'edges': edges,
        'edge_counts': counts,
    }
    attributes = {
        'kind_names': list(sites.kind_names),
        'occupation_fractions': {k: list(v) for k, v in statistics.occupation_fractions.items()},
        'occupation_per_site': {k: list(v) for k, v in statistics.occupation_per_site.items()},
        'residence_times_ps': {k: list(v) if v else None for k, v in statistics.residence_times_ps.items()},
        'jump_rates_per_ps': {
            '-'.join(pair): {'value': rate.value, 'std_error': rate.std_error, 'count': rate.count}
            for pair, rate in statistics.rates.items()
        },
        **_geometry(host, sites, stays),
        **_diffusion(jumps, stays, positions, interval_fs, diffusivity),
    }
    jump_arrays = {
        'atoms': hydrogen[jumps.atoms],
        'times_ps': jumps.times_ps,
        'from_sites': jumps.from_sites,
        'to_sites': jumps.to_sites,
        'displacements_A': jumps.displacements_A,
    }
    return arrays, attributes, jump_arrays


def _check(cells: Any, n_host: int, n_hydrogen: int) -> None:
    if not n_host or not n_hydrogen:
        raise ValueError(f'sites need a host and hydrogen, but there are {n_host} host atoms and {n_hydrogen} H')
    if len(cells) < 2:
        raise ValueError(f'jumps need at least two frames, not {len(cells)}: give a longer trajectory')
    change = np.abs(cells - cells[0]).max(axis=(1, 2))
    if change.max() > 1e-6:
        raise ValueError(
            f'the cell changes by up to {change.max():.3g} Å (frame {change.argmax()}): sites are found in runs with a '
            'fixed cell, NVT or NVE'
        )


def _chunks(reader: Any, atoms: Any) -> Iterator[Any]:
    for start in range(0, len(reader), CHUNK_FRAMES):
        yield reader.positions(atoms, slice(start, start + CHUNK_FRAMES))


def _geometry(host: AverageHost, sites: InterstitialSites, stays: Stays) -> dict[str, Any]:
    return {
        'lattice': sites.lattice,
        'nearest_site_distance_A': sites.nearest_distance_A,
        'core_radius_A': stays.core_radius_A,
        'assigned_fraction': stays.fraction_in_cores,
        'host_rms_displacement_A': host.rms_displacement_A,
    }


def _diffusion(
    jumps: Jumps, stays: Stays, positions: Any, interval_fs: float, diffusivity: DiffusivityData
) -> dict[str, Any]:
    """Return D of the jumps beside D of the trajectory; empty without jumps."""
    if not len(jumps):
        return {}
    by_jumps = jump_diffusion(jumps, stays.n_frames, stays.n_atoms, interval_fs)
    attributes: dict[str, Any] = {
        'n_jumps': len(jumps),
        'mean_jump_length_A': jumps.mean_length_A,
        'jump_diffusivity_m2_s': by_jumps.value,
        'jump_diffusivity_std_error_m2_s': by_jumps.std_error,
        'jump_diffusivity_per_axis_m2_s': by_jumps.per_axis.tolist(),
        'jump_diffusivity_per_axis_std_error_m2_s': by_jumps.per_axis_std_error.tolist(),
    }
    if diffusivity.is_resolved:
        factor = correlation_factor(
            jumps,
            positions,
            interval_fs,
            window_ps=tuple(diffusivity['window_ps']),
            diffusivity_m2_s=diffusivity.value_m2_s,
        )
        attributes['correlation_factor'], attributes['correlation_factor_std_error'] = factor
    return attributes


def _node(arrays: dict[str, Any], shapes: dict[str, tuple[int, ...]], label: str) -> orm.ArrayData:
    """Return the arrays as a node; what is missing is empty."""
    node = orm.ArrayData()
    for name, shape in shapes.items():
        dtype = np.int64 if name in _INTEGER_ARRAYS else np.float64
        node.set_array(name, np.asarray(arrays.get(name, np.empty(shape)), dtype=dtype))
    node.label = label
    return node
