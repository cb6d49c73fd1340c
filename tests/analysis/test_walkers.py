import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_coefficient
from aiida_hdiff.analysis.blocking import BlockedMean
from aiida_hdiff.analysis.walkers import walker_error

from .models import CUBIC, benchmark_model, lattice_walk, vibration

DT = 0.2


def test_equals_the_bootstrap_with_many_samples(rng):
    per_atom = rng.normal(1.0, 0.3, size=12)
    samples = per_atom[rng.integers(12, size=(100_000, 12))].mean(axis=1)
    result = walker_error(per_atom, BlockedMean(per_atom.mean(), 0.1, 40, 13.3))
    assert result.std_error == pytest.approx(samples.std() * np.sqrt(12 / 11), rel=0.01)


def test_disagreement_is_normal_if_both_errors_are_right(rng):
    """Two χ² variances of the same quantity."""
    scores = []
    for _ in range(2000):
        per_atom = rng.normal(size=8)
        blocked = np.sqrt(rng.chisquare(12) / 12 / 8)
        scores.append(walker_error(per_atom, BlockedMean(0.0, blocked, 36, 12.0)).disagreement)
    assert np.mean(scores) == pytest.approx(0.0, abs=0.08)
    assert np.std(scores) == pytest.approx(1.0, abs=0.06)


def test_agreement_gives_no_warning(rng):
    for model in ('brownian', 'fast', 'back-jumps'):
        for _ in range(10):
            result = diffusion_coefficient(benchmark_model(model, rng, 5001, 8, DT), 1000 * DT)
            assert result.warnings == ()
            assert abs(result.walker_disagreement) < 3
            assert 0.3 < result.walker_std_error / result.std_error < 3
            assert result.walker_std_error == pytest.approx(result.per_atom.std(ddof=1) / np.sqrt(8))


def test_shared_dynamics_are_noticed(rng):
    for _ in range(5):
        result = diffusion_coefficient(benchmark_model('shared', rng, 5001, 32, DT), 1000 * DT)
        assert result.walker_disagreement > 3
        assert result.walker_std_error < 0.4 * result.std_error
        (warning,) = result.warnings
        assert 'the atoms do not move independently (collective dynamics)' in warning


def test_atoms_that_never_exchange_are_noticed(rng):
    rates = np.where(np.arange(32) < 16, 2.0, 0.1)[None, :]
    walk = lattice_walk(rng, 5001, 32, DT, np.broadcast_to(rates, (5001, 32)), 3.0 * CUBIC)
    result = diffusion_coefficient(walk + vibration(rng, 5001, 32, DT), 1000 * DT)
    assert result.walker_disagreement < -3
    assert 'some atoms are trapped for times as long as the run' in result.warnings[0]


def test_atoms_that_do_not_move_disagree_with_nothing():
    result = walker_error(np.zeros(6), BlockedMean(0.0, 0.0, 12, 11.0))
    assert result.std_error == 0.0
    assert np.isnan(result.disagreement)
