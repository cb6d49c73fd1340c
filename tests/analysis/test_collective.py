import numpy as np
import pytest

from aiida_hdiff.analysis import collective_diffusion, diffusion_coefficient, haven_ratio
from aiida_hdiff.analysis.blocking import block_means
from aiida_hdiff.analysis.einstein import LagWindow, einstein_series
from tests.analysis.models import brownian

WINDOW = {'window_ps': (0.2, 1.0), 'jump_length_A': 0.5}


@pytest.mark.parametrize('n_atoms', [2, 8])
def test_independent_walkers_have_a_haven_ratio_of_one(rng, n_atoms):
    """Over many runs the claimed error is the scatter, and 68 % of the intervals hold one."""
    pairs = [
        haven_ratio(brownian(rng, 1000, n_atoms, timestep=0.02, diffusion=1.0), 20.0, window_ps=(0.2, 0.3))
        for _ in range(220)
    ]
    ratios, errors = np.array(pairs).T
    scatter = ratios.std(ddof=1)
    assert abs(ratios.mean() - 1.0) < 0.25 * scatter
    assert 0.85 < errors.mean() / scatter < 1.2
    assert 0.6 < np.mean(np.abs(ratios - 1.0) < errors) < 0.8


def test_the_covariance_of_both_coefficients_is_counted(rng):
    """Of two walkers the relative error of D_J is √2 times that of D*; half of its variance is shared with D*."""
    options, found = {'window_ps': (0.2, 0.3), 'jump_length_A': 0.5}, []
    for _ in range(40):
        positions = brownian(rng, 3000, 2, timestep=0.02, diffusion=1.0)
        tracer = diffusion_coefficient(positions, 20.0, **options)
        collective = collective_diffusion(positions, 20.0, **options).diffusion
        ratio, error = haven_ratio(positions, 20.0, window_ps=(0.2, 0.3))
        assert ratio == pytest.approx(tracer.value / collective.value, rel=1e-9)
        found.append((tracer.std_error / tracer.value, collective.std_error / collective.value, error / ratio))
    of_tracer, of_collective, of_ratio = np.mean(found, axis=0)
    assert of_collective / of_tracer == pytest.approx(np.sqrt(2.0), rel=0.15)
    assert of_ratio / np.hypot(of_tracer, of_collective) == pytest.approx(np.sqrt(1.0 / 3.0), rel=0.15)


def test_the_error_is_that_of_a_jackknife(rng):
    """Leave a block of origins out of both coefficients at a time."""
    positions = brownian(rng, 20_000, 4, timestep=0.02, diffusion=1.0)
    window = LagWindow(10, 15)
    centre = 2.0 * positions.mean(axis=1, keepdims=True)
    tracer, collective = (
        block_means(einstein_series(one, 0.02, [window])[window].pooled, 30) for one in (positions, centre)
    )
    left_out = (tracer.sum() - tracer) / (collective.sum() - collective)
    jackknife = np.sqrt(29 / 30 * np.sum((left_out - left_out.mean()) ** 2))
    assert haven_ratio(positions, 20.0, window_ps=(0.2, 0.3))[1] == pytest.approx(jackknife, rel=0.3)


def test_atoms_that_move_together(rng):
    walk = brownian(rng, 6000, 1, timestep=0.02, diffusion=1.0)
    positions = walk + 5 * np.arange(4)[None, :, None]
    tracer = diffusion_coefficient(positions, 20.0, **WINDOW)
    collective = collective_diffusion(positions, 20.0, **WINDOW)
    assert collective.diffusion.value == pytest.approx(4 * tracer.value, rel=1e-9)
    ratio, error = haven_ratio(positions, 20.0, window_ps=(0.2, 1.0))
    assert ratio == pytest.approx(0.25)
    assert error == pytest.approx(0.0, abs=1e-9)
    assert collective.msd.msd[50] == pytest.approx(4 * np.mean(((walk[50:] - walk[:-50]) ** 2).sum(axis=2)), rel=1e-6)


def test_one_atom_is_its_own_collective(rng):
    positions = brownian(rng, 3000, 1, timestep=0.02, diffusion=1.0)
    tracer = diffusion_coefficient(positions, 20.0, **WINDOW)
    assert collective_diffusion(positions, 20.0, **WINDOW).diffusion.value == pytest.approx(tracer.value)


def test_a_still_centre_is_not_resolved(rng):
    """Counter-motion: the sum of both atoms never moves."""
    walk = brownian(rng, 3000, 1, timestep=0.02, diffusion=1.0)
    positions = np.concatenate([walk, -walk], axis=1) + 0.1 * rng.normal(size=(3000, 2, 3))
    result = collective_diffusion(positions, 20.0, **WINDOW).diffusion
    assert result.status == 'not_resolved'
    assert result.reason


def test_the_drift_of_the_host_is_removed(rng):
    positions = brownian(rng, 3000, 4, timestep=0.02, diffusion=1.0)
    drift = 0.05 * np.arange(3000)[:, None, None] * np.array([1.0, 0.3, 0.0])
    host = np.zeros((3000, 3, 3)) + drift
    still = collective_diffusion(positions, 20.0, **WINDOW)
    moving = collective_diffusion(positions + drift, 20.0, host_positions=host, **WINDOW)
    assert moving.diffusion.value == pytest.approx(still.diffusion.value, rel=1e-6)


def test_the_drift_of_the_host_does_not_change_the_ratio(rng):
    positions = brownian(rng, 3000, 4, timestep=0.02, diffusion=1.0)
    drift = 0.05 * np.arange(3000)[:, None, None] * np.array([1.0, 0.3, 0.0])
    still = haven_ratio(positions, 20.0, window_ps=(0.2, 1.0))
    moving = haven_ratio(positions + drift, 20.0, host_positions=np.zeros((3000, 3, 3)) + drift, window_ps=(0.2, 1.0))
    assert moving == pytest.approx(still, rel=1e-6)


def test_ratios_that_are_refused(rng):
    positions = brownian(rng, 3000, 2, timestep=0.02, diffusion=1.0)
    with pytest.raises(ValueError, match='at least two atoms: one is its own collective'):
        haven_ratio(positions[:, :1], 20.0, window_ps=(0.2, 1.0))
    with pytest.raises(ValueError, match='ends at 10 ps, but the run is only 60 ps long'):
        haven_ratio(positions, 20.0, window_ps=(2.0, 10.0))
    still = np.concatenate([positions[:, :1], -positions[:, :1]], axis=1)
    with pytest.raises(ValueError, match='the centre of the atoms does not diffuse'):
        haven_ratio(still, 20.0, window_ps=(0.2, 1.0))
