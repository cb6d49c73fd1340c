"""Both jobs through AiiDA with the real codes."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, WorkflowFactory

from tests.conftest import PARAMETERS, nickel_hydride

pytestmark = pytest.mark.integration


def nve_energy(trajectory):
    with trajectory.reader() as reader:
        return reader.observable('potential_energy') + reader.observable('kinetic_energy')


def test_lammps_nve_conserves_the_energy(lammps_code, eam_potential, generate_structure):
    parameters = {**PARAMETERS, 'ensemble': 'nve', 'timestep_fs': 0.5, 'velocities': True}
    atoms = nickel_hydride(3, 4)
    results, node = run_get_node(
        CalculationFactory('hdiff.lammps_md'),
        code=lammps_code,
        structure=generate_structure(atoms=atoms),
        potential=eam_potential,
        parameters=orm.Dict(parameters),
    )
    assert node.exit_status == 0, node.exit_message
    assert np.ptp(nve_energy(results['trajectory'])) < 0.02
    with results['trajectory'].reader() as reader:
        assert reader.observable('temperature')[0] == pytest.approx(800.0, rel=1e-6)
        momentum = (atoms.get_masses()[:, None] * reader.velocities()).sum(axis=1)
        assert np.abs(momentum).max() < 1e-4


@pytest.mark.parametrize('engine', ['lammps', 'ase'])
def test_a_stage_with_resources_as_users_write_them(
    engine, lammps_code, engine_code, eam_potential, generate_potential, generate_structure
):
    lammps = engine == 'lammps'
    inputs = {
        'code': lammps_code if lammps else engine_code,
        'structure': generate_structure(3 if lammps else 2),
        'potential': eam_potential if lammps else generate_potential('lennard_jones'),
        'parameters': orm.Dict({**PARAMETERS, 'steps': 40, 'checkpoint_interval': 20}),
        'options': {'resources': {'num_machines': 1}, 'max_wallclock_seconds': 60},
    }
    results, node = run_get_node(WorkflowFactory('hdiff.md_stage'), **inputs)
    assert node.exit_status == 0, node.exit_message
    assert results['trajectory'].n_frames == 5
    assert results['final_state'].step == 40
    (job,) = node.called
    assert job.get_option('max_wallclock_seconds') == 60


def test_an_unknown_pair_style_ends_with_its_code(lammps_code, generate_potential, generate_structure):
    potential = generate_potential(pair_style='no/such/style 4.0', pair_coeff=['* * 0.5 2.2'])
    _, node = run_get_node(
        WorkflowFactory('hdiff.md_stage'),
        code=lammps_code,
        structure=generate_structure(),
        potential=potential,
        parameters=orm.Dict(PARAMETERS),
    )
    assert node.exit_status == 421
    assert "Unrecognized pair style 'no/such/style'" in node.exit_message
