"""The Einstein slope as the mean of a stationary time series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis._arrays import FloatArray, atoms_per_chunk


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

    def slope_weights(self, timestep_ps: float) -> FloatArray:
        """Return w_k in 1/ps, shape (last + 1,), such that sum_k w_k MSD(k) is the least-squares slope."""
        lags = np.arange(self.last + 1, dtype=np.float64)
        weights = np.where(lags >= self.first, lags - 0.5 * (self.first + self.last), 0.0)
        normalised: FloatArray = weights / (weights @ weights * timestep_ps)
        return normalised


def einstein_slopes(
    positions: NDArray[np.floating], timestep_ps: float, windows: Sequence[LagWindow]
) -> list[FloatArray]:
    r"""Return half the slope of the squared displacement for every origin and axis, averaged over atoms.

    .. math:: y_{t,\alpha} = \frac{1}{2n} \sum_i \sum_k w_k [r_{i\alpha}(t+\tau_k) - r_{i\alpha}(t)]^2

    Its mean over t is the straight-line fit to the mean squared displacement. As the weights sum to zero,
    :math:`\sum_k w_k |r(t+k) - r(t)|^2 = (w \star r^2)(t) - 2 r(t) (w \star r)(t)`, two correlations done
    by FFT.

    Parameters
    ----------
    positions
        Unwrapped positions in Å, shape (n_frames, n_atoms, 3).
    timestep_ps
        Time between frames in ps.
    windows
        Windows of lags to fit over.

    Returns
    -------
    list of numpy.ndarray
        For each window y in Å²/ps, shape (3, n_frames - window.last).
    """
    from scipy import fft

    n_frames, n_atoms, _ = positions.shape
    length = fft.next_fast_len(n_frames, real=True)
    kernels = [np.conj(fft.rfft(window.slope_weights(timestep_ps), length)) for window in windows]
    slopes = [np.zeros((3, n_frames - window.last)) for window in windows]
    squares = np.zeros((3, n_frames))
    n_chunk = atoms_per_chunk(n_frames)
    for first in range(0, n_atoms, n_chunk):
        r = np.array(positions[:, first : first + n_chunk].transpose(1, 2, 0), dtype=np.float64, order='C')
        r -= r.mean(axis=2, keepdims=True)
        squares += np.einsum('axt,axt->xt', r, r)
        spectrum = fft.rfft(r, length, axis=2)
        for index, kernel in enumerate(kernels):
            origins = slopes[index].shape[1]
            weighted = fft.irfft(spectrum * kernel, length, axis=2)[..., :origins]
            slopes[index] -= 2.0 * np.einsum('axt,axt->xt', r[..., :origins], weighted)
    squares -= squares.mean(axis=1, keepdims=True)
    spectrum = fft.rfft(squares, length, axis=1)
    for index, kernel in enumerate(kernels):
        slopes[index] += fft.irfft(spectrum * kernel, length, axis=1)[:, : slopes[index].shape[1]]
        slopes[index] /= 2.0 * n_atoms
    return slopes
