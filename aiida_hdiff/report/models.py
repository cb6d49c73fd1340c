"""How potentials were made and how good they are, as plain data: no AiiDA, no plotting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiida_hdiff.report.details import FloatArray, store_arrays

SETS = ('test', 'held_out', 'valid', 'path', 'train')
"""Sets on which errors are known, the most telling first.

A distilled potential is compared with its teacher on frames that were held out and on points of paths between sites.
"""
SET_NAMES = {'test': 'test', 'held_out': 'held-out', 'valid': 'validation', 'path': 'path', 'train': 'training'}
SPLITS = ('train', 'valid', 'test')
"""Sets into which the data of a study are split."""
LOG_SPREAD = 20.0
"""Ratio of the largest to the smallest error above which an axis of errors is logarithmic."""
KINDS = {
    'pretrained': 'pretrained',
    'fine_tuned': 'fine-tuned',
    'from_scratch': 'trained from scratch',
    'distilled': 'distilled',
    'vasp_mlff': 'trained on the fly',
    'given': 'given',
}
"""Kinds of potentials of a training plan, in words."""


@dataclass(frozen=True)
class Quantity:
    """A kind of error: its name in `SetErrors`, what it is, and its unit."""

    name: str
    title: str
    unit: str


QUANTITIES = (
    Quantity('best_energy_meV_per_atom', 'energy', 'meV/atom'),
    Quantity('force_meV_A', 'forces', 'meV/Å'),
    Quantity('stress_GPa', 'stress', 'GPa'),
)


@dataclass(frozen=True)
class SetErrors:
    """Root mean square errors of a potential on one set; ``None`` where unknown.

    Attributes
    ----------
    n_frames : int or None
        Number of configurations.
    energy_meV_per_atom : float or None
        Of the energy as predicted.
    energy_shifted_meV_per_atom : float or None
        Of the energy after a constant for each element is removed.
    force_meV_A : float or None
        Of the components of the forces.
    stress_GPa : float or None
        Of the components of the stress.
    force_by_element_meV_A : dict
        Of the components of the forces on the atoms of each element.
    """

    n_frames: int | None = None
    energy_meV_per_atom: float | None = None
    energy_shifted_meV_per_atom: float | None = None
    force_meV_A: float | None = None
    stress_GPa: float | None = None
    force_by_element_meV_A: Mapping[str, float] = field(default_factory=dict)

    @property
    def best_energy_meV_per_atom(self) -> float | None:
        """Error of the energy without constants of the elements where that is known, else as predicted."""
        shifted = self.energy_shifted_meV_per_atom
        return self.energy_meV_per_atom if shifted is None else shifted


@dataclass(frozen=True)
class Gate:
    """Whether a potential may run long molecular dynamics, and why not."""

    passed: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """How a potential was trained.

    Attributes
    ----------
    strategy : str
        What the program did, for example ``naive_fine_tuning``.
    n_frames : dict
        Number of configurations by set.
    datasets : dict
        What the sets are, by set: label and level of the labels, as far as they are known.
    split : str
        How they were split, in words; empty where it is not known.
    epochs, best_epoch : int or None
        Epochs trained, and the one that was kept.
    seed : int or None
        Seed of the training.
    seconds : float or None
        Time that the training took in s, over all jobs.
    versions : dict
        Versions of the programs by name.
    node_uuid : str or None
        UUID of the node of its results.
    """

    strategy: str = ''
    n_frames: Mapping[str, int] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    split: str = ''
    epochs: int | None = None
    best_epoch: int | None = None
    seed: int | None = None
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    node_uuid: str | None = None


@dataclass(frozen=True, eq=False)
class Parity:
    """Labels and predictions of one quantity.

    Attributes
    ----------
    name : str
        What it is, for example ``forces on H``.
    unit : str
        Unit of both.
    labels, predictions : ndarray
        Shape (n,), finite.
    """

    name: str
    unit: str
    labels: FloatArray
    predictions: FloatArray

    def __post_init__(self) -> None:
        store_arrays(self, 'labels', 'predictions')

    @property
    def rmse(self) -> float:
        """Root mean square of prediction minus label."""
        return float(((self.predictions - self.labels) ** 2).mean() ** 0.5)


@dataclass(frozen=True)
class ModelRecord:
    """What is known of a potential beside its molecular dynamics.

    Attributes
    ----------
    key : str
        Label of the potential in the study.
    kind : str
        One of `KINDS`, or empty where unknown.
    errors : dict
        Errors by set, see `SETS`.
    gate : Gate or None
        Verdict before the molecular dynamics.
    training : Training or None
        ``None`` where nothing was trained.
    parity : tuple of Parity
        Labels and predictions on the test set.
    steps_per_s : float or None
        Median speed of its molecular dynamics.
    only_judged : bool
        Whether it was to run no molecular dynamics, as a teacher of others.
    evaluation_uuid, gate_uuid : str or None
        UUIDs of the nodes with the errors on the test set and with the verdict.
    """

    key: str
    kind: str = ''
    errors: Mapping[str, SetErrors] = field(default_factory=dict)
    gate: Gate | None = None
    training: Training | None = None
    parity: tuple[Parity, ...] = ()
    steps_per_s: float | None = None
    only_judged: bool = False
    evaluation_uuid: str | None = None
    gate_uuid: str | None = None

    @property
    def left_out(self) -> bool:
        """Whether the potential did not pass, so that it ran no long molecular dynamics."""
        return self.gate is not None and not self.gate.passed

    @property
    def kind_text(self) -> str:
        """The kind in words."""
        return KINDS.get(self.kind, self.kind.replace('_', ' '))


def known_sets(models: Iterable[ModelRecord | None]) -> list[str]:
    """Return the sets on which errors of any potential are known, in the order of `SETS`."""
    found = {name for model in models if model is not None for name in model.errors}
    return [name for name in SETS if name in found]


def spread(values: Sequence[float]) -> float:
    """Return the largest over the smallest of the values that are positive, 1 where there are none."""
    positive = [value for value in values if value > 0.0]
    return max(positive) / min(positive) if positive else 1.0
