"""Upper bounds as one-sided points, and the confidence band."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaincinv, pdtr
from scipy.stats import norm

from aiida_hdiff.analysis import fit_arrhenius, resolution_limit
from aiida_hdiff.analysis.censored import bound_log_width
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

EA, D0 = 0.4, 1e-6
TEMPERATURES = np.array([600.0, 750.0, 1000.0])


def law(temperatures):
    return D0 * np.exp(-EA / (BOLTZMANN_EV_PER_K * np.asarray(temperatures)))


def fit(factors, **kwargs):
    d = law(TEMPERATURES) * factors
    return fit_arrhenius(TEMPERATURES, d, [0.2, 0.1, 0.05] * d, **kwargs)


def test_a_bound_far_above_the_line_changes_nothing():
    plain = fit([1.0, 1.0, 1.0])
    bounded = fit([1.0, 1.0, 1.0], upper_bound_temperatures_K=[450.0], upper_bounds_m2_s=1e3 * law([450.0]))
    assert bounded.activation_energy_eV == pytest.approx(plain.activation_energy_eV, abs=1e-8)
    np.testing.assert_allclose(bounded.covariance, plain.covariance, rtol=1e-6)
    assert (plain.n_upper_bounds, bounded.n_upper_bounds) == (0, 1)


def test_a_bound_below_the_line_pulls_it_down_and_raises_the_energy():
    plain = fit([1.0, 1.0, 1.0])
    bounded = fit([1.0, 1.0, 1.0], upper_bound_temperatures_K=[450.0], upper_bounds_m2_s=0.5 * law([450.0]))
    assert bounded.predict(450.0)[0] < plain.predict(450.0)[0]
    assert bounded.activation_energy_eV > plain.activation_energy_eV + 0.5 * plain.activation_energy_error_eV
    assert bounded.activation_energy_error_eV < plain.activation_energy_error_eV
    assert bounded.temperature_range_K == (600.0, 1000.0)
    assert bounded.degrees_of_freedom == 1


def test_the_likelihood_is_the_documented_one():
    factors, sigma = np.array([1.1, 0.9, 1.0]), np.array([0.2, 0.1, 0.05])
    bound_t, bounds, hops = np.array([450.0, 520.0]), law([450.0, 520.0]) * [0.5, 1.5], np.array([0.0, 4.0])
    found = fit(factors, upper_bound_temperatures_K=bound_t, upper_bounds_m2_s=bounds, upper_bound_hops=hops)

    def negative_log_likelihood(parameters):
        def line(t):
            return parameters[0] - 17.0 - parameters[1] / (BOLTZMANN_EV_PER_K * t)

        points = norm.logpdf(np.log(law(TEMPERATURES) * factors), line(TEMPERATURES), sigma)
        below = norm.logcdf((np.log(bounds) - line(bound_t)) / bound_log_width(hops) - norm.ppf(0.95))
        return -points.sum() - below.sum()

    best = minimize(negative_log_likelihood, [3.0, 0.4], method='Nelder-Mead', options={'xatol': 1e-9, 'fatol': 1e-12})
    assert found.activation_energy_eV == pytest.approx(best.x[1], abs=1e-6)
    assert np.log(found.prefactor_m2_s) == pytest.approx(best.x[0] - 17.0, abs=1e-5)
    step = np.diag([1e-3, 1e-4])
    hessian = np.array([
        [
            sum(
                a * b * negative_log_likelihood(best.x + a * step[i] + b * step[j])
                for a in (1, -1) for b in (1, -1)
            ) / (4 * step[i, i] * step[j, j])
            for j in range(2)
        ]
        for i in range(2)
    ])  # fmt: skip
    np.testing.assert_allclose(found.covariance, np.linalg.inv(hessian), rtol=2e-3)


@pytest.mark.parametrize('hops', [0, 1, 5, 9])
def test_the_width_follows_the_poisson_distribution_near_the_bound(hops):
    width = float(bound_log_width(hops))
    bound = gammaincinv(hops + 1, 0.95)
    for factor in (0.7, 1.0, 1.3):
        exact = pdtr(hops, factor * bound)
        ours = norm.cdf(-np.log(factor) / width - norm.ppf(0.95))
        assert ours == pytest.approx(exact, rel=0.25)
    assert norm.cdf(-norm.ppf(0.95)) == pytest.approx(0.05)


def test_the_width_refuses_negative_counts():
    with pytest.raises(ValueError, match='must not be negative, not -1'):
        bound_log_width([3.0, -1.0])


def test_resolution_limit_is_that_of_the_threshold():
    unit = 2e-12
    for hops in (0, 3, 9):
        bound = float(gammaincinv(hops + 1, 0.95)) * unit
        assert resolution_limit(bound, hops) == pytest.approx(float(gammaincinv(10, 0.95)) * unit)
    with pytest.raises(ValueError, match='fewer than 10'):
        resolution_limit(1e-10, 10.0)
    with pytest.raises(ValueError, match='must be positive'):
        resolution_limit(0.0, 1.0)


def poisson_study(rng, hops, repeats):
    """Fit runs that count Poisson hops and are resolved from ten: without bounds, their own bounds, threshold bounds.

    Returns (Ea - exact, claimed error) with shape (3, n, 2).
    """
    temperatures = np.array([500.0, 550.0, 600.0, 850.0, 1000.0])
    expected = hops * np.exp(-EA / BOLTZMANN_EV_PER_K * (1 / temperatures - 1 / 1000.0))
    unit, rows = 1e-11, []
    for _ in range(repeats):
        n = rng.poisson(expected)
        ok = n >= 10
        points = (temperatures[ok], n[ok] * unit, np.sqrt(n[ok]) * unit)
        row = [fit_arrhenius(*points)]
        for seen in (n[~ok], np.full(np.count_nonzero(~ok), 9.0)):
            row.append(
                fit_arrhenius(
                    *points,
                    upper_bound_temperatures_K=temperatures[~ok],
                    upper_bounds_m2_s=gammaincinv(seen + 1.0, 0.95) * unit,
                    upper_bound_hops=seen,
                )
            )
        rows.append([(one.activation_energy_eV - EA, one.activation_energy_error_eV) for one in row])
    return np.array(rows).transpose(1, 0, 2)


def test_bounds_by_the_threshold_are_calibrated(rng):
    """With 400 repeats the standard error of a coverage of 68 % is 2.3 %: 7 % is three of them."""
    without, own, threshold = poisson_study(rng, 300.0, 400)

    def summary(study):
        deviation, error = study.T
        return deviation.mean() / deviation.std(), np.mean(np.abs(deviation) < error)

    bias, coverage = summary(threshold)
    assert abs(bias) < 0.25
    assert abs(coverage - 0.68) < 0.07
    assert threshold[:, 1].mean() < without[:, 1].mean()
    assert summary(own)[0] > 0.4, 'bounds from the hops seen pull the line down: hence resolution_limit'


def test_band_and_prediction(rng):
    result = fit([1.0, 1.0, 1.0])
    grid = np.array([400.0, 600.0, 800.0, 1500.0])
    value, error = result.predict(grid)
    low, high = result.interval(grid, 0.6827)
    np.testing.assert_allclose(np.log(high / value), result.log_error(grid), rtol=1e-4)
    np.testing.assert_allclose(low * high, value**2, rtol=1e-12)
    np.testing.assert_allclose(error / value, result.log_error(grid), rtol=1e-12)
    np.testing.assert_allclose(np.log(result.interval(grid)[1] / value), 1.959964 * result.log_error(grid), rtol=1e-6)
    assert result.is_extrapolated(grid).tolist() == [True, False, False, True]
    assert not result.is_extrapolated(600.0)
    with pytest.raises(ValueError, match='level must lie between 0 and 1, not 95'):
        result.interval(500.0, 95)
    with pytest.raises(ValueError, match='temperatures must be positive'):
        result.interval(-5.0)


def test_the_band_covers_at_temperatures_that_were_not_simulated(rng):
    """Inside and outside the range; 1000 repeats give a standard error of the coverage of 1.5 and 0.7 %."""
    sigma, grid = np.array([0.2, 0.1, 0.05]), np.array([400.0, 680.0, 1300.0])
    inside = np.zeros((2, 3))
    for _ in range(1000):
        result = fit(np.exp(sigma * rng.normal(size=3)))
        for row, level in enumerate((0.6827, 0.95)):
            low, high = result.interval(grid, level)
            inside[row] += (low < law(grid)) & (law(grid) < high)
    np.testing.assert_allclose(inside[0] / 1000, 0.6827, atol=0.045)
    np.testing.assert_allclose(inside[1] / 1000, 0.95, atol=0.02)


@pytest.mark.parametrize(('factor', 'low', 'high'), [(1.0, 0.66, 0.82), (1.5, 0.58, 0.75)])
def test_inflation_costs_a_little_width_and_buys_wrong_errors(rng, factor, low, high):
    """Right errors: at least 68 %, since they only ever grow. Errors claimed 1.5 times too small: still near 68 %."""
    temperatures, sigma = np.linspace(600.0, 1200.0, 7), 0.08
    hits = 0
    for _ in range(600):
        d = law(temperatures) * np.exp(factor * sigma * rng.normal(size=7))
        result = fit_arrhenius(temperatures, d, sigma * d)
        hits += abs(result.activation_energy_eV - EA) < result.activation_energy_error_eV
    assert low < hits / 600 < high


@pytest.mark.parametrize(
    ('bounds', 'message'),
    [
        (([450.0], []), r'differ in length: \[1, 0, 0\]'),
        (([450.0, 460.0], [1e-12, 0.0]), 'upper bounds must be positive, not 0 m²/s'),
        (([-1.0], [1e-12]), 'temperatures of upper bounds must be positive, not -1 K'),
        (([450.0], [np.nan]), 'upper_bounds_m2_s contains values that are not finite'),
    ],
)
def test_refuses(bounds, message):
    with pytest.raises(ValueError, match=message):
        fit([1.0, 1.0, 1.0], upper_bound_temperatures_K=bounds[0], upper_bounds_m2_s=bounds[1])
