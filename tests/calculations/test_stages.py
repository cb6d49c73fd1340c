"""Settings of the stages, and the check of an NVE run."""

from itertools import product

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.stages import (
    STAGES,
    check_nve,
    stage_parameters,
    stage_settings,
    temperature_tolerance_K,
)
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.workflows.settings import DiffusionProtocols

SETTINGS = DiffusionProtocols.get_protocol_settings('fast')


def test_no_two_runs_share_their_random_numbers():
    seeds = [
        stage_settings(SETTINGS, stage, temperature, seed, replica=replica, attempt=attempt)['seed']
        for stage, temperature, seed, replica, attempt in product(
            STAGES, (300.0, 300.5, 900.0), (1, 2, 3), (0, 1, 2), (0, 1, 2)
        )
    ]
    assert len(set(seeds)) == len(seeds) == 243
    assert all(1 <= seed < 2**31 for seed in seeds)


def test_the_seed_of_a_stage_is_reproducible():
    assert [stage_settings(SETTINGS, stage, 900.0, 7, replica=1)['seed'] for stage in STAGES] == [
        stage_settings(SETTINGS, stage, 900, 7, replica=1)['seed'] for stage in STAGES
    ]
    # The derivation is part of what makes a study repeatable: it must not change between releases.
    assert stage_settings(SETTINGS, 'npt', 900.0, 7)['seed'] == 1332260092


@pytest.mark.parametrize('protocol', DiffusionProtocols.get_available_protocols())
@pytest.mark.parametrize('stage', STAGES)
@pytest.mark.parametrize('timestep', [None, 0.25])
def test_every_stage_of_every_protocol_is_valid(protocol, stage, timestep):
    settings = DiffusionProtocols.get_protocol_settings(protocol)
    values = stage_settings(settings, stage, 800.0, 1, timestep_fs=timestep)
    parameters = MDParameters.from_dict(values)
    assert parameters.ensemble == stage
    assert parameters.steps % parameters.output_interval == 0
    assert parameters.checkpoint_every % parameters.output_interval == 0
    assert parameters.steps * parameters.timestep_fs == pytest.approx(1000 * settings[stage]['time_ps'], rel=0.01)
    interval = settings[stage]['output_interval_fs']
    assert parameters.output_interval * parameters.timestep_fs == pytest.approx(interval)
    assert parameters.velocities == (stage == 'nvt')


def test_halving_the_step_keeps_the_times():
    full = stage_settings(SETTINGS, 'nve', 800.0, 1)
    half = stage_settings(SETTINGS, 'nve', 800.0, 1, timestep_fs=full['timestep_fs'] / 2)
    for key in ('steps', 'output_interval', 'checkpoint_interval'):
        assert half[key] == 2 * full[key]


def test_a_checkpoint_interval_may_be_left_to_the_engine():
    settings = DiffusionProtocols.get_protocol_settings('fast', {'npt': {'checkpoint_interval_ps': None}})
    assert 'checkpoint_interval' not in stage_settings(settings, 'npt', 800.0, 1)


def test_stage_parameters_is_the_same_in_the_graph():
    node = stage_parameters(
        orm.Dict(SETTINGS), orm.Str('nvt'), orm.Float(700.0), orm.Int(3), orm.Dict({'replica': 2, 'attempt': 1})
    )
    assert node.get_dict() == stage_settings(SETTINGS, 'nvt', 700.0, 3, replica=2, attempt=1)
    assert node.creator.process_type == 'aiida.calculations:hdiff.stage_parameters'


def test_tolerance():
    assert temperature_tolerance_K(800.0, 112) == pytest.approx(800.0 / (4 * np.sqrt(336)))


def nve(generate_trajectory, *, mean=800.0, drift=0.0, noise=20.0, frames=2000, interval_fs=20.0):
    """Return a run with a mean temperature (K) and a drift (meV/atom/ns)."""
    rng = np.random.default_rng(2)
    temperature = mean + noise * rng.normal(size=frames)
    kinetic = 1.5 * 8.617333e-5 * 5 * temperature
    times_ns = np.arange(frames) * interval_fs * 1e-6
    total = -20.0 + 5 * drift * 1e-3 * times_ns + 1e-6 * rng.normal(size=frames)
    return generate_trajectory(
        np.zeros((frames, 5, 3)),
        steps=np.arange(frames) * int(interval_fs),
        temperature=temperature,
        kinetic_energy=kinetic,
        potential_energy=total - kinetic,
    )


def settings(tolerance, limit):
    gate = {'temperature_tolerance_K': tolerance, 'drift_limit_meV_per_atom_per_ns': limit}
    return orm.Dict(DiffusionProtocols.get_protocol_settings('fast', {'gate': gate}))


def test_a_good_nve_run_is_accepted(generate_trajectory):
    check = check_nve(nve(generate_trajectory, mean=801.0, drift=0.3), orm.Float(800.0), settings(5.0, 1.0))
    assert check['temperature_accepted'] is True
    assert check['drift_accepted'] is True
    assert check['mean_temperature_K'] == pytest.approx(801.0, abs=2.0)
    assert check['drift_meV_per_atom_per_ns'] == pytest.approx(0.3, abs=0.02)
    assert 0.2 < check['temperature_error_K'] < 1.0


@pytest.mark.parametrize('mean', [790.0, 810.0])
def test_a_run_at_another_temperature_is_not_accepted(generate_trajectory, mean):
    check = check_nve(nve(generate_trajectory, mean=mean), orm.Float(800.0), settings(5.0, 1.0))
    assert (check['temperature_accepted'], check['drift_accepted']) == (False, True)


@pytest.mark.parametrize('drift', [3.0, -3.0])
def test_a_run_that_drifts_is_not_accepted(generate_trajectory, drift):
    check = check_nve(nve(generate_trajectory, drift=drift), orm.Float(800.0), settings(5.0, 1.0))
    assert (check['temperature_accepted'], check['drift_accepted']) == (True, False)


def test_the_tolerance_follows_the_size_of_the_cell_if_it_is_not_given(generate_trajectory):
    check = check_nve(nve(generate_trajectory, mean=830.0), orm.Float(800.0), settings(None, 1.0))
    assert check['temperature_tolerance_K'] == pytest.approx(temperature_tolerance_K(800.0, 5))
    assert check['temperature_accepted'] is True
