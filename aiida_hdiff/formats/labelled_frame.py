"""One labelled configuration, and its conversion to and from ASE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

INFO_KEYS = ('origin', 'reference', 'config_type', 'ctifor', 'scf_converged')
"""What a frame has beside structure and labels."""


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One configuration with its labels.

    Attributes
    ----------
    numbers
        Atomic numbers, shape (n_atoms,).
    positions
        Positions in Å, shape (n_atoms, 3).
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    energy
        Energy in eV.
    forces
        Forces in eV/Å, shape (n_atoms, 3).
    stress
        xx, yy, zz, yz, xz, xy in eV/Å³ with ASE's sign, negative if the cell wants to expand, shape (6,); None if
        unknown.
    pbc
        Periodicity along the lattice vectors.
    origin
        Where the frame comes from, such as the label of a calculation and the step in it.
    reference
        Method and settings of the labels.
    config_type
        Group of the frame, such as bulk or surface.
    ctifor
        Threshold of the Bayesian error in eV/Å at which it was sampled on the fly; None if it was not.
    scf_converged
        Whether the electronic structure was converged; None if unknown.

    Raises
    ------
    ValueError
        Shapes contradict one another.
    """

    numbers: Integers
    positions: Floats
    cell: Floats
    energy: float
    forces: Floats
    stress: Floats | None = None
    pbc: tuple[bool, bool, bool] = (True, True, True)
    origin: str = ''
    reference: str = ''
    config_type: str = ''
    ctifor: float | None = None
    scf_converged: bool | None = None

    def __post_init__(self) -> None:
        n_atoms = len(self.numbers)
        shapes = {'numbers': (n_atoms,), 'positions': (n_atoms, 3), 'forces': (n_atoms, 3), 'cell': (3, 3)}
        if self.stress is not None:
            shapes['stress'] = (6,)
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f'{name} have shape {getattr(self, name).shape}, not {shape} as {n_atoms} atoms need')

    def to_ase(self) -> Atoms:
        """Return the frame with its labels as results of a calculation, and the rest in `info`."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = Atoms(numbers=self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)
        results = {'energy': self.energy, 'forces': self.forces.copy()}
        if self.stress is not None:
            results['stress'] = self.stress.copy()
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info |= {key: value for key in INFO_KEYS if (value := getattr(self, key)) not in ('', None)}
        return atoms

    @classmethod
    def from_ase(cls, atoms: Atoms) -> LabelledFrame:
        """Return a configuration of ASE with its labels, the inverse of `to_ase`.

        Raises
        ------
        ValueError
            No energy or forces.
        """
        results = getattr(atoms.calc, 'results', {})
        missing = [label for label in ('energy', 'forces') if results.get(label) is None]
        if missing:
            raise ValueError(f'{atoms.get_chemical_formula()} has no {missing[0]}: attach a calculation with labels')
        stress = results.get('stress')
        texts = {key: str(atoms.info[key]) for key in ('origin', 'reference', 'config_type') if key in atoms.info}
        ctifor, converged = atoms.info.get('ctifor'), atoms.info.get('scf_converged')
        return cls(
            numbers=atoms.numbers.astype(np.int64),
            positions=atoms.positions.copy(),
            cell=np.array(atoms.cell),
            energy=float(results['energy']),
            forces=np.array(results['forces'], dtype=np.float64),
            stress=None if stress is None else _voigt(np.asarray(stress, dtype=np.float64)),
            pbc=(bool(atoms.pbc[0]), bool(atoms.pbc[1]), bool(atoms.pbc[2])),
            ctifor=None if ctifor is None else float(ctifor),
            scf_converged=None if converged is None else bool(converged),
            **texts,
        )


def _voigt(stress: Floats) -> Floats:
    """Return six components of a stress that has six or nine."""
    if stress.shape == (6,):
        return stress
    matrix = stress.reshape(3, 3)
    return np.array([matrix[0, 0], matrix[1, 1], matrix[2, 2], matrix[1, 2], matrix[0, 2], matrix[0, 1]])
