"""CHGNet and MACE in the LAMMPS job: its inputs, the files it writes, and who runs it."""

import json

import pytest
from aiida import orm
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.engine.lammps_external import CALLBACK_COMMANDS, LammpsInput
from aiida_hdiff.workflows.codes import codes_error
from aiida_hdiff.workflows.md_stage import stage_plugin
from tests.conftest import PARAMETERS

JOB, STAGE = CalculationFactory('hdiff.lammps_md'), WorkflowFactory('hdiff.md_stage')


@pytest.fixture
def inputs(fake_code, generate_structure, generate_potential):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {
            'code': fake_code(label='chgnet'),
            'structure': generate_structure(1),
            'potential': generate_potential('chgnet'),
            'parameters': orm.Dict(PARAMETERS),
        }
        return {**values, **changes}

    return factory


def error_of(cls, values):
    """Return what submitting would say."""
    port = cls.spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


@pytest.mark.parametrize('architecture', ['chgnet', 'mace'])
def test_the_script_takes_the_forces_from_the_engine(generate_calc_job, inputs, generate_potential, architecture):
    potential = generate_potential(architecture).store()
    options = {'max_wallclock_seconds': 1000, 'environment_variables': {'OMP_NUM_THREADS': '2'}}
    values = inputs(potential=potential, metadata={'options': options})
    folder, info = generate_calc_job('hdiff.lammps_md', values)
    assert {path.name for path in folder.iterdir()} == {'input.in', 'lammps.json', script.DATA_FILE}
    lines = (folder / 'input.in').read_text().splitlines()
    assert lines[4:8] == list(CALLBACK_COMMANDS)
    assert next(line for line in lines if line.startswith('fix ')).split()[1] == 'model'
    assert not any(line.startswith('timer') for line in lines)
    job = LammpsInput.from_dict(json.loads((folder / 'lammps.json').read_text()))
    assert (job.script, job.elements, job.threads, job.max_seconds) == ('input.in', ('Ni', 'H'), 2, 950)
    assert (job.potential.architecture, job.potential.implementation) == (architecture, 'auto')
    assert job.potential.file == (potential.file_names[0] if potential.file_names else None)
    (code,) = info.codes_info
    assert code.cmdline_params == ['lammps', 'lammps.json']
    assert info.retrieve_list == ['lammps.out', 'status.json']


def test_the_chosen_calculator_reaches_the_engine(generate_calc_job, inputs):
    values = inputs(parameters=orm.Dict({**PARAMETERS, 'calculator': 'stock'}))
    folder, _ = generate_calc_job('hdiff.lammps_md', values)
    job = LammpsInput.from_dict(json.loads((folder / 'lammps.json').read_text()))
    assert job.potential.implementation == 'stock'


def test_what_is_refused(inputs, fake_code, generate_potential):
    lmp = fake_code(label='lmp', filepath_executable='/opt/bin/lmp_mpi')
    engine = fake_code(label='engine', filepath_executable='/opt/bin/hdiff-engine')
    assert error_of(JOB, inputs()) is None
    assert error_of(JOB, inputs(code=engine)) is None
    message = error_of(JOB, inputs(code=lmp))
    assert '(lmp_mpi), which cannot run a chgnet potential: give a `hdiff-engine` whose default' in message
    message = error_of(JOB, inputs(code=engine, potential=generate_potential()))
    assert 'runs CHGNet and MACE in LAMMPS, but no pair style: give a LAMMPS executable' in message
    message = error_of(JOB, inputs(potential=generate_potential('lennard_jones')))
    assert 'is a lennard_jones model, which this LAMMPS job cannot run' in message
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 4}
    message = error_of(JOB, inputs(metadata={'options': {'withmpi': True, 'resources': resources}}))
    assert '`options` asks for 4 processes, but a chgnet potential runs in one: set `withmpi` to false' in message
    options = {'withmpi': True, 'resources': resources}
    assert 'asks for 4 processes' in error_of(STAGE, inputs(options=options))
    assert 'asks for 4 processes' in codes_error({'chgnet': 'runs'}, {'chgnet': inputs()['code']}, options)
    assert error_of(JOB, inputs(metadata={'options': {'resources': resources}})) is None


def test_a_model_that_could_run_code_is_refused(inputs, aiida_profile):
    import pickle

    from aiida_hdiff.data.potential import PotentialData

    content = pickle.dumps({'model': print})
    potential = PotentialData(architecture='mace', elements=['Ni', 'H'], files=[content])
    assert 'the mace model of potential' in error_of(JOB, inputs(potential=potential))


def test_the_default_plugin_of_the_code_chooses_the_engine_of_a_stage(inputs, fake_code, generate_potential):
    lammps, ase = fake_code(label='in-lammps'), fake_code('hdiff.md', label='in-ase')
    chgnet, pair_style = generate_potential('chgnet'), generate_potential()
    assert stage_plugin(lammps, chgnet) == 'hdiff.lammps_md'
    assert stage_plugin(ase, chgnet) == 'hdiff.md'
    assert stage_plugin(lammps, pair_style) == 'hdiff.lammps_md'
    assert stage_plugin(ase, generate_potential('lennard_jones')) == 'hdiff.md'
    assert error_of(STAGE, inputs(code=lammps)) is None
    assert error_of(STAGE, inputs(code=ase)) is None
    message = error_of(STAGE, inputs(code=lammps, potential=generate_potential('lennard_jones')))
    assert 'which cannot run a lennard_jones potential' in message
    lmp = fake_code(label='real-lmp', filepath_executable='/opt/bin/lmp')
    assert 'is a LAMMPS executable (lmp)' in error_of(STAGE, inputs(code=lmp))


def test_a_committee_does_not_watch_over_lammps(inputs, generate_potential):
    watched = orm.Dict({**PARAMETERS, 'committee': {'every_steps': 10, 'threshold_eV_A': 0.1}})
    members = {'other': generate_potential('chgnet', elements=('Ni', 'H', 'Al'))}
    message = error_of(STAGE, inputs(parameters=watched, committee=members))
    assert 'runs in LAMMPS, where no committee watches: give a `hdiff-engine` whose default plugin' in message


def test_a_checkpoint_is_continued_by_the_engine_that_wrote_it(inputs, fake_code, generate_state):
    checkpoint = generate_state(1, step=50, checkpoint=b'c')
    assert error_of(STAGE, inputs(checkpoint=checkpoint)) is None
    message = error_of(STAGE, inputs(checkpoint=checkpoint, code=fake_code('hdiff.md', label='in-ase')))
    assert "was written by lammps, from which `code` 'in-ase' cannot continue: give a code of the same" in message


def test_codes_of_a_study(fake_code):
    wanted = {'chgnet': 'runs potential'}
    assert codes_error(wanted, {'chgnet': fake_code(label='a')}, None) is None
    message = codes_error({'engine': 'runs potential'}, {'engine': fake_code(label='b')}, None)
    assert "`codes.engine` is set up for 'hdiff.lammps_md'" in message


def test_an_engine_set_up_for_lammps_labels(fake_code):
    from aiida_hdiff.workflows.label_inputs import label_back_end

    assert label_back_end(fake_code(label='engine', filepath_executable='/opt/bin/hdiff-engine')) == 'engine'
    assert label_back_end(fake_code(label='lmp', filepath_executable='/opt/bin/lmp')) is None
    assert label_back_end(fake_code('hdiff.vasp_label', label='vasp')) == 'vasp'


@pytest.mark.parametrize('ensemble', ['nvt', 'npt'])
def test_angles_are_free_where_the_barostat_moves_them(generate_calc_job, inputs, ensemble):
    parameters = orm.Dict({**PARAMETERS, 'ensemble': ensemble, 'barostat': 'full'})
    folder, _ = generate_calc_job('hdiff.lammps_md', inputs(parameters=parameters))
    assert ('xy xz yz' in (folder / script.DATA_FILE).read_text()) == (ensemble == 'npt')
