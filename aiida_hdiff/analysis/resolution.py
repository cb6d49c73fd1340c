"""Whether a diffusion coefficient is resolved: enough hops, an interval without zero, a straight line."""

from __future__ import annotations

from aiida_hdiff.analysis._arrays import FloatArray
from aiida_hdiff.analysis.blocking import blocked_mean
from aiida_hdiff.analysis.einstein import LagWindow

MIN_HOPS = 10.0
"""Fewer hops than this give an upper bound only."""

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


def curvature(
    pairs: list[tuple[LagWindow, LagWindow]],
    slopes: dict[LagWindow, FloatArray],
    value: float,
    timestep_ps: float,
) -> str:
    """Say whether the slope depends on the lag, judged by the paired difference of two series, or return ''.

    Parameters
    ----------
    pairs
        Windows to compare.
    slopes
        Series from `einstein_slopes` for each window in Å²/ps, shape (3, n_origins).
    value
        D in Å²/ps, to which a change is compared.
    timestep_ps
        Time between frames in ps.
    """
    for early, late in pairs:
        n_origins = slopes[late].shape[1]
        difference = slopes[early][:, :n_origins].mean(axis=0) - slopes[late].mean(axis=0)
        change = blocked_mean(difference, late.last, late.overlap)
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
