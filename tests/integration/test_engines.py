"""The engines: restarts, agreement with each other, equipartition."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations.trajectories import concatenate_trajectories
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.potentials import NICKEL_HYDROGEN, shipped_file

pytestmark = pytest.mark.integration


def md_builder(plugin, code, structure, potential, **parameters):
    builder = CalculationFactory(plugin).get_builder()
    builder.code, builder.structure, builder.potential = code, structure, potential
    defaults = {'ensemble': 'nve', 'temperature_K': 900.0, 'timestep_fs': 1.0, 'output_interval': 10, 'seed': 7}
    builder.parameters = orm.Dict({**defaults, **parameters})
    return builder


@pytest.fixture
def engine_eam():
    """The same EAM file for ASE's calculator."""
    node = PotentialData(
        architecture='eam', elements=['Ni', 'Al', 'H'], files=[shipped_file(NICKEL_HYDROGEN).read_bytes()]
    )
    return node.store()


@pytest.mark.parametrize(('ensemble', 'tolerance'), [('nve', 1e-4), ('npt', 1e-4)])
def test_lammps_restart_equals_uninterrupted_run(code, eam_potential, nickel_hydrogen, ensemble, tolerance):
    """A run continued from a checkpoint has the frames and times of the uninterrupted one, without gap or double."""
    structure, lmp = nickel_hydrogen(), code('lmp')
    settings = {'ensemble': ensemble, 'thermostat': 'nose_hoover', 'checkpoint_interval': 200}
    whole, _ = run_get_node(md_builder('hdiff.lammps_md', lmp, structure, eam_potential, steps=400, **settings))
    first, _ = run_get_node(md_builder('hdiff.lammps_md', lmp, structure, eam_potential, steps=200, **settings))
    rest = md_builder('hdiff.lammps_md', lmp, structure, eam_potential, steps=400, **settings)
    rest.checkpoint = first['final_state']
    second, node = run_get_node(rest)
    assert node.is_finished_ok, node.exit_message
    joined = concatenate_trajectories(a=first['trajectory'], b=second['trajectory'])
    with whole['trajectory'].reader() as expected, joined.reader() as found:
        np.testing.assert_array_equal(found.steps, expected.steps)
        np.testing.assert_allclose(found.positions(), expected.positions(), atol=tolerance)
        np.testing.assert_allclose(
            found.observable('potential_energy'), expected.observable('potential_energy'), atol=1e-3
        )


def test_engines_agree_on_energy_and_forces(code, eam_potential, engine_eam, nickel_hydrogen):
    """LAMMPS and ASE give the same energy and, over a short NVE run, the same path for the same EAM file."""
    structure = nickel_hydrogen()
    start, _ = run_get_node(
        md_builder(
            'hdiff.lammps_md', code('lmp'), structure, eam_potential, ensemble='nvt', steps=100, output_interval=100
        )
    )
    results = {}
    for plugin, label, potential in (
        ('hdiff.lammps_md', 'lmp', eam_potential),
        ('hdiff.md', 'hdiff-engine', engine_eam),
    ):
        builder = md_builder(plugin, code(label), structure, potential, steps=20, output_interval=1)
        builder.state = start['final_state']
        results[label], node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
    with results['lmp']['trajectory'].reader() as lammps, results['hdiff-engine']['trajectory'].reader() as ase:
        np.testing.assert_allclose(lammps.observable('potential_energy'), ase.observable('potential_energy'), atol=2e-4)
        np.testing.assert_allclose(lammps.observable('temperature'), ase.observable('temperature'), rtol=1e-5)
        # After 20 fs a force that differed by 1 meV/Å would move hydrogen by 2e-4 Å.
        np.testing.assert_allclose(lammps.positions(), ase.positions(), atol=5e-5)


def test_lammps_langevin_heats_hydrogen_and_host_alike(code, eam_potential, nickel_hydrogen):
    """Equipartition: hydrogen and nickel have the target temperature in the Langevin NVT ensemble."""
    from ase.data import atomic_masses

    from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K, KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2

    target = 900.0
    builder = md_builder(
        'hdiff.lammps_md',
        code('lmp'),
        nickel_hydrogen(n_hydrogen=8),
        eam_potential,
        ensemble='nvt',
        temperature_K=target,
        steps=40000,
        output_interval=50,
        velocities=True,
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    with results['trajectory'].reader() as reader:
        masses, velocities = atomic_masses[reader.numbers], reader.velocities(frames=slice(100, None))
        kinetic = 0.5 * KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2 * masses[None, :, None] * velocities**2
        temperatures = {
            z: 2 / 3 * kinetic[:, reader.numbers == z].sum(axis=2).mean() / BOLTZMANN_EV_PER_K for z in (1, 28)
        }
    # 700 frames of 8 H, 24 degrees of freedom: σ is about 1.1 % if frames are independent, 2 % if every third is.
    assert temperatures[1] == pytest.approx(target, rel=0.06)
    assert temperatures[28] == pytest.approx(target, rel=0.02)


@pytest.mark.slow
def test_engines_agree_on_the_diffusion_coefficient(code, eam_potential, engine_eam, nickel_hydrogen):
    """Hydrogen in a small nickel cell diffuses alike in LAMMPS and in the ASE engine, within the errors."""
    from aiida_hdiff.analysis import diffusion_coefficient

    structure = nickel_hydrogen(supercell=(2, 2, 2), n_hydrogen=2)
    values = []
    for plugin, label, potential, steps in (
        ('hdiff.lammps_md', 'lmp', eam_potential, 200000),
        ('hdiff.md', 'hdiff-engine', engine_eam, 4000),
    ):
        builder = md_builder(
            plugin, code(label), structure, potential, ensemble='nvt', temperature_K=1500.0, steps=steps
        )
        results, node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
        with results['trajectory'].reader() as reader:
            hydrogen, host = np.nonzero(reader.numbers == 1)[0], np.nonzero(reader.numbers != 1)[0]
            result = diffusion_coefficient(
                reader.positions(hydrogen), 10.0, host_positions=reader.positions(host), window_ps=(0.1, 0.3)
            )
        values.append(result)
    lammps, ase = values
    assert abs(lammps.value - ase.value) < 3 * np.hypot(lammps.std_error, ase.std_error)
