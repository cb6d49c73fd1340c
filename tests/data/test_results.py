"""DiffusivityData and ArrheniusData."""

import pytest
from aiida import orm

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData

DIFFUSIVITY = {
    'temperature_K': 800.0,
    'measured_temperature_K': 803.2,
    'value_m2_s': 3.21e-9,
    'std_error_m2_s': 2e-10,
    'status': 'resolved',
    'n_hops': 120.0,
    'upper_bound_m2_s': 4e-9,
}
UNRESOLVED = {**DIFFUSIVITY, 'status': 'not_resolved', 'value_m2_s': None, 'std_error_m2_s': None}
ARRHENIUS = {
    'activation_energy_eV': 0.44,
    'activation_energy_error_eV': 0.02,
    'prefactor_m2_s': 1.7e-6,
    'covariance': [[0.04, 0.002], [0.002, 0.0004]],
    'n_temperatures': 5,
}


@pytest.mark.parametrize(('cls', 'values'), [(DiffusivityData, DIFFUSIVITY), (ArrheniusData, ARRHENIUS)])
def test_missing_values_are_named(cls, values):
    for key in values:
        rest = {name: value for name, value in values.items() if name != key}
        if key == 'n_temperatures':
            assert cls(rest).get_dict() == rest
        else:
            with pytest.raises(ValueError, match=f'need.* {key}'):
                cls(rest)
    with pytest.raises(ValueError, match=next(iter(values))):
        cls()


def test_resolved_diffusivity():
    node = DiffusivityData(DIFFUSIVITY)
    assert node.is_resolved
    assert (node.value_m2_s, node.std_error_m2_s) == (3.21e-9, 2e-10)
    assert str(node) == 'D(803 K) = (3.21e-09 ± 2e-10) m²/s'


def test_unresolved_diffusivity_has_no_value():
    node = DiffusivityData(UNRESOLVED)
    assert not node.is_resolved
    assert node.value_m2_s is None
    assert node.std_error_m2_s is None
    assert str(node) == 'D(803 K) not resolved, D < 4e-09 m²/s'


def test_arrhenius():
    node = ArrheniusData(ARRHENIUS)
    assert (node.activation_energy_eV, node.activation_energy_error_eV) == (0.44, 0.02)
    assert node.prefactor_m2_s == 1.7e-6
    assert str(node) == 'Ea = 0.440 ± 0.020 eV, D0 = 1.70e-06 m²/s'


def test_queries_find_flat_attributes():
    resolved = DiffusivityData({**DIFFUSIVITY, 'measured_temperature_K': 911.5}).store()
    DiffusivityData({**UNRESOLVED, 'measured_temperature_K': 912.5}).store()
    filters = {'attributes.status': 'resolved', 'attributes.measured_temperature_K': {'>': 911.0, '<': 913.0}}
    query = orm.QueryBuilder().append(DiffusivityData, filters=filters, project='attributes.value_m2_s')
    assert query.all() == [[3.21e-9]]
    arrhenius = ArrheniusData({**ARRHENIUS, 'activation_energy_eV': 0.777}).store()
    query = orm.QueryBuilder().append(ArrheniusData, filters={'attributes.activation_energy_eV': {'>': 0.77}})
    assert [node.pk for (node,) in query.all()] == [arrhenius.pk]
    assert resolved.pk != arrhenius.pk


def test_numbers_survive_the_database():
    node = orm.load_node(ArrheniusData(ARRHENIUS).store().pk)
    assert node.get_dict() == ARRHENIUS
