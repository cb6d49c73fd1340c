import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_hdiff.analysis import radial_distribution, radial_distribution_of_blocks
from aiida_hdiff.analysis import rdf as rdf_module

TRICLINIC = np.array([[9.0, 0.0, 0.0], [-3.5, 8.0, 0.0], [1.5, 2.0, 10.0]])
FCC_BASIS = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def ideal_gas(rng, n_frames, n_atoms, cell):
    return rng.random((n_frames, n_atoms, 3)) @ cell


@pytest.mark.parametrize('r_max', [3.0, 7.5])
@pytest.mark.parametrize('cell', [9.0 * np.eye(3), TRICLINIC], ids=['cubic', 'triclinic'])
def test_ideal_gas_is_one_also_beyond_the_in_sphere(rng, cell, r_max):
    numbers = [1] * 6 + [12] * 30
    result = radial_distribution(
        ideal_gas(rng, 1500, 36, cell), cell, numbers, [(1, 1), (1, 12), (12, 12)], r_max=r_max, bins=10
    )
    volume = abs(np.linalg.det(cell))
    shells = np.diff(4 / 3 * np.pi * result.edges**3) / volume
    for pair, n_pairs in {(1, 1): 6 * 5, (1, 12): 6 * 30, (12, 12): 30 * 29}.items():
        noise = np.sqrt(2 / (1500 * n_pairs * shells))
        np.testing.assert_array_less(np.abs(result.g[pair] - 1.0), 5 * noise)
    sphere = 4 / 3 * np.pi * r_max**3 / volume
    assert result.coordination[1, 12][-1] == pytest.approx(30 * sphere, rel=0.01)
    assert result.coordination[1, 1][-1] == pytest.approx(5 * sphere, rel=0.02)


@pytest.mark.parametrize('cell', ['conventional', 'primitive', 'supercell'])
def test_shells_of_fcc(cell):
    a = 3.52
    if cell == 'primitive':
        vectors, scaled = a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), np.zeros((1, 3))
    else:
        n = 3 if cell == 'supercell' else 1
        offsets = np.array(list(np.ndindex(n, n, n)))
        vectors, scaled = n * a * np.eye(3), (offsets[:, None] + FCC_BASIS).reshape(-1, 3) / n
    positions = (scaled @ vectors)[None]
    result = radial_distribution(positions, vectors, [28] * len(scaled), [(28, 28)], r_max=1.3 * a, bins=260)
    counts = np.interp([0.85 * a, 1.1 * a, 1.28 * a], result.edges[1:], result.coordination[28, 28])
    np.testing.assert_allclose(np.diff(counts, prepend=0.0), [12, 6, 24])


def test_equals_an_explicit_sum_over_images(rng):
    positions = ideal_gas(rng, 2, 7, TRICLINIC) + 100.0
    numbers = np.array([1, 1, 12, 1, 12, 12, 12])
    edges = np.linspace(0, 12.0, 25)
    shifts = (np.array(list(np.ndindex(9, 9, 9))) - 4) @ TRICLINIC
    wrapped = positions - np.floor(positions @ np.linalg.inv(TRICLINIC)) @ TRICLINIC
    result = radial_distribution(positions, TRICLINIC, numbers, [(1, 12), (12, 1), (12, 12)], r_max=12.0, bins=24)
    for a, b in [(1, 12), (12, 1), (12, 12)]:
        separations = wrapped[:, None, numbers == b] - wrapped[:, numbers == a][:, :, None]
        distances = np.linalg.norm(separations[..., None, :] + shifts, axis=-1)
        counts = np.histogram(distances[distances > 1e-9], edges)[0] / np.sum(numbers == a) / 2
        np.testing.assert_allclose(result.coordination[a, b], np.cumsum(counts))
    np.testing.assert_allclose(result.g[1, 12], result.g[12, 1], rtol=1e-12)


def test_varying_cells_and_chunks(rng, monkeypatch):
    cells = TRICLINIC * rng.uniform(0.9, 1.1, size=(6, 1, 1))
    positions = rng.random((6, 5, 3)) @ cells
    numbers = [1, 1, 12, 12, 12]
    pairs = [(1, 12), (12, 12)]
    result = radial_distribution(positions, cells, numbers, pairs, r_max=6.0, bins=12)
    monkeypatch.setattr(rdf_module, 'CHUNK_FRAMES', 2)
    chunked = radial_distribution(positions, cells, numbers, pairs, r_max=6.0, bins=12)
    single = [
        radial_distribution(x[None], cell, numbers, pairs, r_max=6.0, bins=12)
        for x, cell in zip(positions, cells, strict=True)
    ]
    for pair in pairs:
        np.testing.assert_allclose(chunked.g[pair], result.g[pair])
        expected = np.mean([one.coordination[pair] for one in single], axis=0)
        np.testing.assert_allclose(result.coordination[pair], expected)


@pytest.mark.parametrize('r_max', [3.0, 4.5, 11.0])
@pytest.mark.parametrize('varying', [False, True], ids=['fixed', 'varying'])
@pytest.mark.parametrize('step', [0.05, 3.0], ids=['vibrating', 'running'])
def test_equals_the_neighbour_list_of_ase(rng, r_max, varying, step):
    """However far the atoms move within a chunk of frames, and whether or not they are wrapped."""
    cells = TRICLINIC * (rng.uniform(0.85, 1.15, size=(12, 1, 1)) if varying else np.ones((12, 1, 1)))
    positions = rng.random((9, 3)) @ TRICLINIC + np.cumsum(step * rng.normal(size=(12, 9, 3)), axis=0)
    positions[6:] += rng.integers(-2, 3, size=(6, 9, 3)) @ cells[6:]
    numbers = np.array([1, 12, 12, 1, 12, 12, 1, 12, 12])
    result = radial_distribution(
        positions, cells if varying else TRICLINIC, numbers, [(1, 12), (12, 12), (1, 1)], r_max=r_max, bins=40
    )
    counts = {pair: np.zeros(40) for pair in result.g}
    for frame, cell in zip(positions, cells, strict=True):
        i, j, d = neighbor_list('ijd', Atoms(numbers, frame, cell=cell, pbc=True), r_max)
        for (a, b), count in counts.items():
            counts[a, b] = count + np.histogram(d[(numbers[i] == a) & (numbers[j] == b)], result.edges)[0]
    for (a, b), count in counts.items():
        expected = np.cumsum(count) / 12 / np.sum(numbers == a)
        np.testing.assert_allclose(result.coordination[a, b], expected, rtol=1e-12)


def test_blocks_of_frames_are_one_run(rng):
    positions, numbers = ideal_gas(rng, 30, 6, TRICLINIC), [1, 1, 12, 12, 12, 12]
    whole = radial_distribution(positions, TRICLINIC, numbers, [(1, 12)], r_max=5.0, bins=10)
    blocks = [(positions[:11], TRICLINIC[None]), (positions[11:], TRICLINIC[None])]
    parts = radial_distribution_of_blocks(blocks, numbers, [(1, 12)], r_max=5.0, bins=10)
    np.testing.assert_allclose(parts.g[1, 12], whole.g[1, 12], rtol=1e-12)
    with pytest.raises(ValueError, match='there is no frame'):
        radial_distribution_of_blocks([], numbers, [(1, 12)], r_max=5.0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'numbers': [1, 12]}, r'numbers must have shape \(3,\), not \(2,\)'),
        ({'pairs': [(1, 99)]}, 'no atom has the atomic number 99'),
        ({'r_max': 0.0}, 'r_max must be positive, not 0.0'),
        ({'bins': 0}, 'bins must be positive, not 0'),
        ({'cells': np.eye(2)}, r'cells must have shape \(3, 3\) or \(2, 3, 3\), not \(2, 2\)'),
        ({'cells': np.zeros((3, 3))}, 'cells must have a finite, non-zero volume'),
    ],
)
def test_refuses(changes, message):
    arguments = {
        'cells': np.eye(3),
        'numbers': [1, 1, 12],
        'pairs': [(1, 12)],
        'r_max': 1.0,
        'bins': 10,
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        radial_distribution(np.zeros((2, 3, 3)), **arguments)
