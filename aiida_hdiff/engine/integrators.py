"""One reversible integrator for all ensembles: velocity Verlet, with thermostat and barostat around it.

Without thermostat and barostat it is velocity Verlet (NVE). The splitting of a step is that of Martyna,
Tuckerman, Tobias and Klein, Mol. Phys. 87, 1117 (1996), 10.1080/00268979600100761, as in ASE's ``MTKNPT``;
Langevin thermostats stand where its Nosé-Hoover chains do. ASE's own integrators are not used because they
count 3N thermal velocities where 3N-3 are free and keep to themselves what a checkpoint needs; the tests compare
with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.engine.barostat import Barostat, strain_basis
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.engine.system import System
from aiida_hdiff.engine.thermostats import Langevin, NoseHooverChain, Thermostat

Floats = NDArray[np.float64]


class Integrator:
    """Move a system forward in time.

    Parameters
    ----------
    system
        The atoms; :meth:`System.evaluate` must have been called.
    timestep_fs
        Time step (fs).
    thermostat
        Thermostat of the atoms, or ``None``.
    barostat, cell_thermostat
        Barostat and the thermostat of its strain rates, or ``None``.
    """

    def __init__(
        self,
        system: System,
        timestep_fs: float,
        thermostat: Thermostat | None = None,
        barostat: Barostat | None = None,
        cell_thermostat: Thermostat | None = None,
    ) -> None:
        self._system = system
        self._timestep_fs = timestep_fs
        self._thermostat = thermostat
        self._barostat = barostat
        self._cell_thermostat = cell_thermostat

    def step(self, temperature_K: float) -> None:
        """Do one time step with the bath at ``temperature_K``."""
        half = self._timestep_fs / 2
        thermal_eV = BOLTZMANN_EV_PER_K * temperature_K
        self._thermalise_cell(half, thermal_eV)
        self._thermalise(half, thermal_eV)
        if self._barostat is not None:
            self._barostat.accelerate(self._system, half, thermal_eV)
        self._kick(half)
        self._drift(self._timestep_fs)
        self._system.evaluate()
        self._kick(half)
        if self._barostat is not None:
            self._barostat.accelerate(self._system, half, thermal_eV)
        self._thermalise(half, thermal_eV)
        self._thermalise_cell(half, thermal_eV)

    def _thermalise(self, time_fs: float, thermal_eV: float) -> None:
        system = self._system
        if self._thermostat is not None:
            velocities = self._thermostat.apply(system.velocities, system.inertia, time_fs, thermal_eV)
            system.velocities = system.without_drift(velocities)

    def _thermalise_cell(self, time_fs: float, thermal_eV: float) -> None:
        if self._barostat is not None and self._cell_thermostat is not None:
            inertia = self._barostat.inertia(self._system, thermal_eV)
            rates = self._cell_thermostat.apply(self._barostat.rates, inertia, time_fs, thermal_eV)
            self._barostat.rates = rates

    def _kick(self, time_fs: float) -> None:
        """Change the velocities by the forces and, in a moving cell, by its strain rate."""
        system = self._system
        accelerations = system.forces / system.inertia
        if self._barostat is None:
            system.velocities = system.velocities + time_fs * accelerations
            return
        from scipy.special import exprel

        rates, axes = self._barostat.principal_rates()
        damping = -time_fs * (rates + rates.sum() / system.degrees_of_freedom)
        along = (system.velocities @ axes) * np.exp(damping) + time_fs * (accelerations @ axes) * exprel(damping)
        system.velocities = along @ axes.T

    def _drift(self, time_fs: float) -> None:
        """Move the atoms and, with a barostat, the cell."""
        system = self._system
        if self._barostat is None:
            system.positions = system.positions + time_fs * system.velocities
            return
        from scipy.special import exprel

        rates, axes = self._barostat.principal_rates()
        growth = time_fs * rates
        along = (system.positions @ axes) * np.exp(growth) + time_fs * (system.velocities @ axes) * exprel(growth)
        system.positions = along @ axes.T
        system.cell = (system.cell @ axes) * np.exp(growth) @ axes.T

    @property
    def state(self) -> dict[str, Floats]:
        """Variables of thermostat and barostat; with atoms and random numbers all that a restart needs."""
        state: dict[str, Floats] = {}
        if self._thermostat is not None:
            state['thermostat'] = self._thermostat.state
        if self._barostat is not None and self._cell_thermostat is not None:
            state['cell_thermostat'] = self._cell_thermostat.state
            state['strain_rates'] = self._barostat.rates
            state['strain_basis'] = self._barostat.basis
        return state

    @state.setter
    def state(self, values: dict[str, Floats]) -> None:
        if self._thermostat is not None:
            self._thermostat.state = values['thermostat'].copy()
        if self._barostat is not None and self._cell_thermostat is not None:
            self._cell_thermostat.state = values['cell_thermostat'].copy()
            self._barostat.rates = values['strain_rates'].copy()
            self._barostat.basis = values['strain_basis'].copy()


def build_integrator(system: System, parameters: MDParameters, rng: np.random.Generator) -> Integrator:
    """Return the integrator of a stage, at rest in its thermostat and barostat variables."""

    def thermostat(relaxation_fs: float, degrees_of_freedom: int) -> Thermostat:
        if parameters.thermostat == 'langevin':
            return Langevin(relaxation_fs, rng)
        return NoseHooverChain(relaxation_fs, degrees_of_freedom)

    if parameters.ensemble == 'nve':
        return Integrator(system, parameters.timestep_fs)
    of_atoms = thermostat(parameters.thermostat_time_fs, system.degrees_of_freedom)
    if parameters.ensemble == 'nvt':
        return Integrator(system, parameters.timestep_fs, of_atoms)
    basis = strain_basis(parameters.barostat, system.cell)
    pressure = parameters.pressure_GPa / EV_PER_ANGSTROM3_IN_GPA
    barostat = Barostat(basis, pressure, parameters.barostat_time_fs)
    of_cell = thermostat(parameters.barostat_time_fs, len(basis))
    return Integrator(system, parameters.timestep_fs, of_atoms, barostat, of_cell)
