"""Trainings of small MACE models by mace itself, through AiiDA: stopped, gone on, fine-tuned, diverged."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_hdiff.calculations.mace_train import HISTORY_FILE
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.workflows.training_progress import process_progress
from tests.integration.test_label import ROOT, engine_with
from tests.model_files import hostile_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SMALL = {
    'r_max': 3.5, 'num_interactions': 1, 'hidden_irreps': '2x0e', 'MLP_irreps': '2x0e', 'max_ell': 1, 'correlation': 1,
    'num_radial_basis': 3, 'num_cutoff_basis': 3, 'radial_MLP': '[4, 4]', 'max_num_epochs': 4, 'batch_size': 2,
}  # fmt: skip


# The job is killed as the kernel does it, as soon as it could go on.
KILL = '(until ls resume_epoch-*.pt >/dev/null 2>&1; do sleep 0.05; done; kill -KILL $(pgrep -P $$ -f train-mace)) &'


def fine(**more):
    return orm.Dict({'max_num_epochs': 2, 'batch_size': 2, **more})


@pytest.fixture
def train(aiida_code_installed, aiida_profile, generate_dataset):
    """Give a function that runs a job, or with ``stage`` the restart workchain."""
    engine = engine_with('mace')

    def run(stage=False, options=None, **inputs):
        code = aiida_code_installed(default_calc_job_plugin='hdiff.mace_train', filepath_executable=engine)
        environment = {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
        options = {'environment_variables': environment, **(options or {})}
        values = {
            'code': code,
            'train': generate_dataset(6),
            'valid': generate_dataset(2, seed=8),
            'seed': orm.Int(1),
            'config': orm.Dict(SMALL),
            **inputs,
        }
        if stage:
            return run_get_node(WorkflowFactory('hdiff.mace_train'), **values, options=options)
        return run_get_node(CalculationFactory('hdiff.mace_train'), **values, metadata={'options': options})

    return run


def shifted(dataset, shift_eV=-3.0, reference='other'):
    """Return a set of another level: with another energy of every atom."""
    from dataclasses import replace

    frames = [
        replace(frame, energy=frame.energy + shift_eV * len(frame.numbers), reference=reference)
        for frame in dataset.frames()
    ]
    return LabelledDataset(LabelledFrames.from_frames(frames))


def losses(outputs):
    return outputs['curves'].get_array('valid_loss')


def test_trained_and_fine_tuned(train, generate_dataset):
    outputs, node = train(test=generate_dataset(3, seed=9))
    assert node.is_finished_ok, (node.exit_message, node.outputs.retrieved.get_object_content('engine.out'))
    results = outputs['results'].get_dict()
    assert results['epochs'] == results['epochs_wanted'] == 4
    assert set(results['splits']) == {'train', 'valid', 'test'}
    assert results['splits']['test']['energy_rmse_meV_per_atom'] > 0
    assert set(results['E0s']['Default']) == {'H', 'Cu'}
    assert 'mace-torch' in results['versions']
    assert losses(outputs)[-1] < losses(outputs)[0]
    assert 'checkpoint' not in outputs
    model = outputs['potential']
    assert (model.architecture, sorted(model.elements), len(model.file_names)) == ('mace', ['Cu', 'H'], 1)

    sets = {'train': shifted(generate_dataset(6)), 'valid': shifted(generate_dataset(2, seed=8)), 'foundation': model}
    for config in ({}, {'default_dtype': 'float32'}, {'freeze': 5}, {'lora': True, 'lora_rank': 2}):
        outputs, node = train(**sets, config=fine(**config))
        assert node.is_finished_ok, node.exit_message
        results = outputs['results'].get_dict()
        assert results['e0s_policy'] == 'estimated'
        assert abs(results['energy_shift_eV_per_atom']) < 0.2
        assert results['E0s']['Default']['Cu'] - results['foundation_E0s']['Default']['Cu'] < -2

    _, node = train(**sets, config=fine(), settings=orm.Dict({'e0s': 'foundation'}))
    assert node.exit_status == 414, node.exit_message
    assert 'choose estimated' in node.exit_message

    outputs, node = train(**sets, config=fine(), replay=generate_dataset(12, seed=4))
    assert node.is_finished_ok, node.exit_message
    assert outputs['potential'].options['head'] == 'Default'
    assert {'valid', 'valid_replay'} <= set(outputs['results']['splits'])


def test_killed_and_gone_on(train):
    config = orm.Dict({**SMALL, 'max_num_epochs': 30})
    whole, node = train(config=config)
    assert node.is_finished_ok, node.exit_message
    outputs, stopped = train(config=config, options={'prepend_text': KILL})
    assert stopped.exit_status == 401, stopped.exit_message
    checkpoint = outputs['checkpoint']
    outputs, node = train(config=config, checkpoint=checkpoint)
    assert node.is_finished_ok, (node.exit_message, node.outputs.retrieved.get_object_content('engine.out'))
    assert outputs['results']['epochs'] == 30
    assert 0 < outputs['results']['start_epoch'] < 30
    np.testing.assert_allclose(losses(outputs), losses(whole), rtol=1e-10)
    for name in ('train', 'valid'):
        for metric in ('rmse_f', 'rmse_e_per_atom'):
            expected = whole['results']['splits'][name][metric]
            assert outputs['results']['splits'][name][metric] == pytest.approx(expected, rel=1e-8)


def test_stage_goes_on_by_itself(train, tmp_path):
    flag = tmp_path / 'killed'
    once = f'[ -e {flag} ] || {{ touch {flag}; {KILL} }}'
    outputs, node = train(stage=True, config=orm.Dict({**SMALL, 'max_num_epochs': 30}), options={'prepend_text': once})
    assert node.is_finished_ok, node.exit_message
    assert [job.exit_status for job in node.called] == [401, 0]
    assert outputs['results']['epochs'] == 30
    assert outputs['curves'].get_array('valid_epoch').tolist() == list(range(-1, 30))
    (row,) = process_progress(node)
    assert (row.state, row.steps_done) == ('finished', 30)


def test_equal_trainings_come_from_the_cache(train, generate_dataset):
    sets = {'train': generate_dataset(6).store(), 'valid': generate_dataset(2, seed=8).store()}
    config = orm.Dict({**SMALL, 'max_num_epochs': 1}).store()
    first, node = train(config=config, **sets)
    with enable_caching():
        second, again = train(config=orm.Dict(config.get_dict()), **sets)
    assert again.base.caching.get_cache_source() == node.uuid
    assert first['potential'].sha256 == second['potential'].sha256


def test_a_hostile_checkpoint_is_not_loaded(train, tmp_path):
    checkpoint, witness = orm.FolderData(), tmp_path / 'code_was_run'
    for name in ('resume_epoch-2.pt', 'checkpoints/trained_run-1_epoch-1.pt', HISTORY_FILE):
        content = b'' if name == HISTORY_FILE else hostile_model(f'touch {witness}')
        checkpoint.base.repository.put_object_from_bytes(content, name)
    _, node = train(checkpoint=checkpoint)
    assert node.exit_status == 426, node.exit_message
    assert not witness.exists()


def test_patience(train):
    """mace itself goes on to the last epoch."""
    config = {**SMALL, 'max_num_epochs': 60, 'lr': 3.0, 'patience': 2}
    outputs, node = train(config=orm.Dict(config), settings=orm.Dict({'divergence_factor': 1e9}))
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert results['stopped_early']
    assert results['epochs'] == results['best_epoch'] + 3 < 60


def test_diverged(train):
    _, node = train(config=orm.Dict({**SMALL, 'lr': 1e6, 'clip_grad': 1e12}))
    assert node.exit_status in (411, 412), node.exit_message
