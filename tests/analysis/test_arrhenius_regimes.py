"""Is the plot straight?"""

import numpy as np
import pytest
from scipy.stats import chi2, f

from aiida_hdiff.analysis import arrhenius_curvature
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K


def broken_law(temperatures, cold=0.6, hot=0.4, kelvin=850.0, d0=1e-6):
    x, x0 = 1 / (BOLTZMANN_EV_PER_K * np.asarray(temperatures)), 1 / (BOLTZMANN_EV_PER_K * kelvin)
    return d0 * np.exp(-hot * x - (cold - hot) * np.maximum(x - x0, 0.0))


def even(n, low=600.0, high=1200.0):
    return 1 / np.linspace(1 / high, 1 / low, n)


def test_finds_both_regimes_and_the_break():
    temperatures = even(9)
    d = broken_law(temperatures)
    result = arrhenius_curvature(temperatures, d, 0.02 * d)
    assert result.verdict == 'two regimes'
    assert result.broken_p < 1e-10
    regimes = result.regimes
    assert regimes.cold_energy_eV == pytest.approx(0.6, abs=0.005)
    assert regimes.hot_energy_eV == pytest.approx(0.4, abs=0.005)
    assert regimes.break_temperature_K == pytest.approx(850.0, abs=5.0)
    assert 'two regimes: Ea = 0.6' in result.text


def test_a_smooth_bend_is_called_curved():
    temperatures = even(12, 400.0, 1500.0)
    x = 1 / (BOLTZMANN_EV_PER_K * temperatures)
    d = 1e-6 * np.exp(-0.2 * x - 0.006 * (x - x.mean()) ** 2)
    result = arrhenius_curvature(temperatures, d, 0.03 * d)
    assert result.verdict == 'curved'
    assert result.quadratic_p < 1e-4
    assert 'without a clear break' in result.text


def test_the_published_break_of_niobium_is_found():
    """H in Nb, Qi et al. 1983: 0.106 eV above and 0.068 eV below 250 K, sampled with 3 % errors."""
    temperatures = np.array([120.0, 140.0, 165.0, 195.0, 230.0, 280.0, 310.0, 340.0, 370.0])
    x = 1 / (BOLTZMANN_EV_PER_K * temperatures)
    d = np.where(temperatures > 250.0, 5.0e-8 * np.exp(-0.106 * x), 0.9e-8 * np.exp(-0.068 * x))
    result = arrhenius_curvature(temperatures, d, 0.03 * d)
    assert result.verdict == 'two regimes'
    assert result.regimes.break_temperature_K == pytest.approx(257.0, abs=8.0)
    assert result.regimes.cold_energy_eV == pytest.approx(0.068, abs=0.002)
    assert result.regimes.hot_energy_eV == pytest.approx(0.106, abs=0.004)


def test_quadratic_probability_by_polynomial_fits(rng):
    temperatures, sigma = even(6), 0.05
    x = 1 / (BOLTZMANN_EV_PER_K * temperatures)
    for factor, scaled in ((0.7, False), (6.0, True)):
        y = -14.0 - 0.4 * x + factor * sigma * rng.normal(size=6)
        result = arrhenius_curvature(temperatures, np.exp(y), sigma * np.exp(y))
        rest = [np.sum(((y - np.polyval(np.polyfit(x, y, degree), x)) / sigma) ** 2) for degree in (1, 2)]
        drop = rest[0] - rest[1]
        expected = f.sf(drop / (rest[1] / 3), 1, 3) if scaled else chi2.sf(drop, 1)
        assert result.quadratic_scaled is scaled
        assert result.quadratic_p == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('n', [5, 8])
def test_false_alarms_come_at_the_nominal_rate(rng, n):
    """700 straight lines: at 5 % the rate has a standard error of 0.8 %; the tube formula is an upper bound."""
    temperatures, sigma = even(n), 0.08
    p = []
    verdicts = []
    for _ in range(700):
        d = broken_law(temperatures, cold=0.4) * np.exp(sigma * rng.normal(size=n))
        result = arrhenius_curvature(temperatures, d, sigma * d)
        p.append((result.quadratic_p, result.broken_p))
        verdicts.append(result.verdict)
    rates = np.mean(np.array(p) < 0.05, axis=0)
    assert np.all(rates < 0.05 + 0.025)
    assert np.all(rates > 0.015)
    assert np.mean(np.array(verdicts) != 'straight') < 0.035


def test_underestimated_errors_do_not_raise_many_alarms(rng):
    temperatures = even(8)
    alarms = 0
    for _ in range(400):
        d = broken_law(temperatures, cold=0.4) * np.exp(0.12 * rng.normal(size=8))
        alarms += arrhenius_curvature(temperatures, d, 0.04 * d).verdict != 'straight'
    assert alarms / 400 < 0.05


def test_errors_of_both_energies_and_the_break_are_calibrated(rng):
    temperatures, sigma = even(12), 0.03
    pulls = []
    for _ in range(250):
        d = broken_law(temperatures) * np.exp(sigma * rng.normal(size=12))
        found = arrhenius_curvature(temperatures, d, sigma * d).regimes
        pulls.append([
            (found.cold_energy_eV - 0.6) / found.cold_energy_error_eV,
            (found.hot_energy_eV - 0.4) / found.hot_energy_error_eV,
            (found.break_temperature_K - 850.0) / found.break_temperature_error_K,
        ])  # fmt: skip
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.2)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.3)


@pytest.mark.parametrize(
    ('n', 'verdict', 'text'),
    [
        (2, 'not testable', 'give at least three'),
        (3, 'straight', 'give at least five'),
        (4, 'straight', 'at least five'),
    ],
)
def test_says_what_cannot_be_tested(n, verdict, text):
    temperatures = even(n)
    d = broken_law(temperatures, cold=0.4)
    result = arrhenius_curvature(temperatures, d, 0.05 * d)
    assert result.verdict == verdict
    assert text in result.text
    assert result.broken_p is None
    assert result.regimes is None
    assert (result.quadratic_p is None) is (n == 2)


def test_three_temperatures_can_be_curved():
    temperatures = even(3)
    d = broken_law(temperatures, cold=0.9)
    assert arrhenius_curvature(temperatures, d, 0.05 * d).verdict == 'curved'


def test_replicas_do_not_count_as_temperatures():
    temperatures = np.repeat(even(4), 3)
    d = broken_law(temperatures, cold=0.4)
    result = arrhenius_curvature(temperatures, d, 0.05 * d)
    assert result.n_temperatures == 4
    assert result.broken_p is None


def test_errors_of_the_temperature_soften_the_verdict():
    temperatures = even(7)
    d = broken_law(temperatures)
    sharp = arrhenius_curvature(temperatures, d, 0.02 * d)
    soft = arrhenius_curvature(temperatures, d, 0.02 * d, temperature_errors_K=np.full(7, 20.0))
    assert soft.broken_p > sharp.broken_p
    assert soft.regimes.cold_energy_error_eV > 2 * sharp.regimes.cold_energy_error_eV


def test_refuses_what_the_fit_refuses():
    with pytest.raises(ValueError, match='must be positive, not -1e-09'):
        arrhenius_curvature([500.0, 600.0, 700.0], [1e-9, -1e-9, 1e-9], [1e-10, 1e-10, 1e-10])
