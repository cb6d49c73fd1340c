"""Radial functions of the stand-in's force field, and its fixed repulsion at short distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_PAIR = 16
DENSITY_DECAYS = (2.0, 5.0, 9.0)
DENSITY_CENTRE_A = 2.2
FIRST_CENTRE_A = 0.8
COULOMB_EV_ANGSTROM = 14.399645
ZBL = ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162))
"""Screening of Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Matter (1985)."""


@dataclass(frozen=True)
class Radial:
    """Functions that vanish with two derivatives at a cutoff in Å."""

    cutoff_A: float

    def _cut(self, r: Floats) -> tuple[Floats, Floats]:
        x = np.minimum(r / self.cutoff_A, 1.0)
        inside = 1.0 - x * x
        return inside**3, -6.0 * x * inside**2 / self.cutoff_A

    def pair(self, r: Floats) -> tuple[Floats, Floats]:
        """Return the functions of pairs and their derivatives, shape (n, N_PAIR) each."""
        centres = np.linspace(FIRST_CENTRE_A, self.cutoff_A, N_PAIR)
        width = 1.2 * (centres[1] - centres[0])
        x = (r[:, None] - centres) / width
        gaussian = np.exp(-0.5 * x * x)
        cut, slope = self._cut(r)
        value = gaussian * cut[:, None]
        return value, -x / width * value + gaussian * slope[:, None]

    def density(self, r: Floats) -> tuple[Floats, Floats]:
        """Return the functions that add up to densities and their derivatives, shape (n, len(DENSITY_DECAYS)) each."""
        decays = np.array(DENSITY_DECAYS) / DENSITY_CENTRE_A
        # Flat at the nucleus: the densities stay finite where atoms meet.
        smooth = np.sqrt(r * r + 2.25)
        exponential = np.exp(-decays * (smooth[:, None] - DENSITY_CENTRE_A))
        cut, slope = self._cut(r)
        value = exponential * cut[:, None]
        return value, -decays * (r / smooth)[:, None] * value + exponential * slope[:, None]


def repulsion(r: Floats, numbers: tuple[NDArray[np.int64], NDArray[np.int64]]) -> tuple[Floats, Floats]:
    """Return the screened Coulomb repulsion of two nuclei in eV and its derivative in eV/Å, shape (n,) each.

    It ends smoothly at 1.5 times the sum of the covalent radii, at least at 1.6 Å; the model is fitted to what remains.

    Parameters
    ----------
    r
        Distances in Å, shape (n,).
    numbers
        Atomic numbers of both atoms, shape (n,) each.
    """
    from ase.data import covalent_radii

    first, second = numbers
    energy, slope = np.zeros(len(r)), np.zeros(len(r))
    end = np.maximum(1.5 * (covalent_radii[first] + covalent_radii[second]), 1.6)
    near = np.flatnonzero(r < end)
    if not len(near):
        return energy, slope
    z1, z2, d, rc = first[near].astype(float), second[near].astype(float), np.maximum(r[near], 0.05), end[near]
    length = 0.46850 / (z1**0.23 + z2**0.23)
    screening, dscreening = np.zeros(len(d)), np.zeros(len(d))
    for weight, decay in ZBL:
        term = weight * np.exp(-decay * d / length)
        screening += term
        dscreening -= decay / length * term
    coulomb = COULOMB_EV_ANGSTROM * z1 * z2 / d
    x = 1.0 - (d / rc) ** 2
    cut, dcut = x**3, -6.0 * d / rc**2 * x**2
    energy[near] = coulomb * screening * cut
    slope[near] = coulomb * (dscreening * cut + screening * dcut - screening * cut / d)
    return energy, slope
