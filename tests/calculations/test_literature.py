"""The comparison with published values, with its history."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.literature import compare_with_literature
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.literature import LiteratureData
from aiida_hdiff.literature import load_literature

SETTINGS = {'default_factor': 2.0, 'default_energy_error_eV': 0.02}
BY_KEY = {value.key: value for value in load_literature()}


def published(*keys):
    return {key.replace('-', '_'): LiteratureData.get_or_create(BY_KEY[key]) for key in keys}


def law(energy, d0, temperatures=(600.0, 900.0)):
    return ArrheniusData({
        'activation_energy_eV': energy, 'activation_energy_error_eV': 0.01, 'prefactor_m2_s': d0,
        'covariance': [[0.04, 0.0019], [0.0019, 0.0001]], 'temperatures_K': list(temperatures),
    })  # fmt: skip


def diffusivity(kelvin, value, status='resolved'):
    return DiffusivityData({
        'temperature_K': kelvin, 'measured_temperature_K': kelvin, 'value_m2_s': value,
        'std_error_m2_s': value and 0.1 * value, 'status': status, 'n_hops': 50.0, 'upper_bound_m2_s': 1e-9,
    })  # fmt: skip


def rows(node):
    return {(row['computed'], row['key']): row for row in node['comparisons']}


def test_several_potentials_and_several_values():
    keys = ('ni-voelkl-alefeld-1975', 'ni-louthan-1975')
    computed = {'same': law(0.42, 6.87e-7), 'double': law(0.42, 2 * 6.87e-7)}
    node = compare_with_literature(orm.Dict(SETTINGS), **computed, **published(*keys))
    found = rows(node)
    assert len(found) == 4
    same = found['same', 'ni-voelkl-alefeld-1975']
    assert same['coefficient']['log_ratio'] == pytest.approx(0.0, abs=1e-12)
    assert same['energy']['sigma_distance'] == pytest.approx(0.0, abs=1e-12)
    double = found['double', 'ni-voelkl-alefeld-1975']['coefficient']
    assert double['temperature_K'] == pytest.approx(720.0)
    assert double['relative_deviation'] == pytest.approx(1.0)
    assert double['log10_ratio'] == pytest.approx(np.log10(2.0))
    assert 0.5 < double['sigma_distance'] < 1.0
    assert not double['outside_published']
    louthan = found['double', 'ni-louthan-1975']['coefficient']
    assert louthan['temperature_K'] == 600.0
    assert louthan['outside_published']
    assert node['default_factor'] == 2.0
    labels = {link.link_label for link in node.creator.base.links.get_incoming().all()}
    assert labels == {'settings', 'same', 'double', 'ni_voelkl_alefeld_1975', 'ni_louthan_1975'}


def test_the_reference_study_relative_deviation_per_temperature():
    """Signed (D - D_exp) / D_exp at each temperature: -0.5 for half the experiment's value."""
    value = BY_KEY['ni-voelkl-alefeld-1975']
    nodes = {f'eam_{t}K': diffusivity(float(t), 0.5 * value.coefficient(t)) for t in (700, 900)}
    found = rows(compare_with_literature(orm.Dict(SETTINGS), **nodes, **published(value.key)))
    for label in nodes:
        row = found[label, value.key]
        assert row['coefficient']['relative_deviation'] == pytest.approx(-0.5)
        assert row['energy'] is None
        assert row['reason'] == ''


def test_what_cannot_be_compared_says_why():
    nodes = {
        'law': law(0.25, 1.6e-6, (300.0, 680.0)),
        'point': diffusivity(675.0, 2.1e-8),
        'elsewhere': diffusivity(500.0, 4e-9),
        'unresolved': diffusivity(300.0, None, 'not_resolved'),
    }
    values = published('mg-nishimura-1999', 'mg-angeletti-2024')
    found = rows(compare_with_literature(orm.Dict(SETTINGS), **nodes, **values))
    nishimura = found['law', 'mg-nishimura-1999']
    assert nishimura['coefficient'] is None
    assert nishimura['reason'] == 'only an activation energy is published'
    assert nishimura['energy']['difference_eV'] == pytest.approx(0.0)
    angeletti = found['law', 'mg-angeletti-2024']
    assert angeletti['energy'] is None
    assert angeletti['coefficient']['temperature_K'] == 673.0
    expected = 1.6e-6 * np.exp(-0.25 / (BOLTZMANN_EV_PER_K * 673.0)) / 2.1e-8
    assert np.exp(angeletti['coefficient']['log_ratio']) == pytest.approx(expected)
    assert found['point', 'mg-angeletti-2024']['coefficient']['log_ratio'] == pytest.approx(0.0, abs=1e-12)
    assert found['elsewhere', 'mg-angeletti-2024']['reason'] == 'no D is published at 500 K'
    assert found['unresolved', 'mg-angeletti-2024']['reason'] == 'not resolved'


def test_something_on_both_sides_is_needed():
    with pytest.raises(ValueError, match='at least one computed and one published'):
        compare_with_literature(orm.Dict(SETTINGS), a=law(0.4, 1e-6))
    with pytest.raises(ValueError, match='at least one computed and one published'):
        compare_with_literature(orm.Dict(SETTINGS), **published('ni-louthan-1975'))
