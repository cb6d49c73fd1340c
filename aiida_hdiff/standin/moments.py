"""Moments of each atom's surroundings, and the local energy as a function of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin.radial import DENSITY_DECAYS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

N_DECAYS = len(DENSITY_DECAYS)
N_MOMENTS = 10
"""Components of the moments of order 0, 1 and 2 of the surroundings: 1, 3 and 6."""
XX, YY = np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1])
_WEIGHTS = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
_FLOOR = 0.01


@dataclass(frozen=True, eq=False)
class Pairs:
    """Neighbours: atom `i` has at `vectors` its neighbour `j`, at the distance `r`; each pair occurs twice."""

    i: Integers
    j: Integers
    vectors: Floats
    r: Floats


class Local:
    """Functions of the moments around an atom: roots and products of densities, products of higher moments.

    Parameters
    ----------
    n_elements
        Number of elements; the moments have a channel for each element and radial function.
    """

    def __init__(self, n_elements: int) -> None:
        self.n_channels = n_elements * N_DECAYS
        self._products = np.array(list(combinations_with_replacement(range(self.n_channels), 2))).T
        angular = [
            (b * N_DECAYS + m, c * N_DECAYS + m)
            for m in range(N_DECAYS)
            for b in range(n_elements)
            for c in range(b, n_elements)
        ]
        self._angular = np.array(angular).T
        n_angular = len(angular)
        self.ends = np.cumsum([0, self.n_channels, self._products.shape[1], n_angular, n_angular])
        """Where the kinds of functions begin and end."""
        self.n_functions = int(self.ends[-1])
        species = np.arange(self.n_channels) // N_DECAYS
        pairs = [
            np.stack([species, species]),
            species[self._products],
            species[self._angular],
            species[self._angular] + n_elements,
        ]
        joined = np.concatenate([part + 2 * n_elements * kind for kind, part in enumerate(pairs)], axis=1)
        self.families = np.unique(joined, axis=1, return_inverse=True)[1].ravel()
        """Number of the family of each function: functions of one kind of the same neighbouring elements."""

    def functions(self, moments: Floats) -> tuple[Floats, Floats]:
        """Return the functions for atoms and their derivatives by the moments.

        Shapes (n, n_functions) and (n, n_functions, n_channels * 10).
        """
        n = len(moments)
        density, first, second = moments[:, :, 0], moments[:, :, 1:4], moments[:, :, 4:]
        (p, q), (a, b) = self._products, self._angular
        root = np.sqrt(density + _FLOOR)
        weighted = second * _WEIGHTS
        trace = second[:, :, :3].sum(axis=2)
        features = np.concatenate(
            [
                root,
                density[:, p] * density[:, q],
                np.einsum('nax,nax->na', first[:, a], first[:, b]),
                np.einsum('nax,nax->na', weighted[:, a], second[:, b]) - trace[:, a] * trace[:, b] / 3.0,
            ],
            axis=1,
        )
        derivatives = np.zeros((n, self.n_functions, self.n_channels, N_MOMENTS))
        c = np.arange(self.n_channels)
        derivatives[:, c, c, 0] = 0.5 / root
        f = self.n_channels + np.arange(len(p))
        derivatives[:, f, p, 0] += density[:, q]
        derivatives[:, f, q, 0] += density[:, p]
        f = self.n_channels + len(p) + np.arange(len(a))
        derivatives[:, f, a, 1:4] += first[:, b]
        derivatives[:, f, b, 1:4] += first[:, a]
        f = f + len(a)
        diagonal = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / 3.0
        derivatives[:, f, a, 4:] += weighted[:, b] - trace[:, b, None] * diagonal
        derivatives[:, f, b, 4:] += weighted[:, a] - trace[:, a, None] * diagonal
        return features, derivatives.reshape(n, self.n_functions, self.n_channels * N_MOMENTS)

    def energy(self, own: Floats, weights: Floats) -> tuple[float, Floats]:
        """Return the energy of atoms for given coefficients, and its derivative by their moments, shaped as these."""
        root_weights, *others = np.split(weights, self.ends[1:-1])
        matrices = []
        for (first, second), values in zip((self._products, self._angular, self._angular), others, strict=True):
            matrix = np.zeros((self.n_channels, self.n_channels))
            matrix[first, second] = values
            matrices.append(matrix + matrix.T)
        root = np.sqrt(own[:, :, 0] + _FLOOR)
        slope = np.empty_like(own)
        slope[:, :, 0] = own[:, :, 0] @ matrices[0]
        slope[:, :, 1:4] = matrices[1] @ own[:, :, 1:4]
        traceless = own[:, :, 4:] * _WEIGHTS
        traceless[:, :, :3] -= own[:, :, 4:7].sum(axis=2, keepdims=True) / 3.0
        slope[:, :, 4:] = matrices[2] @ traceless
        energy = float((root @ root_weights).sum() + 0.5 * np.vdot(own, slope))
        slope[:, :, 0] += 0.5 * root_weights / root
        return energy, slope


def angular_terms(units: Floats) -> Floats:
    """Return 1, the unit vectors and their products, shape (n_pairs, 10)."""
    angular = np.empty((len(units), N_MOMENTS))
    angular[:, 0] = 1.0
    angular[:, 1:4] = units
    angular[:, 4:] = units[:, XX] * units[:, YY]
    return angular


def term_gradients(units: Floats, r: Floats, density: Floats, slope: Floats, angular: Floats) -> Floats:
    """Return the derivatives of each pair's terms by its vector, shape (n_pairs, N_DECAYS, 10, 3)."""
    turn = np.zeros((len(r), N_MOMENTS, 3))
    across = (np.eye(3) - units[:, :, None] * units[:, None, :]) / r[:, None, None]
    turn[:, 1:4] = across
    turn[:, 4:] = units[:, XX, None] * across[:, YY] + units[:, YY, None] * across[:, XX]
    along = angular[:, :, None] * units[:, None, :]
    gradients = density[:, :, None, None] * turn[:, None]
    gradients += slope[:, :, None, None] * along[:, None]
    return gradients


def local_push(
    by_moment: Floats, kinds: Integers, pairs: Pairs, units: Floats, density: Floats, slope: Floats, angular: Floats
) -> Floats:
    """Return the derivative of the energy of the surroundings by the vector of each pair, shape (n_pairs, 3)."""
    own = by_moment.reshape(len(by_moment), -1, N_DECAYS, N_MOMENTS)[pairs.i, kinds[pairs.j]]
    along = np.einsum('pm,pm->p', slope, np.matmul(own, angular[:, :, None])[:, :, 0])
    across = np.matmul(density[:, None, :], own)[:, 0]
    vector = across[:, 1:4].copy()
    for term, (x, y) in enumerate(zip(XX, YY, strict=True), 4):
        vector[:, x] += across[:, term] * units[:, y]
        vector[:, y] += across[:, term] * units[:, x]
    along -= np.einsum('px,px->p', vector, units) / pairs.r
    push: Floats = along[:, None] * units + vector / pairs.r[:, None]
    return push
