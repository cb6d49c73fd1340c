"""Arrhenius fit of diffusion coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_series
from aiida_hdiff.analysis.arrhenius_law import ArrheniusLaw
from aiida_hdiff.analysis.censored import UpperBounds, bound_log_width, fit_line_with_bounds
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

MAX_ITERATIONS = 100


@dataclass(frozen=True)
class ArrheniusResult(ArrheniusLaw):
    """An Arrhenius law with the quality of its fit.

    Attributes
    ----------
    activation_energy_error_eV
        Standard error of Ea in eV.
    log_prefactor_error
        Standard error of ln D0, no unit.
    chi2, degrees_of_freedom
        Sum of the squared residuals in units of their errors, and its expectation; without the upper bounds.
    inflated
        Whether the covariance was multiplied by chi2 / degrees_of_freedom.
    n_upper_bounds
        Number of upper bounds used as one-sided points.
    """

    activation_energy_error_eV: float
    log_prefactor_error: float
    chi2: float
    degrees_of_freedom: int
    inflated: bool
    n_upper_bounds: int


@dataclass(frozen=True)
class ArrheniusPoints:
    """Checked coefficients, ready for straight-line fits.

    Attributes
    ----------
    temperatures_K
        Temperatures in K, shape (n,).
    design
        Derivatives of ln D with respect to (ln D0, Ea), shape (n, 2).
    log_d, log_variance
        ln D and its variance from the standard error of D alone, shape (n,).
    beta_error
        Standard error of 1/kT in 1/eV, shape (n,).
    """

    temperatures_K: FloatArray
    design: FloatArray
    log_d: FloatArray
    log_variance: FloatArray
    beta_error: FloatArray

    def effective_sigma(self, energy_eV: float) -> FloatArray:
        """Return the standard error of ln D at exact temperatures, where the slope is the given energy."""
        return np.sqrt(self.log_variance + (energy_eV * self.beta_error) ** 2)


def fit_arrhenius(
    temperatures_K: ArrayLike,
    coefficients_m2_s: ArrayLike,
    std_errors_m2_s: ArrayLike,
    *,
    temperature_errors_K: ArrayLike | None = None,
    upper_bound_temperatures_K: ArrayLike = (),
    upper_bounds_m2_s: ArrayLike = (),
    upper_bound_hops: ArrayLike | None = None,
) -> ArrheniusResult:
    """Fit ln D = ln D0 - Ea / kT by weighted least squares.

    The standard errors count as absolute: they, not the residuals, set the covariance. Errors of the
    temperature enter as effective variance, sigma_lnD² + (Ea sigma_T / kT²)², with Ea iterated (Orear, Am.
    J. Phys. 50, 912 (1982), doi:10.1119/1.12972). If chi2 exceeds the degrees of freedom and these are at
    least two, the covariance is multiplied by their ratio.

    Upper bounds enter as one-sided points, see `fit_line_with_bounds` and `bound_log_width`: they pull a line
    down that runs above them, and say nothing about how far below it may run. Give bounds that do not depend on
    what the run happened to see, see `resolution_limit`.

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
    upper_bound_temperatures_K, upper_bounds_m2_s
        Temperatures in K, and one-sided 95 % upper bounds of D in m²/s, shape (m,).
    upper_bound_hops
        Hops behind each bound, shape (m,); none by default.

    Raises
    ------
    ValueError
        Different lengths, fewer than two distinct temperatures, temperatures, coefficients, bounds or errors that
        are not positive, negative errors of the temperature or numbers of hops.
    """
    points = arrhenius_points(temperatures_K, coefficients_m2_s, std_errors_m2_s, temperature_errors_K)
    bounds = _upper_bounds(upper_bound_temperatures_K, upper_bounds_m2_s, upper_bound_hops)
    energy = 0.0
    for _ in range(MAX_ITERATIONS):
        sigma = points.effective_sigma(energy)
        parameters, covariance = fit_line_with_bounds(points.design, points.log_d, sigma, bounds)
        previous, energy = energy, float(parameters[1])
        if abs(energy - previous) <= 1e-10 * abs(previous):
            break
    residual = (points.log_d - points.design @ parameters) / sigma
    chi2 = float(residual @ residual)
    degrees_of_freedom = points.log_d.size - 2
    inflated = degrees_of_freedom >= 2 and chi2 > degrees_of_freedom
    if inflated:
        covariance = covariance * (chi2 / degrees_of_freedom)
    return ArrheniusResult(
        activation_energy_eV=float(parameters[1]),
        activation_energy_error_eV=float(np.sqrt(covariance[1, 1])),
        prefactor_m2_s=float(np.exp(parameters[0])),
        log_prefactor_error=float(np.sqrt(covariance[0, 0])),
        covariance=covariance,
        temperature_range_K=(float(points.temperatures_K.min()), float(points.temperatures_K.max())),
        chi2=chi2,
        degrees_of_freedom=degrees_of_freedom,
        inflated=inflated,
        n_upper_bounds=bounds.values.size,
    )


def arrhenius_points(
    temperatures_K: ArrayLike,
    coefficients_m2_s: ArrayLike,
    std_errors_m2_s: ArrayLike,
    temperature_errors_K: ArrayLike | None = None,
) -> ArrheniusPoints:
    """Check the input of `fit_arrhenius` and return it on the axes of the Arrhenius plot.

    Raises
    ------
    ValueError
        As `fit_arrhenius`.
    """
    temperatures = as_series(temperatures_K, 'temperatures_K')
    coefficients = as_series(coefficients_m2_s, 'coefficients_m2_s')
    errors = as_series(std_errors_m2_s, 'std_errors_m2_s')
    if temperature_errors_K is None:
        temperature_errors = np.zeros_like(temperatures)
    else:
        temperature_errors = as_series(temperature_errors_K, 'temperature_errors_K')
    _check(temperatures, coefficients, errors, temperature_errors)
    return ArrheniusPoints(
        temperatures_K=temperatures,
        design=_design(temperatures),
        log_d=np.log(coefficients),
        log_variance=(errors / coefficients) ** 2,
        beta_error=temperature_errors / (BOLTZMANN_EV_PER_K * temperatures**2),
    )


def _design(temperatures_K: FloatArray) -> FloatArray:
    return np.stack([np.ones_like(temperatures_K), -1.0 / (BOLTZMANN_EV_PER_K * temperatures_K)], axis=1)


def _upper_bounds(temperatures_K: ArrayLike, bounds_m2_s: ArrayLike, hops: ArrayLike | None) -> UpperBounds:
    temperatures = as_series(temperatures_K, 'upper_bound_temperatures_K')
    bounds = as_series(bounds_m2_s, 'upper_bounds_m2_s')
    counts = np.zeros_like(bounds) if hops is None else as_series(hops, 'upper_bound_hops')
    sizes = [temperatures.size, bounds.size, counts.size]
    if len(set(sizes)) > 1:
        raise ValueError(f'upper bounds, their temperatures and their hops differ in length: {sizes}')
    if np.any(temperatures <= 0.0):
        raise ValueError(f'temperatures of upper bounds must be positive, not {temperatures.min():g} K')
    if np.any(bounds <= 0.0):
        raise ValueError(f'upper bounds must be positive, not {bounds.min():g} m²/s')
    return UpperBounds(_design(temperatures), np.log(bounds), bound_log_width(counts))


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
            'leave out runs that are not resolved, or give their upper bounds'
        )
    if np.any(errors <= 0.0):
        raise ValueError(f'standard errors must be positive, not {errors.min():g} m²/s')
    if np.any(temperature_errors < 0.0):
        raise ValueError(f'errors of the temperature must not be negative, not {temperature_errors.min():g} K')
