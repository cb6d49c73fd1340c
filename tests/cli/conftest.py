"""Running commands in this process, and in another one with its own AiiDA folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner


@pytest.fixture
def run_command(aiida_profile, tmp_path, monkeypatch):
    """Give a function that runs a command in an empty folder and returns its result."""
    from aiida_hdiff.cli import main

    folder = tmp_path / 'working_directory'
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture(scope='module')
def run_outside(tmp_path_factory):
    """Give a function that runs a command of this environment with a new, empty AIIDA_PATH."""
    folder = tmp_path_factory.mktemp('aiida')
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {**os.environ, 'AIIDA_PATH': str(folder), 'PYTHONWARNINGS': 'ignore', 'PATH': path}

    def run(*command, code=0, **variables):
        result = subprocess.run(
            [sys.executable, '-m', *map(str, command)],
            env={**environment, **variables},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == code, (command, result.stdout, result.stderr)
        assert 'Traceback' not in result.stderr, result.stderr
        return result.stdout + result.stderr

    return run
