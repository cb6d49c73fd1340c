"""CHGNet fine-tuned through AiiDA: stopped by its wall time, continued, evaluated, and served from the cache."""

import math
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase.build import bulk

from aiida_hdiff.calculations.datasets import frames_from_structures
from aiida_hdiff.calculations.md_job import WALLTIME_MARGIN_S
from aiida_hdiff.calculations.splits import split_dataset
from aiida_hdiff.data.potential import PotentialData
from tests.integration.test_label import engine_with

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}


def magnesium_hydride(n_frames, seed):
    """Return rattled magnesium with no, one or two hydrogen atoms as nodes."""
    rng, nodes = np.random.default_rng(seed), {}
    for index in range(n_frames):
        atoms = bulk('Mg', 'hcp', a=3.2, c=5.2)
        for place in ((0.0, 0.0, 0.25), (0.6, 0.4, 0.0))[: index % 3]:
            atoms.append('H')
            atoms.positions[-1] = np.array(place) @ atoms.cell.array
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        nodes[f'frame_{index:02d}'] = orm.StructureData(ase=atoms)
    return nodes


@pytest.fixture
def code(aiida_code_installed, aiida_profile):
    """Return the engine of an environment with CHGNet."""
    return aiida_code_installed(default_calc_job_plugin='hdiff.chgnet_train', filepath_executable=engine_with('chgnet'))


@pytest.fixture
def parts(code):
    """Return sets labelled with the r2SCAN weights, split."""
    pytest.importorskip('chgnet', reason='the weights of the chgnet package are needed')
    builder = CalculationFactory('hdiff.label').get_builder()
    builder.code = code
    builder.frames = frames_from_structures(orm.Dict({}), **magnesium_hydride(60, 1))
    builder.potential = PotentialData.get_or_create(PotentialData.from_chgnet('r2scan'))
    builder.settings = {'calculator': 'chgnet'}
    builder.metadata.options.environment_variables = ENVIRONMENT
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return split_dataset(outputs['dataset'], orm.Dict({'seed': 1, 'valid': 10, 'test': 10}))


def training(factory, name, code, parts, epochs):
    builder = factory(name).get_builder()
    builder.code = code
    builder.foundation = PotentialData.get_or_create(PotentialData.from_chgnet('0.3.0'))
    builder.train, builder.valid, builder.test = parts['train'], parts['valid'], parts['test']
    builder.settings = orm.Dict({'epochs': epochs})
    builder.seed = orm.Int(1)
    return builder


def errors_of(code, dataset, potential):
    builder = CalculationFactory('hdiff.evaluate').get_builder()
    builder.code, builder.dataset, builder.potential = code, dataset, potential
    builder.metadata.options.environment_variables = ENVIRONMENT
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return outputs['results'].get_dict()


def test_train_stop_continue_and_evaluate(code, parts):
    builder = training(CalculationFactory, 'hdiff.chgnet_train', code, parts, 10)
    builder.metadata.options.environment_variables = ENVIRONMENT
    whole, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    results = whole['results'].get_dict()
    before, after = results['initial']['test'], results['splits']['test']
    assert after['force_rmse_meV_A'] < 0.8 * before['force_rmse_meV_A']
    found = errors_of(code, parts['test'], whole['potential'])
    assert found['force_meV_A']['rmse'] == pytest.approx(after['force_rmse_meV_A'], abs=1e-2)
    assert found['energy_meV_per_atom']['rmse'] == pytest.approx(after['energy_rmse_meV_per_atom'], abs=1e-2)
    foundation = errors_of(code, parts['test'], builder.foundation)
    assert foundation['energy_meV_per_atom']['rmse'] > 1000.0
    assert found['force_meV_A']['rmse'] < foundation['force_meV_A']['rmse']

    with enable_caching(identifier='aiida.calculations:hdiff.chgnet_train'):
        again = training(CalculationFactory, 'hdiff.chgnet_train', code, parts, 10)
        again.metadata.options.environment_variables = ENVIRONMENT
        _, cached = run_get_node(again)
    assert cached.base.caching.is_created_from_cache


def test_workchain_goes_on_until_all_epochs_are_done(code, parts):
    short = training(CalculationFactory, 'hdiff.chgnet_train', code, parts, 2)
    short.metadata.options.environment_variables = ENVIRONMENT
    measured, _ = run_get_node(short)
    per_epoch = measured['results']['training_seconds'] / 2
    start = measured['results']['seconds'] - measured['results']['training_seconds']
    limit = math.ceil(WALLTIME_MARGIN_S + start + 10 * per_epoch)  # time for some epochs, not for all
    builder = training(WorkflowFactory, 'hdiff.chgnet_train', code, parts, 25)
    builder.options = {'environment_variables': ENVIRONMENT, 'max_wallclock_seconds': limit}
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert outputs['results']['epochs'] == 25
    np.testing.assert_array_equal(outputs['curves'].get_array('epoch'), np.arange(1, 26))
    jobs = [job for job in node.called if job.process_label == 'ChgnetTrainCalculation']
    assert [job.exit_status for job in jobs] == [400] * (len(jobs) - 1) + [0]
    assert len(jobs) > 1
