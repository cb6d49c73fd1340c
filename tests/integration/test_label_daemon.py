"""Labelling through the daemon: a worker and a job are killed on the way."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.test_daemon import processes, shell, wait_for  # noqa: F401

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
LAUNCH = """
from aiida import load_profile, orm
load_profile('hdiff')
from aiida.engine import submit
from aiida.plugins import WorkflowFactory
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.formats.configurations import Configurations
from tests.conftest import copper_frames
from aiida_hdiff.data.model_trust import trust_calculator
trust_calculator('tests.engine.label_calculators:Slow')
settings = {'calculator': 'tests.engine.label_calculators:Slow', 'allow_any_calculator': True,
            'parameters': {'seconds': 1.0}}
frames = ConfigurationsData(Configurations.from_ase(copper_frames(12), [f'md:{i}' for i in range(12)]))
node = submit(WorkflowFactory('hdiff.label'), code=orm.load_code('hdiff-engine'), frames=frames, settings=settings,
              batch_size=4, max_concurrent=2, clean_workdir=False,
              options={'environment_variables': {'OMP_NUM_THREADS': '1', 'PYTHONPATH': ROOT}})
print('PK', node.pk)
"""
SHOW = """
from aiida import load_profile, orm
load_profile('hdiff')
import json
node = orm.load_node(PK)
out = {'state': node.process_state.value, 'exit': node.exit_status, 'message': node.exit_message}
if node.is_terminated and 'results' in node.outputs:
    jobs = [job for job in node.called if isinstance(job, orm.CalcJobNode)]
    out['results'] = node.outputs.results.get_dict()
    out['statuses'] = sorted(job.exit_status for job in jobs)
    out['new'] = sum(job.outputs.dataset.n_frames for job in jobs if 'dataset' in job.outputs)
    out['origins'] = list(node.outputs.dataset.frames().origins)
print('JSON', json.dumps(out))
"""


def test_kills_cost_one_frame_each(shell, tmp_path, monkeypatch):  # noqa: F811
    """A killed job keeps the frames that it had; a killed worker starts no job twice."""
    monkeypatch.syspath_prepend(str(ROOT))
    shell('aiida_hdiff.cli', 'setup')
    shell('aiida', '-p', 'hdiff', 'daemon', 'start', '2')
    (tmp_path / 'aiida_launch.py').write_text(f'import sys\nROOT = {str(ROOT)!r}\nsys.path.insert(0, ROOT)\n' + LAUNCH)
    monkeypatch.chdir(tmp_path)
    pk = shell('aiida_launch').split('PK ')[1].strip()

    def busy():
        for process in processes(tmp_path, 'label.json'):
            labels = Path(process.info['cwd'], 'labels.jsonl')
            if labels.is_file() and labels.read_bytes().count(b'\n') >= 3:
                return process
        return None

    wait_for(busy, 150, 'job with two labels').kill()
    workers = processes(tmp_path, 'daemon worker')
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    (tmp_path / 'aiida_show.py').write_text(SHOW.replace('PK', pk))

    def ended():
        found = json.loads(shell('aiida_show').split('JSON ')[1])
        return found if found['state'] in ('finished', 'excepted', 'killed') else None

    found = wait_for(ended, 240, 'end of the labelling')
    report = shell('aiida', '-p', 'hdiff', 'process', 'report', pk)
    assert found['exit'] == 0, (found, report)
    assert found['origins'] == [f'md:{i}' for i in range(12)]
    assert found['statuses'] == [0, 0, 0, 401], report
    assert found['new'] == 12
    assert found['results']['n_rounds'] == 2
