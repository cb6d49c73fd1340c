"""From NVE runs to a labelled test set and a split without neighbours in time, with the whole history in the graph."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from ase.build import bulk

from aiida_hdiff.calculations.datasets import filter_dataset, frames_from_trajectories
from aiida_hdiff.calculations.splits import dataset_overlap, dataset_statistics, split_dataset
from tests.conftest import executable

pytestmark = pytest.mark.integration


@pytest.fixture
def nve_runs(engine_code, generate_potential, generate_structure):
    """Return NVE runs of nickel at two temperatures by EMT, 40 frames each."""
    atoms = bulk('Ni', 'fcc', a=3.52, cubic=True)
    runs = {}
    for temperature_K in (300.0, 600.0):
        builder = CalculationFactory('hdiff.md').get_builder()
        builder.code, builder.structure = engine_code, generate_structure(atoms=atoms)
        builder.potential = generate_potential('emt')
        builder.parameters = orm.Dict(
            {
                'ensemble': 'nve', 'temperature_K': temperature_K, 'timestep_fs': 0.5, 'steps': 390,
                'output_interval': 10, 'seed': 7,
            }
        )  # fmt: skip
        results, node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
        runs[f'nickel_{temperature_K:.0f}K'] = results['trajectory']
    return runs


def label(code, frames):
    builder = CalculationFactory('hdiff.label').get_builder()
    builder.code, builder.frames, builder.settings = code, frames, orm.Dict({'calculator': 'emt'})
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results['dataset']


def test_a_random_test_set_and_a_split_lead_back_to_their_runs(nve_runs, aiida_code_installed):
    code = aiida_code_installed(
        label='label', default_calc_job_plugin='hdiff.label', filepath_executable=executable('hdiff-engine')
    )
    training = label(code, frames_from_trajectories(orm.Dict({'stride': 1}), **nve_runs))
    test_set = label(code, frames_from_trajectories(orm.Dict({'n_random': 5, 'seed': 2}), **nve_runs))
    assert (training.n_frames, test_set.n_frames) == (len_of(nve_runs), 10)
    # Energies of the labels are those of the runs, which have the same calculator.
    energies = np.concatenate([energies_of(nve_runs[name]) for name in sorted(nve_runs)])
    np.testing.assert_allclose(training.frames().energies, energies, atol=1e-3)

    everything = dataset_overlap(training, test_set)
    assert everything['equal_structures'] == list(range(10))
    kept = filter_dataset(training, orm.Dict({}))['dataset']
    settings = {'seed': 1, 'by': 'blocks', 'gap_steps': 30, 'timestep_fs': 0.5, 'stratify': 'temperature'}
    parts = split_dataset(kept, orm.Dict(settings))
    record = parts['record'].base.attributes.all
    assert [row['kind'] for row in record['strata']] == ['300 K', '600 K']
    assert all(row['test'] == row['valid'] == 4 for row in record['strata'])
    distances = [one['smallest_distance_fs'] for one in record['nearness'] if one['smallest_distance_fs'] is not None]
    assert min(distances) >= 15.0
    assert dataset_overlap(parts['train'], parts['test'])['equal_structures'] == []
    assert dataset_statistics(parts['train'])['temperatures_K']['of_runs'].keys() == {'300', '600'}

    query = orm.QueryBuilder().append(orm.Node, filters={'id': parts['test'].pk}, tag='test')
    query.append(type(next(iter(nve_runs.values()))), with_descendants='test', project='uuid')
    assert set(query.all(flat=True)) == {run.uuid for run in nve_runs.values()}


def len_of(runs):
    return sum(run.n_frames for run in runs.values())


def energies_of(run):
    with run.reader() as reader:
        return reader.observable('potential_energy')
