import numpy as np
import pytest
from scipy.special import erf

from aiida_hdiff.analysis import mean_squared_displacement, van_hove_self
from tests.analysis.models import CUBIC, brownian, lattice_walk


def maxwell(edges, variance):
    """Integrals of 4πr²G_s between the edges for a Gaussian of that variance per axis."""
    x = edges / np.sqrt(2 * variance)
    return np.diff(erf(x) - 2 / np.sqrt(np.pi) * x * np.exp(-x * x))


def test_brownian_motion_is_gaussian(rng):
    positions = brownian(rng, 40_000, 8, timestep=0.01, diffusion=0.5)
    result = van_hove_self(positions, 10.0, [0.1, 1.0], bins=60)
    width = np.diff(result.edges_A)
    np.testing.assert_allclose(result.density @ width, 1.0)
    for density, lag in zip(result.density, result.lags_ps, strict=True):
        expected = maxwell(result.edges_A, 2 * 0.5 * lag)
        np.testing.assert_allclose(density * width, expected, atol=6 * np.sqrt(expected.max() * lag / 400 / 8))
    np.testing.assert_allclose(result.non_gaussian, 0.0, atol=0.05)
    np.testing.assert_allclose(result.r_A, 0.5 * (result.edges_A[1:] + result.edges_A[:-1]))


def test_rare_hops_have_two_peaks_and_a_known_non_gaussian_parameter(rng):
    rate, jump, lag = 0.2, 2.5, 1.0
    positions = lattice_walk(rng, 100_000, 8, 0.01, rate, jump * CUBIC)
    result = van_hove_self(positions, 10.0, [lag], r_max_A=4.0, bins=16)
    probability = result.density[0] * 0.25
    assert probability[0] == pytest.approx(np.exp(-rate * lag), rel=0.02)
    assert probability[10] == pytest.approx(rate * lag * np.exp(-rate * lag), rel=0.15)
    assert probability[[3, 4, 5, 6, 7, 8]].sum() == 0.0
    # compound Poisson process: <r²> = m a², <r⁴> = m a⁴ + 5/3 m² a⁴
    assert result.non_gaussian[0] == pytest.approx(0.6 / (rate * lag), rel=0.1)


def test_second_moment_is_the_msd(rng):
    positions = brownian(rng, 5000, 3, timestep=0.01, diffusion=1.0)
    result = van_hove_self(positions, 10.0, [0.5], bins=2000)
    moment = (result.density[0] * result.r_A**2).sum() * np.diff(result.edges_A)[0]
    assert moment == pytest.approx(mean_squared_displacement(positions, 10.0, max_lag=50).msd[50], rel=1e-3)


def test_atoms_at_rest():
    result = van_hove_self(np.ones((20, 2, 3)), 100.0, [1.0])
    np.testing.assert_array_equal(result.non_gaussian, [0.0])
    assert (result.density[0] > 0).sum() == 1
    assert result.density[0].sum() * np.diff(result.edges_A)[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'lags_ps': []}, 'lags_ps is empty'),
        ({'lags_ps': [1.0, 3.0]}, 'lags_ps must lie within 0 and 1.9 ps, not 3.0'),
        ({'lags_ps': [-1.0]}, 'not -1.0'),
        ({'bins': 0}, 'bins must be positive, not 0'),
        ({'r_max_A': 0.0}, 'r_max_A must be positive, not 0.0'),
    ],
)
def test_refuses(changes, message):
    arguments = {'lags_ps': [1.0], **changes}
    with pytest.raises(ValueError, match=message):
        van_hove_self(np.zeros((20, 1, 3)), 100.0, **arguments)
