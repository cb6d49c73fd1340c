"""Self part of the van Hove function and the non-Gaussian parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_positions, as_timestep_ps


@dataclass(frozen=True)
class VanHoveResult:
    r"""Distribution of displacements.

    Attributes
    ----------
    r_A, edges_A
        Centres, shape (bins,), and edges, shape (bins + 1,), of the bins in Å.
    lags_ps
        Lag times in ps as used, shape (n_lags,).
    density
        :math:`4\pi r^2 G_s(r, t)` in 1/Å, shape (n_lags, bins); its integral over all r is one.
    non_gaussian
        :math:`\alpha_2(t) = 3\langle r^4\rangle / 5\langle r^2\rangle^2 - 1`, shape (n_lags,); zero for Brownian
        motion, positive where some atoms have hopped and others not.
    """

    r_A: FloatArray
    edges_A: FloatArray
    lags_ps: FloatArray
    density: FloatArray
    non_gaussian: FloatArray


def van_hove_self(
    positions: ArrayLike,
    timestep_fs: float,
    lags_ps: Sequence[float],
    *,
    r_max_A: float | None = None,
    bins: int = 120,
) -> VanHoveResult:
    """Compute how far atoms move in given times, over all atoms and time origins.

    Van Hove, Phys. Rev. 95, 249 (1954), doi:10.1103/PhysRev.95.249; the non-Gaussian parameter after Rahman, Phys. Rev.
    136, A405 (1964), doi:10.1103/PhysRev.136.A405.

    Parameters
    ----------
    positions
        Unwrapped positions in Å, shape (n_frames, n_atoms, 3), with the drift of the host removed.
    timestep_fs
        Time between frames in fs.
    lags_ps
        Lag times in ps; each is rounded to whole frames.
    r_max_A
        End of the last bin in Å; by default the largest displacement, so that the bins add up to one.
    bins
        Number of bins.

    Raises
    ------
    ValueError
        Positions of a wrong shape or not finite; timestep, bins or r_max not positive; no lag, or one that is not
        positive or beyond the run.
    """
    atoms = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    n_frames, n_atoms, _ = atoms.shape
    if bins < 1:
        raise ValueError(f'bins must be positive, not {bins}')
    if r_max_A is not None and not r_max_A > 0.0:
        raise ValueError(f'r_max_A must be positive, not {r_max_A}')
    if not len(lags_ps):
        raise ValueError('lags_ps is empty: give at least one lag time')
    lags = [max(1, round(lag / timestep_ps)) if lag > 0.0 else 0 for lag in lags_ps]
    for lag, frames in zip(lags_ps, lags, strict=True):
        if not 0 < frames < n_frames:
            raise ValueError(f'lags_ps must lie within 0 and {(n_frames - 1) * timestep_ps:g} ps, not {lag}')

    moments = np.zeros((len(lags), 2))
    largest = 0.0
    for index, lag in enumerate(lags):
        for atom in range(n_atoms):
            squared = _squared_displacements(atoms[:, atom], lag)
            moments[index] += squared.mean(), np.mean(squared * squared)
            largest = max(largest, float(squared.max()))
    moments /= n_atoms
    r_max = r_max_A or max(float(np.sqrt(largest)) * (1.0 + 1e-9), 1e-6)
    counts = np.zeros((len(lags), bins))
    for index, lag in enumerate(lags):
        for atom in range(n_atoms):
            bin_of = (np.sqrt(_squared_displacements(atoms[:, atom], lag)) * (bins / r_max)).astype(np.intp)
            counts[index] += np.bincount(np.minimum(bin_of, bins), minlength=bins + 1)[:bins]
    edges = np.linspace(0.0, r_max, bins + 1)
    samples = n_atoms * (n_frames - np.array(lags))[:, None]
    spread = np.where(moments[:, 0] > 0.0, moments[:, 0], 1.0)
    return VanHoveResult(
        r_A=0.5 * (edges[1:] + edges[:-1]),
        edges_A=edges,
        lags_ps=np.array(lags) * timestep_ps,
        density=counts / samples * (bins / r_max),
        non_gaussian=np.where(moments[:, 0] > 0.0, 0.6 * moments[:, 1] / spread**2 - 1.0, 0.0),
    )


def _squared_displacements(path: NDArray[np.floating], lag: int) -> FloatArray:
    """Return |r(t + lag) - r(t)|² of one atom for every t."""
    moved = np.asarray(path[lag:] - path[:-lag], dtype=np.float64)
    squared: FloatArray = np.einsum('tx,tx->t', moved, moved)
    return squared
