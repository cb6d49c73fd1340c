"""Straight-line fits with one-sided points: upper bounds beside measured values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray
from aiida_hdiff.analysis.resolution import MIN_HOPS, hops_upper_bound

NORMAL_95 = 1.6448536269514722
"""One-sided 95 % quantile of the normal distribution."""
MAX_ITERATIONS = 200


@dataclass(frozen=True)
class UpperBounds:
    """One-sided 95 % upper bounds of quantities that are linear in the parameters.

    Attributes
    ----------
    design
        Derivatives of the bounded quantities with respect to the parameters, shape (n, n_parameters).
    values
        The bounds, shape (n,).
    widths
        Standard deviations of the normal distributions behind them, shape (n,), in the units of the values.
    """

    design: FloatArray
    values: FloatArray
    widths: FloatArray


def bound_log_width(n_hops: ArrayLike) -> FloatArray:
    """Return the width of a one-sided point in ln D, for a bound that comes from a count of hops.

    The likelihood of a true D, given that at most n hops were seen, is that of the Poisson distribution; at the
    95 % bound it is 0.05. The normal distribution function that is also 0.05 there, and falls off with ln D as
    steeply, has this width: 0.69 for no hop at all, 0.34 for five.

    Parameters
    ----------
    n_hops
        Number of hops seen, of any shape; not necessarily whole.

    Raises
    ------
    ValueError
        A number of hops is negative or not finite.
    """
    from scipy.special import gammaincinv, gammaln

    hops = np.asarray(n_hops, dtype=np.float64)
    if not np.all(np.isfinite(hops) & (hops >= 0.0)):
        raise ValueError(f'numbers of hops must not be negative, not {hops.min():g}')
    bound = gammaincinv(hops + 1.0, 0.95)
    density = np.exp((hops + 1.0) * np.log(bound) - bound - gammaln(hops + 1.0))
    normal = np.exp(-0.5 * NORMAL_95**2) / np.sqrt(2.0 * np.pi)
    width: FloatArray = np.asarray(normal / density)
    return width


def resolution_limit(upper_bound_m2_s: float, n_hops: float) -> float:
    """Return the upper bound of D in m²/s that says no more than that the run saw fewer than ten hops.

    A bound computed from the very hops that were seen lies close to D when they happen to be few, and always pulls
    a fit down: several of them together make it miss by more than it claims. The bound by the threshold at which a
    coefficient counts as resolved does not depend on chance (type I censoring).

    Parameters
    ----------
    upper_bound_m2_s
        One-sided 95 % upper bound of D in m²/s that the run gave.
    n_hops
        Number of hops it saw, fewer than ten.

    Raises
    ------
    ValueError
        The bound is not positive, or the number of hops not between zero and ten.
    """
    if not upper_bound_m2_s > 0.0:
        raise ValueError(f'an upper bound must be positive, not {upper_bound_m2_s:g} m²/s')
    if not 0.0 <= n_hops < MIN_HOPS:
        raise ValueError(f'{n_hops:g} hops: only fewer than {MIN_HOPS:g} make a one-sided point')
    return upper_bound_m2_s * hops_upper_bound(MIN_HOPS - 1.0) / hops_upper_bound(n_hops)


def fit_line_with_bounds(
    design: FloatArray, values: FloatArray, sigma: FloatArray, bounds: UpperBounds
) -> tuple[FloatArray, FloatArray]:
    """Maximise the likelihood of measured values and upper bounds (a Tobit model).

    A value y_i contributes a normal density around (X theta)_i, a bound u_j the probability
    Phi((u_j - (Z theta)_j) / s_j - 1.645) of a result as low as seen: 0.05 where the line runs through the bound,
    1 far below it (J. Tobin, Econometrica 26, 24 (1958), doi:10.2307/1907382, for the idea). The negative
    logarithm is convex, so Newton's method with halved steps finds the only minimum.

    Parameters
    ----------
    design, values, sigma
        X of shape (n, n_parameters), which must determine the parameters alone, measured values and their standard
        errors, both of shape (n,).
    bounds
        The one-sided points.

    Returns
    -------
    parameters, covariance
        The maximum and the inverse of the observed information.
    """
    scaled, target = design / sigma[:, None], values / sigma
    slope = bounds.design / bounds.widths[:, None]
    parameters = np.asarray(np.linalg.lstsq(scaled, target, rcond=None)[0], dtype=np.float64)
    height, gradient, hessian = _negative_log_likelihood(parameters, scaled, target, slope, bounds)
    for _ in range(MAX_ITERATIONS):
        step = np.linalg.solve(hessian, gradient)
        decrement = float(gradient @ step)
        if decrement < 1e-12:  # a last full step is exact to rounding
            parameters = parameters - step
            break
        factor = 1.0
        trial = _negative_log_likelihood(parameters - step, scaled, target, slope, bounds)
        while trial[0] > height - 1e-4 * factor * decrement and factor > 1e-6:
            factor *= 0.5
            trial = _negative_log_likelihood(parameters - factor * step, scaled, target, slope, bounds)
        parameters = parameters - factor * step
        height, gradient, hessian = trial
    covariance = np.asarray(np.linalg.inv(hessian), dtype=np.float64)
    return parameters, covariance


def _negative_log_likelihood(
    parameters: FloatArray, scaled: FloatArray, target: FloatArray, slope: FloatArray, bounds: UpperBounds
) -> tuple[float, FloatArray, FloatArray]:
    """Return height, gradient and Hessian."""
    from scipy.special import log_ndtr

    residual = scaled @ parameters - target
    room = bounds.values / bounds.widths - slope @ parameters - NORMAL_95
    log_probability = log_ndtr(room)
    hazard = np.exp(-0.5 * room**2 - log_probability) / np.sqrt(2.0 * np.pi)
    height = 0.5 * float(residual @ residual) - float(log_probability.sum())
    gradient = scaled.T @ residual + slope.T @ hazard
    curvature = np.maximum(hazard * (hazard + room), 0.0)
    return height, gradient, scaled.T @ scaled + slope.T @ (curvature[:, None] * slope)
