"""The errors of a potential on a set, as a whole and by element, temperature, hydrogen, composition and group."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis.errors import Predictions, element_offsets
from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.origins import NOMINAL, formulas, parse_origins

Floats = NDArray[np.float64]

BIN_K = 100.0
"""Width of the bins of temperatures of the moment, in K; temperatures that runs were meant to have are not binned."""
N_WORST = 10
"""Default number of worst frames that are listed."""
_MILLI = 1000.0


def error_summary(predictions: Predictions, *, n_worst: int = N_WORST) -> dict[str, Any]:
    """Return the errors of a potential on a set.

    Parameters
    ----------
    predictions
        Labels and predictions.
    n_worst
        Number of frames to list with the largest errors of the forces, and of the energy.

    Returns
    -------
    dict
        Plain numbers. ``energy_meV_per_atom`` as predicted; ``energy_meV_per_atom_without_element_offsets`` after a
        constant for each element is removed by least squares, and ``..._without_composition_offsets`` after the mean
        error of each composition is removed, for compositions with at least two frames; ``force_meV_A`` of the
        components; ``stress_GPa`` and ``stress_meV_A3``. Each has ``rmse``, ``mae``, ``mean`` and ``max``. Then
        ``by_element``, ``by_temperature``, ``by_n_hydrogen``, ``by_composition``, ``by_config_type``, and
        ``worst_by_force``, ``worst_by_energy``.

    Raises
    ------
    ValueError
        If ``n_worst`` is negative.
    """
    if n_worst < 0:
        raise ValueError(f'n_worst is {n_worst}: give the number of worst frames to list, at least 0')
    from ase.data import chemical_symbols

    frames, errors = predictions.frames, predictions.energy_errors
    fit = element_offsets(frames, errors)
    names = formulas(frames)
    kinds = _kinds(frames, names)
    return {
        'n_frames': len(frames),
        'n_atoms': len(frames.numbers),
        'energy_meV_per_atom': _statistics(errors, _MILLI),
        'energy_meV_per_atom_without_element_offsets': {
            **(_statistics(fit.errors, _MILLI) or {}),
            'offsets_eV': {chemical_symbols[z]: float(one) for z, one in zip(fit.numbers, fit.offsets_eV, strict=True)},
            'n_constants': fit.rank,
            'offsets_unique': fit.rank == len(fit.numbers),
        },
        'energy_meV_per_atom_without_composition_offsets': _without_composition_offsets(errors, names),
        'force_meV_A': _statistics(predictions.force_errors, _MILLI),
        'force_label_rms_meV_A': float(np.sqrt((frames.forces**2).mean()) * _MILLI),
        'stress_GPa': _statistics(predictions.stress_errors, EV_PER_ANGSTROM3_IN_GPA),
        'stress_meV_A3': _statistics(predictions.stress_errors, _MILLI),
        'n_with_stress': int(np.isfinite(predictions.stress_errors).all(axis=1).sum()),
        'by_element': {
            chemical_symbols[number]: {
                'n_atoms': int((frames.numbers == number).sum()),
                'force_meV_A': _statistics(predictions.force_errors[frames.numbers == number], _MILLI),
            }
            for number in fit.numbers
        },
        **{f'by_{name}': _by_kind(predictions, fit.errors, values) for name, values in kinds.items()},
        'worst_by_force': _worst(predictions, predictions.force_rmse, n_worst),
        'worst_by_energy': _worst(predictions, np.abs(errors), n_worst),
    }


def _statistics(errors: Floats, scale: float) -> dict[str, float] | None:
    """Return what errors amount to in other units, or ``None`` if there are none; NaN stands for no error."""
    found = errors[np.isfinite(errors)] * scale
    if not found.size:
        return None
    return {
        'rmse': float(np.sqrt((found**2).mean())),
        'mae': float(np.abs(found).mean()),
        'mean': float(found.mean()),
        'max': float(np.abs(found).max()),
    }


def _without_composition_offsets(errors: Floats, names: Sequence[str]) -> dict[str, Any]:
    left, means = [], {}
    for formula in dict.fromkeys(names):
        group = errors[np.array([name == formula for name in names])]
        if len(group) > 1:
            means[formula] = float(group.mean())
            left.append(group - group.mean())
    remaining = np.concatenate(left) if left else np.empty(0)
    return {
        **(_statistics(remaining, _MILLI) or {}),
        'n_frames': len(remaining),
        'n_constants': len(means),
        'offsets_meV_per_atom': {formula: mean * _MILLI for formula, mean in means.items()},
    }


def _kinds(frames: LabelledFrames, names: Sequence[str]) -> dict[str, Sequence[Hashable]]:
    hydrogens = np.add.reduceat(frames.numbers == 1, frames.offsets[:-1], dtype=np.int64)
    return {
        'temperature': _temperatures(frames),
        'n_hydrogen': hydrogens.tolist(),
        'composition': names,
        'config_type': frames.config_types,
    }


def _temperatures(frames: LabelledFrames) -> list[float | None]:
    """Return the temperature that the run of each frame was meant to have, or the middle of a bin, or ``None``."""
    found: list[float | None] = []
    for origin in parse_origins(frames):
        value = origin.temperature_K
        if value is not None and origin.temperature_from not in NOMINAL:
            value = (np.floor(value / BIN_K) + 0.5) * BIN_K
        found.append(None if value is None else float(value))
    return found


def _by_kind(predictions: Predictions, shifted: Floats, values: Sequence[Hashable]) -> list[dict[str, Any]]:
    """Return the errors of each kind of frame, sorted by it, unknown ones last."""
    of_atom = np.repeat(np.arange(len(predictions.frames)), predictions.frames.n_atoms)
    rows = []
    for value in sorted(set(values), key=lambda one: (one is None, one)):
        chosen = np.array([one == value for one in values])
        rows.append(
            {
                'value': value,
                'n_frames': int(chosen.sum()),
                'energy_meV_per_atom': _statistics(predictions.energy_errors[chosen], _MILLI),
                'energy_meV_per_atom_without_element_offsets': _statistics(shifted[chosen], _MILLI),
                'force_meV_A': _statistics(predictions.force_errors[chosen[of_atom]], _MILLI),
                'stress_GPa': _statistics(predictions.stress_errors[chosen], EV_PER_ANGSTROM3_IN_GPA),
            }
        )
    return rows


def _worst(predictions: Predictions, badness: Floats, n_worst: int) -> list[dict[str, Any]]:
    """Return the frames with the largest errors, the worst first; equal ones in their order."""
    frames, force_rmse, force_max = predictions.frames, predictions.force_rmse, predictions.force_max
    return [
        {
            'frame': int(index),
            'origin': frames.origins[index],
            'force_rmse_meV_A': float(force_rmse[index] * _MILLI),
            'force_max_meV_A': float(force_max[index] * _MILLI),
            'energy_error_meV_per_atom': float(predictions.energy_errors[index] * _MILLI),
        }
        for index in np.argsort(-badness, kind='stable')[:n_worst]
    ]
