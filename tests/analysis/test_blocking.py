import numpy as np
import pytest

from aiida_hdiff.analysis import mean_with_error
from aiida_hdiff.analysis.blocking import block_means, blocked_mean

from .models import vibration


def test_error_of_a_correlated_series_is_calibrated(rng):
    relaxation = 20.0
    exact = np.sqrt((1 + np.exp(-1 / relaxation)) / (1 - np.exp(-1 / relaxation)) / 20_000)
    means, errors = np.array(
        [mean_with_error(vibration(rng, 20_000, 1, 1.0, 1.0, relaxation)[:, 0, 0]) for _ in range(300)]
    ).T
    assert means.std() == pytest.approx(exact, rel=0.12)
    assert errors.mean() == pytest.approx(exact, rel=0.2)
    assert abs(np.mean(np.abs(means) < errors) - 0.68) <= 0.10


def test_error_of_white_noise_is_at_least_the_naive_one(rng):
    series = rng.normal(size=1000)
    mean, error = mean_with_error(series)
    assert mean == series.mean()
    assert error >= 0.999 * series.std(ddof=1) / np.sqrt(1000)
    assert error == pytest.approx(1 / np.sqrt(1000), rel=0.6)


def test_two_samples_and_a_constant():
    assert mean_with_error([1.0, 3.0]) == (2.0, pytest.approx(1.0))
    assert mean_with_error(np.full(100, 7.0)) == (7.0, 0.0)


@pytest.mark.parametrize(
    ('series', 'message'),
    [
        ([1.0], 'a standard error needs at least two samples, not 1'),
        ([[1.0, 2.0]], r'series must be one-dimensional, not of shape \(1, 2\)'),
        ([1.0, np.nan], 'series contains values that are not finite'),
    ],
)
def test_refuses(series, message):
    with pytest.raises(ValueError, match=message):
        mean_with_error(series)


def test_neighbouring_blocks_that_overlap_are_corrected(rng):
    memory, errors, means = 20, [], []
    kernel = np.ones(memory) / memory
    for _ in range(400):
        series = np.convolve(rng.normal(size=200), kernel, mode='valid')
        result = blocked_mean(series, memory, overlap=memory / 3)
        assert result.n_blocks == 9
        errors.append(result.std_error)
        means.append(result.mean)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.12)


def test_neighbouring_blocks_that_are_correlated_are_counted(rng):
    """Blocks of two relaxation times of an Ornstein-Uhlenbeck process, 5000 samples, against its exact error."""
    relaxation = 62.5
    exact = np.sqrt(2 * relaxation / 5000)
    results = [blocked_mean(series, 12, 3.0) for series in vibration(rng, 5000, 300, 1.0, 1.0, relaxation)[:, :, 0].T]
    assert {one.n_blocks for one in results} == {40}
    assert results[0].degrees_of_freedom == pytest.approx(40 / 3)
    assert np.sqrt(np.mean([one.std_error**2 for one in results])) == pytest.approx(exact, rel=0.08)
    assert abs(np.mean([abs(one.mean) < one.one_sigma for one in results]) - 0.68) < 0.08


def test_student_t():
    result = blocked_mean(np.arange(12.0), 1, 0.0)
    assert result.n_blocks == 12
    assert result.student_t(0.975) == pytest.approx(2.200985, rel=1e-6)


def test_too_few_blocks():
    with pytest.raises(ValueError, match='39 samples are fewer than four blocks of 10'):
        blocked_mean(np.arange(39.0), 10, 2.0)


def test_block_means_leave_out_the_beginning():
    np.testing.assert_allclose(block_means(np.arange(7.0), 3), [1.5, 3.5, 5.5])
