"""Calcfunctions around the stages: their settings, and the check of an NVE run."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import energy_drift, mean_with_error
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.trajectory import MDTrajectory, read_run

STAGES = ('npt', 'nvt', 'nve')


def stage_settings(
    settings: dict[str, Any], stage: str, temperature_K: float, seed: int, *, replica: int = 0, attempt: int = 0,
    timestep_fs: float | None = None, time_ps: float | None = None, committee: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the settings of one stage as the engines take them.

    The seed of the stage is derived from the seed of the study, the replica, the temperature, the stage and the
    attempt, so that no two runs share their random numbers.
    """
    timestep = settings['timestep_fs'] if timestep_fs is None else timestep_fs
    own = settings[stage]
    entropy = [seed, replica, round(1000 * temperature_K), STAGES.index(stage), attempt]
    interval = max(1, round(own['output_interval_fs'] / timestep))
    steps = round((own['time_ps'] if time_ps is None else time_ps) * FS_PER_PS / timestep)
    values = {
        'ensemble': stage,
        'temperature_K': temperature_K,
        'steps': max(interval, steps - steps % interval),
        'timestep_fs': timestep,
        'output_interval': interval,
        'seed': int(np.random.SeedSequence(entropy).generate_state(1)[0]) % (2**31 - 1) + 1,
        'velocities': stage == 'nvt',
    }
    if stage == 'npt':
        values |= {key: own[key] for key in ('barostat', 'barostat_time_fs', 'pressure_GPa')}
    if stage != 'nve':
        values |= {key: own[key] for key in ('thermostat', 'thermostat_time_fs')}
    if settings.get('calculator', 'auto') != 'auto':
        values['calculator'] = settings['calculator']
    if own.get('checkpoint_interval_ps'):
        frames = max(1, round(own['checkpoint_interval_ps'] * FS_PER_PS / timestep / interval))
        values['checkpoint_interval'] = frames * interval
    if committee:
        watched = dict(settings['committee'])
        values['committee'] = {'every_steps': max(1, round(watched.pop('interval_fs') / timestep)), **watched}
    return values


@calcfunction
def stage_parameters(
    settings: orm.Dict, stage: orm.Str, temperature: orm.Float, seed: orm.Int, run: orm.Dict
) -> orm.Dict:
    """Return the settings of one stage.

    ``run`` holds ``replica``, ``attempt`` and, if changed, ``timestep_fs`` and ``time_ps``, and ``committee``, true if
    one watches over the stage.
    """
    return orm.Dict(stage_settings(settings.get_dict(), stage.value, temperature.value, seed.value, **run.get_dict()))


def temperature_tolerance_K(temperature_K: float, n_atoms: int) -> float:
    """Return T/(4 √(3N)): a quarter of the scatter (K) of NVE runs started from arbitrary frames of an NVT run."""
    return float(temperature_K / (4.0 * np.sqrt(3.0 * n_atoms)))


@calcfunction
def check_nve(
    trajectory: MDTrajectory, temperature: orm.Float, settings: orm.Dict, **extensions: MDTrajectory
) -> orm.Dict:
    """Return the mean temperature and energy drift of an NVE run with its extensions, and whether both are acceptable.

    Keys of ``settings['gate']``: ``temperature_tolerance_K`` (``None`` for T/(4 √(3N))) and
    ``drift_limit_meV_per_atom_per_ns``. The statistical error of the mean temperature and of the drift are granted
    on top of the limits.
    """
    with read_run(trajectory, extensions) as reader:
        temperatures = reader.observable('temperature')
        total = reader.observable('potential_energy') + reader.observable('kinetic_energy')
        times_ps = reader.times_fs / FS_PER_PS
        n_atoms = len(reader.numbers)
    mean, error = mean_with_error(temperatures)
    drift = energy_drift(times_ps, total, n_atoms)
    tolerance = settings['gate']['temperature_tolerance_K'] or temperature_tolerance_K(temperature.value, n_atoms)
    limit = settings['gate']['drift_limit_meV_per_atom_per_ns']
    return orm.Dict(
        {
            'mean_temperature_K': float(mean),
            'temperature_error_K': float(error),
            'temperature_tolerance_K': float(tolerance),
            'temperature_accepted': bool(abs(mean - temperature.value) <= tolerance + 2.0 * error),
            'drift_meV_per_atom_per_ns': drift.slope_meV_per_atom_ns,
            'drift_error_meV_per_atom_per_ns': drift.std_error_meV_per_atom_ns,
            'drift_limit_meV_per_atom_per_ns': float(limit),
            'drift_accepted': bool(abs(drift.slope_meV_per_atom_ns) <= limit + 2.0 * drift.std_error_meV_per_atom_ns),
        }
    )
