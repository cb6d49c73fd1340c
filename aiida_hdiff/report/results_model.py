"""The part of ``results.json`` that says how a potential was made and how good it is."""

from __future__ import annotations

from typing import Any

from aiida_hdiff.report.models import ModelRecord, SetErrors, Training


def model_json(model: ModelRecord | None) -> dict[str, Any] | None:
    """Return the entry ``model`` of a potential, ``None`` where nothing is known."""
    if model is None:
        return None
    return {
        'key': model.key,
        'kind': model.kind or None,
        'errors': {name: _errors(errors) for name, errors in model.errors.items()},
        'gate': None if model.gate is None else {'passed': model.gate.passed, 'reasons': model.gate.reasons},
        'training': None if model.training is None else _training(model.training),
        'md_steps_per_s': model.steps_per_s,
        'evaluation_uuid': model.evaluation_uuid,
        'gate_uuid': model.gate_uuid,
    }


def _errors(errors: SetErrors) -> dict[str, Any]:
    return {
        'n_frames': errors.n_frames,
        'energy_meV_per_atom': errors.energy_meV_per_atom,
        'energy_shifted_meV_per_atom': errors.energy_shifted_meV_per_atom,
        'force_meV_A': errors.force_meV_A,
        'stress_GPa': errors.stress_GPa,
        'force_by_element_meV_A': errors.force_by_element_meV_A,
    }


def _training(training: Training) -> dict[str, Any]:
    return {
        'strategy': training.strategy,
        'n_frames': training.n_frames,
        'datasets': training.datasets,
        'split': training.split,
        'epochs': training.epochs,
        'best_epoch': training.best_epoch,
        'seed': training.seed,
        'seconds': training.seconds,
        'versions': training.versions,
        'node_uuid': training.node_uuid,
    }
