"""A whole small study in real LAMMPS: results, provenance, caching, archive, failures."""

import json
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.tools.archive import create_archive

from aiida_hdiff.workflows.diffusion import DiffusionWorkChain
from aiida_hdiff.workflows.md_stage import MDStageWorkChain

pytestmark = pytest.mark.integration

SHORT = {
    'npt': {'time_ps': 2.0, 'output_interval_fs': 20.0, 'checkpoint_interval_ps': 0.5},
    'nvt': {'time_ps': 4.0, 'output_interval_fs': 20.0, 'checkpoint_interval_ps': 0.5},
    'nve': {'time_ps': 30.0, 'output_interval_fs': 20.0, 'checkpoint_interval_ps': 2.0},
    'analysis': {'window_ps': [0.5, 2.0]},
    'gate': {'temperature_tolerance_K': 80.0},
}


@pytest.fixture
def study_builder(code, eam_potential, nickel_hydrogen):
    def make(temperatures=(1100, 1400), seed=1, **overrides):
        return DiffusionWorkChain.get_builder_from_protocol(
            nickel_hydrogen(),
            {'eam': eam_potential},
            {'lammps': code('lmp')},
            list(temperatures),
            protocol='fast',
            overrides={**SHORT, **overrides},
            seed=seed,
        )

    return make


def our_nodes():
    """Return all nodes of our types, structures, and the Dicts and arrays beside them."""
    kinds = (orm.Dict, orm.ArrayData, orm.StructureData, orm.SinglefileData, orm.Data)
    query = orm.QueryBuilder().append(orm.Data)
    return [
        node
        for (node,) in query.iterall()
        if isinstance(node, kinds) and not isinstance(node, orm.Code | orm.RemoteData)
    ]


def test_study(aiida_profile_clean, study_builder, tmp_path):
    """D and Ea come out; every ancestor is reachable; nothing holds a path; the cache and an archive give the same."""
    with enable_caching(identifier='aiida.calculations:hdiff.*'):
        outputs, node = run_get_node(study_builder())
        assert node.is_finished_ok, node.exit_message
        arrhenius = outputs['arrhenius']['eam']
        # Two temperatures and 30 ps: the reference is 0.44 eV, the error about 0.1 eV.
        assert abs(arrhenius.activation_energy_eV - 0.44) < 4 * arrhenius.activation_energy_error_eV
        for diffusivity in outputs['diffusivities'].values():
            assert diffusivity.is_resolved
            assert abs(diffusivity['measured_temperature_K'] - diffusivity['temperature_K']) < 80

        check_ancestors(arrhenius)
        check_no_paths(tmp_path)

        again, second = run_get_node(study_builder())
        assert again['arrhenius']['eam'].base.attributes.all == arrhenius.base.attributes.all
        jobs = [child for child in second.called_descendants if isinstance(child, orm.CalcJobNode)]
        assert len(jobs) == 6
        assert all(job.base.caching.is_created_from_cache for job in jobs)

    check_archive(node, tmp_path)


def check_ancestors(arrhenius):
    """From Ea back to the raw inputs by the QueryBuilder alone."""
    query = orm.QueryBuilder().append(orm.Node, filters={'uuid': arrhenius.uuid}, tag='ea')
    query.append(orm.Node, with_descendants='ea', project='*')
    ancestors = list({found.pk: found for (found,) in query.iterall()}.values())
    kinds = [type(found).__name__ for found in ancestors]
    assert kinds.count('PotentialData') == 1
    assert kinds.count('MDTrajectory') == 6
    assert kinds.count('StructureData') == 2
    labels = {found.process_label for found in ancestors if isinstance(found, orm.ProcessNode)}
    assert {'create_host', 'insert_hydrogen', 'LammpsMDCalculation', 'mean_volume_state', 'mean_energy_state'} <= labels
    for trajectory in (found for found in ancestors if type(found).__name__ == 'MDTrajectory'):
        assert trajectory.creator is not None


def check_no_paths(tmp_path):
    """No path of this machine occurs in an attribute or a repository file of a data node or in a generated input."""
    home, folders = os.path.expanduser('~'), {str(tmp_path.parent), os.getcwd(), sys.prefix}
    needles = [path.encode() for path in {home, '/tmp/', '/scratch/', *folders}]
    for node in our_nodes():
        names = [] if isinstance(node, orm.FolderData) else node.base.repository.list_object_names()
        contents = [json.dumps(node.base.attributes.all, default=str).encode()]
        contents += [node.base.repository.get_object_content(name, mode='rb') for name in names]
        for content in contents:
            for needle in needles:
                assert needle not in content, (node, needle)
    query = orm.QueryBuilder().append(orm.CalcJobNode)
    for (job,) in query.iterall():
        for name in job.base.repository.list_object_names():
            if name != '.aiida' and not name.startswith('_aiidasubmit'):
                content = job.base.repository.get_object_content(name, mode='rb')
                assert not any(needle in content for needle in needles), (job, name)


HASHES = """
import sys
from aiida import load_profile, orm
load_profile(sys.argv[1])
names = ('data.hdiff.', 'data.core.structure', 'data.core.array')
for node, in orm.QueryBuilder().append(orm.Data).iterall():
    if node.node_type.startswith(names):
        print(node.uuid, node.base.caching.compute_hash())
"""


def check_archive(node, tmp_path):
    """In an empty profile, all nodes have the hashes that they have here."""
    archive = tmp_path / 'study.aiida'
    create_archive([node], filename=archive, test_run=False)
    names = ('data.hdiff.', 'data.core.structure', 'data.core.array')
    wanted = {
        data.uuid: data.base.caching.compute_hash()
        for data in orm.QueryBuilder().append(orm.Data).all(flat=True)
        if data.node_type.startswith(names)
    }
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / 'empty'), 'PYTHONWARNINGS': 'ignore'}
    (tmp_path / 'empty').mkdir()
    hdiff = [sys.executable, '-m', 'aiida_hdiff.cli']
    for arguments in (['setup'], ['-p', 'hdiff', 'import', str(archive)]):
        subprocess.run([*hdiff, *arguments], env=environment, check=True, capture_output=True, timeout=120)
    command = [sys.executable, '-c', HASHES, 'hdiff']
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout
    found = dict(line.split() for line in output.splitlines())
    imported = {uuid: value for uuid, value in found.items() if uuid in wanted}
    assert len(imported) > 20
    assert imported == {uuid: wanted[uuid] for uuid in imported}


def test_one_failing_temperature_leaves_the_others(study_builder):
    """A temperature at which the run explodes is named as missing; the fit uses the rest."""
    outputs, node = run_get_node(study_builder(temperatures=(1100, 1400, 200000)))
    assert node.exit_status == 710
    assert 'eam_200000K_0' in node.exit_message
    arrhenius = outputs['arrhenius']['eam']
    assert arrhenius['n_temperatures'] == 2
    assert [entry['temperature_K'] for entry in arrhenius['missing']] == [200000.0]


def stage_inputs(code, structure, potential, steps=30000, **options):
    return {
        'code': code('lmp'),
        'structure': structure,
        'potential': potential,
        'parameters': orm.Dict(
            {
                'ensemble': 'nve',
                'temperature_K': 1000.0,
                'steps': steps,
                'timestep_fs': 1.0,
                'output_interval': 20,
                'checkpoint_interval': 1000,
                'seed': 5,
            }
        ),
        'options': options,
    }


def check_frames(trajectory, steps, interval=20):
    with trajectory.reader() as reader:
        np.testing.assert_array_equal(reader.steps, np.arange(0, steps + 1, interval))
        total = reader.observable('potential_energy') + reader.observable('kinetic_energy')
        jumps = np.abs(np.diff(reader.positions(), axis=0)).max()
    assert np.ptp(total) < 0.05
    assert jumps < 2.0


def test_wall_time_is_continued(code, eam_potential, nickel_hydrogen):
    """A stage whose jobs run out of wall time has all its frames once."""
    inputs = stage_inputs(code, nickel_hydrogen(), eam_potential, max_wallclock_seconds=6)
    outputs, node = run_get_node(MDStageWorkChain, **inputs)
    assert node.is_finished_ok, node.exit_message
    jobs = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
    assert len(jobs) > 1
    assert jobs[0].exit_status == 400
    check_frames(outputs['trajectory'], 30000)


def lammps_processes(folder):
    found = []
    for process in psutil.process_iter(['cmdline', 'cwd']):
        cwd, command = process.info['cwd'] or '', process.info['cmdline'] or []
        if cwd.startswith(str(folder)) and any('input.in' in word for word in command) and 'bash' not in command[0]:
            found.append(process)
    return found


def test_killed_lammps_is_continued(code, eam_potential, nickel_hydrogen, aiida_localhost):
    """A LAMMPS process killed in the middle costs only the time since the checkpoint."""
    from threading import Thread
    from time import sleep

    killed, workdir = [], aiida_localhost.get_workdir()

    def kill_once():
        for _ in range(600):
            for process in lammps_processes(workdir):
                folder = process.info['cwd']
                if len([name for name in os.listdir(folder) if name.startswith('checkpoint.')]) > 3:
                    process.kill()
                    killed.append(process.pid)
                    return
            sleep(0.1)

    killer = Thread(target=kill_once)
    killer.start()
    outputs, node = run_get_node(MDStageWorkChain, **stage_inputs(code, nickel_hydrogen(), eam_potential))
    killer.join()
    assert killed
    assert node.is_finished_ok, node.exit_message
    jobs = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
    assert [job.exit_status for job in jobs] == [401, 0]
    assert jobs[1].inputs.checkpoint.step >= 2000
    check_frames(outputs['trajectory'], 30000)
