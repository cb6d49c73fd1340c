"""Every end of a fine-tuning of CHGNet, from files as the engine writes them."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory

from aiida_hdiff.analysis.error_summary import error_summary
from aiida_hdiff.analysis.errors import Predictions
from aiida_hdiff.calculations import chgnet_train as files
from aiida_hdiff.calculations.chgnet_train import ChgnetTrainCalculation
from aiida_hdiff.calculations.engine_job import STATUS_FILE

HISTORY = [
    {'epoch': epoch, 'learning_rate': 1e-3, 'valid_force_mae_meV_A': 90.0 / epoch, 'score': 1.0 / epoch, 'seconds': 2.0}
    for epoch in (1, 2, 3)
]


def summary(dataset, off_eV_A):
    """Return errors of predictions that are off by a constant force."""
    frames = dataset.frames()
    return error_summary(Predictions(frames, frames.energies, frames.forces + off_eV_A, frames.stresses), n_worst=0)


@pytest.fixture
def parse(generate_calc_job_node, generate_dataset, generate_potential, tmp_path):
    """Give a function that writes the files of a job, lets ``change`` edit them, and parses them."""

    def run(code=0, message='', change=None, missing_folder=False, epochs=3, stderr=None):
        train, valid = generate_dataset(6, seed=1), generate_dataset(3, seed=2)
        inputs = {
            'foundation': generate_potential('chgnet', elements=('Cu', 'Ni', 'H'), cutoff_A=6.0),
            'train': train,
            'valid': valid,
            'settings': orm.Dict({'epochs': epochs}),
            'seed': orm.Int(4),
        }
        folder, retrieved = tmp_path / 'job', tmp_path / 'retrieved'
        folder.mkdir()
        retrieved.mkdir()
        (retrieved / 'engine.out').write_text('')
        if stderr is not None:
            (retrieved / '_scheduler-stderr.txt').write_text(stderr)
        if code is not None:
            status = {'exit_code': code, 'message': message, 'versions': {'chgnet': '0.4.2'}, 'wall_s': 9.0}
            (retrieved / STATUS_FILE).write_text(json.dumps(status))
        training = {
            'epoch': 3,
            'best_epoch': 2,
            'stopped_early': False,
            'targets': 'efs',
            'shift': {'shifts_eV': {'H': 0.1}},
            'history': HISTORY,
            'n_parameters': 100,
            'n_trained_parameters': 10,
        }
        errors = {
            when: {'train': summary(train, off), 'valid': summary(valid, off)}
            for when, off in (('before', 0.1), ('best', 0.02))
        }
        (folder / files.TRAINING_FILE).write_text(json.dumps(training))
        (folder / files.CHECKPOINT_FILE).write_bytes(b'checkpoint')
        if code == 0:
            (folder / files.ERRORS_FILE).write_text(json.dumps(errors))
            (folder / files.MODEL_FILE).write_bytes(b'model')
        if change is not None:
            change(folder, retrieved)
        attributes = {'output_filename': 'engine.out', 'scheduler_stderr': '_scheduler-stderr.txt'}
        node = generate_calc_job_node('hdiff.chgnet_train', inputs, retrieved=retrieved, attributes=attributes)
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory('hdiff.chgnet_train').parse_from_node(node, store_provenance=False, **temporary)

    return run


def code(name):
    return ChgnetTrainCalculation.exit_codes[name].status


def test_finished(parse):
    outputs, node = parse()
    assert node.exit_status == 0, node.exit_message
    potential = outputs['potential']
    assert (potential.architecture, potential.elements, potential.cutoff_A) == ('chgnet', ['H', 'Cu'], 6.0)
    assert potential.base.repository.get_object_content('potential.0', mode='rb') == b'model'
    curves = outputs['curves']
    np.testing.assert_array_equal(curves.get_array('epoch'), [1, 2, 3])
    np.testing.assert_allclose(curves.get_array('valid_force_mae_meV_A'), [90.0, 45.0, 30.0])
    results = outputs['results'].get_dict()
    assert (results['epochs'], results['epochs_wanted'], results['best_epoch'], results['finished']) == (3, 3, 2, True)
    assert results['splits']['valid']['force_rmse_meV_A'] == pytest.approx(20.0)
    assert results['initial']['train']['force_rmse_meV_A'] == pytest.approx(100.0)
    assert results['n_frames'] == {'train': 6, 'valid': 3}
    assert results['versions'] == {'chgnet': '0.4.2'}
    assert (results['training_seconds'], results['seconds']) == (6.0, 9.0)
    assert results['composition_shift'] == {'shifts_eV': {'H': 0.1}}
    assert 'checkpoint' not in outputs


@pytest.mark.parametrize(
    ('status', 'message', 'name', 'said'),
    [
        (40, 'stopped by the time limit of 9 s after 3 of 7 epochs.', 'ERROR_OUT_OF_WALLTIME', 'after 3 of 7 epochs'),
        (40, 'stopped by SIGTERM after 3 of 7 epochs.', 'ERROR_INTERRUPTED', 'after 3 of 7 epochs'),
        (None, '', 'ERROR_INTERRUPTED', 'after 3 of 7 epochs'),
    ],
)
def test_stopped(parse, status, message, name, said):
    outputs, node = parse(status, message, epochs=7)
    assert node.exit_status == code(name)
    assert said in node.exit_message
    assert outputs['checkpoint'].get_content(mode='rb') == b'checkpoint'
    assert outputs['curves'].get_shape('epoch') == (3,)
    assert 'potential' not in outputs


@pytest.mark.parametrize(
    ('status', 'name'),
    [
        (1, 'ERROR_ENGINE_FAILED'),
        (43, 'ERROR_DIVERGED'),
        (44, 'ERROR_NOT_A_NUMBER'),
        (45, 'ERROR_OUT_OF_MEMORY'),
        (46, 'ERROR_ENERGY_SHIFT'),
        (50, 'ERROR_PACKAGE_MISSING'),
        (51, 'ERROR_INPUT_REFUSED'),
        (52, 'ERROR_FOUNDATION_REFUSED'),
        (53, 'ERROR_MODEL_NOT_TRUSTED'),
    ],
)
def test_failures(parse, status, name):
    outputs, node = parse(status, 'the reason')
    assert node.exit_status == code(name)
    assert 'the reason' in node.exit_message
    assert 'potential' not in outputs


def test_killed_for_its_memory(parse):
    _, node = parse(None, stderr='slurmstepd: error: Detected 1 oom_kill event')
    assert node.exit_status == code('ERROR_OUT_OF_MEMORY')


def early(folder, retrieved):
    for path in folder.iterdir():
        path.unlink()


def test_killed_before_the_first_epoch(parse):
    outputs, node = parse(None, change=early)
    assert node.exit_status == code('ERROR_INTERRUPTED_EARLY')
    assert outputs['results']['epochs'] == 0


def nothing(folder, retrieved):
    for path in (*folder.iterdir(), *retrieved.iterdir()):
        path.unlink()


def test_not_started(parse):
    assert parse(None, change=nothing)[1].exit_status == code('ERROR_OUTPUT_MISSING')


def test_nothing_retrieved(parse):
    assert parse(missing_folder=True)[1].exit_status == code('ERROR_OUTPUT_MISSING')


@pytest.mark.parametrize('name', [files.MODEL_FILE, files.ERRORS_FILE, files.TRAINING_FILE])
def test_files_that_are_missing(parse, name):
    outputs, node = parse(change=lambda folder, _: (folder / name).unlink())
    assert node.exit_status == code('ERROR_OUTPUT_UNREADABLE')
    assert 'potential' not in outputs


def test_files_that_are_cut_off(parse):
    _, node = parse(change=lambda folder, _: (folder / files.ERRORS_FILE).write_text('{"before": '))
    assert node.exit_status == code('ERROR_OUTPUT_UNREADABLE')
