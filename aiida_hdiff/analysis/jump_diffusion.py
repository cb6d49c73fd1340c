"""The diffusion coefficient that jumps between sites make, and the correlation factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import blocked_mean, mean_with_error
from aiida_hdiff.analysis.einstein import LagWindow, einstein_series
from aiida_hdiff.analysis.jumps import Jumps
from aiida_hdiff.common.rich import RichResult
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S


@dataclass(frozen=True)
class JumpDiffusion(RichResult):
    """The diffusion coefficient if successive jumps were independent.

    Attributes
    ----------
    value, std_error
        D in m²/s and its standard error; the error is not-a-number without jumps.
    per_axis, per_axis_std_error
        The same along the Cartesian axes, shape (3,).
    """

    _units = {'value': 'm²/s', 'per_axis': 'm²/s'}

    value: float
    std_error: float
    per_axis: FloatArray
    per_axis_std_error: FloatArray


def jump_diffusion(jumps: Jumps, n_frames: int, n_atoms: int, timestep_fs: float) -> JumpDiffusion:
    r"""Return the jump-rate diffusion coefficient.

    .. math:: D_\mathrm{jump} = \frac{1}{6 n T} \sum_\mathrm{jumps} |\mathbf d|^2

    For one kind of site it is Γ d²/6. It differs from the tracer D by the correlation factor, see
    :func:`correlation_factor`. The error is that of the mean of the series of squared jumps per frame, by
    blocking: it holds for jumps in bursts and is that of Poisson, (Σ|d|⁴)^½/(6nT), for independent ones.

    Parameters
    ----------
    jumps
        The jumps.
    n_frames, n_atoms
        Size of the trajectory.
    timestep_fs
        Time between frames in fs.

    Raises
    ------
    ValueError
        Fewer than two frames, or a time step that is not positive.
    """
    series = _squared_jumps(jumps, n_frames, n_atoms, timestep_fs) * ANGSTROM2_PER_PS_IN_M2_PER_S
    unknown = not len(jumps) or n_frames < 3
    axes = np.array([(s.mean(), np.nan) if unknown else mean_with_error(s) for s in series])
    total = series.mean(axis=0)
    value, error = (float(total.mean()), float('nan')) if unknown else mean_with_error(total)
    return JumpDiffusion(value, error, axes[:, 0], axes[:, 1])


def _squared_jumps(jumps: Jumps, n_frames: int, n_atoms: int, timestep_fs: float) -> FloatArray:
    """Return Σd²/(2 n Δt) of the jumps between successive frames (Å²/ps), shape (3, n_frames - 1)."""
    if n_frames < 2:
        raise ValueError(f'jumps need at least two frames, not {n_frames}: give a longer trajectory')
    series = np.zeros((3, n_frames - 1))
    for axis in range(3):
        squares = jumps.displacements_A[:, axis] ** 2
        series[axis] = np.bincount(jumps.frames - 1, weights=squares, minlength=n_frames - 1)
    series /= 2.0 * n_atoms * as_timestep_ps(timestep_fs)
    return series


def correlation_factor(
    jumps: Jumps,
    positions: ArrayLike,
    timestep_fs: float,
    *,
    window_ps: tuple[float, float],
    diffusivity_m2_s: float | None = None,
) -> tuple[float, float]:
    r"""Return the correlation factor f = D/D_jump of the tracer and its standard error.

    f is 1 if every jump forgets the one before, below 1 if atoms tend to jump back. D and D_jump come from
    the same hydrogen and fluctuate together. So the error is taken from the paired series
    :math:`y_t - f j_t` of the Einstein slopes y of each time origin and the squared jumps j within the
    window after it, blocked like the slopes themselves.

    Parameters
    ----------
    jumps
        The jumps.
    positions
        Unwrapped positions of the same atoms in Å, drift of the host removed, shape (n_frames, n_atoms, 3).
    timestep_fs
        Time between frames in fs.
    window_ps
        Lags of the fit of D; at most a tenth of the run.
    diffusivity_m2_s
        D from another estimate of the same run; without it, the slope over the window.

    Returns
    -------
    tuple of float
        f and its standard error.

    Raises
    ------
    ValueError
        No jumps, positions of a wrong shape or not finite, or a window that is not increasing, has fewer than
        two lags or ends beyond a tenth of the run.
    """
    trajectory = as_positions(positions)
    n_frames, n_atoms, _ = trajectory.shape
    timestep_ps = as_timestep_ps(timestep_fs)
    if not len(jumps):
        raise ValueError('a correlation factor needs jumps, and there are none: extend the run')
    first, last = (round(lag / timestep_ps) for lag in window_ps)
    if not 1 <= first < last <= (n_frames + 9) // 10:
        raise ValueError(
            f'window_ps {tuple(window_ps)} must be increasing and end at a tenth of the run or earlier, that is at '
            f'{n_frames * timestep_ps / 10:g} ps, with frames every {timestep_ps:g} ps'
        )
    window = LagWindow(first, last)
    slopes = einstein_series(trajectory, timestep_ps, [window])[window].pooled
    squared = _squared_jumps(jumps, n_frames, n_atoms, timestep_fs).mean(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(squared)])
    within = (sums[last:] - sums[:-last]) / last
    rate = float(squared.mean())
    slope = float(slopes.mean())
    paired = blocked_mean(slopes - slope / rate * within, window.last, window.overlap)
    value = slope / rate if diffusivity_m2_s is None else diffusivity_m2_s / (rate * ANGSTROM2_PER_PS_IN_M2_PER_S)
    return value, paired.std_error / rate
