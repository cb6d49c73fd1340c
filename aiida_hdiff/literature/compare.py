"""Computed diffusion coefficients and activation energies beside published ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aiida_hdiff.literature.value import SAME_TEMPERATURE, LiteratureValue

DEFAULT_FACTOR = 2.0
"""Factor by which a published D without an error may be off: the usual spread between careful experiments."""
DEFAULT_ENERGY_ERROR_EV = 0.02
"""Standard error (eV) of a published activation energy without one."""


@dataclass(frozen=True)
class CoefficientComparison:
    """A computed beside a published diffusion coefficient.

    Attributes
    ----------
    temperature_K
        Temperature of the comparison in K.
    computed_m2_s, published_m2_s
        Both coefficients in m²/s.
    log_ratio, log10_ratio
        Natural and decimal logarithm of computed / published.
    relative_deviation
        (computed - published) / published.
    computed_log_error, published_log_error
        Standard errors of ln D.
    published_error_assumed
        Whether the latter is the default factor, because none was published.
    sigma_distance
        log_ratio in units of both errors together, with its sign.
    outside_computed, outside_published
        Whether the temperature lies outside the computed temperatures, or outside the published range; the latter
        also where no range is known.
    """

    temperature_K: float
    computed_m2_s: float
    published_m2_s: float
    log_ratio: float
    log10_ratio: float
    relative_deviation: float
    computed_log_error: float
    published_log_error: float
    published_error_assumed: bool
    sigma_distance: float
    outside_computed: bool
    outside_published: bool


@dataclass(frozen=True)
class EnergyComparison:
    """A computed beside a published activation energy.

    Attributes
    ----------
    computed_eV, published_eV, difference_eV
        Both energies and computed minus published in eV.
    error_eV
        Standard error of the difference in eV.
    published_error_assumed
        Whether the published part of it is the default, because none was published.
    sigma_distance
        Difference in units of its error, with its sign.
    """

    computed_eV: float
    published_eV: float
    difference_eV: float
    error_eV: float
    published_error_assumed: bool
    sigma_distance: float


def comparison_temperature(value: LiteratureValue, low_K: float, high_K: float) -> float | None:
    """Return where to compare a published value with a law known between two temperatures.

    This is the middle (in 1/T) of the temperatures that both cover; where they do not overlap, the computed
    temperature nearest to the published range; where no range was published, the middle of the computed one; for a
    single published point, its own temperature.

    Parameters
    ----------
    value : LiteratureValue
        The published value.
    low_K, high_K : float
        Lowest and highest computed temperature in K.

    Returns
    -------
    float or None
        Temperature in K; ``None`` where only an activation energy was published.

    Raises
    ------
    ValueError
        If the temperatures are not positive and in order.
    """
    if not 0.0 < low_K <= high_K:
        msg = f'computed temperatures must be positive and in order, not {low_K} and {high_K} K'
        raise ValueError(msg)
    if not value.has_coefficient:
        return None if value.point is None else value.point[0]
    published_low, published_high = value.temperature_range_K or (low_K, high_K)
    if high_K < published_low:
        return high_K
    if low_K > published_high:
        return low_K
    return 2.0 / (1.0 / max(low_K, published_low) + 1.0 / min(high_K, published_high))


def compare_coefficient(
    value: LiteratureValue,
    temperature_K: float,
    computed_m2_s: float,
    computed_log_error: float,
    *,
    computed_range_K: tuple[float, float],
    default_factor: float = DEFAULT_FACTOR,
) -> CoefficientComparison:
    """Compare D computed at one temperature with a published value.

    Parameters
    ----------
    value : LiteratureValue
        The published value; where it is a single point, the temperature must be within 1 % of its own.
    temperature_K : float
        Temperature in K.
    computed_m2_s, computed_log_error : float
        Computed D in m²/s and the standard error of ln D.
    computed_range_K : tuple of float
        Lowest and highest temperature at which D was computed, in K.
    default_factor : float
        Factor by which a published value without an error may be off (one standard error of ln D).

    Raises
    ------
    ValueError
        A coefficient or temperature that is not positive, a negative error, a factor that is not above 1, or a
        published value without D at this temperature.
    """
    if not (computed_m2_s > 0.0 and math.isfinite(computed_m2_s)):
        msg = f'the computed D must be positive, not {computed_m2_s} m²/s: only resolved coefficients can be compared'
        raise ValueError(msg)
    if not computed_log_error >= 0.0:
        msg = f'the error of ln D must not be negative, not {computed_log_error}'
        raise ValueError(msg)
    if not default_factor > 1.0:
        msg = f'default_factor must be larger than 1, not {default_factor}'
        raise ValueError(msg)
    published = value.coefficient_at(temperature_K)
    if published is None:
        msg = f'{value.key}: no D is published at {temperature_K:g} K'
        raise ValueError(msg)
    published_error = value.log_error(temperature_K)
    assumed = published_error is None
    error = math.log(default_factor) if published_error is None else published_error
    log_ratio = math.log(computed_m2_s / published)
    low, high = computed_range_K
    tolerance = SAME_TEMPERATURE if not value.has_coefficient else 0.0
    return CoefficientComparison(
        temperature_K=temperature_K,
        computed_m2_s=computed_m2_s,
        published_m2_s=published,
        log_ratio=log_ratio,
        log10_ratio=log_ratio / math.log(10.0),
        relative_deviation=computed_m2_s / published - 1.0,
        computed_log_error=computed_log_error,
        published_log_error=error,
        published_error_assumed=assumed,
        sigma_distance=log_ratio / math.hypot(computed_log_error, error),
        outside_computed=not low * (1.0 - tolerance) <= temperature_K <= high * (1.0 + tolerance),
        outside_published=value.has_coefficient and not value.covers(temperature_K),
    )


def compare_energy(
    value: LiteratureValue,
    computed_eV: float,
    computed_error_eV: float,
    *,
    default_error_eV: float = DEFAULT_ENERGY_ERROR_EV,
) -> EnergyComparison:
    """Compare a computed activation energy with a published one.

    Parameters
    ----------
    value : LiteratureValue
        The published value.
    computed_eV, computed_error_eV : float
        Computed activation energy and its standard error in eV.
    default_error_eV : float
        Standard error of a published energy without one, in eV.

    Raises
    ------
    ValueError
        A negative error, a default that is not positive, or a value without an activation energy.
    """
    if value.activation_energy_eV is None:
        msg = f'{value.key}: no activation energy is published'
        raise ValueError(msg)
    if not computed_error_eV >= 0.0:
        msg = f'the error of the activation energy must not be negative, not {computed_error_eV} eV'
        raise ValueError(msg)
    if not default_error_eV > 0.0:
        msg = f'default_error_eV must be positive, not {default_error_eV}'
        raise ValueError(msg)
    assumed = value.activation_energy_error_eV is None
    published_error = default_error_eV if value.activation_energy_error_eV is None else value.activation_energy_error_eV
    difference = computed_eV - value.activation_energy_eV
    error = math.hypot(computed_error_eV, published_error)
    return EnergyComparison(
        computed_eV=computed_eV,
        published_eV=value.activation_energy_eV,
        difference_eV=difference,
        error_eV=error,
        published_error_assumed=assumed,
        sigma_distance=difference / error,
    )
