"""Ionic steps as VASP writes them, from whichever of its files they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.formats.labelled_frame import LabelledFrame

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VaspHeader:
    """What a file says about the run before its first step.

    Attributes
    ----------
    version
        Version of VASP, such as 6.3.0.
    symbols
        Chemical symbols, one per atom.
    incar
        Tags of INCAR as written.
    parameters
        Values that VASP has used, as written: all of them in vasprun.xml, a few in OUTCAR.
    emulated
        Whether the file says that a stand-in has written it and not VASP.
    positions
        Initial positions in Å, shape (n_atoms, 3); None if the file does not begin with them.
    cell
        Initial lattice vectors as rows in Å, shape (3, 3).
    velocities
        Initial velocities in Å/fs, shape (n_atoms, 3).
    """

    version: str
    symbols: tuple[str, ...]
    incar: Mapping[str, str]
    parameters: Mapping[str, str]
    emulated: bool = False
    positions: Floats | None = None
    cell: Floats | None = None
    velocities: Floats | None = None

    @property
    def max_scf_steps(self) -> int | None:
        """The limit NELM of electronic steps."""
        text = self.parameters.get('NELM', self.incar.get('NELM', ''))
        return int(text) if text.isdigit() else None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the force field predicts for a structure.

    Attributes
    ----------
    energy
        Energy in eV.
    forces
        Forces in eV/Å, shape (n_atoms, 3), None if not written.
    stress
        xx, yy, zz, yz, xz, xy in eV/Å³ with ASE's sign, shape (6,), None if not written.
    """

    energy: float
    forces: Floats | None
    stress: Floats | None


@dataclass(frozen=True, eq=False)
class IonicStep:
    """One step of a run; what the file does not give is None.

    Attributes
    ----------
    step
        Number of the step as written, from 1. Where VASP writes only every n-th step, steps are counted as written.
    source
        `dft` or `ml`: where energies, forces and stress come from.
    free_energy
        Energy in eV that belongs to the forces: the free energy of the electrons, F; what ML_AB has.
    energy_without_entropy
        F without the entropy of the electrons, in eV.
    energy_sigma0
        The energy in eV extrapolated to no smearing, E0.
    positions
        Positions in Å, shape (n_atoms, 3).
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    forces
        Forces in eV/Å, shape (n_atoms, 3).
    stress
        xx, yy, zz, yz, xz, xy in eV/Å³ with ASE's sign, negative if the cell wants to expand, shape (6,).
    kinetic_energy
        Kinetic energy of the ions in eV.
    lattice_kinetic_energy
        Kinetic energy of the cell in eV.
    thermostat_energy
        Potential and kinetic energy of a Nosé thermostat in eV.
    scf_steps
        Number of electronic steps; 0 for steps of the force field.
    scf_converged
        Whether they converged; None if there were none.
    prediction
        What the force field predicted before the structure was labelled by DFT.
    """

    step: int
    source: str
    free_energy: float
    energy_without_entropy: float
    energy_sigma0: float
    positions: Floats | None = None
    cell: Floats | None = None
    forces: Floats | None = None
    stress: Floats | None = None
    kinetic_energy: float | None = None
    lattice_kinetic_energy: float | None = None
    thermostat_energy: float | None = None
    scf_steps: int = 0
    scf_converged: bool | None = None
    prediction: Prediction | None = None

    @property
    def total_energy(self) -> float | None:
        """Sum of F and the kinetic and thermostat energies in eV, without p·V.

        VASP's own sum contains p·V of an external pressure in steps of the force field and not in those of DFT.
        """
        if self.kinetic_energy is None:
            return None
        extra = (self.lattice_kinetic_energy or 0.0) + (self.thermostat_energy or 0.0)
        return self.free_energy + self.kinetic_energy + extra

    def temperature_K(self, degrees_of_freedom: int) -> float | None:
        """Return the temperature of the ions from their kinetic energy, unrounded.

        Parameters
        ----------
        degrees_of_freedom
            3 N for a Langevin thermostat, which moves the centre of mass too; 3 N - 3 otherwise.
        """
        if self.kinetic_energy is None:
            return None
        return 2.0 * self.kinetic_energy / (degrees_of_freedom * BOLTZMANN_EV_PER_K)

    def to_labelled(self, symbols: tuple[str, ...], *, origin: str = '', reference: str = '') -> LabelledFrame:
        """Return the step as a labelled configuration, with the free energy as its energy.

        Parameters
        ----------
        symbols
            Chemical symbols, one per atom, as the header has them.
        origin, reference
            Where the frame comes from and the method of its labels.

        Raises
        ------
        ValueError
            The step has no structure or no forces, or a symbol is unknown.
        """
        from ase.data import atomic_numbers

        if self.positions is None or self.cell is None or self.forces is None:
            raise ValueError(f'step {self.step} has no structure or no forces: VASP did not write them for this step')
        unknown = sorted({symbol for symbol in symbols if symbol not in atomic_numbers})
        if unknown:
            raise ValueError(f'step {self.step} has atoms of unknown elements {unknown}: give the right symbols')
        return LabelledFrame(
            numbers=np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int64),
            positions=self.positions,
            cell=self.cell,
            energy=self.free_energy,
            forces=self.forces,
            stress=self.stress,
            origin=origin,
            reference=reference,
            scf_converged=self.scf_converged,
        )


@dataclass
class StreamEnd:
    """How a file ended; filled in while it is read.

    Attributes
    ----------
    truncated
        Whether the file ends before the run did; None before its end is reached.
    n_steps
        Number of complete steps so far.
    positions
        Positions in Å, shape (n_atoms, 3), after the last step; None if not written.
    cell
        Lattice vectors as rows in Å, shape (3, 3), after the last step.
    velocities
        Velocities in Å/fs, shape (n_atoms, 3), after the last step.
    """

    truncated: bool | None = None
    n_steps: int = 0
    positions: Floats | None = None
    cell: Floats | None = None
    velocities: Floats | None = None


class StepStream(Iterator[IonicStep]):
    """The steps of a file, one after the other; only one is held at once.

    Attributes
    ----------
    header
        What precedes the first step.
    end
        How the file ended, once the iteration is over.
    """

    def __init__(self, read: Callable[[StreamEnd], Iterator[IonicStep | VaspHeader]]) -> None:
        self.end = StreamEnd()
        self._items = read(self.end)
        header = next(self._items)
        assert isinstance(header, VaspHeader)
        self.header = header

    def __next__(self) -> IonicStep:
        step = next(self._items)
        assert isinstance(step, IonicStep)
        self.end.n_steps += 1
        return step


@dataclass
class StepBuilder:
    """Parts of a step that have been read so far."""

    source: str = 'dft'
    energies: dict[str, float] = field(default_factory=dict)
    tables: dict[str, Floats] = field(default_factory=dict)
    scf_steps: int = 0
    scf_converged: bool | None = None
    prediction: Prediction | None = None

    def build(self, step: int) -> IonicStep:
        """Return the step; the free energy must have been read."""
        free = self.energies['free']
        thermostat = [self.energies[name] for name in ('nose_potential', 'nose_kinetic') if name in self.energies]
        return IonicStep(
            step=step,
            source=self.source,
            free_energy=free,
            energy_without_entropy=self.energies.get('without_entropy', free),
            energy_sigma0=self.energies.get('sigma0', free),
            positions=self.tables.get('positions'),
            cell=self.tables.get('cell'),
            forces=self.tables.get('forces'),
            stress=self.tables.get('stress'),
            kinetic_energy=self.energies.get('kinetic'),
            lattice_kinetic_energy=self.energies.get('lattice_kinetic'),
            thermostat_energy=sum(thermostat) if thermostat else None,
            scf_steps=self.scf_steps,
            scf_converged=self.scf_converged,
            prediction=self.prediction,
        )
