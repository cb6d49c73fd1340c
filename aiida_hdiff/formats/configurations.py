"""Configurations without labels, as arrays: what is to be labelled."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.formats.labelled import LabelledFrames

if TYPE_CHECKING:
    from ase import Atoms

ARRAYS = ('numbers', 'positions', 'offsets', 'cells', 'pbc')


@dataclass(frozen=True, eq=False)
class Configurations:
    """Structures with varying numbers of atoms, in few arrays.

    Attributes
    ----------
    numbers, positions
        Of all atoms, frame after frame, shapes (n_total,) and (n_total, 3) in Å.
    offsets
        First atom of each frame, and the end, shape (n_frames + 1,).
    cells, pbc
        Of each frame, shapes (n_frames, 3, 3) in Å and (n_frames, 3).
    origins, config_types
        One text for each frame: where it comes from, such as a trajectory and a step in it, and its group.

    Raises
    ------
    ValueError
        Shapes contradict one another, an element is impossible, or a number is not finite; names the frame.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    offsets: NDArray[np.int64]
    cells: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    origins: tuple[str, ...]
    config_types: tuple[str, ...]

    def __post_init__(self) -> None:
        # Labels that are all zero are valid, so this checks the structures.
        n_frames, n_total = len(self.cells), len(self.numbers)
        LabelledFrames(
            **{name: getattr(self, name) for name in ARRAYS},
            forces=np.zeros((n_total, 3)),
            energies=np.zeros(n_frames),
            stresses=np.full((n_frames, 6), np.nan),
            ctifors=np.full(n_frames, np.nan),
            scf_converged=np.full(n_frames, -1, dtype=np.int8),
            origins=self.origins,
            references=('',) * n_frames,
            config_types=self.config_types,
        )

    @classmethod
    def from_ase(
        cls, images: Sequence[Atoms], origins: Sequence[str], config_types: Sequence[str] | None = None
    ) -> Configurations:
        """Join structures of ASE; labels that they have are left out.

        Raises
        ------
        ValueError
            No structures.
        """
        if not images:
            raise ValueError('no structures: give at least one')
        return cls(
            numbers=np.concatenate([atoms.numbers for atoms in images]).astype(np.int64),
            positions=np.concatenate([atoms.positions for atoms in images]).astype(np.float64),
            offsets=np.cumsum([0, *map(len, images)], dtype=np.int64),
            cells=np.array([atoms.cell.array for atoms in images], dtype=np.float64),
            pbc=np.array([atoms.pbc for atoms in images], dtype=np.bool_),
            origins=tuple(origins),
            config_types=('',) * len(images) if config_types is None else tuple(config_types),
        )

    @classmethod
    def from_labelled(cls, frames: LabelledFrames) -> Configurations:
        """Return labelled configurations without their labels."""
        arrays: dict[str, Any] = {name: getattr(frames, name) for name in ARRAYS}
        return cls(**arrays, origins=frames.origins, config_types=frames.config_types)

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> Configurations:
        """Build from the arrays alone, as in a file."""
        n_frames = len(arrays['cells'])
        types = {'numbers': np.int64, 'offsets': np.int64, 'pbc': np.bool_}
        values: dict[str, Any] = {name: np.asarray(arrays[name], dtype=types.get(name, np.float64)) for name in ARRAYS}
        return cls(**values, origins=('',) * n_frames, config_types=('',) * n_frames)

    def select(self, indices: ArrayLike) -> Configurations:
        """Return some frames, by indices."""
        chosen = [int(i) for i in np.asarray(indices).ravel()]
        return Configurations.from_ase(
            [self.to_ase(i) for i in chosen],
            [self.origins[i] for i in chosen],
            [self.config_types[i] for i in chosen],
        )

    def to_ase(self, index: int) -> Atoms:
        """Return one structure."""
        from ase import Atoms

        atoms = slice(*self.offsets[index : index + 2])
        return Atoms(
            numbers=self.numbers[atoms], positions=self.positions[atoms], cell=self.cells[index], pbc=self.pbc[index]
        )

    def __len__(self) -> int:
        return len(self.cells)


def structure_keys(frames: Configurations | LabelledFrames) -> tuple[str, ...]:
    """Return a digest of the structure of each frame, equal where elements, positions, cell and pbc are bit by bit."""
    keys = []
    for index in range(len(frames)):
        atoms = slice(*frames.offsets[index : index + 2])
        parts = (frames.numbers[atoms], frames.positions[atoms], frames.cells[index], frames.pbc[index])
        digest = hashlib.sha256()
        for part, kind in zip(parts, ('<i8', '<f8', '<f8', '?'), strict=True):
            digest.update(np.ascontiguousarray(part, dtype=kind).tobytes())
        keys.append(digest.hexdigest())
    return tuple(keys)
