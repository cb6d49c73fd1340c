"""What a study with a training plan decides, without running anything."""

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_hdiff.workflows.progress import study_progress
from tests.workflows.test_diffusion import measured

FAILED = (520, 'The potential does not pass its gate: force RMSE 300 meV/Å is above the limit 150 meV/Å')


@pytest.fixture
def plan_inputs(study_inputs, fake_code, generate_potential):
    """Give a factory of inputs with a plan: `good` and `bad` are given potentials, `student` learns from `good`."""

    def factory(**plan):
        entry = {'kind': orm.Str('given'), 'potential': generate_potential('lennard_jones')}
        student = {'kind': orm.Str('distilled'), 'teacher': orm.Str('good')}
        default = {'good': dict(entry), 'bad': dict(entry), 'student': student}
        limits = {'energy_rmse_meV_per_atom': None, 'force_rmse_meV_A': None, 'smoke_time_ps': 0.1}
        return study_inputs(
            temperatures=orm.List([800, 900.0]),
            codes={'lammps': fake_code(), 'engine': fake_code('hdiff.md')},
            training={'plan': plan or default, 'gate': orm.Dict(limits)},
        )

    return factory


@pytest.fixture
def study(generate_workchain, plan_inputs):
    """Return a study in its first phase."""
    process = generate_workchain('hdiff.diffusion', plan_inputs())
    process.prepare_training()
    return process


@pytest.fixture
def child(study, generate_potential):
    """Give a function that adds an ended child: a training by its status, or a diffusivity."""

    def add(label, result, **outputs):
        kind = 'train' if label.startswith('train_') else 'diffusivity'
        node = orm.WorkChainNode(process_type=f'aiida.workflows:hdiff.{kind}')
        node.base.links.add_incoming(study.node, LinkType.CALL_WORK, label)
        node.label = label.removeprefix('train_')
        node.store().set_process_state(ProcessState.FINISHED)
        if kind == 'diffusivity':
            outputs, result = {'diffusivity': result}, (0, None)
        for name, output in outputs.items():
            output.store().base.links.add_incoming(node, LinkType.RETURN, name)
        node.set_exit_status(result[0])
        if result[1]:
            node.set_exit_message(result[1])
        return node

    return add


def outputs(generate_potential, passed=True):
    gate = orm.Dict({'passed': passed, 'reasons': [] if passed else ['force RMSE'], 'limits': {}, 'values': {}})
    return {'potential': generate_potential('lennard_jones'), 'gate': gate}


def test_teachers_come_before_students(study, child, generate_potential, monkeypatch):
    assert study.child_labels() == ['train_good', 'train_bad']
    submitted = []
    monkeypatch.setattr(study, 'submit', lambda cls, **inputs: submitted.append((cls.__name__, inputs)))
    study.submit_child('train_bad')
    ((name, inputs),) = submitted
    assert name == 'TrainWorkChain'
    assert inputs['metadata'] == {'call_link_label': 'train_bad', 'label': 'bad'}
    assert set(inputs['codes']) == {'engine'}
    assert inputs['gate']['smoke_time_ps'] == 0.1

    child('train_good', (0, None), **outputs(generate_potential))
    child('train_bad', FAILED, **outputs(generate_potential, passed=False))
    monkeypatch.setattr('aiida_hdiff.workflows.training_phase.train_error', lambda _: None)
    study.inspect_trainings()
    assert set(study.usable_potentials()) == {'lj', 'good'}
    assert study.child_labels() == ['train_student']
    study.submit_child('train_student')
    assert submitted[-1][1]['teacher'].pk == study.usable_potentials()['good'].pk
    child('train_student', (438, 'The training failed: no frames'))
    study.inspect_trainings()
    assert not study.has_trainings()
    assert study.child_labels() == ['lj_800K_0', 'good_800K_0', 'lj_900K_0', 'good_900K_0']
    assert study.left_out() == {'bad': FAILED[1], 'student': 'The training failed: no frames'}


def test_a_teacher_that_is_only_judged_runs_no_molecular_dynamics(study, child, generate_potential, monkeypatch):
    plan = {**study.inputs.training.plan, 'good': {**study.inputs.training.plan['good'], 'md': orm.Bool(False)}}
    monkeypatch.setattr('aiida_hdiff.workflows.training_phase.plan_of', lambda _: plan)
    monkeypatch.setattr('aiida_hdiff.workflows.training_phase.train_error', lambda _: None)
    long = {**outputs(generate_potential), 'potential': generate_potential('lennard_jones', cutoff_A=9.0)}
    child('train_good', (0, None), **long)
    child('train_bad', FAILED, **outputs(generate_potential, passed=False))
    study.inspect_trainings()
    assert set(study.usable_potentials()) == {'lj', 'good'}
    assert study.child_labels() == ['train_student']
    child('train_student', (0, None), **outputs(generate_potential))
    study.inspect_trainings()
    assert study.child_labels() == ['lj_800K_0', 'student_800K_0', 'lj_900K_0', 'student_900K_0']
    assert 'good' not in study.left_out()


def test_a_potential_that_fails_leaves_the_others_untouched(study, child, generate_potential):
    """The potential `good` passes, but is not one that labels frames: its student is not trained."""
    child('train_good', (0, None), **outputs(generate_potential))
    child('train_bad', FAILED, **outputs(generate_potential, passed=False))
    study.inspect_trainings()
    assert study.child_labels() == [f'{name}_{kelvin}K_0' for kelvin in (800, 900) for name in ('lj', 'good')]
    study.inspect_trainings()
    for name in ('lj', 'good'):
        for kelvin in (800, 900):
            child(f'{name}_{kelvin}K_0', measured(float(kelvin)))
    study.fit()
    study.compare()
    study.tabulate()
    code = study.results()
    assert code.status == 713
    reason = study.left_out()['student']
    assert reason.startswith("`teacher` is of the architecture 'lennard_jones', with which frames cannot be labelled")
    assert code.message == f'Finished, but without the potentials bad ({FAILED[1]}); student ({reason})'
    found = study.outputs
    assert set(found['potentials']) == set(found['gates']) == {'good', 'bad'}
    assert set(found['arrhenius']) == {'lj', 'good'}
    rows = {row['label']: row for row in found['potential_comparison']['potentials']}
    assert list(rows) == ['lj', 'good', 'bad', 'student']
    assert [rows[label]['kind'] for label in rows] == ['given', 'given', 'given', 'distilled']
    assert (rows['bad']['passed'], rows['good']['passed'], rows['lj']['passed']) == (False, True, None)
    assert rows['student']['failure'] == reason
    assert len(rows['good']['diffusivities']) == 2
    assert rows['bad']['diffusivities'] == []
    progress = {row.label: row for row in study_progress(study.node)}
    assert (progress['train_good'].state, progress['train_bad'].state) == ('finished', 'failed')
    assert progress['train_bad'].stage == FAILED[1]
    assert not any(label.startswith(('bad_', 'student_')) for label in progress)


def test_students_of_a_teacher_that_fails_are_not_trained(study, child, generate_potential):
    child('train_good', FAILED, **outputs(generate_potential, passed=False))
    child('train_bad', FAILED, **outputs(generate_potential, passed=False))
    study.inspect_trainings()
    assert study.child_labels() == ['lj_800K_0', 'lj_900K_0']
    study.inspect_trainings()
    assert study.left_out()['student'] == 'its teacher good cannot be used'


def test_no_potential_is_left(generate_workchain, plan_inputs, generate_potential):
    inputs = plan_inputs(only={'kind': orm.Str('given'), 'potential': generate_potential('lennard_jones')})
    inputs.pop('potentials')
    process = generate_workchain('hdiff.diffusion', inputs)
    process.prepare_training()
    node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.train')
    node.base.links.add_incoming(process.node, LinkType.CALL_WORK, 'train_only')
    node.store().set_process_state(ProcessState.FINISHED)
    node.set_exit_status(FAILED[0])
    node.set_exit_message(FAILED[1])
    process.inspect_trainings()
    assert process.child_labels() == []
    for step in (process.fit, process.compare, process.tabulate):
        step()
    code = process.results()
    assert (code.status, code.message) == (511, f'No potential can be used: only ({FAILED[1]})')


def test_a_trained_potential_that_does_not_suit_the_cell_is_left_out(study, child, generate_potential):
    long = {**outputs(generate_potential), 'potential': generate_potential('lennard_jones', cutoff_A=9.0)}
    child('train_good', (0, None), **long)
    child('train_bad', FAILED, **outputs(generate_potential, passed=False))
    study.inspect_trainings()
    assert set(study.usable_potentials()) == {'lj'}
    assert "twice the cutoff of potential 'good' (9.00 Å)" in study.left_out()['good']


def test_bad_plans_are_refused(error_of, plan_inputs):
    for change, message in [
        ({'plan': {}}, '`training.plan` is empty: give the potentials'),
        ({'plan': {'lj': {}}}, "potential 'lj' is in `potentials` and in `training.plan`"),
        ({'plan': {'a__b': {}}}, "the label 'a__b' of a potential cannot be used"),
        ({'plan': {'a': {}}}, "potential 'a': `kind` is missing."),
        (
            {'plan': {'a': {'kind': orm.Str('given'), 'modell': orm.Int(1)}}},
            "potential 'a': unknown input `modell`",
        ),
        ({'plan': {'a': {'kind': orm.Str('given'), 'potential': orm.Int(1)}}}, "potential 'a': `potential`: "),
        (
            {'plan': {'a': {'kind': orm.Str('distilled'), 'teacher': orm.Int(1)}}},
            "potential 'a': `teacher` is ",
        ),
        ({'plan': {'a': {'kind': orm.Str('given'), 'md': orm.Int(0)}}}, "potential 'a': `md` is "),
        ({'plan': {'a': {'kind': orm.Str('from_scratch')}}}, '`training.dataset` is missing'),
        ({'split': orm.Dict({'seed': 1})}, '`training.split` is given without `training.dataset`'),
        ({'gate': orm.Dict({'force': 1.0})}, '`training.gate`: unknown limit `force`'),
        ({'gate': orm.Dict({})}, "potential 'good': `test` is missing: the gate limits the errors on it"),
    ]:
        inputs = plan_inputs()
        inputs['training'] |= change
        assert message in error_of('hdiff.diffusion', inputs)


def test_data_sets_are_given_once_and_with_a_split(error_of, plan_inputs, generate_dataset):
    inputs, dataset = plan_inputs(), generate_dataset(8)
    inputs['training'] |= {'dataset': dataset, 'test': dataset}
    assert '`training.dataset` and `training.test` are both given' in error_of('hdiff.diffusion', inputs)
    inputs = plan_inputs()
    inputs['training'] |= {'dataset': dataset}
    assert '`training.split` is missing: give how to split' in error_of('hdiff.diffusion', inputs)
