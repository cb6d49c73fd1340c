"""Collective diffusion and the Haven ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import as_positions
from aiida_hdiff.analysis.diffusion import DiffusionResult, diffusion_coefficient
from aiida_hdiff.analysis.msd import MSDResult, mean_squared_displacement
from aiida_hdiff.analysis.unwrap import remove_host_drift
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
    tracer_m2_s: float, tracer_error_m2_s: float, collective_m2_s: float, collective_error_m2_s: float
) -> tuple[float, float]:
    """Return the Haven ratio D*/D_J and its standard error.

    The relative errors add in quadrature (delta method). The covariance of both coefficients, which come from the same
    atoms, is positive and left out, so that the error is rather too large than too small: by 13 % for 8 independent
    walkers.

    Parameters
    ----------
    tracer_m2_s, tracer_error_m2_s
        D* and its standard error in m²/s.
    collective_m2_s, collective_error_m2_s
        D_J and its standard error in m²/s.

    Raises
    ------
    ValueError
        A coefficient is not positive, or an error negative.
    """
    for name, value in (('tracer_m2_s', tracer_m2_s), ('collective_m2_s', collective_m2_s)):
        if not value > 0.0:
            raise ValueError(f'{name} must be positive, not {value}: the ratio needs two resolved coefficients')
    if min(tracer_error_m2_s, collective_error_m2_s) < 0.0:
        raise ValueError('standard errors must not be negative')
    ratio = tracer_m2_s / collective_m2_s
    relative = np.hypot(tracer_error_m2_s / tracer_m2_s, collective_error_m2_s / collective_m2_s)
    return ratio, float(ratio * relative)
