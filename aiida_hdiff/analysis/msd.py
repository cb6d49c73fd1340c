"""Mean squared displacement over all time origins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps, atoms_per_chunk
from aiida_hdiff.analysis._correlation import Autocorrelation
from aiida_hdiff.common.rich import RichResult

CHUNK_BYTES = 4 * 10**7
"""Size of the atoms' trajectories that are transposed at once; one atom at least."""

CHUNK_FRAMES = 1024
"""Frames that are transposed at once."""


@dataclass(frozen=True)
class MSDResult(RichResult):
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

    _units = {'msd': 'Å²', 'msd_per_axis': 'Å²', 'msd_per_atom': 'Å²'}

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
    atoms before the one inverse transform. Positions enter relative to about their mean, which keeps the
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
    trajectory = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    n_frames, n_atoms, _ = trajectory.shape
    last = n_frames - 1 if max_lag is None else int(max_lag)
    if not 0 <= last < n_frames:
        raise ValueError(f'max_lag must lie within 0 and n_frames - 1 = {n_frames - 1}, not {max_lag}')

    transform = Autocorrelation(n_frames, last)
    power = [transform.no_power() for _ in range(3)]
    squares = np.zeros((3, n_frames))
    per_atom_msd = np.empty((last + 1, n_atoms)) if per_atom else None
    n_chunks = -(-n_atoms // atoms_per_chunk(transform.n_padded, CHUNK_BYTES))
    n_chunk = -(-n_atoms // n_chunks)
    buffer = np.zeros((n_chunk, 3, transform.n_padded))
    for first in range(0, n_atoms, n_chunk):
        padded = buffer[: min(n_chunk, n_atoms - first)]
        series = padded[:, :, :n_frames]
        atoms = slice(first, first + n_chunk)
        origins = trajectory[:: 1 + n_frames // 1000, atoms].mean(axis=0, dtype=np.float64)[:, :, None]
        for start in range(0, n_frames, CHUNK_FRAMES):  # so that a line of memory is read once
            frames = slice(start, start + CHUNK_FRAMES)
            np.subtract(trajectory[frames, atoms].transpose(1, 2, 0), origins, out=series[:, :, frames])
        for axis in range(3):
            squares[axis] += np.einsum('at,at->t', series[:, axis], series[:, axis])
            transform.add_power(padded[:, axis], power[axis])
        if per_atom_msd is not None:
            for atom, (own, own_padded) in enumerate(zip(series, padded, strict=True), start=first):
                own_power = transform.no_power()
                transform.add_power(own_padded, own_power)
                own_squares = np.einsum('xt,xt->t', own, own)
                per_atom_msd[:, atom] = _msd_from_correlation(transform.correlation(own_power), own_squares)
    del buffer, padded, series
    for axis in range(3):
        squares[axis, : last + 1] = _msd_from_correlation(transform.correlation(power.pop(0)), squares[axis])
    per_axis = np.ascontiguousarray(squares[:, : last + 1])
    per_axis /= n_atoms
    return MSDResult(
        lag_times_ps=np.arange(last + 1) * timestep_ps,
        msd=per_axis.sum(axis=0),
        msd_per_axis=per_axis.T,
        msd_per_atom=per_atom_msd,
    )


def _msd_from_correlation(correlation: FloatArray, squares: FloatArray) -> FloatArray:
    """Return the mean of r²(t+k) + r²(t) - 2 r(t) r(t+k) for each lag k, in place of the correlation.

    Parameters
    ----------
    correlation
        Sum of r(t) r(t+k) over t, shape (n_lags,).
    squares
        r²(t), shape (n_frames,), overwritten.
    """
    n_frames, last = squares.size, correlation.size - 1
    partial = np.cumsum(squares, out=squares)
    msd = correlation
    msd *= -2.0
    msd[1:] += partial[n_frames - last - 1 : n_frames - 1][::-1]
    msd[1:] += partial[-1]
    msd[1:] -= partial[:last]
    msd /= np.arange(n_frames, n_frames - last - 1, -1)
    np.maximum(msd, 0.0, out=msd)
    msd[0] = 0.0
    return msd
