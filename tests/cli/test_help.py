"""Help of every command, and what it costs."""

import resource
import subprocess
import sys
from importlib import import_module

import click
import pytest

from aiida_hdiff import __version__
from aiida_hdiff.cli import main

HEAVY = ('aiida.orm', 'numpy', 'ase', 'h5py', 'scipy', 'torch', 'matplotlib')
NODES = ('potential', 'dataset', 'trajectory', 'state', 'diffusivity', 'arrhenius', 'literature')


def commands():
    for name, (target, _) in main.commands_by_name.items():
        module, attribute = target.split(':')
        command = getattr(import_module(module), attribute)
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, child) for child in command.commands)


@pytest.mark.parametrize('command', list(commands()), ids=' '.join)
def test_help_of_every_command(run_command, command):
    output = run_command(*command, '--help')
    assert output.startswith(f'Usage: aiida-hdiff {" ".join(command)}')
    text = output.split('\n\n')[1].strip()
    assert text.endswith('.') or 'Options' in output
    assert len(text) > 15


def test_the_commands_are_these(run_command):
    output = run_command('--help')
    names = [
        'quickstart', 'setup', 'plan', 'launch', 'launch-training', 'status', 'show', 'report', 'plot', 'plot-training', 'export', 'import', 'import-mlab', 'import-vasp', *NODES,
    ]  # fmt: skip
    assert list(main.commands_by_name) == names
    for name, (_, text) in main.commands_by_name.items():
        assert f'  {name} ' in output
        assert text[:30] in output


def test_nodes_are_listed_shown_and_exported():
    found = {}
    for name, *child in commands():
        if child:
            found.setdefault(name, set()).update(child)
    more = {name: children - {'list', 'show', 'export'} for name, children in found.items()}
    assert {name: children for name, children in more.items() if children} == {
        'dataset': {'import', 'split', 'subsample', 'statistics'},
        'potential': {'import', 'check', 'convert', 'trust', 'trust-calculator'},
    }
    assert set(found) == set(NODES)


def test_version(run_command):
    assert run_command('--version').strip() == f'aiida-hdiff, version {__version__}'


@pytest.mark.parametrize(
    ('arguments', 'hint'),
    [(['lanch'], "No such command 'lanch'. Did you mean 'launch'?"), (['zzz'], "No such command 'zzz'.")],
)
def test_unknown_commands_are_answered_with_the_nearest(run_command, arguments, hint):
    output = run_command(*arguments, code=2)
    assert hint in output
    assert ('Did you mean' in output) == ('Did you mean' in hint)


def cpu_seconds(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


@pytest.mark.parametrize('arguments', [['--help'], ['launch', '--help'], ['quickstart', '--help']])
def test_help_takes_less_than_half_a_second_of_cpu_time(arguments):
    code = 'import sys; from aiida_hdiff.cli import main; main(sys.argv[1:])'
    assert min(cpu_seconds('-c', code, *arguments) for _ in range(2)) < 0.5


def test_help_imports_nothing_heavy():
    code = (
        'import sys\nfrom aiida_hdiff.cli import main\n'
        'try:\n    main(["launch", "--help"])\nexcept SystemExit:\n    pass\n'
        f'print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == '[]'


def test_the_same_commands_are_under_verdi(run_outside):
    output = run_outside('aiida', 'data', 'hdiff', '--help')
    for name in main.commands_by_name:
        assert f'  {name} ' in output
    assert 'Usage: ' in run_outside('aiida', 'data', 'hdiff', 'potential', 'show', '--help')
