import json
import math
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from aiida_hdiff.literature import load_literature
from aiida_hdiff.report.compare import compare
from aiida_hdiff.report.results import results_json, results_schema, results_table
from aiida_hdiff.report.study import MSDCurve, TemperatureResult


def test_json_follows_the_schema_without_nan(any_study):
    schema = results_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    content = results_json(any_study)
    text = json.dumps(content, allow_nan=False)
    jsonschema.validate(json.loads(text), schema)
    assert content['schema_version'] == 1
    assert content['n_atoms'] == sum(content['composition'].values())


def test_json_keeps_the_numbers(nickel_study):
    (potential,) = results_json(nickel_study)['potentials']
    assert potential['activation_energy_eV'] == 0.4402
    assert potential['prefactor_m2_s'] == 1.76e-6
    first, result = potential['temperatures'][0], nickel_study.potentials[0].temperatures[0]
    for name in ('temperature_K', 'measured_temperature_K', 'value_m2_s', 'std_error_m2_s', 'node_uuid'):
        assert first[name] == getattr(result, name)
    assert first['status'] == 'resolved'


def test_json_replaces_what_is_not_finite(magnesium_study):
    potentials = results_json(magnesium_study)['potentials']
    assert potentials[1]['temperatures'][0]['upper_bound_m2_s'] is None
    assert potentials[1]['activation_energy_eV'] is None
    assert potentials[2]['activation_energy_error_eV'] is None
    assert potentials[0]['temperatures'][0]['upper_bound_m2_s'] == 8.8e-12


def test_json_takes_numpy_numbers(nickel_study):
    potential = nickel_study.potentials[0]
    result = replace(potential.temperatures[0], n_hops=np.float32(3.5), mean_volume_A3=np.float64(5.0))
    study = replace(nickel_study, potentials=(replace(potential, temperatures=(result,), dof=np.int64(3)),))
    jsonschema.validate(json.loads(json.dumps(results_json(study), allow_nan=False)), results_schema())


@pytest.mark.parametrize('change', [{'status': 'unknown'}, {'value_m2_s': None}, {'extra': 1}])
def test_schema_refuses_wrong_results(nickel_study, change):
    content = results_json(nickel_study)
    content['potentials'][0]['temperatures'][0].update(change)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, results_schema())


def test_table_shows_result_and_literature(nickel_study):
    table = results_table(nickel_study)
    assert 'DEMONSTRATION' in table
    assert 'Ea = 0.440 ± 0.017 eV, D0 = 1.76e-06 m²/s (1σ: a factor of 1.21)' in table
    assert 'χ² = 2.6 for 3 degrees of freedom' in table
    assert 'Völkl and Alefeld 1975 (compilation)  0.420  6.87e-07' in table
    assert '(2.96 ± 0.18)e-09' in table
    assert all(f'\n  {kelvin} ' in table for kelvin in (800, 900, 1050, 1200, 1400))


def test_table_warns_of_single_runs(full_study):
    lines = results_table(full_study).splitlines()
    warned = [line for line in lines if line.startswith('  Warning, ')]
    text = '  Warning, 1400 K: the error from the scatter of the atoms is 3.4 times the one from blocks'
    assert warned == [text] * 2


def test_table_says_what_is_missing(magnesium_study):
    table = results_table(magnesium_study)
    assert 'not resolved, D < 8.80e-12' in table
    assert 'Not in the fit: 300 K (not resolved); 900 K (exit code 412)' in table
    assert 'No Arrhenius fit: D is resolved at 1 temperature\n' in table
    assert 'failed: exit code 412' in table
    assert 'too few results to judge the fit' in table
    assert 'Warning: H-H pairs' in table
    assert 'nan' not in table.replace('NaN & co', '')
    assert 'inf' not in table
    assert max(map(len, table.splitlines())) < 130


def test_table_of_an_empty_study(empty_study):
    assert 'No potential has given a result' in results_table(empty_study)


def test_replicas_have_a_column(replica_study):
    table = results_table(replica_study)
    assert table.count('replica') == 1
    assert table.count('\n  1400  ') == 4


def test_comparison_is_made_inside_both_ranges(nickel_study):
    rows = compare(nickel_study.potentials[0], nickel_study.literature)
    by_key = {row.value.key: row for row in rows}
    first = by_key['ni-voelkl-alefeld-1975']
    assert not first.extrapolated
    assert 800.0 < first.temperature_K < 1400.0
    assert first.energy_difference_eV == pytest.approx(0.0202)
    assert first.energy_distance_sigma == pytest.approx(0.0202 / 0.017)
    assert first.prefactor_ratio == pytest.approx(1.76e-6 / 6.87e-7)
    expected = first.prefactor_ratio * math.exp(-0.0202 / (8.617333262e-5 * first.temperature_K))
    assert first.coefficient_ratio == pytest.approx(expected)
    assert by_key['ni-louthan-1975'].extrapolated
    assert by_key['ni-hagi-1986'].temperature_K < 1000.0


def test_comparison_with_a_single_point(magnesium_study):
    rows = {row.value.key: row for row in compare(magnesium_study.potentials[0], load_literature('Mg'))}
    assert rows['mg-angeletti-2024'].temperature_K == 673.0
    assert rows['mg-angeletti-2024'].coefficient_ratio == pytest.approx(1.02, abs=0.01)
    assert not rows['mg-angeletti-2024'].extrapolated
    assert rows['mg-nishimura-1999'].coefficient_ratio is None
    assert compare(magnesium_study.potentials[1], load_literature('Mg')) == ()


def test_fit_band_follows_the_covariance(nickel_study):
    potential = nickel_study.potentials[0]
    value, log_error = potential.predict(1000.0)
    x = 1.0 / (8.617333262e-5 * 1000.0)
    assert value == pytest.approx(1.76e-6 * math.exp(-0.4402 * x))
    gradient = np.array([1.0, -x])
    assert log_error == pytest.approx(math.sqrt(gradient @ np.array(potential.covariance) @ gradient))
    with pytest.raises(ValueError, match='no Arrhenius fit'):
        replace(potential, prefactor_m2_s=None).predict(1000.0)


def test_inconsistent_data_are_refused():
    with pytest.raises(ValueError, match='differ in length'):
        MSDCurve([0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match='must be positive'):
        TemperatureResult(temperature_K=300.0, status='resolved')
