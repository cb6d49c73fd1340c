"""How long a run must be, against the errors that runs really have."""

import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_coefficient
from aiida_hdiff.analysis.planning import expected_relative_error, next_production_ps, required_production_ps


@pytest.mark.parametrize(('rate_per_ps', 'length_ps'), [(1.0, 400.0), (0.03, 1000.0)])
def test_expected_error_is_that_of_hopping_atoms(rate_per_ps, length_ps):
    """Random walks on a cubic lattice of 3 Å with vibrations; D = Γ a²/6; the scatter of 40 runs is known to 11 %."""
    n_atoms, frame_ps, step_A = 8, 0.1, 3.0
    n_frames = int(length_ps / frame_ps)
    values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        hops = rng.poisson(rate_per_ps * frame_ps, (n_frames, n_atoms))
        walk = np.zeros((n_frames, n_atoms, 3))
        for _ in range(hops.max()):
            moves = rng.choice([-step_A, step_A], (n_frames, n_atoms)) * (hops > 0)
            axis = rng.integers(0, 3, (n_frames, n_atoms))
            for k in range(3):
                walk[..., k] += moves * (axis == k)
            hops = hops - (hops > 0)
        positions = np.cumsum(walk, axis=0) + rng.normal(0.0, 0.15, walk.shape)
        values.append(diffusion_coefficient(positions, 1000.0 * frame_ps, jump_length_A=step_A).value)
    truth = rate_per_ps * step_A**2 / 6.0 * 1e-8
    expected = expected_relative_error(truth, n_atoms, length_ps, 10.0, step_A)
    assert np.std(values, ddof=1) / truth == pytest.approx(expected, rel=0.35)


def test_required_length_gives_the_error_asked_for():
    length = required_production_ps(2e-8, 4, 0.05, 10.0, 2.5)
    assert expected_relative_error(2e-8, 4, length, 10.0, 2.5) == pytest.approx(0.05)
    assert required_production_ps(2e-8, 4, 0.5, 10.0, 2.5) == 100.0
    slow = required_production_ps(1e-12, 8, 0.5, 10.0, 2.5)
    assert 6 * 8 * 1e-12 * 1e8 * slow / 2.5**2 == pytest.approx(10.0)


@pytest.mark.parametrize(
    ('production', 'error', 'budget', 'expected'),
    [
        (400.0, 0.1, 5000.0, None),
        (400.0, 0.2, 400.0, None),
        (400.0, 0.101, 5000.0, 500.0),
        (400.0, 0.14142135623730953, 5000.0, 880.0),
        (400.0, 0.5, 5000.0, 1200.0),
        (400.0, 0.5, 900.0, 900.0),
        (400.0, None, 5000.0, 800.0),
    ],
)
def test_next_length(production, error, budget, expected):
    assert next_production_ps(production, error, 0.1, budget) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ((0.0, 4, 0.1, 10.0, 2.5), 'must be positive'),
        ((1e-8, 0, 0.1, 10.0, 2.5), 'must be positive'),
        ((1e-8, 4, 0.0, 10.0, 2.5), 'relative_error is 0'),
        ((1e-8, 4, 0.1, 0.0, 2.5), 'window_end_ps is 0'),
    ],
)
def test_bad_plans(values, message):
    with pytest.raises(ValueError, match=message):
        required_production_ps(*values)
