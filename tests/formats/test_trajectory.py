"""The trajectory file."""

import hashlib
from itertools import pairwise

import h5py
import numpy as np
import pytest

from aiida_hdiff.formats.joined import JoinedTrajectory, concatenate
from aiida_hdiff.formats.trajectory import (
    BLOCK_FRAMES,
    OBSERVABLES,
    POSITION_QUANTUM_A,
    VELOCITY_QUANTUM_A_PER_FS,
    TrajectoryFile,
    TrajectoryWriter,
)

HALF_QUANTUM_A = 0.5 * POSITION_QUANTUM_A * 1.000001


def walk(n_frames, n_atoms=11, seed=0):
    steps = np.random.default_rng(seed).normal(0.0, 0.3, (n_frames, n_atoms, 3))
    return np.cumsum(steps, axis=0) + 50.0


def write(path, positions, *, steps=None, velocities=None, chunks=None, timestep_fs=0.5, numbers=None):
    n_frames, n_atoms = positions.shape[:2]
    steps = 10 * np.arange(n_frames) if steps is None else np.asarray(steps)
    cells = np.eye(3) * np.linspace(7.0, 8.0, max(n_frames, 1))[:n_frames, None, None]
    observables = {name: np.arange(n_frames) + 0.1 * index for index, name in enumerate(OBSERVABLES)}
    numbers = [28] * (n_atoms - 1) + [1] if numbers is None else numbers
    with TrajectoryWriter(path, numbers, timestep_fs=timestep_fs, velocities=velocities is not None) as writer:
        for part in np.array_split(np.arange(n_frames), chunks or 1):
            writer.append(
                steps[part],
                positions[part],
                cells[part],
                {name: values[part] for name, values in observables.items()},
                None if velocities is None else velocities[part],
            )
    return path


@pytest.mark.parametrize('n_frames', [1, 2, 999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize('chunks', [1, 7])
def test_round_trip(tmp_path, n_frames, chunks):
    positions = walk(n_frames, n_atoms=3)
    with TrajectoryFile(write(tmp_path / 'a.h5', positions, chunks=min(chunks, n_frames))) as file:
        assert len(file) == n_frames
        assert not file.has_velocities
        np.testing.assert_array_equal(file.numbers, [28, 28, 1])
        np.testing.assert_array_equal(file.steps, 10 * np.arange(n_frames))
        np.testing.assert_array_equal(file.times_fs, 5.0 * np.arange(n_frames))
        np.testing.assert_array_equal(file.cells[:, 1, 1], np.linspace(7.0, 8.0, n_frames))
        for index, name in enumerate(OBSERVABLES):
            np.testing.assert_array_equal(file.observable(name), np.arange(n_frames) + 0.1 * index)
        assert np.abs(file.positions() - positions).max() <= HALF_QUANTUM_A


def test_the_rounding_error_does_not_add_up(tmp_path):
    positions = walk(BLOCK_FRAMES, n_atoms=2)
    with TrajectoryFile(write(tmp_path / 'a.h5', positions)) as file:
        error = np.abs(file.positions() - positions).max(axis=(1, 2))
    assert error[-100:].max() <= HALF_QUANTUM_A
    assert error.max() > 0.1 * POSITION_QUANTUM_A


@pytest.fixture(scope='module')
def long_run(tmp_path_factory):
    positions = walk(2500)
    return positions, write(tmp_path_factory.mktemp('long') / 'a.h5', positions, chunks=3)


@pytest.mark.parametrize('atoms', [None, [10], [0, 1, 2], [7, 8, 9], [10, 0, 5], [3, 3], np.array([9, 10]), []])
@pytest.mark.parametrize(
    'frames',
    [
        slice(None),
        slice(0, 1),
        slice(-3, None),
        slice(998, 1003),
        slice(999, 1000),
        slice(1000, 1001),
        slice(None, None, 7),
        slice(5, 2400, 333),
        slice(None, None, -1),
        slice(2400, 10, -501),
        slice(5, 5),
        slice(3000, 4000),
    ],
)
def test_subsets(long_run, atoms, frames):
    positions, path = long_run
    with TrajectoryFile(path) as file:
        found = file.positions(atoms, frames)
    expected = positions[frames] if atoms is None else positions[frames][:, np.asarray(atoms, dtype=int)]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=HALF_QUANTUM_A)


def test_velocities(tmp_path):
    velocities = np.random.default_rng(1).normal(0.0, 0.01, (1500, 4, 3))
    with TrajectoryFile(write(tmp_path / 'a.h5', walk(1500, 4), velocities=velocities, chunks=4)) as file:
        assert file.has_velocities
        limit = 0.5 * VELOCITY_QUANTUM_A_PER_FS * 1.000001
        assert np.abs(file.velocities() - velocities).max() <= limit
        assert np.abs(file.velocities([2], slice(990, 1010)) - velocities[990:1010, [2]]).max() <= limit


def test_velocities_are_given_for_all_frames_or_none(tmp_path):
    with TrajectoryFile(write(tmp_path / 'a.h5', walk(3, 2))) as file, pytest.raises(KeyError):
        file.velocities()
    values = {name: np.zeros(1) for name in OBSERVABLES}
    for stored, given in ((True, None), (False, np.zeros((1, 2, 3)))):
        with (
            TrajectoryWriter(tmp_path / 'b.h5', [28, 1], timestep_fs=1.0, velocities=stored) as writer,
            pytest.raises(ValueError, match='velocities must be given for every frame, or for none'),
        ):
            writer.append([0], np.zeros((1, 2, 3)), np.eye(3)[None], values, given)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 3e4])
def test_positions_out_of_range_are_refused(tmp_path, value):
    positions = walk(2, 2)
    positions[1, 0, 0] = value
    with pytest.raises(ValueError, match='not finite or beyond 21475'):
        write(tmp_path / 'a.h5', positions)


def test_jumps_over_the_whole_range_survive_the_differences(tmp_path):
    positions = np.array([-21000.0, 21000.0, -21000.0])[:, None, None] * np.ones((3, 2, 3))
    with TrajectoryFile(write(tmp_path / 'a.h5', positions)) as file:
        np.testing.assert_allclose(file.positions(), positions, rtol=0, atol=HALF_QUANTUM_A)


def test_equal_content_gives_equal_bytes_however_it_was_appended(tmp_path):
    positions = walk(1203, 3)
    digests = [
        hashlib.sha256(write(tmp_path / f'{chunks}.h5', positions, chunks=chunks).read_bytes()).hexdigest()
        for chunks in (1, 1, 5)
    ]
    assert len(set(digests)) == 1
    other = positions.copy()
    other[500, 1, 2] += 2 * POSITION_QUANTUM_A
    assert hashlib.sha256(write(tmp_path / 'x.h5', other).read_bytes()).hexdigest() not in digests


def test_it_is_smaller_than_the_arrays(tmp_path):
    rng = np.random.default_rng(0)
    thermal = 50.0 + np.cumsum(rng.normal(0.0, 0.005, (2000, 8, 3)), axis=0)
    path = write(tmp_path / 'a.h5', thermal)
    assert path.stat().st_size < 0.45 * thermal.nbytes


def test_units_are_in_the_file(tmp_path):
    with h5py.File(write(tmp_path / 'a.h5', walk(2, 2))) as file:
        assert file['particles/all/position/value'].attrs['unit'] == 'angstrom'
        assert file['particles/all/position/value'].attrs['quantum'] == POSITION_QUANTUM_A
        assert file['observables/pressure/value'].attrs['unit'] == 'eV/angstrom^3'
        assert file['particles/all/step'].attrs['timestep_fs'] == 0.5


def test_an_empty_trajectory(tmp_path):
    with TrajectoryFile(write(tmp_path / 'a.h5', np.empty((0, 2, 3)))) as file:
        assert len(file) == 0
        assert file.positions().shape == (0, 2, 3)


@pytest.mark.parametrize('content', [b'', b'not HDF5 at all'])
def test_another_file_is_no_trajectory(tmp_path, content):
    path = tmp_path / 'a.h5'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='not a trajectory file of aiida-hdiff'):
        TrajectoryFile(path)


def test_another_hdf5_file_is_no_trajectory_and_is_closed_again(tmp_path):
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        file['x'] = [1.0]
    with pytest.raises(ValueError, match='not a trajectory file of aiida-hdiff'):
        TrajectoryFile(path)
    with h5py.File(path, 'a') as file:
        assert list(file) == ['x']


def test_a_truncated_trajectory_is_refused(tmp_path):
    path = write(tmp_path / 'a.h5', walk(100))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match='not a trajectory file of aiida-hdiff'):
        TrajectoryFile(path)


def join(tmp_path, *pieces, **kwargs):
    from contextlib import ExitStack

    with ExitStack() as stack:
        parts = [
            stack.enter_context(TrajectoryFile(write(tmp_path / f'part{index}.h5', positions, steps=steps, **kwargs)))
            for index, (positions, steps) in enumerate(pieces)
        ]
        concatenate(parts, tmp_path / 'joined.h5')
    return tmp_path / 'joined.h5'


def test_concatenated_segments_are_one_run(tmp_path):
    positions, steps = walk(2345, 3), 10 * np.arange(2345)
    cuts = (0, 700, 701, 2345)
    pieces = [(positions[a:b], steps[a:b]) for a, b in pairwise(cuts)]
    with TrajectoryFile(join(tmp_path, *pieces)) as file:
        np.testing.assert_array_equal(file.steps, steps)
        np.testing.assert_allclose(file.positions(), positions, rtol=0, atol=HALF_QUANTUM_A)


def test_concatenate_keeps_velocities(tmp_path):
    velocities = np.full((4, 2, 3), 0.25)
    positions = walk(4, 2)
    path = join(tmp_path, (positions, [0, 1, 2, 3]), (positions, [4, 5, 6, 7]), velocities=velocities)
    with TrajectoryFile(path) as file:
        np.testing.assert_array_equal(file.velocities(), np.full((8, 2, 3), 0.25))


@pytest.mark.parametrize(
    ('first', 'second', 'message'),
    [
        ([0, 10, 20], [40, 50, 60], 'frames are 20 steps apart where 10 was expected'),
        ([0, 10, 20], [20, 30, 40], 'frames are 0 steps apart where 10 was expected'),
        ([0, 10, 20], [10, 20, 30], 'frames are -10 steps apart where 10 was expected'),
        ([0, 10, 20], [30, 35, 40], 'frames are 5 steps apart where 10 was expected'),
    ],
)
def test_gaps_and_overlaps_are_refused(tmp_path, first, second, message):
    with pytest.raises(ValueError, match=message):
        join(tmp_path, (walk(3, 2), first), (walk(3, 2), second))


@pytest.mark.parametrize('change', [{'timestep_fs': 1.0}, {'numbers': [28, 6]}])
def test_segments_of_other_runs_are_refused(tmp_path, change):
    with (
        TrajectoryFile(write(tmp_path / 'a.h5', walk(2, 2))) as one,
        TrajectoryFile(write(tmp_path / 'b.h5', walk(2, 2), steps=[20, 30], **change)) as other,
        pytest.raises(ValueError, match='differ in their atoms or time step'),
    ):
        concatenate([one, other], tmp_path / 'c.h5')


@pytest.mark.parametrize(
    'frames',
    [slice(None), slice(3, 9), slice(0, None, 4), slice(7, 8), slice(9, 2, -3), slice(None, None, -1), slice(4, 4)],
)
def test_joined_segments_read_as_one(tmp_path, frames):
    positions = walk(13, n_atoms=4)
    ends = [0, 5, 6, 13]
    paths = [
        write(tmp_path / f'{a}.h5', positions[a:b], steps=10 * np.arange(a, b), velocities=positions[a:b] / 1e4)
        for a, b in pairwise(ends)
    ]
    parts = [TrajectoryFile(path) for path in paths]
    joined = JoinedTrajectory(parts)
    assert len(joined) == 13
    assert joined.has_velocities
    np.testing.assert_array_equal(joined.times_fs, 5.0 * np.arange(13))
    np.testing.assert_allclose(joined.positions([3, 1], frames), positions[frames][:, [3, 1]], atol=HALF_QUANTUM_A)
    np.testing.assert_allclose(
        joined.velocities(frames=frames), positions[frames] / 1e4, atol=VELOCITY_QUANTUM_A_PER_FS
    )
    assert joined.cells.shape == (13, 3, 3)
    assert joined.observable('temperature').shape == (13,)
    with pytest.raises(ValueError, match='steps apart'):
        JoinedTrajectory([parts[0], parts[2]])
