"""D along and across a direction, as in hexagonal hosts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions, as_timestep_ps
from aiida_hdiff.analysis.blocking import blocked_mean
from aiida_hdiff.analysis.einstein import einstein_series
from aiida_hdiff.analysis.unwrap import remove_host_drift
from aiida_hdiff.analysis.window import StartTest, window_in_frames
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S


@dataclass(frozen=True)
class AxialDiffusion:
    """Diffusion tensor of a uniaxial host, such as hcp, where the axis is c and the plane is basal.

    Attributes
    ----------
    axial, axial_std_error
        D along the axis and its standard error in m²/s.
    basal, basal_std_error
        D in the plane across, the mean of its two directions, in m²/s.
    mean, mean_std_error
        D = (2 basal + axial)/3 in m²/s, the value of `diffusion_coefficient`.
    axis
        Unit vector of the axis, shape (3,).
    """

    axial: float
    axial_std_error: float
    basal: float
    basal_std_error: float
    mean: float
    mean_std_error: float
    axis: FloatArray


def axial_diffusion(
    positions: ArrayLike,
    timestep_fs: float,
    axis: ArrayLike,
    *,
    host_positions: ArrayLike | None = None,
    window_ps: tuple[float, float] = (2.0, 10.0),
) -> AxialDiffusion:
    """Compute D along an axis and in the plane across it, each with a blocked error.

    Each is the Einstein slope of the displacements projected on the axis or the plane, over the lags that
    `diffusion_coefficient` chooses in the window for their mean.

    Parameters
    ----------
    positions
        Unwrapped positions of the diffusing atoms in Å, shape (n_frames, n_atoms, 3).
    timestep_fs
        Time between frames in fs.
    axis
        Direction of the axis, of any length, shape (3,): for hcp the lattice vector c.
    host_positions
        Unwrapped positions of the host atoms in Å, whose mean motion is subtracted.
    window_ps
        Shortest and longest lag of the fit in ps.

    Raises
    ------
    ValueError
        An axis that is not three numbers or has no length, and what `diffusion_coefficient` refuses in the
        other arguments.
    """
    trajectory = as_positions(positions)
    timestep_ps = as_timestep_ps(timestep_fs)
    direction = np.asarray(axis, dtype=np.float64)
    if direction.shape != (3,) or not np.isfinite(direction).all() or not np.any(direction):
        raise ValueError(f'axis must be three finite numbers that are not all zero, not {axis!r}')
    window = window_in_frames(window_ps, trajectory.shape[0], timestep_ps)
    if host_positions is not None:
        trajectory = remove_host_drift(trajectory, host_positions)
    start = StartTest.of(window)
    frame = np.linalg.qr(np.column_stack([direction, np.eye(3)]))[0]
    series = einstein_series(trajectory @ frame, timestep_ps, [window, *(start.windows if start else ())])
    fit = series[start.choose(series, trajectory, timestep_ps) if start else window]
    projections = fit.slopes[0], fit.slopes[1:].mean(axis=0), fit.pooled
    axial, basal, mean = (blocked_mean(slopes, fit.window.last, fit.window.overlap) for slopes in projections)
    unit = ANGSTROM2_PER_PS_IN_M2_PER_S
    return AxialDiffusion(
        axial=axial.mean * unit,
        axial_std_error=axial.one_sigma * unit,
        basal=basal.mean * unit,
        basal_std_error=basal.one_sigma * unit,
        mean=mean.mean * unit,
        mean_std_error=mean.one_sigma * unit,
        axis=direction / np.linalg.norm(direction),
    )


def hexagonal_axis(cell: ArrayLike, *, rtol: float = 1e-2) -> FloatArray | None:
    """Return the unit vector of the c axis of a hexagonal cell or supercell, or None for any other cell.

    Parameters
    ----------
    cell
        Lattice vectors as rows in Å, shape (3, 3), in any order.
    rtol
        Deviation of the cosines of the angles from 0 and ±1/2 that is tolerated.

    Raises
    ------
    ValueError
        A cell of a wrong shape or without volume.
    """
    units = as_cells(cell, 1)[0]
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    for c in range(3):
        a, b = (c + 1) % 3, (c + 2) % 3
        upright = max(abs(units[c] @ units[a]), abs(units[c] @ units[b])) < rtol
        if upright and abs(abs(units[a] @ units[b]) - 0.5) < rtol:
            axis: FloatArray = units[c]
            return axis
    return None
