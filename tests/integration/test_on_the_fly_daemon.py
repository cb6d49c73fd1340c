"""From a crystal to D(T) by the stand-in, which is not VASP, in one launch through the daemon; with three faults."""

import json

import pytest
import yaml

from tests.conftest import NI_H_FILE, executable
from tests.integration.test_daemon import shell, wait_for  # noqa: F401
from tests.vasp_fixtures import POTCAR_FAMILY, write_potcar_family

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')
pytest.importorskip('matscipy', reason='matscipy is not installed')
pytestmark = [pytest.mark.integration, pytest.mark.slow]

TRAINING = {
    'title': 'stand-in test',
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [2, 2, 2]},
    'hydrogen': {'n_hydrogen': 2, 'seed': 1},
    'potcars': {'family': POTCAR_FAMILY},
    'protocol': 'demo',
    'settings': {
        'chunk_steps': 500,
        'ramp': {'time_ps': 0.3, 'start_K': 50.0, 'end_K': 1500.0},
        'plateaus': {'temperatures_K': [1500.0], 'time_ps': 2.0},
    },
    'diffusion': {
        'temperatures_K': [1200, 1500],
        'protocol': 'demo',
        'settings': {
            'timestep_fs': 1.0,
            'npt': {'time_ps': 0.1, 'thermostat_time_fs': 10.0, 'checkpoint_interval_ps': None},
            'nvt': {'time_ps': 0.1, 'thermostat_time_fs': 10.0, 'checkpoint_interval_ps': None},
            'nve': {'time_ps': 3.0, 'checkpoint_interval_ps': None},
            'analysis': {'window_ps': [0.1, 0.3]},
            'gate': {'temperature_tolerance_K': 1600.0, 'drift_limit_meV_per_atom_per_ns': 1e6},
        },
    },
}

SET_UP = """
import sys
from pathlib import Path
from aiida import orm
from aiida_vasp.data.potcar import PotcarData
folder, family, standin = sys.argv[1:]
PotcarData.upload_potcar_family(Path(folder), family, 'Fake POTCARs', stop_if_existing=False)
orm.InstalledCode(
    label='vasp', computer=orm.load_computer('localhost'), filepath_executable=standin,
    default_calc_job_plugin='hdiff.vasp_mlff',
).store()
"""

INSPECT = """
import json, sys
from aiida import orm
from aiida_hdiff.calculations.training import frame_origin
study = orm.load_node(int(sys.argv[1]))
training = study.base.links.get_outgoing(link_label_filter='training').all_nodes()[0]

def child(node, label):
    return node.base.links.get_outgoing(link_label_filter=label).all_nodes()[0]

# From D upwards through the data, by links of creation and input only.
above, queue = set(), [next(iter(study.outputs.diffusion.diffusivities.values()))]
while queue:
    for link in queue.pop().base.links.get_incoming().all():
        if link.link_type.value in ('create', 'input_calc') and link.node.pk not in above:
            above.add(link.node.pk)
            queue.append(link.node)
jobs = [job for job in training.called_descendants if isinstance(job, orm.CalcJobNode)]
origins = [frame_origin(origin) for origin in study.outputs.training.dataset.frames().origins]
found = {}
for stage, job, place in origins:
    node = child(child(training, stage), job)
    assert place in node.outputs.dataset.frames().origins
    found.setdefault(node.pk, set()).add(place)
labelled = sum(job.outputs.dataset.n_frames for job in jobs if 'dataset' in job.outputs)
calculated = sum(int(job.outputs.misc['n_dft_steps']) for job in jobs if 'misc' in job.outputs)
decisions = study.outputs.training.decisions.get_dict()
print(json.dumps({
    'statuses': [job.exit_status for job in sorted(jobs, key=lambda job: job.pk)],
    'emulated': all(job.base.extras.get('emulated', False) for job in jobs),
    'frames': len(origins), 'labelled': labelled, 'calculated': calculated,
    'duplicates': len(decisions['duplicates']),
    'jobs_with_frames': sorted(found), 'above': sorted(above & {job.pk for job in jobs}),
    'jobs': sorted(job.pk for job in jobs), 'exit': [study.exit_status, study.exit_message],
    'statistics': study.outputs.training.statistics.get_dict(),
    'diffusivities': {key: node['status'] for key, node in study.outputs.diffusion.diffusivities.items()},
}))
"""


def test_one_launch_gives_D_and_survives_three_faults(shell, tmp_path, setfl_path):  # noqa: F811
    control = tmp_path / 'control'
    control.mkdir()
    # The first two steps of a training are of DFT, so that the SCF failure meets one.
    for fault in ('scf-fail-at-step-2', 'stop-at-step-20', 'crash-at-step-30'):
        (control / fault).write_text('ML_MODE = TRAIN\n')
    environment = {
        'OMP_NUM_THREADS': '1',
        'HDIFF_STANDIN_REFERENCE': f'eam:{setfl_path}',
        'HDIFF_STANDIN_CONTROL': str(control),
    }
    assert setfl_path.name == NI_H_FILE
    file = tmp_path / 'training.yaml'
    file.write_text(yaml.safe_dump({**TRAINING, 'options': {'environment_variables': environment}}))
    scripts = {name: tmp_path / f'{name}.py' for name in ('set_up', 'look')}
    scripts['set_up'].write_text(SET_UP)
    scripts['look'].write_text(INSPECT)

    shell('aiida_hdiff.cli', 'setup')
    family = write_potcar_family(tmp_path / 'potcars', ('Ni', 'H'))
    standin = executable('hdiff-vasp-standin')
    shell('aiida', '-p', 'hdiff', 'run', str(scripts['set_up']), str(family), POTCAR_FAMILY, standin)
    plan = shell('aiida_hdiff.cli', '-p', 'hdiff', 'launch-training', str(file), '--dry-run')
    assert 'train_1500K  2000 steps in 4 jobs' in plan
    shell('aiida', '-p', 'hdiff', 'daemon', 'start', '2')
    output = shell('aiida_hdiff.cli', '-p', 'hdiff', 'launch-training', str(file))
    pk = output.split('submitted training ')[1].split(':')[0]

    def ended():
        text = shell('aiida_hdiff.cli', '-p', 'hdiff', 'status', pk)
        return text if f'study {pk}: finished' in text or 'excepted' in text or 'killed' in text else None

    text = wait_for(ended, 1500, 'end of the study')
    report = shell('aiida', '-p', 'hdiff', 'process', 'report', pk)
    assert f'study {pk}: finished' in text, report
    seen = json.loads(shell('aiida', '-p', 'hdiff', 'run', str(scripts['look']), pk).splitlines()[-1])
    assert seen['statuses'][:3] == [413, 400, 401], report
    assert set(seen['statuses'][3:]) <= {0, 414, 415}, report
    assert len(seen['diffusivities']) == 2, (seen['exit'], report)
    assert seen['emulated']
    assert seen['frames'] == seen['labelled'] - seen['duplicates']
    assert seen['labelled'] >= seen['calculated']
    # The SCF failed before there was a state: nothing goes on from that job, but its frames are in the data set too.
    assert seen['above'] == seen['jobs'][1:]
    assert seen['jobs_with_frames'] == seen['jobs'][:-1]
    assert seen['statistics']['emulated'] is True
    for row in ('ramp', 'train_1500K', 'refit', 'vasp_mlff_1200K_0', 'vasp_mlff_1500K_0'):
        assert row in text, text
    figures = tmp_path / 'figures'
    shell('aiida_hdiff.cli', '-p', 'hdiff', 'plot-training', pk, '-o', str(figures / 'learning.svg'))
    assert (figures / 'learning.svg').is_file()
