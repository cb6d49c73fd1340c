"""Claimed errors against the real scatter, over repeats of models with a known D."""

import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_coefficient

from .models import BENCHMARK_MODELS, benchmark_model, brownian

M2_S = 1e-8


def repeats(model, n_repeats, n_atoms, timestep, duration=1000.0, seed=3):
    """Return results for runs of a model, and its D in m²/s."""
    rng = np.random.default_rng([seed, n_atoms, list(BENCHMARK_MODELS).index(model)])
    n_frames = round(duration / timestep) + 1
    runs = (benchmark_model(model, rng, n_frames, n_atoms, timestep) for _ in range(n_repeats))
    results = [diffusion_coefficient(run, 1000.0 * timestep, jump_length_A=3.0) for run in runs]
    return results, BENCHMARK_MODELS[model] * M2_S


def check(results, truth, n_sigma=3.5, max_ratio_error=0.10, max_coverage_error=0.05, bias=0.1):
    """Assert calibration, with the statistical error of the number of repeats on top of the systematic one."""
    n = len(results)
    values = np.array([result.value for result in results])
    errors = np.array([result.std_error for result in results])
    intervals = np.array([result.interval for result in results])
    scatter = values.std(ddof=1)
    within = np.mean(np.abs(values - truth) < errors)
    covered = np.mean((intervals[:, 0] < truth) & (truth < intervals[:, 1]))
    bounded = np.mean([result.upper_bound > truth for result in results])
    ratio = errors.mean() / scatter
    print(
        f'{n} runs: bias {(values.mean() - truth) / scatter:+.2f}σ {ratio=:.2f} {within=:.3f} {covered=:.3f} {bounded=:.3f}'
    )
    assert abs(values.mean() - truth) < (bias + n_sigma / np.sqrt(n)) * scatter
    assert abs(ratio - 1.0) < max_ratio_error + n_sigma / np.sqrt(2 * n)
    assert abs(within - 0.68) < max_coverage_error + n_sigma * np.sqrt(0.68 * 0.32 / n)
    assert covered > 0.93 - n_sigma * np.sqrt(0.95 * 0.05 / n)
    assert bounded > 0.93 - n_sigma * np.sqrt(0.95 * 0.05 / n)
    assert np.mean([result.status != 'resolved' for result in results]) < 0.01 + n_sigma * np.sqrt(0.01 / n)
    return scatter / truth


MAX_SCATTER = {
    'brownian': 0.023,
    'fast': 0.025,
    'slow': 0.069,
    'back-jumps': 0.0345,
    'trapping': 0.065,
    'shared': 0.160,
}
"""Real scatter of the best other tool of as small a bias for 8 walkers and 1 ns, in units of D."""


@pytest.mark.parametrize('model', BENCHMARK_MODELS)
def test_error_is_calibrated(model):
    results, truth = repeats(model, 60, 8, timestep=0.2)
    scatter = check(results, truth)
    assert scatter < MAX_SCATTER[model] * (1.0 + 3.5 / np.sqrt(120))


def test_error_of_a_short_run_is_calibrated():
    rng = np.random.default_rng(4)
    results = [diffusion_coefficient(brownian(rng, 501, 8, 0.2, 1.5), 200.0) for _ in range(120)]
    check(results, 1.5 * M2_S)


@pytest.mark.slow
@pytest.mark.parametrize('n_atoms', [1, 2, 4, 8, 64])
@pytest.mark.parametrize('model', BENCHMARK_MODELS)
def test_error_is_calibrated_over_500_repeats(model, n_atoms):
    results, truth = repeats(model, 500, n_atoms, timestep=0.2)
    scatter = check(results, truth)
    if n_atoms == 8:
        assert scatter < MAX_SCATTER[model] * (1.0 + 3.5 / np.sqrt(1000))
