"""Molecular dynamics with a force field that is trained or was read, or with the reference alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aiida_hdiff.standin import StandinError, ml_files, ml_logfile
from aiida_hdiff.standin.dynamics import Dynamics
from aiida_hdiff.standin.faults import Faults
from aiida_hdiff.standin.learning import Decision
from aiida_hdiff.standin.model import Model
from aiida_hdiff.standin.output import Output
from aiida_hdiff.standin.record import NOT_CONVERGED, Run, Step, imitate_scf, spoiled
from aiida_hdiff.standin.reference import Labels, Reference
from aiida_hdiff.standin.trainer import LimitError, Trainer


class Predictor:
    """A force field that was read, and ML_LOGFILE."""

    def __init__(self, run: Run, folder: Path) -> None:
        path = folder / 'ML_FF'
        if not path.is_file():
            raise StandinError('ML_MODE = run needs ML_FF, which is not there')
        features, fit, fast = ml_files.read_force_field(path)
        missing = [symbol for symbol in run.poscar.elements if symbol not in features.elements]
        if missing:
            raise StandinError(f'ML_FF knows {" ".join(features.elements)} and not {missing[0]} of POSCAR')
        self._model = Model(features)
        self._model.fit = fit
        self._kinds = np.array([features.elements.index(symbol) for symbol in run.symbols])
        self.log = (folder / 'ML_LOGFILE').open('w', encoding='utf-8')
        self.log.write(ml_logfile.header(run, 0))
        if not fast:
            self.log.write(' WARNING: ML_FF was not refitted (ML_LFAST = F)\n')

    def predict(self, dynamics: Dynamics) -> Labels:
        """Return the prediction for the present structure."""
        return self._model.predict(self._kinds, dynamics.cell, dynamics.positions)

    def report(self, step: int) -> None:
        """Write the state of a step."""
        self.log.write(ml_logfile.status(step, Decision('predict', False, False), False, 0, 0) + ml_logfile.fence())
        self.log.flush()


class Simulation:
    """Molecular dynamics."""

    def __init__(
        self,
        run: Run,
        output: Output,
        faults: Faults,
        trainer: Trainer | None,
        predictor: Predictor | None,
        reference: Reference | None,
    ) -> None:
        self._run, self._output, self._faults = run, output, faults
        self._trainer, self._predictor, self._reference = trainer, predictor, reference
        masses = np.repeat(np.array(run.potcar.masses), run.poscar.counts)
        self._dynamics = Dynamics(run.poscar, masses, run.settings)
        self._step = 0

    def execute(self) -> int:
        """Run all steps, or up to where a limit or a fault ends it."""
        settings = self._run.settings
        for self._step in range(1, settings.nsw + 1):
            predicted, labels, converged = self._forces()
            dynamics = self._dynamics
            final = labels if labels is not None else predicted
            assert final is not None
            cell, scaled = dynamics.cell, dynamics.scaled.copy()
            kinetics = dynamics.finish(final)
            scf = None
            if labels is not None:
                scf = imitate_scf(labels.energy, self._step, settings, converge=converged)
            seed = (settings.random_seed[0], dynamics.draws)
            step = Step(self._step, cell, scaled, predicted, labels, scf, kinetics, seed)
            if self._faults.crash(self._step):
                self._output.half_step(step)
                self._faults.die()
            self._output.step(step)
            if not converged:
                self._output.message('ERROR', NOT_CONVERGED)
                return 1
            dynamics.advance(final, self._step)
            if self._step % settings.outblock == 0 or self._step == settings.nsw:
                self._contcar()
            reason = self._faults.stop(self._step)
            if reason:
                self._output.line(f' {reason} stop encountered!  aborting job ...\n')
                break
        self._contcar()
        self._finish()
        return 0

    def _forces(self) -> tuple[Labels | None, Labels | None, bool]:
        """Return what the force field predicts, labels if there are any, and whether these converged."""
        if self._predictor is not None:
            if self._step % self._run.settings.outblock == 0:
                self._predictor.report(self._step)
            return self._predictor.predict(self._dynamics), None, True
        if self._trainer is None:
            return None, *self._label()
        trainer, cell, positions = self._trainer, self._dynamics.cell, self._dynamics.positions
        predicted, error, rows = trainer.predict(cell, positions)
        threshold = trainer.learning.threshold
        if self._step == 1:
            first = Decision('threshold', trainer.model.fit is None, False)
            trainer.log.write(ml_logfile.status(0, first, False, 0, 0) + ml_logfile.fence())
        largest = None if error is None else float(error.forces.max())
        decision = trainer.learning.decide(self._step, largest, trainer.model.fit is not None)
        labels, converged = None, True
        if decision.label:
            if trainer.full:
                self._wait_over()
                raise LimitError(
                    f'The number of training structures has reached ML_MCONF = {trainer.mconf}: '
                    'enlarge ML_MCONF and continue from ML_ABN.'
                )
            labels, converged = self._label()
            if converged:
                trainer.add(self._step, cell, self._dynamics.scaled, labels, error, rows)
        trained = decision.train and converged
        if trained:
            trainer.train(self._step, cell, positions)
        trainer.report(self._step, decision, trained, error, threshold)
        return predicted, labels, converged

    def _label(self) -> tuple[Labels, bool]:
        assert self._reference is not None
        labels = self._reference(self._run.symbols, self._dynamics.cell, self._dynamics.positions)
        if self._faults.scf_fails(self._step):
            return spoiled(labels, self._step, self._run.settings), False
        return labels, True

    def _contcar(self) -> None:
        dynamics, settings = self._dynamics, self._run.settings
        scaled = dynamics.scaled % 1.0 if settings.mdalgo == 0 else dynamics.scaled
        lattice = dynamics.lattice_velocities if settings.npt else None
        self._output.contcar(dynamics.cell, scaled, dynamics.velocities, lattice)

    def _wait_over(self) -> None:
        """Train with what still waits."""
        trainer = self._trainer
        if trainer is not None and trainer.learning.n_waiting:
            trainer.train(self._step, self._dynamics.cell, self._dynamics.positions)

    def _finish(self) -> None:
        self._wait_over()
        if self._trainer is not None:
            self._trainer.finish(self._step)
        if self._predictor is not None:
            self._predictor.log.write(ml_logfile.footer())
            self._predictor.log.close()
        self._output.finish(self._dynamics.cell, self._dynamics.scaled, self._dynamics.velocities)
