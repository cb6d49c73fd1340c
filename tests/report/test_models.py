"""How potentials were made and how good they are: the table, the figures, the files."""

import json
import math
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

pytest.importorskip('matplotlib')

from aiida_hdiff.report.compare import mean_coefficient
from aiida_hdiff.report.comparison import comparison_table
from aiida_hdiff.report.density import density, limits_of
from aiida_hdiff.report.interactive import make_panels
from aiida_hdiff.report.methods import methods_paragraph
from aiida_hdiff.report.models import Parity
from aiida_hdiff.report.plots.details import deviation_figure
from aiida_hdiff.report.plots.errors import GREY, errors_figure
from aiida_hdiff.report.plots.parity import parity_figure
from aiida_hdiff.report.plots.rdf_compare import rdf_compare_figure
from aiida_hdiff.report.results import results_json, results_schema, results_table
from aiida_hdiff.report.table import fit_notes
from aiida_hdiff.report.tables import make_tables
from aiida_hdiff.report.text import EMULATED, MISSING, digits
from tests.report.trained import REASON

LABELS = ['MACE_FT', 'MACE_TR', 'CHGNet_FT', 'MACE_MP', 'CHGNet_MP', 'POD student']


def test_the_table_has_every_potential_and_the_published_value(planned_study):
    table = comparison_table(planned_study)
    assert [column.label for column in table.columns] == [*LABELS, 'Völkl and Alefeld 1975 (compilation)']
    assert [column.left_out for column in table.columns] == [label == 'MACE_MP' for label in LABELS] + [False]
    rows = dict(table.rows)
    assert rows['kind'][:4] == ('fine-tuned', 'trained from scratch', 'fine-tuned', 'pretrained')
    assert rows['frames: training / validation / test'][3:6] == ('– / – / 120', '– / – / 120', '960 / 120 / 120')
    force = planned_study.potentials[0].model.errors['test'].force_meV_A
    assert rows['RMSE force (meV/Å), test set'][0] == digits(force)
    force = planned_study.potentials[-1].model.errors['held_out'].force_meV_A
    assert rows['RMSE force (meV/Å), held-out set'][4:6] == (MISSING, digits(force))
    assert rows['check before the MD'] == ('passed',) * 3 + ('failed',) + ('passed',) * 2 + (MISSING,)
    assert rows['Ea (eV)'][-1] == '0.420'
    assert rows['D at 800 K (m²/s)'][3] == MISSING
    assert rows['time of the training'][:4] == ('89 min', '2.5 h', '14 min', MISSING)
    assert table.reasons == (('MACE_MP', REASON),)
    assert all(len(cells) == len(table.columns) for cells in rows.values())


def test_the_table_names_what_was_emulated(planned_study):
    first, *others = planned_study.potentials
    study = replace(planned_study, potentials=(replace(first, emulated=True), *others))
    assert dict(comparison_table(study).rows)['architecture'][:2] == ('mace, EMULATED', 'mace')


def test_a_single_potential_without_a_record_needs_no_table(nickel_study, full_study):
    assert comparison_table(nickel_study) is None
    rows = dict(comparison_table(full_study).rows)
    assert 'Ea (eV)' in rows
    assert 'kind' not in rows


def test_replicas_are_averaged_in_the_logarithm(nickel_study):
    potential = nickel_study.potentials[0]
    first = potential.temperatures[0]
    runs = tuple(
        replace(first, replica=number, value_m2_s=value, std_error_m2_s=0.1 * value)
        for number, value in enumerate((1e-9, 4e-9))
    )
    found = mean_coefficient(replace(potential, temperatures=runs), first.temperature_K)
    assert found.value_m2_s == pytest.approx(2e-9)
    assert found.std_error_m2_s == pytest.approx(2e-9 * 0.1 / math.sqrt(2.0))
    assert not found.is_bound
    bounds = tuple(
        replace(first, status='not_resolved', value_m2_s=None, upper_bound_m2_s=bound) for bound in (3e-9, 1e-9)
    )
    found = mean_coefficient(replace(potential, temperatures=bounds), first.temperature_K)
    assert (found.value_m2_s, found.is_bound) == (1e-9, True)
    assert mean_coefficient(potential, 1.0) is None


def test_no_point_is_lost_in_the_cells():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=5000), 3.0 * rng.normal(size=5000)
    found = density(x, y, (40, 20), (limits_of(x), limits_of(y)))
    at_x, at_y, counts = found.occupied
    assert counts.sum() == 5000
    assert (counts > 0).all()
    assert at_x.mean() == pytest.approx(0.0, abs=5.0)
    width = found.x_edges[1] - found.x_edges[0]
    assert np.average(at_x, weights=counts) == pytest.approx(x.mean(), abs=width)
    assert len(at_y) <= 800
    low, high = limits_of(np.array([2.0, 2.0]))
    assert low < 2.0 < high


def test_error_bars_are_the_errors(planned_study):
    figure = errors_figure(planned_study)
    energy, force, stress = figure.axes
    tests = [one.model.errors['test'] for one in planned_study.potentials]
    for axes, name in ((energy, 'best_energy_meV_per_atom'), (force, 'force_meV_A'), (stress, 'stress_GPa')):
        ends = [patch.get_x() + patch.get_width() for patch in axes.patches]
        assert ends == pytest.approx([getattr(one, name) for one in tests])
        assert [text.get_text() for text in axes.get_yticklabels()] == [
            'MACE_FT', 'MACE_TR', 'CHGNet_FT', 'MACE_MP (failed)', 'CHGNet_MP', 'POD student',
        ]  # fmt: skip
        assert {text.get_color() for text in axes.get_yticklabels()} == {GREY, '#222222'}
    assert energy.get_xscale() == 'log'
    alike = errors_figure(replace(planned_study, potentials=planned_study.potentials[:3]))
    assert [axes.get_xscale() for axes in alike.axes] == ['linear'] * 3
    assert alike.axes[0].get_xlim()[0] == 0.0
    marks = [line.get_xdata()[0] for line in force.lines]
    others = {
        found.force_meV_A
        for one in planned_study.potentials
        for name, found in one.model.errors.items()
        if name != 'test'
    }
    assert set(marks) == others


def test_the_error_panel_has_the_same_numbers(planned_study):
    figure = make_panels(planned_study)['errors'].variants[0].figure
    bars = [trace for trace in figure['data'] if trace['type'] == 'bar']
    tests = [one.model.errors['test'] for one in planned_study.potentials]
    names = ('best_energy_meV_per_atom', 'force_meV_A', 'stress_GPa')
    for trace, name in zip(bars, names, strict=True):
        assert trace['x'] == pytest.approx([getattr(one, name) for one in tests], rel=1e-3)
        assert trace['marker']['color'][3] == '@l2'
        assert len(set(trace['marker']['color'])) == 6
    assert 'on H: ' in bars[1]['customdata'][0]
    assert 'as predicted: ' in bars[0]['customdata'][0]
    assert [figure['layout'][axis]['type'] for axis in ('xaxis',)] == ['log']


def test_parity_figures_show_all_points_and_the_error(planned_study):
    potential = planned_study.potentials[0]
    figure = parity_figure(potential)
    energy, hydrogen, host, stress = figure.axes[:4]
    np.testing.assert_array_equal(energy.lines[1].get_xdata(), potential.model.parity[0].labels)
    for axes, shown in ((hydrogen, 1), (host, 2), (stress, 3)):
        (mesh,) = axes.collections
        assert mesh.get_array().sum() == len(potential.model.parity[shown].labels)
        assert axes.get_xlim() == axes.get_ylim()
        assert any(f'RMSE {digits(potential.model.parity[shown].rmse)}' in text.get_text() for text in axes.texts)
    assert parity_figure(replace(potential, model=replace(potential.model, parity=()))) is None
    assert figure._suptitle.get_text() == 'MACE_FT, test set'
    assert parity_figure(potential, emulated=True)._suptitle.get_text() == EMULATED


def test_parity_panels_count_every_point(planned_study):
    panel = make_panels(planned_study)['parity']
    assert len(panel.variants) == 24
    host = panel.variants[2]
    assert (host.group, host.label) == ('MACE_FT', 'forces on Ni')
    shown = planned_study.potentials[0].model.parity[2]
    for trace in host.figure['data']:
        assert sum(count for count in trace['z'] if count is not None) == len(shown.labels)
        assert trace['colorscale'][0][0] == 0.0
        assert trace['colorscale'][-1][0] == 1.0
    assert len(panel.variants[0].figure['data'][0]['x']) == 120
    assert f'RMSE {digits(shown.rmse)} eV/Å' in host.figure['layout']['annotations'][0]['text']


def test_all_potentials_share_a_figure_of_radial_distributions(planned_study, nickel_study):
    figure = rdf_compare_figure(planned_study)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines[:5]}
        assert len(styles) == 5
    panel = make_panels(planned_study)['rdf_compare']
    assert [variant.label for variant in panel.variants] == [
        'Ni-H, 800 K',
        'Ni-H, 1400 K',
        'Ni-Ni, 800 K',
        'Ni-Ni, 1400 K',
    ]
    curve, trace = planned_study.potentials[0].rdf[2], panel.variants[0].figure['data'][0]
    r = trace['x0'] + trace['dx'] * np.arange(len(trace['y']))
    np.testing.assert_allclose(trace['y'], np.interp(r, curve.r_A, curve.g), rtol=1e-2, atol=1e-9)
    assert rdf_compare_figure(nickel_study) is None
    assert 'rdf_compare' not in make_panels(nickel_study)


def test_deviations_show_d_and_its_ratio(planned_study):
    cells = [text.get_text() for text in deviation_figure(planned_study).axes[0].texts]
    assert len(cells) == 15
    assert all(len(cell.splitlines()) == 2 for cell in cells)
    (heat,) = make_panels(planned_study)['deviation'].variants[0].figure['data']
    assert len(heat['y']) == len(set(heat['y'])) == 5
    assert heat['meta']['narrow']['text'][0][0] == heat['text'][0][0].split('<br>')[1]


def test_no_two_potentials_look_alike(planned_study):
    from aiida_hdiff.report.plots.arrhenius import arrhenius_figure

    many = replace(planned_study, potentials=planned_study.potentials[:3] * 5, literature=())
    traces = make_panels(many)['arrhenius'].variants[0].figure['data']
    lines = [trace for trace in traces if trace.get('mode') == 'lines' and trace.get('name')]
    assert len({(one['line']['color'], one['line']['dash']) for one in lines}) == 15
    axes = arrhenius_figure(many).axes[0]
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 100]
    assert len({(line.get_color(), str(line.get_linestyle()), str(line._dash_pattern)) for line in drawn}) == 15


def test_a_potential_that_was_left_out_has_no_curve(planned_study):
    words = json.dumps(make_panels(planned_study)['arrhenius'].variants[0].figure)
    assert 'MACE_MP' not in words
    assert 'CHGNet_MP' in words
    (note,) = fit_notes(planned_study.potentials[3])
    assert note == f'Left out of the molecular dynamics: {REASON}'


def test_results_have_the_record_and_follow_the_schema(planned_study, nickel_study):
    content = json.loads(json.dumps(results_json(planned_study), allow_nan=False))
    jsonschema.validate(content, results_schema())
    models = [one['model'] for one in content['potentials']]
    assert [model['kind'] for model in models[:2]] == ['fine_tuned', 'from_scratch']
    assert models[3]['gate'] == {'passed': False, 'reasons': [REASON]}
    assert models[0]['training']['n_frames'] == {'train': 960, 'valid': 120, 'test': 120}
    assert models[0]['errors']['test']['force_meV_A'] == planned_study.potentials[0].model.errors['test'].force_meV_A
    assert results_json(nickel_study)['potentials'][0]['model'] is None
    old = results_json(nickel_study)
    del old['potentials'][0]['model']
    jsonschema.validate(old, results_schema())
    content['potentials'][0]['model']['errors']['holdout'] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, results_schema())


def test_tables_have_the_comparison_the_errors_and_the_points(planned_study):
    tables = make_tables(planned_study)
    header, *rows = tables['comparison']
    by_label = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert list(by_label) == LABELS
    first = planned_study.potentials[0]
    assert by_label['MACE_FT']['test_force_meV_A'] == first.model.errors['test'].force_meV_A
    assert by_label['MACE_FT']['D_800K_m2_s'] == pytest.approx(first.temperatures[0].value_m2_s)
    assert (by_label['MACE_MP']['gate'], by_label['MACE_MP']['gate_reason']) == ('failed', REASON)
    assert by_label['MACE_MP']['D_800K_m2_s'] is None
    assert {row[1] for row in tables['errors'][1:]} == {'test', 'held_out', 'valid', 'path', 'train'}
    points = [row for row in tables['parity'][1:] if row[:2] == ('MACE_FT', 'forces on Ni')]
    assert sum(row[-1] for row in points) == len(first.model.parity[2].labels)


def test_the_terminal_and_the_methods_say_it_too(planned_study, nickel_study):
    table = results_table(planned_study)
    assert 'MACE_MP (left out)' in table
    assert f'MACE_MP is left out of the molecular dynamics: {REASON}' in ' '.join(table.split())
    assert max(map(len, table.splitlines())) < 130
    assert 'All potentials' not in results_table(nickel_study)
    words = methods_paragraph(planned_study)
    assert 'MACE_FT was fine-tuned on 960 configurations, with 120 to stop by and 120 to test against' in words
    assert 'split by blocks, seed 1' in words
    assert 'mace-torch 0.3.16' in words
    assert 'CHGNet_MP is a pretrained model and was used as it is.' in words
    assert f'MACE_MP was left out of the molecular dynamics: {REASON}.' in words


def test_labels_and_predictions_of_different_length_are_refused():
    with pytest.raises(ValueError, match='differ in length'):
        Parity('energy', 'eV', np.zeros(2), np.zeros(3))
