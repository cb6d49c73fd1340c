"""Molecular dynamics: Langevin in the splitting BAOAB, with a cell of fixed shape; Nosé, Andersen and NVE.

Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34. A run that ends hands on positions after, and velocities
within, a step; the next begins with the second half of the force's kick, so that joined runs make one trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K, KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
from aiida_hdiff.standin import StandinError
from aiida_hdiff.standin.incar import Settings
from aiida_hdiff.standin.inputs import Poscar
from aiida_hdiff.standin.reference import KBAR_PER_EV_PER_ANGSTROM3, Labels

Floats = NDArray[np.float64]

ACCELERATION = 1.0 / KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
"""One eV/(Å u) in Å/fs²."""
_PERIOD_STEPS = 40
_MAX_MOVE_A = 1.0


@dataclass(frozen=True)
class Kinetics:
    """Energies of the motion in eV, and the temperatures they make in K."""

    ions: float
    lattice: float
    nose_potential: float
    nose_kinetic: float
    temperature_K: float
    lattice_temperature_K: float


class Dynamics:
    """Positions, cell and their motion.

    Parameters
    ----------
    poscar
        The start; without velocities they are drawn at `TEBEG`.
    masses
        In u, one per atom, shape (n_atoms,).
    settings
        Thermostat, barostat and temperatures.
    """

    def __init__(self, poscar: Poscar, masses: Floats, settings: Settings) -> None:
        self._settings, self._masses = settings, masses
        self._rng = np.random.default_rng([abs(value) for value in settings.random_seed])
        self.draws = 0
        self.scaled = poscar.scaled.copy()
        self.start_cell = poscar.cell
        self.size, self._size_rate = 1.0, 0.0
        if settings.npt and poscar.lattice_velocities is not None:
            self._size_rate = float(np.vdot(poscar.lattice_velocities, poscar.cell) / np.vdot(poscar.cell, poscar.cell))
        self.velocities = self._draw(settings.tebeg) if poscar.velocities is None else poscar.velocities.copy()
        self._nose = self._nose_rate = 0.0
        langevin = settings.mdalgo == 3
        self.degrees_of_freedom = 3 * len(masses) - (0 if langevin or len(masses) < 2 else 3)
        frictions = np.array(settings.langevin_gamma or (0.0,)) * 1e-3
        self._frictions = np.repeat(frictions, poscar.counts)[:, None] if langevin else None
        self._nose_mass = self._mass_of_nose() if settings.mdalgo in (0, 2) and settings.smass >= 0.0 else 0.0
        self._piston = settings.pmass * float(np.vdot(self.start_cell, self.start_cell)) / ACCELERATION

    @property
    def cell(self) -> Floats:
        """Lattice vectors as rows in Å."""
        return self.size * self.start_cell

    @property
    def positions(self) -> Floats:
        """Cartesian positions in Å, not wrapped."""
        return self.scaled @ self.cell

    @property
    def lattice_velocities(self) -> Floats:
        """Velocities of the lattice vectors in Å/fs."""
        return self._size_rate * self.start_cell

    def target_K(self, step: int) -> float:
        """Return the temperature of the bath at a step, from 1: linear from TEBEG to TEEND."""
        begin, end = self._settings.tebeg, self._settings.teend
        return begin + (end - begin) * (step - 1) / max(self._settings.nsw - 1, 1)

    def finish(self, labels: Labels) -> Kinetics:
        """Give the second half of the force's kick, and return the energies of the motion."""
        self._kick(labels)
        kinetic = 0.5 * float((self._masses[:, None] * self.velocities**2).sum()) / ACCELERATION
        lattice = 0.5 * self._piston * self._size_rate**2
        nose = self.degrees_of_freedom * BOLTZMANN_EV_PER_K * self._settings.tebeg * self._nose
        return Kinetics(
            kinetic,
            lattice,
            nose if self._nose_mass else 0.0,
            0.5 * self._nose_mass * self._nose_rate**2,
            2.0 * kinetic / (self.degrees_of_freedom * BOLTZMANN_EV_PER_K),
            2.0 * lattice / (9.0 * BOLTZMANN_EV_PER_K),
        )

    def advance(self, labels: Labels, step: int) -> None:
        """Move on to the next structure, up to where its forces are needed.

        Raises
        ------
        StandinError
            An atom would move farther than 1 Å in a step.
        """
        target = self.target_K(step)
        if self._settings.mdalgo == 1 and self._settings.andersen_prob > 0.0:
            self.draws += len(self._masses)
            hit = self._rng.random(len(self._masses)) < self._settings.andersen_prob
            self.velocities[hit] = self._maxwell(target)[hit]
        if self._nose_mass:
            self._thermostat(target)
        self._kick(labels)
        self._drift(0.5)
        if self._frictions is not None:
            self._bath(target)
        self._drift(0.5)

    def _kick(self, labels: Labels) -> None:
        half = 0.5 * self._settings.potim
        if self._settings.npt:
            kinetic = float((self._masses[:, None] * self.velocities**2).sum()) / ACCELERATION
            volume = abs(np.linalg.det(self.cell))
            pressure = (np.trace(labels.stress_kbar) / 3.0 - self._settings.pstress) / KBAR_PER_EV_PER_ANGSTROM3
            force = (kinetic + 3.0 * volume * pressure) / self.size
            self.velocities *= np.exp(-0.5 * half * self._size_rate / self.size)
            self._size_rate += half * force / self._piston
        self.velocities += half * ACCELERATION * labels.forces / self._masses[:, None]
        if self._settings.npt:
            self.velocities *= np.exp(-0.5 * half * self._size_rate / self.size)

    def _drift(self, fraction: float) -> None:
        time = fraction * self._settings.potim
        move = time * self.velocities
        if not np.abs(move).max() < _MAX_MOVE_A:
            raise StandinError('an atom moves farther than 1 Å in a step: the run has blown up; reduce POTIM or TEBEG')
        if self._settings.npt:
            self.size += 0.5 * time * self._size_rate
        self.scaled += move @ np.linalg.inv(self.cell)
        if self._settings.npt:
            self.size += 0.5 * time * self._size_rate

    def _bath(self, target: float) -> None:
        """Friction and noise for a whole step."""
        assert self._frictions is not None
        kept = np.exp(-self._frictions * self._settings.potim)
        self.velocities = kept * self.velocities + np.sqrt(1.0 - kept**2) * self._maxwell(target)
        if self._settings.npt:
            kept_l = float(np.exp(-1e-3 * self._settings.langevin_gamma_l * self._settings.potim))
            width = np.sqrt(BOLTZMANN_EV_PER_K * target / self._piston)
            self.draws += 1
            self._size_rate = kept_l * self._size_rate + np.sqrt(1.0 - kept_l**2) * width * self._rng.normal()

    def _thermostat(self, target: float) -> None:
        kinetic = float((self._masses[:, None] * self.velocities**2).sum()) / ACCELERATION
        bath = self.degrees_of_freedom * BOLTZMANN_EV_PER_K * target
        self._nose_rate += self._settings.potim * (kinetic - bath) / self._nose_mass
        self._nose += self._settings.potim * self._nose_rate
        self.velocities *= np.exp(-self._settings.potim * self._nose_rate)

    def _mass_of_nose(self) -> float:
        """Inertia of the thermostat in eV fs²: from SMASS, or a period of 40 steps for SMASS = 0."""
        if self._settings.smass > 0.0:
            return self._settings.smass * float(np.vdot(self.start_cell[0], self.start_cell[0])) / ACCELERATION
        period = _PERIOD_STEPS * self._settings.potim
        bath = self.degrees_of_freedom * BOLTZMANN_EV_PER_K * max(self._settings.tebeg, 1.0)
        return 2.0 * bath * (period / (2.0 * np.pi)) ** 2

    def _maxwell(self, temperature_K: float) -> Floats:
        self.draws += 3 * len(self._masses)
        width = np.sqrt(BOLTZMANN_EV_PER_K * temperature_K * ACCELERATION / self._masses)
        return width[:, None] * self._rng.normal(size=(len(self._masses), 3))

    def _draw(self, temperature_K: float) -> Floats:
        """Return velocities with the kinetic energy of the temperature, and no total momentum."""
        velocities = self._maxwell(temperature_K)
        if len(self._masses) < 2:
            return velocities
        velocities -= (self._masses @ velocities) / self._masses.sum()
        kinetic = float((self._masses[:, None] * velocities**2).sum()) / ACCELERATION
        wanted = (3 * len(self._masses) - 3) * BOLTZMANN_EV_PER_K * temperature_K
        return np.asarray(velocities * np.sqrt(wanted / max(kinetic, 1e-30)))
