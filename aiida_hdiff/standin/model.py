"""A Bayesian linear model of energies, forces and stress, and the posterior variance of what it predicts.

Method: C. M. Bishop, Pattern Recognition and Machine Learning (2006), chapter 3: precisions of prior and noise from the
evidence. Energies, forces and stress are divided by the standard deviations of their training data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin.features import Features, Integers, Rows, find_pairs
from aiida_hdiff.standin.reference import KBAR_PER_EV_PER_ANGSTROM3, Labels
from aiida_hdiff.standin.regression import evidence, shrunk

Floats = NDArray[np.float64]

FLOORS = (2e-3, 0.05, 1.0)
"""Smallest scales of energy (eV/atom), forces (eV/Å) and stress (kbar)."""
ANCHORED_EXAMPLES = 3
ANCHOR_FRACTIONS = (0.45, 0.6, 0.75, 0.9)
ANCHOR_WEIGHT = 1e-4
"""Weight of an anchor relative to a component of a force: what is said about atoms that meet is vague."""
VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
_ROW, _COLUMN = np.array(VOIGT).T


@dataclass(frozen=True, eq=False)
class Fit:
    """What is known after training.

    Attributes
    ----------
    weights
        Coefficients, shape (n_features,).
    atom_energies
        Offset of each element in eV, shape (n_elements,).
    spread
        Square root of the posterior covariance, shape (n_features, n_features); None after a refit.
    rmse
        Errors on the training set: eV/atom, eV/Å, kbar.
    """

    weights: Floats
    atom_energies: Floats
    spread: Floats | None
    rmse: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class BayesianError:
    """Standard deviations of a prediction.

    Attributes
    ----------
    energy
        eV/atom.
    forces
        eV/Å, of each atom: root mean square of its components, shape (n_atoms,).
    stress
        kbar, shape (6,).
    """

    energy: float
    forces: Floats
    stress: Floats


@dataclass(frozen=True, eq=False)
class _Example:
    kinds: Integers
    cell: Floats
    positions: Floats
    labels: Labels


class Model:
    """Training set, sums over it, and the fit.

    Parameters
    ----------
    features
        What the energy is linear in.
    weights
        Multipliers of energy, forces and stress in the fit, as `ML_WTOTEN`, `ML_WTIFOR`, `ML_WTSIF`.
    """

    def __init__(self, features: Features, weights: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        n = features.n_features
        self.features = features
        self.examples: list[_Example] = []
        self.fit: Fit | None = None
        self._multipliers = weights
        self._energy_rows: list[Floats] = []
        self._energies: list[tuple[float, Floats]] = []
        self._gram = {name: np.zeros((n, n)) for name in ('forces', 'stress')}
        self._moment = {name: np.zeros(n) for name in ('forces', 'stress')}
        self._square = dict.fromkeys(('forces', 'stress'), 0.0)
        self._plain = {name: np.zeros(3) for name in ('forces', 'stress')}
        self._anchors = np.zeros((n, n))

    def add(self, kinds: Integers, cell: Floats, positions: Floats, labels: Labels, rows: Rows | None = None) -> None:
        """Take in a labelled structure; `rows` saves the computation of its features."""
        rows = self.features.rows(kinds, cell, positions) if rows is None else rows
        if len(self.examples) < ANCHORED_EXAMPLES:
            self._anchor(kinds, cell, positions)
        self.examples.append(_Example(kinds, cell.copy(), positions.copy(), labels))
        counts = np.bincount(kinds, minlength=len(self.features.elements)).astype(np.float64)
        self._energy_rows.append(rows.energy / len(kinds))
        self._energies.append(((labels.energy - rows.base_energy) / len(kinds), counts / len(kinds)))
        to_kbar = -KBAR_PER_EV_PER_ANGSTROM3 / abs(np.linalg.det(cell))
        stress = labels.stress_kbar[_ROW, _COLUMN]
        for name, matrix, target, raw in (
            ('forces', rows.forces, (labels.forces - rows.base_forces).ravel(), labels.forces.ravel()),
            ('stress', to_kbar * rows.virial, stress - to_kbar * rows.base_virial, stress),
        ):
            self._gram[name] += matrix.T @ matrix
            self._moment[name] += matrix.T @ target
            self._square[name] += float(target @ target)
            self._plain[name] += np.array([len(raw), raw.sum(), raw @ raw])

    def train(self, *, covariance: bool = True) -> Fit:
        """Fit the coefficients to the training set.

        Parameters
        ----------
        covariance
            Keep what is needed for the Bayesian error.
        """
        energies = np.array([energy for energy, _ in self._energies])
        composition = np.array([counts for _, counts in self._energies])
        offsets = np.linalg.lstsq(composition, energies, rcond=None)[0]
        targets = energies - composition @ offsets
        design = np.array(self._energy_rows)
        precision = self._precisions(float(np.std(energies)))
        gram = precision[0] * design.T @ design
        moment = precision[0] * design.T @ targets
        square = precision[0] * float(targets @ targets)
        for name, factor in zip(('forces', 'stress'), precision[1:], strict=True):
            gram, moment = gram + factor * self._gram[name], moment + factor * self._moment[name]
            square += factor * self._square[name]
        gram += ANCHOR_WEIGHT * precision[1] * self._anchors
        n_rows = len(targets) + int(self._plain['forces'][0] + self._plain['stress'][0])
        # One scale for features of one kind: those that the data hardly reach stay small.
        scale = np.empty(len(gram))
        for group in self.features.groups:
            scale[group] = np.sqrt(max(float(np.diag(gram)[group].max()), 1e-12 * float(np.diag(gram).max())))
        gram, moment = gram / np.outer(scale, scale), moment / scale
        prior, noise, spread = evidence(gram, moment, square, n_rows)
        weights = shrunk(gram, moment, prior, noise, self.features.families) / scale
        residuals = [float(np.mean((design @ weights - targets) ** 2))]
        for name in ('forces', 'stress'):
            misfit = weights @ self._gram[name] @ weights - 2.0 * weights @ self._moment[name] + self._square[name]
            residuals.append(max(misfit, 0.0) / self._plain[name][0])
        rmse = tuple(np.sqrt(residuals).tolist())
        self.fit = Fit(weights, offsets, spread / scale[:, None] if covariance else None, (rmse[0], rmse[1], rmse[2]))
        return self.fit

    def predict(self, kinds: Integers, cell: Floats, positions: Floats) -> Labels:
        """Return energy, forces and stress by the fit, which must exist."""
        assert self.fit is not None
        energy, forces, virial = self.features.evaluate(kinds, cell, positions, self.fit.weights)
        return self._labels(kinds, cell, energy, forces, virial)

    def predict_rows(self, kinds: Integers, cell: Floats, rows: Rows) -> tuple[Labels, BayesianError]:
        """Return what the fit gives for known features, with its standard deviations."""
        assert self.fit is not None
        assert self.fit.spread is not None
        weights, spread, n_atoms = self.fit.weights, self.fit.spread, len(kinds)
        energy = float(rows.energy @ weights) + rows.base_energy
        forces = (rows.forces @ weights).reshape(n_atoms, 3) + rows.base_forces
        virial = np.zeros((3, 3))
        virial[_ROW, _COLUMN] = rows.virial @ weights + rows.base_virial
        virial[_COLUMN, _ROW] = virial[_ROW, _COLUMN]
        to_kbar = KBAR_PER_EV_PER_ANGSTROM3 / abs(np.linalg.det(cell))
        variance = np.square(rows.forces @ spread).sum(axis=1).reshape(n_atoms, 3)
        error = BayesianError(
            float(np.linalg.norm(rows.energy @ spread)) / n_atoms,
            np.sqrt(variance.mean(axis=1)),
            to_kbar * np.sqrt(np.square(rows.virial @ spread).sum(axis=1)),
        )
        return self._labels(kinds, cell, energy, forces, virial), error

    def _anchor(self, kinds: Integers, cell: Floats, positions: Floats) -> None:
        """Add vague knowledge of atoms that meet: there the fixed repulsion alone acts along their distance.

        Of each pair of elements the two closest atoms are brought together. Without it, surroundings that no data
        show may attract without bound.
        """
        pairs = find_pairs(cell, positions, self.features.cutoff_A)
        for first in range(len(self.features.elements)):
            for second in range(first, len(self.features.elements)):
                found = np.flatnonzero((kinds[pairs.i] == first) & (kinds[pairs.j] == second) & (pairs.i != pairs.j))
                if not len(found):
                    continue
                pair = found[np.argmin(pairs.r[found])]
                i, j, direction = pairs.i[pair], pairs.j[pair], pairs.vectors[pair] / pairs.r[pair]
                for fraction in ANCHOR_FRACTIONS:
                    moved = positions.copy()
                    moved[j] -= (1.0 - fraction) * pairs.r[pair] * direction
                    forces = self.features.rows(kinds, cell, moved).forces.reshape(len(kinds), 3, -1)
                    row = direction @ (forces[j] - forces[i]) / 2.0
                    self._anchors += np.outer(row, row)

    def _labels(self, kinds: Integers, cell: Floats, energy: float, forces: Floats, virial: Floats) -> Labels:
        assert self.fit is not None
        to_kbar = -0.5 * KBAR_PER_EV_PER_ANGSTROM3 / abs(np.linalg.det(cell))
        return Labels(energy + float(self.fit.atom_energies[kinds].sum()), forces, to_kbar * (virial + virial.T))

    def _precisions(self, energy_scale: float) -> tuple[float, float, float]:
        """Return the inverse squares of the scales, with the multipliers."""
        scales = [max(energy_scale, FLOORS[0])]
        for name, floor in zip(('forces', 'stress'), FLOORS[1:], strict=True):
            count, total, squares = self._plain[name]
            scales.append(max(float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))), floor))
        first, second, third = ((w / s) ** 2 for w, s in zip(self._multipliers, scales, strict=True))
        return first, second, third
