"""The trajectory that every analysis takes, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Positions:
    """A trajectory in memory.

    Attributes
    ----------
    positions
        Unwrapped positions in Å, shape (n_frames, n_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (3, 3) if fixed, else (n_frames, 3, 3).
    numbers
        Atomic numbers, shape (n_atoms,).
    times_fs
        Times of the frames in fs, shape (n_frames,).
    unwrapping
        Where the continuous path comes from: 'file' (unwrapped positions or image flags in the file) or
        'nearest image' (found here: right as long as no atom moves further than half the cell between two
        frames).
    """

    positions: Floats
    cells: Floats
    numbers: NDArray[np.int64]
    times_fs: Floats
    unwrapping: str

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        step = f'every {self.times_fs[1] - self.times_fs[0]:g} fs' if len(self) > 1 else ''
        return f'Positions({self.formula}, {len(self)} frames {step})'

    @property
    def formula(self) -> str:
        """Elements and their numbers of atoms, in the order of first appearance."""
        from ase.data import chemical_symbols

        kinds, first, counts = np.unique(self.numbers, return_index=True, return_counts=True)
        return ' '.join(f'{chemical_symbols[kinds[i]]}{counts[i]}' for i in np.argsort(first))

    @property
    def timestep_fs(self) -> float:
        """Time between frames in fs, the `timestep_fs` of the analysis.

        Raises
        ------
        ValueError
            A single frame.
        """
        if len(self) < 2:
            raise ValueError('a single frame has no time between frames: the trajectory needs at least two')
        return float(self.times_fs[-1] - self.times_fs[0]) / (len(self) - 1)

    def select(self, *elements: str | int) -> Positions:
        """Return the atoms of some elements, given by symbol or atomic number.

        Raises
        ------
        ValueError
            An element is unknown or does not occur.
        """
        wanted = [self._number(element) for element in elements]
        return self._atoms(np.isin(self.numbers, wanted))

    def host(self, *diffusing: str | int) -> Positions:
        """Return all atoms except those of the diffusing elements, by default hydrogen.

        Raises
        ------
        ValueError
            A diffusing element is unknown or does not occur, or no atom is left.
        """
        wanted = [self._number(element) for element in diffusing or ('H',)]
        atoms = ~np.isin(self.numbers, wanted)
        if not atoms.any():
            raise ValueError(f'no host atoms: the trajectory has only {self.formula}')
        return self._atoms(atoms)

    def frames(self, frames: slice) -> Positions:
        """Return a range of frames."""
        cells = self.cells if self.cells.ndim == 2 else self.cells[frames]
        return replace(self, positions=self.positions[frames], cells=cells, times_fs=self.times_fs[frames])

    def _atoms(self, atoms: NDArray[np.bool_]) -> Positions:
        return replace(self, positions=self.positions[:, atoms], numbers=self.numbers[atoms])

    def _number(self, element: str | int) -> int:
        from ase.data import atomic_numbers

        number = atomic_numbers.get(element) if isinstance(element, str) else int(element)
        if number is None:
            raise ValueError(f'{element!r} is not the symbol of an element')
        if not np.any(self.numbers == number):
            raise ValueError(f'no atom of {element}: the trajectory has {self.formula}')
        return int(number)
