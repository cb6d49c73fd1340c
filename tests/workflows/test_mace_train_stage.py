"""The handlers and the progress of MaceTrainStageWorkChain, without running anything."""

import json

import pytest
from aiida import orm

from aiida_hdiff.calculations.mace_train import HISTORY_FILE
from aiida_hdiff.workflows.train_progress import epoch_text


def checkpoint(epoch):
    """Return a folder with the names of a checkpoint."""
    node = orm.FolderData()
    for name in (f'resume_epoch-{epoch}.pt', 'checkpoints/trained_run-1_epoch-2.pt', HISTORY_FILE):
        node.base.repository.put_object_from_bytes(b'x', name)
    return node


@pytest.fixture
def stage(generate_workchain, generate_dataset, fake_code):
    """Give a training after its set-up."""

    def factory(**changes):
        inputs = {
            'code': fake_code('hdiff.mace_train'),
            'train': generate_dataset(4),
            'valid': generate_dataset(2, seed=8),
            'seed': orm.Int(1),
            **changes,
        }
        process = generate_workchain('hdiff.mace_train', inputs)
        process.setup()
        process.ctx.iteration = 1
        return process

    return factory


@pytest.fixture
def job(generate_calc_job_node):
    """Give a factory of ended jobs."""

    def factory(status, message='a failure: what the parser said', **outputs):
        return generate_calc_job_node('hdiff.mace_train', exit_status=status, exit_message=message, outputs=outputs)

    return factory


def test_setup_passes_the_inputs_and_options_on(stage):
    process = stage(options={'max_wallclock_seconds': 77})
    assert set(process.ctx.inputs) == {'code', 'train', 'valid', 'seed', 'config', 'settings', 'metadata'}
    assert process.ctx.inputs.metadata.options == {'max_wallclock_seconds': 77}


@pytest.mark.parametrize('status', [400, 401])
def test_a_stopped_job_goes_on(stage, job, status):
    process = stage()
    node = job(status, checkpoint=checkpoint(5))
    report = process.handle_interrupted(node)
    assert report.do_break
    assert report.exit_code.status == 0
    assert process.ctx.inputs.checkpoint.pk == node.outputs.checkpoint.pk
    assert process.ctx.epoch == 5


def test_a_training_that_gets_nowhere_ends(stage, job):
    process = stage()
    for _ in range(3):
        assert process.handle_interrupted(job(402)).exit_code.status == 0
    report = process.handle_interrupted(job(402))
    assert report.exit_code.status == 403
    assert 'further than epoch 0' in report.exit_code.message


@pytest.mark.parametrize('status', [411, 412, 413, 414, 420, 422, 423, 424, 426])
def test_failures_end_the_training(stage, job, status):
    report = stage().handle_failed_run(job(status, results=orm.Dict({'epochs': 1})))
    assert report.exit_code.status == status
    assert report.exit_code.message.endswith(': what the parser said')


def test_progress_in_words():
    assert epoch_text({}) == 'starting'
    found = json.loads('{"step": 12, "steps": 60, "loss": 0.01234, "elapsed_s": 60.0, "steps_per_s": 0.2}')
    assert epoch_text(found) == 'epoch 12/60, loss 0.01234, 4 min left'
    assert epoch_text({**found, 'step': 59}) == 'epoch 59/60, loss 0.01234, 5 s left'
