"""From trajectories to D."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.diffusion import (
    diffusivity_from_trajectory,
)
from aiida_hdiff.workflows.settings import DiffusionProtocols

JUMP_A = 2.5
INTERVAL_FS = 20
FRAMES = 20_000
CHECK = {'mean_temperature_K': 803.0, 'temperature_error_K': 1.5, 'drift_meV_per_atom_per_ns': 0.2}


def lattice_walk(rate_per_ps, *, n_hydrogen=4, n_host=3, drift_A_per_ps=0.0, frames=FRAMES, seed=1):
    """Return hydrogen that hops on a cubic lattice (D = rate a²/6) in a host that vibrates and drifts."""
    rng = np.random.default_rng(seed)
    hops = rng.random((frames, n_hydrogen)) < rate_per_ps * INTERVAL_FS * 1e-3
    directions = np.concatenate([np.eye(3), -np.eye(3)])[rng.integers(0, 6, (frames, n_hydrogen))]
    hydrogen = JUMP_A * np.cumsum(directions * hops[..., None], axis=0) + 0.05 * rng.normal(
        size=(frames, n_hydrogen, 3)
    )
    host = 0.05 * rng.normal(size=(frames, n_host, 3)) + 3.0 * np.arange(n_host)[None, :, None]
    times_ps = np.arange(frames)[:, None, None] * INTERVAL_FS * 1e-3
    return np.concatenate([host, hydrogen], axis=1) + drift_A_per_ps * times_ps


def diffusivity(generate_trajectory, positions, **analysis):
    n_hydrogen = positions.shape[1] - 3
    node = generate_trajectory(
        positions,
        numbers=[28] * 3 + [1] * n_hydrogen,
        steps=np.arange(len(positions)) * INTERVAL_FS,
        temperature=np.full(len(positions), 800.0),
    )
    settings = DiffusionProtocols.get_protocol_settings('fast', {'analysis': analysis})
    return diffusivity_from_trajectory(node, orm.Float(800.0), orm.Dict(CHECK), orm.Dict(settings))


def test_d_of_a_lattice_walk(generate_trajectory):
    rate = 0.6
    outputs = diffusivity(generate_trajectory, lattice_walk(rate))
    node = outputs['diffusivity']
    exact = rate * JUMP_A**2 / 6.0 * 1e-8
    assert node.is_resolved
    assert abs(node.value_m2_s - exact) < 3.5 * node.std_error_m2_s
    assert 0.01 < node.std_error_m2_s / exact < 0.25
    values = node.get_dict()
    assert (values['temperature_K'], values['measured_temperature_K'], values['temperature_error_K']) == (800, 803, 1.5)
    assert (values['n_hydrogen'], values['n_host']) == (4, 3)
    assert values['production_ps'] == pytest.approx((FRAMES - 1) * INTERVAL_FS * 1e-3)
    assert values['interval_m2_s'][0] < node.value_m2_s < values['interval_m2_s'][1]
    assert np.mean(values['per_axis_m2_s']) == pytest.approx(node.value_m2_s, rel=0.05)
    assert node.label == 'D(800 K)'


def test_the_mean_squared_displacement(generate_trajectory):
    rate = 2.0
    msd = diffusivity(generate_trajectory, lattice_walk(rate, n_hydrogen=8, frames=8000))['msd']
    lags, values = msd.get_array('lag_times_ps'), msd.get_array('msd_A2')
    assert len(lags) <= 400
    assert np.all(np.diff(lags) > 0)
    np.testing.assert_allclose(msd.get_array('msd_per_axis_A2').sum(axis=1), values, rtol=1e-9)
    assert np.interp(5.0, lags, values) == pytest.approx(rate * JUMP_A**2 * 5.0, rel=0.2)


def test_the_drift_of_the_host_is_removed(generate_trajectory):
    still, moving = (
        diffusivity(generate_trajectory, lattice_walk(2.0, drift_A_per_ps=drift, frames=6000))['diffusivity']
        for drift in (0.0, 1.0)
    )
    assert moving.value_m2_s == pytest.approx(still.value_m2_s, rel=1e-3)


def test_too_few_hops_give_an_upper_bound(generate_trajectory):
    node = diffusivity(generate_trajectory, lattice_walk(0.0, frames=6000))['diffusivity']
    assert not node.is_resolved
    values = node.get_dict()
    assert values['value_m2_s'] is None
    assert values['upper_bound_m2_s'] > 0
    assert values['reason']
