import numpy as np
import pytest

from aiida_hdiff.analysis import hydrogen_pairs, hydrogen_warnings
from aiida_hdiff.analysis import pairs as pairs_module

TRICLINIC = np.array([[9.0, 0.0, 0.0], [-3.5, 8.0, 0.0], [1.5, 2.0, 10.0]])
CUBE = 12.0 * np.eye(3)


def nearest_distances(positions, cell):
    """Distances of all pairs by trying every image, shape (n_frames, n_pairs)."""
    i, j = np.triu_indices(positions.shape[1], k=1)
    shifts = (np.array(list(np.ndindex(9, 9, 9))) - 4) @ cell
    wrapped = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
    separation = wrapped[:, j] - wrapped[:, i]
    return np.linalg.norm(separation[:, :, None] + shifts, axis=-1).min(axis=2)


@pytest.mark.parametrize('cutoff', [3.0, 5.5])
def test_equals_a_search_over_all_images(rng, cutoff, monkeypatch):
    positions = 40.0 * rng.normal(size=(25, 5, 3))
    distances = nearest_distances(positions, TRICLINIC)
    monkeypatch.setattr(pairs_module, 'CHUNK_DISTANCES', 60)
    result = hydrogen_pairs(positions, TRICLINIC, 100.0, cutoff_A=cutoff, window_ps=0.5)
    np.testing.assert_allclose(result.counts, (distances < cutoff).sum(axis=1).reshape(5, 5).mean(axis=1))
    assert result.min_distance_A == pytest.approx(distances.min())
    assert result.min_distance_time_ps == pytest.approx(0.1 * np.argmin(distances.min(axis=1)))
    np.testing.assert_allclose(result.times_ps, [0.25, 0.75, 1.25, 1.75, 2.25])


def test_varying_cells(rng):
    cells = TRICLINIC * rng.uniform(0.8, 1.2, size=(8, 1, 1))
    positions = rng.random((8, 6, 3)) @ cells
    result = hydrogen_pairs(positions, cells, 100.0, cutoff_A=4.0, window_ps=0.1)
    expected = [(nearest_distances(x[None], c) < 4.0).sum() for x, c in zip(positions, cells, strict=True)]
    np.testing.assert_allclose(result.counts, expected)


def test_ideal_gas_has_the_random_number_of_pairs_within_the_error(rng):
    positions = rng.random((20_000, 8, 3)) @ CUBE
    result = hydrogen_pairs(positions, CUBE, 20.0)
    assert result.random == pytest.approx(28 * 4 / 3 * np.pi * 27 / 12**3)
    assert abs(result.mean - result.random) < 4 * result.std_error
    assert result.std_error == pytest.approx(np.sqrt(result.random / 20_000), rel=0.4)
    assert hydrogen_warnings(result) == []


def test_the_blocked_error_of_slow_pairs_covers(rng):
    """Brownian atoms keep their pairs for picoseconds: frames are not independent, blocks are."""
    deviations = []
    for _ in range(30):
        steps = rng.normal(scale=0.2, size=(5000, 4, 3))
        result = hydrogen_pairs(np.cumsum(steps, axis=0) + 12 * rng.random((4, 3)), CUBE, 50.0)
        deviations.append((result.mean - result.random) / result.std_error)
    assert 0.5 < np.std(deviations) < 1.7


def test_a_molecule_among_atoms(rng):
    frames = 2000
    positions = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 4]]) + 0.05 * rng.normal(size=(frames, 3, 3))
    positions[700:900, 1] = positions[700:900, 0] + [0.75, 0, 0]
    result = hydrogen_pairs(positions, CUBE, 10.0)
    assert result.longest_bond_ps == pytest.approx(2.0)
    assert result.longest_bond_start_ps == pytest.approx(7.0)
    assert result.bond_fraction == pytest.approx(0.1)
    (warning,) = hydrogen_warnings(result)
    assert warning.kind == 'h2_formation'
    assert warning.time_ps == pytest.approx(7.0)
    assert '2 ps' in warning.message


@pytest.mark.parametrize('chunk', [2**18, 30])
def test_spells_over_chunks(monkeypatch, chunk):
    monkeypatch.setattr(pairs_module, 'CHUNK_DISTANCES', chunk)
    together = np.zeros(95, dtype=bool)
    together[[3, 4, 5, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 60]] = True
    positions = np.zeros((95, 2, 3))
    positions[:, 1, 0] = np.where(together, 0.7, 5.0)
    result = hydrogen_pairs(positions, CUBE, 100.0)
    assert result.longest_bond_ps == pytest.approx(1.4)
    assert result.longest_bond_start_ps == pytest.approx(1.8)
    assert result.bond_fraction == pytest.approx(18 / 95)
    assert result.counts.size == 9
    assert (result.formed, result.dissolved) == (1, 1)


def test_a_collision_is_no_molecule(rng):
    positions = np.array([[0, 0, 0], [4.0, 0, 0]]) + np.zeros((1000, 1, 1))
    positions[500:506, 1, 0] = 0.8
    result = hydrogen_pairs(positions, CUBE, 10.0)
    assert result.longest_bond_ps == pytest.approx(0.06)
    assert hydrogen_warnings(result) == []


def lattice_gas(rng, frames, energy):
    """Hydrogen on octahedral fcc sites (a = 3.52 Å), Metropolis with `energy` (kT) for each pair of neighbours."""
    sites = np.array([v for v in np.ndindex(6, 6, 6) if sum(v) % 2 == 0])
    neighbours = ((np.abs((sites[:, None] - sites + 3) % 6 - 3) ** 2).sum(axis=2) == 2).astype(float)
    table = [np.flatnonzero(row) for row in neighbours]
    occupied = rng.choice(len(sites), 8, replace=False)
    history = np.empty((frames, 8), dtype=int)
    for frame in range(frames):
        for _ in range(8):
            atom, old = (index := rng.integers(8)), occupied[index]
            new = rng.choice(table[old])
            others = np.delete(occupied, atom)
            change = energy * (neighbours[new, others].sum() - neighbours[old, others].sum())
            if new not in others and rng.random() < np.exp(-change):
                occupied[atom] = new
        history[frame] = occupied
    return sites[history] * 1.76 + 0.1 * rng.normal(size=(frames, 8, 3))


def test_clustering_is_told_from_a_lattice_gas(rng):
    cell = 10.56 * np.eye(3)
    free = hydrogen_pairs(lattice_gas(rng, 1500, 0.0), cell, 200.0)
    assert free.mean == pytest.approx(28 * 12 / 107, rel=0.1)
    assert hydrogen_warnings(free) == []
    bound = hydrogen_pairs(lattice_gas(rng, 1500, -2.5), cell, 200.0)
    (warning,) = hydrogen_warnings(bound)
    assert warning.kind == 'clustering'
    assert bound.mean > 2 * bound.random


def test_growing_clusters_and_frozen_pairs(rng):
    time = np.arange(4000)[:, None, None]
    corners = 6.0 * np.array(list(np.ndindex(2, 2, 2)))
    meet = 1.8 * np.array(list(np.ndindex(2, 2, 2))) + 3
    positions = np.where(time > 600 + 300 * np.arange(8)[None, :, None], meet, corners)
    result = hydrogen_pairs(positions + 0.1 * rng.normal(size=(4000, 8, 3)), CUBE, 20.0)
    (warning,) = hydrogen_warnings(result)
    assert warning.kind == 'clustering'
    assert 'formed' in warning.message
    frozen = np.zeros((4000, 2, 3))
    frozen[:, 1, 0] = 2.5
    assert hydrogen_warnings(hydrogen_pairs(frozen, CUBE, 20.0)) == []


def test_a_single_atom_and_too_few_windows(rng):
    result = hydrogen_pairs(rng.normal(size=(300, 1, 3)), CUBE, 10.0)
    np.testing.assert_array_equal(result.counts, np.zeros(3))
    assert (result.mean, result.random, result.longest_bond_ps) == (0.0, 0.0, 0.0)
    assert np.isnan(result.min_distance_A)
    assert np.isnan(result.std_error)
    assert hydrogen_warnings(result) == []


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'cutoff_A': 0.0}, 'cutoff_A must be positive, not 0.0'),
        ({'bond_A': -1.0}, 'bond_A must be positive, not -1.0'),
        ({'window_ps': 0.0}, 'window_ps must be positive, not 0.0'),
        ({'window_ps': 2.0}, 'the run of 1 ps is shorter than one window of 2 ps: give a shorter window_ps'),
        ({'timestep_fs': 0.0}, 'timestep_fs must be positive'),
        ({'positions': np.full((3, 2, 3), np.nan)}, 'not finite'),
    ],
)
def test_refuses(changes, message):
    arguments = {'positions': np.zeros((100, 2, 3)), 'cells': CUBE, 'timestep_fs': 10.0, **changes}
    with pytest.raises(ValueError, match=message):
        hydrogen_pairs(**arguments)
