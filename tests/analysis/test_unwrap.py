import numpy as np
import pytest

from aiida_hdiff.analysis import remove_host_drift, unwrap_positions

from .models import brownian

TRICLINIC = np.array([[6.0, 0.0, 0.0], [-2.5, 5.5, 0.0], [1.0, 1.5, 7.0]])


def wrap(positions, cells):
    scaled = positions @ np.linalg.inv(cells)
    return scaled - np.floor(scaled)


@pytest.mark.parametrize('scaled', [True, False])
def test_triclinic_round_trip(rng, scaled):
    positions = brownian(rng, 3000, 5, 1.0, 0.02)
    positions += wrap(positions[:1], TRICLINIC) @ TRICLINIC - positions[:1]
    wrapped = wrap(positions, TRICLINIC)
    given = wrapped if scaled else wrapped @ TRICLINIC
    before = given.copy()
    np.testing.assert_allclose(unwrap_positions(given, TRICLINIC, scaled=scaled), positions, atol=1e-10)
    np.testing.assert_array_equal(given, before)


def test_varying_cells_preserve_the_displacements(rng):
    cells = TRICLINIC * (1 + 0.01 * rng.normal(size=(2000, 1, 1)))
    positions = brownian(rng, 2000, 4, 1.0, 0.01)
    wrapped = wrap(positions, cells) @ cells
    unwrapped = unwrap_positions(wrapped, cells)
    raw = np.diff(wrapped, axis=0)
    displacements = np.diff(unwrapped, axis=0)
    inside = np.all(np.abs(raw @ np.linalg.inv(cells[1:])) < 0.5, axis=2)
    assert 0.5 < inside.mean() < 1.0
    np.testing.assert_allclose(displacements[inside], raw[inside], atol=1e-10)
    images = (displacements - raw) @ np.linalg.inv(cells[1:])
    np.testing.assert_allclose(images, np.round(images), atol=1e-8)
    assert np.abs(displacements).max() < 2.5


def test_a_breathing_cell_does_not_move_a_distant_atom(rng):
    cells = 10.0 * np.eye(3) * (1 + 0.01 * rng.normal(size=(5000, 1, 1)))
    steps = 0.1 * rng.normal(size=(5000, 1, 3))
    walk = 5.0 + np.cumsum(steps, axis=0)
    wrapped = np.empty_like(walk)
    position = walk[0].copy()
    for frame in range(5000):
        if frame:
            position = position + steps[frame]
        position = wrap(position, cells[frame]) @ cells[frame]
        wrapped[frame] = position
    np.testing.assert_allclose(unwrap_positions(wrapped, cells), wrapped[0] + walk - walk[0], atol=1e-9)


def test_fixed_cell_equals_the_same_cell_every_frame(rng):
    wrapped = wrap(brownian(rng, 50, 3, 1.0, 0.1), TRICLINIC) @ TRICLINIC
    np.testing.assert_allclose(
        unwrap_positions(wrapped, TRICLINIC),
        unwrap_positions(wrapped, np.repeat(TRICLINIC[None], 50, axis=0)),
    )


def test_single_frame_is_returned():
    positions = np.full((1, 2, 3), 0.5)
    np.testing.assert_allclose(unwrap_positions(positions, TRICLINIC), positions)


def test_host_drift(rng):
    atoms, host = brownian(rng, 40, 2, 1.0, 0.1), rng.normal(size=(1, 6, 3))
    drift = rng.normal(size=(40, 1, 3))
    moved = remove_host_drift(atoms + drift, host + drift)
    np.testing.assert_allclose(moved, atoms + drift[0], atol=1e-12)


def test_refuses():
    with pytest.raises(ValueError, match=r'cells must have shape \(3, 3\) or \(4, 3, 3\), not \(2, 3, 3\)'):
        unwrap_positions(np.zeros((4, 1, 3)), np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match='cells must have a finite, non-zero volume'):
        unwrap_positions(np.zeros((4, 1, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match='positions have 4 frames, host_positions 3'):
        remove_host_drift(np.zeros((4, 1, 3)), np.zeros((3, 1, 3)))
