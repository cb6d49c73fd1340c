import numpy as np
import pytest

from aiida_hdiff.analysis import collective_diffusion, diffusion_coefficient, haven_ratio
from tests.analysis.models import brownian

WINDOW = {'window_ps': (0.2, 1.0), 'jump_length_A': 0.5}


def test_independent_walkers_have_a_haven_ratio_of_one(rng):
    """Over many runs the deviations from one, in units of the claimed error, are a standard normal sample."""
    deviations, tracer_errors, collective_errors = [], [], []
    for _ in range(60):
        positions = brownian(rng, 3000, 8, timestep=0.02, diffusion=1.0)
        tracer = diffusion_coefficient(positions, 20.0, **WINDOW)
        collective = collective_diffusion(positions, 20.0, **WINDOW).diffusion
        if collective.status != 'resolved':
            continue
        ratio, error = haven_ratio(tracer.value, tracer.std_error, collective.value, collective.std_error)
        deviations.append((1 / ratio - 1) / (error / ratio))
        tracer_errors.append(tracer.std_error)
        collective_errors.append(collective.std_error)
    assert len(deviations) > 50
    assert abs(np.mean(deviations)) < 4 / np.sqrt(60)
    assert 0.55 < np.std(deviations) < 1.35
    assert np.mean(collective_errors) / np.mean(tracer_errors) == pytest.approx(np.sqrt(8), rel=0.3)


def test_atoms_that_move_together(rng):
    walk = brownian(rng, 6000, 1, timestep=0.02, diffusion=1.0)
    positions = walk + 5 * np.arange(4)[None, :, None]
    tracer = diffusion_coefficient(positions, 20.0, **WINDOW)
    collective = collective_diffusion(positions, 20.0, **WINDOW)
    assert collective.diffusion.value == pytest.approx(4 * tracer.value, rel=1e-9)
    assert haven_ratio(tracer.value, 0.0, collective.diffusion.value, 0.0)[0] == pytest.approx(0.25)
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


def test_error_of_the_ratio():
    ratio, error = haven_ratio(2.0, 0.06, 4.0, 0.32)
    assert ratio == pytest.approx(0.5)
    assert error == pytest.approx(0.5 * np.hypot(0.03, 0.08))


@pytest.mark.parametrize('arguments', [(0.0, 0.1, 1.0, 0.1), (1.0, 0.1, -1.0, 0.1), (1.0, -0.1, 1.0, 0.1)])
def test_refuses(arguments):
    with pytest.raises(ValueError, match='must'):
        haven_ratio(*arguments)
