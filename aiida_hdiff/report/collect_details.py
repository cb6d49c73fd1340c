"""From the outputs of one run to what a report shows beside its diffusion coefficient; any of them may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm

from aiida_hdiff.report.details import (
    Collective,
    HydrogenPath,
    PairSeries,
    RunDetails,
    SiteNetwork,
    VanHove,
    WindowScan,
)
from aiida_hdiff.report.path import hydrogen_path

HYDROGEN = 1
HOST_FRAMES = 50


def run_details(outputs: Mapping[str, Any], path: HydrogenPath | None) -> RunDetails:
    """Return the details of a finished DiffusivityWorkChain.

    Parameters
    ----------
    outputs : mapping
        Its output nodes by link label.
    path : HydrogenPath or None
        The path of one hydrogen atom, see :func:`path_from_reader`.

    Returns
    -------
    RunDetails
        Parts whose node or array is missing are ``None``.
    """
    diffusivity = outputs['diffusivity'].base.attributes.all
    warnings = list(diffusivity.get('warnings') or [])
    if 'structure_check' in outputs:
        warnings += [_structure_warning(entry) for entry in outputs['structure_check'].get('warnings', [])]
    if 'sites' in outputs and (reason := outputs['sites'].base.attributes.get('reason', None)):
        warnings.append(f'The sites of hydrogen are not known: {reason}')
    correlations = _arrays(outputs.get('correlations'))
    attributes = outputs['correlations'].base.attributes.all if 'correlations' in outputs else {}
    return RunDetails(
        windows=_windows(_arrays(outputs.get('msd'))),
        pairs=_pairs(correlations, attributes),
        van_hove=_van_hove(correlations),
        collective=_collective(attributes),
        sites=_sites(outputs.get('sites')),
        path=path,
        interval_kind=diffusivity.get('interval_kind') or 'normal',
        walker_std_error_m2_s=diffusivity.get('walker_std_error_m2_s'),
        warnings=tuple(map(str, warnings)),
    )


def path_from_reader(reader: Any) -> HydrogenPath | None:
    """Return the path of the hydrogen atom that moved furthest in an open trajectory, or ``None`` without one."""
    from ase.data import chemical_symbols

    numbers = np.asarray(reader.numbers)
    hydrogen, host = np.nonzero(numbers == HYDROGEN)[0], np.nonzero(numbers != HYDROGEN)[0]
    if len(hydrogen) == 0 or len(host) < 2 or len(reader) < 2:
        return None
    times = reader.times_fs / 1000.0
    stride = max(1, len(reader) // HOST_FRAMES)
    frames = reader.positions(host, slice(0, None, stride))
    drift = frames.mean(axis=1) - frames[0].mean(axis=0)
    at_frame = np.stack([np.interp(times, times[::stride], drift[:, axis]) for axis in range(3)], axis=1)
    return hydrogen_path(
        times,
        reader.positions(hydrogen) - at_frame[:, None, :],
        hydrogen.tolist(),
        (frames - drift[:, None, :]).mean(axis=0),
        [chemical_symbols[number] for number in numbers[host]],
        np.asarray(reader.cells[0]),
    )


def _arrays(node: orm.ArrayData | None) -> dict[str, Any]:
    return {} if node is None else {name: node.get_array(name) for name in node.get_arraynames()}


def _structure_warning(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return str(entry)
    time = entry.get('time_ps')
    return str(entry.get('message', '')) + (f' (at {time:g} ps)' if isinstance(time, (int, float)) else '')


def _has(arrays: Mapping[str, Any], *names: str) -> bool:
    return all(name in arrays and np.size(arrays[name]) for name in names)


def _windows(arrays: Mapping[str, Any]) -> WindowScan | None:
    names = ('window_start_ps', 'window_end_ps', 'window_value_m2_s', 'window_std_error_m2_s')
    return WindowScan(*(arrays[name] for name in names)) if _has(arrays, *names) else None


def _pairs(arrays: Mapping[str, Any], attributes: Mapping[str, Any]) -> PairSeries | None:
    if not _has(arrays, 'pair_times_ps', 'pair_counts'):
        return None
    return PairSeries(
        arrays['pair_times_ps'],
        arrays['pair_counts'],
        attributes.get('pair_cutoff_A') or 3.0,
        attributes.get('pair_mean'),
        attributes.get('pair_std_error'),
        attributes.get('pair_random'),
    )


def _van_hove(arrays: Mapping[str, Any]) -> VanHove | None:
    if not _has(arrays, 'van_hove_r_A', 'van_hove_lags_ps', 'van_hove_self'):
        return None
    alpha = arrays.get('non_gaussian')
    lags = arrays['van_hove_lags_ps']
    alpha = alpha if alpha is not None and len(alpha) == len(lags) else None
    return VanHove(arrays['van_hove_r_A'], lags, arrays['van_hove_self'], alpha)


def _collective(attributes: Mapping[str, Any]) -> Collective | None:
    if attributes.get('collective_value_m2_s') is None:
        return None
    return Collective(
        attributes['collective_value_m2_s'],
        attributes.get('collective_std_error_m2_s'),
        attributes.get('haven_ratio'),
        attributes.get('haven_ratio_std_error'),
    )


def _sites(node: orm.ArrayData | None) -> SiteNetwork | None:
    arrays = _arrays(node)
    attributes = {} if node is None else node.base.attributes.all
    if not _has(arrays, 'positions_A', 'kinds', 'cell_A'):
        return None
    rates = attributes.get('jump_rates_per_ps') or {}
    names = ('n_jumps', 'mean_jump_length_A', 'jump_diffusivity_m2_s', 'jump_diffusivity_std_error_m2_s')
    return SiteNetwork(
        positions_A=arrays['positions_A'],
        kinds=np.asarray(arrays['kinds'], dtype=np.int64),
        kind_names=tuple(attributes.get('kind_names') or ()),
        cell_A=arrays['cell_A'],
        host_positions_A=arrays.get('host_positions_A', np.empty((0, 3))),
        host_numbers=np.asarray(arrays.get('host_numbers', ()), dtype=np.int64),
        edges=np.asarray(arrays.get('edges', ()), dtype=np.int64).reshape(-1, 2),
        edge_counts=np.asarray(arrays.get('edge_counts', ()), dtype=np.float64),
        occupation={kind: _measured(value) for kind, value in (attributes.get('occupation_fractions') or {}).items()},
        residence_times_ps={
            kind: None if value is None else _measured(value)
            for kind, value in (attributes.get('residence_times_ps') or {}).items()
        },
        jump_rates_per_ps={
            pair: (rate['value'], rate.get('std_error'), rate.get('count')) for pair, rate in rates.items()
        },
        site_occupation=arrays.get('occupation'),
        lattice=attributes.get('lattice') or '',
        correlation_factor=attributes.get('correlation_factor'),
        correlation_factor_std_error=attributes.get('correlation_factor_std_error'),
        reason=attributes.get('reason') or '',
        **{name: attributes.get(name) for name in names},
    )


def _measured(value: Any) -> tuple[float, float | None]:
    if isinstance(value, (int, float)):
        return float(value), None
    return value[0], value[1]
