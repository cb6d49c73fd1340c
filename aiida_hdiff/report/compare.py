"""Comparison of the computed Arrhenius laws with published values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.study import PotentialResult, TemperatureResult


@dataclass(frozen=True)
class Comparison:
    """One potential beside one published value.

    Attributes
    ----------
    value : LiteratureValue
        The published value.
    energy_difference_eV : float or None
        Ea computed minus Ea published, in eV.
    energy_distance_sigma : float or None
        The difference in units of its standard error; of our error alone where none is published.
    prefactor_ratio : float or None
        D0 computed over D0 published.
    temperature_K : float or None
        Temperature at which the coefficients are compared, in K.
    coefficient_ratio : float or None
        D computed over D published at that temperature.
    extrapolated : bool
        Whether that temperature lies outside the computed or outside the published range.
    """

    value: LiteratureValue
    energy_difference_eV: float | None
    energy_distance_sigma: float | None
    prefactor_ratio: float | None
    temperature_K: float | None
    coefficient_ratio: float | None
    extrapolated: bool


def compare(potential: PotentialResult, values: Sequence[LiteratureValue]) -> tuple[Comparison, ...]:
    """Compare the fit of one potential with published values.

    Parameters
    ----------
    potential : PotentialResult
        The potential.
    values : sequence of LiteratureValue
        The published values.

    Returns
    -------
    tuple of Comparison
        In the order of the values; empty without a fit.
    """
    return tuple(_compare_one(potential, value) for value in values) if potential.has_fit else ()


@dataclass(frozen=True)
class Deviation:
    """D at one temperature beside a published law.

    Attributes
    ----------
    temperature_K, measured_temperature_K : float
        Requested temperature, and the mean measured one at which the law is evaluated, in K.
    value_m2_s, published_m2_s : float
        D, or the lowest upper bound, and the published coefficient in m²/s.
    ratio : float
        Their ratio.
    distance_sigma : float or None
        ``abs(ln ratio)`` in standard errors of ln D.
    is_bound : bool
        Whether only an upper bound is known.
    extrapolated : bool
        Whether the temperature lies outside the published range.
    """

    temperature_K: float
    measured_temperature_K: float
    value_m2_s: float
    published_m2_s: float
    ratio: float
    distance_sigma: float | None
    is_bound: bool
    extrapolated: bool


def deviations(potential: PotentialResult, value: LiteratureValue) -> tuple[Deviation, ...]:
    """Compare D of one potential at every temperature with a published law.

    Replicas are averaged in ln D with their errors as weights.

    Parameters
    ----------
    potential : PotentialResult
        The potential.
    value : LiteratureValue
        The published law, or a single point, which is compared where the temperature agrees within 1 %.

    Returns
    -------
    tuple of Deviation
        In the order of the temperatures; those without a value or a bound are left out.
    """
    found = []
    for kelvin in sorted({item.temperature_K for item in potential.temperatures}):
        resolved, bounds = _known(potential, kelvin)
        if not resolved and not bounds:
            continue
        one = _mean_deviation(resolved, value) if resolved else _bound_deviation(bounds, value)
        if one is not None:
            found.append(one)
    return tuple(found)


@dataclass(frozen=True)
class Coefficient:
    """D of all replicas at one temperature.

    Attributes
    ----------
    value_m2_s : float
        Mean, or lowest upper bound, in m²/s.
    std_error_m2_s : float or None
        Its standard error in m²/s.
    is_bound : bool
        Whether only an upper bound is known.
    """

    value_m2_s: float
    std_error_m2_s: float | None
    is_bound: bool


def mean_coefficient(potential: PotentialResult, temperature_K: float) -> Coefficient | None:
    """Return D at one requested temperature, replicas averaged in ln D with their errors as weights.

    Parameters
    ----------
    potential : PotentialResult
        The potential.
    temperature_K : float
        Requested temperature in K.

    Returns
    -------
    Coefficient or None
        The lowest upper bound where no run is resolved; ``None`` where nothing is known.
    """
    resolved, bounds = _known(potential, temperature_K)
    if resolved:
        mean, error = _mean([math.log(item.value_m2_s or math.nan) for item in resolved], resolved)
        return Coefficient(math.exp(mean), None if error is None else math.exp(mean) * error, is_bound=False)
    return Coefficient(min(map(_bound, bounds)), None, is_bound=True) if bounds else None


def _known(potential: PotentialResult, temperature_K: float) -> tuple[list[TemperatureResult], list[TemperatureResult]]:
    """Return the runs at one temperature that are resolved, and those that give an upper bound."""
    runs = [item for item in potential.temperatures if item.temperature_K == temperature_K]
    bounds = [item for item in runs if item.status == 'not_resolved' and 0.0 < _bound(item) < math.inf]
    return [item for item in runs if item.status == 'resolved'], bounds


def _bound(item: TemperatureResult) -> float:
    return item.upper_bound_m2_s if item.upper_bound_m2_s is not None else math.inf


def _published_at(value: LiteratureValue, temperature_K: float) -> float | None:
    if value.has_coefficient:
        return value.coefficient(temperature_K)
    near = value.point is not None and abs(temperature_K / value.point[0] - 1.0) < 0.01
    return value.point[1] if near and value.point is not None else None


def _mean_deviation(runs: list[TemperatureResult], value: LiteratureValue) -> Deviation | None:
    """Return the mean ln ratio of the resolved runs at one temperature, each at its own measured temperature."""
    ratios = []
    for item in runs:
        published = _published_at(value, item.plot_temperature_K)
        if published is None:
            return None
        ratios.append(math.log((item.value_m2_s or math.nan) / published))
    mean, error = _mean(ratios, runs)
    kelvin = sum(item.plot_temperature_K for item in runs) / len(runs)
    published = _published_at(value, kelvin)
    if published is None:
        return None
    return Deviation(
        temperature_K=runs[0].temperature_K,
        measured_temperature_K=kelvin,
        value_m2_s=published * math.exp(mean),
        published_m2_s=published,
        ratio=math.exp(mean),
        distance_sigma=abs(mean) / error if error else None,
        is_bound=False,
        extrapolated=value.has_coefficient and not value.covers(kelvin),
    )


def _mean(logs: list[float], runs: list[TemperatureResult]) -> tuple[float, float | None]:
    """Return the mean of logarithms of D with the errors of the runs as weights, and its error where all are known."""
    errors = [(item.std_error_m2_s or 0.0) / (item.value_m2_s or math.nan) for item in runs]
    if not all(error > 0.0 and math.isfinite(error) for error in errors):
        return sum(logs) / len(logs), None
    weights = [1.0 / error**2 for error in errors]
    total = sum(weights)
    return sum(log * weight for log, weight in zip(logs, weights, strict=True)) / total, 1.0 / math.sqrt(total)


def _bound_deviation(runs: list[TemperatureResult], value: LiteratureValue) -> Deviation | None:
    """Return the lowest upper bound at one temperature."""
    lowest = min(runs, key=_bound)
    published = _published_at(value, lowest.plot_temperature_K)
    if published is None:
        return None
    return Deviation(
        temperature_K=lowest.temperature_K,
        measured_temperature_K=lowest.plot_temperature_K,
        value_m2_s=_bound(lowest),
        published_m2_s=published,
        ratio=_bound(lowest) / published,
        distance_sigma=None,
        is_bound=True,
        extrapolated=value.has_coefficient and not value.covers(lowest.plot_temperature_K),
    )


def published_label(value: LiteratureValue) -> str:
    """Return authors, year, isotope (other than H) and method of a published value."""
    isotope = '' if value.isotope == 'H' else f'{value.isotope}, '
    return f'{value.citation} ({isotope}{value.kind})'


def _compare_one(potential: PotentialResult, value: LiteratureValue) -> Comparison:
    """Compare one fit with one published value."""
    difference = distance = prefactor_ratio = None
    if potential.activation_energy_eV is not None and value.activation_energy_eV is not None:
        difference = potential.activation_energy_eV - value.activation_energy_eV
        errors = (potential.activation_energy_error_eV, value.activation_energy_error_eV)
        error = math.hypot(*(item or 0.0 for item in errors))
        distance = abs(difference) / error if errors[0] and error > 0.0 else None
    if potential.prefactor_m2_s is not None and value.prefactor_m2_s is not None:
        prefactor_ratio = potential.prefactor_m2_s / value.prefactor_m2_s

    temperature, extrapolated = _common_temperature(potential, value)
    coefficient_ratio = None
    if temperature is not None:
        published = _published_coefficient(value, temperature)
        coefficient_ratio = potential.predict(temperature)[0] / published
    return Comparison(
        value=value,
        energy_difference_eV=difference,
        energy_distance_sigma=distance,
        prefactor_ratio=prefactor_ratio,
        temperature_K=temperature,
        coefficient_ratio=coefficient_ratio,
        extrapolated=extrapolated,
    )


def _common_temperature(potential: PotentialResult, value: LiteratureValue) -> tuple[float | None, bool]:
    """Return where to compare D, in K, and whether that is outside either range.

    This is the middle (in 1/T) of the temperatures that both cover; where they do not overlap, the computed
    temperature nearest to the published range, rounded to 1 K; for a single published point, its own temperature.
    """
    computed = [item.plot_temperature_K for item in potential.temperatures if item.status == 'resolved']
    if not computed:
        return None, False
    low, high = min(computed), max(computed)
    if value.point is not None and not value.has_coefficient:
        # 1 %: the mean temperature of an NVE run is never exactly the requested one.
        return value.point[0], not 0.99 * low <= value.point[0] <= 1.01 * high
    if not value.has_coefficient:
        return None, False
    if value.temperature_range_K is None:
        return _harmonic_middle(low, high), True
    published_low, published_high = value.temperature_range_K
    if high < published_low:
        return float(round(high)), True
    if low > published_high:
        return float(round(low)), True
    return _harmonic_middle(max(low, published_low), min(high, published_high)), False


def _published_coefficient(value: LiteratureValue, temperature_K: float) -> float:
    """Return the published D in m²/s from the law, else the single published point."""
    if value.point is not None and not value.has_coefficient:
        return value.point[1]
    return value.coefficient(temperature_K)


def _harmonic_middle(low: float, high: float) -> float:
    """Return the temperature in the middle of a range on the 1/T axis, rounded to 1 K."""
    return float(round(2.0 / (1.0 / low + 1.0 / high)))
