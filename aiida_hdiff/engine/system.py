"""The atoms in motion: positions, velocities, cell, and what the potential says about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K, KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]


class System:
    """Atoms with zero total momentum.

    Parameters
    ----------
    atoms
        The structure, with its calculator.
    with_stress
        Ask the calculator for the stress as well.

    Attributes
    ----------
    positions
        Unwrapped, ``(n_atoms, 3)``, in Å.
    velocities
        ``(n_atoms, 3)``, in Å/fs.
    cell
        ``(3, 3)``, in Å, one vector a row.
    inertia
        Masses ``(n_atoms, 1)`` in eV fs²/Å², so that ``inertia * velocity**2`` is an energy in eV.
    forces
        ``(n_atoms, 3)``, in eV/Å, less their mean acceleration (which float32 models do not make zero).
    potential_energy
        In eV.
    stress
        ``(3, 3)``, in eV/Å³, with ASE's sign, without the kinetic part; NaN if not asked for.
    degrees_of_freedom
        ``3 * n_atoms - 3``.
    """

    def __init__(self, atoms: Atoms, *, with_stress: bool) -> None:
        self.atoms = atoms
        self._with_stress = with_stress
        self.positions: Floats = np.array(atoms.positions, dtype=np.float64)
        self.cell: Floats = np.array(atoms.cell.array, dtype=np.float64)
        masses = np.array(atoms.get_masses(), dtype=np.float64)[:, None]
        self.inertia: Floats = masses * KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
        self.velocities: Floats = np.zeros_like(self.positions)
        self.forces: Floats = np.zeros_like(self.positions)
        self.stress: Floats = np.full((3, 3), np.nan)
        self.potential_energy = np.nan
        self.degrees_of_freedom = 3 * len(atoms) - 3

    def evaluate(self) -> None:
        """Compute energy, forces and, if asked for, stress at the present positions and cell."""
        self.atoms.set_cell(self.cell, scale_atoms=False)
        self.atoms.positions[:] = self.positions
        if self._with_stress:
            self.stress = np.array(self.atoms.get_stress(voigt=False), dtype=np.float64)
        forces = np.array(self.atoms.get_forces(), dtype=np.float64)
        self.forces = forces - self.inertia * (forces.sum(axis=0) / self.inertia.sum())
        self.potential_energy = float(self.atoms.get_potential_energy())

    def without_drift(self, velocities: Floats) -> Floats:
        """Return velocities less that of their centre of mass."""
        drift: Floats = (self.inertia * velocities).sum(axis=0) / self.inertia.sum()
        return velocities - drift

    def draw_velocities(self, temperature_K: float, rng: np.random.Generator) -> None:
        """Draw Maxwell-Boltzmann velocities, scaled to a kinetic energy of exactly this temperature (K)."""
        spread = np.sqrt(BOLTZMANN_EV_PER_K * temperature_K / self.inertia)
        self.velocities = self.without_drift(spread * rng.standard_normal(self.positions.shape))
        self.velocities *= np.sqrt(temperature_K / self.temperature_K)

    @property
    def kinetic_tensor(self) -> Floats:
        """Sum of m v⊗v over the atoms, ``(3, 3)``, in eV; its trace is twice the kinetic energy."""
        tensor: Floats = (self.inertia * self.velocities).T @ self.velocities
        return tensor

    @property
    def kinetic_energy(self) -> float:
        """Kinetic energy (eV)."""
        return 0.5 * float(np.sum(self.inertia * self.velocities**2))

    @property
    def temperature_K(self) -> float:
        """Kinetic temperature (K) of the ``3 * n_atoms - 3`` degrees of freedom."""
        return 2 * self.kinetic_energy / (self.degrees_of_freedom * BOLTZMANN_EV_PER_K)

    @property
    def volume(self) -> float:
        """Volume of the cell (Å³)."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def pressure(self) -> float:
        """Pressure with its kinetic part (eV/Å³); NaN if the stress was not asked for."""
        return float(2 * self.kinetic_energy / (3 * self.volume) - np.trace(self.stress) / 3)

    def arrays(self) -> dict[str, Any]:
        """Return structure and velocities under the names of a start file."""
        return {
            'numbers': self.atoms.numbers,
            'positions': self.positions,
            'velocities': self.velocities,
            'cell': self.cell,
            'pbc': self.atoms.pbc,
        }
