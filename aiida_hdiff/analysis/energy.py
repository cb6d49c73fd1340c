"""Energy conservation and the start of NVE runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_series
from aiida_hdiff.analysis.blocking import block_means, blocking_levels
from aiida_hdiff.common.rich import RichResult

EV_PER_PS_IN_MEV_PER_NS = 1e6


@dataclass(frozen=True)
class DriftResult(RichResult):
    """Drift of the total energy.

    Attributes
    ----------
    slope_meV_per_atom_ns, std_error_meV_per_atom_ns
        Slope of the total energy and its standard error in meV/atom/ns.
    """

    slope_meV_per_atom_ns: float
    std_error_meV_per_atom_ns: float


def energy_drift(times_ps: ArrayLike, total_energies_eV: ArrayLike, n_atoms: int) -> DriftResult:
    """Fit a straight line to the total energy.

    The standard error allows for the correlation of the fluctuations: the fit is repeated on block means,
    with the block size doubling as long as 12 blocks remain, and the largest standard error is kept
    (blocking, Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)).

    Parameters
    ----------
    times_ps
        Increasing times in ps, shape (n_frames,).
    total_energies_eV
        Total energies of the cell in eV, shape (n_frames,).
    n_atoms
        Number of atoms in the cell.

    Raises
    ------
    ValueError
        Fewer than three frames, different lengths, times that do not increase, n_atoms not positive.
    """
    times = as_series(times_ps, 'times_ps')
    energies = as_series(total_energies_eV, 'total_energies_eV')
    if times.size != energies.size:
        raise ValueError(f'{times.size} times but {energies.size} total energies')
    if times.size < 3:
        raise ValueError(f'a drift needs at least three frames, not {times.size}')
    if not np.all(np.diff(times) > 0.0):
        raise ValueError('times_ps must increase')
    if n_atoms < 1:
        raise ValueError(f'n_atoms must be positive, not {n_atoms}')
    levels = blocking_levels(times.size)
    lines = [_line(block_means(times, n), block_means(energies, n)) for n in levels]
    unit = EV_PER_PS_IN_MEV_PER_NS / n_atoms
    return DriftResult(lines[0][0] * unit, max(error for _, error in lines) * unit)


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return slope and standard error of the least-squares line."""
    dx, dy = x - x.mean(), y - y.mean()
    sum_of_squares = float(dx @ dx)
    slope = float(dx @ dy) / sum_of_squares
    residual = dy - slope * dx
    return slope, float(np.sqrt(residual @ residual / (x.size - 2) / sum_of_squares))


def mean_energy_frame(total_energies: ArrayLike, *, start: int = 0) -> int:
    """Return the frame whose total energy is nearest to the mean, from which to start an NVE run.

    Parameters
    ----------
    total_energies
        Total energies of an NVT run in any unit, shape (n_frames,).
    start
        First frame that counts, for the mean as well; the index returned is that of the whole series.

    Raises
    ------
    ValueError
        `start` is not a frame of the series, or energies are not finite.
    """
    energies = as_series(total_energies, 'total_energies')
    if not 0 <= start < energies.size:
        raise ValueError(f'start must be a frame of the {energies.size} given, not {start}')
    tail = energies[start:]
    return start + int(np.argmin(np.abs(tail - tail.mean())))
