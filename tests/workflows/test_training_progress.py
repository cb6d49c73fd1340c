"""The progress of a training, and the training with the study that follows."""

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_hdiff.workflows.progress import job_steps, last_oszicar_step
from aiida_hdiff.workflows.training import OnTheFlyProtocols
from aiida_hdiff.workflows.training_progress import process_progress, training_job_step

OSZICAR = """\
       N       E                     dE
DAV:   1    -0.5E+03   -0.5E+03
      1 T=   302. E= -.5E+03 F= -.5E+03 E0= -.5E+03  EK= 0.3E+01 SP= 0.00E+00 SK= 0.00E+00
      2 T=   299. E= -.5E+03 F= -.5E+03 E0= -.5E+03  EK= 0.3E+01 SP= 0.00E+00 SK= 0.00E+00
DAV:   1    -0.5E+03
"""


def child(parent, label, kind, state=ProcessState.RUNNING, exit_status=None, message=None):
    node = orm.WorkChainNode(process_type=f'aiida.workflows:hdiff.{kind}')
    if parent is not None:
        node.base.links.add_incoming(parent, LinkType.CALL_WORK, label)
    node.store().set_process_state(state)
    if exit_status is not None:
        node.set_exit_status(exit_status)
        node.set_exit_message(message)
    return node


@pytest.fixture
def training_node(aiida_profile):
    """Give a factory of trainings without stages."""

    def factory(parent=None, **overrides):
        settings = OnTheFlyProtocols.get_protocol_settings('demo', overrides)
        node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.on_the_fly')
        node.base.links.add_incoming(orm.Dict(settings).store(), LinkType.INPUT_WORK, 'settings')
        if parent is not None:
            node.base.links.add_incoming(parent, LinkType.CALL_WORK, 'training')
        return node.store()

    return factory


def test_the_last_step_of_OSZICAR():
    assert last_oszicar_step(OSZICAR) == 2
    assert last_oszicar_step('') == last_oszicar_step('DAV: 1\n N  E') == 0
    assert last_oszicar_step(OSZICAR[: OSZICAR.index('      2 T=') + 4]) == 1


def test_a_training_in_all_states(training_node, generate_calc_job_node, tmp_path):
    node = training_node()
    ramp = child(node, 'ramp', 'vasp_mlff_base', ProcessState.FINISHED, 0)
    statistics = orm.Dict({'n_frames': 12, 'n_dft_steps': 20}).store()
    statistics.base.links.add_incoming(ramp, LinkType.RETURN, 'statistics')
    stage = child(node, 'train_300K', 'vasp_mlff_base')
    job = generate_calc_job_node('hdiff.vasp_mlff', {'first_step': orm.Int(30)}, caller=(stage, 'iteration_02'))
    (tmp_path / 'OSZICAR').write_text(OSZICAR)
    job.set_remote_workdir(str(tmp_path))
    child(node, 'train_480K', 'vasp_mlff_base', ProcessState.FINISHED, 413, 'SCF')
    child(node, 'train_673K', 'vasp_mlff_base')
    rows = {row.label: row for row in process_progress(node)}
    assert [row.state for row in rows.values()] == ['finished', 'running', 'failed', 'running', 'waiting']
    assert [row.steps_total for row in rows.values()] == [200, 100, 100, 100, 1]
    assert (rows['ramp'].steps_done, rows['ramp'].stage) == (200, '12 frames, 20 DFT steps')
    assert (rows['train_300K'].steps_done, rows['train_300K'].stage) == (32, 'job 1 32/100')
    assert rows['train_480K'].stage.startswith('SCF; ')
    assert rows['train_673K'].stage == 'starting'


def test_the_step_of_molecular_dynamics_by_VASP(generate_calc_job_node, generate_state, tmp_path):
    (tmp_path / 'OSZICAR').write_text(OSZICAR)
    for inputs, step in (({}, 2), ({'checkpoint': generate_state(step=50)}, 52)):
        job = generate_calc_job_node('hdiff.vasp_md', inputs)
        job.set_remote_workdir(str(tmp_path))
        assert job_steps(job) == step


def test_the_step_of_an_ended_job(generate_calc_job_node):
    outputs = {'misc': orm.Dict({'last_step': 77})}
    assert training_job_step(generate_calc_job_node('hdiff.vasp_mlff', exit_status=400, outputs=outputs)) == 77


def test_a_training_with_the_study_that_follows(training_node, generate_workchain, study_inputs):
    node = child(None, '', 'trained_diffusion')
    assert [row.state for row in process_progress(node)] == ['waiting']
    training_node(node)
    assert len(process_progress(node)) == 5
    study = generate_workchain('hdiff.diffusion', study_inputs())
    plain = process_progress(study.node)
    assert [row.label for row in plain] == ['lj_800K_0', 'lj_900K_0']


def test_the_study_takes_what_the_training_has(aiida_profile):
    pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')
    from aiida_hdiff.workflows.trained_diffusion import TrainedDiffusionWorkChain

    ports = TrainedDiffusionWorkChain.spec().inputs
    assert not {'structure', 'potentials', 'codes', 'potcars', 'kpoints'} & set(ports['diffusion'])
    assert {'temperatures', 'settings', 'seed', 'literature'} <= set(ports['diffusion'])
    assert {'structure', 'potcars', 'settings', 'code'} <= set(ports['training'])
    label = ports['label']
    assert label.validate(orm.Str('mlff_1'), ()) is None
    assert 'cannot be used' in label.validate(orm.Str('a b'), ()).message
