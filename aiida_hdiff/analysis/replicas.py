"""One diffusion coefficient from several independent runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import as_series
from aiida_hdiff.analysis.resolution import MIN_HOPS, hops_upper_bound
from aiida_hdiff.common.rich import RichResult

SCATTER_PROBABILITY = 0.05


@dataclass(frozen=True)
class CombinedResult(RichResult):
    """Mean of D over independent runs.

    Attributes
    ----------
    value, std_error
        D and its standard error in m²/s.
    scatter_std_error
        Standard error of the mean from the scatter of the runs alone, in m²/s; nan for fewer than three.
    inflated
        Whether std_error was multiplied by √(chi2 / (n - 1)) because the runs scatter more than their errors say.
    interval
        95 % interval of D in m²/s; on ln D, thus positive, where there are fewer than 50 hops.
    interval_kind
        'normal' or 'log'.
    upper_bound
        One-sided 95 % upper bound of D in m²/s.
    n_hops
        Hops of all runs together.
    status, reason
        'resolved', or 'not_resolved' and why.
    """

    _units = {'value': 'm²/s', 'interval': 'm²/s', 'upper_bound': 'm²/s'}

    value: float
    std_error: float
    scatter_std_error: float
    inflated: bool
    interval: tuple[float, float]
    interval_kind: str
    upper_bound: float
    n_hops: float
    status: str
    reason: str


def combine_replicas(
    values_m2_s: ArrayLike, std_errors_m2_s: ArrayLike, n_hops: ArrayLike, lengths_ps: ArrayLike
) -> CombinedResult:
    """Average D over independent runs, weighted by their lengths.

    Weights from the errors would prefer the runs that happen to have few hops, whose errors are small; the lengths
    are free of that bias. The error is that of the mean, multiplied by √(chi2 / (n - 1)) if a chi2 test at the 5 %
    level says that the runs scatter more than their errors allow.

    Parameters
    ----------
    values_m2_s, std_errors_m2_s
        D of each run and its standard error in m²/s, shape (n,); zero is allowed for runs without hops.
    n_hops
        Number of hops of each run, shape (n,).
    lengths_ps
        Length of each run in ps, shape (n,).

    Raises
    ------
    ValueError
        Arrays of different lengths, no run, values that are not finite, negative errors, lengths not positive.
    """
    from scipy import stats

    values, errors = as_series(values_m2_s, 'values_m2_s'), as_series(std_errors_m2_s, 'std_errors_m2_s')
    hops, lengths = as_series(n_hops, 'n_hops'), as_series(lengths_ps, 'lengths_ps')
    if not len(values) == len(errors) == len(hops) == len(lengths):
        raise ValueError('values, errors, hops and lengths must have one entry per run')
    if not np.all(lengths > 0.0) or np.any(errors < 0.0):
        raise ValueError('lengths_ps must be positive and std_errors_m2_s not negative')
    weights = lengths / lengths.sum()
    value = float(weights @ values)
    error = float(np.sqrt(np.sum((weights * errors) ** 2)))
    n_runs, scatter, inflated = len(values), float('nan'), False
    if n_runs >= 3:
        scatter = float(np.sqrt(np.sum((weights * (values - value)) ** 2) * n_runs / (n_runs - 1)))
    known = errors > 0.0
    if known.sum() >= 2:
        chi2 = float(np.sum(((values - value)[known] / errors[known]) ** 2))
        freedom = int(known.sum()) - 1
        if stats.chi2.sf(chi2, freedom) < SCATTER_PROBABILITY:
            error, inflated = error * float(np.sqrt(chi2 / freedom)), True
    total = float(hops.sum())
    hop = value / total if total > 0.0 else 0.0
    few = total < 50.0
    half = stats.norm.ppf(0.975) * error
    if few and value > 0.0:
        factor = float(np.exp(half / value))
        interval = (value / factor, value * factor)
    else:
        interval = (value - half, value + half)
    upper = max(value + stats.norm.ppf(0.95) * error, hop * hops_upper_bound(total))
    reason = ''
    if total < MIN_HOPS:
        reason = (
            f'only {total:.1f} hops in {n_runs} runs, fewer than {MIN_HOPS:g}: run longer, with more atoms or hotter'
        )
    elif interval[0] <= 0.0:
        reason = 'the 95 % interval includes zero: run longer'
    return CombinedResult(
        value=value,
        std_error=error,
        scatter_std_error=scatter,
        inflated=inflated,
        interval=interval,
        interval_kind='log' if few else 'normal',
        upper_bound=float(upper),
        n_hops=total,
        status='not_resolved' if reason else 'resolved',
        reason=reason,
    )
