"""The barostat: a cell that moves with its own inertia, in the strains it is allowed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.engine.system import System

Floats = NDArray[np.float64]

PERPENDICULAR = 1e-6
"""Cosine below which two cell vectors count as perpendicular."""
EQUAL = 1e-5
"""Relative difference below which two cell vectors count as equally long."""


def strain_basis(barostat: str, cell: Floats) -> Floats:
    """Return the strains that a barostat may apply to a cell.

    Parameters
    ----------
    barostat
        ``isotropic``, ``fixed_shape`` or ``full``, as in
        :class:`~aiida_hdiff.engine.parameters.MDParameters`. In ``fixed_shape``, vectors that are not
        perpendicular keep the ratio of their lengths, because a change of it would need shear or rotation; a
        and b also do if they are equally long.
    cell
        ``(3, 3)``, in Å, one vector a row.

    Returns
    -------
    numpy.ndarray
        ``(n, 3, 3)`` symmetric, orthonormal matrices: no combination of them rotates the cell.
    """
    if barostat == 'isotropic':
        return np.array([np.eye(3) / np.sqrt(3)])
    if barostat == 'full':
        matrices = [np.outer(axis, axis) for axis in np.eye(3)]
        for i, j in combinations(range(3), 2):
            shear = np.zeros((3, 3))
            shear[i, j] = shear[j, i] = np.sqrt(0.5)
            matrices.append(shear)
        return np.array(matrices)
    lengths = np.linalg.norm(cell, axis=1)
    axes = cell / lengths[:, None]
    coupled = np.abs(axes @ axes.T) > PERPENDICULAR
    coupled[0, 1] |= abs(lengths[0] - lengths[1]) < EQUAL * lengths[0]
    coupled |= coupled.T
    coupled = np.linalg.matrix_power(coupled.astype(int), 3) > 0
    matrices = []
    for group in np.unique(coupled, axis=0)[::-1]:
        plane = np.linalg.qr(axes[group].T)[0]
        matrices.append(plane @ plane.T / np.sqrt(plane.shape[1]))
    return np.array(matrices)


class Barostat:
    """Cell motion of Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994), 10.1063/1.467468.

    Parameters
    ----------
    basis
        ``(n, 3, 3)`` allowed strains, of :func:`strain_basis`.
    pressure
        External pressure (eV/Å³).
    relaxation_fs
        Relaxation time (fs), which sets the inertia.

    Attributes
    ----------
    rates
        ``(n,)`` strain rates along the basis, in 1/fs.
    """

    def __init__(self, basis: Floats, pressure: float, relaxation_fs: float) -> None:
        self.basis = basis
        self.rates: Floats = np.zeros(len(basis))
        self._pressure = pressure
        self._relaxation_fs = relaxation_fs

    def inertia(self, system: System, thermal_eV: float) -> float:
        """Inertia of the strain rates (eV fs²) at a bath of ``thermal_eV`` = k_B T."""
        return (system.degrees_of_freedom / 3 + 1) * thermal_eV * self._relaxation_fs**2

    def accelerate(self, system: System, time_fs: float, thermal_eV: float) -> None:
        """Change the strain rates by the difference of inner and outer pressure acting for ``time_fs``."""
        kinetic = system.kinetic_tensor
        work = kinetic - system.volume * (system.stress + self._pressure * np.eye(3))
        work += np.eye(3) * np.trace(kinetic) / system.degrees_of_freedom
        forces = np.einsum('nij,ij->n', self.basis, work)
        self.rates = self.rates + time_fs * forces / self.inertia(system, thermal_eV)

    def principal_rates(self) -> tuple[Floats, Floats]:
        """Return the eigenvalues ``(3,)`` (1/fs) and eigenvectors (columns) of the strain rate."""
        values, vectors = np.linalg.eigh(np.einsum('n,nij->ij', self.rates, self.basis))
        return values, vectors
