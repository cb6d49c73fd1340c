"""Both molecular dynamics jobs: their inputs, and the files they write."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.calculations import md as engine_files
from aiida_hdiff.calculations.md_job import seconds_before_walltime, structure_error
from tests.conftest import PARAMETERS, nickel_hydride

JOBS = ('hdiff.lammps_md', 'hdiff.md')


@pytest.fixture
def inputs(fake_code, generate_structure, generate_potential):
    """Give a factory of the inputs of a job."""

    def factory(job, **changes):
        kind = 'lammps' if job == 'hdiff.lammps_md' else 'lennard_jones'
        values = {
            'code': fake_code(job),
            'structure': generate_structure(),
            'potential': generate_potential(kind),
            'parameters': orm.Dict(PARAMETERS),
        }
        return {**values, **changes}

    return factory


def error_of(job, values):
    """Return what submitting would say."""
    port = CalculationFactory(job).spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


@pytest.mark.parametrize('job', JOBS)
def test_valid_inputs(inputs, job):
    assert error_of(job, inputs(job)) is None


@pytest.mark.parametrize('job', JOBS)
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'timestep_fs': 2.5}, '`timestep_fs` is 2.5: with hydrogen give at most 2.0 fs'),
        ({'timestep_fs': 0}, '`timestep_fs` is 0: give a positive number'),
        ({'timestep_fs': -1.0}, '`timestep_fs` is -1.0: give a positive number'),
        ({'output_interval': 500}, '`output_interval` (500) is longer than the run (`steps` = 200): reduce it'),
        ({'temperature_K': -5}, '`temperature_K` is -5: give a positive number'),
        ({'seed': 0}, '`seed` is 0: give a whole number from 1 to 2147483647'),
        ({'seed': 2**31}, '`seed` is 2147483648'),
        ({'checkpoint_interval': 15}, '`checkpoint_interval` (15) must be a multiple of `output_interval` (10)'),
        ({'ensemble': 'nvx'}, "`ensemble` is 'nvx': choose one of npt, nvt, nve"),
        ({'temprature_end_K': 5}, 'unknown setting `temprature_end_K`. Did you mean `temperature_end_K`?'),
        ({'ensemble': 'nve', 'temperature_end_K': 5.0}, 'an `nve` stage has no thermostat: remove it'),
    ],
)
def test_parameters_out_of_range(inputs, job, change, message):
    assert message in error_of(job, inputs(job, parameters=orm.Dict({**PARAMETERS, **change})))


@pytest.mark.parametrize('job', JOBS)
def test_inputs_that_do_not_fit_each_other(inputs, job, generate_potential, generate_state):
    kind = 'lammps' if job == 'hdiff.lammps_md' else 'lennard_jones'
    swapped = nickel_hydride()[::-1]
    for change, message in (
        (
            {'potential': generate_potential(kind, elements=('Ni', 'Al'))},
            '`potential` covers Ni, Al but not H of `structure` (HNi32): give a potential of all its elements.',
        ),
        ({'state': generate_state(atoms=swapped)}, '`state` has other atoms, or another order of them'),
        ({'checkpoint': generate_state(repeats=1, checkpoint=b'x')}, '`checkpoint` has other atoms'),
        (
            {'checkpoint': generate_state()},
            '`checkpoint` has no file of the engine to continue from: give it as `state`',
        ),
    ):
        assert message in error_of(job, inputs(job, **change))


def test_each_job_refuses_the_potentials_of_the_other(inputs, generate_potential):
    lammps, ase = generate_potential('lammps'), generate_potential('lennard_jones')
    message = error_of('hdiff.lammps_md', inputs('hdiff.lammps_md', potential=ase))
    assert '`potential` is a lennard_jones model, which this LAMMPS job cannot run: use the `hdiff.md` job' in message
    message = error_of('hdiff.md', inputs('hdiff.md', potential=lammps))
    assert '`potential` is a LAMMPS pair style, which the ASE engine cannot run: use the `hdiff.lammps_md`' in message


@pytest.mark.parametrize('job', JOBS)
def test_resources_are_checked_against_the_scheduler(inputs, job):
    values = inputs(job, metadata={'options': {'resources': {'num_machines': 'two'}}})
    assert '`metadata.options.resources` is not valid' in error_of(job, values)


def sites(*names):
    structure = orm.StructureData(cell=np.diag([4.0, 4.0, 4.0]).tolist())
    for index, symbols in enumerate(names):
        structure.append_atom(position=(0.0, 0.0, 1.9 * index), symbols=symbols)
    return structure


def changed(**kwargs):
    atoms = nickel_hydride()
    for name, value in kwargs.items():
        if name == 'h_position':
            atoms.positions[-1] = value
        else:
            setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ('atoms', 'message'),
    [
        (nickel_hydride()[:-1], '`structure` (Ni32) has no hydrogen: insert it with `insert_hydrogen`'),
        (nickel_hydride()[-1:], '`structure` (H) has no host atoms: give a host crystal'),
        (changed(pbc=[True, True, False]), '`structure` is not periodic in all three directions'),
        (changed(h_position=(0.0, 0.0, 0.49)), 'hydrogen atom 32 is 0.49 Å from another atom: keep at least 0.5 Å'),
        (changed(h_position=(0.0, 0.0, 7.04 - 0.1)), 'hydrogen atom 32 is 0.10 Å from another atom'),
        (changed(cell=np.diag([7.04, 7.04, -7.04])), 'left-handed or coplanar: swap two of them'),
        (changed(h_position=(np.nan, 0.0, 0.0)), 'not finite numbers: give numbers in Å'),
    ],
)
def test_structures_that_cannot_be_used(generate_structure, atoms, message):
    assert message in structure_error(generate_structure(atoms=atoms))


def test_alloys_on_one_site_are_refused():
    structure = sites('Ni', 'H')
    structure.append_atom(position=(2.0, 2.0, 2.0), symbols=['Ni', 'Al'], weights=[0.5, 0.5])
    assert 'sites with several elements or vacancies: give one element per site' in structure_error(structure)


def test_a_good_structure_is_accepted(generate_structure):
    assert structure_error(generate_structure()) is None
    assert structure_error(generate_structure(atoms=changed(h_position=(0.0, 0.0, 0.51)))) is None


def test_lammps_job(generate_calc_job, inputs, file_regression):
    values = inputs('hdiff.lammps_md')
    folder, info = generate_calc_job('hdiff.lammps_md', values)
    names = {path.name for path in folder.iterdir()}
    assert names == {'input.in', script.DATA_FILE}
    assert info.provenance_exclude_list == [script.DATA_FILE, script.RESTART_FILE]
    assert info.local_copy_list == []
    assert info.retrieve_list == ['lammps.out']
    assert set(info.retrieve_temporary_list) >= {script.TRAJECTORY_FILE, script.SERIES_FILE, script.FINAL_RESTART}
    (code,) = info.codes_info
    assert code.cmdline_params == ['-in', 'input.in', '-log', 'none']
    assert code.stdout_name == 'lammps.out'
    data = (folder / script.DATA_FILE).read_text()
    assert '33 atoms' in data
    assert '\n33 2 ' in data
    assert 'Velocities' not in data
    file_regression.check((folder / 'input.in').read_text(), basename='lammps_input')


def test_lammps_job_from_a_state_and_with_files(generate_calc_job, inputs, eam_potential, generate_state):
    values = inputs('hdiff.lammps_md', potential=eam_potential.store(), state=generate_state())
    folder, info = generate_calc_job('hdiff.lammps_md', values)
    assert info.local_copy_list == [(eam_potential.uuid, 'potential.0', 'potential.0')]
    assert 'velocity' not in (folder / 'input.in').read_text()
    velocities = (folder / script.DATA_FILE).read_text().split('Velocities\n\n')[1].splitlines()
    first = np.array(velocities[0].split()[1:], dtype=float)
    np.testing.assert_allclose(first, 1000 * generate_state().velocities[0], rtol=1e-12)


def test_lammps_job_turns_the_cell_and_the_velocities(generate_calc_job, inputs, generate_structure, generate_state):
    atoms = nickel_hydride()
    atoms.rotate(30, (1, 1, 0), rotate_cell=True)
    values = inputs('hdiff.lammps_md', structure=generate_structure(atoms=atoms), state=generate_state(atoms=atoms))
    folder, _ = generate_calc_job('hdiff.lammps_md', values)
    text = (folder / script.DATA_FILE).read_text()
    atoms_block, velocity_block = text.split('Atoms # atomic\n\n')[1].split('\nVelocities\n\n')
    positions = np.array([line.split()[2:] for line in atoms_block.splitlines()], dtype=float)
    np.testing.assert_allclose(
        np.linalg.norm(positions[:, None] - positions[None], axis=-1), atoms.get_all_distances(), atol=1e-9
    )
    velocities = np.array([line.split()[1:] for line in velocity_block.splitlines()], dtype=float)
    speeds = 1000 * np.linalg.norm(generate_state(atoms=atoms).velocities, axis=1)
    np.testing.assert_allclose(np.linalg.norm(velocities, axis=1), speeds, rtol=1e-9)


def test_lammps_job_from_a_checkpoint(generate_calc_job, inputs, generate_state):
    values = inputs('hdiff.lammps_md', checkpoint=generate_state(step=100, checkpoint=b'\x00restart'))
    folder, _ = generate_calc_job('hdiff.lammps_md', values)
    assert {path.name for path in folder.iterdir()} == {'input.in', script.RESTART_FILE}
    assert (folder / script.RESTART_FILE).read_bytes() == b'\x00restart'
    assert f'read_restart {script.RESTART_FILE}' in (folder / 'input.in').read_text()


def test_engine_job(generate_calc_job, inputs, file_regression):
    folder, info = generate_calc_job('hdiff.md', inputs('hdiff.md'))
    assert {path.name for path in folder.iterdir()} == {engine_files.INPUT_FILE, engine_files.START_FILE}
    text = (folder / engine_files.INPUT_FILE).read_text()
    file_regression.check(text + '\n', basename='md', extension='.json')
    with np.load(folder / engine_files.START_FILE) as start:
        assert set(start) == {'numbers', 'positions', 'cell', 'pbc'}
        np.testing.assert_array_equal(start['positions'], nickel_hydride().positions)
    (code,) = info.codes_info
    assert code.cmdline_params == ['md', 'md.json']
    assert info.retrieve_list == ['engine.out', 'status.json', 'progress.json']
    assert len(info.local_copy_list) == 1


def test_engine_job_input_is_what_the_engine_reads(generate_calc_job, inputs, generate_state):
    from aiida_hdiff.engine.md_input import MDInput

    state = generate_state(step=50, checkpoint=b'c')
    folder, _ = generate_calc_job('hdiff.md', inputs('hdiff.md', state=generate_state(), checkpoint=state))
    job = MDInput.from_dict(json.loads((folder / engine_files.INPUT_FILE).read_text()))
    assert job.checkpoint == engine_files.START_CHECKPOINT_FILE
    assert (folder / job.checkpoint).read_bytes() == b'c'
    assert job.parameters.temperature_K == 800.0
    with np.load(folder / job.start) as start:
        np.testing.assert_array_equal(start['velocities'], generate_state().velocities)


def test_start_file_of_equal_inputs_has_equal_bytes(generate_calc_job, inputs):
    contents = [
        (generate_calc_job('hdiff.md', inputs('hdiff.md'))[0] / engine_files.START_FILE).read_bytes() for _ in range(2)
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize('limit', [1, 2, 10, 40, 60, 400, 3600, 86400])
def test_the_engine_stops_before_the_scheduler_kills_it(limit):
    seconds = seconds_before_walltime(limit)
    assert 1 <= seconds <= max(1, limit - min(20, limit / 2))
    assert seconds >= 0.45 * limit


def test_threads_and_wall_time_follow_the_options(generate_calc_job, inputs):
    options = {'max_wallclock_seconds': 1000, 'environment_variables': {'OMP_NUM_THREADS': '4'}}
    folder, _ = generate_calc_job('hdiff.md', inputs('hdiff.md', metadata={'options': options}))
    settings = json.loads((folder / engine_files.INPUT_FILE).read_text())
    assert (settings['threads'], settings['max_seconds']) == (4, 950)


def test_the_jobs_never_hit_the_cache_of_each_other(
    generate_process, inputs, fake_code, generate_potential, monkeypatch
):
    """The class of a job is not in its hash, only its inputs, options and parser: these must differ."""
    common = {'code': fake_code().store(), 'potential': generate_potential().store()}
    options = {'output_filename': 'same.out', 'input_filename': 'same.in'}

    def job_hash(job, **more):
        cls = CalculationFactory(job)
        # Without these, the potential or the version of the job alone would keep the jobs apart.
        monkeypatch.setattr(cls.spec().inputs, 'validator', None)
        monkeypatch.setattr(cls, 'CACHE_VERSION', 1)
        values = inputs(job, **common, metadata={'options': {**options, **more}})
        return generate_process(cls, values).node.base.caching.compute_hash()

    assert job_hash('hdiff.md') != job_hash('hdiff.lammps_md')
    assert job_hash('hdiff.md', parser_name='hdiff.lammps_md') == job_hash('hdiff.lammps_md')


@pytest.mark.parametrize('job', JOBS)
def test_equal_jobs_have_equal_hashes_whatever_their_wall_time(generate_process, inputs, job):
    def job_hash(**changes):
        options = {'max_wallclock_seconds': changes.pop('seconds', 100)}
        node = generate_process(CalculationFactory(job), inputs(job, metadata={'options': options}, **changes)).node
        return node.base.caching.compute_hash()

    assert job_hash() == job_hash(seconds=200)
    assert job_hash() != job_hash(parameters=orm.Dict({**PARAMETERS, 'seed': 12}))


@pytest.mark.parametrize('job', JOBS)
def test_the_version_of_the_generated_files_is_in_the_hash(job, generate_process, inputs, monkeypatch):
    cls = CalculationFactory(job)
    first = generate_process(cls, inputs(job)).node.base.caching.compute_hash()
    monkeypatch.setattr(cls, 'CACHE_VERSION', 99)
    assert generate_process(cls, inputs(job)).node.base.caching.compute_hash() != first
