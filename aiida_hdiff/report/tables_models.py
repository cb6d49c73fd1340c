"""What is known of the potentials as rows: comparison, errors, predictions against labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aiida_hdiff.report.compare import mean_coefficient
from aiida_hdiff.report.comparison import temperatures
from aiida_hdiff.report.density import MAX_POINTS, density, limits_of
from aiida_hdiff.report.models import SPLITS, ModelRecord, Parity, SetErrors
from aiida_hdiff.report.study import PotentialResult, Study

Row = Sequence[Any]
_CELLS = (200, 200)
_MADE = ('potential', 'key', 'kind', 'architecture', 'train_frames', 'valid_frames', 'test_frames')
_RMSE = ('energy_meV_per_atom', 'energy_shifted_meV_per_atom', 'force_meV_A', 'stress_GPa')
_RESULT = (
    'activation_energy_eV', 'activation_energy_error_eV', 'prefactor_m2_s', 'log_prefactor_error',
)  # fmt: skip
_COST = ('training_s', 'md_steps_per_s')


def model_tables(study: Study) -> dict[str, list[Row]]:
    """Return the tables by name; the first row is the header.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    dict
        ``comparison``, a row per potential; ``errors``, a row per potential, set and element; ``parity``, a row per
        point, or per cell of a fine grid with the number of points in it where there are more than 400.
    """
    kelvins = temperatures(study)
    names = [f'D_{kelvin:g}K_{what}' for kelvin in kelvins for what in ('m2_s', 'std_error_m2_s', 'is_upper_bound')]
    header = (*_MADE, *(f'test_{name}' for name in _RMSE), 'gate', 'gate_reason', *_RESULT, *names, *_COST)
    return {
        'comparison': [header, *(_comparison(one, kelvins) for one in study.potentials)],
        'errors': [('potential', 'set', 'n_frames', 'element', *_RMSE), *_errors(study)],
        'parity': [('potential', 'quantity', 'unit', 'label', 'prediction', 'points'), *_parity(study)],
    }


def _comparison(potential: PotentialResult, kelvins: list[float]) -> Row:
    model = potential.model or ModelRecord(key='')
    test = model.errors.get('test', SetErrors())
    sizes = dict(model.training.n_frames) if model.training else {}
    frames = [sizes.get(name, model.errors[name].n_frames if name in model.errors else None) for name in SPLITS]
    gate = model.gate
    coefficients: list[Any] = []
    for kelvin in kelvins:
        found = mean_coefficient(potential, kelvin)
        coefficients += [None] * 3 if found is None else [found.value_m2_s, found.std_error_m2_s, found.is_bound]
    return (
        potential.label, model.key, model.kind, potential.architecture, *frames,
        *(getattr(test, name) for name in _RMSE),
        None if gate is None else 'passed' if gate.passed else 'failed', '; '.join(gate.reasons) if gate else None,
        *(getattr(potential, name) for name in _RESULT), *coefficients,
        model.training.seconds if model.training else None, model.steps_per_s,
    )  # fmt: skip


def _errors(study: Study) -> Iterator[Row]:
    for potential in study.potentials:
        for name, errors in (potential.model.errors if potential.model else {}).items():
            yield (potential.label, name, errors.n_frames, None, *(getattr(errors, one) for one in _RMSE))
            for element, force in errors.force_by_element_meV_A.items():
                yield (potential.label, name, errors.n_frames, element, None, None, force, None)


def _parity(study: Study) -> Iterator[Row]:
    for potential in study.potentials:
        for shown in potential.model.parity if potential.model else ():
            for label, prediction, points in zip(*_points(shown), strict=True):
                yield potential.label, shown.name, shown.unit, label, prediction, int(points)


def _points(shown: Parity) -> tuple[Any, Any, Any]:
    if len(shown.labels) <= MAX_POINTS:
        return shown.labels, shown.predictions, np.ones(len(shown.labels))
    limits = limits_of(shown.labels, shown.predictions)
    return density(shown.labels, shown.predictions, _CELLS, (limits, limits)).occupied
