"""`setup`, in a new AiiDA folder."""

import json
import re

import pytest

COUNT = """
import json
from aiida import load_profile, orm
load_profile('hdiff')
query = orm.QueryBuilder().append(orm.Node, project=['uuid'])
computers = orm.QueryBuilder().append(orm.Computer, project=['uuid'])
print(json.dumps([sorted(u for u, in query.all()), sorted(u for u, in computers.all())]))
"""


@pytest.fixture(scope='module')
def nodes(run_outside, tmp_path_factory):
    path = tmp_path_factory.mktemp('count') / 'count_nodes.py'
    path.write_text(COUNT)
    return lambda: json.loads(run_outside(path.stem, PYTHONPATH=str(path.parent)).splitlines()[-1])


@pytest.mark.integration
def test_doing_it_again_changes_nothing(run_outside, nodes):
    output = run_outside('aiida_hdiff.cli', 'potential', 'list', code=1)
    assert 'no AiiDA profile can be loaded' in output
    assert 'Run `aiida-hdiff setup`, or give one with -p.' in output
    output = run_outside('aiida_hdiff.cli', 'setup')
    assert "profile 'hdiff' made" in output
    for line in ('computer localhost ready', 'code lmp@localhost ready', 'code hdiff-engine@localhost ready'):
        assert line in output
    assert 'potential NiAlH_jea.eam.alloy ready' in output
    first = nodes()
    assert len(first[0]) >= 3
    assert len(first[1]) == 1
    assert run_outside('aiida_hdiff.cli', 'setup') == output.replace('made', 'found')
    check = run_outside('aiida_hdiff.cli', 'setup', '--check')
    assert "profile 'hdiff'" in check
    assert 'ok       computer localhost' in check
    assert 'ok       code lmp (LAMMPS)' in check
    assert nodes() == first
    configuration = run_outside('aiida', '-p', 'hdiff', 'computer', 'configure', 'show', 'localhost')
    assert re.search(r'login_shell\s+False', configuration), configuration


@pytest.mark.integration
def test_an_executable_that_has_gone_is_found_and_replaced(run_outside, tmp_path):
    def setup(*arguments, code=0):
        return run_outside('aiida_hdiff.cli', 'setup', *arguments, code=code)

    assert 'no AiiDA profile can be loaded' in run_outside('aiida_hdiff.cli', '-p', 'zz', 'setup', '--check', code=1)
    lmp = tmp_path / 'lmp'
    lmp.write_text('#!/bin/sh\n')
    lmp.chmod(0o755)
    assert 'code lmp@localhost ready' in setup('--lmp', lmp)
    lmp.unlink()
    message = (
        "missing  code lmp (LAMMPS): the executable of code 'lmp@localhost' does not exist: run `aiida-hdiff setup`"
    )
    assert message in setup('--check', code=1)
    setup()
    assert 'ok       code lmp (LAMMPS)' in setup('--check')
    assert f'LAMMPS is not installed ({lmp} does not exist)' in setup('--lmp', lmp, code=1)
    lmp.write_text('')
    lmp.chmod(0o644)
    assert 'is not executable: run `chmod +x` on it' in setup('--lmp', lmp, code=1)


def test_a_folder_that_cannot_be_written(run_outside, tmp_path):
    blocked = tmp_path / 'file'
    blocked.touch()
    output = run_outside('aiida_hdiff.cli', 'setup', code=1, AIIDA_PATH=str(blocked / 'folder'))
    assert 'Set AIIDA_PATH to a folder of yours' in output


def test_a_corrupt_configuration(run_outside, tmp_path):
    folder = tmp_path / '.aiida'
    folder.mkdir()
    (folder / 'config.json').write_text('{"profiles": ')
    for command in (['setup'], ['potential', 'list']):
        output = run_outside('aiida_hdiff.cli', *command, code=1, AIIDA_PATH=str(tmp_path))
        assert 'invalid JSON' in output
        assert 'Set AIIDA_PATH' in output or 'give one with -p' in output
