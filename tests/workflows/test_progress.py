"""The progress of a study, read from the graph and from the folders of running jobs."""

import json

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_hdiff.workflows.progress import job_steps, study_progress
from aiida_hdiff.workflows.train_progress import distillation_text
from tests.parsers.cases import FIXTURES


@pytest.fixture
def running_job(generate_calc_job_node, tmp_path):
    """Give a factory of running jobs with files in their folder."""

    def factory(entry_point, files, inputs=None, caller=None):
        attributes = {'output_filename': 'lammps.out'}
        node = generate_calc_job_node(entry_point, inputs, attributes=attributes, caller=caller)
        folder = tmp_path / f'work_{node.pk}'
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        node.set_remote_workdir(str(folder))
        node.set_process_state(ProcessState.WAITING)
        return node

    return factory


def test_steps_of_running_jobs(running_job, generate_state):
    screen = (FIXTURES / 'lammps_md' / 'killed' / 'lammps.out').read_text()
    assert 16 <= job_steps(running_job('hdiff.lammps_md', {'lammps.out': screen})) <= 22
    assert job_steps(running_job('hdiff.lammps_md', {'lammps.out': 'LAMMPS (22 Jul'})) == 0
    assert job_steps(running_job('hdiff.lammps_md', {})) == 0
    assert job_steps(running_job('hdiff.md', {'progress.json': json.dumps({'step': 33})})) == 33
    assert job_steps(running_job('hdiff.md', {'progress.json': '{"ste'})) == 0
    checkpoint = {'checkpoint': generate_state(step=50, checkpoint=b'x')}
    assert job_steps(running_job('hdiff.md', {}, checkpoint)) == 50


def test_steps_of_a_finished_job_and_of_one_that_has_no_folder(generate_calc_job_node):
    outputs = {'results': orm.Dict({'last_step': 120})}
    assert job_steps(generate_calc_job_node('hdiff.md', exit_status=400, outputs=outputs)) == 120
    assert job_steps(generate_calc_job_node('hdiff.md')) == 0


def test_a_distillation(running_job, aiida_profile):
    """It tells its last child, and how many frames the jobs of that have labelled."""
    chain, label = (orm.WorkChainNode(process_type=f'aiida.workflows:hdiff.{name}') for name in ('distill', 'label'))
    assert distillation_text(chain.store()) == 'starting'
    label.base.links.add_incoming(chain, LinkType.CALL_WORK, 'label_00')
    label.store()
    assert distillation_text(chain) == 'label 00'
    for done in (3, 4):
        running_job(
            'hdiff.label', {'progress.json': json.dumps({'step': done, 'steps': 45})}, caller=(label, f'batch_{done}')
        )
    assert distillation_text(chain) == 'label 00, 7/90 frames'


def test_a_study_in_all_states(generate_workchain, study_inputs, running_job):
    from tests.workflows.test_diffusion import measured

    process = generate_workchain('hdiff.diffusion', study_inputs(temperatures=orm.List([800, 900, 1000, 1100])))

    def child(parent, label, kind, state=None, exit_status=None, message=None):
        node = orm.WorkChainNode(process_type=f'aiida.workflows:hdiff.{kind}')
        node.base.links.add_incoming(parent, LinkType.CALL_WORK, label)
        node.store().set_process_state(state or ProcessState.RUNNING)
        if exit_status is not None:
            node.set_exit_status(exit_status)
            node.set_exit_message(message)
        return node

    done = child(process.node, 'lj_800K_0', 'diffusivity', ProcessState.FINISHED, 0)
    measured(800.0).store().base.links.add_incoming(done, LinkType.RETURN, 'diffusivity')
    child(process.node, 'lj_900K_0', 'diffusivity', ProcessState.FINISHED, 433, 'exploded')
    run = child(process.node, 'lj_1000K_0', 'diffusivity')
    child(run, 'npt', 'md_stage', ProcessState.FINISHED, 0)
    stage = child(run, 'nvt', 'md_stage')
    running_job('hdiff.md', {'progress.json': '{"step": 1234}'}, caller=(stage, 'iteration_01'))
    rows = {row.label: row for row in study_progress(process.node)}
    assert [row.state for row in rows.values()] == ['finished', 'failed', 'running', 'waiting']
    total = 30_000 + 40_000 + 400_000
    assert all(row.steps_total == total for row in rows.values())
    assert rows['lj_800K_0'].steps_done == total
    assert rows['lj_800K_0'].stage.startswith('D(800 K) = ')
    assert rows['lj_900K_0'].stage == 'exploded'
    assert (rows['lj_1000K_0'].steps_done, rows['lj_1000K_0'].stage) == (31_234, 'nvt 1234/40000')
    assert (rows['lj_1100K_0'].steps_done, rows['lj_1100K_0'].stage) == (0, '')
