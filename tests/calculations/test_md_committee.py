"""A committee in the jobs and stages of molecular dynamics: refused, or from the inputs to the outputs."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory, ParserFactory, WorkflowFactory

from aiida_hdiff.calculations import md as files
from aiida_hdiff.calculations.engine_job import STATUS_FILE
from aiida_hdiff.data.model_trust import trust_key, trust_potential
from aiida_hdiff.engine.cli import main
from aiida_hdiff.formats.origins import parse_origin
from tests.conftest import PARAMETERS
from tests.model_files import hostile_model

SETTINGS = {'every_steps': 2, 'threshold_eV_A': 0.002}
SHORT = {**PARAMETERS, 'steps': 12, 'output_interval': 2, 'checkpoint_interval': 4}


def watched(**committee):
    return orm.Dict({**SHORT, 'committee': {**SETTINGS, **committee}})


@pytest.fixture
def member(generate_potential):
    """Give a factory of Lennard-Jones potentials that differ in their depth."""

    def factory(epsilon_eV, **kwargs):
        content = json.dumps({'epsilon_eV': epsilon_eV, 'sigma_A': 1.5, 'cutoff_A': 3.4}).encode()
        return generate_potential('lennard_jones', files=[content], **kwargs)

    return factory


@pytest.fixture
def inputs(fake_code, generate_structure, member):
    """Give a factory of the inputs of a job or stage with a committee of three."""

    def factory(**changes):
        values = {
            'code': fake_code('hdiff.md'),
            'structure': generate_structure(1),
            'potential': member(0.1),
            'committee': {'second': member(0.12), 'third': member(0.09)},
            'parameters': watched(),
        }
        return {key: value for key, value in {**values, **changes}.items() if value is not None}

    return factory


def error_of(cls, values):
    port = cls.spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


@pytest.mark.parametrize('cls', [CalculationFactory('hdiff.md'), WorkflowFactory('hdiff.md_stage')])
def test_committees_that_are_refused(cls, inputs, member, generate_potential):
    assert error_of(cls, inputs()) is None
    assert error_of(cls, inputs(committee=None, parameters=orm.Dict(SHORT))) is None
    for changes, message in (
        ({'committee': None}, '`parameters.committee` is given without members'),
        ({'parameters': orm.Dict(SHORT)}, '`committee` is given without settings: give `every_steps`'),
        ({'parameters': watched(threshold_eV_A=-1)}, '`committee.threshold_eV_A` is -1'),
        ({'committee': {'a': generate_potential('emt')}}, "`committee.a`: it is of the architecture 'emt': give one"),
        ({'committee': {'a': member(0.2, elements=('Ni',))}}, '`committee.a`: it does not cover H of `structure`'),
        ({'committee': {'a': member(0.1)}}, '`committee.a`: it is the same potential as `potential`'),
        (
            {'committee': {'a': member(0.2), 'b': member(0.2)}},
            '`committee.b`: it is the same potential as `committee.a',
        ),
    ):
        assert message in error_of(cls, inputs(**changes)), message


def test_lammps_has_no_committee(inputs, fake_code, generate_potential):
    lammps = inputs(code=fake_code('hdiff.lammps_md'), potential=generate_potential(), committee=None)
    for name in (CalculationFactory('hdiff.lammps_md'), WorkflowFactory('hdiff.md_stage')):
        message = error_of(name, dict(lammps))
        assert 'give further potentials in `committee` of a stage with `hdiff-engine`, or leave it out' in message
    members = {'other': generate_potential(pair_style='lj/cut 5.0')}
    message = error_of(WorkflowFactory('hdiff.md_stage'), {**lammps, 'committee': members})
    assert "`potential` is of the architecture 'lammps', which `hdiff-engine` does not run" in message


def test_members_are_scanned(inputs, generate_potential, generate_calc_job):
    hostile = generate_potential('mace', files=[hostile_model()])
    changes = {'potential': generate_potential('mace'), 'committee': {'a': hostile}}
    message = error_of(CalculationFactory('hdiff.md'), inputs(**changes))
    assert message.startswith('`committee.a`: the mace model')
    assert 'os.system' in message
    trust_potential(hostile)
    options = {'trusted_models': [trust_key(hostile)]}
    folder, _ = generate_calc_job('hdiff.md', inputs(**changes, metadata={'options': options}))
    settings = json.loads((folder / files.INPUT_FILE).read_text())
    assert 'trusted' not in settings['potential']
    assert settings['committee'] == [{'architecture': 'mace', 'file': 'committee_0.0', 'options': {}, 'trusted': True}]


@pytest.fixture
def run(generate_calc_job, generate_calc_job_node, inputs, tmp_path, monkeypatch):
    """Give a function that writes the files of a job, runs the engine on them, and parses what it leaves."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    where = os.getcwd()

    def factory(**changes):
        values = inputs(**changes)
        folder, info = generate_calc_job('hdiff.md', values)
        for uuid, name, target in info.local_copy_list:
            content = orm.load_node(uuid).base.repository.get_object_content(name, mode='rb')
            (folder / target).write_bytes(content)
        monkeypatch.chdir(folder)
        code = main(['md', files.INPUT_FILE])
        retrieved = tmp_path / f'{folder.name}_retrieved'
        retrieved.mkdir()
        shutil.move(folder / STATUS_FILE, retrieved)
        members = {f'committee__{label}': node for label, node in values.pop('committee', {}).items()}
        values.pop('code')
        node = generate_calc_job_node(
            'hdiff.md', {**values, **members}, retrieved=retrieved, attributes={'output_filename': 'engine.out'}
        )
        parser = ParserFactory('hdiff.md')
        return code, *parser.parse_from_node(node, store_provenance=False, retrieved_temporary_folder=str(folder))

    yield factory
    os.chdir(where)
    for name, handler in handlers.items():
        signal.signal(name, handler)


def test_flagged(run):
    code, outputs, node = run()
    assert code == 0
    results = outputs['results'].get_dict()
    found = results['committee']
    assert results['finished']
    assert found['n_compared'] == 7
    assert 0 < found['n_flagged'] < 7
    assert node.exit_status == 730
    first = found['flagged_steps'][0]
    expected = f'uncertain at {found["n_flagged"]} of 7 steps, first at {first}.'
    assert node.exit_message.endswith(expected)
    arrays = {name: outputs['deviations'].get_array(name) for name in outputs['deviations'].get_arraynames()}
    assert arrays['steps'].tolist() == list(range(0, 13, 2))
    flagged = arrays['steps'][arrays['deviations'] > 0.002].tolist()
    assert flagged == found['flagged_steps']
    place = arrays['deviations'].argmax()
    assert found['largest_deviation_eV_A'] == arrays['deviations'][place]
    assert found['largest_deviation_step'] == arrays['steps'][place]
    assert found['largest_deviation_atom'] == arrays['atoms'][place]
    assert found['largest_hydrogen_deviation_eV_A'] == arrays['hydrogen_deviations'].max()
    frames = outputs['uncertain_frames'].frames()
    assert [parse_origin(one).step for one in frames.origins] == flagged
    assert parse_origin(frames.origins[0]).temperature_K == 800.0
    assert set(frames.config_types) == {'uncertain'}
    with outputs['trajectory'].reader() as reader:
        positions = reader.positions()[reader.steps.tolist().index(first)]
    atoms = frames.to_ase(0)
    difference = np.linalg.solve(atoms.cell.array.T, (positions - atoms.positions).T).T
    assert difference == pytest.approx(np.round(difference), abs=1e-5)


def test_stopped(run):
    code, outputs, node = run(parameters=watched(action='stop'))
    assert code == 47
    assert node.exit_status == 530
    found = outputs['results']['committee']
    assert found['n_flagged'] == found['n_frames_kept'] == 1
    step = found['flagged_steps'][0]
    assert 0 < step < 12
    assert node.exit_message.startswith(f'Stopped by its committee: step {step}: the committee expects an error of')
    assert not outputs['results']['finished']
    assert outputs['final_state'].step == step
    assert outputs['final_state'].checkpoint is not None
    assert outputs['uncertain_frames'].frames().origins == (f'nvt_800K:{step}',)
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == list(range(0, step + 1, 2))


def test_certain(run):
    _, outputs, node = run(parameters=watched(threshold_eV_A=50.0))
    assert node.exit_status == 0
    assert outputs['results']['committee']['flagged_steps'] == []
    assert 'uncertain_frames' not in outputs
    assert len(outputs['deviations'].get_array('steps')) == 7


def test_without_a_committee(run):
    _, outputs, node = run(committee=None, parameters=orm.Dict(SHORT))
    assert node.exit_status == 0
    assert 'committee' not in outputs['results'].get_dict()
    assert 'deviations' not in outputs


@pytest.fixture
def stage(generate_workchain, inputs):
    """Give a stage after its set-up, with one job begun."""

    def factory(**changes):
        process = generate_workchain('hdiff.md_stage', inputs(**changes))
        process.setup()
        process.ctx.iteration = 1
        return process

    return factory


def test_a_stage_gives_its_jobs_the_committee(stage, inputs):
    assert set(stage().ctx.inputs.committee) == {'second', 'third'}
    assert 'committee' not in stage(committee=None, parameters=orm.Dict(SHORT)).ctx.inputs


@pytest.mark.parametrize('status', [530, 730])
def test_a_stage_keeps_the_outputs_of_an_uncertain_job(
    stage, status, generate_calc_job_node, generate_state, generate_trajectory, generate_configurations
):
    process = stage()
    deviations = orm.ArrayData(np.zeros(3))
    outputs = {
        'results': orm.Dict({'last_step': 4}),
        'final_state': generate_state(1, step=4),
        'trajectory': generate_trajectory(),
        'deviations': deviations,
        'uncertain_frames': generate_configurations(),
    }
    node = generate_calc_job_node('hdiff.md', exit_status=status, exit_message='step 4: so', outputs=outputs)
    process.ctx.children = [node]
    code = process.inspect_process()
    assert (code.status, code.message) == (status, 'step 4: so')
    assert {name: process.outputs[name].pk for name in outputs} == {name: one.pk for name, one in outputs.items()}


def test_a_stage_that_stops_before_its_first_frame(stage, generate_calc_job_node, generate_state):
    process = stage()
    outputs = {'results': orm.Dict({}), 'final_state': generate_state(1, step=3)}
    process.ctx.children = [generate_calc_job_node('hdiff.md', exit_status=530, exit_message='so', outputs=outputs)]
    assert process.inspect_process().status == 530
    assert 'trajectory' not in process.outputs
