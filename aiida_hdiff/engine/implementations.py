"""Which of two calculators of the same model runs: a fast one, or the one that the model came with.

A fast one is compared with the other on the first structure of a run, and is not used if it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_hdiff.engine.exit_codes import BAD_INPUT, MODEL_NOT_LOADED, EngineError

if TYPE_CHECKING:
    from ase import Atoms

RECORD = 'hdiff_record'
"""Attribute of a calculator: `implementation`, and `warning` or `check` where there is something to say."""
REFERENCE = 'hdiff_reference'
"""Attribute of a fast calculator: a function that builds the one that it is to agree with."""
TOLERANCES = {'energy_eV_per_atom': 1e-5, 'forces_eV_A': 5e-4, 'stress_eV_A3': 1e-5}
"""How much two calculators of one model may differ; the force also by a ten-thousandth of the largest one.

In single precision the stock calculator of CHGNet itself is off by up to 1e-4 eV/Å, where bonds are nearly in line.
"""


class NotApplicableError(ValueError):
    """A fast evaluation does not apply; the message says why."""


def choose(wanted: str, fast: Callable[[], Any], stock: Callable[[], Any], name: str) -> Any:
    """Return a fast calculator or, if it is not wanted or does not apply, the stock one, with its record.

    Parameters
    ----------
    wanted
        ``auto``, ``fast`` or ``stock``.
    fast, stock
        Functions that build them; the fast calculator comes with its record.
    name
        Name of the stock calculator.

    Raises
    ------
    EngineError
        If nothing but the fast one will do, and it does not apply.
    """
    record = {'implementation': name}
    if wanted != 'stock':
        try:
            calculator = fast()
        except NotApplicableError as error:
            if wanted == 'fast':
                raise EngineError(BAD_INPUT, f'`calculator: fast` cannot be had: {error}. Set it to `auto`.') from error
            record['warning'] = f'{error}; {name} was used instead.'
        else:
            setattr(calculator, REFERENCE, stock)
            return calculator
    calculator = stock()
    setattr(calculator, RECORD, record)
    return calculator


def calculator_record(calculator: Any) -> dict[str, Any]:
    """Return which calculator it is, and what is to be said about it."""
    return dict(getattr(calculator, RECORD, {'implementation': 'ase'}))


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, float]:
    """Return how much the results of two calculators differ at most, under the keys of :data:`TOLERANCES`."""
    values = {
        'energy_eV_per_atom': abs(float(found['energy']) - float(expected['energy'])) / len(expected['forces']),
        'forces_eV_A': float(np.max(np.abs(np.asarray(found['forces']) - np.asarray(expected['forces'])))),
    }
    if 'stress' in expected and 'stress' in found:
        difference = _voigt(found['stress']) - _voigt(expected['stress'])
        values['stress_eV_A3'] = float(np.max(np.abs(difference)))
    return values


def _voigt(stress: Any) -> Any:
    stress = np.asarray(stress, dtype=np.float64)
    return stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] if stress.shape == (3, 3) else stress


def excess(difference: Mapping[str, float], largest_force_eV_A: float) -> str | None:
    """Return which difference is larger than allowed, or ``None``."""
    for key, value in difference.items():
        limit = TOLERANCES[key] + (1e-4 * largest_force_eV_A if key == 'forces_eV_A' else 0.0)
        if not value <= limit:
            return f'{key} differs by {value:.2g}, more than {limit:.2g}'
    return None


def replaced_if_wrong(atoms: Atoms, wanted: str) -> bool:
    """Compare the calculator of atoms with its reference, and put that in its place if they differ.

    Parameters
    ----------
    atoms
        With results of their calculator.
    wanted
        ``auto``, ``fast`` or ``stock``.

    Returns
    -------
    bool
        Whether the calculator was replaced.

    Raises
    ------
    EngineError
        If they differ, but nothing but the fast one will do.
    """
    calculator, build = atoms.calc, getattr(atoms.calc, REFERENCE, None)
    if build is None:
        return False
    record = calculator_record(calculator)
    try:
        reference = build()
    except ModuleNotFoundError as error:
        setattr(calculator, RECORD, {**record, 'warning': f'not compared with the model: {error.name} is missing.'})
        return False
    copy = atoms.copy()
    copy.calc = reference
    copy.get_forces()
    difference = differences(calculator.results, reference.results)
    wrong = excess(difference, float(np.abs(reference.results['forces']).max()))
    if wrong is None:
        setattr(calculator, RECORD, {**record, 'check': difference})
        return False
    if wanted == 'fast':
        raise EngineError(
            MODEL_NOT_LOADED, f'{record["implementation"]} does not give what the model does: {wrong}. Set `auto`.'
        )
    warning = f'{record["implementation"]} was not used, for it does not give what the model does: {wrong}.'
    setattr(reference, RECORD, {'implementation': 'stock', 'warning': warning, 'check': difference})
    atoms.calc = reference
    return True
