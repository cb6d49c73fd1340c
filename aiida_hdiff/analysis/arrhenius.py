"""Arrhenius fit of diffusion coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_series
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

MAX_ITERATIONS = 100


@dataclass(frozen=True)
class ArrheniusResult:
    """Parameters of D = D0 exp(-Ea / kT).

    Attributes
    ----------
    activation_energy_eV, activation_energy_error_eV
        Ea and its standard error in eV.
    prefactor_m2_s
        D0 in m²/s.
    log_prefactor_error
        Standard error of ln D0, no unit.
    covariance
        Covariance of (ln D0, Ea), shape (2, 2); units 1, eV and eV².
    chi2, degrees_of_freedom
        Sum of the squared residuals in units of their errors, and its expectation.
    inflated
        Whether the covariance was multiplied by chi2 / degrees_of_freedom.
    """

    activation_energy_eV: float
    activation_energy_error_eV: float
    prefactor_m2_s: float
    log_prefactor_error: float
    covariance: FloatArray
    chi2: float
    degrees_of_freedom: int
    inflated: bool

    def predict(self, temperature_K: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return D and its standard error in m²/s at temperatures in K of any shape.

        Raises
        ------
        ValueError
            A temperature is not positive.
        """
        temperatures = np.asarray(temperature_K, dtype=np.float64)
        if not np.all(temperatures > 0.0):
            raise ValueError('temperatures must be positive')
        gradient = np.stack(np.broadcast_arrays(1.0, -1.0 / (BOLTZMANN_EV_PER_K * temperatures)), axis=-1)
        value = self.prefactor_m2_s * np.exp(self.activation_energy_eV * gradient[..., 1])
        variance = np.einsum('...i,ij,...j->...', gradient, self.covariance, gradient)
        return value, value * np.sqrt(variance)


def fit_arrhenius(
    temperatures_K: ArrayLike,
    coefficients_m2_s: ArrayLike,
    std_errors_m2_s: ArrayLike,
    *,
    temperature_errors_K: ArrayLike | None = None,
) -> ArrheniusResult:
    """Fit ln D = ln D0 - Ea / kT by weighted least squares.

    The standard errors count as absolute: they, not the residuals, set the covariance. Errors of the
    temperature enter as effective variance, sigma_lnD² + (Ea sigma_T / kT²)², with Ea iterated (Orear, Am.
    J. Phys. 50, 912 (1982), doi:10.1119/1.12972). If chi2 exceeds the degrees of freedom and these are at
    least two, the covariance is multiplied by their ratio.

    Parameters
    ----------
    temperatures_K
        Measured temperatures in K, shape (n,); replicas at equal temperatures are welcome.
    coefficients_m2_s
        Diffusion coefficients in m²/s, shape (n,).
    std_errors_m2_s
        Their standard errors in m²/s, shape (n,).
    temperature_errors_K
        Standard errors of the temperatures in K, shape (n,).

    Raises
    ------
    ValueError
        Different lengths, fewer than two distinct temperatures, temperatures, coefficients or errors that
        are not positive, negative errors of the temperature.
    """
    temperatures = as_series(temperatures_K, 'temperatures_K')
    coefficients = as_series(coefficients_m2_s, 'coefficients_m2_s')
    errors = as_series(std_errors_m2_s, 'std_errors_m2_s')
    if temperature_errors_K is None:
        temperature_errors = np.zeros_like(temperatures)
    else:
        temperature_errors = as_series(temperature_errors_K, 'temperature_errors_K')
    _check(temperatures, coefficients, errors, temperature_errors)

    design = np.stack([np.ones_like(temperatures), -1.0 / (BOLTZMANN_EV_PER_K * temperatures)], axis=1)
    log_d = np.log(coefficients)
    log_variance = (errors / coefficients) ** 2
    slope_of_temperature = temperature_errors / (BOLTZMANN_EV_PER_K * temperatures**2)
    parameters, covariance, chi2 = _weighted_line(design, log_d, log_variance)
    for _ in range(MAX_ITERATIONS):
        previous = parameters[1]
        effective = log_variance + (previous * slope_of_temperature) ** 2
        parameters, covariance, chi2 = _weighted_line(design, log_d, effective)
        if abs(parameters[1] - previous) <= 1e-10 * abs(previous):
            break
    degrees_of_freedom = temperatures.size - 2
    inflated = degrees_of_freedom >= 2 and chi2 > degrees_of_freedom
    if inflated:
        covariance = covariance * (chi2 / degrees_of_freedom)
    return ArrheniusResult(
        activation_energy_eV=float(parameters[1]),
        activation_energy_error_eV=float(np.sqrt(covariance[1, 1])),
        prefactor_m2_s=float(np.exp(parameters[0])),
        log_prefactor_error=float(np.sqrt(covariance[0, 0])),
        covariance=covariance,
        chi2=chi2,
        degrees_of_freedom=degrees_of_freedom,
        inflated=inflated,
    )


def _check(
    temperatures: FloatArray, coefficients: FloatArray, errors: FloatArray, temperature_errors: FloatArray
) -> None:
    sizes = [temperatures.size, coefficients.size, errors.size, temperature_errors.size]
    if len(set(sizes)) > 1:
        raise ValueError(f'temperatures, coefficients and errors differ in length: {sizes}')
    if np.any(temperatures <= 0.0):
        raise ValueError(f'temperatures must be positive, not {temperatures.min():g} K')
    if np.unique(temperatures).size < 2:
        raise ValueError('an Arrhenius fit needs at least two different temperatures')
    if np.any(coefficients <= 0.0):
        raise ValueError(
            f'diffusion coefficients must be positive, not {coefficients.min():g} m²/s: '
            'leave out runs that are not resolved'
        )
    if np.any(errors <= 0.0):
        raise ValueError(f'standard errors must be positive, not {errors.min():g} m²/s')
    if np.any(temperature_errors < 0.0):
        raise ValueError(f'errors of the temperature must not be negative, not {temperature_errors.min():g} K')


def _weighted_line(design: FloatArray, y: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return parameters, covariance and chi2 of weighted linear least squares."""
    sigma = np.sqrt(variance)
    q, r = np.linalg.qr(design / sigma[:, None])
    parameters: FloatArray = np.linalg.solve(r, q.T @ (y / sigma))
    inverse = np.linalg.inv(r)
    residual = (y - design @ parameters) / sigma
    return parameters, inverse @ inverse.T, float(residual @ residual)
