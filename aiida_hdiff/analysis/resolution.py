"""Whether a diffusion coefficient is resolved, and the interval that the data allow."""

from __future__ import annotations

import math
from typing import Literal

from aiida_hdiff.analysis.blocking import BlockedMean, blocked_mean
from aiida_hdiff.analysis.einstein import EinsteinSeries, LagWindow

MIN_HOPS = 10.0
"""Fewer hops than this give an upper bound only."""

MIN_HOPS_FOR_INTERVAL = 5.0
"""Fewer hops than this give no two-sided interval."""

MAX_HOPS_FOR_LOG_INTERVAL = 50.0
"""With fewer hops than this the interval is symmetric in ln D, with more in D."""

MAX_CURVATURE = 0.2
"""Relative change of the slope between two windows that is tolerated even if it is significant."""

CURVATURE_PROBABILITY = 0.98
"""One-sided level of Student's t at which it is significant; both together refuse < 1 % of random walks."""


def too_few_data(value: float, half_width: float, n_hops: float) -> str:
    """Say why D is not resolved by the data, or return an empty string.

    Parameters
    ----------
    value, half_width
        D and half its 95 % interval in Å²/ps.
    n_hops
        Number of hops that make this D.
    """
    if n_hops < MIN_HOPS:
        return f'only {n_hops:.1f} hops, fewer than {MIN_HOPS:g}: run longer, with more atoms or hotter'
    if value <= half_width:
        return f'the 95 % interval includes zero: {value:.3g} ± {half_width:.3g} Å²/ps: run longer'
    return ''


def confidence_interval(
    value: float, half_width: float, n_hops: float
) -> tuple[tuple[float, float], Literal['normal', 'log', 'none']]:
    """Return the two-sided interval of D and its kind.

    The number of hops is Poisson-distributed at best, so that for few of them the distribution of D is
    skewed: between 5 and 50 hops the interval is symmetric in ln D, exp(ln D ± δ/D). Below 5 there is none.

    Parameters
    ----------
    value, half_width
        D and half its normal interval, δ, in any unit.
    n_hops
        Number of hops that make this D.
    """
    if n_hops < MIN_HOPS_FOR_INTERVAL:
        return (math.nan, math.nan), 'none'
    if n_hops < MAX_HOPS_FOR_LOG_INTERVAL:
        factor = math.exp(half_width / value)
        return (value / factor, value * factor), 'log'
    return (value - half_width, value + half_width), 'normal'


def comparisons(window: LagWindow, n_frames: int) -> list[tuple[LagWindow, LagWindow]]:
    """Return pairs of windows, an early and a late one, in which a diffusive motion has the same slope.

    They are the halves of the window and, within a tenth of the run, the window stretched 2 and 4 times.
    """
    middle = (window.first + window.last) // 2
    pairs = []
    if middle > window.first:
        pairs.append((LagWindow(window.first, middle), LagWindow(middle, window.last)))
    for factor in (2, 4):
        if 10 * factor * window.last <= n_frames:
            pairs.append((window, window.stretched(factor)))
    return pairs


def slope_change(early: EinsteinSeries, late: EinsteinSeries) -> BlockedMean:
    """Return the mean difference of two slopes, early minus late, paired by time origin, in Å²/ps."""
    late_slopes = late.pooled
    difference = early.pooled[: late_slopes.size] - late_slopes
    return blocked_mean(difference, late.window.last, late.window.overlap)


def curvature(
    pairs: list[tuple[LagWindow, LagWindow]],
    series: dict[LagWindow, EinsteinSeries],
    value: float,
    timestep_ps: float,
) -> str:
    """Say whether the slope depends on the lag, judged by the paired difference of two series, or return ''.

    Parameters
    ----------
    pairs
        Windows to compare.
    series
        Result of `einstein_series` for each window.
    value
        D in Å²/ps, to which a change is compared.
    timestep_ps
        Time between frames in ps.
    """
    for early, late in pairs:
        change = slope_change(series[early], series[late])
        threshold = change.student_t(CURVATURE_PROBABILITY) * change.std_error
        if abs(change.mean) > max(threshold, MAX_CURVATURE * value):
            kind = 'sub' if change.mean > 0.0 else 'super'
            return (
                f'the motion is {kind}-diffusive: the slope changes by {-change.mean / value:+.0%} of D from '
                f'{early.text(timestep_ps)} to {late.text(timestep_ps)}: use a later window and a longer run'
            )
    return ''


def hops_upper_bound(n_hops: float) -> float:
    """Return the 95 % upper bound of the expected number of hops if n_hops were seen; 3 for none."""
    from scipy.special import gammaincinv

    return float(gammaincinv(n_hops + 1.0, 0.95))
