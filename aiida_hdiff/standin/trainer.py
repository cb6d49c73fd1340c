"""The force field of a training run: labels, training, threshold, and the files that tell of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.ml_ab import MLAB, MLABFrame
from aiida_hdiff.formats.ml_ab_read import read_ml_ab
from aiida_hdiff.standin import StandinError, ml_files, ml_logfile
from aiida_hdiff.standin.features import Features, Rows
from aiida_hdiff.standin.learning import Decision, Learning, local_references
from aiida_hdiff.standin.model import BayesianError, Model
from aiida_hdiff.standin.record import Run
from aiida_hdiff.standin.reference import Labels

Floats = NDArray[np.float64]

RANGE_A = 5.7
"""Range of the features where ML_RCUT1 is not shorter."""


class LimitError(StandinError):
    """ML_MCONF or ML_MB is reached."""


class Trainer:
    """Training set and force field.

    Parameters
    ----------
    run
        The inputs.
    folder
        Working directory, where ML_AB may be.

    Raises
    ------
    StandinError
        An ML_AB that cannot be read, has more configurations than ML_MCONF, or is missing where it is needed.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder = run, folder
        path = folder / 'ML_AB'
        self.found = path.is_file()
        settings = run.settings
        known = self._read(path) if self.found else None
        if known is None and settings.mode in ('refit', 'select'):
            raise StandinError(f'ML_MODE = {settings.mode} needs ML_AB, which is not there')
        extra = [symbol for symbol in (known.elements if known else ()) if symbol not in run.poscar.elements]
        self.elements = (*run.poscar.elements, *extra)
        self.masses = (*run.potcar.masses, *(_mass(known, symbol) for symbol in extra))
        self.features = Features(self.elements, min(settings.rcut1, RANGE_A))
        self.model = Model(self.features, settings.weights)
        self.frames: list[MLABFrame] = list(known.frames) if known else []
        self.basis: list[list[tuple[int, int]]] = [[] for _ in self.elements]
        self.n_read = len(self.frames)
        self._check_limits()
        with_ctifor = self.frames[0].ctifor is not None if self.frames else True
        self._ctifor = with_ctifor
        for one in self.frames:
            kinds = np.array([self.elements.index(symbol) for symbol in one.symbols])
            self.model.add(kinds, one.cell, one.positions, ml_files.labels_of(one))
        if known is not None:
            for symbol, pairs in zip(known.elements, known.basis_sets, strict=True):
                self.basis[self.elements.index(symbol)] = [(int(a), int(b)) for a, b in pairs]
            self.model.train(covariance=settings.mode != 'refit')
        self.learning = Learning(settings, self._first_threshold())
        self.trained_at = 0
        self._new: list[tuple[int, list[list[int]]]] = []
        self.log = (folder / 'ML_LOGFILE').open('w', encoding='utf-8')
        self.log.write(ml_logfile.header(run, self.n_read))
        self.log.flush()

    @property
    def full(self) -> bool:
        """Whether another configuration would exceed ML_MCONF."""
        return len(self.frames) >= self._mconf

    @property
    def mconf(self) -> int:
        """The limit in effect."""
        return self._mconf

    def predict(self, cell: Floats, positions: Floats) -> tuple[Labels, BayesianError | None, Rows | None]:
        """Return the prediction for a structure of the run, its errors and features; zeros without a force field."""
        kinds = self._run.poscar.kinds
        if self.model.fit is None:
            return Labels(0.0, np.zeros((len(kinds), 3)), np.zeros((3, 3))), None, None
        rows = self.features.rows(kinds, cell, positions)
        labels, error = self.model.predict_rows(kinds, cell, rows)
        return labels, error, rows

    def add(
        self, step: int, cell: Floats, scaled: Floats, labels: Labels, error: BayesianError | None, rows: Rows | None
    ) -> None:
        """Take a labelled structure into the training set."""
        kinds = self._run.poscar.kinds
        ctifor = self.learning.threshold if self._ctifor else None
        self.frames.append(ml_files.frame(self._run, cell, scaled, labels, ctifor))
        self.model.add(kinds, cell, scaled @ cell, labels, rows)
        errors = np.full(len(kinds), np.inf) if error is None else error.forces
        least = self._run.settings.sclc_ctifor * self.learning.threshold
        self._new.append((len(self.frames), local_references(errors, kinds, least)))
        self.learning.labelled(step)

    def train(self, step: int, cell: Floats, positions: Floats) -> None:
        """Train, move the threshold, and write ML_ABN and ML_FFN.

        Raises
        ------
        LimitError
            ML_MB is reached and ML_LBASIS_DISCARD does not allow to leave out local configurations.
        """
        before = [len(pairs) for pairs in self.basis]
        over = self._extend_basis()
        fit = self.model.train()
        self.trained_at += 1
        _, error, _ = self.predict(cell, positions)
        assert error is not None
        update = self.learning.trained(float(error.forces.max()))
        after = [len(pairs) for pairs in self.basis]
        self.log.write(ml_logfile.local_configurations(step, self.elements, before, after))
        self.log.write(ml_logfile.training(step, fit.rmse))
        if update is not None:
            self.log.write(ml_logfile.threshold(step, self.learning.history, update))
        self.save()
        if over and not self._run.settings.lbasis_discard:
            raise LimitError(f'The number of local reference configurations has reached ML_MB = {self._mb}.')

    def reselect(self) -> None:
        """Choose the local reference configurations anew, by the Bayesian errors of the whole training set."""
        self.basis = [[] for _ in self.elements]
        for number, example in enumerate(self.model.examples, 1):
            rows = self.features.rows(example.kinds, example.cell, example.positions)
            error = self.model.predict_rows(example.kinds, example.cell, rows)[1]
            least = float(np.quantile(error.forces, 0.9))
            self._new.append((number, local_references(error.forces, example.kinds, least)))
        self._extend_basis()

    def save(self, *, fast: bool = False) -> None:
        """Write ML_ABN and ML_FFN."""
        fit = self.model.fit
        if fit is None:
            return
        ml_files.write_training_set(self._folder / 'ML_ABN', self.frames, self.elements, self.masses, self.basis)
        counts = [len(pairs) for pairs in self.basis]
        ml_files.write_force_field(
            self._folder / 'ML_FFN', self.features, fit, self._run, counts, len(self.frames), fast=fast
        )

    def report(
        self, step: int, decision: Decision, trained: bool, error: BayesianError | None, threshold: float
    ) -> None:
        """Write the state of a step to ML_LOGFILE."""
        self.log.write(ml_logfile.status(step, decision, trained, self.learning.n_waiting, self.trained_at))
        if error is not None:
            self.log.write(ml_logfile.bayesian(step, error, threshold))
        self.log.write(ml_logfile.fence())
        self.log.flush()

    def finish(self, step: int, *, fast: bool = False) -> None:
        """Write what a run leaves that was not interrupted."""
        self.save(fast=fast)
        if self.model.fit is not None:
            text = ml_files.regression_text(self.model, step, self._run)
            (self._folder / 'ML_REG').write_text(text, encoding='utf-8')
        self.log.write(ml_logfile.footer())
        self.log.close()

    def _extend_basis(self) -> bool:
        """Add the local configurations of new structures; return whether some did not fit."""
        over = False
        for number, chosen in self._new:
            for kind, atoms in enumerate(chosen):
                room = max(self._mb - len(self.basis[kind]), 0)
                over = over or len(atoms) > room
                self.basis[kind] += [(number, atom + 1) for atom in atoms[:room]]
        self._new.clear()
        return over

    def _check_limits(self) -> None:
        settings = self._run.settings
        room = max(1, min(1500, settings.nsw))
        self._mconf = settings.mconf or self.n_read + room
        self._mb = settings.mb or 1500 + self.n_read
        if self._mconf < self.n_read:
            raise StandinError(
                f'ML_MCONF = {self._mconf} is smaller than the {self.n_read} configurations in ML_AB: enlarge it'
            )

    def _first_threshold(self) -> float:
        """ML_CTIFOR, else the threshold of the last configuration in ML_AB."""
        settings = self._run.settings
        last = self.frames[-1].ctifor if self.frames else None
        return settings.ctifor if 'ML_CTIFOR' in settings.tags or last is None else last

    def _read(self, path: Path) -> MLAB:
        try:
            return read_ml_ab(path)
        except ValueError as error:
            raise StandinError(f'ML_AB cannot be read: {error}') from None


def _mass(known: MLAB | None, symbol: str) -> float:
    assert known is not None
    return float(known.masses[known.elements.index(symbol)])
