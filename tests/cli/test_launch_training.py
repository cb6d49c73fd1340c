"""`launch-training` and `plot-training`: plans, and everything that is refused."""

import pytest
import yaml
from aiida import orm

from tests.vasp_fixtures import POTCAR_FAMILY

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

DIFFUSION = {'temperatures_K': [600, 800], 'protocol': 'fast'}


@pytest.fixture
def training_file(tmp_path, generate_structure, fake_potcars, fake_code):
    """Give a function that writes a training file."""
    fake_potcars()
    node = generate_structure(3, 1).store()
    code = fake_code('hdiff.vasp_mlff')

    def write(**changes):
        content = {
            'structure': {'node': node.pk},
            'code': code.full_label,
            'potcars': {'family': POTCAR_FAMILY},
            'protocol': 'demo',
        }
        path = tmp_path / 'training.yaml'
        path.write_text(yaml.safe_dump({**content, **changes}))
        return path

    return write


def test_dry_run(run_command, training_file):
    before = orm.QueryBuilder().append(orm.WorkChainNode).count()
    output = run_command('launch-training', training_file(), '--dry-run').splitlines()
    assert [line.split()[0] for line in output] == ['ramp', 'train_300K', 'train_480K', 'train_673K', 'refit', 'dry']
    assert output[0] == 'ramp         200 steps in 2 jobs'
    output = run_command('launch-training', training_file(diffusion=DIFFUSION), '--dry-run')
    assert 'then molecular dynamics at 600, 800 K' in output
    assert orm.QueryBuilder().append(orm.WorkChainNode).count() == before


def test_the_daemon_must_run(run_command, training_file, monkeypatch):
    class NoDaemon:
        is_daemon_running = False

    monkeypatch.setattr('aiida.engine.daemon.client.get_daemon_client', NoDaemon)
    output = run_command('launch-training', training_file(), code=1)
    assert 'the daemon is not running: start it with `verdi daemon start 2`' in output


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'strcture': {}}, 'unknown key `strcture` in the study. Did you mean `structure`?'),
        ({'temperatures_K': [1]}, 'unknown key `temperatures_K`'),
        ({'potcars': {}}, "'family' is a required property"),
        ({'potcars': {'family': 'none'}}, "POTCAR family 'none' does not exist"),
        ({'code': 'nothing@nowhere'}, "code 'nothing@nowhere' is not set up"),
        ({'protocol': 'papers'}, 'unknown protocol `papers`. Did you mean `paper`?'),
        ({'settings': {'ramp': {'start': 0}}}, 'unknown key `ramp.start`'),
        ({'settings': {'ramp': {'start_K': 0.1}}}, 'VASP takes TEBEG near 0 for a relaxation'),
        ({'settings': {'incar': {'ML_ISTART': 0}}}, 'is deprecated'),
        ({'kpoints': [1, 1]}, '`kpoints`'),
        ({'dataset': 'nothing'}, "`dataset` 'nothing' is no node of this profile"),
        ({'diffusion': {'temperatures_K': [300]}}, 'diffusion: `temperatures_K` holds [300]'),
        ({'diffusion': {**DIFFUSION, 'settings': {'nve': {'time_ps': 1.0}}}}, 'is too short for the fit window'),
    ],
)
def test_bad_files(run_command, training_file, changes, message):
    output = run_command('launch-training', training_file(**changes), '--dry-run', code=1)
    assert message in ' '.join(output.split())


def test_a_dataset_must_be_one(run_command, training_file):
    node = orm.Int(1).store()
    output = run_command('launch-training', training_file(dataset=node.pk), '--dry-run', code=1)
    assert f'`dataset` {node.pk} is a Int, not labelled frames.' in output


def test_plot_of_something_else(run_command):
    node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusion').store()
    assert f'node {node.pk} is a ' in run_command('plot-training', node.pk, code=1)
    node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.on_the_fly').store()
    assert 'has no `learning` yet' in run_command('plot-training', node.pk, code=1)


def test_the_study_of_a_training_is_found(run_command):
    node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.trained_diffusion').store()
    assert 'is still training' in run_command('show', node.pk, code=1)
