"""Collective diffusion and the Haven ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import blocked_mean
from aiida_hdiff.analysis.diffusion import DiffusionResult, diffusion_coefficient
from aiida_hdiff.analysis.einstein import einstein_series
from aiida_hdiff.analysis.msd import MSDResult, mean_squared_displacement
from aiida_hdiff.analysis.unwrap import remove_host_drift
from aiida_hdiff.analysis.window import window_in_frames
from aiida_hdiff.common.rich import RichResult


@dataclass(frozen=True)
class CollectiveResult(RichResult):
    """Collective (jump, or charge) diffusion coefficient.

    Attributes
    ----------
    diffusion
        D_J with its error, interval, status and upper bound in m²/s.
    msd
        Mean squared displacement of the sum of all atoms, divided by their number, in Å².
    """

    diffusion: DiffusionResult
    msd: MSDResult


def collective_diffusion(
    positions: ArrayLike,
    timestep_fs: float,
    *,
    host_positions: ArrayLike | None = None,
    window_ps: tuple[float, float] = (2.0, 10.0),
    jump_length_A: float = 2.5,
) -> CollectiveResult:
    r"""Compute D_J from the displacement of the sum of all atoms.

    .. math:: D_J = \lim_{t\to\infty} \frac{1}{6 n t} \Big\langle \Big| \sum_i r_i(t) - r_i(0) \Big|^2 \Big\rangle

    It is the tracer diffusion coefficient of one particle at n^(1/2) times the centre of the n atoms, with the error
    found in the same way. There is one such particle where the tracer has n: the error is about n^(1/2) times larger.
    Times the thermodynamic factor, D_J is the chemical diffusion coefficient (Murch, Solid State Ionics 7, 177 (1982)).

    Parameters
    ----------
    positions
        Unwrapped positions of the diffusing atoms in Å, shape (n_frames, n_atoms, 3).
    timestep_fs, host_positions, window_ps, jump_length_A
        As in `diffusion_coefficient`. Without the host its drift must be removed already: D_J is measured against the
        lattice.

    Raises
    ------
    ValueError
        As in `diffusion_coefficient`.
    """
    atoms = as_positions(positions)
    if host_positions is not None:
        atoms = as_positions(remove_host_drift(atoms, host_positions))
    n_frames, n_atoms, _ = atoms.shape
    particle = np.sqrt(n_atoms) * atoms.mean(axis=1, keepdims=True, dtype=np.float64)
    result = diffusion_coefficient(
        particle, timestep_fs, window_ps=window_ps, jump_length_A=jump_length_A / float(np.sqrt(n_atoms))
    )
    longest = min(max(n_frames // 10, round(1000.0 * result.window_ps[1] / timestep_fs)), n_frames - 1)
    return CollectiveResult(result, mean_squared_displacement(particle, timestep_fs, max_lag=longest))


def haven_ratio(
    positions: ArrayLike,
    timestep_fs: float,
    *,
    host_positions: ArrayLike | None = None,
    window_ps: tuple[float, float],
) -> tuple[float, float]:
    r"""Return the Haven ratio D*/D_J and its standard error.

    Both coefficients are means of series of slopes per time origin, from the same trajectory and in the same window.
    The ratio of two such means has to first order the deviation of the mean of

    .. math:: z_t = (y^*_t - H y^J_t) / D_J,

    whose blocked standard error counts the covariance of the two: it is what a jackknife over blocks of time gives
    that leaves the same block out of both (Cochran, Sampling Techniques, 3rd ed. (1977), 6.3-6.4 and 6.17), with the
    correlation of neighbouring blocks and the few degrees of freedom counted as for D.

    Parameters
    ----------
    positions
        Unwrapped positions of the diffusing atoms in Å, shape (n_frames, n_atoms, 3).
    timestep_fs
        Time between frames in fs.
    host_positions
        Unwrapped positions of the host atoms in Å, whose mean motion is subtracted.
    window_ps
        Shortest and longest lag of the fit in ps, as used for D: `DiffusionResult.window_ps`.

    Raises
    ------
    ValueError
        Fewer than two atoms, a centre of the atoms that does not diffuse, and as in `diffusion_coefficient`.
    """
    atoms, timestep_ps = as_positions(positions), as_timestep_ps(timestep_fs)
    n_frames, n_atoms, _ = atoms.shape
    if n_atoms < 2:
        raise ValueError('the Haven ratio needs at least two atoms: one is its own collective')
    window = window_in_frames(window_ps, n_frames, timestep_ps)
    if host_positions is not None:
        atoms = as_positions(remove_host_drift(atoms, host_positions))
    particle = np.sqrt(n_atoms) * atoms.mean(axis=1, keepdims=True, dtype=np.float64)
    tracer, collective = (einstein_series(one, timestep_ps, [window])[window].pooled for one in (atoms, particle))
    collective_mean = float(collective.mean())
    if not collective_mean > 0.0:
        raise ValueError(f'D_J is {collective_mean:g} Å²/ps, not positive: the centre of the atoms does not diffuse')
    ratio = float(tracer.mean()) / collective_mean
    error = blocked_mean((tracer - ratio * collective) / collective_mean, window.last, window.overlap)
    return ratio, error.one_sigma
