"""Calcfunctions from trajectories to D(T) and from D(T) to the Arrhenius parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import (
    diffusion_coefficient,
    fit_arrhenius,
    mean_squared_displacement,
    radial_distribution,
)
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.trajectory import MDTrajectory

HYDROGEN = 1
MSD_POINTS = 400
MSD_MAX_FRACTION = 0.1


@calcfunction
def diffusivity_from_trajectory(
    trajectory: MDTrajectory, temperature: orm.Float, check: orm.Dict, settings: orm.Dict
) -> dict[str, Any]:
    """Return the diffusivity of hydrogen (``diffusivity``) and its mean squared displacement (``msd``).

    The mean displacement of the host is removed. ``check`` is the result of
    :func:`~aiida_hdiff.calculations.stages.check_nve`; ``settings['analysis']`` holds ``window_ps`` and
    ``jump_length_A``.
    """
    with trajectory.reader() as reader:
        numbers, times = reader.numbers, reader.times_fs
        host = np.nonzero(numbers != HYDROGEN)[0]
        drift = _mean_positions(reader, host)
        positions = reader.positions(np.nonzero(numbers == HYDROGEN)[0]) - (drift - drift[0])[:, None, :]
    interval_fs = float(times[1] - times[0])
    options = settings['analysis']
    result = diffusion_coefficient(
        positions,
        interval_fs,
        window_ps=tuple(options['window_ps']),
        jump_length_A=options['jump_length_A'],
    )
    resolved = result.status == 'resolved'
    diffusivity = DiffusivityData(
        {
            'temperature_K': temperature.value,
            'measured_temperature_K': check['mean_temperature_K'],
            'temperature_error_K': check['temperature_error_K'],
            'drift_meV_per_atom_per_ns': check['drift_meV_per_atom_per_ns'],
            'status': result.status,
            'reason': result.reason,
            'value_m2_s': float(result.value) if resolved else None,
            'std_error_m2_s': float(result.std_error) if resolved else None,
            'interval_m2_s': [float(v) for v in result.interval] if resolved else None,
            'per_axis_m2_s': [float(v) for v in result.per_axis] if resolved else None,
            'per_axis_std_error_m2_s': [float(v) for v in result.per_axis_std_error] if resolved else None,
            'upper_bound_m2_s': float(result.upper_bound),
            'n_hops': float(result.n_hops),
            'n_hydrogen': positions.shape[1],
            'n_host': len(host),
            'n_blocks': int(result.n_blocks),
            'window_ps': [float(v) for v in result.window_ps],
            'production_ps': float(times[-1] - times[0]) / FS_PER_PS,
        }
    )
    diffusivity.label = f'D({temperature.value:.0f} K)'
    return {'diffusivity': diffusivity, 'msd': _msd(positions, interval_fs, result.window_ps[1])}


def _mean_positions(reader: Any, atoms: Any) -> Any:
    """Return the mean position (Å) of some atoms in each frame, shape (n_frames, 3), with bounded memory."""
    means = [reader.positions(atoms, slice(start, start + 1000)).mean(axis=1) for start in range(0, len(reader), 1000)]
    return np.concatenate(means)


def _msd(positions: Any, interval_fs: float, window_end_ps: float) -> orm.ArrayData:
    longest = max(int(MSD_MAX_FRACTION * len(positions)), round(window_end_ps * FS_PER_PS / interval_fs))
    msd = mean_squared_displacement(positions, interval_fs, max_lag=min(longest, len(positions) - 1))
    last = len(msd.lag_times_ps) - 1
    dense = np.linspace(0, last, MSD_POINTS // 2)
    chosen = np.unique(np.concatenate([dense, np.geomspace(1, last, MSD_POINTS // 2)]).round().astype(int))
    node = orm.ArrayData()
    node.set_array('lag_times_ps', msd.lag_times_ps[chosen])
    node.set_array('msd_A2', msd.msd[chosen])
    node.set_array('msd_per_axis_A2', msd.msd_per_axis[chosen])
    node.label = 'MSD of H'
    return node


@calcfunction
def radial_distributions(trajectory: MDTrajectory, settings: orm.Dict) -> orm.ArrayData:
    """Return the partial radial distribution functions of a fixed-cell run.

    Keys of ``settings['analysis']``: ``rdf_r_max_A`` (``None`` for the largest sphere in the cell), ``rdf_bins``,
    ``rdf_frame_interval_fs``. Arrays: ``r_A``, and per pair ``g_A_B`` and ``coordination_A_B``.
    """
    from ase.data import chemical_symbols

    options = settings['analysis']
    with trajectory.reader() as reader:
        numbers, cell, times = reader.numbers, reader.cells[0], reader.times_fs
        stride = max(1, round(options['rdf_frame_interval_fs'] / float(times[1] - times[0])))
        positions = reader.positions(frames=slice(0, None, stride))
    kinds = [int(n) for n in dict.fromkeys(numbers.tolist())]
    pairs = [(a, b) for i, a in enumerate(kinds) for b in kinds[i:]]
    pairs = [(a, b) for a, b in pairs if a != b or np.count_nonzero(numbers == a) > 1]
    r_max = options['rdf_r_max_A'] or in_sphere_radius_A(cell)
    result = radial_distribution(positions, cell, numbers, pairs, r_max=r_max, bins=options['rdf_bins'])
    node = orm.ArrayData()
    node.set_array('r_A', result.r)
    for a, b in pairs:
        name = f'{chemical_symbols[a]}_{chemical_symbols[b]}'
        node.set_array(f'g_{name}', result.g[a, b])
        node.set_array(f'coordination_{name}', result.coordination[a, b])
    node.label = 'RDF'
    return node


def in_sphere_radius_A(cell: Any) -> float:
    """Return the radius (Å) of the largest sphere in a cell: half its smallest height."""
    cell = np.asarray(cell)
    areas = np.linalg.norm(np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0)), axis=1)
    return float(0.5 * abs(np.linalg.det(cell)) / areas.max())


@calcfunction
def arrhenius_from_diffusivities(missing: orm.Dict, **diffusivities: DiffusivityData) -> ArrheniusData:
    """Return the Arrhenius parameters of the resolved diffusivities, at their measured temperatures.

    ``missing`` maps labels of runs that gave no diffusivity to the reason; unresolved ones are added to it.
    """
    resolved = {label: node for label, node in sorted(diffusivities.items()) if node.is_resolved}
    left_out = [
        {'label': label, 'temperature_K': entry['temperature_K'], 'reason': entry['reason']}
        for label, entry in sorted(missing.get_dict().items())
    ]
    left_out += [
        {'label': label, 'temperature_K': node['temperature_K'], 'reason': node['reason'] or 'not resolved'}
        for label, node in sorted(diffusivities.items())
        if not node.is_resolved
    ]
    temperatures = [node['measured_temperature_K'] for node in resolved.values()]
    fit = fit_arrhenius(
        temperatures,
        [node['value_m2_s'] for node in resolved.values()],
        [node['std_error_m2_s'] for node in resolved.values()],
        temperature_errors_K=[node['temperature_error_K'] for node in resolved.values()],
    )
    node = ArrheniusData(
        {
            'activation_energy_eV': float(fit.activation_energy_eV),
            'activation_energy_error_eV': float(fit.activation_energy_error_eV),
            'prefactor_m2_s': float(fit.prefactor_m2_s),
            'log_prefactor_error': float(fit.log_prefactor_error),
            'covariance': np.asarray(fit.covariance).tolist(),
            'chi2': float(fit.chi2),
            'degrees_of_freedom': int(fit.degrees_of_freedom),
            'inflated': bool(fit.inflated),
            'n_temperatures': len(temperatures),
            'temperatures_K': temperatures,
            'missing': left_out,
        }
    )
    node.label = 'Arrhenius fit'
    return node
