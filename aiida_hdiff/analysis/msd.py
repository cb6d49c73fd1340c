"""Mean squared displacement over all time origins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps, atoms_per_chunk


@dataclass(frozen=True)
class MSDResult:
    """Mean squared displacement.

    Attributes
    ----------
    lag_times_ps
        Lag times in ps, shape (n_lags,), beginning with zero.
    msd
        Mean over atoms and origins of the squared displacement in Å², shape (n_lags,).
    msd_per_axis
        Its Cartesian parts in Å², shape (n_lags, 3).
    msd_per_atom
        The same for each atom in Å², shape (n_lags, n_atoms), if requested.
    """

    lag_times_ps: FloatArray
    msd: FloatArray
    msd_per_axis: FloatArray
    msd_per_atom: FloatArray | None = None


def mean_squared_displacement(
    positions: ArrayLike, timestep_fs: float, *, max_lag: int | None = None, per_atom: bool = False
) -> MSDResult:
    """Compute the mean squared displacement from all time origins in O(N log N).

    The autocorrelation of the positions comes from their power spectrum (Wiener-Khinchin), as in Calandrini
    et al., Collection SFN 12, 201 (2011), doi:10.1051/sfn/201112010. Being linear, it is summed over the
    atoms before the one inverse transform. Positions enter relative to their mean, which keeps the
    cancellation small.

    Parameters
    ----------
    positions
        Unwrapped positions in Å, shape (n_frames, n_atoms, 3).
    timestep_fs
        Time between frames in fs.
    max_lag
        Largest lag in frames; by default the last frame, n_frames - 1.
    per_atom
        Also return the mean squared displacement of each atom.

    Returns
    -------
    MSDResult
        Lag times in ps and mean squared displacements in Å².

    Raises
    ------
    ValueError
        Positions not of shape (n_frames, n_atoms, 3) or not finite, timestep not positive, max_lag not
        within 0 ... n_frames - 1.
    """
    from scipy import fft

    trajectory = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    n_frames, n_atoms, _ = trajectory.shape
    last = n_frames - 1 if max_lag is None else int(max_lag)
    if not 0 <= last < n_frames:
        raise ValueError(f'max_lag must lie within 0 and n_frames - 1 = {n_frames - 1}, not {max_lag}')

    length = fft.next_fast_len(n_frames + last, real=True)
    n_chunk = min(n_atoms, atoms_per_chunk(length))
    buffer = np.zeros((n_chunk, 3, length))
    power = np.zeros((3, length // 2 + 1))
    squares = np.zeros((3, n_frames))
    per_atom_msd = np.empty((last + 1, n_atoms)) if per_atom else None
    for first in range(0, n_atoms, n_chunk):
        chunk = slice(first, min(first + n_chunk, n_atoms))
        r = buffer[: chunk.stop - first, :, :n_frames]
        r[...] = trajectory[:, chunk].transpose(1, 2, 0)
        r -= r.mean(axis=2, keepdims=True)
        squares += np.einsum('axt,axt->xt', r, r)
        spectrum = fft.rfft(buffer[: chunk.stop - first], axis=2)
        parts = spectrum.view(np.float64).reshape(*spectrum.shape, 2)
        power += np.einsum('axfc,axfc->xf', parts, parts)
        if per_atom_msd is not None:
            for i, atom in enumerate(range(first, chunk.stop)):
                one_power = np.einsum('xfc,xfc->f', parts[i], parts[i])
                one_square = np.einsum('xt,xt->t', r[i], r[i])
                per_atom_msd[:, atom] = _msd_from_correlation(one_power, one_square, length, last)
    per_axis = np.empty((last + 1, 3))
    for axis in range(3):
        per_axis[:, axis] = _msd_from_correlation(power[axis], squares[axis], length, last) / n_atoms
    return MSDResult(
        lag_times_ps=np.arange(last + 1) * timestep_ps,
        msd=per_axis.sum(axis=1),
        msd_per_axis=per_axis,
        msd_per_atom=per_atom_msd,
    )


def _msd_from_correlation(power: FloatArray, squares: FloatArray, length: int, last: int) -> FloatArray:
    """Return <r²(t+k) + r²(t) - 2 r(t) r(t+k)> for lags k = 0 ... last from the power spectrum and r²(t)."""
    from scipy import fft

    n_frames = squares.size
    lags = np.arange(last + 1)
    correlation = fft.irfft(power, length)[: last + 1]
    partial = np.concatenate(([0.0], np.cumsum(squares)))
    both_ends = partial[n_frames - lags] + (partial[n_frames] - partial[lags])
    msd: FloatArray = np.maximum((both_ends - 2.0 * correlation) / (n_frames - lags), 0.0)
    msd[0] = 0.0
    return msd
