"""The figure of a training on the fly."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('matplotlib')

from aiida_hdiff.report.figures import figure_bytes
from aiida_hdiff.report.learning import LearningHistory, TrainingSpan, collect_learning
from aiida_hdiff.report.plots.learning import envelope, learning_figure, save_learning_figure
from aiida_hdiff.report.text import EMULATED


@pytest.fixture
def history():
    rng = np.random.default_rng(2)
    times = np.arange(3000) / 1000
    return LearningHistory(
        times_ps=times,
        bayesian_error_eV_A=0.02 * rng.random(3000),
        threshold_eV_A=np.full(3000, 0.015),
        call_times_ps=np.array([0.0, 0.001, 0.002, 0.7, 2.2]),
        rmse_times_ps=np.array([0.01, 1.0]),
        rmse_force_eV_A=np.array([0.03, 0.02]),
        spans=(TrainingSpan('ramp', 0.0, 2.0, 1.0, 700.0), TrainingSpan('train_300K', 2.0, 3.0, 300.0, 300.0)),
        emulated=False,
    )


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
    from aiida import orm

    with pytest.raises(ValueError, match='is no training on the fly'):
        collect_learning(orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusion').store())
    node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.on_the_fly').store()
    with pytest.raises(ValueError, match='has no `learning` yet'):
        collect_learning(node)
