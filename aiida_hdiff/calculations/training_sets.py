"""Ports, exit codes and checks that the trainings of all potentials share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from aiida import orm

from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats.configurations import structure_keys

SPLITS = ('train', 'valid', 'test')


def define_training(spec: Any) -> None:
    """Declare the data sets and the outputs of a training."""
    spec.input('train', valid_type=LabelledDataset, help='Frames to train on.')
    spec.input('valid', valid_type=LabelledDataset, help='Frames by whose errors the best epoch is chosen.')
    spec.input('test', valid_type=LabelledDataset, required=False, help='Frames that the training never sees.')
    spec.output('potential', valid_type=PotentialData, required=False, help='The model of the best epoch.')
    spec.output('curves', valid_type=orm.ArrayData, required=False, help='Losses and errors by epoch.')
    spec.output(
        'results', valid_type=orm.Dict, required=False, help='Epochs, errors by split, energies of atoms, versions.'
    )
    spec.default_output_node = 'results'


def define_interruptions(spec: Any) -> None:
    """Declare the exit codes of a training job that left nothing, or from which another can go on."""
    spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
    spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
    spec.exit_code(400, 'ERROR_OUT_OF_WALLTIME', message='The wall time ended after {epoch} of {epochs} epochs.')
    spec.exit_code(401, 'ERROR_INTERRUPTED', message='The job was interrupted after {epoch} of {epochs} epochs.')
    spec.exit_code(402, 'ERROR_INTERRUPTED_EARLY', message='The job was interrupted before it had done an epoch.')


def define_failures(spec: Any) -> None:
    """Declare the exit codes of trainings that have failed for good."""
    spec.exit_code(411, 'ERROR_NOT_A_NUMBER', message='The loss is not a number: {reason}')
    spec.exit_code(412, 'ERROR_DIVERGED', message='The training diverged: {reason}')
    spec.exit_code(413, 'ERROR_OUT_OF_MEMORY', message='The memory does not suffice: {reason}')
    spec.exit_code(414, 'ERROR_ENERGY_SHIFT', message='The energies have different zeros: {reason}')
    spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='The engine stopped with an error: {reason}')
    spec.exit_code(422, 'ERROR_FOUNDATION_REFUSED', message='The foundation model cannot be loaded: {reason}')
    spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='A package is missing where the job ran: {reason}')
    spec.exit_code(424, 'ERROR_INPUT_REFUSED', message='The engine refused its settings or a data set: {reason}')
    spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='The model file could run code: {reason}')


def training_sets(inputs: Mapping[str, Any]) -> dict[str, LabelledDataset]:
    """Return the data sets of a training by the names of their ports."""
    return {name: inputs[name] for name in SPLITS if name in inputs}


def training_sets_error(sets: Mapping[str, LabelledDataset]) -> str | None:
    """Return why one cannot train on these sets, or ``None``."""
    train = sets['train']
    if train.n_frames < 2:
        return f'`train` has {train.n_frames} frame(s): training needs at least two, and many more to be of use.'
    for name, dataset in sets.items():
        error = _levels_error(name, dataset, train) or _set_error(name, dataset, train)
        if error:
            return error
    keys = {name: set(structure_keys(dataset.frames())) for name, dataset in sets.items()}
    for first, second in combinations(keys, 2):
        shared = len(keys[first] & keys[second])
        if shared:
            return f'`{first}` and `{second}` share {shared} configurations: split the set with `split_dataset`.'
    return None


def _levels_error(name: str, dataset: LabelledDataset, train: LabelledDataset) -> str | None:
    """Return why the labels of a set do not belong together, or not to those of the training set."""
    found, wanted = dataset.references, train.references
    if len(found) > 1:
        return (
            f'`{name}` has labels of {len(found)} levels ({", ".join(one or "unknown" for one in found)}), whose '
            'energies do not belong together: choose one with `filter_dataset`, or label again.'
        )
    if found != wanted:
        return (
            f'`{name}` was labelled with {found[0] or "unknown settings"}, but `train` with '
            f'{wanted[0] or "unknown settings"}: give sets of one level.'
        )
    return None


def _set_error(name: str, dataset: LabelledDataset, train: LabelledDataset) -> str | None:
    unknown = sorted(set(dataset.elements) - set(train.elements))
    if unknown:
        return f'`{name}` has {", ".join(unknown)}, which `train` has not: split the set again.'
    if dataset.base.attributes.get('n_not_converged'):
        return f'`{name}` has frames whose electronic structure did not converge: leave them out by `filter_dataset`.'
    return forces_error(name, dataset)


def forces_error(name: str, dataset: LabelledDataset) -> str | None:
    """Return that a set has no forces to learn, or ``None``."""
    if not np.any(dataset.frames().forces):
        return f'all forces of `{name}` are zero: it has no forces to learn; label it again.'
    return None


def foundation_error(
    foundation: PotentialData, architecture: str, remedy: str, sets: Mapping[str, LabelledDataset]
) -> str | None:
    """Return why a potential cannot be fine-tuned on some sets, or ``None``; ``remedy`` says where to get one."""
    if foundation.architecture != architecture:
        return f'`foundation` is of the architecture {foundation.architecture!r}: give one of {architecture!r}.'
    if not foundation.file_names:
        return f'`foundation` has no file: build it with {remedy}.'
    for name, dataset in sets.items():
        missing = foundation.missing_elements(dataset.elements)
        if missing:
            return f'`foundation` does not cover {", ".join(missing)} of `{name}`: give one of all its elements.'
    return None
