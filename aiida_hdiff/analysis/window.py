"""Where in the window the line is fitted, and D for a ladder of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import BlockedMean, blocked_mean
from aiida_hdiff.analysis.einstein import EinsteinSeries, LagWindow, einstein_series
from aiida_hdiff.analysis.resolution import slope_change
from aiida_hdiff.analysis.unwrap import remove_host_drift
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S

START_PROBABILITY = 0.99
"""Quantile of Student's t at which a change of the slope with the lag counts."""

MAX_INTERCEPT = 0.2
"""Fraction of the mean squared displacement at the start of the window that is small for vibrations."""

MAX_LATE_CHANGE = 0.08
"""Relative change of the slope up to the late window for which that window is late enough."""


@dataclass(frozen=True)
class StartTest:
    """Lags that decide where in a window the line is fitted.

    The information about D sits at the shortest lags that are diffusive (Michalet and Berglund, Phys. Rev.
    E 85, 061916 (2012)), but a fit to them alone is as biased as they are. Whether they are is seen best
    just before them, where the bias would be largest.

    Attributes
    ----------
    before
        0.4 to 0.6 of the start of the window.
    short, early
        The start to 1.5 and to 2 times it: one of them is fitted if the slope is the same before.
    late
        1.7 to 3.4 times the start: fitted if it is not.
    last
        The second half of the window: fitted if the slope changes much from early to late.
    """

    before: LagWindow
    short: LagWindow
    early: LagWindow
    late: LagWindow
    last: LagWindow

    @classmethod
    def of(cls, window: LagWindow) -> StartTest | None:
        """Return the test for a window, or None if that is not longer than its start or has too few lags."""
        first, last = window.first, window.last
        test = cls(
            before=LagWindow(2 * first // 5, 3 * first // 5),
            short=LagWindow(first, 3 * first // 2),
            early=LagWindow(first, 2 * first),
            late=LagWindow(-(-17 * first // 10), min(17 * first // 5, last)),
            last=LagWindow((first + last) // 2, last),
        )
        enough = test.before.first >= 1 and all(one.last > one.first for one in test.windows)
        return test if enough and test.early.last < last else None

    @property
    def windows(self) -> tuple[LagWindow, ...]:
        """All five windows."""
        return self.before, self.short, self.early, self.late, self.last

    def choose(
        self, series: dict[LagWindow, EinsteinSeries], positions: NDArray[np.floating], timestep_ps: float
    ) -> LagWindow:
        """Return the window to fit.

        If the slope does not change significantly before the start, the fit is the more precise the narrower it is,
        but for the vibrations: it ends at 1.5 times the start if they are small, at twice the start if not.

        Parameters
        ----------
        series
            Result of `einstein_series` for the five windows.
        positions
            The positions it was made from in Å, shape (n_frames, n_atoms, 3).
        timestep_ps
            Time between them in ps.
        """
        early = series[self.early]
        if not _significant(slope_change(series[self.before], early)):
            step = _mean_squared_step(positions, self.early.first)
            intercept = step - 6.0 * float(early.pooled.mean()) * self.early.first * timestep_ps
            return self.short if intercept < MAX_INTERCEPT * step else self.early
        late = series[self.late]
        change = slope_change(early, late)
        large = abs(change.mean) > MAX_LATE_CHANGE * abs(float(late.pooled.mean()))
        return self.last if large and _significant(change) else self.late


def _significant(change: BlockedMean) -> bool:
    return abs(change.mean) > change.student_t(START_PROBABILITY) * change.std_error


def _mean_squared_step(positions: NDArray[np.floating], lag: int) -> float:
    """Return the mean squared displacement (Å²) over a lag, from four sets of adjoining displacements."""
    sets = [np.diff(positions[start::lag], axis=0) for start in range(0, lag, max(1, lag // 4))]
    return float(np.mean([3.0 * np.mean(np.square(steps)) for steps in sets]))


def window_in_frames(window_ps: tuple[float, float], n_frames: int, timestep_ps: float) -> LagWindow:
    """Return a window of lags in frames.

    Raises
    ------
    ValueError
        One frame; a window that is not increasing, has fewer than two lags or ends beyond a tenth of the run.
    """
    start, end = window_ps
    if n_frames < 2:
        raise ValueError('positions have one frame: a displacement needs two, an error of D hundreds')
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


@dataclass(frozen=True)
class DiffusionByWindow:
    """D fitted over several windows of lags.

    Attributes
    ----------
    start_ps, end_ps
        Shortest and longest lag of each window in ps, shape (n_windows,).
    value, std_error
        D and its standard error in m²/s, shape (n_windows,). Errors of windows are correlated.
    """

    start_ps: FloatArray
    end_ps: FloatArray
    value: FloatArray
    std_error: FloatArray


def diffusion_by_window(
    positions: ArrayLike,
    timestep_fs: float,
    *,
    host_positions: ArrayLike | None = None,
    windows_ps: Sequence[tuple[float, float]] | None = None,
) -> DiffusionByWindow:
    """Compute D for several windows of lags: where it no longer depends on the window, the motion is diffusive.

    Parameters
    ----------
    positions
        Unwrapped positions of the diffusing atoms in Å, shape (n_frames, n_atoms, 3).
    timestep_fs
        Time between frames in fs.
    host_positions
        Unwrapped positions of the host atoms in Å, whose mean motion is subtracted.
    windows_ps
        Shortest and longest lag of each window in ps. By default a ladder of windows from a lag to twice
        that lag, which doubles up to a tenth of the run.

    Raises
    ------
    ValueError
        Positions of a wrong shape or not finite, a timestep that is not positive, an impossible window, or
        fewer than 40 frames where no windows are given.
    """
    trajectory = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    n_frames = trajectory.shape[0]
    if windows_ps is None:
        windows = _ladder(n_frames)
    else:
        windows = [window_in_frames(window, n_frames, timestep_ps) for window in windows_ps]
    if host_positions is not None:
        trajectory = remove_host_drift(trajectory, host_positions)
    series = einstein_series(trajectory, timestep_ps, windows)
    means = [blocked_mean(series[window].pooled, window.last, window.overlap) for window in windows]
    return DiffusionByWindow(
        start_ps=np.array([window.first for window in windows]) * timestep_ps,
        end_ps=np.array([window.last for window in windows]) * timestep_ps,
        value=np.array([mean.mean for mean in means]) * ANGSTROM2_PER_PS_IN_M2_PER_S,
        std_error=np.array([mean.one_sigma for mean in means]) * ANGSTROM2_PER_PS_IN_M2_PER_S,
    )


def _ladder(n_frames: int) -> list[LagWindow]:
    first = n_frames // 20
    if first < 2:
        raise ValueError(f'positions have {n_frames} frames: D by window needs at least 40')
    starts = [first]
    while starts[0] >= 4:
        starts.insert(0, starts[0] // 2)
    return [LagWindow(start, 2 * start) for start in starts]
