"""From a trajectory to the sites of hydrogen and its jumps."""

import json
import re

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase.build import bulk

from aiida_hdiff.analysis import diffusion_coefficient, find_sites
from aiida_hdiff.calculations.sites import hydrogen_sites
from aiida_hdiff.data.diffusivity import DiffusivityData
from tests.analysis.site_walks import site_walk, with_vibration

A = 3.6
RATE = 0.1
INTERVAL_FS = 40
FRAMES = 4000
WINDOW_PS = (1.0, 5.0)
HOST = bulk('Ni', 'fcc', a=A, cubic=True) * (2, 2, 2)
CELL = HOST.cell.array
SETTINGS = {'analysis': {'core_fraction': 0.3, 'site_kinds': None}}


def walk(frames=FRAMES, drift_A_per_ps=0.3):
    """Return hydrogen on octahedral sites (first) in a vibrating, drifting host."""
    rng = np.random.default_rng(2)
    sites = find_sites(HOST.positions, CELL)
    step = INTERVAL_FS * 1e-3
    path, _ = site_walk(rng, sites.positions[sites.kinds == 0], CELL, {A / 2**0.5: RATE}, frames, 4, step)
    hydrogen = with_vibration(rng, path, step, 0.15)
    host = HOST.positions + rng.normal(0.0, 0.08, (frames, len(HOST), 3))
    return np.concatenate([hydrogen, host], axis=1) + drift_A_per_ps * step * np.arange(frames)[:, None, None]


def diffusivity(positions, resolved=True):
    attributes = {
        'temperature_K': 800.0,
        'measured_temperature_K': 800.0,
        'value_m2_s': None,
        'std_error_m2_s': None,
        'status': 'not_resolved',
        'n_hops': 0.0,
        'upper_bound_m2_s': 1e-12,
        'window_ps': list(WINDOW_PS),
    }
    if resolved:
        result = diffusion_coefficient(
            positions[:, :4], INTERVAL_FS, host_positions=positions[:, 4:], window_ps=WINDOW_PS
        )
        attributes |= {'value_m2_s': result.value, 'std_error_m2_s': result.std_error, 'status': 'resolved'}
    return DiffusivityData(attributes)


@pytest.fixture
def analyse(generate_trajectory):
    def run(positions, resolved=True, cells=None, hydrogen_last=False, **analysis):
        numbers = np.array([1] * 4 + [28] * (positions.shape[1] - 4))
        order = np.argsort(-numbers if hydrogen_last else numbers, kind='stable')
        node = generate_trajectory(
            positions[:, order],
            numbers=numbers[order],
            steps=np.arange(len(positions)) * INTERVAL_FS,
            cells=np.broadcast_to(CELL, (len(positions), 3, 3)) if cells is None else cells,
        )
        settings = {'analysis': {**SETTINGS['analysis'], **analysis}}
        outputs = hydrogen_sites(node, diffusivity(positions, resolved), orm.Dict(settings))
        return outputs['sites'], outputs['jumps']

    return run


def test_sites_and_jumps_of_a_walk(analyse):
    positions = walk()
    sites, jumps = analyse(positions)
    found = sites.base.attributes.all
    json.dumps({k: v for k, v in found.items() if 'array|' not in k}, allow_nan=False)
    assert found['reason'] is None
    assert (found['lattice'], found['kind_names']) == ('fcc', ['octahedral', 'tetrahedral'])
    assert sites.get_array('positions_A').shape == (96, 3)
    assert np.bincount(sites.get_array('kinds')).tolist() == [32, 64]
    assert sites.get_array('occupation').sum() == pytest.approx(4.0, rel=0.01)
    np.testing.assert_array_equal(sites.get_array('host_numbers'), [28] * 32)
    centred = sites.get_array('host_positions_A') - HOST.positions
    assert np.abs(centred - centred.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose(sites.get_array('cell_A'), CELL)
    assert found['occupation_fractions']['octahedral'][0] == pytest.approx(1.0, abs=1e-3)
    residence, error = found['residence_times_ps']['octahedral']
    assert abs(residence - 1 / (12 * RATE)) < 4 * error + 0.03 / RATE / 12
    rate = found['jump_rates_per_ps']['octahedral-octahedral']
    assert abs(rate['value'] - 12 * RATE) < 4 * rate['std_error'] + 0.03 * 12 * RATE
    assert found['n_jumps'] == len(jumps.get_array('atoms')) >= rate['count']
    assert found['mean_jump_length_A'] == pytest.approx(A / 2**0.5, rel=0.03)
    assert found['nearest_site_distance_A'] == pytest.approx(A * 3**0.5 / 4, abs=0.03)
    assert found['core_radius_A'] == pytest.approx(0.3 * found['nearest_site_distance_A'])
    assert 0.6 < found['assigned_fraction'] <= 1.0
    assert found['host_rms_displacement_A'] == pytest.approx(0.08 * 3**0.5, rel=0.05)
    exact = RATE * A**2 * 1e-8
    assert abs(found['jump_diffusivity_m2_s'] - exact) < 4 * found['jump_diffusivity_std_error_m2_s']
    assert np.mean(found['jump_diffusivity_per_axis_m2_s']) == pytest.approx(found['jump_diffusivity_m2_s'])
    assert len(found['jump_diffusivity_per_axis_std_error_m2_s']) == 3
    value = diffusivity(positions).value_m2_s
    assert found['correlation_factor'] == pytest.approx(value / found['jump_diffusivity_m2_s'])
    assert abs(found['correlation_factor'] - 1.0) < 3.5 * found['correlation_factor_std_error']


def test_jumps_name_atoms_of_the_trajectory(analyse):
    """Hydrogen comes last here, so its atoms are 32 to 35."""
    sites, jumps = analyse(walk(), hydrogen_last=True)
    edges, counts = sites.get_array('edges'), sites.get_array('edge_counts')
    assert edges.shape == (len(counts), 2)
    assert counts.sum() == sites.base.attributes.get('n_jumps')
    assert set(jumps.get_array('atoms')) == {32, 33, 34, 35}
    assert jumps.get_array('displacements_A').shape == (len(jumps.get_array('times_ps')), 3)
    lengths = np.linalg.norm(jumps.get_array('displacements_A'), axis=1)
    assert np.median(lengths) == pytest.approx(A / 2**0.5, abs=0.1)
    assert jumps.get_array('times_ps').max() <= FRAMES * INTERVAL_FS * 1e-3
    assert jumps.get_array('from_sites').dtype == np.int64


def test_without_a_resolved_diffusivity_there_is_no_correlation_factor(analyse):
    sites, _ = analyse(walk(frames=300), resolved=False)
    found = sites.base.attributes.all
    assert found['n_jumps'] > 0
    assert found['jump_diffusivity_m2_s'] > 0
    assert found['correlation_factor'] is None


def test_hydrogen_at_rest(analyse):
    positions = walk(frames=100, drift_A_per_ps=0.0)
    positions[:, :4] = positions[:1, :4]
    sites, jumps = analyse(positions, resolved=False)
    found = sites.base.attributes.all
    assert found['n_jumps'] == 0
    assert found['reason'] is None
    assert found['jump_diffusivity_m2_s'] is None
    assert found['mean_jump_length_A'] is None
    assert found['jump_rates_per_ps'] == {}
    assert sites.get_array('edges').shape == (0, 2)
    assert jumps.get_array('displacements_A').shape == (0, 3)


def test_chosen_kinds_of_sites(analyse):
    sites, _ = analyse(walk(frames=300), resolved=False, site_kinds=['octahedral'])
    assert sites.base.attributes.get('kind_names') == ['octahedral']
    assert sites.base.attributes.get('nearest_site_distance_A') == pytest.approx(A / 2**0.5, abs=0.05)
    assert len(sites.get_array('positions_A')) == 32


def melt(positions):
    return positions + np.cumsum(np.random.default_rng(1).normal(0.0, 0.1, positions.shape), axis=0)


@pytest.mark.parametrize(
    ('change', 'settings', 'reason'),
    [
        (melt, {}, 'the host has no lattice'),
        (lambda p: p[:1], {}, 'at least two frames'),
        (lambda p: p[:, :4], {}, '0 host atoms and 4 H'),
        (lambda p: p, {'site_kinds': ['tetragonal']}, "no 'tetragonal' sites"),
        (lambda p: p, {'cells': np.linspace(1, 1.01, 300)[:, None, None] * CELL}, r'cell changes by up to.*frame 299'),
    ],
)
def test_what_cannot_be_analysed_has_a_reason(analyse, change, settings, reason):
    """No error inside a workchain, but empty arrays and the reason."""
    sites, jumps = analyse(change(walk(frames=300)), resolved=False, **settings)
    found = sites.base.attributes.all
    assert re.search(reason, found['reason'])
    assert all(len(sites.get_array(name)) == 0 for name in sites.get_arraynames())
    assert all(len(jumps.get_array(name)) == 0 for name in jumps.get_arraynames())
    assert found['n_jumps'] == 0
    assert found['occupation_fractions'] == {}


def test_entry_point():
    assert CalculationFactory('hdiff.hydrogen_sites') is hydrogen_sites
