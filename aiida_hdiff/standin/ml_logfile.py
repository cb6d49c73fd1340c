"""Writer of ML_LOGFILE, with the tables STATUS, LCONF, ERR, BEEF, THRHIST and THRUPD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin.learning import STATES, Decision, ThresholdUpdate
from aiida_hdiff.standin.model import BayesianError
from aiida_hdiff.standin.record import Run

Floats = NDArray[np.float64]

WIDTH = 100
_TABLES = {
    'STATUS': (
        'State of the force field and what was done',
        ('nstep', 'state', 'is', 'doabin', 'iff', 'nsample', 'ngenff'),
    ),
    'LCONF': ('Local reference configurations', ('nstep', 'el', 'nlrc_old', 'nlrc_new')),
    'ERR': (
        'Errors on the training set in eV/atom, eV/Angst, kB',
        ('nstep', 'rmse_energy', 'rmse_force', 'rmse_stress'),
    ),
    'BEEF': (
        'Bayesian errors and threshold in eV/atom, eV/Angst, kB',
        ('nstep', 'bee_energy', 'bee_max_force', 'bee_ave_force', 'threshold', 'bee_max_stress', 'bee_ave_stress'),
    ),
    'THRHIST': ('History of the Bayesian error after training in eV/Angst', ('nstep', 'index', 'bee_max_force')),
    'THRUPD': (
        'Change of the threshold in eV/Angst',
        ('nstep', 'ctifor_prev', 'ctifor_new', 'std_rel_beef', 'slope_rel_beef'),
    ),
}


def _section(title: str) -> str:
    return f'* {title} '.ljust(WIDTH, '*') + '\n'


def header(run: Run, n_configurations: int) -> str:
    """Return what precedes the steps.

    Parameters
    ----------
    run
        The inputs.
    n_configurations
        Number of configurations in ML_AB.
    """
    settings = run.settings
    values = {
        'ML_MODE': settings.mode.upper(),
        'ML_MCONF': settings.mconf,
        'ML_MB': settings.mb,
        'ML_CTIFOR': f'{settings.ctifor:.8E}',
        'ML_ICRITERIA': settings.icriteria,
        'ML_CDOUB': settings.cdouble,
        'ML_CX': settings.cx,
        'ML_MHIS': settings.mhis,
        'ML_MCONF_NEW': settings.mconf_new,
        'ML_NMDINT': settings.nmdint,
        'ML_OUTBLOCK': settings.outblock,
        'ML_OUTPUT_MODE': settings.output_mode,
    }
    text = f'{_section("EMULATED")} {run.banner}\n{"*" * WIDTH}\n\n{_section("MACHINE LEARNING SETTINGS")}'
    text += ''.join(f' {"":52s} : {name:15s} = {value}\n' for name, value in values.items())
    text += f'{"*" * WIDTH}\n\n{_section("AVAILABLE AB INITIO DATA")}'
    text += f' Number of stored (maximum) ab-initio structures: {n_configurations:8d} ({settings.mconf:8d})\n'
    text += f'{"*" * WIDTH}\n\n{_section("MAIN LOOP")}'
    for key, (title, columns) in _TABLES.items():
        ruler = f'# {key} '.ljust(WIDTH, '#') + '\n'
        names = ''.join(f'{name:>17s}' for name in columns)
        numbers = ''.join(f'{index:17d}' for index in range(2, len(columns) + 2))
        more = ' ...' if key == 'LCONF' else ''
        text += f'{ruler}# {key} {title}\n# {key}\n# {key:8s}{names}{more}\n# {key:8s}{numbers}{more}\n{ruler}\n'
    return text


def footer() -> str:
    """Return the end of a run that was not interrupted."""
    return f'{"-" * WIDTH}\n{"*" * WIDTH}\n\n{_section("TIMING INFORMATION")} not measured\n{"*" * WIDTH}\n'


def fence() -> str:
    """Return the line between steps."""
    return '-' * WIDTH + '\n'


def status(step: int, decision: Decision, trained: bool, n_waiting: int, n_trained: int) -> str:
    """Return the state of a step."""
    flags = ''.join(f'{"T" if flag else "F":>17s}' for flag in (decision.label, trained))
    return (
        f'STATUS    {step:17d}{decision.state:>17s}{STATES[decision.state]:17d}{flags}{n_waiting:17d}{n_trained:17d}\n'
    )


def bayesian(step: int, error: BayesianError, threshold: float) -> str:
    """Return the Bayesian errors of a step."""
    return _row(
        'BEEF',
        step,
        error.energy,
        float(error.forces.max()),
        float(error.forces.mean()),
        threshold,
        float(error.stress.max()),
        float(error.stress.mean()),
    )


def training(step: int, rmse: tuple[float, float, float]) -> str:
    """Return the errors on the training set."""
    return _row('ERR', step, *rmse)


def local_configurations(step: int, elements: tuple[str, ...], before: list[int], after: list[int]) -> str:
    """Return how the numbers of local reference configurations change."""
    cells = ''.join(
        f'{element:>17s}{old:17d}{new:17d}' for element, old, new in zip(elements, before, after, strict=True)
    )
    return f'LCONF     {step:17d}{cells}\n'


def threshold(step: int, history: list[float], update: ThresholdUpdate) -> str:
    """Return a change of the threshold, with the history it follows from."""
    rows = ''.join(f'THRHIST   {step:17d}{index:17d}{value:17.8E}\n' for index, value in enumerate(history, 1))
    return rows + _row('THRUPD', step, update.before, update.after, update.spread, update.slope)


def _row(key: str, step: int, *values: float) -> str:
    return f'{key:8s}  {step:17d}' + ''.join(f'{value:17.8E}' for value in values) + '\n'
