"""A run of the stand-in in a directory, from its input files to its output files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from aiida_hdiff.standin import StandinError, ml_files, ml_logfile, tables
from aiida_hdiff.standin.faults import Faults
from aiida_hdiff.standin.incar import read_settings
from aiida_hdiff.standin.inputs import check_constraint, kpoint_grid, read_poscar, read_potcar
from aiida_hdiff.standin.learning import Decision
from aiida_hdiff.standin.output import Output
from aiida_hdiff.standin.record import NOT_CONVERGED, Run, Step, imitate_scf, spoiled
from aiida_hdiff.standin.reference import Labels, Reference, reference_from, reference_name
from aiida_hdiff.standin.simulation import Predictor, Simulation
from aiida_hdiff.standin.trainer import Trainer

_MAX_HEADER_LINES = 200


def read_run(folder: Path, environment: Mapping[str, str]) -> Run:
    """Return the inputs of a run.

    Raises
    ------
    StandinError
        A file is missing or cannot be read, or the files contradict one another.
    """
    for name in ('INCAR', 'POSCAR', 'POTCAR'):
        if not (folder / name).is_file():
            raise StandinError(f'{name} is not there')
    settings = read_settings((folder / 'INCAR').read_text(encoding='utf-8', errors='replace'))
    poscar = read_poscar(folder / 'POSCAR')
    potcar = read_potcar(folder / 'POTCAR', poscar, settings)
    if settings.mdalgo == 3 and settings.is_md and len(settings.langevin_gamma) != len(poscar.counts):
        raise StandinError(
            f'LANGEVIN_GAMMA has {len(settings.langevin_gamma)} values for the {len(poscar.counts)} species of POSCAR'
        )
    if settings.npt:
        check_constraint(folder / 'ICONST', poscar.cell)
    headers = _potcar_headers(folder / 'POTCAR', len(potcar.titles))
    force_field = folder / 'ML_FF'
    predicts = settings.mode == 'run' and force_field.is_file()
    reference = ml_files.trained_on(force_field) if predicts else reference_name(environment)
    return Run(settings, poscar, potcar, headers, kpoint_grid(folder), reference)


def execute(folder: Path, environment: Mapping[str, str], screen: IO[str]) -> int:
    """Run in a directory and return the exit status of the process.

    Raises
    ------
    StandinError
        The inputs do not allow a run.
    """
    run = read_run(folder, environment)
    screen.write(tables.stdout_header(run))
    screen.flush()
    settings = run.settings
    trainer = Trainer(run, folder) if settings.mode in ('train', 'refit', 'select') else None
    predictor = Predictor(run, folder) if settings.mode == 'run' else None
    reference = reference_from(environment) if settings.mode in ('train', 'none') else None
    has_ml_ab = trainer is not None and trainer.found
    faults = Faults(environment, settings, has_ml_ab, has_ml_ab or run.poscar.velocities is not None, folder)
    output = Output(run, folder, screen)
    try:
        if settings.mode in ('refit', 'select'):
            assert trainer is not None
            return _regress(run, output, trainer)
        if not settings.is_md:
            assert reference is not None
            return _single_point(run, output, reference, faults)
        return Simulation(run, output, faults, trainer, predictor, reference).execute()
    except StandinError as error:
        output.message('ERROR', str(error))
        return 1
    finally:
        output.close()


def _single_point(run: Run, output: Output, reference: Reference, faults: Faults) -> int:
    poscar = run.poscar
    labels = reference(run.symbols, poscar.cell, poscar.scaled @ poscar.cell)
    converged = not faults.scf_fails(1)
    if not converged:
        labels = spoiled(labels, 1, run.settings)
    scf = imitate_scf(labels.energy, 1, run.settings, converge=converged)
    step = Step(1, poscar.cell, poscar.scaled, None, labels, scf, None, (0, 0))
    if faults.crash(1):
        output.half_step(step)
        faults.die()
    output.step(step)
    if not converged:
        output.message('WARNING', NOT_CONVERGED)
    output.contcar(poscar.cell, poscar.scaled, poscar.velocities, None)
    output.finish(poscar.cell, poscar.scaled, None)
    return 0


def _regress(run: Run, output: Output, trainer: Trainer) -> int:
    """Refit or select: no dynamics; energy and forces in the files are zero, as they mean nothing there."""
    poscar = run.poscar
    fit = trainer.model.fit
    assert fit is not None
    refit = run.settings.mode == 'refit'
    if not refit:
        trainer.reselect()
    zero = Labels(0.0, np.zeros((len(poscar.scaled), 3)), np.zeros((3, 3)))
    output.step(Step(1, poscar.cell, poscar.scaled, zero, None, None, None, (0, 0)))
    output.contcar(poscar.cell, poscar.scaled, poscar.velocities, poscar.lattice_velocities)
    trainer.log.write(ml_logfile.status(1, Decision('learning', False, True), True, 0, 1))
    trainer.log.write(ml_logfile.training(1, fit.rmse))
    trainer.finish(1, fast=refit)
    output.finish(poscar.cell, poscar.scaled, None)
    return 0


def _potcar_headers(path: Path, count: int) -> tuple[str, ...]:
    """Return the lines that VASP repeats in OUTCAR: of each data set, those up to the end of its parameters."""
    text = path.read_text(encoding='utf-8', errors='replace')
    sets = re.findall(r'parameters from PSCTR are:\n(.*?)END of PSCTR', text, flags=re.DOTALL)
    headers = [''.join(f'   {line}\n' for line in one.splitlines()[:_MAX_HEADER_LINES]) for one in sets]
    return tuple((headers + [''] * count)[:count])
