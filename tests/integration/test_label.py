"""Labels by real calculators through AiiDA, from a trajectory to a data set, stopped and continued."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.calculations.datasets import frames_from_structures, frames_from_trajectories, merge_datasets
from aiida_hdiff.calculations.label import LabelCalculation
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_calculator
from aiida_hdiff.engine.label_settings import LabelSettings
from tests.conftest import executable

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GPAW = {
    'calculator': 'gpaw',
    'parameters': {
        'mode': {'name': 'pw', 'ecut': 250},
        'xc': 'PBE',
        'kpts': {'size': [2, 2, 1], 'gamma': True},
        'setups': {'Mg': '2'},
        'occupations': {'name': 'fermi-dirac', 'width': 0.2},
        'convergence': {'density': 1e-4, 'eigenstates': 1e-7, 'energy': 1e-4},
    },
}


def engine_with(module):
    """Return an engine whose environment has a package: this one, or one named by a variable; skip without."""
    from importlib.util import find_spec

    variable = f'HDIFF_ENGINE_{module.upper()}'
    if variable in os.environ:
        return os.environ[variable]
    if find_spec(module) is None:
        pytest.skip(f'{module} is not installed, and {variable} names no hdiff-engine that has it')
    return executable('hdiff-engine')


@pytest.fixture
def label(aiida_code_installed, aiida_profile):
    """Give a function that runs a job."""

    def run(frames, settings, engine=None, options=None, **inputs):
        code = aiida_code_installed(
            default_calc_job_plugin='hdiff.label',
            filepath_executable=engine or executable('hdiff-engine'),
        )
        environment = {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
        builder = CalculationFactory('hdiff.label').get_builder()
        builder.code, builder.frames, builder.settings = code, frames, settings
        for name, value in {'environment_variables': environment, **(options or {})}.items():
            setattr(builder.metadata.options, name, value)
        for name, value in inputs.items():
            setattr(builder, name, value)
        return run_get_node(builder)

    return run


def magnesium_hydride(seed=1, length=1.0):
    """Return hcp Mg with a hydrogen atom at a tetrahedral site, rattled: three atoms."""
    host = bulk('Mg', 'hcp', a=3.2 * length, c=5.2 * length)
    host.extend(Atoms('H', scaled_positions=[[0, 0, 3 / 8]], cell=host.cell))
    host.rattle(0.05, seed=seed)
    return host


@pytest.fixture
def hydrides(aiida_profile):
    """Give two configurations of Mg2H."""
    structures = {f'mg2h_{i}': orm.StructureData(ase=magnesium_hydride(seed=i)) for i in (1, 2)}
    return frames_from_structures(orm.Dict({'config_type': 'rattled'}), **structures)


def test_from_a_trajectory_to_a_dataset(label, generate_trajectory):
    """EMT labels frames of a trajectory; the graph leads from the data set to the trajectory."""
    from ase.calculators.emt import EMT

    start = bulk('Cu', 'fcc', a=3.61, cubic=True)
    positions = start.positions + np.random.default_rng(1).normal(0, 0.05, (20, 4, 3))
    cells = np.broadcast_to(start.cell.array, (20, 3, 3))
    trajectory = generate_trajectory(positions, numbers=start.numbers, cells=cells).store()
    frames = frames_from_trajectories(orm.Dict({'n_random': 6, 'seed': 2}), md=trajectory)
    results, node = label(frames, {'calculator': 'emt'})
    assert node.is_finished_ok, node.exit_message
    dataset = results['dataset']
    for atoms, expected in zip(dataset.to_ase(), frames.to_ase(), strict=True):
        expected.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), atol=1e-12)
        np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), atol=1e-14)
    ancestors = orm.QueryBuilder().append(orm.Node, filters={'id': dataset.pk}, tag='d')
    ancestors.append(type(trajectory), with_descendants='d', project='id')
    assert ancestors.all(flat=True) == [trajectory.pk]
    assert dataset.references == [results['results']['reference']] == [LabelSettings('emt').reference()]


def test_stopped_by_the_wall_time_and_continued(label, generate_configurations):
    """Two jobs give what one would have given, and no frame is labelled twice."""
    slow = {
        'calculator': 'tests.engine.label_calculators:Slow',
        'allow_any_calculator': True,
        'parameters': {'seconds': 0.5},
    }
    trust_calculator(slow['calculator'])
    frames = generate_configurations(12).store()
    first, node = label(frames, slow, options={'max_wallclock_seconds': 5})
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status, node.exit_message
    done = first['dataset'].n_frames
    assert 0 < done < 12
    second, node = label(frames, slow, previous=first['dataset'])
    assert node.is_finished_ok, node.exit_message
    assert second['results']['n_from_previous'] == done
    assert second['results']['n_labelled'] == 12
    assert second['dataset'].frames().origins == frames.frames().origins
    assert sum(line.startswith('{"frame"') for line in labels_of(node)) == 12 - done


def labels_of(node):
    """Return the lines that a job has written on this machine."""
    return (Path(node.outputs.remote_folder.get_remote_path()) / 'labels.jsonl').read_text().splitlines()


def test_gpaw(label, hydrides):
    """Two frames by GPAW: converged, with forces that are the gradient of the energy, and another level is refused."""
    engine = engine_with('gpaw')
    results, node = label(hydrides, GPAW, engine=engine)
    assert node.is_finished_ok, node.exit_message
    frames = results['dataset'].frames()
    assert frames.scf_converged.tolist() == [1, 1]
    assert results['results']['energy_kind'] == 'free_energy'
    assert 'gpaw' in results['results']['versions']
    assert np.abs(frames.net_forces).max() < 0.1
    assert frames.references[0] == LabelSettings.from_dict(GPAW).reference()

    step, moved = 0.01, {}
    for sign in (-1, 1):
        atoms = hydrides.to_ase()[0]
        atoms.positions[2, 2] += sign * step
        moved['minus' if sign < 0 else 'plus'] = orm.StructureData(ase=atoms)
    shifted, node = label(frames_from_structures(orm.Dict({}), **moved), GPAW, engine=engine)
    assert node.is_finished_ok, node.exit_message
    low, high = shifted['dataset'].frames().energies
    assert -(high - low) / (2 * step) == pytest.approx(frames.forces[2, 2], abs=0.02)

    coarse = {**GPAW, 'parameters': {**GPAW['parameters'], 'mode': {'name': 'pw', 'ecut': 200}}}
    other, node = label(hydrides, coarse, engine=engine)
    assert node.is_finished_ok, node.exit_message
    with pytest.raises(ValueError, match='the labels have different references'):
        merge_datasets(orm.Dict({}), a=results['dataset'], b=other['dataset'])


def test_gpaw_that_does_not_converge(label, hydrides):
    """The error of GPAW is recorded for each frame."""
    few = {**GPAW, 'parameters': {**GPAW['parameters'], 'maxiter': 2}}
    results, node = label(hydrides, few, engine=engine_with('gpaw'))
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_ALL_FRAMES_FAILED.status
    assert {one['exception'] for one in results['results']['failures']} == {'KohnShamConvergenceError'}
    assert len(results['results']['failures']) == 2


def test_chgnet(label, hydrides):
    """The model in the wheel, and the same file as a node, give equal labels of unequal reference."""
    engine = engine_with('chgnet')
    results, node = label(hydrides, {'calculator': 'chgnet', 'parameters': {'model_name': '0.3.0'}}, engine=engine)
    assert node.is_finished_ok, node.exit_message
    dataset = results['dataset']
    assert isinstance(dataset, LabelledDataset)
    assert dataset.base.attributes.get('has_stress')
    assert 'chgnet' in results['results']['versions']
    assert np.abs(dataset.frames().net_forces).max() < 1e-3
    assert -2.5 < dataset.base.attributes.get('energy_min_eV_per_atom') < -1.0


def test_gpaw_missing(label, hydrides):
    if Path(sys.executable).with_name('gpaw').exists():
        pytest.skip('GPAW is installed')
    results, node = label(hydrides, GPAW)
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_PACKAGE_MISSING.status
    assert 'pip install gpaw gpaw-data' in node.exit_message
    assert results['results']['n_labelled'] == 0
