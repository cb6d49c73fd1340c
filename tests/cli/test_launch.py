"""`launch`: plans, and everything that is refused."""

from collections import namedtuple

import pytest
import yaml
from aiida import orm

STUDY = {
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [3, 3, 3]},
    'hydrogen': {'n_hydrogen': 4, 'seed': 1},
    'potentials': {'eam': {'pair_style': 'eam/alloy', 'files': ['NiAlH_jea.eam.alloy']}},
    'temperatures_K': [800, 1000],
    'protocol': 'fast',
}
FLAGS = [
    '--host', 'Ni', '--lattice', 'fcc', '--n-hydrogen', '4', '--pair-style', 'eam/alloy', '--file', 'NiAlH_jea.eam.alloy',
    '-T', '800', '-T', '1000', '--protocol', 'fast',
]  # fmt: skip
PLAN = '2 runs of 470000 steps: 6 jobs'


@pytest.fixture(autouse=True)
def codes(fake_code, monkeypatch, setfl_path):
    names = {'lammps': fake_code().full_label, 'engine': fake_code('hdiff.md').full_label}
    monkeypatch.setattr('aiida_hdiff.workflows.study.DEFAULT_CODES', names)


@pytest.fixture
def study_file(tmp_path, generate_structure):
    """Give a function that writes a study; its structure is a node, unless told otherwise."""
    node = generate_structure(3, 4).store()

    def write(**changes):
        study = {key: value for key, value in STUDY.items() if key not in ('structure', 'hydrogen')}
        path = tmp_path / 'study.yaml'
        path.write_text(yaml.safe_dump({**study, 'structure': {'node': node.pk}, **changes}))
        return path

    return write


def workflows():
    return orm.QueryBuilder().append(orm.WorkChainNode).count()


def test_dry_run_of_a_file(run_command, study_file):
    before = workflows()
    output = run_command('launch', study_file(**STUDY), '--dry-run')
    assert output.startswith(PLAN)
    assert output.endswith('dry run: nothing was submitted\n')
    for unit in ('nodes', 'ps', 'min', 'MB of disk'):
        assert unit in output
    assert workflows() == before


def test_dry_run_of_flags(run_command):
    assert run_command('launch', *FLAGS, '--dry-run').startswith(PLAN)
    output = run_command('launch', *FLAGS, '--replicas', 3, '--max-concurrent', 4, '--seed', 0, '--dry-run')
    assert output.startswith('6 runs of 470000 steps: 18 jobs')
    assert 'with 4 at a time' in output


def test_flags_and_a_file_give_the_same_study():
    from aiida_hdiff.cli.launch import _from_flags, launch

    context = launch.make_context('launch', [*FLAGS, '--seed', '0', '--sites', 'mixed'])
    flags = {key: value for key, value in context.params.items() if key not in ('study', 'dry_run', 'run_here')}
    assert _from_flags(flags) == {
        'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [3, 3, 3]},
        'hydrogen': {'n_hydrogen': 4, 'sites': 'mixed', 'seed': 0},
        'potentials': {'potential': {'pair_style': 'eam/alloy', 'files': ['NiAlH_jea.eam.alloy']}},
        'temperatures_K': [800.0, 1000.0],
        'protocol': 'fast',
        'seed': 0,
    }


def test_without_a_daemon_nothing_is_submitted(run_command, study_file):
    before = workflows()
    output = run_command('launch', study_file(), code=1)
    assert 'the daemon is not running: start it with `verdi daemon start 2`, or add `--run`' in output
    assert workflows() == before


def test_a_full_disk(run_command, study_file, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr('shutil.disk_usage', lambda _: usage(10**9, 10**9 - 1000, 1000))
    before = workflows()
    output = run_command('launch', study_file(), '--run', code=1)
    assert 'the disk has 0 MB left and about ' in output
    assert 'Nothing was submitted.' in output
    assert workflows() == before


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'temperature_K': [1]}, 'unknown key `temperature_K` in the study. Did you mean `temperatures_K`?'),
        ({'settings': {'nve': {'time': 1}}}, 'unknown key `nve.time`. Did you mean `nve.time_ps`?'),
        ({'protocol': 'slow'}, 'unknown protocol `slow`.'),
        ({'temperatures_K': [800]}, 'needs at least two temperatures'),
        ({'seed': 2**31}, '`seed` is 2147483648: give a whole number from 0 to 2147483647'),
        ({'structure': {'node': 99999999}}, '`structure.node` 99999999 is no node of this profile'),
        ({'hydrogen': {'n_hydrogen': 4000, 'seed': 1}}, 'no room for 4000 H'),
        ({'options': {'max_wallclock_second': 5}}, 'unknown key `options.max_wallclock_second`'),
        ({'structure': {'host': 'Ni', 'supercell': [2, 2, 2]}, 'hydrogen': {'n_hydrogen': 1, 'seed': 1}}, 'twice the cutoff'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(run_command, study_file, changes, message):
    before = workflows()
    output = run_command('launch', study_file(**changes), '--dry-run', code=1)
    assert output.count('Error: ') == 1
    assert message in output
    assert workflows() == before


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        ([], 'give a study file, or --host, a potential and temperatures: see `aiida-hdiff launch --help`'),
        (['no.yaml'], "study file 'no.yaml' does not exist"),
        (
            ['--host', 'Ni', '--n-hydrogen', '4', '-T', '800', '-T', '900'],
            "potential 'potential': give `node`, or `pair",
        ),
        ([*FLAGS, '--ratio', '0.1'], 'give either `n_hydrogen` or `ratio`'),
        ([*FLAGS, '--sites', 'cubic'], "`hydrogen.sites`: 'cubic' is not one of"),
        ([*FLAGS, '-T', '800'], '`temperatures_K` holds 800.0 K twice'),
        ([*FLAGS, '--replicas', '0'], '`replicas`: 0 is less than the minimum of 1'),
        ([*FLAGS, '--seed', '-1'], '`seed`: -1 is less than the minimum of 0'),
        ([*FLAGS, '--max-concurrent', '0'], '`max_concurrent`: 0 is less than the minimum of 1'),
        ([*FLAGS, '--supercell', '0', '1', '1'], '`structure.supercell.0`: 0 is less than the minimum of 1'),
        (['--host', 'Xx', *FLAGS[2:]], "no host 'fcc Xx'"),
    ],
)
def test_what_is_wrong_with_flags(run_command, flags, message):
    assert message in run_command('launch', *flags, '--dry-run', code=1)


@pytest.mark.parametrize('content', ['a: [1', 'a: b: c', '\x00'])
def test_a_file_that_is_not_yaml(run_command, tmp_path, content):
    path = tmp_path / 'study.yaml'
    path.write_text(content)
    assert "study file 'study.yaml' is not YAML" in run_command('launch', path, code=1)


def test_a_file_that_is_no_mapping(run_command, tmp_path):
    path = tmp_path / 'study.yaml'
    for content in ('', '- a\n', '5\n'):
        path.write_text(content)
        assert 'the study must be a mapping' in run_command('launch', path, code=1)


@pytest.mark.parametrize('system', ['ni-h', 'mg-h'])
def test_the_studies_of_the_quick_start_are_valid(system):
    from importlib.resources import files

    from aiida_hdiff.workflows.settings import DiffusionProtocols
    from aiida_hdiff.workflows.study import study_error
    from aiida_hdiff.workflows.validation import settings_error, temperatures_error

    study = yaml.safe_load((files('aiida_hdiff.cli') / 'systems' / f'{system}.yaml').read_text())
    assert study_error(study) is None
    assert temperatures_error(study['temperatures_K']) is None
    assert settings_error(DiffusionProtocols.get_protocol_settings(study['protocol'], study.get('settings'))) is None


def test_quickstart_refuses_a_folder_that_cannot_be_written(run_command, tmp_path):
    blocked = tmp_path / 'file'
    blocked.touch()
    output = run_command('quickstart', '-o', blocked / 'out', code=1)
    assert 'cannot be written' in output
    assert 'Give another folder' in output
