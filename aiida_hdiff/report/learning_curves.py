"""How the errors of a potential fell while it was trained, read from a training job in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_hdiff.report.details import FloatArray, store_arrays

TRAINERS = {
    'aiida.calculations:hdiff.chgnet_train': 'CHGNet',
    'aiida.calculations:hdiff.mace_train': 'MACE',
}
"""Jobs that train, and what."""
QUANTITIES = ('energy', 'force', 'stress')
_CHGNET_UNITS = {'energy': ('meV_per_atom', 'meV/atom'), 'force': ('meV_A', 'meV/Å'), 'stress': ('GPa', 'GPa')}
_MACE_NAMES = {'energy': 'e_per_atom', 'force': 'f', 'stress': 'stress'}
_MACE_UNITS = {'energy': 'meV/atom', 'force': 'meV/Å', 'stress': 'meV/Å³'}
_MEV = 1000.0


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """One error against the number of epochs.

    Attributes
    ----------
    quantity : str
        One of `QUANTITIES`.
    measure : str
        ``RMSE`` or ``MAE``.
    unit : str
        Unit of the error.
    split : str
        ``train``, ``valid`` or ``replay``.
    epochs : ndarray
        Epochs that were done, 0 before the training, shape (n,).
    errors : ndarray
        Errors, shape (n,).
    """

    quantity: str
    measure: str
    unit: str
    split: str
    epochs: FloatArray
    errors: FloatArray

    def __post_init__(self) -> None:
        store_arrays(self, 'epochs', 'errors')


@dataclass(frozen=True)
class LearningCurves:
    """The learning curves of one training.

    Attributes
    ----------
    title : str
        Name of the training.
    curves : tuple of LearningCurve
        At least one.
    best_epoch : int or None
        After how many epochs the model that was kept was the best.
    node_uuid : str or None
        UUID of the job.
    """

    title: str
    curves: tuple[LearningCurve, ...]
    best_epoch: int | None = None
    node_uuid: str | None = None


def collect_curves(job: Any) -> LearningCurves:
    """Return the learning curves of a job.

    Parameters
    ----------
    job : aiida.orm.CalcJobNode
        Of `hdiff.mace_train` or `hdiff.chgnet_train`; the last of several that went on from checkpoints has all epochs.

    Raises
    ------
    ValueError
        If the job is no training, or left no curves.
    """
    if job.process_type not in TRAINERS:
        raise ValueError(f'node {job.pk} is no training of MACE or CHGNet.')
    if 'curves' not in job.outputs:
        raise ValueError(f'training {job.pk} has no `curves`: it has not finished its first epoch.')
    node, trainer = job.outputs.curves, TRAINERS[job.process_type]
    arrays = {name: node.get_array(name) for name in node.get_arraynames()}
    read = _chgnet_curves if trainer == 'CHGNet' else _mace_curves
    results = job.outputs.results.get_dict() if 'results' in job.outputs else {}
    strategy = str(results.get('strategy') or '').replace('_', ' ')
    best = results.get('best_epoch')
    if best is not None and trainer == 'MACE':
        best += 1
    title = ', '.join(part for part in (trainer, strategy, job.label) if part)
    return LearningCurves(title, read(arrays), best, job.uuid)


def _chgnet_curves(arrays: Mapping[str, Any]) -> tuple[LearningCurve, ...]:
    """Return the mean absolute errors; CHGNet counts its epochs from 1."""
    return tuple(
        LearningCurve(quantity, 'MAE', unit, split, arrays['epoch'], arrays[name])
        for quantity, (short, unit) in _CHGNET_UNITS.items()
        for split in ('train', 'valid')
        if (name := f'{split}_{quantity}_mae_{short}') in arrays
    )


def _mace_curves(arrays: Mapping[str, Any]) -> tuple[LearningCurve, ...]:
    """Return the root mean square errors, or mean absolute ones without; MACE counts its epochs from 0."""
    found = []
    for quantity, short in _MACE_NAMES.items():
        for split in ('valid', 'replay'):
            names = (f'{split}_{measure}_{short}' for measure in ('rmse', 'mae'))
            name = next((name for name in names if name in arrays), None)
            if name is not None:
                measure, epochs = name.split('_')[1].upper(), arrays[f'{split}_epoch'] + 1
                found.append(
                    LearningCurve(quantity, measure, _MACE_UNITS[quantity], split, epochs, _MEV * arrays[name])
                )
    return tuple(found)
