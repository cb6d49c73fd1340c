"""What a training run of VASP has learned, as nodes: its log, its regression, its new labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_hdiff.formats import MLAB, LabelledFrames, labelled_from_ml_ab
from aiida_hdiff.formats.ml_logfile import MLLogfile
from aiida_hdiff.formats.ml_reg import MLReg
from aiida_hdiff.formats.vasp_trajectory import DftSteps

ENERGY_TOLERANCE_EV = 2e-7
"""OUTCAR and vasprun.xml have eight decimals."""
UNKNOWN_ORIGIN = 'ML_ABN {number}'

_BAYESIAN = {
    'bee_energy': 'bayesian_error_energy',
    'bee_max_force': 'bayesian_error_force_max',
    'bee_ave_force': 'bayesian_error_force_mean',
    'threshold': 'threshold',
    'bee_max_stress': 'bayesian_error_stress_max',
    'bee_ave_stress': 'bayesian_error_stress_mean',
}
_TRAINING = {name: name for name in ('rmse_energy', 'rmse_force', 'rmse_stress')}


def log_offset(log: MLLogfile, dft_steps: Sequence[int], n_steps: int) -> int:
    """Return what is added to a step of ML_LOGFILE to have VASP's number of the step, from 1: 0 or 1.

    VASP's log may begin with step 0. Where the two numberings differ, the steps of DFT decide.

    Parameters
    ----------
    log
        The log.
    dft_steps
        VASP's numbers of the steps of DFT, from 1.
    n_steps
        Number of steps.
    """
    try:
        logged = log.dft_steps
        steps = np.asarray(log.column('STATUS', 'nstep'), dtype=np.int64)
    except ValueError:
        return 0
    known = set(dft_steps)
    agreement = [sum(int(step) + offset in known for step in logged) for offset in (0, 1)]
    if agreement[0] != agreement[1]:
        return int(np.argmax(agreement))
    return int(len(steps) > 0 and steps.min() == 0 and steps.max() < n_steps)


def learning_node(log: MLLogfile, offset: int, first_step: int) -> orm.ArrayData | None:
    """Return the history of a training, or ``None`` if the log has none.

    Parameters
    ----------
    log
        The log.
    offset
        Added to its steps to have VASP's numbers of the steps; rows from before the first are left out.
    first_step
        Step of the stage at which the run begins.
    """
    shift = offset + first_step - 1
    arrays: dict[str, NDArray[Any]] = {}
    _add(arrays, log, 'BEEF', 'step', _BAYESIAN, offset, shift)
    _add(arrays, log, 'STATUS', 'status_step', {'is': 'status', 'doabin': 'dft'}, offset, shift)
    _add(arrays, log, 'ERR', 'rmse_step', _TRAINING, offset, shift)
    _add(
        arrays, log, 'THRUPD', 'threshold_update_step',
        {'ctifor_prev': 'threshold_before', 'ctifor_new': 'threshold_after'}, offset, shift,
    )  # fmt: skip
    for element, local in log.local_configurations.items():
        known = local.steps + offset > 0
        arrays[f'local_{element}_step'] = local.steps[known] + shift
        arrays[f'local_{element}_before'] = local.before[known]
        arrays[f'local_{element}_after'] = local.after[known]
    if not arrays:
        return None
    node = orm.ArrayData()
    for name in sorted(arrays):
        node.set_array(name, arrays[name])
    node.base.attributes.set('units', {'energy': 'eV/atom', 'force': 'eV/Å', 'stress': 'kbar'})
    return node


def _add(
    arrays: dict[str, NDArray[Any]],
    log: MLLogfile,
    key: str,
    step_name: str,
    names: dict[str, str],
    offset: int,
    shift: int,
) -> None:
    table = log.tables.get(key, {})
    found = {new: table[old] for old, new in names.items() if old in table and table[old].dtype.kind in 'bif'}
    if 'nstep' in table and found:
        steps = np.asarray(table['nstep'], dtype=np.int64)
        known = steps + offset > 0
        arrays[step_name] = steps[known] + shift
        arrays.update({name: values[known] for name, values in found.items()})


def regression_node(reg: MLReg) -> orm.ArrayData:
    """Return energies (eV), force and stress components (eV/Å, eV/Å³) of DFT and of the fit, side by side."""
    node = orm.ArrayData()
    for name in ('energies', 'forces', 'stress'):
        node.set_array(name, getattr(reg, name))
    rmse = {'rmse_energy': reg.rmse_energy, 'rmse_forces': reg.rmse_forces, 'rmse_stress': reg.rmse_stress}
    node.base.attributes.set_many({name: None if np.isnan(value) else value for name, value in rmse.items()})
    return node


def frame_origin(step: int, temperature_K: float) -> str:
    """Return where in a stage a frame comes from."""
    return f'step {step}' if np.isnan(temperature_K) else f'step {step} {temperature_K:.1f} K'


def new_frames(ml_ab: MLAB, n_before: int, dft_steps: DftSteps, reference: str) -> LabelledFrames | None:
    """Return the configurations that a run has added to its training set, or ``None`` if there are none.

    Each is found among the steps of DFT by its energy, in the order of both; that gives its step and temperature.

    Parameters
    ----------
    ml_ab
        ML_ABN.
    n_before
        Number of configurations in the ML_AB that the run has read.
    dft_steps
        Steps of DFT of the run.
    reference
        Identity of the level of theory.
    """
    frames = list(ml_ab)[n_before:]
    if not frames:
        return None
    energies = np.array(dft_steps.free_energies)
    origins: list[str] = []
    converged: list[int] = []
    begin = 0
    for number, frame in enumerate(frames, n_before + 1):
        same = np.flatnonzero(np.abs(energies[begin:] - frame.energy) < ENERGY_TOLERANCE_EV)
        if len(same):
            place = begin + int(same[0])
            begin = place + 1
            origins.append(frame_origin(dft_steps.steps[place], dft_steps.temperatures_K[place]))
            converged.append(int(not dft_steps.scf_failed[place]))
        else:
            origins.append(UNKNOWN_ORIGIN.format(number=number))
            converged.append(-1)
    found = labelled_from_ml_ab(frames, origins=origins, reference=reference, config_type='')
    return replace(found, scf_converged=np.array(converged, dtype=np.int8))


def with_missing(
    frames: LabelledFrames | None, calculated: LabelledFrames | None, known_energies: Sequence[float]
) -> LabelledFrames | None:
    """Return the new frames of ML_ABN and after them the steps of DFT that it lacks, which their energies tell.

    VASP adds labelled steps to its training set some at a time: one that is killed has calculated more than ML_ABN has.

    Parameters
    ----------
    frames
        New configurations of ML_ABN, if there are any.
    calculated
        All steps of DFT of the run, if there are any.
    known_energies
        Energies (eV) of all configurations in ML_ABN.
    """
    if calculated is None:
        return frames
    known = np.asarray(known_energies, dtype=np.float64)
    missing = ~(np.abs(known[None, :] - calculated.energies[:, None]) < ENERGY_TOLERANCE_EV).any(axis=1)
    if not missing.any():
        return frames
    added = calculated.select(missing)
    return added if frames is None else LabelledFrames.concatenate([frames, added])
