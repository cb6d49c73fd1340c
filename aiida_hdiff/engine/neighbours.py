"""Pairs of neighbouring atoms of a periodic structure, kept from step to step while they are certain to be complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Pairs of atoms, each once.

    Attributes
    ----------
    first, second
        Indices of the atoms, ``(n_pairs,)``; an atom may be paired with an image of itself.
    vectors_A
        From the first to the second, ``(n_pairs, 3)``, in Å.
    lengths_A
        Their lengths, ``(n_pairs,)``, in Å.
    """

    first: Integers
    second: Integers
    vectors_A: Floats
    lengths_A: Floats


class Neighbours:
    """A neighbour list with a skin.

    Parameters
    ----------
    cutoff_A
        Distance up to which pairs are wanted (Å).
    skin_A
        How much further the list reaches (Å): the larger, the longer it lasts.
    """

    def __init__(self, cutoff_A: float, skin_A: float = 0.6) -> None:
        self._cutoff_A = cutoff_A
        self._skin_A = skin_A
        self._positions: Floats | None = None
        self._cell: Floats = np.eye(3)
        self._pbc: Any = np.zeros(3, dtype=bool)
        self._first: Integers = np.zeros(0, dtype=np.int64)
        self._second = self._first
        self._images: Floats = np.zeros((0, 3))

    def update(self, atoms: Atoms) -> Pairs:
        """Return the pairs closer than the cutoff, each once."""
        positions, cell = atoms.positions, atoms.cell.complete().array
        if not np.array_equal(self._pbc, atoms.pbc) or not self._is_complete(positions, cell):
            self._build(atoms)
        vectors = positions[self._second] + self._images @ cell - positions[self._first]
        lengths = np.sqrt(np.einsum('ij,ij->i', vectors, vectors))
        near = np.flatnonzero(lengths < self._cutoff_A)
        return Pairs(self._first[near], self._second[near], vectors[near], lengths[near])

    def _is_complete(self, positions: Floats, cell: Floats) -> bool:
        """Whether no pair that the list lacks can be closer than the cutoff.

        With the deformation of the cell taken off, no atom has moved by more than u. A pair that was further apart than
        R, the reach of the list, is then further apart than s R - 2 u, s being the smallest singular value of the
        deformation.
        """
        if self._positions is None or self._positions.shape != positions.shape:
            return False
        deformation = np.linalg.solve(self._cell, cell)
        shrink = 1.0 if np.array_equal(self._cell, cell) else float(np.linalg.svd(deformation, compute_uv=False)[-1])
        moved = positions - self._positions @ deformation
        furthest = float(np.sqrt(np.max(np.einsum('ij,ij->i', moved, moved))))
        return shrink * (self._cutoff_A + self._skin_A) - 2 * furthest > self._cutoff_A

    def _build(self, atoms: Atoms) -> None:
        from ase.neighborlist import primitive_neighbor_list

        cell, reach = atoms.cell.complete().array, self._cutoff_A + self._skin_A
        first, second, images = primitive_neighbor_list(
            'ijS', atoms.pbc, cell, atoms.positions, reach, self_interaction=False
        )
        x, y, z = images.T
        forward = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
        once = (first < second) | ((first == second) & forward)
        self._first, self._second = first[once].astype(np.int64), second[once].astype(np.int64)
        self._images = images[once].astype(np.float64)
        self._positions, self._cell, self._pbc = atoms.positions.copy(), cell, atoms.pbc.copy()


@dataclass(frozen=True)
class Angles:
    """Angles between bonds that share an atom; every ordered pair of bonds of an atom is one.

    Attributes
    ----------
    bonds
        Indices of the pairs that are bonds, ``(n_bonds,)``.
    left, right
        The bonds of an angle, as places in ``bonds``, ``(n_angles,)``.
    signs
        +1 where both bond vectors point away from the shared atom or both towards it, else -1, ``(n_angles,)``.
    centers
        The shared atoms, ``(n_angles,)``.
    """

    bonds: Integers
    left: Integers
    right: Integers
    signs: Floats
    centers: Integers


def bond_angles(pairs: Pairs, cutoff_A: float) -> Angles:
    """Return the angles between pairs that are shorter than a cutoff (Å)."""
    bonds = np.flatnonzero(pairs.lengths_A < cutoff_A)
    n_bonds = len(bonds)
    ends = np.concatenate([pairs.first[bonds], pairs.second[bonds]])
    order = np.argsort(ends, kind='stable')
    _, starts, counts = np.unique(ends[order], return_index=True, return_counts=True)
    per_end = np.repeat(counts, counts)
    left = np.repeat(np.arange(len(ends)), per_end)
    offsets = np.arange(len(left)) - np.repeat(np.cumsum(per_end) - per_end, per_end)
    right = np.repeat(np.repeat(starts, counts), per_end) + offsets
    distinct = left != right
    left, right = order[left[distinct]], order[right[distinct]]
    away: Any = np.where(np.arange(len(ends)) < n_bonds, 1.0, -1.0)
    return Angles(bonds, left % max(n_bonds, 1), right % max(n_bonds, 1), away[left] * away[right], ends[left])
