"""Uncertainty of forces from a committee of potentials, and its calibration against true errors.

The deviation of atom i is the spread of the forces that the members predict for it, sqrt(<|F_i - <F_i>|²>) with
averages over the members (Zhang, Lin, Wang, Car and E, Phys. Rev. Materials 3, 023804 (2019)). Members that were
trained on the same frames err together, so the deviation must be scaled by a factor that is found where the true errors
are known (Imbalzano et al., J. Chem. Phys. 154, 074102 (2021)): here the slope of error against deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEVELS = tuple(round(0.05 * index, 2) for index in range(1, 20))
"""Probabilities at which the coverage is compared."""
MEAN_LENGTH = 2.0 * np.sqrt(2.0 / np.pi)
"""Mean length of a vector of three independent components of variance one."""
MIN_MEMBERS = 2


def force_deviations(forces: ArrayLike) -> Floats:
    """Return the spread of the forces of a committee.

    Parameters
    ----------
    forces
        Forces in eV/Å that the members predict, shape (n_members, n_atoms, 3).

    Returns
    -------
    ndarray
        sqrt(<|F - <F>|²>) of each atom in eV/Å, shape (n_atoms,), with averages over the members.

    Raises
    ------
    ValueError
        Fewer than two members, or another shape.
    """
    found = np.asarray(forces, dtype=np.float64)
    if found.ndim != 3 or found.shape[2] != 3:
        raise ValueError(f'forces have shape {found.shape}: give (n_members, n_atoms, 3)')
    if len(found) < MIN_MEMBERS:
        raise ValueError(f'the committee has {len(found)} member(s): a spread needs at least two')
    return np.asarray(np.sqrt(((found - found.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0)))


@dataclass(frozen=True)
class CommitteeCalibration:
    """How the deviation of a committee relates to its true error.

    Attributes
    ----------
    slope
        Least squares of error against deviation through the origin: times the deviation, it is the error to expect.
    slope_std_error
        Standard error by leaving out one frame at a time; ``None`` for a single frame.
    pearson, spearman
        Correlation of deviation and error, and of their ranks; ``None`` if either is the same for all atoms.
    coverage
        For each of :data:`LEVELS` the fraction of atoms whose error is below the length that an isotropic Gaussian
        error of mean length slope × deviation exceeds with one minus this probability.
    calibration_error
        Mean distance of coverage and level, as Kuleshov, Fenner and Ermon define it (ICML 2018); 0 is perfect.
    """

    slope: float
    slope_std_error: float | None
    pearson: float | None
    spearman: float | None
    coverage: tuple[float, ...]
    calibration_error: float


def calibrate(deviations: ArrayLike, errors: ArrayLike, offsets: ArrayLike | None = None) -> CommitteeCalibration:
    """Compare the deviation of a committee with its true error.

    Parameters
    ----------
    deviations
        Of each atom in eV/Å, shape (n_atoms,).
    errors
        Length of the difference of mean and true force in eV/Å, shape (n_atoms,).
    offsets
        First atom of each frame, and the end, shape (n_frames + 1,); by default all atoms are of one frame.

    Returns
    -------
    CommitteeCalibration
        Slope, correlations and coverage.

    Raises
    ------
    ValueError
        No atoms, shapes that differ, or no deviation at all.
    """
    from scipy.stats import chi, rankdata

    spread, error = np.asarray(deviations, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if spread.ndim != 1 or spread.shape != error.shape or not spread.size:
        raise ValueError(f'deviations and errors have shapes {spread.shape} and {error.shape}: give one of each atom')
    if not spread.any():
        raise ValueError('all deviations are zero: the members are equal')
    slope = float(spread @ error / (spread @ spread))
    sigma = slope * spread / MEAN_LENGTH
    coverage = [float(np.mean(error <= chi.ppf(level, 3) * sigma)) for level in LEVELS]
    return CommitteeCalibration(
        slope=slope,
        slope_std_error=_jackknife(spread, error, np.array([0, len(spread)] if offsets is None else offsets)),
        pearson=_correlation(spread, error),
        spearman=_correlation(rankdata(spread), rankdata(error)),
        coverage=tuple(coverage),
        calibration_error=float(np.mean(np.abs(np.array(coverage) - LEVELS))),
    )


def ideal_slope(n_members: int) -> float:
    """Return the slope of a committee whose members scatter independently and normally around the truth.

    A larger slope means that the members err together. With d the deviation and e the error of the mean of M members,
    d² is distributed as σ² χ² of 3(M - 1) degrees of freedom over M, and e² as σ² χ² of 3 over M, independently.

    Parameters
    ----------
    n_members
        Number of members.
    """
    from scipy.stats import chi

    freedom = 3 * (n_members - 1)
    return float(MEAN_LENGTH * chi.mean(freedom) / freedom)


def _jackknife(spread: Floats, error: Floats, offsets: NDArray[np.int64]) -> float | None:
    """Return the standard error of the slope, leaving out one frame at a time; frames without atoms do not count."""
    starts = offsets[:-1][np.diff(offsets) > 0]
    products, squares = (np.add.reduceat(values, starts) for values in (spread * error, spread**2))
    left = squares.sum() - squares
    if len(starts) < 2 or not (left > 0).all():
        return None
    slopes = (products.sum() - products) / left
    return float(np.sqrt((len(starts) - 1) * slopes.var()))


def _correlation(first: Floats, second: Floats) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
