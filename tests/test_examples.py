"""The examples, run as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / 'examples'


STUDIES = [*EXAMPLES.glob('*.yaml'), *EXAMPLES.glob('*/study.yaml')]


@pytest.mark.parametrize('path', sorted(STUDIES), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_study_files_are_valid(path):
    from aiida_hdiff.workflows.settings import DiffusionProtocols
    from aiida_hdiff.workflows.study import study_error
    from aiida_hdiff.workflows.validation import settings_error, temperatures_error

    study = yaml.safe_load(path.read_text(encoding='utf-8'))
    assert study_error(study) is None
    assert temperatures_error(study['temperatures_K']) is None
    assert (
        settings_error(DiffusionProtocols.get_protocol_settings(study.get('protocol'), study.get('settings'))) is None
    )


def test_the_training_file_is_valid():
    from aiida_hdiff.workflows.study import study_error
    from aiida_hdiff.workflows.training import OnTheFlyProtocols
    from aiida_hdiff.workflows.training_study import training_schema

    content = yaml.safe_load((EXAMPLES / 'mg-h' / 'training.yaml').read_text(encoding='utf-8'))
    assert study_error(content, training_schema()) is None
    assert OnTheFlyProtocols.get_protocol_settings(content['protocol'], content['settings'])


def test_random_walk_without_aiida():
    code = 'import runpy, sys; runpy.run_path(sys.argv[1], run_name="__main__"); assert "aiida" not in sys.modules'
    path = EXAMPLES / 'analyse_random_walk.py'
    result = subprocess.run([sys.executable, '-c', code, path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('resolved') == 4
    energy, error, exact = map(float, re.search(r'Ea = \((\S+) ± (\S+)\) eV, exact (\S+) eV', result.stdout).groups())
    assert abs(energy - exact) < 3 * error < 0.05


@pytest.mark.integration
def test_study_from_python_and_the_queries_on_it(tmp_path):
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path)}
    environment.pop('AIIDA_PROFILE', None)
    bin_dir = Path(sys.executable).parent

    def run(*command):
        result = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=800
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run(bin_dir / 'aiida-hdiff', 'setup')
    output = run(bin_dir / 'verdi', '-p', 'hdiff', 'run', EXAMPLES / 'run_study.py')
    assert 'ended with status 0' in output
    energy, error = map(float, re.search(r'^eam: Ea = (\S+) ± (\S+) eV', output, re.MULTILINE).groups())
    assert abs(energy - 0.44) < 4 * error + 0.02

    page = (ROOT / 'docs' / 'howto' / 'query.md').read_text(encoding='utf-8')
    script = tmp_path / 'snippets.py'
    script.write_text('\n'.join(re.findall(r'^```python\n(.*?)^```', page, re.MULTILINE | re.DOTALL)), encoding='utf-8')
    queried = run(bin_dir / 'verdi', '-p', 'hdiff', 'run', script)
    assert queried.count(': D(1') == 1
    assert 'Ea = ' in queried
    assert 'input.in' in queried
