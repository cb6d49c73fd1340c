import copy

import pytest
import yaml

from aiida_hdiff.literature import load_literature
from aiida_hdiff.literature.load import parse_values

ENTRY = {
    'key': 'x-1',
    'host': 'Ni',
    'phase': 'fcc',
    'isotope': 'H',
    'origin': 'experiment',
    'kind': 'permeation',
    'transport': 'dilute',
    'prefactor_m2_s': 7.0e-7,
    'activation_energy_eV': 0.41,
    'temperature_range_K': [300.0, 500.0],
    'citation': 'A 1999',
    'reference': 'A, J. 1, 2 (1999)',
    'doi': '10.1000/abc',
}


@pytest.mark.parametrize(
    ('key', 'kelvin', 'expected'),
    [
        ('ni-voelkl-alefeld-1975', 600.0, 2.04e-10),
        ('pd-voelkl-alefeld-1975', 300.0, 3.97e-11),
        ('al-young-1998', 800.0, 1.53e-9),
        ('fe-kiuchi-1983', 300.0, 7.38e-9),
        ('nb-qi-1983', 300.0, 8.28e-10),
        ('v-qi-1983', 300.0, 5.44e-9),
        ('ta-qi-1983', 300.0, 2.18e-10),
        ('zr-kearns-1972', 600.0, 8.72e-11),
    ],
)
def test_coefficients_agree_with_independent_numbers(key, kelvin, expected):
    (value,) = [value for value in load_literature() if value.key == key]
    assert value.coefficient(kelvin) == pytest.approx(expected, rel=2e-3)


def test_values_of_one_host_come_recommended_first():
    nickel = load_literature('Ni')
    assert nickel[0].key == 'ni-voelkl-alefeld-1975'
    assert {value.host for value in nickel} == {'Ni'}
    assert len(nickel) >= 5
    assert load_literature('Xx') == ()


def test_every_host_has_at_most_one_recommended_value():
    hosts = [value.host for value in load_literature() if value.recommended]
    assert len(hosts) == len(set(hosts))


def test_measured_laws_are_physically_plausible():
    for value in load_literature():
        if value.has_coefficient:
            kelvin = value.temperature_range_K[0] if value.temperature_range_K else 600.0
            assert 1e-21 < value.coefficient(kelvin) < 1e-7, value.key


def test_energy_without_prefactor_gives_no_coefficient():
    nishimura = load_literature('Mg')[0]
    assert nishimura.activation_energy_eV == 0.25
    assert nishimura.prefactor_m2_s is None
    assert not nishimura.has_coefficient
    with pytest.raises(ValueError, match='no prefactor D0'):
        nishimura.coefficient(673.0)


def test_energy_and_point_anchor_the_law():
    (miyoshi,) = [value for value in load_literature('Ti') if value.key == 'ti-miyoshi-1996']
    assert miyoshi.coefficient(1000.0) == pytest.approx(3e-9)
    assert miyoshi.coefficient(900.0) < 3e-9
    assert miyoshi.covers(900.0)
    assert not miyoshi.covers(300.0)


@pytest.mark.parametrize('kelvin', [0.0, -5.0, float('nan')])
def test_temperature_must_be_positive(kelvin):
    with pytest.raises(ValueError, match='must be positive'):
        load_literature('Ni')[0].coefficient(kelvin)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'host': None}, 'host must be a text'),
        ({'origin': 'guess'}, "origin is 'guess'"),
        ({'isotope': 'He'}, 'isotope'),
        ({'prefactor_m2_s': '7e-7'}, "prefactor_m2_s is '7e-7', not a number"),
        ({'prefactor_m2_s': 7.0}, 'prefactor_m2_s'),
        ({'activation_energy_eV': 40.5}, 'activation_energy_eV is 40.5, not a number from 0 to 3'),
        ({'activation_energy_eV': None}, 'neither an activation energy nor a point'),
        ({'temperature_range_K': [500.0, 300.0]}, 'lowest, highest'),
        ({'temperature_range_K': [300.0]}, 'two positive numbers'),
        ({'point': [300.0, -1.0]}, 'two positive numbers'),
        ({'doi': 'https://doi.org/10.1/x'}, 'is not a DOI'),
        ({'recommended': 'yes'}, 'not true or false'),
        ({'energy': 1.0}, 'unknown field energy'),
    ],
)
def test_wrong_entries_are_named_and_explained(change, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_values([{**ENTRY, **change}])
    assert 'x-1' in str(error.value)


def test_list_is_required_and_keys_are_unique():
    assert parse_values([ENTRY])[0].temperature_range_K == (300.0, 500.0)
    with pytest.raises(ValueError, match='occurs twice'):
        parse_values([ENTRY, copy.copy(ENTRY)])
    with pytest.raises(ValueError, match='list'):
        parse_values(yaml.safe_load('a: 1'))
    with pytest.raises(ValueError, match='number 1: expected a mapping'):
        parse_values(['text'])
