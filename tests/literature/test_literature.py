import copy
import math

import pytest
import yaml

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.literature import LiteratureValue, load_literature, parse_values, read_values

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


def test_the_fit_to_digitised_points_agrees_with_the_quoted_law():
    """Katz et al. for H in Cu are quoted with 1.131e-6 m²/s and 0.403 eV, 3.27e-9 m²/s at 800 K."""
    (value,) = [value for value in load_literature('Cu') if value.key == 'cu-katz-1971']
    assert value.recommended
    assert value.coefficient(800.0) == pytest.approx(3.27e-9, rel=0.03)
    assert value.log_error(800.0) < 0.05


def test_the_reference_study():
    """Angeletti et al. 2024, version 1, as printed."""
    values = {value.key: value for value in load_literature('Mg')}
    energies = {name: values[f'mg-angeletti-2024-{name}'].activation_energy_eV for name in ('vasp', 'chgnet', 'mace')}
    assert energies == {'vasp': 0.46, 'chgnet': 0.16, 'mace': 0.25}
    assert values['mg-angeletti-2024'].point == (673.0, 2.1e-8)


def test_every_host_has_a_value_with_a_doi_and_a_recommended_one():
    for host in ('Mg', 'Ni', 'Pd', 'Al', 'Cu', 'Fe', 'Nb', 'V', 'Ta', 'Ti', 'Zr'):
        values = load_literature(host)
        assert any(value.doi for value in values), host
        assert values[0].recommended, host
        assert values[0].doi, host


def test_every_value_says_where_it_was_read():
    for value in load_literature():
        assert any(word in value.note for word in ('as ', 'our straight-line fit', 'the value of the abstract')), (
            value.key
        )


@pytest.mark.parametrize(
    ('host', 'kelvin', 'factor'),
    [('Ni', 600.0, 2.0), ('Cu', 800.0, 1.3), ('Pd', 400.0, 1.3), ('Fe', 600.0, 2.0), ('Al', 800.0, 16.0)],
)
def test_experiments_agree_as_well_as_is_known(host, kelvin, factor):
    values = [one for one in load_literature(host) if one.isotope == 'H' and one.origin != 'calculation']
    found = [one.coefficient(kelvin) for one in values if one.covers(kelvin) and one.has_coefficient]
    assert len(found) >= 2
    assert max(found) / min(found) < factor


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
        ({'key': 'X 1'}, 'key must be lower-case'),
        ({'prefactor_m2_s': '7e-7'}, 'YAML reads 7e-7 as text, write 7.0e-7'),
        ({'point': [800.0, '7E-9']}, 'YAML reads 7E-9 as text, write 7.0e-9'),
        ({'point': [2e-9, 800.0]}, r'not \[temperature in K, D in m²/s\]'),
        ({'prefactor_m2_s': float('nan')}, 'prefactor_m2_s is nan'),
        ({'activation_energy_error_eV': 0.0}, 'activation_energy_error_eV is 0'),
        ({'prefactor_m2_s': None, 'prefactor_error_m2_s': 1e-8}, 'prefactor_error_m2_s is given without'),
        ({'note': 5}, 'note is 5, not a text'),
        ({'recommended': 'yes'}, 'not true or false'),
        ({'energy': 1.0}, 'unknown field energy'),
    ],
)
def test_wrong_entries_are_named_and_explained(change, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_values([{**ENTRY, **change}])
    assert change.get('key', 'x-1') in str(error.value)


def test_list_is_required_and_keys_are_unique():
    assert parse_values([ENTRY])[0].temperature_range_K == (300.0, 500.0)
    with pytest.raises(ValueError, match='occurs twice'):
        parse_values([ENTRY, copy.copy(ENTRY)])
    with pytest.raises(ValueError, match='list'):
        parse_values(yaml.safe_load('a: 1'))
    with pytest.raises(ValueError, match='number 1: expected a mapping'):
        parse_values(['text'])


def write(path, *entries):
    path.write_text(yaml.safe_dump(list(entries)), encoding='utf-8')
    return path


def test_own_values_come_before_those_shipped(tmp_path):
    path = write(tmp_path / 'own.yaml', ENTRY, {**ENTRY, 'key': 'x-2', 'host': 'Mg'})
    nickel = load_literature('Ni', extra=path)
    assert [value.key for value in nickel][:2] == ['ni-voelkl-alefeld-1975', 'x-1']
    assert len(nickel) == len(load_literature('Ni')) + 1
    assert [value.key for value in read_values(path)] == ['x-1', 'x-2']
    assert len(load_literature(extra=str(path))) == len(load_literature()) + 2


def test_own_files_are_checked(tmp_path):
    with pytest.raises(
        ValueError, match=r"own.yaml: literature value 'ni-louthan-1975': the key is one of those shipped"
    ):
        load_literature(extra=write(tmp_path / 'own.yaml', {**ENTRY, 'key': 'ni-louthan-1975'}))
    with pytest.raises(ValueError, match=r"own\.yaml: literature value 'x-1': the key occurs twice"):
        load_literature(extra=write(tmp_path / 'own.yaml', ENTRY, ENTRY))
    with pytest.raises(ValueError, match=r"own\.yaml: literature value 'x-1': isotope is 'He'"):
        load_literature(extra=write(tmp_path / 'own.yaml', {**ENTRY, 'isotope': 'He'}))
    with pytest.raises(ValueError, match=r"'none\.yaml' cannot be read: No such file"):
        load_literature(extra=tmp_path / 'none.yaml')
    (tmp_path / 'bad.yaml').write_text('- key: [', encoding='utf-8')
    with pytest.raises(ValueError, match=r"'bad\.yaml' is not YAML"):
        read_values(tmp_path / 'bad.yaml')


def test_published_errors_are_smallest_in_the_middle_of_the_range():
    middle = 2 / (1 / 500.0 + 1 / 1000.0)
    kt = BOLTZMANN_EV_PER_K * middle
    entry = {**ENTRY, 'temperature_range_K': [500.0, 1000.0], 'activation_energy_error_eV': 0.02}
    (value,) = parse_values([{**entry, 'prefactor_error_m2_s': 7e-7 * math.hypot(0.02 / kt, 0.1)}])
    assert value.log_error(middle) == pytest.approx(0.1)
    assert value.log_error(500.0) == pytest.approx(value.log_error(1000.0))
    assert value.log_error(500.0) > 0.1
    (small,) = parse_values([{**entry, 'prefactor_error_m2_s': 7e-9}])
    assert 0.02 / kt - 0.01 < small.log_error(middle) < 0.02 / kt
    (free,) = parse_values([{**entry, 'prefactor_error_m2_s': 7e-9, 'temperature_range_K': None}])
    assert free.log_error(middle) == pytest.approx(math.hypot(0.01, 0.02 / kt))
    assert parse_values([entry])[0].log_error(600.0) is None
    with pytest.raises(ValueError, match='must be positive'):
        value.log_error(0.0)


def test_the_documented_file_is_valid(tmp_path):
    import re
    from pathlib import Path

    page = (Path(__file__).parents[2] / 'docs' / 'reference' / 'literature.md').read_text(encoding='utf-8')
    (block,) = re.findall(r'^```yaml\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    (tmp_path / 'own.yaml').write_text(block, encoding='utf-8')
    own = [value for value in load_literature('Ni', extra=tmp_path / 'own.yaml') if value.key == 'ni-own-2026']
    assert own[0].log_error(600.0) == pytest.approx(0.05, abs=0.05)
    fields = set(LiteratureValue.__dataclass_fields__)
    assert all(f'`{field}`' in page for field in fields)
