"""The Einstein slope as the mean of a stationary time series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis._arrays import FloatArray, atoms_per_chunk

MIN_CHUNK_FRAMES = 4096
"""Fewest origins that are done together; at least twice the longest lag are."""

CHUNK_BYTES = 2**20
"""Size of the positions that are done together; five arrays of this size exist at a time."""


@dataclass(frozen=True)
class LagWindow:
    """Lags, in frames, between which a straight line is fitted to the mean squared displacement.

    Attributes
    ----------
    first, last
        The shortest and the longest lag, both included.
    """

    first: int
    last: int

    def text(self, timestep_ps: float) -> str:
        """Return the window for a message."""
        return f'{self.first * timestep_ps:g}-{self.last * timestep_ps:g} ps'

    def stretched(self, factor: int) -> LagWindow:
        """Return the window with both ends multiplied."""
        return LagWindow(factor * self.first, factor * self.last)

    @property
    def overlap(self) -> float:
        """Mean distance in frames of two origins, weighted with the covariance that their slopes share.

        A displacement at u enters the slope of the origin t with sum_{k >= u - t} w_k, a parabola over the
        window. The mean distance of two points drawn from it is 9/35 of the window. This is exact for rare
        hops and within 10 % for Brownian motion.
        """
        return 9.0 / 35.0 * (self.last - self.first)

    def weights(self, timestep_ps: float) -> FloatArray:
        """Return w_k in 1/ps, shape (last + 1,), such that sum_k w_k MSD(k) is the least-squares slope."""
        lags = np.arange(self.last + 1, dtype=np.float64)
        deviations = np.where(lags >= self.first, lags - 0.5 * (self.first + self.last), 0.0)
        normalised: FloatArray = deviations / (deviations @ deviations * timestep_ps)
        return normalised


@dataclass(frozen=True)
class EinsteinSeries:
    """Slopes of the squared displacement, one per time origin.

    Attributes
    ----------
    window
        Lags of the fit in frames.
    slopes
        Half the slope in Å²/ps for each axis and origin, averaged over atoms, shape (3, n_origins).
    per_atom
        Mean over axes and origins in Å²/ps for each atom, shape (n_atoms,).
    """

    window: LagWindow
    slopes: FloatArray
    per_atom: FloatArray

    @property
    def pooled(self) -> FloatArray:
        """Mean over the axes, shape (n_origins,), whose mean is D."""
        mean: FloatArray = self.slopes.mean(axis=0)
        return mean


def averaged_frames(positions: NDArray[np.floating], n_together: int) -> FloatArray:
    """Return positions averaged over n_together frames each, shape (n_frames // n_together, n_atoms, 3).

    The mean squared displacement of the averages is that of the frames, smoothed over as many lags; of Brownian motion
    it is lower by a constant.
    """
    n_averages = positions.shape[0] // n_together
    grouped = positions[: n_averages * n_together].reshape(n_averages, n_together, *positions.shape[1:])
    means: FloatArray = np.einsum('fgix->fix', grouped, dtype=np.float64)
    means /= n_together
    return means


def einstein_series(
    positions: NDArray[np.floating], timestep_ps: float, windows: Sequence[LagWindow]
) -> dict[LagWindow, EinsteinSeries]:
    r"""Return half the slope of the squared displacement for every origin and axis, averaged over atoms.

    .. math:: y_{t,\alpha} = \frac{1}{2n} \sum_i \sum_k w_k [r_{i\alpha}(t+\tau_k) - r_{i\alpha}(t)]^2

    Its mean over t is the straight-line fit to the mean squared displacement. As the weights sum to zero,
    :math:`\sum_k w_k |r(t+k) - r(t)|^2 = (w \star r^2)(t) - 2 r(t) (w \star r)(t)`; as they are linear in
    k, both correlations are differences of running sums, in O(n_frames) for every window. The sums restart
    every few thousand frames, so they stay exact to rounding, and in the cache.

    Parameters
    ----------
    positions
        Unwrapped positions in Å, shape (n_frames, n_atoms, 3).
    timestep_ps
        Time between frames in ps.
    windows
        Windows of at least two lags to fit over.

    Returns
    -------
    dict
        The series of each window.
    """
    n_frames, n_atoms, _ = positions.shape
    weights = {window: window.weights(timestep_ps) for window in windows}
    slopes = {window: np.zeros((3, n_frames - window.last)) for window in weights}
    per_atom = {window: np.zeros(n_atoms) for window in weights}
    overlap = max(window.last for window in weights)
    n_chunk = max(MIN_CHUNK_FRAMES, 2 * overlap)
    n_together = atoms_per_chunk(n_chunk + overlap, CHUNK_BYTES)
    for start in range(0, n_frames, n_chunk):
        for first in range(0, n_atoms, n_together):
            atoms = slice(first, min(first + n_together, n_atoms))
            chunk = positions[start : start + n_chunk + overlap, atoms]
            r = np.array(chunk.transpose(1, 2, 0), dtype=np.float64, order='C')
            r -= r.mean(axis=2, keepdims=True)
            squares = r**2
            position_sums, square_sums = _RunningSums(r), _RunningSums(squares.sum(axis=0))
            squares_per_atom = squares.sum(axis=1)
            del squares
            for window, weight in weights.items():
                n = min(slopes[window].shape[1] - start, n_chunk)
                if n <= 0:
                    continue
                scale = 2.0 * weight[-1] / (window.last - window.first)
                products = position_sums.correlate(window, n)
                products *= r[:, :, :n]
                pooled = square_sums.correlate(window, n) - 2.0 * products.sum(axis=0)
                slopes[window][:, start : start + n] += pooled * (scale / (2.0 * n_atoms))
                own = squares_per_atom[:, : n + window.last] @ _sum_over_origins(weight, n)
                own -= 2.0 * scale * products.sum(axis=(1, 2))
                per_atom[window][atoms] += own / (6.0 * slopes[window].shape[1])
    return {window: EinsteinSeries(window, slopes[window], per_atom[window]) for window in weights}


def _sum_over_origins(weights: FloatArray, n_origins: int) -> FloatArray:
    """Return the sum over origins t of w(u - t) for each frame u."""
    total = np.zeros(n_origins + weights.size - 1)
    total[: weights.size] = weights
    np.cumsum(total, out=total)
    total[n_origins:] -= total[: weights.size - 1].copy()
    return total


class _RunningSums:
    """First and second running sum along the last axis."""

    def __init__(self, values: FloatArray) -> None:
        self.first = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
        np.cumsum(values, axis=-1, out=self.first[..., 1:])
        self.second = np.cumsum(self.first, axis=-1)

    def correlate(self, window: LagWindow, n_origins: int) -> FloatArray:
        """Return sum_k (k - m) x(t + k) over lags k of mean m for the first origins t, by summation by parts."""
        a, b = window.first, window.last
        result: FloatArray = self.second[..., a : a + n_origins] - self.second[..., b : b + n_origins]
        ends = self.first[..., b + 1 : b + 1 + n_origins] + self.first[..., a : a + n_origins]
        ends *= 0.5 * (b - a)
        result += ends
        return result
