import numpy as np
import pytest

from aiida_hdiff.analysis import axial_diffusion, diffusion_coefficient, hexagonal_axis

from .models import brownian, lattice_walk

DT = 0.1
HCP = np.array([[3.2, 0.0, 0.0], [-1.6, 1.6 * np.sqrt(3), 0.0], [0.0, 0.0, 5.2]])


def rotation(rng):
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


def test_hcp_walk_in_any_orientation(rng):
    a, c, rate = 3.2, 2.6, 0.8
    angles = np.arange(6) * np.pi / 3
    basal = np.stack([a * np.cos(angles), a * np.sin(angles), np.zeros(6)], axis=1)
    jumps = np.concatenate([basal, [[0, 0, c], [0, 0, -c]]])
    walk = lattice_walk(rng, 20_001, 8, DT, rate, jumps, np.array([0.1] * 6 + [0.2] * 2))
    turn = rotation(rng)
    result = axial_diffusion(walk @ turn.T, 1000 * DT, 7.0 * turn[:, 2])
    in_plane, along = 0.6 * a**2 / 4 * rate * 1e-8, 0.4 * c**2 / 2 * rate * 1e-8
    assert abs(result.basal - in_plane) < 3 * result.basal_std_error
    assert abs(result.axial - along) < 3 * result.axial_std_error
    assert result.basal_std_error < 0.04 * in_plane
    assert result.mean == pytest.approx((2 * result.basal + result.axial) / 3)
    plain = diffusion_coefficient(walk, 1000 * DT)
    assert result.mean == pytest.approx(plain.value, rel=1e-9)
    assert result.mean_std_error == pytest.approx(plain.std_error, rel=1e-6)
    np.testing.assert_allclose(result.axis, turn[:, 2])


def test_cartesian_axis_gives_the_diagonal_and_the_drift_is_removed(rng):
    positions = brownian(rng, 4001, 4, DT, 1.0)
    drift = np.linspace(0.0, 40.0, 4001)[:, None, None]
    plain = diffusion_coefficient(positions, 1000 * DT)
    result = axial_diffusion(positions + drift, 1000 * DT, [0, 1, 0], host_positions=np.zeros((4001, 3, 3)) + drift)
    assert result.axial == pytest.approx(plain.per_axis[1], rel=1e-6)
    assert result.axial_std_error == pytest.approx(plain.per_axis_std_error[1], rel=1e-6)
    assert result.basal == pytest.approx(plain.per_axis[[0, 2]].mean(), rel=1e-6)


@pytest.mark.parametrize('axis', [[0, 0, 0], [1, 2], [0, np.nan, 1]])
def test_refuses_an_axis_without_direction(axis):
    with pytest.raises(ValueError, match='axis must be three finite numbers that are not all zero'):
        axial_diffusion(np.zeros((2000, 1, 3)), 1000 * DT, axis)


def test_hexagonal_axis(rng):
    turn = rotation(rng)
    for cell in (HCP, HCP * [[4], [3], [2]], HCP[[2, 0, 1]], HCP @ turn.T):
        axis = hexagonal_axis(cell)
        expected = turn[:, 2] if cell[2] @ turn[:, 2] == pytest.approx(5.2) else np.array([0, 0, 1])
        np.testing.assert_allclose(axis, expected, atol=1e-9)


@pytest.mark.parametrize(
    'cell',
    [
        np.eye(3),
        [[0, 1, 1], [1, 0, 1], [1, 1, 0]],
        [[1, 0, 0], [0.5, 0.87, 0], [0.3, 0, 2.0]],
        np.diag([3.0, 4.0, 5.0]),
    ],
    ids=['cubic', 'fcc primitive', 'monoclinic', 'orthorhombic'],
)
def test_other_cells_have_no_hexagonal_axis(cell):
    assert hexagonal_axis(cell) is None
