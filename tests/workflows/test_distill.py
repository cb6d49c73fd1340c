"""The workchain that teaches a student: its inputs, its decisions, and every way in which it ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common import AttributeDict

from aiida_hdiff.calculations import distill as steps
from aiida_hdiff.calculations import distill_plan as plans
from aiida_hdiff.calculations.close_contacts import close_contact_frames
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.label_settings import LabelSettings
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.workflows.distill import DistillWorkChain
from tests.conftest import copper_frames

SETTINGS = {
    'temperatures_K': [300.0, 600.0], 'n_hydrogen': [1, 3], 'n_contacts': 4, 'hot_runs': 2, 'max_rounds': 3,
    'path_points': 3,
}  # fmt: skip


@pytest.fixture
def inputs(fake_code, generate_structure, generate_potential):
    """Give a factory of the inputs."""

    def factory(**changes):
        values = {
            'structure': generate_structure(2, 2),
            'teacher': generate_potential(),
            'codes': {'lammps': fake_code(), 'engine': fake_code('hdiff.md', label='engine')},
            'settings': orm.Dict(SETTINGS),
            **changes,
        }
        return {name: value for name, value in values.items() if value is not None}

    return factory


@pytest.fixture
def chain(generate_workchain, inputs, monkeypatch):
    """Give a factory of workchains after `setup`, with children that the test sets."""

    def factory(**changes):
        process = generate_workchain('hdiff.distill', inputs(**changes))
        process.setup()
        process.kids = {}
        monkeypatch.setattr(process, 'children', lambda: process.kids)
        return process

    return factory


def child(status=0, message=None, **outputs):
    """Return what a child looks like to its caller."""
    values = {'exit_status': status, 'exit_message': message, 'outputs': AttributeDict(outputs), 'called': []}
    return AttributeDict({'is_finished_ok': status == 0, **values})


def status_of(name):
    return DistillWorkChain.exit_codes[name].status


def labelled(atoms, force=1.0, config_type='teacher_md', origin='md:0'):
    forces = np.zeros((len(atoms), 3))
    forces[0, 0] = force
    return LabelledFrame(
        numbers=atoms.numbers.astype(np.int64), positions=atoms.positions, cell=atoms.cell.array, energy=-1.0,
        forces=forces, pbc=(True,) * 3, config_type=config_type, origin=origin, reference='eam',
    )  # fmt: skip


def dataset(n_frames=3, **values):
    return LabelledDataset(LabelledFrames.from_frames([labelled(one, **values) for one in copper_frames(n_frames)]))


def fit(rmse=50.0, train=None, **outputs):
    errors = {
        'force_rmse_meV_A_by_element': {'H': rmse},
        'force_rmse_meV_A': 30.0,
        'energy_rmse_meV_per_atom': 1.0,
    }
    splits = {'train': errors, 'test': errors}
    results = {'n_frames': {'train': 9}, 'fit_seconds': 1.0, 'splits': splits}
    potential = PotentialData(architecture='lammps', elements=['H', 'Ni'], files=[b'p', b'c'], pair_style='pod')
    node = child(results=orm.Dict(results).store(), potential=potential.store(), **outputs)
    node.inputs = AttributeDict({'train': train})
    return node


def test_inputs_that_are_accepted(inputs, error_of, generate_structure, generate_potential, fake_code):
    assert error_of('hdiff.distill', inputs()) is None
    assert error_of('hdiff.distill', inputs(training_cell=generate_structure(1, 1))) is None
    own = {'lammps': fake_code(), 'chgnet': fake_code('hdiff.md', label='c')}
    labelled_before = dataset()
    emt = generate_potential('emt', elements=('Cu', 'H'))
    frames = [replace(one, reference=LabelSettings('emt').reference()) for one in labelled_before.frames()]
    given = LabelledDataset(LabelledFrames.from_frames(frames))
    copper = generate_structure(atoms=copper_frames(4)[3])
    assert error_of('hdiff.distill', inputs(teacher=emt, dataset=given, structure=copper)) is None
    chgnet = generate_potential('chgnet')
    assert error_of('hdiff.distill', inputs(teacher=chgnet, codes=own)) is None


def test_settings_are_checked_before_submission(inputs, error_of):
    error = error_of('hdiff.distill', inputs(settings=orm.Dict({'temperature_K': 300})))
    assert 'unknown setting `temperature_K`: did you mean `temperatures_K`' in error


def test_inputs_that_are_refused(inputs, error_of, generate_structure, generate_potential, generate_dataset, fake_code):
    vasp = PotentialData(architecture='vasp-mlff', elements=('Ni', 'H'), files=[b'x'])
    both = LabelledDataset(LabelledFrames.concatenate([generate_dataset(2, reference=one).frames() for one in 'ab']))
    copper = generate_structure(atoms=copper_frames(4)[3])
    for changes, message in (
        ({'teacher': None}, '`teacher` is missing: give a potential that labels frames, or `dataset`'),
        ({'teacher': generate_potential(elements=('Ni', 'Al'))}, '`teacher` does not cover H of `structure`'),
        ({'teacher': vasp}, "`teacher` is of the architecture 'vasp-mlff', with which frames cannot be labelled"),
        ({'structure': generate_structure(2, 0)}, 'has no hydrogen'),
        ({'training_cell': copper}, '`training_cell` has Cu, H, but `structure` H, Ni'),
        ({'codes': {'lammps': fake_code()}}, '`codes.engine` is missing'),
        ({'codes': {'engine': fake_code('hdiff.md')}}, '`codes.lammps` is missing, which fits and runs the student'),
        ({'teacher': None, 'dataset': generate_dataset(3)}, '`dataset` has no Ni of `structure`'),
        ({'teacher': None, 'dataset': both, 'structure': copper}, '`dataset` has labels of 2 levels (a, b)'),
        ({'test': generate_dataset(3)}, '`test` is given, but frames of runs of `teacher` are held out'),
        (
            {'dataset': dataset(), 'structure': copper, 'teacher': generate_potential('emt', elements=('Cu', 'H'))},
            '`dataset` was labelled with eam, but frames will be labelled with emt-',
        ),
        (
            {'teacher': None, 'dataset': generate_dataset(3), 'label_settings': orm.Dict({'calculator': 'emt'})},
            '`label_settings` is given without `teacher`',
        ),
        ({'label_settings': orm.Dict({'calculator': 'gpw'})}, "`label_settings`: `calculator` is 'gpw'"),
        ({'settings': orm.Dict({'pod': {'elements': ['H', 'Mg']}})}, '`settings.pod.elements` is H, Mg, but'),
        ({'seed': orm.Int(-1)}, '-1 is given: give a whole number of at least 0'),
        ({'max_concurrent': 0}, '0 is given: give a number of at least 1'),
    ):
        assert message in error_of('hdiff.distill', inputs(**changes)), message


def test_the_plan_has_each_content_and_temperature_and_a_run_that_is_held_out(chain):
    process = chain()
    process.plan_teacher()
    names = ['h1_300K', 'h1_600K', 'h3_300K', 'h3_600K', 'test_h1_600K']
    assert process.ctx.batch == [f'teacher_{name}' for name in names]
    structures = [process._planned(name).get_ase() for name in names]
    assert [(one.numbers == 1).sum() for one in structures] == [1, 1, 3, 3, 1]
    volume = process.inputs.structure.get_ase().get_volume()
    strains = [(one.get_volume() / volume) ** (1 / 3) - 1 for one in structures]
    assert strains == pytest.approx([0.0, -0.03, -0.03, 0.03, 0.0])
    parameters = [process._planned(plans.PARAMETERS + name) for name in names]
    assert len({one['seed'] for one in parameters}) == 5
    assert {(one['ensemble'], one['steps'], one['output_interval']) for one in parameters} == {('nvt', 200, 20)}
    _, values = process._md('teacher_h3_300K')
    assert values['potential'].uuid == process.inputs.teacher.uuid
    assert values['structure'].uuid == process.ctx.plan['h3_300K']
    process.kids = {label: child(412, 'the run exploded') for label in process.ctx.batch}
    code = process.inspect_teacher()
    assert code.status == status_of('ERROR_TEACHER_RUN_FAILED')
    assert 'teacher_h1_300K: the run exploded' in code.message


def test_labels(chain):
    process = chain()
    process.ctx.batch = ['label_00']
    frames = [
        *(labelled(one, origin=f'md:{i}') for i, one in enumerate(copper_frames(3))),
        labelled(copper_frames(4, 7)[3], force=30.0, origin='close_contacts:1'),
        labelled(copper_frames(1, 5)[0], config_type=steps.TEST),
        labelled(copper_frames(1, 6)[0], config_type='path_T-O'),
    ]
    labels = LabelledDataset(LabelledFrames.from_frames([*frames, frames[0]])).store()
    process.kids = {'label_00': child(dataset=labels)}
    assert process.inspect_labels() is None
    assert [process.ctx[name].n_frames for name in ('train', 'test', 'path')] == [3, 1, 1]
    assert process.ctx.n_labels == 7
    process.ctx.rounds = [{}]
    process.ctx.batch = ['label_01']
    process.kids = {'label_01': child(dataset=dataset(4).store())}
    assert process.inspect_labels() is None
    assert process.ctx.rounds[-1]['n_added'] == 1
    assert process.ctx.train.n_frames == 4


def test_another_method_may_label(chain, inputs, error_of, fake_code):
    other = orm.Dict({'calculator': 'emt'})
    codes = {**inputs()['codes'], 'label': fake_code('hdiff.label', label='gpaw')}
    process = chain(label_settings=other, codes=codes)
    _, values = process._labels('label_00')
    assert values['code'].label == 'gpaw'
    assert values['settings'].get_dict() == {'calculator': 'emt'}
    assert 'potential' not in values
    wrong = {**codes, 'label': fake_code('hdiff.lammps_md', label='wrong')}
    error = error_of('hdiff.distill', inputs(label_settings=other, codes=wrong))
    assert '`codes.label` is set up for' in error


def test_labels_that_fail(chain):
    process = chain()
    process.ctx.batch = ['label_00']
    process.kids = {'label_00': child(414, '6 frames failed, the first by RuntimeError')}
    code = process.inspect_labels()
    assert (code.status, 'the first by RuntimeError' in code.message) == (status_of('ERROR_LABELS_FAILED'), True)
    process.kids = {'label_00': child(dataset=dataset(force=30.0).store())}
    assert process.inspect_labels().status == status_of('ERROR_NO_FRAMES')


def test_a_fit_that_fails(chain):
    process = chain()
    process.ctx.train = dataset()
    process.plan_fit()
    assert process.ctx.batch == ['fit_01']
    process.kids = {'fit_01': child(420, 'LAMMPS stopped')}
    assert process.inspect_fit().status == status_of('ERROR_FIT_FAILED')


def hot_round(process, rmse, failing=0, message='Atoms were lost'):
    process.ctx.round += 1
    process.ctx.fit = fit(rmse, process.ctx.train)
    process.ctx.batch = [f'hot_{process.ctx.round:02d}_{index}' for index in range(2)]
    runs = [child(410, message) if index < failing else child(final_state=1) for index in range(2)]
    process.kids = dict(zip(process.ctx.batch, runs, strict=True))
    found = process.inspect_hot()
    if found is None:
        process.gather_frames()
    return found


def test_rounds_go_on_until_no_run_fails_and_the_error_is_stable(chain):
    process = chain()
    assert process.should_go_on()
    assert hot_round(process, 90.0, failing=1) is None
    assert process.ctx.rounds[-1]['n_failed'] == 1
    assert process.should_go_on()
    hot_round(process, 60.0)
    assert process.should_go_on(), 'the error still falls'
    hot_round(process, 58.0)
    assert process.ctx.stable
    assert not process.should_go_on()


def test_the_state_survives_a_restart_of_the_daemon(chain):
    from aiida.orm.utils.serialize import deserialize_unsafe, serialize

    process = chain()
    process.ctx.plan = {'hot_0': process.inputs.structure.uuid}
    process.ctx.rounds = [{'n_failed': 1, 'failures': ['lost']}]
    process.ctx.train = dataset().store()
    again = deserialize_unsafe(serialize(process.ctx))
    assert again.plan == process.ctx.plan
    assert again.rounds == process.ctx.rounds
    assert again.train.uuid == process.ctx.train.uuid


def test_a_stable_error_does_not_end_rounds_with_failures(chain):
    process = chain()
    hot_round(process, 60.0)
    hot_round(process, 60.0, failing=1)
    assert process.should_go_on()
    hot_round(process, 60.0, failing=1)
    assert not process.should_go_on(), 'the number of rounds is limited'
    assert process.ctx.frames is None, 'nothing is labelled after the last round'


def test_a_run_of_the_student_that_cannot_be_made(chain):
    process = chain()
    process.ctx.round, process.ctx.fit = 2, fit()
    process.plan_hot()
    assert process.ctx.batch == ['hot_02_0', 'hot_02_1']
    _, values = process._md('hot_02_1')
    assert values['potential'].uuid == process.ctx.fit.outputs.potential.uuid
    assert (values['structure'].get_ase().numbers == 1).sum() == 3, 'the highest content'
    assert values['parameters']['temperature_K'] == pytest.approx(720.0)
    assert values['parameters']['checkpoint_interval'] == values['parameters']['output_interval'] == 10
    ensembles = [process._md(label)[1]['parameters']['ensemble'] for label in process.ctx.batch]
    assert ensembles == ['nvt', 'npt']
    volumes = [process._md(label)[1]['structure'].get_cell_volume() for label in process.ctx.batch]
    assert volumes[1] == pytest.approx(process.cell.get_cell_volume()), 'a run at zero pressure is not strained'
    assert volumes[0] != pytest.approx(volumes[1])
    process.kids = {label: child(420, 'no such command') for label in process.ctx.batch}
    assert process.inspect_hot().status == status_of('ERROR_STUDENT_RUN_FAILED')


def ended(process, *rounds):
    process.ctx.train = dataset(4).store()
    for rmse, failing in rounds:
        hot_round(process, rmse, failing)
    return process.results()


@pytest.mark.parametrize(
    ('rounds', 'name', 'message'),
    [
        (((60.0, 0), (60.0, 0), (61.0, 1)), 'ERROR_NOT_STABLE', '1 of 2 hot runs of the student still fail in round 3'),
        (
            ((60.0, 1), (60.0, 2), (61.0, 1)),
            'ERROR_LOSES_ATOMS',
            'fail in each of 3 rounds, the last by Atoms were lost',
        ),
        (((150.0, 0), (150.0, 0)), 'ERROR_NOT_ACCEPTED', 'the force RMSE on hydrogen is 150 meV/Å, the limit 100'),
    ],
)
def test_students_that_are_not_accepted(chain, rounds, name, message):
    process = chain()
    code = ended(process, *rounds)
    assert code.status == status_of(name)
    assert message in code.message
    assert {'potential', 'results', 'dataset'} <= set(process.outputs)
    assert process.outputs['results']['passed'] is False


def test_a_student_that_is_accepted_needs_a_run_at_constant_energy(chain, generate_trajectory):
    process = chain()
    assert 'the drift is not known' in ended(process, (50.0, 0), (50.0, 0)).message
    rng = np.random.default_rng(1)
    steady = generate_trajectory(potential_energy=rng.normal(0.0, 1e-4, 20)).store()
    process.kids = {'nve': child(trajectory=steady)}
    assert process.results() is None
    drifting = generate_trajectory(potential_energy=np.linspace(0.0, 0.1, 20)).store()
    process.kids = {'nve': child(trajectory=drifting)}
    assert 'the drift is 1053 meV/atom/ps' in process.results().message


def test_paths_decide_only_when_their_ends_and_barriers_are_known(generate_structure):
    images = [
        labelled(one, config_type='path_T-O', origin=f'T-O:{number}') for number, one in enumerate(copper_frames(3))
    ]
    path = LabelledDataset(LabelledFrames.from_frames(images))
    parity = orm.ArrayData()
    parity.set_array('energies', np.array([[0.0, 1.0], [0.1, 1.3], [-0.5, 0.4]]))
    record = {'rounds': [{'n_failed': 0, 'n_runs': 1}], 'judged': ['path_error_meV'], 'paths': ['T-O']}
    training = orm.Dict({'splits': {}})
    verdict = steps.judge_student(orm.Dict({'path_points': 3}), orm.Dict(record), training, path=path, parity=parity)
    assert verdict['paths']['T-O']['barrier_error_meV'] == pytest.approx(200.0)
    assert 'the error of site and barrier energies is 200 meV' in verdict['reasons'][0]
    verdict = steps.judge_student(orm.Dict({'path_points': 5}), orm.Dict(record), training, path=path, parity=parity)
    assert verdict['reasons'] == ['the error of site and barrier energies is not known']


def test_the_structure_itself_runs_hot_before_the_energy_is_watched(chain, inputs, generate_structure, generate_state):
    process = chain(training_cell=generate_structure(1, 1))
    hot_round(process, 50.0)
    assert not process.should_try(), 'the error may still fall'
    hot_round(process, 50.0)
    assert process.should_try()
    process.plan_trial()
    assert process.ctx.batch == ['trial_02']
    _, values = process._md('trial_02')
    assert values['structure'].uuid == process.inputs.structure.uuid
    assert (values['parameters']['ensemble'], values['parameters']['temperature_K']) == ('npt', pytest.approx(720.0))
    assert 'state' not in values
    state = generate_state()
    process.kids = {'trial_02': child(final_state=state)}
    assert process.inspect_trial() is None
    assert not process.should_go_on()
    assert process.can_run_nve()
    process.plan_nve()
    _, values = process._md('nve')
    assert (values['structure'].uuid, values['state']) == (process.inputs.structure.uuid, state)
    assert values['parameters']['ensemble'] == 'nve'


def test_a_trial_that_fails_leads_to_another_round(chain, generate_structure, generate_trajectory):
    """Its frames are labelled only if all frames have its size."""
    run = generate_trajectory().store()
    for more, origin in (({}, 'round_2/trial'), ({'training_cell': generate_structure(1, 1)}, 'round_2/hot_0')):
        process = chain(**more)
        hot_round(process, 50.0)
        hot_round(process, 50.0)
        process.plan_trial()
        process.kids |= {'trial_02': child(410, 'Atoms were lost', trajectory=run), 'hot_02_0': child(trajectory=run)}
        assert process.inspect_trial() is None
        assert process.should_go_on()
        assert not process.can_run_nve()
        process.gather_frames()
        assert process.ctx.batch == ['label_02']
        assert any(one.startswith(origin) for one in process.ctx.frames.frames().origins)
        assert any('trial' in one for one in process.ctx.frames.frames().origins) == (not more)


def test_a_run_whose_cell_grows_is_a_failure(chain, generate_trajectory):
    process = chain()
    hot_round(process, 50.0)
    process.ctx.batch = ['trial_01']
    cells = np.eye(3) * np.linspace(7.0, 8.1, 20)[:, None, None]
    for found, n_failed in ((cells, 1), (np.repeat(cells[:1], 20, axis=0), 1)):
        trajectory = generate_trajectory(cells=found).store()
        process.kids = {'trial_01': child(trajectory=trajectory)}
        assert process.inspect_trial() is None
        assert process.ctx.rounds[-1]['n_failed'] == n_failed
    assert process.ctx.rounds[-1]['failures'] == ['trial_01: The volume has changed by more than 50 %.']


def test_a_trial_or_nve_run_that_loses_atoms_is_a_failure(chain):
    for label in ('trial_01', 'nve'):
        process = chain()
        hot_round(process, 50.0)
        process.ctx.batch = [label]
        process.kids = {label: child(410, 'Atoms were lost')}
        assert process.inspect_trial() is None
        assert process.ctx.rounds[-1]['n_failed'] == 1
        assert process.ctx.rounds[-1]['failures'] == [f'{label}: Atoms were lost']
        if label == 'trial_01':
            process.ctx.trial = label
            assert not process.can_run_nve()
        process.kids = {label: child(420, 'x')}
        assert process.inspect_trial().status == status_of('ERROR_STUDENT_RUN_FAILED')


def test_a_data_set_alone_is_fitted_once(chain, inputs, generate_structure):
    frames = [labelled(one.copy()) for one in (generate_structure(1, n).get_ase() for n in (1, 2))]
    given = LabelledDataset(LabelledFrames.from_frames(frames))
    process = chain(teacher=None, dataset=given)
    assert not process.has_teacher()
    process.take_dataset()
    assert process.ctx.train.uuid == given.uuid
    hot_round(process, 500.0)
    assert not process.should_go_on()
    assert process.ctx.frames is None


def test_frames_of_runs(generate_trajectory, generate_structure):
    """The first frame of a run is the ideal crystal, which is no test; of a failed run the last ones are taken, too."""
    cells = np.broadcast_to(9.0 * np.eye(3), (10, 3, 3))
    grid = 3.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1.0]])
    positions = grid + 0.01 * np.arange(10)[:, None, None]
    positions[8, 4] = grid[0] + 0.08 + [0.3, 0.0, 0.0]
    run = generate_trajectory(positions, cells=cells).store()
    start = steps.gather_start_frames(h1_300K=run, test_h1_300K=run)
    assert start.frames().config_types == ('teacher_md',) * 10 + (steps.TEST,) * 9
    assert start.frames().origins[9:11] == ('h1_300K:9', 'test_h1_300K:1')
    settings = orm.Dict({'hot_frames': 2})
    found = steps.gather_hot_frames(settings, orm.List(['hot_1']), orm.Int(2), hot_0=run, hot_1=run)
    assert found['frames'].frames().origins == tuple(
        f'round_2/{name}' for name in ('hot_0:4', 'hot_0:9', 'hot_1:4', 'hot_1:7', 'hot_1:9')
    )
    assert found['record']['n_too_near'] == 1
    contacts = close_contact_frames(orm.Dict({'n_frames': 2, 'seed': 1}), a=generate_structure(2, 1))
    both = steps.gather_start_frames(contacts=contacts, h1_300K=run).frames().config_types
    assert both[-2:] == ('close_contact_H-H', 'close_contact_H-Ni')


def test_teachers(generate_potential):
    mace = generate_potential('mace', options={'dtype': 'float32', 'head': 'a'})
    assert plans.teacher_calculator(mace) == {
        'calculator': 'mace', 'parameters': {'dtype': 'float32', 'head': 'a'}, 'stress': True,
    }  # fmt: skip
    assert plans.teacher_calculator(generate_potential())['parameters'] == {}
    assert plans.teacher_calculator(PotentialData(architecture='eam', elements=['Ni'], files=[b'x']))['stress'] is False
    with pytest.raises(ValueError, match='cannot be labelled'):
        plans.teacher_calculator(generate_potential('lennard_jones'))


def test_every_exit_code_has_a_test():
    text = Path(__file__).read_text()
    own = [name for name in DistillWorkChain.exit_codes if DistillWorkChain.exit_codes[name].status >= 300]
    assert [name for name in own if name not in text] == []
