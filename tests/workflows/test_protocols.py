"""Protocols and builders."""

import pytest

from aiida_hdiff.common.protocols import merge, unknown_key_error
from aiida_hdiff.workflows.diffusion import DiffusionWorkChain
from aiida_hdiff.workflows.diffusivity import DiffusivityWorkChain
from aiida_hdiff.workflows.validation import settings_error

PROTOCOLS = ('demo', 'fast', 'moderate', 'precise', 'paper')


def test_the_protocols_are_these():
    assert tuple(DiffusionWorkChain.get_available_protocols()) == PROTOCOLS
    assert all(DiffusionWorkChain.get_available_protocols().values())
    assert DiffusionWorkChain.get_default_protocol() == 'moderate'


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_builder_of_a_study(
    data_regression, serialize_builder, generate_structure, generate_potential, fake_code, protocol
):
    builder = DiffusionWorkChain.get_builder_from_protocol(
        generate_structure(),
        {'lj': generate_potential().store()},
        {'lammps': fake_code()},
        [700, 900.0],
        protocol=protocol,
    )
    values = serialize_builder(builder)
    assert values.pop('potentials').keys() == {'lj'}
    assert values.pop('literature').keys() == builder.literature.keys()
    data_regression.check(values)
    assert settings_error(builder.settings.get_dict()) is None


def test_builder_of_one_temperature(
    data_regression, serialize_builder, generate_structure, generate_potential, fake_code
):
    builder = DiffusivityWorkChain.get_builder_from_protocol(
        generate_structure(),
        generate_potential().store(),
        fake_code(),
        850.0,
        overrides={'nve': {'time_ps': 200.0}, 'analysis': {'window_ps': [1.0, 4.0]}},
        seed=5,
        options={'max_wallclock_seconds': 600},
    )
    values = serialize_builder(builder)
    values.pop('potential')
    data_regression.check(values)


def test_the_default_protocol_is_taken_if_none_is_named():
    assert DiffusionWorkChain.get_protocol_settings() == DiffusionWorkChain.get_protocol_settings('moderate')


@pytest.mark.parametrize('cls', [DiffusionWorkChain, DiffusivityWorkChain])
@pytest.mark.parametrize(
    ('protocol', 'overrides', 'message'),
    [
        ('moderat', None, 'unknown protocol `moderat`. Did you mean `moderate`?'),
        ('zzz', None, 'unknown protocol `zzz`. Choose one of demo, fast, moderate, precise, paper.'),
        ('fast', {'timestep': 1.0}, 'unknown key `timestep`. Did you mean `timestep_fs`?'),
        ('fast', {'nve': {'time_pss': 1.0}}, 'unknown key `nve.time_pss`. Did you mean `nve.time_ps`?'),
        ('fast', {'nve': {'thermostat': 'langevin'}}, 'unknown key `nve.thermostat`.'),
        ('fast', {'nve': 5}, '`nve` is 5: give a mapping with keys among time_ps'),
        ('fast', {'qqq': 1}, 'unknown key `qqq`. Known here: timestep_fs, calculator, npt'),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(cls, protocol, overrides, message):
    with pytest.raises(ValueError) as caught:
        cls.get_protocol_settings(protocol, overrides)
    assert message in str(caught.value)


def test_overrides_replace_leaves_only():
    base = DiffusionWorkChain.get_protocol_settings('fast')
    settings = DiffusionWorkChain.get_protocol_settings('fast', {'npt': {'time_ps': 3.0}})
    assert settings['npt']['time_ps'] == 3.0
    settings['npt']['time_ps'] = base['npt']['time_ps']
    assert settings == base


def test_merge_leaves_its_arguments():
    base, overrides = {'a': {'b': 1, 'c': 2}, 'd': [1]}, {'a': {'b': 5}, 'd': [2]}
    assert merge(base, overrides) == {'a': {'b': 5, 'c': 2}, 'd': [2]}
    assert base == {'a': {'b': 1, 'c': 2}, 'd': [1]}


def test_unknown_key_error_of_valid_keys():
    assert unknown_key_error({'a': {'b': 1}}, {'a': {'b': None, 'c': None}, 'd': None}) is None


@pytest.mark.parametrize('cls', [DiffusionWorkChain, DiffusivityWorkChain])
def test_the_builder_knows_its_ports(cls):
    builder = cls.get_builder()
    with pytest.raises(AttributeError):
        builder.strcture = 1
