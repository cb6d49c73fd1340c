"""Diffusion coefficient with a calibrated uncertainty, or an upper bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import blocked_mean
from aiida_hdiff.analysis.einstein import LagWindow, einstein_slopes
from aiida_hdiff.analysis.resolution import comparisons, curvature, hops_upper_bound, too_few_data
from aiida_hdiff.analysis.unwrap import remove_host_drift
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S


@dataclass(frozen=True)
class DiffusionResult:
    """Tracer diffusion coefficient.

    Attributes
    ----------
    value, std_error
        D and its standard error in m²/s.
    interval
        95 % confidence interval of D in m²/s, from Student's t with n_blocks - 1 degrees of freedom.
    per_axis, per_axis_std_error
        D along the Cartesian axes and its standard errors in m²/s, shape (3,).
    n_hops
        Number of hops of the assumed jump length that would make this D.
    status
        'resolved', or 'not_resolved' if only the upper bound means something.
    reason
        Why it is not resolved, else empty.
    upper_bound
        One-sided 95 % upper bound of D in m²/s.
    window_ps
        Shortest and longest lag of the fit in ps, as used.
    n_blocks
        Number of blocks behind std_error.
    host_drift_removed
        Whether the mean motion of a host was subtracted.
    """

    value: float
    std_error: float
    interval: tuple[float, float]
    per_axis: FloatArray
    per_axis_std_error: FloatArray
    n_hops: float
    status: Literal['resolved', 'not_resolved']
    reason: str
    upper_bound: float
    window_ps: tuple[float, float]
    n_blocks: int
    host_drift_removed: bool


def diffusion_coefficient(
    positions: ArrayLike,
    timestep_fs: float,
    *,
    host_positions: ArrayLike | None = None,
    window_ps: tuple[float, float] = (2.0, 10.0),
    jump_length_A: float = 2.5,
) -> DiffusionResult:
    """Compute the tracer diffusion coefficient from the Einstein relation.

    The straight-line fit to the mean squared displacement is written as the mean of a stationary series,
    one slope per time origin, all atoms pooled, whose standard error comes from blocking (Flyvbjerg and
    Petersen, J. Chem. Phys. 91, 461 (1989)). So it holds for rare hops, for correlated hops and for atoms
    that move together. It is never taken smaller than the Poisson error of the hops, D/√n_hops. The
    intercept is free: vibrations do not enter D.

    The result is `not_resolved` if D amounts to fewer than ten hops, if its 95 % interval includes zero, or
    if the slope changes by more than 20 %, and significantly (paired difference of both series), between
    the halves of the window or when it is stretched 2 or 4 times: then the motion is not diffusive on its
    time scale. A run of only ten times the window rarely has the data to show that.

    The upper bound is the larger one of that from the standard error and that of a Poisson process with the
    hops seen, 3 a²/(6 n T) for none (He, Zhu, Epstein, Mo, npj Comput. Mater. 4, 18 (2018), on the
    statistics of few hops).

    Parameters
    ----------
    positions
        Unwrapped positions of the diffusing atoms in Å, shape (n_frames, n_atoms, 3).
    timestep_fs
        Time between frames in fs.
    host_positions
        Unwrapped positions of the host atoms in Å, shape (n_frames, n_host_atoms, 3); their mean motion is
        subtracted.
    window_ps
        Shortest and longest lag of the fit in ps: beyond the vibrations, and at most a tenth of the run.
    jump_length_A
        Jump length a in Å, used to count hops as n 6 D T / a² and in the upper bound. The default, 2.5 Å,
        is the distance of octahedral sites in fcc Ni.

    Returns
    -------
    DiffusionResult
        D, its errors and its status.

    Raises
    ------
    ValueError
        Positions of a wrong shape or not finite, timestep or jump length not positive, a window that is not
        increasing, has fewer than two lags or ends beyond a tenth of the run.
    """
    trajectory = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    if not jump_length_A > 0.0:
        raise ValueError(f'jump_length_A must be positive, not {jump_length_A}')
    window = _window_in_frames(window_ps, trajectory.shape[0], timestep_ps)
    if host_positions is not None:
        trajectory = as_positions(remove_host_drift(trajectory, host_positions))
    n_frames, n_atoms, _ = trajectory.shape
    pairs = comparisons(window, n_frames)
    windows = list(dict.fromkeys([window, *(one for pair in pairs for one in pair)]))
    slopes = dict(zip(windows, einstein_slopes(trajectory, timestep_ps, windows), strict=True))

    mean = blocked_mean(slopes[window].mean(axis=0), window.last, window.overlap)
    axes = [blocked_mean(slope, window.last, window.overlap) for slope in slopes[window]]
    hop = jump_length_A**2 / (6.0 * n_atoms * (n_frames - 1) * timestep_ps)
    n_hops = max(mean.mean, 0.0) / hop
    std_error = max(mean.std_error, float(np.sqrt(n_hops)) * hop)
    half_width = mean.student_t(0.975) * std_error
    reason = too_few_data(mean.mean, half_width, n_hops) or curvature(pairs, slopes, mean.mean, timestep_ps)
    unit = ANGSTROM2_PER_PS_IN_M2_PER_S
    return DiffusionResult(
        value=mean.mean * unit,
        std_error=std_error * unit,
        interval=((mean.mean - half_width) * unit, (mean.mean + half_width) * unit),
        per_axis=np.array([axis.mean for axis in axes]) * unit,
        per_axis_std_error=np.array([axis.std_error for axis in axes]) * unit,
        n_hops=n_hops,
        status='not_resolved' if reason else 'resolved',
        reason=reason,
        upper_bound=max(mean.mean + mean.student_t(0.95) * std_error, hop * hops_upper_bound(n_hops)) * unit,
        window_ps=(window.first * timestep_ps, window.last * timestep_ps),
        n_blocks=mean.n_blocks,
        host_drift_removed=host_positions is not None,
    )


def _window_in_frames(window_ps: tuple[float, float], n_frames: int, timestep_ps: float) -> LagWindow:
    """Return the window in frames, or raise ValueError with the values and what to do."""
    start, end = window_ps
    if not 0.0 < start < end:
        raise ValueError(f'window_ps must be increasing and positive, not {window_ps}')
    run = n_frames * timestep_ps
    if 10.0 * end > run * (1.0 + 1e-9):
        raise ValueError(
            f'the fit window ends at {end:g} ps, but the run is only {run:g} ps long: extend the run to '
            f'at least {10.0 * end:g} ps or end the window at {run / 10.0:g} ps or earlier'
        )
    window = LagWindow(int(np.ceil(start / timestep_ps - 1e-6)), int(np.floor(end / timestep_ps + 1e-6)))
    if window.last <= window.first:
        raise ValueError(
            f'the fit window {start:g}-{end:g} ps has fewer than two lags at {timestep_ps:g} ps between '
            'frames: store frames more often or widen the window'
        )
    return window
