"""Calcfunctions from trajectories to D(T)."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import (
    axial_diffusion,
    check_times,
    diffusion_by_window,
    diffusion_coefficient,
    hexagonal_axis,
    mean_squared_displacement,
)
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.trajectory import MDTrajectory, read_run

HYDROGEN = 1
MSD_POINTS = 400
MSD_MAX_FRACTION = 0.1


@calcfunction
def diffusivity_from_trajectory(
    trajectory: MDTrajectory, temperature: orm.Float, check: orm.Dict, settings: orm.Dict, **extensions: MDTrajectory
) -> dict[str, Any]:
    """Return the diffusivity of hydrogen (``diffusivity``) and its mean squared displacement (``msd``).

    ``msd`` also holds D for a ladder of fit windows (``window_start_ps``, ``window_end_ps``, ``window_value_m2_s``,
    ``window_std_error_m2_s``). In a hexagonal cell D is given in the basal plane and along c too.
    The mean displacement of the host is removed. ``check`` is the result of
    :func:`~aiida_hdiff.calculations.stages.check_nve`; ``settings['analysis']`` holds ``window_ps`` and
    ``jump_length_A``.
    """
    with read_run(trajectory, extensions) as reader:
        numbers, times, cells = reader.numbers, reader.times_fs, reader.cells
        host, hydrogen = np.nonzero(numbers != HYDROGEN)[0], np.nonzero(numbers == HYDROGEN)[0]
        if not (host.size and hydrogen.size):
            raise ValueError(f'{host.size} host and {hydrogen.size} hydrogen atoms: D in a host needs both.')
        interval_fs = check_times(times)
        drift = _mean_positions(reader, host)
        positions = reader.positions(hydrogen) - (drift - drift[0])[:, None, :]
    options = settings['analysis']
    window_ps = tuple(options['window_ps'])
    result = diffusion_coefficient(
        positions, interval_fs, window_ps=window_ps, jump_length_A=options['jump_length_A'], cell=cells
    )
    resolved = result.status == 'resolved'
    axis = hexagonal_axis(cells[0]) if resolved else None
    tensor = None if axis is None else axial_diffusion(positions, interval_fs, axis, window_ps=window_ps)
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
            'interval_m2_s': _finite(result.interval),
            'interval_kind': result.interval_kind,
            'per_axis_m2_s': [float(v) for v in result.per_axis] if resolved else None,
            'per_axis_std_error_m2_s': [float(v) for v in result.per_axis_std_error] if resolved else None,
            'estimate_m2_s': float(result.value),
            'estimate_std_error_m2_s': float(result.std_error),
            'estimate_per_axis_m2_s': [float(v) for v in result.per_axis],
            'estimate_per_axis_std_error_m2_s': [float(v) for v in result.per_axis_std_error],
            'basal_m2_s': None if tensor is None else tensor.basal,
            'basal_std_error_m2_s': None if tensor is None else tensor.basal_std_error,
            'c_axis_m2_s': None if tensor is None else tensor.axial,
            'c_axis_std_error_m2_s': None if tensor is None else tensor.axial_std_error,
            'walker_std_error_m2_s': _finite(result.walker_std_error),
            'walker_disagreement': _finite(result.walker_disagreement),
            'warnings': list(result.warnings),
            'upper_bound_m2_s': float(result.upper_bound),
            'n_hops': float(result.n_hops),
            'n_hydrogen': positions.shape[1],
            'n_host': len(host),
            'n_blocks': int(result.n_blocks),
            'degrees_of_freedom': float(result.degrees_of_freedom),
            'window_ps': [float(v) for v in result.window_ps],
            'production_ps': float(times[-1] - times[0]) / FS_PER_PS,
        }
    )
    diffusivity.label = f'D({temperature.value:.0f} K)'
    return {'diffusivity': diffusivity, 'msd': _msd(positions, interval_fs, window_ps[1])}


def _finite(value: Any) -> Any:
    """Return floats, which a node can store, or ``None`` for what is not a number."""
    if not np.all(np.isfinite(value)):
        return None
    return float(value) if np.ndim(value) == 0 else [float(v) for v in value]


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
    by_window = diffusion_by_window(positions, interval_fs)
    node.set_array('window_start_ps', by_window.start_ps)
    node.set_array('window_end_ps', by_window.end_ps)
    node.set_array('window_value_m2_s', by_window.value)
    node.set_array('window_std_error_m2_s', by_window.std_error)
    node.label = 'MSD of H'
    return node
