"""Every end of a job of the ASE engine, from the outputs of real runs."""

import json
import shutil

import numpy as np
import pytest

from aiida_hdiff.calculations import md as files
from aiida_hdiff.calculations.engine_job import STATUS_FILE
from tests.parsers.cases import ENGINE, FIXTURES, atoms_of, parameters_of

FOLDER = FIXTURES / 'md'


@pytest.fixture
def parse(generate_calc_job_node, generate_structure, generate_potential, generate_state, tmp_path):
    """Give a function that parses the outputs of a case; ``change`` may edit the folder first."""
    from aiida import orm
    from aiida.plugins import ParserFactory

    def run(name, change=None, checkpoint_step=None):
        case = ENGINE[name]
        folder, retrieved = tmp_path / name, tmp_path / f'{name}_retrieved'
        shutil.copytree(FOLDER / name, folder)
        if change is not None:
            change(folder)
        retrieved.mkdir()
        for file in ('engine.out', STATUS_FILE):
            if (folder / file).exists():
                shutil.move(folder / file, retrieved)
        atoms = atoms_of('md', hydrogen_at=case.get('hydrogen_at', 0.5))
        inputs = {
            'structure': generate_structure(atoms=atoms),
            'potential': generate_potential('lennard_jones', elements=('Cu', 'H')),
            'parameters': orm.Dict(parameters_of(case)),
        }
        if checkpoint_step is not None:
            inputs['checkpoint'] = generate_state(atoms=atoms, step=checkpoint_step, checkpoint=b'x')
        node = generate_calc_job_node(
            'hdiff.md', inputs, retrieved=retrieved, attributes={'output_filename': 'engine.out'}
        )
        return ParserFactory('hdiff.md').parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )

    return run


def test_finished(parse):
    outputs, node = parse('finished')
    assert node.exit_status == 0, node.exit_message
    results = outputs['results'].get_dict()
    assert 'ase 3.' in results.pop('engine_version')
    assert results == {
        'engine': 'ase',
        'steps': 40,
        'last_step': 40,
        'n_frames': 11,
        'finished': True,
        'steps_per_s': None,
    }
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == list(range(0, 41, 4))
        assert np.ptp(reader.observable('potential_energy')) > 0
        np.testing.assert_allclose(reader.positions()[0], atoms_of('md').positions, atol=6e-6)
    state = outputs['final_state']
    assert state.step == 40
    assert state.velocities.shape == (5, 3)


def test_velocities(parse):
    outputs, node = parse('velocities')
    assert node.exit_status == 0
    with outputs['trajectory'].reader() as reader:
        velocities, kinetic = reader.velocities(), reader.observable('kinetic_energy')
    masses = atoms_of('md').get_masses()
    energy = 0.5 * 103.642696562 * (masses[:, None] * velocities**2).sum(axis=(1, 2))
    np.testing.assert_allclose(energy, kinetic, rtol=2e-3)
    np.testing.assert_allclose(velocities[-1], outputs['final_state'].velocities, atol=1e-8)


@pytest.mark.parametrize(
    ('name', 'status', 'message'),
    [
        ('walltime', 400, 'The wall time ended at step {step} of 1000000; a checkpoint was written.'),
        ('interrupted', 401, 'The job was interrupted; the last checkpoint is of step {step}.'),
        ('killed', 401, 'The job was interrupted; the last checkpoint is of step {step}.'),
    ],
)
def test_stopped_runs_can_be_continued(parse, name, status, message):
    outputs, node = parse(name)
    state = outputs['final_state']
    assert node.exit_status == status
    assert node.exit_message == message.format(step=state.step)
    assert state.step > 0
    assert state.checkpoint == (FOLDER / name / files.CHECKPOINT_FILE).read_bytes()
    assert outputs['trajectory'].base.attributes.get('last_step') <= state.step


def test_frames_of_a_killed_run_stop_at_the_checkpoint(parse):
    from aiida_hdiff.formats.frame_stream import read_frame_stream

    outputs, _ = parse('killed')
    stored = read_frame_stream(FOLDER / 'killed' / files.FRAMES_FILE)['step']
    last = outputs['final_state'].step
    assert stored[-1] > last
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == stored[stored <= last].tolist()


def test_frames_of_a_continued_run_start_after_the_checkpoint(parse):
    outputs, node = parse('finished', checkpoint_step=16)
    assert node.exit_status == 0
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [20, 24, 28, 32, 36, 40]


def test_a_continued_run_that_gets_no_further(parse):
    step = int(np.load(FOLDER / 'killed' / files.CHECKPOINT_FILE)['step'])
    outputs, node = parse('killed', checkpoint_step=step)
    assert node.exit_status == 402
    assert set(outputs) == {'results'}


@pytest.mark.parametrize('name', ['killed_early', 'walltime_early'])
def test_stopped_before_the_first_checkpoint(parse, name):
    outputs, node = parse(name)
    assert node.exit_status == 402
    assert set(outputs) == {'results'}


@pytest.mark.parametrize(
    ('name', 'status', 'reason'),
    [
        ('exploded', 412, 'The run exploded: step 0: a force is '),
        ('engine_failed', 420, 'The engine stopped with an error: emt has no option `x`'),
        (
            'potential_refused',
            422,
            'The potential cannot be loaded: the lennard_jones model potential.0 cannot be loaded',
        ),
        ('package_missing', 423, 'A package is missing where the job ran: the architecture mace needs the package'),
    ],
)
def test_failed_runs(parse, name, status, reason):
    outputs, node = parse(name)
    assert node.exit_status == status
    assert node.exit_message.startswith(reason)
    assert ('failed_frame' in outputs) == (name == 'exploded')
    assert '/tmp' not in node.exit_message


def test_model_that_is_not_trusted(parse):
    def refused(folder):
        status = json.loads((folder / STATUS_FILE).read_text())
        status |= {'exit_code': 53, 'message': 'the mace model potential.0 is not loaded: it names `os.system`'}
        (folder / STATUS_FILE).write_text(json.dumps(status))

    _, node = parse('engine_failed', refused)
    assert node.exit_status == 426
    assert node.exit_message.startswith('The model file could run code: the mace model potential.0 is not loaded')


def test_not_a_number(parse):
    def not_finite(folder):
        status = json.loads((folder / STATUS_FILE).read_text())
        status['message'] = 'step 4: the positions are not finite numbers.'
        (folder / STATUS_FILE).write_text(json.dumps(status))

    outputs, node = parse('exploded', not_finite)
    assert node.exit_status == 411
    assert 'failed_frame' in outputs


def truncated_final(folder):
    path = folder / files.FINAL_FILE
    path.write_bytes(path.read_bytes()[:200])


def foreign_final(folder):
    np.savez(folder / files.FINAL_FILE, x=np.zeros(3))


def corrupt_frames(folder):
    (folder / files.FRAMES_FILE).write_bytes(b'x' * 500)


def corrupt_status(folder):
    (folder / STATUS_FILE).write_text('{"exit_code": ')


@pytest.mark.parametrize('change', [truncated_final, foreign_final, corrupt_frames, corrupt_status])
def test_unreadable_output(parse, change):
    _, node = parse('finished', change)
    assert node.exit_status == 301
    assert node.exit_message.startswith('The output cannot be read: ')


def test_a_missing_executable(parse):
    def nothing(folder):
        for path in folder.iterdir():
            path.unlink()
        (folder / 'engine.out').write_text('hdiff-engine: command not found\n')

    outputs, node = parse('finished', nothing)
    assert node.exit_status == 300
    assert node.exit_message == 'The job left no output: the engine did not start: see engine.out.'
    assert set(outputs) == {'results'}
