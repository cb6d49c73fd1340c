"""When to ask the reference, when to train, and how the threshold follows: the tags ML_CTIFOR to ML_MHIS of VASP."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin.incar import Settings

Floats = NDArray[np.float64]

STATES = {'accurate': 1, 'threshold': 2, 'learning': 3, 'critical': 4, 'predict': 5}
FIRST_CONFIGURATIONS = 2
"""Labels that are collected before a force field exists."""


@dataclass(frozen=True)
class Decision:
    """What to do at a step.

    Attributes
    ----------
    state
        A key of `STATES`.
    label
        Ask the reference.
    train
        Train the force field at once.
    """

    state: str
    label: bool
    train: bool


@dataclass(frozen=True)
class ThresholdUpdate:
    """Old and new threshold in eV/Å, and the relative spread and slope of the history."""

    before: float
    after: float
    spread: float
    slope: float


@dataclass
class Learning:
    """The threshold, its history, and what waits for training."""

    settings: Settings
    threshold: float
    n_waiting: int = 0
    last_label: int = -(10**9)
    history: list[float] = field(default_factory=list)

    def decide(self, step: int, error: float | None, has_fit: bool) -> Decision:
        """Return what to do at a step.

        Parameters
        ----------
        step
            Number of the step, from 1; 0 is the start.
        error
            Largest Bayesian error of the forces in eV/Å; None without a force field.
        has_fit
            Whether a force field exists.
        """
        settings = self.settings
        if not has_fit or error is None:
            return Decision('threshold', True, self.n_waiting + 1 >= FIRST_CONFIGURATIONS)
        if error > settings.cdouble * self.threshold:
            return Decision('critical', True, settings.icriteria != 3)
        if error <= self.threshold:
            return Decision('accurate', False, False)
        if step - self.last_label < settings.nmdint:
            return Decision('threshold', False, False)
        full = self.n_waiting + 1 >= settings.mconf_new
        return Decision('learning' if full else 'threshold', True, full)

    def labelled(self, step: int) -> None:
        """Count a label."""
        self.last_label = step
        self.n_waiting += 1

    def trained(self, error: float) -> ThresholdUpdate | None:
        """Take the Bayesian error after training into the history, and move the threshold if that is due."""
        settings = self.settings
        self.n_waiting = 0
        self.history = [*self.history, error][-settings.mhis :]
        if settings.icriteria not in (1, 2) or len(self.history) < settings.mhis:
            return None
        values = np.array(self.history)
        mean = float(values.mean())
        if mean <= 0.0:
            return None
        spread = float(values.std()) / mean
        slope = float(np.polyfit(np.arange(len(values)), values, 1)[0]) / mean if len(values) > 1 else 0.0
        if settings.icriteria == 1 and (spread > settings.csig or abs(slope) > settings.cslope):
            return None
        update = ThresholdUpdate(self.threshold, mean * (1.0 + settings.cx), spread, slope)
        self.threshold = update.after
        return update


def local_references(errors: Floats, kinds: NDArray[np.int64], least: float) -> list[list[int]]:
    """Return the atoms of each element whose surroundings are new, largest errors first; at least one.

    Parameters
    ----------
    errors
        Bayesian error of each atom in eV/Å, shape (n_atoms,).
    kinds
        Index of each atom's element.
    least
        Error in eV/Å from which surroundings are new.
    """
    chosen = []
    for kind in range(int(kinds.max()) + 1):
        atoms = np.flatnonzero(kinds == kind)
        ordered = atoms[np.argsort(-errors[atoms], kind='stable')]
        chosen.append(ordered[: max(1, int((errors[ordered] > least).sum()))].tolist())
    return chosen
