import numpy as np
import pytest

from aiida_hdiff.analysis import fit_arrhenius
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

EA, D0 = 0.25, 1.5e-6
TEMPERATURES = np.array([300.0, 480.0, 673.0])


def law(temperatures, ea=EA, d0=D0):
    return d0 * np.exp(-ea / (BOLTZMANN_EV_PER_K * np.asarray(temperatures)))


def test_exact_data():
    d = law(TEMPERATURES)
    fit = fit_arrhenius(TEMPERATURES, d, 0.05 * d)
    assert fit.activation_energy_eV == pytest.approx(EA, rel=1e-10)
    assert fit.prefactor_m2_s == pytest.approx(D0, rel=1e-9)
    assert fit.chi2 == pytest.approx(0.0, abs=1e-15)
    assert fit.degrees_of_freedom == 1
    assert not fit.inflated
    value, error = fit.predict(TEMPERATURES)
    np.testing.assert_allclose(value, d, rtol=1e-9)
    assert np.all(error < 0.05 * d)
    value, error = fit.predict(500.0)
    assert value.shape == error.shape == ()


def test_covariance_of_two_temperatures_by_propagation():
    temperatures = np.array([400.0, 800.0])
    d = law(temperatures)
    sigma = np.array([0.1, 0.04])
    fit = fit_arrhenius(temperatures, d, sigma * d)
    beta = 1 / (BOLTZMANN_EV_PER_K * temperatures)
    assert fit.activation_energy_error_eV == pytest.approx(np.hypot(*sigma) / (beta[0] - beta[1]), rel=1e-10)
    assert fit.covariance[1, 1] == pytest.approx(fit.activation_energy_error_eV**2)
    assert fit.covariance[0, 0] == pytest.approx(fit.log_prefactor_error**2)
    np.testing.assert_allclose(fit.covariance, fit.covariance.T)
    _, error = fit.predict(temperatures)
    np.testing.assert_allclose(error, sigma * d, rtol=1e-9)


def test_agrees_with_numpy_polyfit(rng):
    temperatures = np.array([500.0, 600.0, 700.0, 900.0])
    d = law(temperatures) * np.exp(0.02 * rng.normal(size=4))
    sigma = np.array([0.05, 0.1, 0.04, 0.06])
    fit = fit_arrhenius(temperatures, d, sigma * d)
    beta = 1 / (BOLTZMANN_EV_PER_K * temperatures)
    (slope, intercept), covariance = np.polyfit(beta, np.log(d), 1, w=1 / sigma, cov='unscaled')
    assert not fit.inflated
    assert fit.activation_energy_eV == pytest.approx(-slope, rel=1e-9)
    assert np.log(fit.prefactor_m2_s) == pytest.approx(intercept, rel=1e-9)
    assert fit.covariance[1, 1] == pytest.approx(covariance[0, 0], rel=1e-9)
    assert fit.covariance[0, 1] == pytest.approx(-covariance[0, 1], rel=1e-9)


@pytest.mark.parametrize('sigma_t', [0.0, 12.0], ids=['exact temperatures', 'uncertain temperatures'])
def test_error_is_calibrated(rng, sigma_t):
    sigma = np.array([0.10, 0.05, 0.025])
    fits = []
    for _ in range(1000):
        d = law(TEMPERATURES + sigma_t * rng.normal(size=3)) * np.exp(sigma * rng.normal(size=3))
        errors = None if sigma_t == 0.0 else np.full(3, sigma_t)
        fits.append(fit_arrhenius(TEMPERATURES, d, sigma * d, temperature_errors_K=errors))
    energies = np.array([fit.activation_energy_eV for fit in fits])
    errors = np.array([fit.activation_energy_error_eV for fit in fits])
    assert abs(energies.mean() - EA) < 0.15 * energies.std()
    assert errors.mean() / energies.std() == pytest.approx(1.0, abs=0.08)
    assert abs(np.mean(np.abs(energies - EA) < errors) - 0.68) < 0.05


def test_ignoring_the_error_of_the_temperature_claims_too_little():
    d = law(TEMPERATURES)
    plain = fit_arrhenius(TEMPERATURES, d, 0.03 * d)
    honest = fit_arrhenius(TEMPERATURES, d, 0.03 * d, temperature_errors_K=[10.0, 16.0, 22.0])
    beta_error = np.array([10.0, 16.0, 22.0]) / (BOLTZMANN_EV_PER_K * TEMPERATURES**2)
    total = np.hypot(0.03, EA * beta_error)
    assert honest.activation_energy_error_eV > 2 * plain.activation_energy_error_eV
    assert honest.covariance == pytest.approx(fit_arrhenius(TEMPERATURES, d, total * d).covariance)


def test_replicas_at_equal_temperatures():
    temperatures = [600.0, 600.0, 900.0, 900.0001]
    d = law(temperatures)
    fit = fit_arrhenius(temperatures, d, 0.1 * d)
    assert fit.activation_energy_eV == pytest.approx(EA, rel=1e-9)
    assert fit.degrees_of_freedom == 2


def test_inflated_when_the_scatter_exceeds_the_errors():
    temperatures = np.array([400.0, 500.0, 600.0, 700.0])
    d = law(temperatures) * np.exp([0.3, -0.3, -0.3, 0.3])
    fit = fit_arrhenius(temperatures, d, 0.03 * d)
    wide = fit_arrhenius(temperatures, d, 0.6 * d)
    assert fit.inflated
    assert not wide.inflated
    scale = fit.chi2 / fit.degrees_of_freedom
    np.testing.assert_allclose(fit.covariance, wide.covariance * scale * (0.03 / 0.6) ** 2, rtol=1e-9)
    three = fit_arrhenius(temperatures[:3], d[:3], 0.03 * d[:3])
    assert three.chi2 > 1
    assert not three.inflated


@pytest.mark.parametrize(
    ('arguments', 'temperature_errors', 'message'),
    [
        (([600.0], [1e-9], [1e-10]), None, 'at least two different temperatures'),
        (([600.0, 600.0], [1e-9, 1e-9], [1e-10, 1e-10]), None, 'at least two different temperatures'),
        (([0.0, 600.0], [1e-9, 1e-9], [1e-10, 1e-10]), None, 'temperatures must be positive, not 0 K'),
        (
            ([500.0, 600.0], [1e-9, -2e-9], [1e-10, 1e-10]),
            None,
            r'must be positive, not -2e-09 m²/s: leave out runs',
        ),
        (([500.0, 600.0], [1e-9, 1e-9], [1e-10, 0.0]), None, 'standard errors must be positive, not 0 m²/s'),
        (([500.0, 600.0], [1e-9, 1e-9], [1e-10]), None, r'differ in length: \[2, 2, 1, 2\]'),
        (([500.0, 600.0], [1e-9, 1e-9], [1e-10, 1e-10]), [1.0, -1.0], 'must not be negative, not -1 K'),
        (
            ([500.0, np.nan], [1e-9, 1e-9], [1e-10, 1e-10]),
            None,
            'temperatures_K contains values that are not',
        ),
    ],
)
def test_refuses(arguments, temperature_errors, message):
    with pytest.raises(ValueError, match=message):
        fit_arrhenius(*arguments, temperature_errors_K=temperature_errors)


def test_predict_refuses():
    d = law(TEMPERATURES)
    with pytest.raises(ValueError, match='temperatures must be positive'):
        fit_arrhenius(TEMPERATURES, d, 0.1 * d).predict([300.0, 0.0])
