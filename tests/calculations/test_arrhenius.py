"""From D to the Arrhenius parameters."""

import numpy as np
import pytest
from aiida import orm
from scipy.special import gammaincinv

from aiida_hdiff.calculations.arrhenius import arrhenius_from_diffusivities, compare_arrhenius, predict_diffusivity
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData


def measured(kelvin, *, energy=0.44, prefactor=1.7e-6, status='resolved', factor=1.0, hops=100.0):
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
            'n_hops': hops,
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
        'eam_900K_0': measured(900.0, status='not_resolved', factor=100.0, hops=3.0),
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


def test_unresolved_runs_become_one_sided_points():
    nodes = {f'eam_{t:g}K_0': measured(t) for t in (900.0, 1200.0)}
    free = arrhenius_from_diffusivities(missing=orm.Dict({}), **nodes)
    bounded = arrhenius_from_diffusivities(
        missing=orm.Dict({}), eam_700K_0=measured(700.0, status='not_resolved', factor=0.1, hops=3.0), **nodes
    )
    (bound,) = bounded['upper_bounds']
    assert bound['used']
    assert (bound['label'], bound['measured_temperature_K'], bound['n_hops']) == ('eam_700K_0', 702.0, 3.0)
    assert bound['limit_m2_s'] == pytest.approx(
        bound['upper_bound_m2_s'] * gammaincinv(10, 0.95) / gammaincinv(4, 0.95)
    )
    assert bounded.activation_energy_eV > free.activation_energy_eV + free.activation_energy_error_eV
    assert bounded['missing'] == [{'label': 'eam_700K_0', 'temperature_K': 700.0, 'reason': '3 hops'}]
    assert bounded['temperatures_K'] == free['temperatures_K']
    assert free['upper_bounds'] == []


def test_runs_that_do_not_diffuse_are_no_bounds():
    nodes = {f'eam_{t:g}K_0': measured(t) for t in (900.0, 1200.0)}
    free = arrhenius_from_diffusivities(missing=orm.Dict({}), **nodes)
    many = measured(700.0, status='not_resolved', factor=0.1, hops=500.0)
    fit = arrhenius_from_diffusivities(missing=orm.Dict({}), eam_700K_0=many, **nodes)
    assert fit.activation_energy_eV == free.activation_energy_eV
    assert fit['upper_bounds'] == [
        {
            'label': 'eam_700K_0',
            'measured_temperature_K': 702.0,
            'upper_bound_m2_s': many['upper_bound_m2_s'],
            'n_hops': 500.0,
            'used': False,
            'limit_m2_s': None,
        }
    ]


def test_the_tests_for_curvature_are_stored():
    few = arrhenius_from_diffusivities(missing=orm.Dict({}), a=measured(800.0), b=measured(1200.0))
    assert few['curvature']['verdict'] == 'not testable'
    hot = {f'hot_{t:g}': measured(t) for t in (1000.0, 1100.0, 1200.0, 1300.0)}
    cold = {
        f'cold_{t:g}': measured(t, energy=0.64, prefactor=1.7e-6 * np.exp(0.2 / (BOLTZMANN_EV_PER_K * 950.0)))
        for t in (600.0, 700.0, 800.0, 900.0)
    }
    node = arrhenius_from_diffusivities(missing=orm.Dict({}), **hot, **cold).get_dict()
    assert node['curvature']['verdict'] == 'two regimes'
    assert node['curvature']['regimes']['hot_energy_eV'] == pytest.approx(0.44, abs=0.01)
    assert node['curvature']['regimes']['break_temperature_K'] == pytest.approx(950.0, abs=10.0)


@pytest.fixture
def fit():
    return arrhenius_from_diffusivities(missing=orm.Dict({}), a=measured(800.0), b=measured(1000.0), c=measured(1200.0))


def test_prediction_with_its_history(fit):
    node = predict_diffusivity(fit, orm.Float(900.0))
    exact = 1.7e-6 * np.exp(-0.44 / (BOLTZMANN_EV_PER_K * 900.0))
    values = node.get_dict()
    assert values['value_m2_s'] == pytest.approx(exact, rel=1e-6)
    assert 0.02 < values['log_std_error'] < 0.05
    assert values['std_error_m2_s'] == pytest.approx(values['log_std_error'] * exact)
    low, high = values['interval_95_m2_s']
    assert low < values['interval_68_m2_s'][0] < exact < values['interval_68_m2_s'][1] < high
    assert values['temperature_range_K'] == [802.0, 1202.0]
    assert values['extrapolated'] is False
    assert predict_diffusivity(fit, orm.Float(300.0))['extrapolated'] is True
    assert node.creator.inputs.arrhenius.uuid == fit.uuid


def test_prediction_needs_the_temperatures():
    bare = ArrheniusData({
        'activation_energy_eV': 0.4, 'activation_energy_error_eV': 0.1, 'prefactor_m2_s': 1e-6,
        'covariance': [[0.1, 0.0], [0.0, 0.01]],
    })  # fmt: skip
    with pytest.raises(ValueError, match='does not tell its `temperatures_K`'):
        predict_diffusivity(bare, orm.Float(900.0))


def test_comparison_of_potentials(fit):
    other = {name: measured(t, energy=0.25) for name, t in (('a', 800.0), ('b', 1000.0), ('c', 1200.0))}
    node = compare_arrhenius(dft=fit, mace=arrhenius_from_diffusivities(missing=orm.Dict({}), **other))
    values = node.get_dict()
    assert values['labels'] == ['dft', 'mace']
    assert values['energy_p'] < 1e-6
    assert values['pairs'][0]['labels'] == ['dft', 'mace']
    assert values['pairs'][0]['difference_eV'] == pytest.approx(0.19, abs=1e-4)
    assert {link.link_label for link in node.creator.base.links.get_incoming().all()} == {'dft', 'mace'}
    assert orm.load_node(node.pk).get_dict() == values
