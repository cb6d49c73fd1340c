"""MDTrajectory."""

import io

import numpy as np
import pytest
from aiida import orm
from ase import units

from aiida_hdiff.data.trajectory import MDTrajectory

POSITIONS = np.random.default_rng(0).normal(5.0, 2.0, (12, 4, 3))
VELOCITIES = np.random.default_rng(1).normal(0.0, 0.01, (12, 4, 3))
SETTINGS = {
    'numbers': [28, 28, 1, 28],
    'steps': 20 * np.arange(12) + 40,
    'timestep_fs': 0.5,
    'potential_energy': -np.arange(12.0),
    'temperature': 300.0 + np.arange(12),
}


@pytest.fixture
def node(generate_trajectory):
    return generate_trajectory(POSITIONS, **SETTINGS)


def test_attributes(node):
    assert node.base.attributes.all == {
        'filename': 'trajectory.h5',
        'n_frames': 12,
        'n_atoms': 4,
        'composition': {'H': 1, 'Ni': 3},
        'timestep_fs': 0.5,
        'first_step': 40,
        'last_step': 260,
        'has_velocities': False,
        **({'content': node.base.attributes.get('content')} if 'content' in node.base.attributes.all else {}),
    }
    assert (node.n_frames, node.n_atoms, node.frame_interval_fs) == (12, 4, 10.0)
    assert node.numbers.tolist() == [28, 28, 1, 28]


def test_queries(node):
    node.store()
    filters = {'attributes.composition.H': 1, 'attributes.n_frames': 12, 'attributes.last_step': 260}
    assert [node.pk] in orm.QueryBuilder().append(MDTrajectory, filters=filters, project='id').all()
    none = {**filters, 'attributes.composition.H': 2}
    assert orm.QueryBuilder().append(MDTrajectory, filters=none).count() == 0


def test_random_access_before_and_after_storing(node):
    for _ in range(2):
        np.testing.assert_allclose(node.get_positions(), POSITIONS, atol=6e-6)
        np.testing.assert_allclose(node.get_positions([2], slice(3, 9, 2)), POSITIONS[3:9:2, [2]], atol=6e-6)
        node.store()


def test_to_ase(generate_trajectory):
    node = generate_trajectory(POSITIONS, velocities=VELOCITIES, **SETTINGS)
    images = node.to_ase(slice(2, None, 5))
    assert [image.info['time_fs'] for image in images] == [40.0, 90.0]
    assert [image.info['MD_energy'] for image in images] == [-2.0, -7.0]
    assert [image.info['MD_temperature'] for image in images] == [302.0, 307.0]
    assert images[0].get_chemical_symbols() == ['Ni', 'Ni', 'H', 'Ni']
    assert all(images[0].pbc)
    np.testing.assert_allclose(images[1].positions, POSITIONS[7], atol=6e-6)
    np.testing.assert_allclose(images[1].get_velocities() * units.fs, VELOCITIES[7], atol=1e-8)
    np.testing.assert_array_equal(images[1].cell.array, 7.04 * np.eye(3))


def test_to_ase_without_velocities(node):
    assert not node.to_ase(slice(0, 1))[0].has('momenta')


def test_to_trajectory_data(node):
    data = node.to_trajectory_data(slice(None, None, 4))
    assert not data.is_stored
    assert data.symbols == ['Ni', 'Ni', 'H', 'Ni']
    np.testing.assert_allclose(data.get_positions(), POSITIONS[::4], atol=6e-6)
    np.testing.assert_allclose(data.get_times(), [0.02, 0.06, 0.10])
    np.testing.assert_array_equal(data.get_stepids(), [40, 120, 200])
    assert data.store().pk


@pytest.mark.parametrize('n_frames', [0, 1])
def test_short_trajectories(generate_trajectory, n_frames):
    node = generate_trajectory(POSITIONS[:n_frames])
    assert node.n_frames == n_frames
    assert np.isnan(node.frame_interval_fs)
    assert node.base.attributes.get('first_step') == (0 if n_frames else None)
    assert len(node.to_ase()) == n_frames


@pytest.mark.parametrize('content', [b'', b'something else'])
def test_another_file_is_refused(content):
    with pytest.raises(ValueError, match='not a trajectory file of aiida-hdiff'):
        MDTrajectory(io.BytesIO(content))


def test_the_name_of_the_file_is_always_the_same(write_trajectory):
    path = write_trajectory(POSITIONS)
    one, other = MDTrajectory(path), MDTrajectory(io.BytesIO(path.read_bytes()), filename='other.h5')
    assert one.filename == other.filename == 'trajectory.h5'
    assert one.store().base.caching.get_hash() == other.store().base.caching.get_hash()


def test_another_frame_gives_another_hash(generate_trajectory):
    changed = POSITIONS.copy()
    changed[5, 2, 1] += 1e-4
    hashes = {
        node.store().base.caching.get_hash()
        for node in (
            generate_trajectory(POSITIONS),
            generate_trajectory(changed),
            generate_trajectory(POSITIONS, timestep_fs=2.0),
        )
    }
    assert len(hashes) == 3
