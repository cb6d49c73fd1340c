"""Standard errors of the mean of correlated time series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_series

MIN_BLOCKS = 12
"""Fewest blocks from which a blocking level may take its standard error."""

ONE_SIGMA_PROBABILITY = 0.841344746
"""Probability below one standard deviation above the mean of a normal distribution."""

NEIGHBOUR_BLOCKS = (24, 40)
"""Fewest and most blocks for measuring the covariance of neighbouring blocks."""


@dataclass(frozen=True)
class BlockedMean:
    """Mean of a correlated series.

    Attributes
    ----------
    mean, std_error
        Mean and its standard error, in the units of the series.
    n_blocks
        Number of blocks the standard error comes from.
    degrees_of_freedom
        Those of Student's t for the standard error.
    """

    mean: float
    std_error: float
    n_blocks: int
    degrees_of_freedom: float

    @property
    def one_sigma(self) -> float:
        """Half of the 68.27 % interval of Student's t: the standard error with its own uncertainty counted."""
        return self.student_t(ONE_SIGMA_PROBABILITY) * self.std_error

    def student_t(self, probability: float) -> float:
        """Return the quantile of Student's t for these degrees of freedom."""
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees_of_freedom, probability))


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

    The series is cut into 24 to 40 blocks of at least 2 `memory`, and the variance of the mean is
    s²/n (1 + 2ρ) with the correlation ρ of neighbouring blocks, corrected for its bias of -(1 + 2ρ)/n
    (Bartlett's formula cut after one block; Priestley, Spectral Analysis and Time Series (1981), 5.3 and
    6.2). So correlations up to the length of a block, a fortieth of the run, are fully counted, and the
    error is not the largest of several, which would be too large on average. As the spectral window has
    the squared norm 3, there are n/3 degrees of freedom.

    A shorter series is cut into at most 12 blocks of at least `memory`, and the known covariance of
    neighbouring blocks is put back, see `_neighbour_correction`.

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
    fewest, most = NEIGHBOUR_BLOCKS
    n_blocks = min(most, series.size // (2 * memory))
    if n_blocks >= fewest:
        error = _neighbour_error(block_means(series, n_blocks))
        return BlockedMean(float(series.mean()), error, n_blocks, n_blocks / 3.0)
    n_blocks = min(MIN_BLOCKS, series.size // memory)
    if n_blocks < 4:
        raise ValueError(f'{series.size} samples are fewer than four blocks of {memory}')
    return BlockedMean(float(series.mean()), _block_error(series, n_blocks, overlap), n_blocks, n_blocks - 1.0)


def _neighbour_error(means: FloatArray) -> float:
    """Return the standard error of the mean of blocks that are correlated with their neighbours."""
    deviations = means - means.mean()
    squares = float(deviations @ deviations)
    if squares == 0.0:
        return 0.0
    correlation = float(deviations[1:] @ deviations[:-1]) / squares
    correlation += (1.0 + 2.0 * max(correlation, 0.0)) / means.size
    variance = squares / (means.size - 1) / means.size
    return float(np.sqrt(variance * max(1.0 + 2.0 * correlation, 0.5)))


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
