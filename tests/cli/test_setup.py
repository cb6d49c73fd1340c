"""`setup`, in a new AiiDA folder."""

import json

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
    return lambda: json.loads(run_outside('runpy', path).splitlines()[-1])


def test_nothing_works_before_and_everything_after_and_again(run_outside, nodes, tmp_path):
    for command in (['setup', '--check'], ['potential', 'list'], ['show', '1']):
        output = run_outside('aiida_hdiff.cli', *command, code=1)
        assert 'no AiiDA profile can be loaded' in output
        assert 'Run `aiida-hdiff setup`, or give one with -p.' in output
    output = run_outside('aiida_hdiff.cli', 'setup')
    assert "profile 'hdiff' made" in output
    for line in ('computer localhost ready', 'code lmp@localhost ready', 'code hdiff-engine@localhost ready'):
        assert line in output
    assert 'potential NiAlH_jea.eam.alloy ready' in output
    first = nodes()
    assert len(first[0]) >= 3
    again = run_outside('aiida_hdiff.cli', 'setup')
    assert again == output.replace('made', 'found')
    assert nodes() == first
    check = run_outside('aiida_hdiff.cli', 'setup', '--check')
    assert "profile 'hdiff'" in check
    assert 'ok       code lmp (LAMMPS)' in check
    assert 'missing  package ' in check or 'package mace' in check
    assert nodes() == first
    # A code whose executable has gone is found by the check, and replaced by the next set-up.
    lmp = tmp_path / 'lmp'
    lmp.write_text('#!/bin/sh\n')
    lmp.chmod(0o755)
    assert 'code lmp@localhost ready' in run_outside('aiida_hdiff.cli', 'setup', '--lmp', lmp)
    lmp.unlink()
    broken = run_outside('aiida_hdiff.cli', 'setup', '--check', code=1)
    assert "missing  code lmp (LAMMPS): the executable of code 'lmp@localhost' does not exist" in broken
    run_outside('aiida_hdiff.cli', 'setup')
    assert 'ok       code lmp (LAMMPS)' in run_outside('aiida_hdiff.cli', 'setup', '--check')
    output = run_outside('aiida_hdiff.cli', 'setup', '--lmp', lmp, code=1)
    assert f'LAMMPS is not installed ({lmp} does not exist)' in output
    lmp.write_text('')
    lmp.chmod(0o644)
    assert 'is not executable: run `chmod +x` on it' in run_outside('aiida_hdiff.cli', 'setup', '--lmp', lmp, code=1)
    assert 'no AiiDA profile can be loaded' in run_outside('aiida_hdiff.cli', '-p', 'zz', 'potential', 'list', code=1)


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
        assert 'Error: ' in output
