"""Standard errors of the mean of correlated time series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_series

MIN_BLOCKS = 12
"""Fewest blocks from which a blocking level may take its standard error."""


@dataclass(frozen=True)
class BlockedMean:
    """Mean of a correlated series.

    Attributes
    ----------
    mean, std_error
        Mean and its standard error, in the units of the series.
    n_blocks
        Number of blocks the standard error comes from; Student's t has n_blocks - 1 degrees of freedom.
    """

    mean: float
    std_error: float
    n_blocks: int

    def student_t(self, probability: float) -> float:
        """Return the quantile of Student's t for this number of blocks."""
        from scipy.special import stdtrit

        return float(stdtrit(self.n_blocks - 1, probability))


def block_means(series: FloatArray, n_blocks: int) -> FloatArray:
    """Return the means of n_blocks equal blocks; samples at the beginning that do not fit are left out."""
    size = series.size // n_blocks
    means: FloatArray = series[series.size - n_blocks * size :].reshape(n_blocks, size).mean(axis=1)
    return means


def blocking_levels(n_blocks: int) -> list[int]:
    """Return n_blocks and its halves down to 12."""
    levels = [n_blocks]
    while levels[-1] // 2 >= MIN_BLOCKS:
        levels.append(levels[-1] // 2)
    return levels


def mean_with_error(series: ArrayLike) -> tuple[float, float]:
    """Return mean and standard error of a correlated series by blocking.

    The block size doubles as long as 12 blocks remain; the largest standard error is the plateau
    (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989), doi:10.1063/1.457480).

    Parameters
    ----------
    series
        Equidistant samples, shape (n_samples,), in any unit.

    Raises
    ------
    ValueError
        Fewer than two samples, not one-dimensional or not finite.
    """
    values = as_series(series, 'series')
    if values.size < 2:
        raise ValueError(f'a standard error needs at least two samples, not {values.size}')
    levels = blocking_levels(values.size)
    errors = [_block_error(values, n_blocks, 0.0) for n_blocks in levels]
    return float(values.mean()), max(errors)


def blocked_mean(series: FloatArray, memory: int, overlap: float) -> BlockedMean:
    """Return mean and standard error of a series whose samples share the data of `memory` frames.

    Blocks are at least 2 `memory` long where that leaves 12 of them, and then double; the largest standard
    error is the plateau. A shorter series is cut into at most 12 blocks of at least `memory`. Either way
    the known covariance of neighbouring blocks is put back, see `_neighbour_correction`.

    Parameters
    ----------
    series
        Equidistant samples, shape (n_samples,).
    memory
        Number of frames that enter each sample.
    overlap
        Mean distance in frames of two correlated samples, weighted with the autocovariance due to that
        overlap.

    Raises
    ------
    ValueError
        Fewer than four blocks of `memory` samples.
    """
    n_blocks = min(MIN_BLOCKS, series.size // memory)
    if n_blocks < 4:
        raise ValueError(f'{series.size} samples are fewer than four blocks of {memory}')
    levels = [n_blocks]
    if series.size // (2 * memory) >= MIN_BLOCKS:
        levels = blocking_levels(series.size // (2 * memory))
    errors = [_block_error(series, n, overlap) for n in levels]
    best = int(np.argmax(errors))
    return BlockedMean(float(series.mean()), errors[best], levels[best])


def _block_error(series: FloatArray, n_blocks: int, overlap: float) -> float:
    means = block_means(series, n_blocks)
    correction = _neighbour_correction(n_blocks, overlap / (series.size // n_blocks))
    return float(means.std(ddof=1) * np.sqrt(correction / n_blocks))


def _neighbour_correction(n_blocks: int, overlap: float) -> float:
    """Return var(mean) / E[s²/n] for blocks that are correlated with their neighbours.

    With the autocovariance c(s) of the series, I = ∫c ds and m = ∫|s|c ds / I, a block of length L has the
    variance (I/L)(1 - m/L), and so has the whole series with nL for L.

    Parameters
    ----------
    n_blocks
        Number of blocks n.
    overlap
        m/L.
    """
    whole = 1.0 - overlap / n_blocks
    return (n_blocks - 1) * whole / (n_blocks * (1.0 - overlap) - whole)
