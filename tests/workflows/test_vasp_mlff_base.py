"""The handlers of VaspMlffBaseWorkChain, without running anything."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.workflows.training import OnTheFlyProtocols, stage_incar, stage_settings
from tests.workflows.training_fixtures import labelled_dataset, learning_table

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

SETTINGS = OnTheFlyProtocols.get_protocol_settings(
    'demo', {'ramp': {'time_ps': 0.4}, 'chunk_steps': 100, 'learning': {'max_configurations': 50}}
)


@pytest.fixture
def stage_inputs(fake_code, generate_structure, potcars):
    """Give a factory of valid inputs of a stage: a ramp of 400 steps in jobs of 100."""

    def factory(name='ramp', settings=SETTINGS, stage=None, **changes):
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        values = {
            'code': fake_code('hdiff.vasp_mlff'),
            'structure': generate_structure(),
            'kpoints': kpoints,
            'potcars': potcars,
            'parameters': orm.Dict(stage_incar(settings, name, n_species=2)),
            'stage': orm.Dict({**stage_settings(settings, name), **(stage or {})}),
            'seed': orm.Int(7),
            'constraint': orm.Str('fixed_shape'),
        }
        return {**values, **changes}

    return factory


@pytest.fixture(scope='module')
def potcars(aiida_profile, tmp_path_factory):
    from tests.vasp_fixtures import upload_fake_potcars

    return upload_fake_potcars(tmp_path_factory.mktemp('potcars'), ('Ni', 'H'))


@pytest.fixture
def stage(generate_workchain, stage_inputs, monkeypatch):
    """Give a stage after its set-up; its reports are not stored."""
    from aiida_hdiff.workflows.vasp_mlff_base import VaspMlffBaseWorkChain

    monkeypatch.setattr(VaspMlffBaseWorkChain, 'report', lambda self, *arguments: None)

    def factory(*args, **changes):
        process = generate_workchain('hdiff.vasp_mlff_base', stage_inputs(*args, **changes))
        process.setup()
        process.ctx.children = []
        return process

    return factory


@pytest.fixture
def run(generate_calc_job_node, generate_state, aiida_localhost):
    """Give a function that prepares the next job and says how it ended; returns its inputs and what is decided."""

    def factory(
        process,
        status,
        *,
        step=None,
        frames=(),
        unconverged=(),
        count='all',
        threshold=None,
        message='as parsed',
        **more,
    ):
        process.prepare_job()
        inputs = process.ctx.inputs
        outputs = {'remote_folder': orm.RemoteData('/scratch/job', computer=aiida_localhost)}
        if step is not None:
            outputs['final_state'] = generate_state(step=step)
        if frames:
            outputs['dataset'] = labelled_dataset(frames, unconverged=unconverged)
        if threshold is not None:
            outputs['learning'] = learning_table([1, 2], threshold)
        known = process.ctx.n_configurations + len(frames) if count == 'all' else count
        misc = {'version': '6.4.3', 'n_dft_steps': len(frames), 'n_ml_steps': 10, 'last_step': step}
        if known is not None:
            misc |= {'n_configurations': known, 'n_local_configurations': {'Ni': 40, 'H': 20}}
        node = generate_calc_job_node(
            'hdiff.vasp_mlff',
            exit_status=status,
            exit_message=message,
            outputs={**outputs, 'misc': orm.Dict(misc), **more},
        )
        process.ctx.iteration += 1
        process.ctx.children.append(node)
        return inputs, process.inspect_process()

    return factory


@pytest.fixture
def real_calcfunction():
    """Ask for the calcfunction itself."""


@pytest.fixture(autouse=True)
def light_calcfunction(monkeypatch, request):
    """Give each job its tags without the provenance, which costs most of the time of these tests."""
    from aiida_hdiff.calculations.chunks import chunk_incar, random_seed
    from aiida_hdiff.workflows import vasp_mlff_base

    def parameters(parameters, stage, seed, chunk, metadata):
        numbers = random_seed(seed.value, stage['name'], chunk['first_step'], chunk['attempt'])
        return orm.Dict(chunk_incar(parameters.get_dict(), stage.get_dict(), chunk.get_dict(), numbers))

    if 'real_calcfunction' not in request.fixturenames:
        monkeypatch.setattr(vasp_mlff_base, 'chunk_parameters', parameters)


def incar(inputs):
    return inputs.parameters.get_dict()


@pytest.mark.integration
def test_jobs_follow_each_other_until_the_ramp_is_done(stage, run):
    process, seen = stage(), []
    for step in (100, 200, 300, 400):
        assert process.should_run_process()
        inputs, decision = run(process, 0, step=step, frames=[step - 1, step], threshold=0.02)
        assert not (decision and decision.status)
        seen.append(inputs)
    assert not process.should_run_process()
    assert [inputs.first_step.value for inputs in seen] == [0, 100, 200, 300]
    tags = [incar(inputs) for inputs in seen]
    assert [values['NSW'] for values in tags] == [100] * 4
    assert [values['TEBEG'] for values in tags] == pytest.approx([10.0, 182.5, 355.0, 527.5])
    assert [values['TEEND'] for values in tags] == pytest.approx([182.5, 355.0, 527.5, 700.0])
    assert len({values['RANDOM_SEED'] for values in tags}) == 4
    assert [values['ML_CTIFOR'] for values in tags] == [0.005, 0.02, 0.02, 0.02]
    assert [values['ML_MCONF'] for values in tags] == [100, 102, 104, 106]
    assert 'ml_ab_folder' not in seen[0]
    assert 'state' not in seen[0]
    for earlier, later in zip(process.ctx.jobs, seen[1:], strict=False):
        assert later.ml_ab_folder.pk == earlier.outputs.remote_folder.pk
        assert later.state.pk == earlier.outputs.final_state.pk
    assert [inputs.n_configurations.value for inputs in seen[1:]] == [2, 4, 6]


def test_the_inputs_of_a_job_are_accepted_by_it(stage, run, real_calcfunction):
    from aiida.plugins import CalculationFactory

    process = stage(options={'max_wallclock_seconds': 77})
    run(process, 401, step=30, frames=[1, 2])
    process.prepare_job()
    inputs = dict(process.ctx.inputs)
    port = CalculationFactory('hdiff.vasp_mlff').spec().inputs
    assert inputs['metadata'] == {'options': {'max_wallclock_seconds': 77}}
    assert port.validate(port.pre_process(inputs)) is None
    parameters = inputs['parameters']
    assert parameters.creator.process_label == 'chunk_parameters'


@pytest.mark.parametrize('status', [400, 401])
def test_a_stopped_job_is_continued_with_what_remains_at_its_temperature(stage, run, status):
    process = stage()
    run(process, status, step=40, frames=[3, 30])
    inputs, _ = run(process, 0, step=130, frames=[41])
    assert inputs.first_step.value == 40
    assert incar(inputs)['NSW'] == 90
    assert incar(inputs)['TEBEG'] == pytest.approx(10.0 + 690.0 * 40 / 400)
    assert inputs.n_configurations.value == 2
    assert inputs.ml_ab_folder.pk == process.ctx.jobs[0].outputs.remote_folder.pk


@pytest.mark.integration
def test_without_ML_ABN_the_last_good_one_is_handed_on_and_no_frame_is_lost(stage, run):
    process = stage()
    run(process, 0, step=100, frames=[1, 50])
    run(process, 401, step=140, frames=[120, 130], count=None)
    inputs, _ = run(process, 0, step=227, frames=[150])
    assert inputs.first_step.value == 140
    assert inputs.ml_ab_folder.pk == process.ctx.jobs[0].outputs.remote_folder.pk
    assert inputs.n_configurations.value == 2
    process.collect()
    frames = process.outputs['dataset'].frames()
    assert [origin.split()[2] for origin in frames.origins] == ['1', '50', '120', '130', '150']


def test_a_ML_ABN_that_lacks_the_last_frames_is_handed_on(stage, run):
    process = stage()
    run(process, 0, step=100, frames=[1, 50])
    run(process, 401, step=140, frames=[120, 130], count=3)
    assert process.ctx.training_set['ml_ab_folder'].pk == process.ctx.jobs[1].outputs.remote_folder.pk
    assert process.ctx.n_configurations == 3


@pytest.mark.parametrize(('unconverged', 'handed_on'), [([130], True), ([120], False)])
def test_an_unconverged_label_matters_only_if_ML_ABN_has_it(stage, run, unconverged, handed_on):
    process = stage()
    run(process, 413, step=140, frames=[120, 130], unconverged=unconverged, count=1)
    assert ('ml_ab_folder' in process.ctx.training_set) is handed_on


@pytest.mark.parametrize('count', [None, 1, 4])
def test_a_truncated_or_foreign_ML_ABN_is_not_handed_on(stage, run, count):
    process = stage()
    run(process, 0, step=100, frames=[1, 50])
    run(process, 401, step=140, frames=[120], count=count)
    assert process.ctx.training_set['ml_ab_folder'].pk == process.ctx.jobs[0].outputs.remote_folder.pk


@pytest.mark.integration
def test_a_job_that_was_stopped_too_early_is_started_again(stage, run):
    process = stage()
    for _ in range(3):
        inputs, decision = run(process, 402, count=None)
        assert (inputs.first_step.value, decision.status) == (0, 0)
    _, decision = run(process, 402, count=None)
    assert decision.status == 403
    assert decision.message == 'The jobs end before they get further than step 0.'


@pytest.mark.integration
def test_a_stopped_job_without_progress_counts_as_early(stage, run):
    process = stage()
    run(process, 401, step=40, frames=[3])
    statuses = [run(process, 401, step=40)[1].status for _ in range(4)]
    assert statuses == [0, 0, 0, 403]


@pytest.mark.integration
def test_an_unconverged_scf_is_passed_by_other_random_numbers_and_then_from_farther_back(stage, run):
    process = stage()
    run(process, 0, step=100, frames=[1])
    first, _ = run(process, 413, step=160, frames=[150, 160], unconverged=[160])
    second, _ = run(process, 413, step=180, frames=[170])
    third, _ = run(process, 0, step=125)
    fourth, _ = run(process, 0, step=217)
    assert [inputs.first_step.value for inputs in (first, second, third, fourth)] == [100, 160, 100, 125]
    assert [incar(inputs)['NSW'] for inputs in (first, second, third, fourth)] == [100, 48, 25, 92]
    # The training set with the bad label is never handed on; that of the second attempt is given up with its state.
    assert second.ml_ab_folder.pk == third.ml_ab_folder.pk == process.ctx.jobs[0].outputs.remote_folder.pk
    assert third.state.pk == process.ctx.jobs[0].outputs.final_state.pk
    seeds = [incar(inputs)['RANDOM_SEED'] for inputs in (first, second, third, fourth)]
    assert len(set(seeds)) == 4
    dft = [
        {key: value for key, value in incar(inputs).items() if key in SETTINGS['incar']} for inputs in (first, third)
    ]
    assert dft[0] == dft[1] == SETTINGS['incar']
    process.collect()
    assert process.outputs['dataset'].n_frames == 4
    assert process.outputs['statistics']['jobs'][1]['action'].startswith('continue from step 160 with other random')


@pytest.mark.integration
def test_an_scf_that_never_converges_ends_the_stage_with_its_frames(stage, run):
    process = stage(stage={'scf_retries': 2})
    decisions = [run(process, 413, frames=[9 + i], message='step 9')[1] for i in range(3)]
    assert [decision.status for decision in decisions] == [0, 0, 413]
    assert decisions[-1].message == 'The SCF failed 3 times from step 0 on: step 9'
    assert process.outputs['dataset'].n_frames == 3
    assert process.outputs['statistics']['n_failed_jobs'] == 3


@pytest.mark.parametrize(('status', 'tag'), [(414, 'ML_MCONF'), (415, 'ML_MB')])
def test_a_full_training_set_is_enlarged(stage, run, status, tag):
    process = stage()
    first, _ = run(process, status, step=60, frames=[5])
    second, _ = run(process, 0, step=145)
    assert incar(second)[tag] == int(np.ceil(1.5 * incar(first)[tag]))
    other = {'ML_MCONF': 'ML_MB', 'ML_MB': 'ML_MCONF'}[tag]
    assert incar(second)[other] <= incar(first)[other] + 40
    assert second.first_step.value == 60
    assert second.n_configurations.value == 1


@pytest.mark.integration
def test_a_full_training_set_that_stops_every_job_ends_the_stage(stage, run):
    process = stage()
    statuses = [run(process, 414)[1].status for _ in range(4)]
    assert statuses == [0, 0, 0, 403]


def test_a_limit_reached_at_the_last_step_needs_no_further_job(stage, run):
    process = stage(stage={'steps': 100})
    _, decision = run(process, 415, step=100, frames=[5])
    assert decision.status == 0
    assert not process.should_run_process()
    assert process.results() is None
    assert process.outputs['dataset'].n_frames == 1


def test_a_warning_of_the_version_does_not_stop_the_run(stage, run):
    process = stage(stage={'steps': 100})
    _, decision = run(process, 705, step=100, frames=[5])
    assert decision.status == 0
    assert not process.should_run_process()


@pytest.mark.parametrize('status', [420, 424, 425])
def test_what_no_repetition_mends_ends_the_stage_with_its_code(stage, run, status):
    process = stage()
    run(process, 0, step=100, frames=[1, 2])
    _, decision = run(process, status, message='why', frames=[101])
    assert (decision.status, decision.message) == (status, 'why')
    assert process.outputs['dataset'].n_frames == 3
    assert process.outputs['statistics']['jobs'][-1]['status'] == status


def test_unhandled_failures_keep_the_frames(stage, run):
    process = stage()
    _, decision = run(process, 301, frames=[1, 2])
    assert decision.status == 402
    assert process.outputs['dataset'].n_frames == 2


def test_every_failure_of_the_jobs_is_handled_or_ends_the_stage(stage, generate_calc_job_node):
    from aiida.plugins import CalculationFactory

    codes = {code.status for code in CalculationFactory('hdiff.vasp_mlff').exit_codes.values()}
    codes = {status for status in codes if 400 <= status < 500}
    assert len(codes) >= 9
    for status in codes:
        process = stage()
        process.prepare_job()
        process.ctx.records = [{}]
        node = generate_calc_job_node('hdiff.vasp_mlff', exit_status=status)
        reports = [handler(process, node) for handler in process.get_process_handlers()]
        assert sum(report is not None for report in reports) == 1, status


def test_the_handlers_are_these(stage):
    names = {handler.__name__ for handler in stage().get_process_handlers()}
    assert names == {
        'handle_finished',
        'handle_interrupted',
        'handle_scf_failed',
        'handle_limit_reached',
        'handle_failed_run',
    }


def test_a_job_that_ended_in_an_exception_is_run_once_more(stage, run):
    from aiida.engine import ProcessState

    process = stage()
    run(process, 0, step=100, frames=[1])
    process.prepare_job()
    process.ctx.iteration += 1
    node = process.ctx.jobs[0].__class__(computer=process.ctx.jobs[0].computer)
    node.set_process_state(ProcessState.EXCEPTED)
    process.ctx.children.append(node.store())
    assert process.inspect_process() is None
    assert process.should_run_process()
    assert process.ctx.position == 100


def test_frames_carry_where_they_come_from(stage, run):
    from aiida_hdiff.calculations.training import frame_origin

    process = stage(stage={'steps': 100})
    run(process, 401, step=40, frames=[3])
    run(process, 0, step=100, frames=[44])
    process.results()
    frames = process.outputs['dataset'].frames()
    assert frames.origins == ('ramp/iteration_01 step 3 300 K', 'ramp/iteration_02 step 44 300 K')
    assert frames.config_types == ('ramp', 'ramp')
    assert frame_origin(frames.origins[1]) == ('ramp', 'iteration_02', 'step 44 300 K')


@pytest.mark.integration
def test_the_outputs_of_a_stage(stage, run):
    process = stage(stage={'steps': 200})
    run(process, 400, step=40, frames=[3], threshold=0.03)
    run(process, 0, step=120, frames=[44, 60])
    run(process, 0, step=200, frames=[150], threshold=0.04)
    assert process.results() is None
    assert process.outputs['final_state'].step == 200
    assert process.outputs['ml_ab_folder'].pk == process.ctx.jobs[-1].outputs.remote_folder.pk
    statistics = process.outputs['statistics'].get_dict()
    expected = {
        'name': 'ramp',
        'mode': 'train',
        'n_jobs': 3,
        'n_failed_jobs': 1,
        'n_frames': 4,
        'n_dft_steps': 4,
        'n_ml_steps': 30,
        'n_configurations': 4,
        'n_local_configurations': 40,
        'threshold_first_eV_A': 0.03,
        'threshold_eV_A': 0.04,
        'versions': ['6.4.3'],
        'emulated': False,
    }
    assert {key: statistics[key] for key in expected} == expected
    assert [job['status'] for job in statistics['jobs']] == [400, 0, 0]
    assert process.outputs['dataset'].creator.process_label == 'collect_stage'


def test_a_fixed_threshold_is_not_carried_on(stage, run):
    process = stage(stage={'adaptive': False})
    run(process, 0, step=100, threshold=0.02)
    inputs, _ = run(process, 0, step=200)
    assert incar(inputs)['ML_CTIFOR'] == 0.005


def test_the_threshold_of_the_stage_before_is_taken(stage, run):
    process = stage(threshold=orm.Float(0.033))
    inputs, _ = run(process, 0, step=100)
    assert incar(inputs)['ML_CTIFOR'] == 0.033


@pytest.mark.integration
def test_the_training_set_is_stored_by_the_last_job_only(stage, run):
    process = stage(stage={'steps': 200}, store_ml_ab=orm.Bool(True))
    first, _ = run(process, 0, step=100, frames=[1])
    ml_ab = orm.SinglefileData.from_string('content', 'ML_ABN')
    second, _ = run(process, 0, step=200, frames=[110], ml_ab=ml_ab)
    assert 'store_ml_ab' not in first
    assert second.store_ml_ab.value is True
    process.results()
    assert process.outputs['ml_ab'].pk == ml_ab.pk


def test_a_refit_is_one_job(stage, run, aiida_localhost):
    folder = orm.RemoteData('/scratch/last', computer=aiida_localhost).store()
    process = stage('refit', ml_ab_folder=folder, n_configurations=orm.Int(9))
    inputs, _ = run(process, 0, count=9)
    assert not process.should_run_process()
    assert inputs.ml_ab_folder.pk == folder.pk
    assert incar(inputs)['ML_MODE'] == 'refit'
    assert not {'ML_MCONF', 'ML_CTIFOR', 'TEBEG', 'RANDOM_SEED'} & set(incar(inputs))
    assert process.results() is None
    assert 'final_state' not in process.outputs


def test_a_select_makes_room_for_all_configurations(stage, run):
    ml_ab = orm.SinglefileData.from_string('content', 'ML_AB').store()
    process = stage('select', ml_ab=ml_ab, n_configurations=orm.Int(90))
    inputs, _ = run(process, 0, count=90)
    assert incar(inputs)['ML_MCONF'] == 190
    assert inputs.ml_ab.pk == ml_ab.pk
    process.results()
    assert process.outputs['ml_ab_folder'].pk == process.ctx.jobs[0].outputs.remote_folder.pk


@pytest.mark.integration
def test_a_cached_job_whose_files_are_gone_is_run_again(stage, run, monkeypatch):
    from aiida.engine import BaseRestartWorkChain
    from aiida.manage.caching import get_use_cache
    from aiida.orm import CalcJobNode

    process = stage()
    monkeypatch.setattr(
        type(CalcJobNode().base.caching), 'is_created_from_cache', property(lambda self: not process.ctx.without_cache)
    )
    _, decision = run(process, 0, step=100, frames=[1])
    assert decision.status == 0
    assert process.ctx.position == 0
    seen = []
    monkeypatch.setattr(
        BaseRestartWorkChain,
        'run_process',
        lambda self: seen.append(get_use_cache(identifier='aiida.calculations:hdiff.vasp_mlff')),
    )
    process.run_process()
    assert seen == [False]
    run(process, 0, step=100, frames=[1])
    assert process.ctx.position == 100
    assert process.ctx.without_cache is False


def test_bad_inputs(error_of, stage_inputs, fake_code, aiida_localhost):
    folder = orm.RemoteData('/scratch/last', computer=aiida_localhost)
    ml_ab = orm.SinglefileData.from_string('content', 'ML_AB')
    for changes, message in (
        (
            {'code': fake_code('hdiff.md')},
            "set up for 'hdiff.md': give a code whose default plugin is 'hdiff.vasp_mlff'",
        ),
        ({'ml_ab': ml_ab, 'ml_ab_folder': folder, 'n_configurations': orm.Int(1)}, 'both given'),
        ({'ml_ab': ml_ab}, '`n_configurations` is missing'),
        ({'name': 'refit'}, 'mode refit works on a training set'),
    ):
        assert message in error_of('hdiff.vasp_mlff_base', stage_inputs(**changes)), changes
    assert error_of('hdiff.vasp_mlff_base', stage_inputs()) is None
    values = {**stage_inputs(), 'stage': orm.Dict({'name': 'x'})}
    assert '`stage` lacks `mode`' in error_of('hdiff.vasp_mlff_base', values)
