"""Tests whether several potentials have the same activation energy, prefactor, or law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from aiida_hdiff.analysis.arrhenius_law import ArrheniusLaw


@dataclass(frozen=True)
class EnergyDifference:
    """Difference of two activation energies.

    Attributes
    ----------
    labels
        The two labels; the difference is that of the first minus that of the second.
    difference_eV, error_eV
        Difference and its standard error in eV.
    p
        Probability of a difference as large if the two are equal.
    adjusted_p
        The same for the largest of all pairs looked at (Holm, Scand. J. Stat. 6, 65 (1979)).
    """

    labels: tuple[str, str]
    difference_eV: float
    error_eV: float
    p: float
    adjusted_p: float


@dataclass(frozen=True)
class ArrheniusComparison:
    """Shared-slope comparison of Arrhenius laws.

    Attributes
    ----------
    labels
        Labels of the laws.
    shared_energy_eV, shared_energy_error_eV
        The best common activation energy and its standard error in eV.
    energy_chi2, energy_p
        Chi2 of the hypothesis of one activation energy, with one degree of freedom fewer than laws, and its
        probability.
    prefactors_m2_s, log_prefactor_errors
        D0 of each law in m²/s, and the standard error of its logarithm, if all have the common energy.
    prefactor_chi2, prefactor_p
        The same for one prefactor, given one activation energy.
    law_chi2, law_p
        The same for one activation energy and one prefactor, with twice as many degrees of freedom.
    pairs
        Differences of the activation energies of all pairs.
    """

    labels: tuple[str, ...]
    shared_energy_eV: float
    shared_energy_error_eV: float
    energy_chi2: float
    energy_p: float
    prefactors_m2_s: tuple[float, ...]
    log_prefactor_errors: tuple[float, ...]
    prefactor_chi2: float
    prefactor_p: float
    law_chi2: float
    law_p: float
    pairs: tuple[EnergyDifference, ...]


def compare_arrhenius(laws: Mapping[str, ArrheniusLaw]) -> ArrheniusComparison:
    """Test whether independent Arrhenius laws share their activation energy, prefactor, or both.

    The likelihood of (ln D0, Ea) of each law is normal with its covariance, so the three hypotheses are nested
    linear models and their chi2 differ by exact amounts: several lines of one slope against free lines (analysis of
    covariance, with the absolute errors of the fits in place of residuals), then one line against several of one
    slope. The probability of the prefactors means something only where that of the energies does not reject them.
    Laws from the same trajectories are not independent, and their differences are then smaller than the errors say.

    Parameters
    ----------
    laws
        At least two laws by label.

    Raises
    ------
    ValueError
        Fewer than two laws, or a covariance that is not positive definite.
    """
    from scipy.special import chdtrc

    if len(laws) < 2:
        raise ValueError(f'a comparison needs at least two Arrhenius laws, not {len(laws)}')
    for label, law in laws.items():
        matrix = np.asarray(law.covariance)
        if matrix.shape != (2, 2) or not (matrix[0, 0] > 0.0 and np.linalg.det(matrix) > 0.0):
            raise ValueError(f'the covariance of {label!r} is not positive definite: give a law from fit_arrhenius')
    parameters = np.array([[np.log(law.prefactor_m2_s), law.activation_energy_eV] for law in laws.values()])
    covariances = np.array([law.covariance for law in laws.values()], dtype=np.float64)
    freedom = len(laws) - 1

    energies, variances = parameters[:, 1], covariances[:, 1, 1]
    shared = float(np.sum(energies / variances) / np.sum(1.0 / variances))
    shared_variance = float(1.0 / np.sum(1.0 / variances))
    energy_chi2 = float(np.sum((energies - shared) ** 2 / variances))

    coupling = covariances[:, 0, 1] / variances
    log_prefactors = parameters[:, 0] + coupling * (shared - energies)
    conditional = covariances[:, 0, 0] - coupling * covariances[:, 0, 1]

    weights = np.linalg.inv(covariances)
    mean = np.linalg.solve(weights.sum(axis=0), np.einsum('nij,nj->i', weights, parameters))
    law_chi2 = float(np.einsum('ni,nij,nj->', parameters - mean, weights, parameters - mean))
    prefactor_chi2 = max(law_chi2 - energy_chi2, 0.0)
    return ArrheniusComparison(
        labels=tuple(laws),
        shared_energy_eV=shared,
        shared_energy_error_eV=shared_variance**0.5,
        energy_chi2=energy_chi2,
        energy_p=float(chdtrc(freedom, energy_chi2)),
        prefactors_m2_s=tuple(float(value) for value in np.exp(log_prefactors)),
        log_prefactor_errors=tuple(float(value) for value in np.sqrt(conditional + coupling**2 * shared_variance)),
        prefactor_chi2=prefactor_chi2,
        prefactor_p=float(chdtrc(freedom, prefactor_chi2)),
        law_chi2=law_chi2,
        law_p=float(chdtrc(2 * freedom, law_chi2)),
        pairs=_pairs(tuple(laws), energies.tolist(), variances.tolist()),
    )


def _pairs(labels: tuple[str, ...], energies: list[float], variances: list[float]) -> tuple[EnergyDifference, ...]:
    """Return all pairs in the order of the labels, with Holm's adjustment."""
    from scipy.special import erfc

    found = []
    for i, j in combinations(range(len(labels)), 2):
        error = (variances[i] + variances[j]) ** 0.5
        difference = energies[i] - energies[j]
        found.append(((labels[i], labels[j]), difference, error, float(erfc(abs(difference) / error / 2.0**0.5))))
    adjusted, highest = {}, 0.0
    for rank, (pair, _, _, p) in enumerate(sorted(found, key=lambda item: item[3])):
        highest = max(highest, min(1.0, (len(found) - rank) * p))
        adjusted[pair] = highest
    return tuple(EnergyDifference(pair, diff, error, p, adjusted[pair]) for pair, diff, error, p in found)
