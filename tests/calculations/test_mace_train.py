"""The training job of MACE: its inputs, and the files it writes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import InputValidationError
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import mace_train as files
from aiida_hdiff.calculations.model_safety import require_trust
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.mace_config import ISOLATED_ATOM, TRAIN_FILE
from aiida_hdiff.engine.mace_input import MaceInput
from aiida_hdiff.formats import LabelledFrames, read_extxyz
from tests.model_files import hostile_model

JOB = 'hdiff.mace_train'


@pytest.fixture
def inputs(fake_code, generate_dataset):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {
            'code': fake_code(JOB),
            'train': generate_dataset(4),
            'valid': generate_dataset(2, seed=8),
            'seed': orm.Int(1),
            **changes,
        }
        return {name: value for name, value in values.items() if value is not None}

    return factory


def error_of(values):
    """Return what submitting would say."""
    port = CalculationFactory(JOB).spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def changed(dataset, **changes):
    """Return a set with other values in its first frame."""
    first, *rest = dataset.frames()
    return LabelledDataset(LabelledFrames.from_frames([replace(first, **changes), *rest]))


def checkpoint(epoch=3):
    """Return a folder with the names of a checkpoint."""
    node = orm.FolderData()
    for name in (f'resume_epoch-{epoch}.pt', 'checkpoints/trained_run-1_epoch-2.pt', files.HISTORY_FILE):
        node.base.repository.put_object_from_bytes(b'x', name)
    return node


def test_valid_inputs(inputs, generate_dataset, generate_potential):
    model = generate_potential('mace', elements=('Cu', 'H', 'Ni'))
    assert error_of(inputs()) is None
    assert (
        error_of(inputs(test=generate_dataset(3, seed=9), config=orm.Dict({'max_num_epochs': 3, 'r_max': 4}))) is None
    )
    assert error_of(inputs(foundation=model)) is None
    assert error_of(inputs(foundation=model, config=orm.Dict({'freeze': 5}))) is None
    assert error_of(inputs(foundation=model, config=orm.Dict({'lora': True, 'lora_rank': 2}))) is None
    assert error_of(inputs(foundation=model, replay=generate_dataset(12, seed=2, reference='other'))) is None
    assert error_of(inputs(settings=orm.Dict({'e0s': {'Cu': -1.0, 'H': -2.0}}))) is None
    assert error_of(inputs(checkpoint=checkpoint())) is None


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'batchsize': 3}, '`batchsize` is no option of mace 0.3'),
        ({'batchsize': 3}, 'did you mean `batch_size`?'),
        ({'batch_size': 'many'}, "`batch_size` is 'many': give a whole number"),
        ({'batch_size': 5}, '`batch_size` is 5, but `train` has 4 frames'),
        ({'ema': 1}, '`ema` is 1: give true or false'),
        ({'loss': 'dipole'}, "`loss` is 'dipole': choose one of"),
        ({'loss': 'nonsense'}, "`loss` is 'nonsense': choose one of ef, weighted"),
        ({'seed': 3}, '`seed` is not set in `config`: give the input `seed`'),
        ({'E0s': 'average'}, '`E0s` is not set in `config`: give `e0s` in the input `settings`'),
        ({'energy_key': 'energy'}, '`energy_key` is set by the job and cannot be in `config`'),
        ({'freeze': 3}, '`freeze` is for fine-tuning: give the input `foundation`'),
        ({'max_num_epochs': 8, 'eval_interval': 3}, 'the last of 8 epochs is not evaluated and thus lost'),
        ({'patience': 0}, '`patience` is 0: give at least 1'),
        ({'max_num_epochs': 0}, '`max_num_epochs` is 0: give at least 1'),
        ({'lr': -0.1}, '`lr` is -0.1: give a positive learning rate'),
        ({'model': 'BOTNet'}, "`model` is 'BOTNet': choose"),
        ({'pseudolabel_replay': True}, 'give the input `replay`'),
    ],
)
def test_configurations_that_are_refused(inputs, config, message):
    assert message in error_of(inputs(config=orm.Dict(config)))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'e0': 'average'}, 'unknown setting `e0`'),
        ({'e0s': 'best'}, "`e0s` is 'best': choose auto, isolated_atoms"),
        ({'e0s': {'Cu': -1.0}}, '`settings.e0s` lacks H: give the energy in eV of every element'),
        ({'e0s': {'Cu': 'low', 'H': 1.0}}, "`e0s` of Cu is 'low': give an energy in eV"),
        ({'e0s': 'estimated'}, '`settings.e0s` is estimated, but there is no `foundation`'),
        ({'e0s': 'isolated_atoms'}, '`train` has no frame of config type IsolatedAtom of'),
        ({'divergence_factor': 0.5}, '`divergence_factor` is 0.5: give a number above 1'),
    ],
)
def test_settings_that_are_refused(inputs, settings, message):
    assert message in error_of(inputs(settings=orm.Dict(settings)))


def test_data_sets_that_are_refused(inputs, generate_dataset, generate_potential):
    model = generate_potential('mace', elements=('Cu', 'H'))
    assert '`train` has 1 frame(s)' in error_of(inputs(train=generate_dataset(1)))
    mixed = LabelledDataset(
        LabelledFrames.from_frames([*generate_dataset(3).frames(), *generate_dataset(3, reference='pbe').frames()])
    )
    assert '`train` has labels of 2 levels (emt, pbe)' in error_of(inputs(train=mixed))
    assert '`valid` was labelled with pbe, but `train` with emt' in error_of(
        inputs(valid=generate_dataset(2, reference='pbe'))
    )
    frames = generate_dataset(2, seed=8)
    numbers = frames.frames()[0].numbers.copy()
    numbers[0] = 28
    assert '`valid` has Ni, which `train` has not' in error_of(inputs(valid=changed(frames, numbers=numbers)))
    zero = LabelledFrames.from_frames(
        [replace(frame, forces=0 * frame.forces) for frame in generate_dataset(4).frames()]
    )
    assert 'all forces of `train` are zero' in error_of(inputs(train=LabelledDataset(zero)))
    assert '`replay` is given without `foundation`' in error_of(inputs(replay=generate_dataset(12)))
    assert '`replay` has 3 frames: give at least 10' in error_of(inputs(foundation=model, replay=generate_dataset(3)))
    assert "required value was not provided for 'valid'" in error_of(inputs(valid=None))


def test_foundations_that_are_refused(inputs, generate_potential):
    wrong = generate_potential('mace', elements=('Ni', 'H'))
    assert '`foundation` does not cover Cu of `train`' in error_of(inputs(foundation=wrong))
    other = generate_potential('chgnet', elements=('Cu', 'H'))
    assert "`foundation` is of the architecture 'chgnet'" in error_of(inputs(foundation=other))
    text = PotentialData(architecture='mace', elements=['Cu', 'H'], files=[b'this is no model'])
    assert '`foundation`: ' in error_of(inputs(foundation=text))


def test_a_hostile_foundation_is_not_submitted(inputs):
    hostile = PotentialData(architecture='mace', elements=['Cu', 'H'], files=[hostile_model()]).store()
    assert 'is not loaded: it names `os.system`' in error_of(inputs(foundation=hostile))
    with pytest.raises(InputValidationError, match=r'it names `os\.system`'):
        require_trust(hostile, {})


def test_checkpoints_that_are_refused(inputs):
    assert '`checkpoint` is not that of a stopped training' in error_of(inputs(checkpoint=orm.FolderData()))
    assert '`checkpoint` has all of 3 epochs' in error_of(
        inputs(checkpoint=checkpoint(3), config=orm.Dict({'max_num_epochs': 3}))
    )


def test_job_from_scratch(inputs, generate_calc_job, generate_dataset, file_regression):
    folder, info = generate_calc_job(JOB, inputs(test=generate_dataset(3, seed=9)))
    assert {path.name for path in folder.iterdir()} == {files.INPUT_FILE, 'train.xyz', 'valid.xyz', 'test.xyz'}
    assert set(info.provenance_exclude_list) == {'train.xyz', 'valid.xyz', 'test.xyz'}
    assert info.local_copy_list == []
    (code,) = info.codes_info
    assert code.cmdline_params == ['train-mace', files.INPUT_FILE]
    text = (folder / files.INPUT_FILE).read_text()
    job = MaceInput.from_dict(json.loads(text))
    assert job.config['E0s'] == 'average'
    assert job.threads == 1
    found = read_extxyz(folder / TRAIN_FILE, prefix='REF_')
    expected = generate_dataset(4).frames()
    assert (found.forces == expected.forces).all()
    assert (found.energies == expected.energies).all()
    assert (found.stresses == expected.stresses).all()
    assert set(found.origins) == set(found.references) == {''}
    file_regression.check(text, basename='from_scratch')


def test_fine_tuning_estimates_the_energies_of_the_atoms(inputs, generate_calc_job, generate_potential):
    model = generate_potential('mace', elements=('Cu', 'H')).store()
    folder, info = generate_calc_job(JOB, inputs(foundation=model))
    config = json.loads((folder / files.INPUT_FILE).read_text())['config']
    assert (config['E0s'], config['foundation_model'], config['multiheads_finetuning']) == (
        'estimated', files.FOUNDATION_FILE, False,
    )  # fmt: skip
    assert info.local_copy_list == [(model.uuid, 'potential.0', files.FOUNDATION_FILE)]


def test_replay_is_offline(inputs, generate_calc_job, generate_dataset, generate_potential):
    model = generate_potential('mace', elements=('Cu', 'H'))
    folder, _ = generate_calc_job(JOB, inputs(foundation=model, replay=generate_dataset(12, reference='other')))
    config = json.loads((folder / files.INPUT_FILE).read_text())['config']
    assert config['pt_train_file'] == 'replay.xyz'
    assert config['multiheads_finetuning'] is True
    assert config['force_mh_ft_lr'] is True
    assert (folder / 'replay.xyz').is_file()


def test_isolated_atoms_are_taken_where_the_set_has_them(inputs, generate_calc_job, generate_dataset):
    frames = generate_dataset(4).frames()
    first = frames[0]
    alone = {'positions': first.positions[:1], 'forces': 0 * first.forces[:1], 'energy': -1.0, 'stress': None}
    atoms = [
        replace(first, numbers=np.array([number]), config_type=ISOLATED_ATOM, **alone)
        for number in sorted(set(frames.numbers.tolist()))
    ]
    train = LabelledDataset(LabelledFrames.from_frames([*frames, *atoms]))
    folder, _ = generate_calc_job(JOB, inputs(train=train, settings=orm.Dict({'e0s': 'isolated_atoms'})))
    assert json.loads((folder / files.INPUT_FILE).read_text())['config']['E0s'] is None
    assert (folder / TRAIN_FILE).read_text().count('config_type="IsolatedAtom"') == 2
    assert files.config_record(inputs(train=train, settings=orm.Dict({}), config=orm.Dict({})))['e0s_policy'] == (
        'isolated_atoms'
    )


def test_job_that_goes_on(inputs, generate_calc_job):
    node = checkpoint(3).store()
    folder, info = generate_calc_job(JOB, inputs(checkpoint=node))
    assert json.loads((folder / files.INPUT_FILE).read_text())['resume'] == 'resume_epoch-3.pt'
    assert {target for _, _, target in info.local_copy_list} == {
        'resume_epoch-3.pt', 'checkpoints/trained_run-1_epoch-2.pt', 'results/trained_run-1_train.txt',
    }  # fmt: skip


def test_equal_jobs_have_equal_hashes(generate_process, inputs):
    def job_hash(**changes):
        return generate_process(CalculationFactory(JOB), inputs(**changes)).node.base.caching.compute_hash()

    code = inputs()['code'].store()
    assert job_hash(code=code) == job_hash(code=code)
    assert job_hash(code=code) != job_hash(code=code, seed=orm.Int(2))
