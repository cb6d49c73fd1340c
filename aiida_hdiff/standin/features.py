"""Features of the stand-in's force field: pairs, and functions of densities with angular moments around each atom.

The energy is linear in the features; forces and stress follow from their analytic derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from aiida_hdiff.standin.moments import N_DECAYS, N_MOMENTS, Local, Pairs, angular_terms, local_push, term_gradients
from aiida_hdiff.standin.radial import N_PAIR, Radial, repulsion

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_VOIGT = np.array([0, 4, 8, 1, 5, 6])


@dataclass(frozen=True, eq=False)
class Rows:
    """Derivatives of the energy with respect to the coefficients.

    Attributes
    ----------
    energy
        Shape (n_features,).
    forces
        Shape (3 n_atoms, n_features).
    virial
        dE/dε in eV, Voigt order xx yy zz xy yz zx, shape (6, n_features).
    base_energy, base_forces, base_virial
        The same of the fixed repulsion, without the last axis.
    """

    energy: Floats
    forces: Floats
    virial: Floats
    base_energy: float
    base_forces: Floats
    base_virial: Floats


def find_pairs(cell: Floats, positions: Floats, cutoff_A: float) -> Pairs:
    """Return the neighbours of all atoms in a periodic cell."""
    from matscipy.neighbours import neighbour_list

    i, j, vectors, r = neighbour_list('ijDd', positions=positions, cell=cell, pbc=[True] * 3, cutoff=cutoff_A)
    return Pairs(i.astype(np.int64), j.astype(np.int64), vectors, r)


class Features:
    """The features of some elements.

    Parameters
    ----------
    elements
        Chemical symbols; atoms refer to them by index.
    cutoff_A
        Range of the functions in Å.
    """

    def __init__(self, elements: tuple[str, ...], cutoff_A: float) -> None:
        from ase.data import atomic_numbers

        self.elements, self.cutoff_A = elements, cutoff_A
        self._radial = Radial(cutoff_A)
        self._numbers = np.array([atomic_numbers[element] for element in elements])
        n = len(elements)
        self._pair_type = np.zeros((n, n), dtype=np.int64)
        for index, (a, b) in enumerate(combinations_with_replacement(range(n), 2)):
            self._pair_type[a, b] = self._pair_type[b, a] = index
        self._n_types = n * (n + 1) // 2
        self._local = Local(n)
        self.n_pair = self._n_types * N_PAIR
        self.n_features = self.n_pair + n * self._local.n_functions
        starts = self.n_pair + self._local.n_functions * np.arange(n)
        self.groups = [np.arange(self.n_pair)] + [
            (starts[:, None] + np.arange(first, end)).ravel() for first, end in pairwise(self._local.ends)
        ]
        """Indices of features of one kind, whatever the elements."""
        n_families = int(self._local.families.max()) + 1
        families = [np.repeat(np.arange(self._n_types), N_PAIR)]
        families += [self._n_types + kind * n_families + self._local.families for kind in range(n)]
        self.families = np.concatenate(families)
        """Number of the family of each feature: features of one kind and the same elements."""

    def evaluate(
        self, kinds: Integers, cell: Floats, positions: Floats, weights: Floats
    ) -> tuple[float, Floats, Floats]:
        """Return energy (eV), forces (eV/Å) and dE/dε (eV, shape (3, 3)) for given coefficients."""
        pairs = find_pairs(cell, positions, self.cutoff_A)
        n_atoms = len(kinds)
        energy, slope = self._base(kinds, pairs)
        types = self._pair_type[kinds[pairs.i], kinds[pairs.j]]
        value, derivative = self._radial.pair(pairs.r)
        pair_weights = weights[: self.n_pair].reshape(self._n_types, N_PAIR)[types]
        total = 0.5 * float(energy.sum() + np.einsum('pk,pk->', value, pair_weights))
        slope = slope + np.einsum('pk,pk->p', derivative, pair_weights)
        units = pairs.vectors / pairs.r[:, None]
        push = 0.5 * slope[:, None] * units
        density, density_slope = self._radial.density(pairs.r)
        angular = angular_terms(units)
        moments = self._moments(kinds, pairs, density, angular)
        by_moment = np.empty_like(moments)
        for kind in range(len(self.elements)):
            atoms = kinds == kind
            local, by_moment[atoms] = self._local.energy(moments[atoms], weights[self._columns(kind)])
            total += local
        push += local_push(by_moment, kinds, pairs, units, density, density_slope, angular)
        forces = np.empty((n_atoms, 3))
        for x in range(3):
            forces[:, x] = np.bincount(pairs.i, push[:, x], n_atoms) - np.bincount(pairs.j, push[:, x], n_atoms)
        return total, forces, push.T @ pairs.vectors

    def rows(self, kinds: Integers, cell: Floats, positions: Floats) -> Rows:
        """Return the derivatives with respect to the coefficients."""
        pairs = find_pairs(cell, positions, self.cutoff_A)
        n_atoms = len(kinds)
        units = pairs.vectors / pairs.r[:, None]
        energy = np.zeros(self.n_features)
        forces = np.zeros((3 * n_atoms, self.n_features))
        virial = np.zeros((9, self.n_features))
        self._pair_rows(kinds, pairs, units, energy, forces, virial)
        density, density_slope = self._radial.density(pairs.r)
        angular = angular_terms(units)
        moments = self._moments(kinds, pairs, density, angular)
        jacobian, strain = self._jacobian(kinds, pairs, term_gradients(units, pairs.r, density, density_slope, angular))
        for kind in range(len(self.elements)):
            atoms = np.flatnonzero(kinds == kind)
            where = self._columns(kind)
            values, derivatives = self._local.functions(moments[atoms])
            energy[where] = values.sum(axis=0)
            n_terms = len(atoms) * derivatives.shape[2]
            flat = derivatives.transpose(1, 0, 2).reshape(self._local.n_functions, n_terms)
            forces[:, where] = -(flat @ jacobian[atoms].reshape(n_terms, 3 * n_atoms)).T
            virial[:, where] = (flat @ strain[atoms].reshape(n_terms, 9)).T
        base, slope = self._base(kinds, pairs)
        push = 0.5 * slope[:, None] * units
        base_forces = np.zeros((n_atoms, 3))
        np.add.at(base_forces, pairs.i, 2.0 * push)
        base_virial = (push.T @ pairs.vectors).ravel()[_VOIGT]
        return Rows(energy, forces, virial[_VOIGT], 0.5 * float(base.sum()), base_forces, base_virial)

    def _columns(self, kind: int) -> slice:
        """Return where the local features of an element are."""
        start = self.n_pair + kind * self._local.n_functions
        return slice(start, start + self._local.n_functions)

    def _base(self, kinds: Integers, pairs: Pairs) -> tuple[Floats, Floats]:
        return repulsion(pairs.r, (self._numbers[kinds[pairs.i]], self._numbers[kinds[pairs.j]]))

    def _pair_rows(
        self, kinds: Integers, pairs: Pairs, units: Floats, energy: Floats, forces: Floats, virial: Floats
    ) -> None:
        """Fill in the columns of the pairs."""
        types = self._pair_type[kinds[pairs.i], kinds[pairs.j]]
        value, derivative = self._radial.pair(pairs.r)
        n_atoms, n_pairs = len(kinds), len(pairs.r)
        energy[: self.n_pair] = 0.5 * sum_groups(types, self._n_types, value).ravel()
        pulls = (units[:, :, None] * derivative[:, None, :]).reshape(n_pairs, -1)
        summed = sum_groups(pairs.i * self._n_types + types, n_atoms * self._n_types, pulls)
        summed = summed.reshape(n_atoms, self._n_types, 3, N_PAIR).transpose(0, 2, 1, 3)
        forces[:, : self.n_pair] = summed.reshape(3 * n_atoms, self.n_pair)
        outer = (units[:, :, None] * pairs.vectors[:, None, :]).reshape(n_pairs, 9)
        strain = sum_groups(types, self._n_types, (outer[:, :, None] * derivative[:, None, :]).reshape(n_pairs, -1))
        virial[:, : self.n_pair] = 0.5 * strain.reshape(self._n_types, 9, N_PAIR).transpose(1, 0, 2).reshape(9, -1)

    def _moments(self, kinds: Integers, pairs: Pairs, density: Floats, angular: Floats) -> Floats:
        """Return the moments of each atom's surroundings, shape (n_atoms, n_channels, 10)."""
        group = pairs.i * len(self.elements) + kinds[pairs.j]
        terms = (density[:, :, None] * angular[:, None, :]).reshape(len(pairs.r), -1)
        summed = sum_groups(group, len(kinds) * len(self.elements), terms)
        return summed.reshape(len(kinds), self._local.n_channels, N_MOMENTS)

    def _jacobian(self, kinds: Integers, pairs: Pairs, gradients: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives of the moments with respect to positions and strain.

        Shapes (n_atoms, n_channels * 10, n_atoms, 3) and (n_atoms, n_channels * 10, 9).
        """
        n_pairs, n_atoms, n_kinds = len(pairs.r), len(kinds), len(self.elements)
        block = N_DECAYS * N_MOMENTS
        flat = gradients.reshape(n_pairs, -1)
        summed = sum_groups(pairs.i * n_atoms + pairs.j, n_atoms * n_atoms, flat)
        summed = summed.reshape(n_atoms, n_atoms, block, 3).transpose(0, 2, 1, 3)
        jacobian = np.zeros((n_atoms, n_kinds, block, n_atoms, 3))
        atoms = np.arange(n_atoms)
        for kind in range(n_kinds):
            own = kinds == kind
            jacobian[:, kind][:, :, own] = summed[:, :, own]
            jacobian[atoms, kind, :, atoms] -= summed[:, :, own].sum(axis=2)
        by_vector = (flat[:, :, None] * pairs.vectors[:, None, :]).reshape(n_pairs, -1)
        strain = sum_groups(pairs.i * n_kinds + kinds[pairs.j], n_atoms * n_kinds, by_vector)
        n_terms = self._local.n_channels * N_MOMENTS
        return jacobian.reshape(n_atoms, n_terms, n_atoms, 3), strain.reshape(n_atoms, n_terms, 9)


def sum_groups(groups: Integers, count: int, rows: Floats) -> Floats:
    """Return the sums of the rows of each group, shape (count, n_columns)."""
    matrix = csr_matrix((np.ones(len(groups)), (groups, np.arange(len(groups)))), (count, len(groups)))
    return np.asarray(matrix @ rows)
