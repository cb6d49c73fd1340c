"""How CHGNet is fine-tuned: settings and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

_CHOICES = {
    'optimizer': ('Adam', 'AdamW', 'RAdam', 'SGD'),
    'scheduler': ('CosLR', 'ExponentialLR', 'CosRestartLR', 'MultiStepLR'),
    'criterion': ('MSE', 'Huber', 'MAE'),
    'composition': ('shift', 'shift_and_train', 'keep'),
    'freeze': ('none', 'embeddings', 'all_but_last'),
    'best_by': ('forces', 'energy', 'weighted'),
}
_WEIGHTS = ('energy_weight', 'force_weight', 'stress_weight', 'magmom_weight')


@dataclass(frozen=True)
class ChgnetTrainingSettings:
    """Settings of a fine-tuning.

    Attributes
    ----------
    epochs
        Number of passes through the training set.
    batch_size
        Frames in a step of the optimiser.
    learning_rate
        At the start.
    optimizer, scheduler, criterion
        As CHGNet's `Trainer` calls them.
    energy_weight, force_weight, stress_weight, magmom_weight
        Weights in the loss, of energies in eV/atom, forces in eV/Å, stresses in GPa and magnetic moments in Bohr
        magnetons. A stress weight of zero leaves the stress out, which halves the time; that of the moments only
        counts where moments are given.
    composition
        `shift`: the energies of the elements (CHGNet's AtomRef) are shifted by least squares to the labels of the
        training set, then kept; `shift_and_train`: then trained with the rest; `keep`: left as they are, for labels
        of the very method of the foundation.
    freeze
        `none`; `embeddings`: those of atoms, bonds and angles stay; `all_but_last`: only the last convolution of the
        atoms and the readout are trained.
    best_by
        What of the validation set decides which epoch is the best: the mean absolute error of the `forces`, of the
        `energy`, or those of all labels `weighted` as in the loss, where the energy counts most.
    patience
        Epochs without a better one after which the training stops; ``None``: never.
    max_energy_shift_eV_per_atom
        Largest mean error of the energy of the training set before the first epoch, after the shift; ``None`` for
        any. Labels of another method with `keep` destroy the model.
    seed
        Of the order of the frames in each epoch, and of torch.
    """

    epochs: int = 20
    batch_size: int = 5
    learning_rate: float = 1e-3
    optimizer: str = 'Adam'
    scheduler: str = 'CosLR'
    criterion: str = 'MSE'
    energy_weight: float = 10.0
    force_weight: float = 1.0
    stress_weight: float = 0.1
    magmom_weight: float = 0.1
    composition: str = 'shift'
    freeze: str = 'none'
    best_by: str = 'forces'
    patience: int | None = None
    max_energy_shift_eV_per_atom: float | None = 0.5
    seed: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChgnetTrainingSettings:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a key is unknown or a value is out of range; the message says what to give instead.
        """
        error = chgnet_settings_error(values)
        if error:
            raise ValueError(error)
        return cls(**values)


def chgnet_settings_error(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a mapping of settings, or ``None``."""
    known = [field.name for field in fields(ChgnetTrainingSettings)]
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f'did you mean `{near[0]}`?' if near else f'known are {", ".join(known)}.'
            return f'unknown setting `{key}`: {hint}'
        if key in _CHOICES and value not in _CHOICES[key]:
            return f'`{key}` is {value!r}: give one of {", ".join(_CHOICES[key])}.'
        if key in ('epochs', 'batch_size', 'patience') and not (key == 'patience' and value is None):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                return f'`{key}` is {value!r}: give a whole number of at least 1.'
        if key == 'seed' and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31):
            return f'`seed` is {value!r}: give a whole number from 0 to 2147483647.'
        if key == 'learning_rate' and not (_is_number(value) and 0.0 < value <= 1.0):
            return f'`learning_rate` is {value!r}: give a number above 0, at most 1, such as 0.001.'
        if key in _WEIGHTS and not (_is_number(value) and 0.0 <= value < float('inf')):
            return f'`{key}` is {value!r}: give a number of at least 0.'
    limit = values.get('max_energy_shift_eV_per_atom')
    if limit is not None and not (_is_number(limit) and limit > 0.0):
        return f'`max_energy_shift_eV_per_atom` is {limit!r}: give a number above 0, or null for any error.'
    for key in ('energy_weight', 'force_weight'):
        if values.get(key, 1.0) == 0.0:
            return f'`{key}` is 0: a potential for molecular dynamics needs energies and forces; give it a weight.'
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
