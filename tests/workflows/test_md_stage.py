"""The handlers of MDStageWorkChain, without running anything."""

import numpy as np
import pytest
from aiida import orm

from tests.conftest import PARAMETERS


@pytest.fixture
def stage(generate_workchain, stage_inputs):
    """Give a stage after its set-up."""

    def factory(**changes):
        process = generate_workchain('hdiff.md_stage', stage_inputs(**changes))
        process.setup()
        process.ctx.iteration = 1
        return process

    return factory


@pytest.fixture
def job(generate_calc_job_node, generate_state, generate_trajectory):
    """Give a factory of ended jobs."""

    def factory(status, *, step=None, frames=None, failed_frame=False, message='what the parser said'):
        outputs = {'results': orm.Dict({'last_step': step or 0})}
        if step is not None:
            outputs['final_state'] = generate_state(step=step, checkpoint=b'x')
        if frames is not None:
            positions = np.zeros((len(frames), 33, 3))
            outputs['trajectory'] = generate_trajectory(positions, steps=frames, numbers=[28] * 32 + [1])
        if failed_frame:
            outputs['failed_frame'] = generate_state(step=7)
        return generate_calc_job_node('hdiff.lammps_md', exit_status=status, exit_message=message, outputs=outputs)

    return factory


def test_setup_passes_the_inputs_and_options_on(stage, generate_state):
    state = generate_state().store()
    process = stage(state=state, options={'max_wallclock_seconds': 77})
    inputs = process.ctx.inputs
    assert inputs.state.pk == state.pk
    assert inputs.metadata.options == {'max_wallclock_seconds': 77}
    assert 'checkpoint' not in inputs
    assert process.process_class.__name__ == 'LammpsMDCalculation'
    assert process.inputs.clean_workdir.value is True


@pytest.mark.parametrize('status', [400, 401])
def test_a_stopped_job_is_continued_from_its_checkpoint(stage, job, status):
    process = stage()
    node = job(status, step=50, frames=range(0, 51, 10))
    report = process.handle_interrupted(node)
    assert report.do_break
    assert report.exit_code.status == 0
    assert process.ctx.inputs.checkpoint.pk == node.outputs.final_state.pk
    assert [segment.pk for segment in process.ctx.segments] == [node.outputs.trajectory.pk]
    assert process.ctx.last_step == 50


def test_a_stopped_job_without_frames_is_continued_too(stage, job):
    process = stage()
    assert process.handle_interrupted(job(401, step=50)).exit_code.status == 0
    assert process.ctx.segments == []


def test_a_job_that_gets_no_further_ends_the_stage(stage, job):
    process = stage()
    process.handle_interrupted(job(400, step=50))
    report = process.handle_interrupted(job(400, step=50))
    assert report.exit_code.status == 403
    assert report.exit_code.message == 'The jobs end before they get further than step 50.'


def test_handle_interrupted_leaves_other_ends_alone(stage, job):
    process = stage()
    for status in (0, 300, 402, 410, 421):
        assert process.handle_interrupted(job(status, step=50)) is None
    assert 'checkpoint' not in process.ctx.inputs


def test_a_job_stopped_early_is_started_again_three_times(stage, job):
    process = stage()
    statuses = [process.handle_interrupted_early(job(402)).exit_code.status for _ in range(4)]
    assert statuses == [0, 0, 0, 403]
    assert process.handle_interrupted_early(job(401, step=50)) is None


def test_progress_resets_the_count_of_early_stops(stage, job):
    process = stage()
    for _ in range(3):
        process.handle_interrupted_early(job(402))
    process.handle_interrupted(job(401, step=50))
    assert process.handle_interrupted_early(job(402)).exit_code.status == 0


def test_a_failed_run_ends_the_stage_with_its_code_and_message(stage, job):
    process = stage()
    for status in (410, 411, 420, 421, 422, 423):
        report = process.handle_failed_run(job(status, message=f'code {status}'))
        assert report.do_break
        assert (report.exit_code.status, report.exit_code.message) == (status, f'code {status}')
    assert 'failed_frame' not in process.outputs


def test_the_frame_of_an_exploded_run_is_kept(stage, job):
    process = stage()
    assert process.handle_failed_run(job(412, failed_frame=True)).exit_code.status == 412
    assert process.outputs['failed_frame'].step == 7


def test_handle_failed_run_leaves_other_ends_alone(stage, job):
    process = stage()
    for status in (0, 300, 301, 302, 400, 401, 402):
        assert process.handle_failed_run(job(status)) is None


def test_every_failure_of_the_jobs_has_a_code_of_the_stage():
    from aiida.plugins import CalculationFactory, WorkflowFactory

    stage_codes = {code.status for code in WorkflowFactory('hdiff.md_stage').exit_codes.values()}
    for name in ('hdiff.lammps_md', 'hdiff.md'):
        failures = {code.status for code in CalculationFactory(name).exit_codes.values() if 410 <= code.status < 430}
        assert failures <= stage_codes


def test_the_handlers_are_these(stage):
    names = {handler.__name__ for handler in stage().get_process_handlers()}
    assert names == {'handle_interrupted', 'handle_interrupted_early', 'handle_failed_run', 'handle_uncertain'}


def finish(process, node):
    process.ctx.children = [node]
    process.ctx.is_finished = True
    return process.results()


def test_one_job_is_passed_on(stage, job):
    process = stage()
    node = job(0, step=200, frames=range(0, 201, 10))
    assert finish(process, node) is None
    assert process.outputs['trajectory'].pk == node.outputs.trajectory.pk
    assert process.outputs['final_state'].pk == node.outputs.final_state.pk


def test_segments_are_joined(stage, job):
    process = stage()
    process.handle_interrupted(job(401, step=50, frames=range(0, 51, 10)))
    process.handle_interrupted(job(400, step=100, frames=range(60, 101, 10)))
    finish(process, job(0, step=200, frames=range(110, 201, 10)))
    with process.outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == list(range(0, 201, 10))
    assert process.outputs['trajectory'].creator.label == 'concatenate'


def test_a_last_job_without_frames_adds_none(stage, job):
    process = stage()
    process.handle_interrupted(job(401, step=200, frames=range(0, 201, 10)))
    finish(process, job(0, step=200))
    assert process.outputs['trajectory'].n_frames == 21


def test_a_stage_that_is_not_finished_has_no_outputs(stage, job):
    process = stage()
    process.ctx.children = [job(401, step=50)]
    process.ctx.is_finished = False
    assert process.results() == process.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED
    assert not process.outputs


def test_a_pause_at_the_last_iteration_forgets_the_stale_jobs(stage, job, monkeypatch):
    """`pause_on_max_iterations` of aiida-core resets the iteration, but would inspect the first job again."""
    from aiida.engine import BaseRestartWorkChain

    process = stage()
    process.ctx.children = [job(400, step=10)]
    seen = []
    monkeypatch.setattr(BaseRestartWorkChain, 'run_process', lambda self: seen.append(list(self.ctx.children)))
    process.run_process()
    process.ctx.iteration = 0
    process.run_process()
    assert [len(children) for children in seen] == [1, 0]


def test_the_parameters_of_the_stage_are_not_changed(stage, job):
    process = stage()
    process.handle_interrupted(job(401, step=50))
    assert process.ctx.inputs.parameters.get_dict() == PARAMETERS


def test_a_job_that_ended_in_an_exception_is_run_once_more(stage, job):
    from aiida.engine import ProcessState

    process = stage()
    node = job(0)
    node.set_process_state(ProcessState.EXCEPTED)
    process.ctx.children = [node]
    assert process.inspect_process() is None
    assert not process.ctx.is_finished
    assert process.inspect_process().status == 301


def test_an_extension_starts_from_its_checkpoint(stage, generate_state, error_of, stage_inputs):
    checkpoint = generate_state(step=40, checkpoint=b'x').store()
    process = stage(checkpoint=checkpoint)
    assert process.ctx.inputs.checkpoint.pk == checkpoint.pk
    assert process.ctx.last_step == 40
    late = generate_state(step=PARAMETERS['steps'], checkpoint=b'x').store()
    assert 'give more steps than the checkpoint has' in error_of('hdiff.md_stage', stage_inputs(checkpoint=late))
