"""Diffusion coefficient with a calibrated uncertainty, or an upper bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import blocked_mean
from aiida_hdiff.analysis.einstein import LagWindow, averaged_frames, einstein_series
from aiida_hdiff.analysis.input_checks import check_unwrapped
from aiida_hdiff.analysis.resolution import (
    comparisons,
    confidence_interval,
    curvature,
    hops_upper_bound,
    too_few_data,
)
from aiida_hdiff.analysis.unwrap import remove_host_drift
from aiida_hdiff.analysis.walkers import walker_error
from aiida_hdiff.analysis.window import StartTest, window_in_frames
from aiida_hdiff.common.rich import RichResult
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S

FRAMES_PER_START = 20
"""Frames, or averages of frames, up to the start of the window."""


@dataclass(frozen=True)
class DiffusionResult(RichResult):
    """Tracer diffusion coefficient.

    Attributes
    ----------
    value, std_error
        D and its standard error in m²/s, half of the 68.27 % interval of Student's t: a few blocks do not tell
        the error exactly, and that is counted.
    interval
        95 % confidence interval of D in m²/s, from Student's t; nan below five hops.
    interval_kind
        'normal' if the interval is symmetric in D, 'log' if in ln D (5 to 50 hops), 'none' below five hops.
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
        Shortest and longest lag of the fit in ps, as used: a part of the window given.
    n_blocks, degrees_of_freedom
        Number of blocks behind std_error, and degrees of freedom of its Student's t.
    per_atom
        D of each atom in m²/s, shape (n_atoms,).
    walker_std_error
        Standard error of D in m²/s from a bootstrap over the atoms; nan for fewer than four.
    walker_disagreement
        How far std_error is above (+) or below (-) it, in standard deviations; nan likewise.
    warnings
        What should be known about a number that is given all the same.
    host_drift_removed
        Whether the mean motion of a host was subtracted.
    """

    _units = dict.fromkeys(('value', 'interval', 'per_axis', 'upper_bound', 'per_atom', 'walker_std_error'), 'm²/s')

    value: float
    std_error: float
    interval: tuple[float, float]
    interval_kind: Literal['normal', 'log', 'none']
    per_axis: FloatArray
    per_axis_std_error: FloatArray
    n_hops: float
    status: Literal['resolved', 'not_resolved']
    reason: str
    upper_bound: float
    window_ps: tuple[float, float]
    n_blocks: int
    degrees_of_freedom: float
    per_atom: FloatArray
    walker_std_error: float
    walker_disagreement: float
    warnings: tuple[str, ...]
    host_drift_removed: bool


def diffusion_coefficient(
    positions: ArrayLike,
    timestep_fs: float,
    *,
    host_positions: ArrayLike | None = None,
    window_ps: tuple[float, float] = (2.0, 10.0),
    jump_length_A: float = 2.5,
    cell: ArrayLike | None = None,
) -> DiffusionResult:
    """Compute the tracer diffusion coefficient from the Einstein relation.

    The straight-line fit to the mean squared displacement is written as the mean of a stationary series,
    one slope per time origin, all atoms pooled, whose standard error comes from blocking (Flyvbjerg and
    Petersen, J. Chem. Phys. 91, 461 (1989)). So it holds for rare hops, for correlated hops and for atoms
    that move together. It is never taken smaller than the Poisson error of the hops, D/√n_hops. The
    intercept is free: vibrations do not enter D.

    The line is fitted just behind the start of the window, where most of the information is: up to 1.5
    times the start, or twice the start where vibrations are not small. Only if the slope changes
    significantly before the start, so that the motion becomes diffusive only there, is it fitted from 1.7
    to 3.4 times the start, and only if it still changes by 8 % there, to the second half of the window. A
    window that ends at twice its start or earlier is used as it is.

    Where frames are much denser than the window needs, positions are first averaged over a twentieth of
    the window's start, 100 fs for 2 ps. The slope of a straight line is left as it is by that, vibrations are
    damped.

    The error is compared with that of a bootstrap over the atoms, see `walkers.walker_error`.

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
    cell
        Lattice vectors as rows in Å, shape (3, 3) or (n_frames, 3, 3), if known: makes sure that wrapped
        positions are noticed.

    Returns
    -------
    DiffusionResult
        D, its errors and its status.

    Raises
    ------
    ValueError
        Positions of a wrong shape, not finite, wrapped or of one frame; timestep or jump length not
        positive; a window that is not increasing, has fewer than two lags or ends beyond a tenth of the run;
        a host without atoms or with a different number of frames.
    """
    trajectory = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    if not jump_length_A > 0.0:
        raise ValueError(f'jump_length_A must be positive, not {jump_length_A}')
    window = window_in_frames(window_ps, trajectory.shape[0], timestep_ps)
    check_unwrapped(trajectory, cell)
    if host_positions is not None:
        trajectory = as_positions(remove_host_drift(trajectory, host_positions))
    n_frames, n_atoms, _ = trajectory.shape
    run_ps = (n_frames - 1) * timestep_ps
    n_together = max(1, window.first // FRAMES_PER_START)
    coarser = LagWindow(-(-window.first // n_together), window.last // n_together)
    if n_together > 1 and coarser.last > coarser.first:
        trajectory, timestep_ps = averaged_frames(trajectory, n_together), n_together * timestep_ps
        window, n_frames = coarser, trajectory.shape[0]
    pairs = comparisons(window, n_frames)
    start = StartTest.of(window)
    windows = [window, *(one for pair in pairs for one in pair), *(start.windows if start else ())]
    series = einstein_series(trajectory, timestep_ps, windows)
    fit = series[start.choose(series, trajectory, timestep_ps) if start else window]

    memory, overlap = fit.window.last, fit.window.overlap
    mean = blocked_mean(fit.pooled, memory, overlap)
    axes = [blocked_mean(slope, memory, overlap) for slope in fit.slopes]
    walkers = walker_error(fit.per_atom, mean)
    hop = jump_length_A**2 / (6.0 * n_atoms * run_ps)
    n_hops = max(mean.mean, 0.0) / hop
    poisson = float(np.sqrt(n_hops)) * hop
    half_width, half_width_90 = (mean.student_t(p) * max(mean.std_error, poisson) for p in (0.975, 0.95))
    interval, interval_kind = confidence_interval(mean.mean, half_width, n_hops)
    reason = too_few_data(mean.mean, half_width, n_hops) or curvature(pairs, series, mean.mean, timestep_ps)
    unit = ANGSTROM2_PER_PS_IN_M2_PER_S
    return DiffusionResult(
        value=mean.mean * unit,
        std_error=max(mean.one_sigma, poisson) * unit,
        interval=(interval[0] * unit, interval[1] * unit),
        interval_kind=interval_kind,
        per_axis=np.array([axis.mean for axis in axes]) * unit,
        per_axis_std_error=np.array([axis.one_sigma for axis in axes]) * unit,
        n_hops=n_hops,
        status='not_resolved' if reason else 'resolved',
        reason=reason,
        upper_bound=max(mean.mean + half_width_90, hop * hops_upper_bound(n_hops)) * unit,
        window_ps=(fit.window.first * timestep_ps, fit.window.last * timestep_ps),
        n_blocks=mean.n_blocks,
        degrees_of_freedom=mean.degrees_of_freedom,
        per_atom=fit.per_atom * unit,
        walker_std_error=walkers.std_error * unit,
        walker_disagreement=walkers.disagreement,
        warnings=(walkers.warning,) if walkers.warning and not reason else (),
        host_drift_removed=host_positions is not None,
    )
