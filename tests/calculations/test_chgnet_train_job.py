"""The job that fine-tunes CHGNet: its inputs, and the files it writes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import chgnet_train as files
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.train_chgnet_input import ChgnetTrainingInput, read_labelled
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.configurations import structure_keys
from tests.model_files import hostile_model


@pytest.fixture
def inputs(fake_code, generate_dataset, generate_potential):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {
            'code': fake_code('hdiff.chgnet_train'),
            'foundation': generate_potential('chgnet', elements=('Cu', 'Ni', 'H')),
            'train': generate_dataset(6, seed=1),
            'valid': generate_dataset(3, seed=2),
            'settings': orm.Dict({'epochs': 3}),
            'seed': orm.Int(4),
        }
        return {key: value for key, value in {**values, **changes}.items() if value is not None}

    return factory


def error_of(values):
    """Return what submitting would say."""
    port = CalculationFactory('hdiff.chgnet_train').spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def changed(dataset, **values):
    return LabelledDataset(replace(dataset.frames(), **values))


def test_valid_inputs(inputs, generate_dataset):
    assert error_of(inputs()) is None
    assert error_of(inputs(settings=None, test=generate_dataset(2, seed=3))) is None


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'epoch': 1}, 'unknown setting `epoch`: did you mean `epochs`?'),
        ({'seed': 1}, '`settings` has `seed`, which is an input of its own'),
        ({'composition': 'none'}, "`composition` is 'none'"),
    ],
)
def test_settings_that_are_refused(inputs, settings, message):
    assert message in error_of(inputs(settings=orm.Dict(settings)))


def test_seed(inputs):
    assert '`seed` is -1: give a whole number from 0' in error_of(inputs(seed=orm.Int(-1)))


def test_foundations_that_are_refused(inputs, generate_potential):
    def said(*args, **kwargs):
        return error_of(inputs(foundation=PotentialData(*args, **kwargs)))

    assert "of the architecture 'mace': give one of 'chgnet'" in error_of(
        inputs(foundation=generate_potential('mace', elements=('Cu', 'H')))
    )
    assert '`foundation` has no file' in said(architecture='chgnet', elements=('Cu', 'H'))
    assert '`foundation` does not cover Cu of `train`' in error_of(
        inputs(foundation=generate_potential('chgnet', elements=('H',)))
    )
    assert 'system' in said(architecture='chgnet', elements=('Cu', 'H'), files=[hostile_model()])


def test_sets_that_are_refused(inputs, generate_dataset):
    train, valid = generate_dataset(6, seed=1), generate_dataset(3, seed=2)
    assert '`train` has 1 frame(s)' in error_of(inputs(train=generate_dataset(1, seed=1)))
    assert '`valid` was labelled with pbe, but `train` with emt' in error_of(
        inputs(valid=generate_dataset(3, seed=2, reference='pbe'))
    )
    numbers = valid.frames().numbers.copy()
    numbers[0] = 28
    assert '`valid` has Ni, which `train` has not' in error_of(inputs(valid=changed(valid, numbers=numbers)))
    converged = np.zeros(6, dtype=np.int8)
    assert '`train` has frames whose electronic structure did not converge' in error_of(
        inputs(train=changed(train, scf_converged=converged))
    )
    zero = np.zeros_like(train.frames().forces)
    assert 'all forces of `train` are zero' in error_of(inputs(train=changed(train, forces=zero)))
    stresses = train.frames().stresses.copy()
    stresses[2] = np.nan
    partly = changed(train, stresses=stresses)
    assert '`train` has frames without stress: label it, or set `stress_weight` to 0' in error_of(inputs(train=partly))
    assert error_of(inputs(train=partly, settings=orm.Dict({'stress_weight': 0.0}))) is None
    shared = LabelledDataset(LabelledFrames.concatenate([train.frames(), valid.frames().select([1])]))
    assert '`train` and `valid` share 1 configurations' in error_of(inputs(train=shared))


def test_magnetic_moments(inputs, generate_dataset):
    def moments(**arrays):
        node = orm.ArrayData()
        for name, values in arrays.items():
            node.set_array(name, values)
        return node

    n_train = len(generate_dataset(6, seed=1).frames().numbers)
    assert error_of(inputs(magmoms=moments(train=np.zeros(n_train)))) is None
    assert '`magmoms` of `train` have shape (2,)' in error_of(inputs(magmoms=moments(train=np.zeros(2))))
    assert "`magmoms` has an array 'test'" in error_of(inputs(magmoms=moments(test=np.zeros(2))))
    n_valid = len(generate_dataset(3, seed=2).frames().numbers)
    assert '`magmoms` lacks the array `train`' in error_of(inputs(magmoms=moments(valid=np.zeros(n_valid))))


def test_job(generate_calc_job, inputs, generate_dataset, file_regression, monkeypatch):
    values = inputs(test=generate_dataset(2, seed=3))
    values['foundation'].store()
    folder, info = generate_calc_job('hdiff.chgnet_train', values)
    assert {path.name for path in folder.iterdir()} == {files.INPUT_FILE, 'train.npz', 'valid.npz', 'test.npz'}
    assert info.provenance_exclude_list == ['train.npz', 'valid.npz', 'test.npz']
    assert info.retrieve_temporary_list == ['training.json', 'errors.json', 'model.pth.tar', 'checkpoint.pt']
    assert info.local_copy_list == [(values['foundation'].uuid, 'potential.0', 'potential.0')]
    (code,) = info.codes_info
    assert code.cmdline_params == ['train-chgnet', 'train.json']
    file_regression.check((folder / files.INPUT_FILE).read_text(), basename='train_input')
    job = ChgnetTrainingInput.from_dict(json.loads((folder / files.INPUT_FILE).read_text()))
    assert (job.settings.epochs, job.settings.seed, job.checkpoint) == (3, 4, None)
    monkeypatch.chdir(folder)
    for name, file in job.sets.items():
        frames, magmoms = read_labelled(file)
        assert structure_keys(frames) == structure_keys(values[name].frames())
        np.testing.assert_array_equal(frames.energies, values[name].frames().energies)
        np.testing.assert_array_equal(frames.stresses, values[name].frames().stresses)
        assert magmoms is None


def test_job_that_goes_on(generate_calc_job, inputs, tmp_path):
    (tmp_path / 'any').write_bytes(b'checkpoint')
    checkpoint = orm.SinglefileData(tmp_path / 'any').store()
    magmoms = orm.ArrayData()
    values = inputs(checkpoint=checkpoint)
    magmoms.set_array('train', np.full(len(values['train'].frames().numbers), 2.0))
    folder, info = generate_calc_job('hdiff.chgnet_train', {**values, 'magmoms': magmoms})
    assert (checkpoint.uuid, 'any', 'continued.pt') in info.local_copy_list
    assert json.loads((folder / files.INPUT_FILE).read_text())['checkpoint'] == 'continued.pt'
    assert set(np.load(folder / 'train.npz')['magmoms']) == {2.0}
    assert 'magmoms' not in np.load(folder / 'valid.npz')


def test_equal_jobs_have_equal_hashes(generate_process, inputs):
    def job_hash(**changes):
        values = inputs(**changes)
        return generate_process(CalculationFactory('hdiff.chgnet_train'), values).node.base.caching.compute_hash()

    code = inputs()['code'].store()
    assert job_hash(code=code) == job_hash(code=code)
    assert job_hash(code=code) != job_hash(code=code, seed=orm.Int(5))
