"""The integrators, against conservation laws, statistics and ASE's."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.engine.barostat import Barostat, strain_basis
from aiida_hdiff.engine.integrators import Integrator, build_integrator
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.engine.system import System
from aiida_hdiff.engine.thermostats import NoseHooverChain

from .conftest import DEFAULTS, copper

KT = BOLTZMANN_EV_PER_K * 600


def system(atoms=None, *, with_stress=False, temperature_K=600.0, seed=3):
    atoms = copper() if atoms is None else atoms
    atoms.calc = EMT()
    result = System(atoms, with_stress=with_stress)
    result.draw_velocities(temperature_K, np.random.default_rng(seed))
    result.evaluate()
    return result


def ase_copy(state):
    atoms = state.atoms.copy()
    atoms.calc = EMT()
    atoms.set_velocities(state.velocities / units.fs)
    return atoms


def compare(state, atoms):
    # ASE's default units are those of CODATA 2014; its Boltzmann constant differs by 3e-7.
    assert state.positions == pytest.approx(atoms.positions, abs=2e-6)
    assert state.cell == pytest.approx(atoms.cell.array, abs=2e-6)
    assert state.velocities == pytest.approx(atoms.get_velocities() * units.fs, abs=1e-7)


def test_initial_velocities():
    state = system()
    assert state.temperature_K == pytest.approx(600)
    assert (state.inertia * state.velocities).sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert state.degrees_of_freedom == 93


def test_nve_is_velocity_verlet():
    state = system()
    atoms = ase_copy(state)
    integrator = Integrator(state, 2.0)
    for _ in range(50):
        integrator.step(600)
    VelocityVerlet(atoms, 2.0 * units.fs).run(50)
    compare(state, atoms)


def test_nve_energy_error_is_quadratic_in_the_time_step():
    errors = []
    for timestep in (2.0, 4.0, 8.0):
        state = system()
        integrator = Integrator(state, timestep)
        energies = []
        for _ in range(int(400 / timestep)):
            integrator.step(600)
            energies.append(state.potential_energy + state.kinetic_energy)
        errors.append(np.std(energies))
        momentum = (state.inertia * state.velocities).sum(axis=0)
        assert momentum == pytest.approx(np.zeros(3), abs=1e-10)
    assert errors[0] < 1e-5 * 32 * 10
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.15)
    assert errors[2] / errors[1] == pytest.approx(4, rel=0.15)


def test_nose_hoover_chain_is_that_of_ase():
    chain = pytest.importorskip('ase.md.nose_hoover_chain')
    state = system()
    atoms = ase_copy(state)
    reference = chain.NoseHooverChainNVT(atoms, 2 * units.fs, temperature_K=600, tdamp=50 * units.fs)
    integrator = Integrator(state, 2.0, NoseHooverChain(50.0, 3 * len(atoms)))
    for _ in range(50):
        integrator.step(600)
    reference.run(50)
    compare(state, atoms)


@pytest.mark.integration
def test_full_barostat_is_that_of_ase():
    """With the degrees of freedom of ours, ASE counts 3N for the atoms and 9 for the cell, of which 3 rotate it."""
    chain = pytest.importorskip('ase.md.nose_hoover_chain')
    if not hasattr(chain, 'MTKNPT'):
        pytest.skip('this ASE has no MTKNPT')
    state = system(with_stress=True)
    atoms = ase_copy(state)
    times = {'tdamp': 50 * units.fs, 'pdamp': 300 * units.fs}
    reference = chain.MTKNPT(atoms, 2 * units.fs, temperature_K=600, pressure_au=0.01, **times)
    n_free = len(atoms) - 1
    reference._num_atoms_global = n_free
    reference._thermostat = chain.NoseHooverChainThermostat(n_free, atoms.get_masses()[:, None], 600, times['tdamp'])
    reference._barostat = chain.MTKBarostat(n_free, 600, times['pdamp'])
    reference._barostat._cell_dof = 6
    reference._barostat._R[0] *= 6 / 9
    barostat = Barostat(strain_basis('full', state.cell), 0.01, 300.0)
    integrator = Integrator(state, 2.0, NoseHooverChain(50.0, 93), barostat, NoseHooverChain(300.0, 6))
    for _ in range(100):
        integrator.step(600)
    reference.run(100)
    assert not np.allclose(state.cell, 7.22 * np.eye(3), atol=1e-3)
    compare(state, atoms)


@pytest.mark.integration
@pytest.mark.parametrize('thermostat', ['langevin', 'nose_hoover'])
def test_mean_temperature(thermostat):
    """There are 21 degrees of freedom; a thermostat that counted 24 would give 686 K."""
    state = system(copper((2, 1, 1)), seed=1)
    parameters = MDParameters.from_dict({**DEFAULTS, 'ensemble': 'nvt', 'thermostat': thermostat})
    integrator = build_integrator(state, parameters, np.random.default_rng(2))
    temperatures = []
    for step in range(3500):
        integrator.step(600)
        if step >= 500:
            temperatures.append(state.temperature_K)
    blocks = np.mean(np.reshape(temperatures, (10, -1)), axis=1)
    error = blocks.std(ddof=1) / np.sqrt(10)
    assert error < 20
    assert np.mean(blocks) == pytest.approx(600, abs=3 * error + 1)
    spread = 600 * np.sqrt(2 / state.degrees_of_freedom)
    assert np.std(temperatures) == pytest.approx(spread, rel=0.2)
    assert (state.inertia * state.velocities).sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-10)


@pytest.mark.integration
@pytest.mark.parametrize('thermostat', ['langevin', 'nose_hoover'])
def test_isotropic_volume_is_that_of_zero_pressure(thermostat):
    """At 50 K the lattice constant of EMT copper is its static one, 3.590 Å, plus an expansion below 0.01 Å."""
    state = system(copper(1, a=3.70), with_stress=True, temperature_K=50)
    settings = {'ensemble': 'npt', 'thermostat': thermostat, 'temperature_K': 50.0, 'barostat_time_fs': 150.0}
    integrator = build_integrator(state, MDParameters.from_dict({**DEFAULTS, **settings}), np.random.default_rng(2))
    lengths, pressures = [], []
    for step in range(1600):
        integrator.step(50)
        if step >= 800:
            lengths.append(state.volume ** (1 / 3))
            pressures.append(state.pressure)
    assert np.mean(lengths) == pytest.approx(3.594, abs=0.006)
    assert np.mean(pressures) == pytest.approx(0, abs=0.003)
    assert state.cell == pytest.approx(state.cell[0, 0] * np.eye(3), abs=1e-9)


@pytest.mark.integration
@pytest.mark.parametrize('barostat', ['isotropic', 'fixed_shape', 'full'])
def test_ideal_gas_at_constant_pressure(barostat):
    """The volume is Gamma distributed, V^(N-1) exp(-PV/kT): mean N kT/P, standard deviation √N kT/P."""
    n_atoms, volume, steps = 8, 1000.0, 16000
    gas = System(Atoms(numbers=[1] * n_atoms, cell=[10, 10, 10], pbc=True), with_stress=True)
    gas.stress = np.zeros((3, 3))
    gas.evaluate = lambda: None
    gas.draw_velocities(600, np.random.default_rng(1))
    settings = {
        'ensemble': 'npt',
        'barostat': barostat,
        'thermostat_time_fs': 20.0,
        'barostat_time_fs': 30.0,
        'pressure_GPa': n_atoms * KT / volume * EV_PER_ANGSTROM3_IN_GPA,
    }
    integrator = build_integrator(gas, MDParameters.from_dict({**DEFAULTS, **settings}), np.random.default_rng(4))
    inertia = n_atoms * KT * 30.0**2
    record = np.empty((steps, 3))
    for step in range(steps):
        integrator.step(600)
        rates = integrator.state['strain_rates']
        record[step] = gas.volume / volume, gas.temperature_K / 600, inertia * np.mean(rates**2) / KT
        if step % 100 == 0:  # a gas does not resist shear, which would deform the cell without end
            gas.cell = np.eye(3) * np.cbrt(gas.volume)
    # Standard errors for 200 000 steps, measured: 0.003, 0.002 and 0.012; the tolerance is 3.5 of them.
    assert np.all(np.abs(record.mean(axis=0) - 1) < 3.5 * np.sqrt(200_000 / steps) * np.array([0.003, 0.002, 0.012]))
    assert record[:, 0].std() == pytest.approx(n_atoms**-0.5, rel=0.2)


def test_strain_bases():
    cubic, hexagonal = np.eye(3) * 4, np.array(bulk('Mg', 'hcp', a=3.2, c=5.2).cell)
    orthorhombic = np.diag([3.0, 4, 5])
    sheared = hexagonal * [[4], [3], [2]]
    triclinic = hexagonal + np.array([[0, 0, 0.3], [0, 0, 0], [0, 0, 0]])
    for barostat, cell, number in [
        ('isotropic', hexagonal, 1),
        ('full', hexagonal, 6),
        ('fixed_shape', cubic, 2),
        ('fixed_shape', hexagonal, 2),
        ('fixed_shape', sheared, 2),
        ('fixed_shape', orthorhombic, 3),
        ('fixed_shape', triclinic, 1),
    ]:
        basis = strain_basis(barostat, cell)
        assert basis.shape == (number, 3, 3)
        assert np.einsum('nij,mij->nm', basis, basis) == pytest.approx(np.eye(number), abs=1e-12)
        assert basis == pytest.approx(basis.transpose(0, 2, 1))
        if barostat == 'fixed_shape':
            strained = cell @ (np.eye(3) + np.einsum('n,nij->ij', np.arange(1, number + 1) / 10, basis))
            assert angles(strained) == pytest.approx(angles(cell), abs=1e-9)


def angles(cell):
    axes = cell / np.linalg.norm(cell, axis=1)[:, None]
    return axes @ axes.T
