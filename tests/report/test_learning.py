"""How a potential learned: from the nodes of its history to figures, panels and tables."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

pytest.importorskip('matplotlib')

from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.report.collect_learning import trainings_of
from aiida_hdiff.report.collect_tools import tools_of
from aiida_hdiff.report.figures import figure_bytes, make_figures
from aiida_hdiff.report.interactive.learning import learning_panels
from aiida_hdiff.report.learning import LearningHistory, collect_learning, envelope
from aiida_hdiff.report.learning_curves import collect_curves
from aiida_hdiff.report.plots.learning import curves_figure, learning_figure, save_learning_figure
from aiida_hdiff.report.tables import make_tables
from aiida_hdiff.report.text import EMULATED
from tests.report import synthetic


@pytest.fixture
def history():
    return synthetic.learning_history()


def texts(figure):
    svg = figure_bytes(figure, 'svg').decode()
    found = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]
    return ' '.join([*found, *(text.get_text() for axes in figure.axes for text in axes.texts)]), svg


def test_the_figure_shows_errors_threshold_calls_and_stages(history):
    figure = learning_figure(history)
    words, _ = texts(figure)
    for word in ('meV/Å', 'calls of DFT', 'time (ps)', '1–700 K', '300 K'):
        assert word in words
    errors, calls = figure.axes
    assert calls.get_xlim() == (0.0, 3.0)
    assert calls.lines[0].get_ydata()[-1] == 5
    assert np.allclose(errors.lines[0].get_ydata(), 15.0)
    assert figure._suptitle is None


def test_an_emulated_training_is_labelled(history):
    figure = learning_figure(replace(history, emulated=True))
    assert figure._suptitle.get_text() == EMULATED
    assert 'not VASP' in EMULATED
    words, _ = texts(figure)
    assert 'calls of DFT' not in words


def test_a_training_without_steps_can_be_drawn(history):
    empty = np.empty(0)
    nothing = LearningHistory(empty, empty, empty, empty, empty, empty, (), False)
    assert figure_bytes(learning_figure(nothing), 'png').startswith(b'\x89PNG')


def test_no_peak_is_lost():
    rng = np.random.default_rng(5)
    times, values = rng.permutation(100_000) / 7.0, rng.normal(size=100_000)
    middle, low, high = envelope(times, values)
    assert len(middle) <= 600
    assert (low.min(), high.max()) == (values.min(), values.max())
    assert np.all(np.diff(middle) > 0)


def test_the_file_is_what_its_name_says(history, tmp_path):
    assert save_learning_figure(history, tmp_path / 'a.svg').read_text().startswith('<?xml')
    assert save_learning_figure(history, tmp_path / 'a.pdf').read_bytes().startswith(b'%PDF')
    with pytest.raises(ValueError, match=r"'a.jpg' does not end in .png, .svg or .pdf"):
        save_learning_figure(history, tmp_path / 'a.jpg')


def test_other_nodes_are_refused(aiida_profile):
    with pytest.raises(ValueError, match='is no training on the fly'):
        collect_learning(orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusion').store())
    node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.on_the_fly').store()
    with pytest.raises(ValueError, match='has no `learning` yet'):
        collect_learning(node)


def test_the_curves_of_a_study_are_drawn_and_written(full_study):
    learning, curves = learning_panels(full_study)
    assert [panel.variants[0].label for panel in (learning, curves)] == ['on the fly: Mg H', 'MACE, multihead replay']
    calls = next(trace for trace in learning.variants[0].figure['data'] if trace.get('yaxis') == 'y2')
    assert calls['y'] == [1, 2, 3, 4, 5, 5]
    assert calls['x'][-1] == 3
    traces = curves.variants[0].figure['data']
    assert [trace['yaxis'] for trace in traces] == ['y', 'y', 'y2', 'y2', 'y3', 'y3']
    assert [trace['showlegend'] for trace in traces] == [True, True, *[False] * 4]
    assert curves.variants[0].figure['layout']['shapes'][0]['x0'] == 24
    figures = make_figures(full_study, ['learning', 'learning_curves'])
    assert list(figures) == ['arrhenius', 'learning', 'learning_curves']
    assert [axes.get_ylabel() for axes in figures['learning_curves'].axes] == [
        'energy RMSE (meV/atom)', 'force RMSE (meV/Å)', 'stress RMSE (meV/Å³)',
    ]  # fmt: skip
    tables = make_tables(full_study)
    assert len(tables['learning']) == 3001
    assert len(tables['learning_calls']) == 6
    assert len(tables['learning_curves']) == 1 + 2 * (31 + 31 + 20)


def test_a_training_that_two_potentials_share_is_shown_once(full_study):
    first, second = full_study.potentials
    both = replace(full_study, potentials=(replace(first, trainings=second.trainings[:1]), second))
    assert [label for label, _ in both.trainings] == [first.label, second.label]
    assert len(learning_panels(both)[0].variants) == 1


def test_curves_of_an_emulated_study_say_so():
    assert curves_figure(synthetic.learning_curves(), emulated=True)._suptitle.get_text() == EMULATED


def arrays(**values):
    node = orm.ArrayData()
    for name, value in values.items():
        node.set_array(name, np.asarray(value))
    return node


def process(kind, entry_point, inputs, outputs, label=''):
    """Return a stored process with inputs and outputs."""
    group = 'workflows' if kind is orm.WorkChainNode else 'calculations'
    node = kind(process_type=f'aiida.{group}:{entry_point}', label=label)
    into, out = (
        (LinkType.INPUT_WORK, LinkType.RETURN) if kind is orm.WorkChainNode else (LinkType.INPUT_CALC, LinkType.CREATE)
    )
    for name, one in inputs.items():
        node.base.links.add_incoming(one if one.is_stored else one.store(), into, name)
    node.store()
    for name, one in outputs.items():
        if one.is_stored:
            one.base.links.add_incoming(node, out, name)
        else:
            one.base.links.add_incoming(node, out, name)
            one.store()
    return node


def test_trainings_in_the_history_of_a_potential(aiida_profile, generate_potential, generate_dataset):
    """VASP learned on the fly, MACE from its frames, CHGNet from those that GPAW labelled; one more is no ancestor."""
    dataset = generate_dataset()
    field = PotentialData(architecture='vasp-mlff', elements=['Ni', 'H'], files=[b'ML_FF'])
    process(orm.CalcJobNode, 'hdiff.vasp_mlff', {}, {'force_field': field, 'dataset': dataset})
    learning = arrays(
        step=[1, 2, 3, 4], bayesian_error_force_max=[0.1, 0.2, 0.3, 0.1], threshold=[0.1] * 4, status_step=[1, 2, 3],
        dft=[1, 0, 1], rmse_step=[2], rmse_force=[0.05],
    )  # fmt: skip
    spans = {'spans': [{'stage': 'ramp', 'first_step': 0, 'steps': 4}], 'emulated': False}
    stages = {'stages': [{'name': 'ramp', 'start_K': 1.0, 'end_K': 700.0}]}
    outputs = {
        'potential': field,
        'dataset': dataset,
        'learning': learning.store(),
        'statistics': orm.Dict({**spans, **stages}).store(),
    }
    settings = orm.Dict({'timestep_fs': 2.0})
    process(orm.WorkChainNode, 'hdiff.on_the_fly', {'settings': settings}, outputs, label='Ni H')
    curves = arrays(valid_epoch=[-1, 0, 1], valid_rmse_f=[0.3, 0.2, 0.1], valid_mae_e_per_atom=[0.03, 0.02, 0.01])
    mace = generate_potential('mace')
    results = orm.Dict({'strategy': 'from_scratch', 'best_epoch': 1})
    process(
        orm.CalcJobNode, 'hdiff.mace_train', {'train': dataset},
        {'potential': mace, 'curves': curves, 'results': results}, label='small',
    )  # fmt: skip
    stopped = arrays(valid_epoch=[-1], valid_rmse_f=[0.3])
    process(orm.CalcJobNode, 'hdiff.mace_train', {'train': dataset}, {'curves': stopped})

    history, of_mace = trainings_of(mace)
    assert history.title == 'on the fly: Ni H'
    np.testing.assert_allclose(history.call_times_ps, [0.002, 0.006])
    assert of_mace.title == 'MACE, from scratch, small'
    assert of_mace.best_epoch == 2
    energy, force = of_mace.curves
    assert (energy.quantity, energy.measure, force.quantity, force.measure) == ('energy', 'MAE', 'force', 'RMSE')
    np.testing.assert_allclose(force.epochs, [0, 1, 2])
    np.testing.assert_allclose(force.errors, [300.0, 200.0, 100.0])
    assert tools_of([mace]) == ('mace', 'vasp', 'vasp-mlff')
    assert [one.title for one in trainings_of(field)] == ['on the fly: Ni H']
    assert tools_of([field]) == ('vasp', 'vasp-mlff')

    labelled, chgnet = generate_dataset(seed=9), generate_potential('chgnet')
    process(orm.CalcJobNode, 'hdiff.label', {'settings': orm.Dict({'calculator': 'gpaw'})}, {'dataset': labelled})
    curves = arrays(epoch=[1, 2], valid_force_mae_meV_A=[90.0, 80.0], train_force_mae_meV_A=[95.0, 70.0])
    job = process(orm.CalcJobNode, 'hdiff.chgnet_train', {'train': labelled}, {'potential': chgnet, 'curves': curves})
    (of_chgnet,) = trainings_of(chgnet)
    assert (of_chgnet.title, of_chgnet.best_epoch, of_chgnet.node_uuid) == ('CHGNet', None, job.uuid)
    assert [(curve.split, curve.unit, list(curve.errors)) for curve in of_chgnet.curves] == [
        ('train', 'meV/Å', [95.0, 70.0]), ('valid', 'meV/Å', [90.0, 80.0]),
    ]  # fmt: skip
    assert tools_of([chgnet]) == ('chgnet', 'gpaw')
    assert trainings_of(generate_potential()) == ()


def test_jobs_without_curves_are_refused(aiida_profile):
    with pytest.raises(ValueError, match='is no training of MACE or CHGNet'):
        collect_curves(orm.CalcJobNode(process_type='aiida.calculations:hdiff.md').store())
    with pytest.raises(ValueError, match='has no `curves`: it has not finished its first epoch'):
        collect_curves(orm.CalcJobNode(process_type='aiida.calculations:hdiff.mace_train').store())
