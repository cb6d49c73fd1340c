"""The file in which ``mace_run_train`` writes how a training goes, one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

METRICS = ('loss', 'rmse_e_per_atom', 'mae_e_per_atom', 'rmse_f', 'mae_f', 'rmse_stress', 'mae_stress')
"""Kept of an evaluation, in the units of mace: eV/atom, eV/Å and eV/Å³."""


@dataclass(frozen=True, eq=False)
class MaceCurves:
    """Learning curves.

    Attributes
    ----------
    train_epochs, train_losses, train_times_s
        For each epoch that was trained: its number, the mean loss of its batches, their time; shape (n_epochs,).
    valid_epochs
        For each head the epochs that were evaluated, -1 before the training, shape (n_evaluations,).
    valid
        For each head the arrays of :data:`METRICS`, NaN where mace gives none, shape (n_evaluations,).
    """

    train_epochs: NDArray[np.int64]
    train_losses: Floats
    train_times_s: Floats
    valid_epochs: dict[str, NDArray[np.int64]]
    valid: dict[str, dict[str, Floats]]

    @property
    def n_epochs(self) -> int:
        """The number of epochs that were trained, since the first of all jobs."""
        return int(self.train_epochs[-1]) + 1 if len(self.train_epochs) else 0


def read_mace_results(lines: Iterable[str]) -> MaceCurves:
    """Read the file; an epoch that was trained again after a restart counts as it was the last time.

    Parameters
    ----------
    lines
        Of the file; a last one that was cut off is left out.

    Raises
    ------
    ValueError
        If another line is no JSON, or a line lacks what it should have.
    """
    batches: dict[int, list[tuple[float, float]]] = {}
    evaluations: dict[str, dict[int, dict[str, Any]]] = {}
    epoch_under_way, rows = None, list(lines)
    for number, line in enumerate(rows):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(rows) - 1:
                break
            raise ValueError(f'line {number + 1} of the results is no JSON: {error}') from error
        if not isinstance(record, dict) or 'mode' not in record:
            raise ValueError(f'line {number + 1} of the results has no `mode`')
        epoch = -1 if record.get('epoch') is None else int(record['epoch'])
        if record['mode'] == 'opt':
            if epoch != epoch_under_way:
                batches[epoch], epoch_under_way = [], epoch
            batches[epoch].append((float(record['loss']), float(record.get('time', math.nan))))
        elif record['mode'] == 'eval':
            epoch_under_way = None
            of_head = evaluations.setdefault(str(record.get('head') or 'Default'), {})
            if epoch >= 0 or -1 not in of_head:
                of_head[epoch] = record
    epochs = sorted(batches)
    return MaceCurves(
        train_epochs=np.array(epochs, dtype=np.int64),
        train_losses=np.array([np.mean([loss for loss, _ in batches[epoch]]) for epoch in epochs], dtype=np.float64),
        train_times_s=np.array([sum(time for _, time in batches[epoch]) for epoch in epochs], dtype=np.float64),
        valid_epochs={head: np.array(sorted(found), dtype=np.int64) for head, found in evaluations.items()},
        valid={
            head: {
                name: np.array([_number(found[epoch].get(name)) for epoch in sorted(found)], dtype=np.float64)
                for name in METRICS
            }
            for head, found in evaluations.items()
        },
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def results_before(lines: Iterable[str], epoch: int) -> list[str]:
    """Return the lines of the epochs before one, for a training that goes on with it."""
    kept = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found = record.get('epoch')
        if found is None or int(found) < epoch:
            kept.append(line if line.endswith('\n') else f'{line}\n')
    return kept
