"""Trust in models: what needs it, where it is kept, and that no archive brings it along."""

import pytest
from aiida import orm
from aiida.tools.archive import create_archive, import_archive

from aiida_hdiff.data.model_trust import (
    OPTION,
    code_in_potential,
    is_trusted,
    revoke_trust,
    trust_error,
    trust_key,
    trust_potential,
    trust_record,
    trusted_options,
)
from aiida_hdiff.data.potential import PotentialData
from tests.model_files import ARCHITECTURES, genuine_model, hostile_model


@pytest.fixture(autouse=True)
def profile(aiida_profile_clean):
    """Use a profile of its own: trust is kept in it."""


@pytest.fixture
def hostile():
    return PotentialData(architecture='mace', elements=['Ni', 'H'], files=[hostile_model()]).store()


def lammps(pair_style, *coefficients, files=()):
    return PotentialData(
        architecture='lammps', elements=['Ni', 'H'], files=files, pair_style=pair_style, pair_coeff=coefficients
    )


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_genuine_models_need_no_trust(generate_potential, architecture):
    node = generate_potential(architecture)
    assert code_in_potential(node) is None
    assert trust_error(node, {}) is None
    assert trusted_options([node], trust=True) == {}
    assert trust_record(node) is None


def test_other_potentials_are_not_scanned(generate_potential):
    for node in (generate_potential(), generate_potential('emt'), generate_potential('lennard_jones')):
        assert code_in_potential(node) is None
    force_field = PotentialData.from_vasp_mlff(hostile_model(), elements=['Ni', 'H'])
    assert code_in_potential(force_field) is None
    assert trust_error(None, {}) is None


def test_both_the_profile_and_the_job_must_say_so(hostile):
    key = trust_key(hostile)
    assert key == hostile.sha256 == hostile.content_sha256()
    error = trust_error(hostile, {})
    assert f'the mace model of potential {hostile.pk} is not loaded: it names `os.system`' in error
    assert 'allow it with --trust' in error
    assert 'nobody has trusted it in this profile' in trust_error(hostile, {OPTION: [key]})
    assert trusted_options([hostile]) == {}

    assert trust_potential(hostile, 'made by me') == key
    assert trust_record(hostile)['note'] == 'made by me'
    assert f'give `options.{OPTION}: [{key}]`' in trust_error(hostile, None)
    assert trust_error(hostile, {OPTION: ['0' * 64]}) is not None
    assert trust_error(hostile, {OPTION: [key]}) is None
    assert is_trusted(hostile, trusted_options([hostile]))

    revoke_trust(hostile)
    assert trust_record(hostile) is None
    assert 'nobody has trusted it' in trust_error(hostile, {OPTION: [key]})


def test_trust_does_not_come_with_an_archive(hostile, tmp_path, aiida_config, aiida_profile_factory):
    """A stranger trusts a model, says so on the node, its group and its comments, and sends the archive."""
    trust_potential(hostile, 'trust me')
    hostile.base.extras.set('trusted', True)
    group = orm.Group('trusted_models').store()
    group.add_nodes([hostile])
    path = tmp_path / 'stranger.aiida'
    create_archive([hostile, group], filename=path)
    key, uuid = trust_key(hostile), hostile.uuid
    with aiida_profile_factory(aiida_config, storage_backend='core.sqlite_temp', storage_config={}):
        import_archive(path)
        received = orm.load_node(uuid)
        assert received.base.extras.get('trusted') is True
        assert trust_key(received) == key
        assert trust_record(received) is None
        assert 'nobody has trusted it in this profile' in trust_error(received, {OPTION: [key]})


def test_attributes_do_not_count(hostile, generate_potential):
    """A node from an archive may give any digest for its files."""
    trust_potential(hostile)
    other = PotentialData(architecture='mace', elements=['Ni', 'H'], files=[hostile_model('rm -r other')])
    other.base.attributes.set('sha256', hostile.sha256)
    other.store()
    assert trust_key(other) != trust_key(hostile)
    assert trust_error(other, {OPTION: [hostile.sha256]}) is not None

    genuine = generate_potential('mace')
    other = PotentialData(architecture='mace', elements=['Ni', 'H'], files=[hostile_model()], cutoff_A=3.4)
    other.base.attributes.set('sha256', genuine.sha256)
    other.store()
    stored = PotentialData.get_or_create(genuine)
    assert stored.uuid == genuine.uuid
    assert stored.base.repository.get_object_content('potential.0', mode='rb') == genuine_model('mace')


def test_source_is_kept_but_is_no_identity(generate_potential):
    first = generate_potential('mace')
    first.source = {'uri': 'https://example.org/model'}
    stored = PotentialData.get_or_create(first)
    again = PotentialData.get_or_create(generate_potential('mace'))
    assert again.uuid == stored.uuid
    assert again.source == {'uri': 'https://example.org/model'}
    other = generate_potential('mace').store()
    assert stored.base.caching.compute_hash() == other.base.caching.compute_hash()


@pytest.mark.parametrize(
    ('style', 'coefficients', 'offender'),
    [
        ('mliap unified {file0} 0', ('* * {elements}',), '`unified`'),
        ('mliap model mliappy {file0} descriptor so3 x', ('* * {elements}',), '`mliappy`'),
        ('hybrid lj/cut 4.0 python 4.0', ('* * {file0} Ni H',), '`python`'),
        ('python 4.0', ('* * os.system {file0}',), '`python`'),
        ('lj/cut 4.0\nshell touch code_was_run', ('* * {file0}',), 'run other commands'),
        ('lj/cut 4.0', ('* * {file0} &',), 'run other commands'),
        ('lj/cut 4.0', ('* * {file0} $(is_os("x"))',), 'run other commands'),
    ],
)
def test_lammps_commands_that_run_code(style, coefficients, offender):
    node = lammps(style, *coefficients, files=[b'x']).store()
    error = trust_error(node, {})
    assert offender in error
    assert '--trust' in error
    assert trust_error(node, trusted_options([node], trust=True)) is None


def test_trust_in_lammps_commands_is_for_these_only():
    first = lammps('python 4.0', '* * a.Class {file0}', files=[b'x'])
    trust_potential(first)
    second = lammps('python 4.0', '* * b.Class {file0}', files=[b'x'])
    assert first.sha256 == second.sha256
    assert trust_key(first) != trust_key(second)
    assert trust_record(second) is None
    assert (
        code_in_potential(lammps('mliap model linear {file0} descriptor sna {file0}', '* * Ni H', files=[b'x'])) is None
    )
