"""The training set of VASP's machine-learned force fields, files ML_AB and ML_ABN, in memory.

Format: https://www.vasp.at/wiki/index.php/ML_AB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

VERSION = '1.0'
NAME_LENGTH = 40
"""Characters of a system name that VASP keeps."""


@dataclass(frozen=True, eq=False)
class MLABFrame:
    """One configuration with its labels, in the units of the file.

    Attributes
    ----------
    name
        System name: the first line of the POSCAR.
    elements
        Symbols, each once; atoms of an element follow one another.
    counts
        Numbers of atoms of these elements.
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    positions
        Cartesian positions in Å, wrapped into the cell by VASP, shape (n_atoms, 3).
    energy
        Free energy of the electrons in eV.
    forces
        Forces in eV/Å, shape (n_atoms, 3).
    stress_kbar
        XX, YY, ZZ, XY, YZ, ZX in kbar with VASP's sign, positive if the cell wants to expand, shape (6,).
    ctifor
        Threshold of the Bayesian error in eV/Å at which the frame was sampled; None in files of other origin.

    Raises
    ------
    ValueError
        Shapes or counts contradict one another, a number is not finite, or the name has a line end.
    """

    name: str
    elements: tuple[str, ...]
    counts: tuple[int, ...]
    cell: Floats
    positions: Floats
    energy: float
    forces: Floats
    stress_kbar: Floats
    ctifor: float | None = None

    def __post_init__(self) -> None:
        if len(set(self.elements)) != len(self.elements) or len(self.counts) != len(self.elements) or not self.elements:
            raise ValueError(
                f'elements {" ".join(self.elements)} with counts {self.counts}: list each element once, with its count'
            )
        if min(self.counts) < 1:
            raise ValueError(f'elements {" ".join(self.elements)} have counts {self.counts}: leave out absent elements')
        n_atoms = sum(self.counts)
        shapes = {'cell': (3, 3), 'positions': (n_atoms, 3), 'forces': (n_atoms, 3), 'stress_kbar': (6,)}
        for field, shape in shapes.items():
            values = getattr(self, field)
            if values.shape != shape:
                raise ValueError(f'{field} have shape {values.shape}, not {shape} as the {n_atoms} atoms need')
            if not np.isfinite(values.sum()):
                raise ValueError(f'{field} have a value that is not finite: leave this frame out')
        if not (np.isfinite(self.energy) and np.isfinite(self.ctifor or 0.0)):
            raise ValueError(f'energy {self.energy} or ctifor {self.ctifor} is not finite: leave this frame out')
        if '\n' in self.name or '\r' in self.name:
            raise ValueError(f'the system name {self.name!r} has a line end: give a name of one line')

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts)

    @property
    def symbols(self) -> list[str]:
        """Symbol of each atom."""
        return [element for element, count in zip(self.elements, self.counts, strict=True) for _ in range(count)]


@dataclass(frozen=True, eq=False)
class MLAB(Sequence[MLABFrame]):
    """A whole file: a sequence of frames, with what the header says of them.

    A slice is an `MLAB` again, with the header that belongs to its frames.

    Attributes
    ----------
    frames
        The configurations.
    elements
        Symbols in the order of the following attributes.
    reference_energies
        Energies of single atoms in eV, used by VASP if ML_ISCALE_TOTEN = 1, shape (n_elements,).
    masses
        Atomic masses in u, shape (n_elements,).
    basis_sets
        Local reference configurations of each element: pairs of the numbers of a configuration and of an atom in
        it, both from 1, shape (n, 2) each.
    max_atoms, max_atoms_per_element
        What VASP reserves: at least as many atoms as in the largest configuration, and of one element in one.
    float_layout
        Compiler whose layout the numbers have, as in `fortran_floats`; None for any other, written with the
        shortest exact digits.

    Raises
    ------
    ValueError
        No frames, or a header that does not fit them.
    """

    frames: tuple[MLABFrame, ...]
    elements: tuple[str, ...]
    reference_energies: Floats
    masses: Floats
    basis_sets: tuple[Integers, ...]
    max_atoms: int
    max_atoms_per_element: int
    float_layout: str | None = None

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError('no configurations: a ML_AB file needs at least one')
        if len(set(self.elements)) != len(self.elements):
            raise ValueError(f'the atom types {" ".join(self.elements)} repeat: list each once')
        n_elements = len(self.elements)
        if (
            not self.reference_energies.shape == self.masses.shape == (n_elements,)
            or len(self.basis_sets) != n_elements
        ):
            raise ValueError(f'reference energies, masses and basis sets need one entry for each of {self.elements}')
        for number, frame in enumerate(self.frames, 1):
            check_frame(frame, number, self.elements, self.frames[0].ctifor is not None)
        for element, basis in zip(self.elements, self.basis_sets, strict=True):
            check_basis(element, basis, self.frames)
        largest = max(frame.n_atoms for frame in self.frames), max(max(frame.counts) for frame in self.frames)
        if self.max_atoms < largest[0] or self.max_atoms_per_element < largest[1]:
            raise ValueError(
                f'the header says at most {self.max_atoms} atoms and {self.max_atoms_per_element} of one element, the '
                f'configurations have up to {largest[0]} and {largest[1]}: correct the header'
            )

    @classmethod
    def from_frames(
        cls,
        frames: Iterable[MLABFrame],
        *,
        elements: Sequence[str] = (),
        masses: Mapping[str, float] | None = None,
        reference_energies: Mapping[str, float] | None = None,
        float_layout: str | None = None,
    ) -> MLAB:
        """Return frames with a header for `ML_MODE = select`: each basis set is the dummy ``1 1``.

        Parameters
        ----------
        frames
            The configurations.
        elements
            Symbols that come first in the header; the others follow in order of appearance.
        masses
            Masses in u, by symbol; by default the standard atomic weights.
        reference_energies
            Energies of atoms in eV, by symbol; by default zero.
        float_layout
            See the class.

        Raises
        ------
        ValueError
            A symbol is not an element and has no mass, or see the class.
        """
        frames = tuple(frames)
        present = dict.fromkeys(element for frame in frames for element in frame.elements)
        ordered = tuple(dict.fromkeys([element for element in elements if element in present] + list(present)))
        return cls(
            frames=frames,
            elements=ordered,
            reference_energies=np.array([(reference_energies or {}).get(element, 0.0) for element in ordered]),
            masses=np.array([(masses or {}).get(element) or _standard_mass(element) for element in ordered]),
            basis_sets=tuple(np.array([[1, 1]]) for _ in ordered),
            max_atoms=max((frame.n_atoms for frame in frames), default=0),
            max_atoms_per_element=max((max(frame.counts) for frame in frames), default=0),
            float_layout=float_layout,
        )

    def select(self, indices: Iterable[int]) -> MLAB:
        """Return some frames; their basis sets are the dummy ``1 1``, to be chosen anew by `ML_MODE = select`."""
        return MLAB.from_frames(
            [self.frames[index] for index in indices],
            elements=self.elements,
            masses=dict(zip(self.elements, self.masses.tolist(), strict=True)),
            reference_energies=dict(zip(self.elements, self.reference_energies.tolist(), strict=True)),
            float_layout=self.float_layout,
        )

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> MLABFrame: ...
    @overload
    def __getitem__(self, index: slice) -> MLAB: ...
    def __getitem__(self, index: int | slice) -> MLABFrame | MLAB:
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self.frames[index]

    def __iter__(self) -> Iterator[MLABFrame]:
        return iter(self.frames)

    def __repr__(self) -> str:
        return f'MLAB({len(self)} configurations of {" ".join(self.elements)}, up to {self.max_atoms} atoms)'


def check_frame(frame: MLABFrame, number: int, elements: Sequence[str], with_ctifor: bool) -> None:
    """Raise a ValueError if a frame does not belong into a file, `number` being its place from 1."""
    unknown = [element for element in frame.elements if element not in elements]
    if unknown:
        raise ValueError(f'configuration {number} has {unknown[0]}, which is not among the types {" ".join(elements)}')
    if (frame.ctifor is not None) is not with_ctifor:
        raise ValueError(
            f'configuration {number} has {"no " if with_ctifor else ""}CTIFOR, unlike the first: VASP wants it in all '
            'configurations or in none'
        )


def check_basis(element: str, basis: Integers, frames: Sequence[MLABFrame]) -> None:
    """Raise a ValueError if a basis set refers to a configuration or an atom that does not exist."""
    if basis.ndim != 2 or basis.shape[1] != 2 or len(basis) == 0:
        raise ValueError(f'the basis set for {element} is no list of pairs: use the dummy "1 1"')
    sizes = np.array([frame.n_atoms for frame in frames])
    configurations, atoms = basis.T
    wrong = (configurations < 1) | (configurations > len(frames)) | (atoms < 1)
    wrong |= atoms > sizes[np.clip(configurations, 1, len(frames)) - 1]
    if wrong.any():
        configuration, atom = basis[np.argmax(wrong)]
        raise ValueError(
            f'the basis set for {element} refers to atom {atom} of configuration {configuration}, which does not exist '
            f'among the {len(frames)} configurations: replace it by the one line "1 1" and run ML_MODE = select'
        )


def _standard_mass(element: str) -> float:
    from ase.data import atomic_masses, atomic_numbers

    if element not in atomic_numbers:
        raise ValueError(f'{element!r} is not an element: give its mass in masses')
    return float(atomic_masses[atomic_numbers[element]])
