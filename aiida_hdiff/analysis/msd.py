"""Mean squared displacement over all time origins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps, atoms_per_chunk
from aiida_hdiff.common.rich import RichResult

CHUNK_BYTES = 4 * 10**7
"""Size of the atoms' trajectories that are transformed at once; one atom at least."""


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

    length = 2 * fft.next_fast_len((n_frames + last) // 2 + 1, real=True)
    power = np.zeros((3, length // 2 + 1))
    squares = np.zeros((3, n_frames))
    per_atom_msd = np.empty((last + 1, n_atoms)) if per_atom else None
    n_chunks = -(-n_atoms // atoms_per_chunk(length, CHUNK_BYTES))
    n_chunk = -(-n_atoms // n_chunks)
    # The axes of an atom lie one behind the other, z first; one that is done becomes the padding of the next.
    buffer = np.empty((n_chunk, 2 * n_frames + length))
    for first in range(0, n_atoms, n_chunk):
        chunk = buffer[: min(n_chunk, n_atoms - first)]
        axes = chunk[:, : 3 * n_frames].reshape(-1, 3, n_frames)[:, ::-1]
        axes[...] = trajectory[:, first : first + n_chunk].transpose(1, 2, 0)
        axes -= axes.mean(axis=2, keepdims=True)
        chunk[:, 3 * n_frames :] = 0.0
        if per_atom_msd is not None:
            atom_squares = np.einsum('axt,axt->at', axes, axes)
            atom_power = np.zeros((len(chunk), power.shape[1]))
        for axis in range(3):
            series = axes[:, axis]
            start = (2 - axis) * n_frames
            spectrum = fft.rfft(chunk[:, start : start + length], axis=1).view(np.float64)
            squares[axis] += np.einsum('at,at->t', series, series)
            series[...] = 0.0
            np.multiply(spectrum, spectrum, out=spectrum)
            total = spectrum.sum(axis=0) if len(chunk) > 1 else spectrum[0]
            power[axis] += total[0::2]
            power[axis] += total[1::2]
            if per_atom_msd is not None:
                atom_power += spectrum[:, 0::2]
                atom_power += spectrum[:, 1::2]
            del spectrum, total
        if per_atom_msd is not None:
            per_atom_msd[:, first : first + len(chunk)] = _msd_from_correlation(atom_power, atom_squares, last).T
    del buffer, chunk, axes, series
    per_axis = _msd_from_correlation(power, squares, last).T
    per_axis /= n_atoms
    return MSDResult(
        lag_times_ps=np.arange(last + 1) * timestep_ps,
        msd=per_axis.sum(axis=1),
        msd_per_axis=per_axis,
        msd_per_atom=per_atom_msd,
    )


def _msd_from_correlation(power: FloatArray, squares: FloatArray, last: int) -> FloatArray:
    """Return <r²(t+k) + r²(t) - 2 r(t) r(t+k)>, shape (n, last + 1), from n power spectra and n series r²(t).

    The power spectrum is real and even, so that its inverse transform is a cosine transform. Both arrays are
    overwritten.
    """
    from scipy import fft

    n_frames = squares.shape[1]
    msd: FloatArray = fft.dct(power, type=1, axis=1, overwrite_x=True)[:, : last + 1]
    msd *= -1.0 / (power.shape[1] - 1)
    partial = np.cumsum(squares, axis=1, out=squares)
    msd[:, 1:] += partial[:, n_frames - last - 1 : n_frames - 1][:, ::-1]
    msd[:, 1:] += partial[:, -1:]
    msd[:, 1:] -= partial[:, :last]
    msd /= np.arange(n_frames, n_frames - last - 1, -1)
    np.maximum(msd, 0.0, out=msd)
    msd[:, 0] = 0.0
    return msd
