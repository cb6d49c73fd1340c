"""What is known of a run and of each of its steps, for the writers of files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin import banner
from aiida_hdiff.standin.dynamics import Kinetics
from aiida_hdiff.standin.incar import Settings
from aiida_hdiff.standin.inputs import Poscar, Potcar
from aiida_hdiff.standin.reference import KBAR_PER_EV_PER_ANGSTROM3, Labels

Floats = NDArray[np.float64]

NOT_CONVERGED = (
    'The electronic self-consistency was not achieved in the given number of steps (NELM). The forces and other '
    'quantities evaluated might not be reliable.'
)
VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))


@dataclass(frozen=True)
class Scf:
    """Energies of the imitated electronic steps in eV, and whether the last is converged."""

    energies: tuple[float, ...]
    converged: bool


@dataclass(frozen=True, eq=False)
class Run:
    """The inputs, for headers."""

    settings: Settings
    poscar: Poscar
    potcar: Potcar
    potcar_headers: tuple[str, ...]
    kpoints: tuple[int, int, int]
    reference: str

    @property
    def banner(self) -> str:
        """The line that marks every file."""
        return banner(self.reference)

    @property
    def symbols(self) -> list[str]:
        """Symbol of each atom."""
        return [self.poscar.elements[kind] for kind in self.poscar.kinds]


@dataclass(frozen=True, eq=False)
class Step:
    """A step: the structure, what the force field and the reference say, and its motion.

    Attributes
    ----------
    number
        From 1.
    cell
        Rows in Å, shape (3, 3).
    scaled
        Positions in units of the lattice vectors, shape (n_atoms, 3).
    predicted
        Of the force field; zeros before there is one, None in a run without force field.
    labels
        Of the reference, None in a step of the force field.
    scf
        The imitated electronic steps that belong to `labels`.
    kinetics
        None in a static calculation.
    seed
        State of the random numbers: the first of RANDOM_SEED and the count of draws.
    """

    number: int
    cell: Floats
    scaled: Floats
    predicted: Labels | None
    labels: Labels | None
    scf: Scf | None
    kinetics: Kinetics | None
    seed: tuple[int, int]

    @property
    def final(self) -> Labels:
        """What moves the atoms."""
        labels = self.labels if self.labels is not None else self.predicted
        assert labels is not None
        return labels

    @property
    def volume(self) -> float:
        """Volume in Å³."""
        return float(abs(np.linalg.det(self.cell)))

    def pressure_volume(self, pstress_kbar: float) -> float:
        """Return p·V in eV of an outer pressure."""
        return pstress_kbar * self.volume / KBAR_PER_EV_PER_ANGSTROM3


def imitate_scf(energy: float, step: int, settings: Settings, *, converge: bool) -> Scf:
    """Return electronic steps whose energy approaches a value, NELM of them without convergence."""
    count = min(settings.nelm - 1, 11 if step == 1 else 6 + step % 3) if converge else settings.nelm
    last = 0.3 * settings.ediff if converge else 300.0 * settings.ediff
    decay = (last / 50.0) ** (1.0 / max(count - 1, 1))
    energies = [energy + 50.0 * decay**index for index in range(count)]
    energies[-1] = energy
    return Scf(tuple(energies), converge)


def fortran(value: float, digits: int, *, zero: bool = False) -> str:
    """Return a number as Fortran's E format prints it, `-.12E+03`; with a zero before the point if wanted."""
    mantissa, exponent = f'{abs(value):.{digits - 1}E}'.split('E')
    shift = 0 if float(mantissa) == 0.0 else 1
    sign = '-' if value < 0.0 else ''
    return f'{sign}{"0" if zero else ""}.{mantissa.replace(".", "")}E{int(exponent) + shift:+03d}'


def spoiled(labels: Labels, step: int, settings: Settings) -> Labels:
    """Return labels as wrong as those of electrons that have not converged."""
    noise = np.random.default_rng([step, 1]).normal(size=labels.forces.shape)
    return Labels(labels.energy + 300.0 * settings.ediff, labels.forces + 0.1 * noise, labels.stress_kbar)
