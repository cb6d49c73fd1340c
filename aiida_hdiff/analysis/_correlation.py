"""Autocorrelation of long series by Fourier transforms that fit in the cache."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis._arrays import FloatArray

N_PARTS = 16
"""Number of short transforms that make up the long one."""

N_ROWS = N_PARTS // 2 + 1
"""Those of them that are different for a real series."""

BLOCK = 2048
"""Columns that are twiddled at once."""

CACHED_BYTES = 2 * 10**6
"""Size of the series that are transformed together, unless one is larger."""

SCRATCH_BYTES = 11 * 10**6
"""Size of the part of a series that is transformed at once; one row at least."""


class Autocorrelation:
    r"""Autocorrelation of zero-padded real series, summed over them, from their power spectrum.

    The long transform is split into short ones (four-step algorithm; Bailey, J. Supercomput. 4, 23 (1990),
    doi:10.1007/BF00162341). With the time :math:`t = m t_1 + t_2` and the frequency :math:`k = k_1 + 16 k_2`,

    .. math:: F(k) = \sum_{t_2} e^{-2 \pi i k_2 t_2 / m} e^{-2 \pi i k_1 t_2 / 16 m}
        \sum_{t_1} e^{-2 \pi i k_1 t_1 / 16} x(m t_1 + t_2)

    where the inner sum is a product with a small matrix, for which padding costs nothing, and the outer one a
    transform of m samples. For real x the rows :math:`k_1` = 0 ... 8 are enough. Spectra stay in the order
    (k_1, k_2), as the inverse takes the same steps back.

    Parameters
    ----------
    n_samples
        Length of the series.
    last
        Longest lag.
    """

    def __init__(self, n_samples: int, last: int) -> None:
        from scipy.fft import next_fast_len

        self.n_lags = last + 1
        fewest = -(-(n_samples + last) // N_PARTS)
        power_of_2 = 1 << max(0, fewest.bit_length() - 8)  # lengths with many factors 2 are the fastest
        self.n_columns = power_of_2 * next_fast_len(-(-fewest // power_of_2))
        self.n_padded = -(-n_samples // self.n_columns) * self.n_columns
        n_block = min(BLOCK, self.n_columns)
        self._starts = range(0, self.n_columns, n_block)
        parts = np.arange(0, self.n_padded, self.n_columns)
        self._matrices = self._phases(np.add.outer(self._starts, parts))
        self._twiddles = self._phases(np.arange(n_block))
        row_bytes = 16 * self.n_columns
        self._n_together = max(1, CACHED_BYTES // (N_ROWS * row_bytes))
        self._n_rows = -(-N_ROWS // -(-N_ROWS * row_bytes // SCRATCH_BYTES))
        self._sums = np.empty(self._n_together * n_block * self._n_rows, dtype=np.complex128)
        self._scratch = np.empty(self._n_together * self._n_rows * self.n_columns, dtype=np.complex128)

    def _phases(self, times: NDArray[np.int64]) -> NDArray[np.complex128]:
        length = N_PARTS * self.n_columns
        return np.exp(-2j * np.pi / length * (np.multiply.outer(times, np.arange(N_ROWS)) % length))

    def no_power(self) -> FloatArray:
        """Return the spectrum of nothing, for `add_power`."""
        return np.zeros((N_ROWS, self.n_columns))

    def add_power(self, series: FloatArray, power: FloatArray) -> None:
        """Add the power spectra of series, shape (n_series, n_padded), zero beyond n_samples."""
        for first in range(0, len(series), self._n_together):
            together = series[first : first + self._n_together]
            for row in range(0, N_ROWS, self._n_rows):
                self._add_rows(together, power[row : row + self._n_rows], slice(row, row + self._n_rows))

    def _add_rows(self, series: FloatArray, power: FloatArray, rows: slice) -> None:
        from scipy.fft import fft

        parts = series.reshape(len(series), -1, self.n_columns).transpose(0, 2, 1)
        z = self._scratch[: len(series) * power.size].reshape(len(series), *power.shape)
        for matrix, start in zip(self._matrices, self._starts, strict=True):
            block = z[:, :, start : start + BLOCK].transpose(0, 2, 1)
            sums = self._sums[: block.size].reshape(block.shape)
            np.matmul(parts[:, start : start + BLOCK], matrix[:, rows].view(np.float64), out=sums.view(np.float64))
            sums *= self._twiddles[: block.shape[1], rows]
            block[...] = sums
        spectrum = fft(z, axis=2, overwrite_x=True).view(np.float64)
        np.multiply(spectrum, spectrum, out=spectrum)
        total = spectrum.sum(axis=0) if len(series) > 1 else spectrum[0]
        power += total[:, 0::2]
        power += total[:, 1::2]

    def correlation(self, power: FloatArray) -> FloatArray:
        """Return the sum over t and the series of x(t) x(t + k) for all lags k, shape (last + 1,)."""
        from scipy.fft import fft

        spectrum = fft(power, axis=1).T
        parts = np.empty((-(-self.n_lags // self.n_columns), self.n_columns))
        weights = np.full(N_ROWS, 2.0 / (N_PARTS * self.n_columns))
        weights[[0, -1]] *= 0.5
        for matrix, start in zip(self._matrices, self._starts, strict=True):
            block = spectrum[start : start + BLOCK] * self._twiddles[: self.n_columns - start]
            inverse = (matrix[: len(parts)].conj() * weights).view(np.float64)
            np.matmul(inverse, np.ascontiguousarray(block).view(np.float64).T, out=parts[:, start : start + BLOCK])
        return parts.reshape(-1)[: self.n_lags]
