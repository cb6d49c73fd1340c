"""From trajectories to D, and from D to the Arrhenius parameters."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.diffusion import (
    arrhenius_from_diffusivities,
    diffusivity_from_trajectory,
    in_sphere_radius_A,
    radial_distributions,
)
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.data.diffusivity import DiffusivityData
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


def test_radial_distributions_of_an_ideal_gas(generate_trajectory):
    rng = np.random.default_rng(0)
    positions = 7.04 * rng.random((400, 20, 3))
    node = generate_trajectory(positions, numbers=[28] * 16 + [1] * 4, steps=np.arange(400) * 100)
    settings = orm.Dict(DiffusionProtocols.get_protocol_settings('fast', {'analysis': {'rdf_bins': 30}}))
    rdf = radial_distributions(node, settings)
    assert set(rdf.get_arraynames()) == {
        'r_A', 'g_Ni_Ni', 'g_Ni_H', 'g_H_H', 'coordination_Ni_Ni', 'coordination_Ni_H', 'coordination_H_H',
    }  # fmt: skip
    r = rdf.get_array('r_A')
    assert len(r) == 30
    assert r.max() < 3.52
    far = r > 2.0
    np.testing.assert_allclose(rdf.get_array('g_Ni_H')[far].mean(), 1.0, atol=0.03)
    np.testing.assert_allclose(rdf.get_array('g_Ni_Ni')[far].mean(), 1.0, atol=0.03)
    assert rdf.get_array('coordination_Ni_H')[-1] == pytest.approx(4 * 4 / 3 * np.pi * 3.52**3 / 7.04**3, rel=0.1)


def test_one_hydrogen_has_no_pair_with_itself(generate_trajectory):
    settings = orm.Dict(DiffusionProtocols.get_protocol_settings('fast'))
    rdf = radial_distributions(generate_trajectory(steps=np.arange(20) * 100), settings)
    assert not [name for name in rdf.get_arraynames() if 'H_H' in name]


@pytest.mark.parametrize(
    ('cell', 'radius'),
    [
        (np.diag([4.0, 5.0, 6.0]), 2.0),
        ([[4.0, 0, 0], [2.0, 2 * np.sqrt(3), 0], [0, 0, 9.0]], np.sqrt(3)),
        ([[0, 0, 6.0], [4.0, 0, 0], [0, 5.0, 0]], 2.0),
    ],
)
def test_in_sphere_radius(cell, radius):
    assert in_sphere_radius_A(cell) == pytest.approx(radius)


def measured(kelvin, *, energy=0.44, prefactor=1.7e-6, status='resolved', factor=1.0):
    value = factor * prefactor * np.exp(-energy / (BOLTZMANN_EV_PER_K * (kelvin + 2.0)))
    resolved = status == 'resolved'
    return DiffusivityData(
        {
            'temperature_K': kelvin,
            'measured_temperature_K': kelvin + 2.0,
            'temperature_error_K': 0.0,
            'value_m2_s': value if resolved else None,
            'std_error_m2_s': 0.05 * value if resolved else None,
            'status': status,
            'reason': None if resolved else '3 hops',
            'n_hops': 100.0,
            'upper_bound_m2_s': 2 * value,
        }
    )


def test_arrhenius_at_the_measured_temperatures():
    nodes = {f'eam_{t:g}K_0': measured(t) for t in (800.0, 900.0, 1050.0, 1200.0)}
    fit = arrhenius_from_diffusivities(missing=orm.Dict({}), **nodes)
    assert fit.activation_energy_eV == pytest.approx(0.44, abs=1e-6)
    assert fit.prefactor_m2_s == pytest.approx(1.7e-6, rel=1e-4)
    assert 0.005 < fit.activation_energy_error_eV < 0.05
    assert fit['missing'] == []
    assert fit['n_temperatures'] == 4
    assert np.shape(fit['covariance']) == (2, 2)


def test_arrhenius_names_what_it_leaves_out():
    nodes = {
        'eam_800K_0': measured(800.0),
        'eam_900K_0': measured(900.0, status='not_resolved', factor=100.0),
        'eam_1200K_0': measured(1200.0),
    }
    missing = orm.Dict({'eam_1400K_0': {'temperature_K': 1400.0, 'reason': 'exit code 412'}})
    fit = arrhenius_from_diffusivities(missing=missing, **nodes)
    assert fit.activation_energy_eV == pytest.approx(0.44, abs=1e-6)
    assert fit['temperatures_K'] == [1202.0, 802.0]
    assert fit['missing'] == [
        {'label': 'eam_1400K_0', 'temperature_K': 1400.0, 'reason': 'exit code 412'},
        {'label': 'eam_900K_0', 'temperature_K': 900.0, 'reason': '3 hops'},
    ]


def test_arrhenius_needs_two_temperatures():
    with pytest.raises(ValueError, match=r'[Tt]wo'):
        arrhenius_from_diffusivities(missing=orm.Dict({}), a=measured(800.0), b=measured(900.0, status='not_resolved'))
