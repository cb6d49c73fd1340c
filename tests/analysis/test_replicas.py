"""D of several runs."""

import numpy as np
import pytest

from aiida_hdiff.analysis.replicas import combine_replicas


def test_mean_is_weighted_by_length_and_covers():
    """The interval covers the truth as often as it says, and the error is the scatter."""
    rng = np.random.default_rng(1)
    lengths, errors = np.array([100.0, 100.0, 400.0]), np.array([2e-9, 2e-9, 1e-9])
    covered, values, claimed = 0, [], []
    for _ in range(2000):
        result = combine_replicas(rng.normal(1e-8, errors), errors, [200, 200, 800], lengths)
        covered += result.interval[0] < 1e-8 < result.interval[1]
        values.append(result.value)
        claimed.append(result.std_error)
    assert covered / 2000 == pytest.approx(0.95, abs=0.02)
    assert np.mean(values) == pytest.approx(1e-8, rel=0.01)
    assert np.median(claimed) == pytest.approx(np.std(values), rel=0.05)


def test_runs_that_scatter_too_much_inflate_the_error():
    result = combine_replicas([1e-8, 2e-8, 3e-8], [1e-10] * 3, [300] * 3, [100.0] * 3)
    assert result.inflated
    assert result.std_error == pytest.approx(1e-8 / np.sqrt(3), rel=1e-6)
    assert result.scatter_std_error == pytest.approx(1e-8 / np.sqrt(3), rel=1e-6)


def test_few_hops_give_an_interval_on_the_logarithm_or_a_bound():
    few = combine_replicas([1e-10, 2e-10], [5e-11, 7e-11], [8.0, 16.0], [100.0, 100.0])
    assert few.interval_kind == 'log'
    assert few.status == 'resolved'
    assert 0 < few.interval[0] < few.value < few.interval[1]
    none = combine_replicas([0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [100.0, 100.0])
    assert none.status == 'not_resolved'
    assert 'hops' in none.reason


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (([1.0], [1.0, 2.0], [1.0], [1.0]), 'one entry per run'),
        (([1.0], [-1.0], [1.0], [1.0]), 'not negative'),
        (([1.0], [1.0], [1.0], [0.0]), 'positive'),
        (([np.nan], [1.0], [1.0], [1.0]), 'finite'),
    ],
)
def test_bad_replicas(arguments, message):
    with pytest.raises(ValueError, match=message):
        combine_replicas(*arguments)
