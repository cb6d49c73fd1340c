"""Every end of a training of MACE, from files of real runs of `hdiff-engine train-mace` with mace 0.3.16."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import ParserFactory

from aiida_hdiff.calculations import mace_train as files
from aiida_hdiff.calculations.engine_job import STATUS_FILE
from aiida_hdiff.calculations.mace_train import MaceTrainCalculation
from aiida_hdiff.engine import exit_codes as engine
from aiida_hdiff.formats.mace_results import read_mace_results, results_before
from tests.model_files import genuine_model

RUNS = Path(__file__).parent / 'fixtures' / 'mace_train'
RESULTS = 'trained_run-1_train.txt'


@pytest.fixture
def parse(generate_calc_job_node, generate_dataset, generate_potential, tmp_path):
    """Give a function that puts a run into folders, lets ``change`` edit them, and parses them."""

    def run(name='finished', change=None, epochs=8, status=None, missing_folder=False, **more):
        folder, retrieved = tmp_path / 'temporary', tmp_path / 'retrieved'
        folder.mkdir()
        retrieved.mkdir()
        for one in (STATUS_FILE, files.SUMMARY_FILE):
            shutil.copy(RUNS / name / one, retrieved)
        shutil.copy(RUNS / name / 'results.jsonl', folder / RESULTS)
        (folder / 'trained.model').write_bytes(genuine_model('mace-trained'))
        if status is not None:
            code, message = status
            found = json.loads((retrieved / STATUS_FILE).read_text())
            found |= {'exit_code': code, 'message': message}
            (retrieved / STATUS_FILE).write_text(json.dumps(found))
            (retrieved / files.SUMMARY_FILE).unlink()
            (folder / 'trained.model').unlink()
        if change is not None:
            change(folder, retrieved)
        inputs = {
            'train': generate_dataset(6),
            'valid': generate_dataset(2, seed=8),
            'test': generate_dataset(3, seed=9),
            'seed': orm.Int(1),
            'config': orm.Dict({'max_num_epochs': epochs}),
            'settings': orm.Dict({}),
            **more,
        }
        if name == 'replay':
            inputs['foundation'] = generate_potential('mace', elements=('Cu', 'H'))
            inputs['replay'] = generate_dataset(12, reference='other')
        node = generate_calc_job_node(
            'hdiff.mace_train',
            inputs,
            retrieved=retrieved,
            attributes={'output_filename': 'engine.out', 'scheduler_stderr': '_scheduler-stderr.txt'},
        )
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory('hdiff.mace_train').parse_from_node(node, store_provenance=False, **temporary)

    return run


def code(name):
    return MaceTrainCalculation.exit_codes[name].status


def put(epoch, folder):
    """Leave what a job leaves that was stopped in an epoch."""
    (folder / f'resume_epoch-{epoch}.pt').write_bytes(b'state')
    (folder / 'checkpoints').mkdir()
    (folder / 'checkpoints' / 'trained_run-1_epoch-4.pt').write_bytes(b'best')


def test_finished(parse):
    outputs, node = parse()
    assert node.exit_status == 0, node.exit_message
    assert set(outputs) == {'potential', 'curves', 'results'}
    model = outputs['potential']
    assert (model.architecture, model.elements, model.cutoff_A) == ('mace', ['H', 'Cu'], 3.5)
    assert model.options == {'dtype': 'float64'}
    assert model.file_names == ['potential.0']
    curves = outputs['curves']
    np.testing.assert_array_equal(curves.get_array('train_epoch'), range(8))
    np.testing.assert_array_equal(curves.get_array('valid_epoch'), range(-1, 8))
    results = outputs['results'].get_dict()
    assert results['epochs'] == results['epochs_wanted'] == 8
    assert results['best_epoch'] == 7
    assert results['best_loss'] == curves.get_array('valid_loss')[-1]
    assert results['initial']['rmse_f'] == curves.get_array('valid_rmse_f')[0]
    assert results['n_frames'] == {'train': 6, 'valid': 2, 'test': 3}
    assert results['versions']['mace-torch'] == '0.3.16'
    assert results['e0s_policy'] == 'average'
    assert set(results['splits']) == {'train', 'valid', 'test'}
    valid = results['splits']['valid']
    assert valid['force_rmse_meV_A'] == 1000 * valid['rmse_f']
    # The errors of the saved model are those of its epoch.
    assert valid['rmse_f'] == pytest.approx(curves.get_array('valid_rmse_f')[-1], rel=1e-9)


def test_replay_has_two_heads(parse):
    outputs, node = parse('replay', epochs=2)
    assert node.exit_status == 0, node.exit_message
    assert outputs['potential'].options['head'] == 'Default'
    assert {'valid_epoch', 'replay_epoch'} <= set(outputs['curves'].get_arraynames())
    results = outputs['results'].get_dict()
    assert results['strategy'] == 'multihead_replay'
    assert results['e0s_policy'] == 'estimated'
    assert set(results['splits']) == {'train', 'valid', 'test', 'train_replay', 'valid_replay'}
    # Foundation and data set differ by 3 eV an atom.
    shift = results['E0s']['Default']['Cu'] - results['E0s']['pt_head']['Cu']
    assert shift == pytest.approx(-3.0, abs=0.1)


def test_stopped(parse):
    outputs, node = parse(
        status=(engine.INTERRUPTED, 'stopped by the time limit of 60 s in epoch 5.'),
        change=lambda folder, _: put(5, folder),
    )
    assert node.exit_status == code('ERROR_OUT_OF_WALLTIME')
    assert 'after 5 of 8 epochs' in node.exit_message
    assert set(outputs) == {'checkpoint', 'curves', 'results'}
    repository = outputs['checkpoint'].base.repository
    assert set(repository.list_object_names()) == {'resume_epoch-5.pt', 'checkpoints', files.HISTORY_FILE}
    history = read_mace_results(repository.get_object_content(files.HISTORY_FILE).splitlines())
    assert history.n_epochs == 5
    assert not outputs['results']['finished']


def test_killed(parse):
    def change(folder, retrieved):
        put(5, folder)
        (retrieved / STATUS_FILE).unlink()

    _, node = parse(status=(0, ''), change=change)
    assert node.exit_status == code('ERROR_INTERRUPTED')


@pytest.mark.parametrize('epoch', [None, 5])
def test_stopped_without_progress(parse, epoch):
    before = orm.FolderData()
    before.base.repository.put_object_from_bytes(b'state', 'resume_epoch-5.pt')
    more = {} if epoch is None else {'checkpoint': before}
    outputs, node = parse(
        status=(engine.INTERRUPTED, 'stopped by SIGTERM in epoch 0.'),
        change=lambda folder, _: None if epoch is None else put(epoch, folder),
        **more,
    )
    assert node.exit_status == code('ERROR_INTERRUPTED_EARLY')
    assert 'checkpoint' not in outputs


@pytest.mark.parametrize(
    ('status', 'name'),
    [
        (engine.ERROR, 'ERROR_ENGINE_FAILED'),
        (engine.DIVERGED, 'ERROR_DIVERGED'),
        (engine.NOT_A_NUMBER, 'ERROR_NOT_A_NUMBER'),
        (engine.OUT_OF_MEMORY, 'ERROR_OUT_OF_MEMORY'),
        (engine.ENERGY_SHIFT, 'ERROR_ENERGY_SHIFT'),
        (engine.MISSING_PACKAGE, 'ERROR_PACKAGE_MISSING'),
        (engine.BAD_INPUT, 'ERROR_INPUT_REFUSED'),
        (engine.MODEL_NOT_LOADED, 'ERROR_FOUNDATION_REFUSED'),
        (engine.MODEL_REFUSED, 'ERROR_MODEL_NOT_TRUSTED'),
    ],
)
def test_failures(parse, status, name):
    outputs, node = parse(status=(status, 'the reason.'))
    assert node.exit_status == code(name)
    assert 'the reason.' in node.exit_message
    assert set(outputs) == {'curves', 'results'}


def test_killed_for_memory(parse):
    def change(_, retrieved):
        (retrieved / STATUS_FILE).unlink()
        (retrieved / '_scheduler-stderr.txt').write_text('slurmstepd: error: Detected 1 oom_kill event in StepId=1.0.')

    _, node = parse(status=(0, ''), change=change)
    assert node.exit_status == code('ERROR_OUT_OF_MEMORY')


def test_missing_and_unreadable(parse):
    _, node = parse(missing_folder=True)
    assert node.exit_status == code('ERROR_OUTPUT_MISSING')


def test_no_model(parse):
    _, node = parse(change=lambda folder, _: (folder / 'trained.model').unlink())
    assert node.exit_status == code('ERROR_OUTPUT_MISSING')
    assert 'the model is missing' in node.exit_message


def test_no_json(parse):
    _, node = parse(change=lambda folder, _: (folder / RESULTS).write_text('nonsense\n{}\n'))
    assert node.exit_status == code('ERROR_OUTPUT_UNREADABLE')
    assert 'line 1 of the results is no JSON' in node.exit_message


def line(mode, epoch, loss, **more):
    return json.dumps({'mode': mode, 'epoch': epoch, 'loss': loss, 'time': 1.0, **more})


def test_curves_of_a_training_that_repeats_an_epoch():
    lines = [
        line('eval', None, 9.0, head='Default', rmse_f=3.0),
        line('opt', 0, 5.0), line('opt', 0, 7.0), line('eval', 0, 4.0, head='Default', rmse_f=2.0),
        line('opt', 1, 100.0),
        line('eval', None, 4.0, head='Default', rmse_f=2.0),
        line('opt', 1, 3.0), line('opt', 1, 5.0), line('eval', 1, 2.0, head='Default', rmse_f=1.0),
        '{"mode": "opt", "epo',
    ]  # fmt: skip
    curves = read_mace_results(lines)
    np.testing.assert_array_equal(curves.train_losses, [6.0, 4.0])
    np.testing.assert_array_equal(curves.train_times_s, [2.0, 2.0])
    np.testing.assert_array_equal(curves.valid_epochs['Default'], [-1, 0, 1])
    np.testing.assert_array_equal(curves.valid['Default']['loss'], [9.0, 4.0, 2.0])
    assert math.isnan(curves.valid['Default']['rmse_stress'][0])
    assert [json.loads(one)['epoch'] for one in results_before(lines[:5], 1)] == [None, 0, 0, 0]
    with pytest.raises(ValueError, match='line 1 of the results has no `mode`'):
        read_mace_results(['{}', '{}'])
