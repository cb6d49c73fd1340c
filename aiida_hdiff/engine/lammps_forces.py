"""Energy, forces and virial of a model for the atoms of LAMMPS, in its order and its orientation of the cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.engine.bounds import outside_bounds
from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.implementations import REFERENCE, calculator_record, replaced_if_wrong
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.engine.system import System

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """What a model says about the atoms.

    Attributes
    ----------
    energy
        In eV.
    forces
        In the order of LAMMPS, ``(n_atoms, 3)``, in eV/Å.
    virial
        xx, yy, zz, xy, xz, yz, in eV: minus the volume times the stress; zeros if it was not asked for.
    outside_bounds
        Why the atoms have left what is physical, or ``None``.
    """

    energy: float
    forces: Floats
    virial: Floats
    outside_bounds: str | None


class Forces:
    """A model, evaluated as in `hdiff-engine md`.

    Parameters
    ----------
    potential
        The model.
    parameters
        Settings of the stage.
    elements
        Symbols of the atom types, in their order.
    threads
        Threads of the neural networks.
    """

    def __init__(self, potential: Potential, parameters: MDParameters, elements: Sequence[str], threads: int) -> None:
        from ase.data import atomic_numbers

        self._potential, self._parameters, self._threads = potential, parameters, threads
        self._numbers = np.array([atomic_numbers[symbol] for symbol in elements])
        self._calculator = build_calculator(potential, with_stress=True, threads=threads)
        self._limit_K = max(parameters.temperature_K, parameters.final_temperature_K)
        self._systems: dict[bool, System] = {}

    @property
    def record(self) -> dict[str, Any]:
        """Which implementation of the potential runs, and what is to be said about it."""
        return calculator_record(self._systems[True].atoms.calc if self._systems else self._calculator)

    def evaluate(
        self,
        places: NDArray[np.int64],
        types: NDArray[np.int64],
        positions: Floats,
        velocities: Floats,
        cell: ArrayLike,
        *,
        with_stress: bool,
        with_distances: bool,
    ) -> Evaluation:
        """Evaluate the model.

        Parameters
        ----------
        places
            Which atom of the structure each atom of LAMMPS is, from 0, ``(n_atoms,)``.
        types
            Atom types, from 1, ``(n_atoms,)``.
        positions, velocities
            ``(n_atoms, 3)``, in Å from the corner of the cell, and in Å/fs.
        cell
            Vectors in rows, ``(3, 3)``, in Å.
        with_stress
            Whether the virial is wanted.
        with_distances
            Also look for atoms on top of each other.
        """
        ordered = np.empty_like(positions)
        ordered[places] = positions
        if not self._systems:
            numbers = np.empty(len(places), dtype=np.int64)
            numbers[places] = self._numbers[types - 1]
            self._prepare(numbers, ordered, cell)
        system = self._systems[with_stress]
        system.positions = ordered
        system.velocities[places] = velocities
        system.cell = np.array(cell, dtype=np.float64)
        system.evaluate()
        stress = system.stress if with_stress else np.zeros((3, 3))
        return Evaluation(
            energy=system.potential_energy,
            forces=system.forces[places],
            virial=-system.volume * stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]],
            outside_bounds=outside_bounds(system, self._limit_K, with_distances=with_distances),
        )

    def _prepare(self, numbers: NDArray[np.int64], positions: Floats, cell: ArrayLike) -> None:
        """Choose the calculator on the first structure."""
        from ase import Atoms

        atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
        atoms.calc = self._calculator
        system = System(atoms, with_stress=True)
        system.evaluate()
        replaced_if_wrong(atoms, self._parameters.calculator)
        self._systems = {True: system, False: system}
        if self._potential.architecture == 'chgnet' and not hasattr(atoms.calc, REFERENCE):
            # A second gradient gives the stress of the stock calculator: one without it serves where none is wanted.
            stock = replace(self._potential, implementation='stock')
            lone = atoms.copy()
            lone.calc = build_calculator(stock, with_stress=False, threads=self._threads)
            self._systems[False] = System(lone, with_stress=False)
