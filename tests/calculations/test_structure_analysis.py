"""From trajectories to radial distributions, correlations of hydrogen and warnings about the structure."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase.build import bulk

from aiida_hdiff.analysis import in_sphere_radius_A
from aiida_hdiff.calculations import structure_analysis
from aiida_hdiff.calculations.structure_analysis import check_structure, hydrogen_correlations, radial_distributions
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.workflows.settings import DiffusionProtocols

INTERVAL_FS = 20
STRUCTURE = {
    'pair_cutoff_A': 3.0,
    'pair_window_ps': 1.0,
    'h2_bond_A': 0.9,
    'h2_time_ps': 0.1,
    'clustering_factor': 2.0,
    'van_hove_lags_ps': [0.1, 1.0, 10.0, 1000.0],
    'van_hove_bins': 50,
    'host_window_ps': 5.0,
    'lindemann_limit': 0.2,
    'shell_change_limit': 0.1,
}


def settings(**analysis):
    values = DiffusionProtocols.get_protocol_settings('fast')
    return orm.Dict({**values, 'analysis': {**values['analysis'], **STRUCTURE, **analysis}})


def nickel_hydride(n_hydrogen, frames=6000, seed=1, together=False):
    """Return positions, numbers and cell of vibrating fcc Ni in which H walk from octahedral to octahedral site."""
    rng = np.random.default_rng(seed)
    host = bulk('Ni', cubic=True).repeat(3)
    jumps = np.array([v for v in np.ndindex(3, 3, 3) if sum(abs(x - 1) for x in v) == 2]) - 1
    hops = rng.random((frames, 1 if together else n_hydrogen)) < 0.06
    walk = np.cumsum(jumps[rng.integers(0, 12, hops.shape)] * hops[..., None], axis=0)
    start = np.array([v for v in np.ndindex(6, 6, 6) if sum(v) % 2])[rng.choice(108, n_hydrogen, replace=False)]
    hydrogen = 1.76 * (start + walk) + 0.1 * rng.normal(size=(frames, n_hydrogen, 3))
    positions = np.concatenate([host.positions + 0.1 * rng.normal(size=(frames, 108, 3)), hydrogen], axis=1)
    drift = 0.001 * np.arange(frames)[:, None, None]
    return positions + drift, [28] * 108 + [1] * n_hydrogen, host.cell[:]


def store(generate_trajectory, positions, numbers, cell):
    frames = len(positions)
    return generate_trajectory(
        positions, numbers=numbers, steps=np.arange(frames) * INTERVAL_FS, cells=np.broadcast_to(cell, (frames, 3, 3))
    )


def tracer(value=3.1e-8, error=2e-9):
    resolved = value is not None
    return DiffusivityData(
        {
            'temperature_K': 800.0,
            'measured_temperature_K': 801.0,
            'temperature_error_K': 1.0,
            'value_m2_s': value,
            'std_error_m2_s': error if resolved else None,
            'status': 'resolved' if resolved else 'not_resolved',
            'reason': None if resolved else 'too few hops',
            'n_hops': 400.0,
            'upper_bound_m2_s': 1e-7,
            'window_ps': [2.0, 10.0],
        }
    )


def test_radial_distributions_of_an_ideal_gas(generate_trajectory):
    rng = np.random.default_rng(0)
    positions = 7.04 * rng.random((400, 20, 3))
    node = generate_trajectory(positions, numbers=[28] * 16 + [1] * 4, steps=np.arange(400) * 100)
    rdf = radial_distributions(node, settings(rdf_bins=30))
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


def test_radial_distributions_beyond_the_cell_and_block_by_block(generate_trajectory, monkeypatch):
    node = store(generate_trajectory, *nickel_hydride(2, frames=60))
    whole = radial_distributions(node, settings(rdf_r_max_A=9.0))
    monkeypatch.setattr(structure_analysis, 'BLOCK_FRAMES', 7)
    parts = radial_distributions(node, settings(rdf_r_max_A=9.0))
    for name in whole.get_arraynames():
        np.testing.assert_allclose(parts.get_array(name), whole.get_array(name), rtol=1e-12)
    neighbours = np.interp(3.05, whole.get_array('r_A'), whole.get_array('coordination_Ni_Ni'))
    assert neighbours == pytest.approx(12.0, abs=0.1)
    sphere = 108 * 4 / 3 * np.pi * 9.0**3 / 10.56**3
    assert whole.get_array('coordination_Ni_H')[-1] == pytest.approx(sphere * 2 / 108, rel=0.1)


def test_a_run_and_its_extension_are_one(generate_trajectory):
    positions, numbers, cell = nickel_hydride(2, frames=5200)
    whole = store(generate_trajectory, positions, numbers, cell)
    cells = np.broadcast_to(cell, (5200, 3, 3))
    steps = np.arange(5200) * INTERVAL_FS
    parts = [
        generate_trajectory(positions[piece], numbers=numbers, steps=steps[piece], cells=cells[piece])
        for piece in (slice(0, 2700), slice(2700, None))
    ]
    options, node = settings(), tracer()
    expected = hydrogen_correlations(whole, node, options)
    found = hydrogen_correlations(parts[0], node, options, extension_1=parts[1])
    for name in expected.get_arraynames():
        np.testing.assert_allclose(found.get_array(name), expected.get_array(name))
    checks = [check_structure(parts[0], options, extension_1=parts[1]), check_structure(whole, options)]
    assert checks[0].get_dict() == checks[1].get_dict()
    rdf = radial_distributions(parts[0], options, extension_1=parts[1])
    np.testing.assert_allclose(rdf.get_array('g_Ni_Ni'), radial_distributions(whole, options).get_array('g_Ni_Ni'))


def test_one_hydrogen_has_no_pair_with_itself(generate_trajectory):
    rdf = radial_distributions(generate_trajectory(steps=np.arange(20) * 100), settings())
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


def test_correlations_of_independent_walkers(generate_trajectory):
    rate = 0.06 / 0.02
    exact = rate * 2 * 1.76**2 / 6 * 1e-8
    node = store(generate_trajectory, *nickel_hydride(4))
    result = hydrogen_correlations(node, tracer(exact, 0.05 * exact), settings())
    assert result.base.attributes.get('collective_reason') == ''
    value, error = (result.base.attributes.get(f'collective_{name}_m2_s') for name in ('value', 'std_error'))
    assert abs(value - exact) < 3.5 * error
    ratio = result.base.attributes.get('haven_ratio')
    assert ratio == pytest.approx(exact / value, rel=0.15)
    assert abs(ratio - 1.0) < 3.5 * result.base.attributes.get('haven_ratio_std_error')

    r, lags, density = (result.get_array(f'van_hove_{name}') for name in ('r_A', 'lags_ps', 'self'))
    np.testing.assert_allclose(lags, [0.1, 1.0, 10.0])
    assert density.shape == (3, 50)
    np.testing.assert_allclose(density.sum(axis=1) * (r[1] - r[0]), 1.0)
    assert result.get_array('non_gaussian')[0] > result.get_array('non_gaussian')[2]

    counts = result.get_array('pair_counts')
    assert counts.shape == result.get_array('pair_times_ps').shape == (120,)
    assert result.base.attributes.get('pair_mean') == pytest.approx(counts.mean())
    assert result.base.attributes.get('pair_random') == pytest.approx(6 * 4 / 3 * np.pi * 27 / 10.56**3)
    assert result.base.attributes.get('pair_cutoff_A') == 3.0
    assert result.base.attributes.get('min_distance_A') >= 0.0
    msd, times = result.get_array('collective_msd_A2'), result.get_array('collective_lag_times_ps')
    assert np.interp(5.0, times, msd) == pytest.approx(6 * exact * 1e8 * 5.0, rel=0.6)


def test_walkers_in_step(generate_trajectory):
    node = store(generate_trajectory, *nickel_hydride(4, together=True))
    exact = 0.06 / 0.02 * 2 * 1.76**2 / 6 * 1e-8
    result = hydrogen_correlations(node, tracer(exact, 0.05 * exact), settings())
    attributes = result.base.attributes.all
    assert attributes['haven_ratio'] < 0.5
    assert abs(attributes['collective_value_m2_s'] - 4 * exact) < 3.5 * attributes['collective_std_error_m2_s']


@pytest.mark.parametrize('n_hydrogen', [1, 3])
def test_what_is_not_resolved_is_none(generate_trajectory, n_hydrogen):
    positions, numbers, cell = nickel_hydride(n_hydrogen)
    result = hydrogen_correlations(store(generate_trajectory, positions, numbers, cell), tracer(None), settings())
    attributes = result.base.attributes.all
    assert attributes['haven_ratio'] is None
    assert attributes['haven_ratio_std_error'] is None
    assert (attributes['collective_value_m2_s'] is None) == (n_hydrogen == 1)
    assert (attributes['min_distance_A'] is None) == (n_hydrogen == 1)
    json.dumps(dict(attributes), allow_nan=False)
    result.store()


def test_a_sound_run_has_no_warnings(generate_trajectory):
    result = check_structure(store(generate_trajectory, *nickel_hydride(1, frames=2000)), settings()).get_dict()
    assert result['warnings'] == []
    assert result['host_lattice_first'] == result['host_lattice_last'] == 'fcc'
    assert result['host_spacing_A'] == pytest.approx(3.52 / np.sqrt(2))
    assert result['host_lindemann'] == pytest.approx(0.1 * np.sqrt(3) / 2.489, rel=0.05)
    assert result['host_rms_displacement_A'] < 0.1
    assert result['h2_longest_ps'] == 0.0


def test_hydrogen_molecules_and_a_molten_host_are_reported_together(generate_trajectory):
    positions, numbers, cell = nickel_hydride(2, frames=2000)
    positions[1000:, -1] = positions[1000:, -2] + [0.0, 0.75, 0.0]
    rng = np.random.default_rng(2)
    positions[800:, :108] += np.cumsum(0.1 * rng.normal(size=(1200, 108, 3)), axis=0)
    result = check_structure(store(generate_trajectory, positions, numbers, cell), settings())
    kinds = {warning['kind']: warning for warning in result['warnings']}
    assert set(kinds) == {'h2_formation', 'melting'}
    assert kinds['h2_formation']['time_ps'] == pytest.approx(20.0, abs=0.5)
    assert kinds['melting']['time_ps'] == pytest.approx(15.0, abs=5.0)
    assert result['h2_longest_ps'] == pytest.approx(20.0, abs=0.5)
    result.store()


def test_without_a_host_or_without_hydrogen(generate_trajectory):
    rng = np.random.default_rng(0)
    gas = generate_trajectory(12 * rng.random((100, 3, 3)), numbers=[1, 1, 1], steps=np.arange(100) * 20)
    result = check_structure(gas, settings())
    assert result['host_lindemann'] is None
    assert result['host_lattice_last'] is None
    host = generate_trajectory(rng.random((100, 3, 3)), numbers=[28] * 3, steps=np.arange(100) * 20)
    with pytest.raises(ValueError, match='the trajectory has no hydrogen'):
        check_structure(host, settings())


@pytest.mark.parametrize('name', ['radial_distributions', 'hydrogen_correlations', 'check_structure'])
def test_entry_points(name):
    assert CalculationFactory(f'hdiff.{name}') is getattr(structure_analysis, name)
