"""Every end of a LAMMPS job, from the outputs of real runs."""

import shutil

import numpy as np
import pytest

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.formats.lammps import read_dump, read_time_series
from tests.parsers.cases import FIXTURES, LAMMPS, PAIR, atoms_of, last_checkpoint, parameters_of

FOLDER = FIXTURES / 'lammps_md'


@pytest.fixture
def parse(generate_calc_job_node, generate_structure, generate_state, tmp_path):
    """Give a function that parses the outputs of a case; ``change`` may edit the folder first."""
    from aiida import orm
    from aiida.plugins import ParserFactory

    from aiida_hdiff.data.potential import PotentialData

    def run(name, change=None):
        case = LAMMPS[name]
        folder = tmp_path / name
        shutil.copytree(FOLDER / name, folder)
        if change is not None:
            change(folder)
        atoms = atoms_of('lammps_md', hydrogen_at=case.get('hydrogen_at', 0.5))
        inputs = {
            'structure': generate_structure(atoms=atoms),
            'potential': PotentialData(architecture='lammps', elements=['Ni', 'H'], **PAIR),
            'parameters': orm.Dict(parameters_of(case)),
        }
        if 'from' in case:
            step, path = last_checkpoint(FOLDER / case['from'])
            inputs['checkpoint'] = generate_state(atoms=atoms, step=step, checkpoint=path.read_bytes())
        retrieved = tmp_path / f'{name}_retrieved'
        retrieved.mkdir()
        if (folder / 'lammps.out').exists():
            shutil.move(folder / 'lammps.out', retrieved)
        node = generate_calc_job_node(
            'hdiff.lammps_md', inputs, retrieved=retrieved, attributes={'output_filename': 'lammps.out'}
        )
        return ParserFactory('hdiff.lammps_md').parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )

    return run


def frames_of(folder):
    return np.concatenate([block.steps for block in read_dump(folder / script.TRAJECTORY_FILE)])


def test_finished(parse):
    outputs, node = parse('finished')
    assert node.exit_status == 0, node.exit_message
    assert outputs['results'].get_dict() == {
        'engine': 'lammps',
        'engine_version': outputs['results']['engine_version'],
        'steps': 40,
        'last_step': 40,
        'n_frames': 11,
        'finished': True,
        'steps_per_s': pytest.approx(58800.18, rel=1e-3),
    }
    assert outputs['results']['engine_version'].startswith('22 Jul 2025')
    trajectory, state = outputs['trajectory'], outputs['final_state']
    assert (trajectory.n_frames, trajectory.n_atoms) == (11, 5)
    with trajectory.reader() as reader:
        assert reader.steps.tolist() == list(range(0, 41, 4))
        assert not reader.has_velocities
        np.testing.assert_array_equal(reader.numbers, atoms_of('lammps_md').numbers)
        series = read_time_series(FOLDER / 'finished' / script.SERIES_FILE)
        np.testing.assert_array_equal(reader.observable('potential_energy'), series[:, 1])
        np.testing.assert_array_equal(reader.observable('temperature'), series[:, 3])
        np.testing.assert_allclose(reader.observable('pressure'), series[:, 4] * 1e-4 / 160.2176634, rtol=1e-12)
    assert (state.step, state.engine) == (40, 'lammps')
    assert state.checkpoint == (FOLDER / 'finished' / script.FINAL_RESTART).read_bytes()


def test_positions_are_turned_back_into_the_cell_of_the_structure(parse):
    outputs, _ = parse('finished')
    atoms = atoms_of('lammps_md')
    with outputs['trajectory'].reader() as reader:
        np.testing.assert_allclose(reader.cells[-1], atoms.cell.array, atol=1e-9)
        np.testing.assert_allclose(reader.positions(frames=slice(0, 1))[0], atoms.positions, atol=6e-6)
    state = outputs['final_state']
    np.testing.assert_allclose(state.get_array('cell'), atoms.cell.array, atol=1e-9)
    assert 0.01 < np.abs(state.get_array('positions') - atoms.positions).max() < 2.0


def test_velocities(parse):
    outputs, node = parse('velocities')
    assert node.exit_status == 0
    with outputs['trajectory'].reader() as reader:
        velocities, kinetic = reader.velocities(), reader.observable('kinetic_energy')
    masses = atoms_of('lammps_md').get_masses()
    energy = 0.5 * 103.642696562 * (masses[:, None] * velocities**2).sum(axis=(1, 2))
    np.testing.assert_allclose(energy, kinetic, rtol=2e-3)
    np.testing.assert_allclose(outputs['final_state'].velocities, velocities[-1], atol=1e-8)


def test_out_of_wall_time(parse):
    outputs, node = parse('walltime')
    assert node.exit_status == 400
    step = outputs['final_state'].step
    assert step % 100 == 0
    assert node.exit_message == f'The wall time ended at step {step} of 100000000; a checkpoint was written.'
    assert outputs['trajectory'].base.attributes.get('last_step') <= step
    assert outputs['results']['finished'] is False
    assert outputs['results']['last_step'] == step


def test_killed_after_a_checkpoint(parse):
    assert frames_of(FOLDER / 'killed')[-1] > 16
    outputs, node = parse('killed')
    assert node.exit_status == 401
    assert node.exit_message == 'The job was interrupted; the last checkpoint is of step 16.'
    state, trajectory = outputs['final_state'], outputs['trajectory']
    assert state.step == 16
    assert state.checkpoint == (FOLDER / 'killed' / 'checkpoint.16.restart').read_bytes()
    with trajectory.reader() as reader:
        assert reader.steps.tolist() == [0, 4, 8, 12, 16]
        np.testing.assert_allclose(reader.positions()[-1], state.get_array('positions'), atol=6e-6)


def test_the_continued_run_starts_after_the_checkpoint_and_joins(parse):
    from aiida_hdiff.calculations.trajectories import concatenate_trajectories

    killed, _ = parse('killed')
    continued, node = parse('continued')
    assert node.exit_status == 0, node.exit_message
    with continued['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [20, 24, 28, 32, 36, 40]
    segments = {'segment_000': killed['trajectory'], 'segment_001': continued['trajectory']}
    joined = concatenate_trajectories(**segments)
    assert (joined.n_frames, joined.frame_interval_fs) == (11, 4.0)
    jumps = np.linalg.norm(np.diff(joined.get_positions(), axis=0), axis=-1).max(axis=1)
    assert jumps[4] < 2 * np.delete(jumps, 4).max()


def test_a_continued_run_that_is_killed_again(parse):
    outputs, node = parse('continued_killed')
    assert node.exit_status == 401
    assert outputs['final_state'].step == 24
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == [20, 24]


def test_a_continued_run_that_gets_no_further_than_its_checkpoint(parse):
    def forget(folder):
        (folder / 'checkpoint.24.restart').unlink()

    outputs, node = parse('continued_killed', forget)
    assert node.exit_status == 402
    assert set(outputs) == {'results'}


def test_killed_before_the_first_checkpoint(parse):
    outputs, node = parse('killed_early')
    assert node.exit_status == 402
    assert node.exit_message == 'The job was interrupted before its first checkpoint.'
    assert set(outputs) == {'results'}
    assert outputs['results']['last_step'] == 0


def test_an_incomplete_checkpoint_is_not_used(parse):
    def truncate(folder):
        path = folder / 'checkpoint.16.restart'
        path.write_bytes(path.read_bytes()[:-10])

    outputs, node = parse('killed', truncate)
    assert node.exit_status == 401
    assert outputs['final_state'].step == 8
    assert outputs['trajectory'].base.attributes.get('last_step') == 8


def test_a_final_state_that_was_not_written_falls_back_to_the_checkpoint(parse):
    outputs, node = parse('finished', lambda folder: (folder / script.FINAL_RESTART).write_bytes(b''))
    assert outputs['final_state'].step == 40
    assert node.exit_status == 0


@pytest.mark.parametrize(
    ('name', 'status', 'reason'),
    [
        ('lost_atoms', 410, 'Atoms were lost: Lost atoms: original 5 current'),
        ('not_a_number', 411, 'An energy or a position is not a number: Non-numeric pressure'),
        ('exploded', 412, 'The run exploded: the temperature rose above its limit.'),
        ('engine_failed', 420, 'The engine stopped with an error: Incomplete or corrupted LAMMPS restart file'),
        ('unknown_style', 421, "This LAMMPS does not know the pair style: Unrecognized pair style 'no/such/style'"),
        ('potential_refused', 422, "The potential cannot be loaded: Not a valid integer number: 'not'"),
        ('pair_style_arguments', 422, 'The potential cannot be loaded: Illegal pair_style command'),
        ('not_started', 300, 'The job left no output: LAMMPS did not start: see the scheduler output.'),
    ],
)
def test_failed_runs(parse, name, status, reason):
    outputs, node = parse(name)
    assert node.exit_status == status
    assert node.exit_message.startswith(reason)
    assert outputs['results']['finished'] is False
    assert 'final_state' not in outputs


@pytest.mark.parametrize(
    ('found', 'status', 'reason'),
    [
        ('Atom count is inconsistent: 0 vs 5, cannot write restart file', 410, 'Atoms were lost: Atom count is incon'),
        ('Fix nph has tilted box too far in one step - periodic cell is', 412, 'The run exploded: Fix nph has tilted'),
    ],
)
def test_other_words_for_runs_that_fly_apart(parse, found, status, reason):
    """LAMMPS may notice it when it writes a restart file, or when the cell has grown without bounds."""

    def replace(folder):
        path = folder / 'lammps.out'
        path.write_text(path.read_text().replace('Lost atoms: original 5 current 3', found))

    _, node = parse('lost_atoms', replace)
    assert node.exit_status == status
    assert node.exit_message.startswith(reason)


def test_the_frame_of_an_exploded_run_is_kept(parse):
    outputs, _ = parse('exploded')
    assert outputs['failed_frame'].step == 4
    kinetic = (
        0.5
        * 103.642696562
        * np.sum(atoms_of('lammps_md').get_masses()[:, None] * outputs['failed_frame'].velocities ** 2)
    )
    assert 2 * kinetic / (12 * 8.617333262e-5) > 4000


def test_output_is_missing(parse):
    outputs, node = parse('finished', lambda folder: (folder / 'lammps.out').unlink())
    assert node.exit_status == 300
    assert node.exit_message == 'The job left no output: lammps.out is not there.'
    assert not outputs


def corrupt_dump(folder):
    path = folder / script.TRAJECTORY_FILE
    path.write_bytes(b'x' * path.stat().st_size)


def corrupt_series(folder):
    (folder / script.SERIES_FILE).write_text('0 no number\n')


def corrupt_screen(folder):
    (folder / 'lammps.out').write_bytes(b'\xff\xfe\x00')


@pytest.mark.parametrize('change', [corrupt_dump, corrupt_series, corrupt_screen])
def test_unreadable_output(parse, change):
    _, node = parse('finished', change)
    assert node.exit_status == 301
    assert node.exit_message.startswith('The output cannot be read: ')


def test_an_empty_series_is_no_crash(parse):
    outputs, node = parse('finished', lambda folder: (folder / script.SERIES_FILE).write_text('# header\n'))
    assert node.exit_status == 0
    assert 'trajectory' not in outputs


def test_a_full_disk_while_parsing(parse, monkeypatch):
    import errno

    from aiida_hdiff.parsers import lammps_md

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(lammps_md, 'TrajectoryWriter', full)
    _, node = parse('finished')
    assert node.exit_status == 302
    assert 'No space left on device' in node.exit_message


def test_nothing_retrieved(generate_calc_job_node, tmp_path):
    from aiida.plugins import ParserFactory

    node = generate_calc_job_node('hdiff.lammps_md', retrieved=tmp_path, attributes={'output_filename': 'lammps.out'})
    _, result = ParserFactory('hdiff.lammps_md').parse_from_node(node, store_provenance=False)
    assert result.exit_status == 300


def test_failures_are_never_served_from_the_cache():
    from aiida.plugins import CalculationFactory

    for name in ('hdiff.lammps_md', 'hdiff.md'):
        codes = CalculationFactory(name).exit_codes
        ours = [code for code in codes.values() if 300 <= code.status < 450]
        assert len(ours) >= 13
        assert all(code.invalidates_cache for code in ours)
