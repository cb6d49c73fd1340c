"""Thermostats: they act on velocities, of the atoms or of the cell, for a given time."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Suzuki-Yoshida weights, fourth order: Yoshida, Phys. Lett. A 150, 262 (1990), 10.1016/0375-9601(90)90092-3.
_OUTER = 1 / (2 - 2 ** (1 / 3))
SUZUKI_YOSHIDA = (_OUTER, 1 - 2 * _OUTER, _OUTER)
CHAIN_LENGTH = 3


class Thermostat(Protocol):
    """What the integrator asks of a thermostat."""

    def apply(self, velocities: Floats, inertia: Floats | float, time_fs: float, thermal_eV: float) -> Floats:
        """Return the velocities after ``time_fs`` of contact with a bath of ``thermal_eV`` = k_B T.

        ``inertia * velocities**2`` is twice the kinetic energy in eV.
        """

    @property
    def state(self) -> Floats:
        """What a restart needs beside the random numbers."""

    @state.setter
    def state(self, values: Floats) -> None: ...


class Langevin:
    """Ornstein-Uhlenbeck process, integrated exactly.

    As the outer step around velocity Verlet (Bussi and Parrinello, Phys. Rev. E 75, 056707 (2007),
    10.1103/PhysRevE.75.056707) it has no time step error in the kinetic temperature of a harmonic mode.

    Parameters
    ----------
    relaxation_fs
        Inverse friction (fs).
    rng
        Source of the noise, shared by all parts of a run.
    """

    def __init__(self, relaxation_fs: float, rng: np.random.Generator) -> None:
        self._relaxation_fs = relaxation_fs
        self._rng = rng
        self.state: Floats = np.zeros(0)

    def apply(self, velocities: Floats, inertia: Floats | float, time_fs: float, thermal_eV: float) -> Floats:
        """Damp the velocities and add the matching noise."""
        kept = np.exp(-time_fs / self._relaxation_fs)
        spread = np.sqrt((1 - kept**2) * thermal_eV / inertia)
        return np.asarray(kept * velocities + spread * self._rng.standard_normal(velocities.shape))


class NoseHooverChain:
    """Chain of three Nosé-Hoover thermostats.

    Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635 (1992), 10.1063/1.463940; the splitting is that of
    Martyna, Tuckerman, Tobias and Klein, Mol. Phys. 87, 1117 (1996), 10.1080/00268979600100761, as in ASE's
    ``NoseHooverChainNVT``, which however counts the three momenta that are zero as thermal.

    Parameters
    ----------
    relaxation_fs
        Relaxation time (fs), which sets the masses of the chain.
    degrees_of_freedom
        Number of independent velocities.
    """

    def __init__(self, relaxation_fs: float, degrees_of_freedom: int) -> None:
        self._relaxation_fs = relaxation_fs
        self._degrees_of_freedom = degrees_of_freedom
        self.state: Floats = np.zeros(CHAIN_LENGTH)

    def apply(self, velocities: Floats, inertia: Floats | float, time_fs: float, thermal_eV: float) -> Floats:
        """Advance the chain and scale the velocities."""
        twice_kinetic = float(np.sum(inertia * velocities**2))
        scale = 1.0
        for weight in SUZUKI_YOSHIDA:
            interval = weight * time_fs
            for link in reversed(range(CHAIN_LENGTH)):
                self._kick(link, twice_kinetic, interval, thermal_eV)
            factor = float(np.exp(-interval * self.state[0]))
            scale *= factor
            twice_kinetic *= factor**2
            for link in range(CHAIN_LENGTH):
                self._kick(link, twice_kinetic, interval, thermal_eV)
        return velocities * scale

    def _kick(self, link: int, twice_kinetic: float, interval: float, thermal_eV: float) -> None:
        """Advance the rate of one link (1/fs) by half an interval."""
        rates = self.state
        unit = thermal_eV * self._relaxation_fs**2
        masses = (self._degrees_of_freedom * unit, *(unit,) * (CHAIN_LENGTH - 1))
        damping = np.exp(-interval / 4 * rates[link + 1]) if link + 1 < CHAIN_LENGTH else 1.0
        if link == 0:
            surplus = twice_kinetic - self._degrees_of_freedom * thermal_eV
        else:
            surplus = masses[link - 1] * rates[link - 1] ** 2 - thermal_eV
        rates[link] = damping * (damping * rates[link] + interval / 2 * surplus / masses[link])
