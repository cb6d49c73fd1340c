"""The input, the options and the failures of a training of MACE, as far as they need neither mace nor torch."""

import pytest

from aiida_hdiff.engine import mace_options
from aiida_hdiff.engine.exit_codes import BAD_INPUT, OUT_OF_MEMORY, EngineError
from aiida_hdiff.engine.mace_config import (
    DEFAULTS,
    TrainFacts,
    TrainSettings,
    complete_config,
    config_error,
    e0s_policy,
)
from aiida_hdiff.engine.mace_input import MaceInput
from aiida_hdiff.engine.mace_options import MaceOption, MaceOptions, option_arguments, options_error
from aiida_hdiff.engine.mace_state import last_resume_file, resume_epoch
from aiida_hdiff.engine.mace_train import MaceTraining

JOB = {'config': {'name': 'trained', 'seed': 1}, 'threads': 1}


def facts(strategy='from_scratch', **changes):
    values = {'n_train': 8, 'n_valid': 2, 'elements': ('H', 'Mg'), 'n_with_stress': 8, 'n_compositions': 2, **changes}
    return TrainFacts(strategy=strategy, **values)


@pytest.fixture
def recorded(monkeypatch):
    """Take the recorded options, whether or not mace is installed."""
    monkeypatch.setattr(mace_options, 'installed_parser', lambda: None)
    mace_options.mace_options.cache_clear()
    yield
    mace_options.mace_options.cache_clear()


def test_recorded_options(recorded):
    known = mace_options.mace_options()
    assert (known.version, known.source) == ('0.3.16', 'recorded')
    assert known.options['loss'].kind == 'str'
    assert 'universal' in known.options['loss'].choices
    assert known.options['swa'] == MaceOption('flag')
    assert known.options['clip_grad'] == MaceOption('float_or_none')
    assert set(DEFAULTS) <= set(known.options)
    assert options_error(DEFAULTS) is None
    assert options_error({'learning_rate': 1.0}).endswith('(recorded).')


def test_options_of_an_installed_mace():
    parser = mace_options.installed_parser()
    if parser is None:
        pytest.skip('mace is not installed')
    assert mace_options.mace_options().source == 'installed'
    assert options_error(DEFAULTS) is None
    assert 'choose one of' in options_error({'gate': 'relu'})


def test_the_parser_of_mace_has_the_last_word(monkeypatch):
    class Parser:
        def parse_args(self, arguments):
            raise mace_options._ParserError(f'no {arguments[-1]}')

    monkeypatch.setattr(mace_options, 'installed_parser', Parser)
    monkeypatch.setattr(
        mace_options, 'mace_options', lambda: MaceOptions('9.9', 'installed', {'r_max': MaceOption('float')})
    )
    assert options_error({'r_max': 5}) == 'mace 9.9 refuses it: no --r_max=5.'


def test_arguments():
    values = {'lr': 0.01, 'ema': True, 'swa': True, 'lbfgs': False, 'E0s': None, 'lr_params_factors': {'a': 1}}
    assert option_arguments(values) == ['--ema', '--lr=0.01', '--lr_params_factors={"a": 1}', '--swa']


@pytest.mark.parametrize(
    ('strategy', 'changes', 'policy'),
    [
        ('from_scratch', {}, 'average'),
        ('from_scratch', {'isolated': ('H',)}, 'average'),
        ('from_scratch', {'isolated': ('H', 'Mg')}, 'isolated_atoms'),
        ('fine_tuning', {'isolated': ('H', 'Mg')}, 'estimated'),
        ('multihead_replay', {}, 'estimated'),
    ],
)
def test_automatic_energies_of_the_atoms(strategy, changes, policy):
    assert e0s_policy(TrainSettings(), facts(strategy, **changes)) == policy


def test_defaults_depend_on_the_data():
    assert complete_config({}, facts())['loss'] == 'stress'
    without = complete_config({}, facts(n_with_stress=0))
    assert (without['loss'], without['compute_stress']) == ('weighted', False)
    assert complete_config({}, facts(n_train=3))['batch_size'] == 3
    assert complete_config({}, facts('multihead_replay'))['loss'] == 'universal'
    assert 'no frame of `train` has a stress' in config_error({'loss': 'stress'}, facts(n_with_stress=0))
    assert '`freeze` and `lora` are both given' in config_error({'freeze': 3, 'lora': True}, facts('fine_tuning'))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'treads': 1}, 'unknown key `treads`'),
        ({'config': {}}, '`config` is missing'),
        ({'threads': 0}, '`threads` is 0'),
        ({'max_seconds': -1}, '`max_seconds` is -1'),
    ],
)
def test_inputs_that_are_refused(changes, message):
    with pytest.raises(EngineError, match=message) as error:
        MaceInput.from_dict({**JOB, **changes})
    assert error.value.exit_code == BAD_INPUT


@pytest.mark.parametrize(
    ('error', 'code'),
    [
        (MemoryError(), OUT_OF_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), OUT_OF_MEMORY),
        (RuntimeError('CUDA out of memory. Tried to allocate 20 GiB'), OUT_OF_MEMORY),
        (AssertionError('Atomic energies must be provided'), BAD_INPUT),
    ],
)
def test_what_an_exception_means(error, code):
    assert MaceTraining(MaceInput.from_dict(JOB))._error(error).exit_code == code


def test_an_exception_in_the_loop_is_none_of_the_input():
    training = MaceTraining(MaceInput.from_dict(JOB))
    training.epoch = 3
    with pytest.raises(RuntimeError, match='shapes'):
        training._error(RuntimeError('shapes'))


def test_names_of_states():
    assert resume_epoch('resume_epoch-12.pt') == 12
    assert resume_epoch('resume_epoch-12.pt.tmp') is None
    assert last_resume_file(['resume_epoch-9.pt', 'resume_epoch-10.pt', 'x']) == 'resume_epoch-10.pt'
    assert last_resume_file([]) is None
