"""A study through the daemon with two workers, of which one and a LAMMPS process are killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

pytestmark = pytest.mark.integration

STUDY = {
    'title': 'daemon test',
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [3, 3, 3]},
    'hydrogen': {'n_hydrogen': 4, 'seed': 1},
    'potentials': {'eam': {'pair_style': 'eam/alloy', 'files': ['NiAlH_jea.eam.alloy']}},
    'temperatures_K': [1100, 1400],
    'protocol': 'fast',
    'settings': {
        'npt': {'time_ps': 2.0, 'output_interval_fs': 20.0},
        'nvt': {'time_ps': 4.0, 'output_interval_fs': 20.0},
        'nve': {'time_ps': 60.0, 'checkpoint_interval_ps': 1.0},
        'analysis': {'window_ps': [0.5, 3.0]},
        'gate': {'temperature_tolerance_K': 80.0},
    },
}


@pytest.fixture
def shell(tmp_path):
    """Return a function that runs a command in a fresh AiiDA folder, with the daemon stopped at the end."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / 'aiida'), 'PYTHONWARNINGS': 'ignore', 'PATH': path}
    (tmp_path / 'aiida').mkdir()

    def run(*command, check=True):
        result = subprocess.run(
            [sys.executable, '-m', *command], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert not check or result.returncode == 0, (command, result.stdout, result.stderr)
        return result.stdout

    yield run
    run('aiida', '-p', 'hdiff', 'daemon', 'stop', check=False)


def processes(tmp_path, word):
    """Return the processes that work for this test and have a word in their command."""
    found = []
    for process in psutil.process_iter(['cmdline', 'environ', 'cwd']):
        command = ' '.join(process.info['cmdline'] or [])
        mine = (process.info['environ'] or {}).get('AIIDA_PATH', '').startswith(str(tmp_path))
        if mine and word in command and 'bash' not in command.split(' ', 1)[0]:
            found.append(process)
    return found


def wait_for(condition, seconds, what, *, every_s=0.2, details=str):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(every_s)
    pytest.fail(f'no {what} within {seconds} s\n{details()}')
    return None


def nve_with_checkpoint(tmp_path):
    """Return a LAMMPS process of an NVE stage that has written a checkpoint of more than 3 ps."""
    for process in processes(tmp_path, 'input.in'):
        folder = process.info['cwd']
        try:
            if 'fix integrate all nve\n' in open(f'{folder}/input.in').read() and os.path.exists(
                f'{folder}/checkpoint.4000.restart'
            ):
                return process
        except OSError:
            continue
    return None


def test_daemon_survives_kills(shell, tmp_path):
    """Killing a LAMMPS process and a worker costs only the time since the checkpoint; the study finishes."""
    shell('aiida_hdiff.cli', 'setup')
    shell('aiida', '-p', 'hdiff', 'daemon', 'start', '2')
    study = tmp_path / 'study.yaml'
    study.write_text(yaml.safe_dump(STUDY))
    output = shell('aiida_hdiff.cli', '-p', 'hdiff', 'launch', str(study))
    pk = output.split('submitted study ')[1].split(':')[0]

    wait_for(lambda: nve_with_checkpoint(tmp_path), 120, 'NVE run with a checkpoint').kill()
    time.sleep(2)
    workers = processes(tmp_path, 'daemon worker')
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)

    def ended():
        text = shell('aiida_hdiff.cli', '-p', 'hdiff', 'status', pk)
        return text if f'study {pk}: finished' in text else None

    def state():
        logs = (tmp_path / 'aiida').rglob('*daemon*.log')
        return '\n'.join(
            [
                shell('aiida', '-p', 'hdiff', 'process', 'status', pk),
                shell('aiida', '-p', 'hdiff', 'process', 'report', pk),
                *(f'{log}\n{log.read_text()[-4000:]}' for log in logs),
            ]
        )

    # A look at the study costs a core for seconds: it is not for looking all the time.
    text = wait_for(ended, 420, 'end of the study', every_s=5.0, details=state)
    assert text.count('D(') == 2, text + shell('aiida', '-p', 'hdiff', 'process', 'report', pk)
    tree = shell('aiida', '-p', 'hdiff', 'process', 'status', pk)
    assert 'Finished [401]' in tree, tree
    results = shell('aiida_hdiff.cli', '-p', 'hdiff', 'show', pk, '--json')
    assert '"status": "resolved"' in results
