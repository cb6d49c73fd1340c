"""Labelled configurations as arrays: what potentials are trained on and tested against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.formats.labelled_frame import LabelledFrame

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FRAME_ARRAYS = ('cells', 'pbc', 'energies', 'stresses', 'ctifors', 'scf_converged')
_FRAME_TEXTS = ('origins', 'references', 'config_types')
_PER_ATOM = ('numbers', 'positions', 'forces')


@dataclass(frozen=True, eq=False)
class LabelledFrames(Sequence[LabelledFrame]):
    """Labelled configurations with varying numbers of atoms, in few arrays.

    A slice or an array of indices selects a `LabelledFrames`, an integer one `LabelledFrame`.

    Attributes
    ----------
    numbers, positions, forces
        Of all atoms, frame after frame, shapes (n_total,), (n_total, 3) and (n_total, 3).
    offsets
        First atom of each frame, and the end, shape (n_frames + 1,).
    cells, pbc, energies
        Of each frame, shapes (n_frames, 3, 3), (n_frames, 3) and (n_frames,).
    stresses
        As in `LabelledFrame`, shape (n_frames, 6); NaN where unknown.
    ctifors
        Shape (n_frames,), NaN where unknown.
    scf_converged
        1 yes, 0 no, -1 unknown, shape (n_frames,).
    origins, references, config_types
        One text for each frame.

    Raises
    ------
    ValueError
        Shapes contradict one another, an element is impossible, or a number is not finite; names the frame.
    """

    numbers: Integers
    positions: Floats
    forces: Floats
    offsets: Integers
    cells: Floats
    pbc: NDArray[np.bool_]
    energies: Floats
    stresses: Floats
    ctifors: Floats
    scf_converged: NDArray[np.int8]
    origins: tuple[str, ...]
    references: tuple[str, ...]
    config_types: tuple[str, ...]

    def __post_init__(self) -> None:
        n_frames, n_total = len(self.energies), len(self.numbers)
        if self.offsets.shape != (n_frames + 1,) or self.offsets[0] != 0 or self.offsets[-1] != n_total:
            raise ValueError(f'offsets must go from 0 to the {n_total} atoms in {n_frames} steps')
        empty = np.flatnonzero(np.diff(self.offsets) < 1)
        if len(empty):
            raise ValueError(f'frame {empty[0]} has no atoms: leave it out')
        shapes = {
            'positions': (n_total, 3),
            'forces': (n_total, 3),
            'cells': (n_frames, 3, 3),
            'pbc': (n_frames, 3),
            'stresses': (n_frames, 6),
            'ctifors': (n_frames,),
            'scf_converged': (n_frames,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f'{name} have shape {getattr(self, name).shape}, not {shape}')
        for name in _FRAME_TEXTS:
            if len(getattr(self, name)) != n_frames:
                raise ValueError(f'{len(getattr(self, name))} {name} for {n_frames} frames: give one for each')
        if n_total and not 1 <= self.numbers.min() <= self.numbers.max() <= 118:
            atom = int(np.argmax((self.numbers < 1) | (self.numbers > 118)))
            raise ValueError(f'frame {self._frame_of(atom)} has the atomic number {self.numbers[atom]}')
        for name in ('positions', 'forces', 'cells', 'energies'):
            wrong = ~np.isfinite(getattr(self, name))
            if wrong.any():
                place = int(np.argwhere(wrong)[0][0])
                frame = self._frame_of(place) if name in _PER_ATOM else place
                raise ValueError(f'{name} of frame {frame} are not finite: leave that frame out')
        partly = np.isnan(self.stresses).any(axis=1) & ~np.isnan(self.stresses).all(axis=1)
        if np.isinf(self.stresses).any() or partly.any():
            raise ValueError('stresses must be finite, or NaN in all six components where unknown')

    def _frame_of(self, atom: int) -> int:
        return int(np.searchsorted(self.offsets, atom, side='right')) - 1

    @classmethod
    def from_frames(cls, frames: Iterable[LabelledFrame]) -> LabelledFrames:
        """Join single configurations."""
        frames = list(frames)
        unknown = np.full(6, np.nan)
        converged = {None: -1, False: 0, True: 1}
        return cls(
            numbers=_joined([frame.numbers for frame in frames], np.int64, (0,)),
            positions=_joined([frame.positions for frame in frames], np.float64, (0, 3)),
            forces=_joined([frame.forces for frame in frames], np.float64, (0, 3)),
            offsets=np.cumsum([0, *(len(frame.numbers) for frame in frames)], dtype=np.int64),
            cells=np.array([frame.cell for frame in frames], dtype=np.float64).reshape(-1, 3, 3),
            pbc=np.array([frame.pbc for frame in frames], dtype=np.bool_).reshape(-1, 3),
            energies=np.array([frame.energy for frame in frames], dtype=np.float64),
            stresses=np.array(
                [unknown if frame.stress is None else frame.stress for frame in frames], dtype=np.float64
            ).reshape(-1, 6),
            ctifors=np.array([np.nan if frame.ctifor is None else frame.ctifor for frame in frames], dtype=np.float64),
            scf_converged=np.array([converged[frame.scf_converged] for frame in frames], dtype=np.int8),
            origins=tuple(frame.origin for frame in frames),
            references=tuple(frame.reference for frame in frames),
            config_types=tuple(frame.config_type for frame in frames),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[LabelledFrames]) -> LabelledFrames:
        """Join sets in the given order.

        Raises
        ------
        ValueError
            No sets.
        """
        if not parts:
            raise ValueError('no sets to join: give at least one')
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_ATOM + _FRAME_ARRAYS
        }
        texts: dict[str, Any] = {
            name: tuple(text for part in parts for text in getattr(part, name)) for name in _FRAME_TEXTS
        }
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), **arrays, **texts)

    def select(self, indices: ArrayLike) -> LabelledFrames:
        """Return some frames, by indices or by one truth value for each frame."""
        wanted = np.asarray(indices)
        chosen = np.arange(len(self))[wanted if wanted.size else wanted.astype(np.int64)]
        atoms = _joined([np.arange(*self.offsets[i : i + 2]) for i in chosen], np.int64, (0,))
        counts = np.diff(self.offsets)[chosen]
        arrays: dict[str, Any] = {name: getattr(self, name)[atoms] for name in _PER_ATOM}
        arrays |= {name: getattr(self, name)[chosen] for name in _FRAME_ARRAYS}
        texts: dict[str, Any] = {name: tuple(getattr(self, name)[i] for i in chosen) for name in _FRAME_TEXTS}
        return LabelledFrames(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **arrays,
            **texts,
        )

    @property
    def n_atoms(self) -> Integers:
        """Number of atoms of each frame, shape (n_frames,)."""
        return np.diff(self.offsets)

    @property
    def net_forces(self) -> Floats:
        """Sum of the forces on the atoms of each frame in eV/Å, shape (n_frames, 3); zero in exact calculations."""
        return np.add.reduceat(self.forces, self.offsets[:-1], axis=0) if len(self) else np.empty((0, 3))

    def __len__(self) -> int:
        return len(self.energies)

    @overload
    def __getitem__(self, index: int) -> LabelledFrame: ...
    @overload
    def __getitem__(self, index: slice) -> LabelledFrames: ...
    def __getitem__(self, index: int | slice) -> LabelledFrame | LabelledFrames:
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        index = range(len(self))[index]
        atoms = slice(*self.offsets[index : index + 2])
        stress, ctifor, converged = self.stresses[index], self.ctifors[index], self.scf_converged[index]
        return LabelledFrame(
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            cell=self.cells[index],
            energy=float(self.energies[index]),
            forces=self.forces[atoms],
            stress=None if np.isnan(stress).any() else stress,
            pbc=(bool(self.pbc[index, 0]), bool(self.pbc[index, 1]), bool(self.pbc[index, 2])),
            origin=self.origins[index],
            reference=self.references[index],
            config_type=self.config_types[index],
            ctifor=None if np.isnan(ctifor) else float(ctifor),
            scf_converged=None if converged < 0 else bool(converged),
        )

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        from ase.data import chemical_symbols

        elements = ' '.join(chemical_symbols[number] for number in np.unique(self.numbers))
        return f'LabelledFrames({len(self)} frames of {elements}, {len(self.numbers)} atoms)'


def _joined(parts: Sequence[NDArray[Any]], dtype: type, empty: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(parts).astype(dtype) if parts else np.empty(empty, dtype=dtype)
