"""Calcfunctions that split, subsample and describe data sets: outputs, records, provenance and caching."""

import json
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_hdiff.calculations.datasets import frames_from_trajectories
from aiida_hdiff.calculations.splits import dataset_overlap, dataset_statistics, split_dataset, subsample_dataset
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.formats.origins import parse_origins
from aiida_hdiff.sampling.splits import PARTS
from tests.data.test_dataset import assert_equal


@pytest.fixture(scope='module')
def runs():
    """Return labelled frames of two runs of dynamics at 300 K and 600 K, 30 and 20 of them."""
    rng = np.random.default_rng(6)
    found = []
    for name, count in (('cold_300K', 30), ('hot_600K', 20)):
        for index in range(count):
            forces = rng.normal(size=(3, 3))
            found.append(
                LabelledFrame(
                    numbers=np.array([12, 12, 1]), positions=np.diag([1.0, 3.0, 5.0]) + 0.1 * rng.random((3, 3)),
                    cell=7.0 * np.eye(3), energy=float(rng.normal()), forces=forces - forces.mean(axis=0),
                    origin=f'{name}:{20 * index}', reference='PBE',
                )
            )  # fmt: skip
    return LabelledFrames.from_frames(found)


@pytest.fixture
def dataset(runs, aiida_profile):
    """Return them as a node."""
    return LabelledDataset(runs)


def split(dataset, **settings):
    return split_dataset(dataset, orm.Dict({'seed': 1, **settings}))


def test_the_parts_are_the_frames_of_the_record(dataset, runs):
    settings = {'test': 0.2, 'valid': 5, 'stratify': 'temperature'}
    results = split(dataset, **settings)
    assert set(results) == {'train', 'valid', 'test', 'record'}
    record = results['record']
    parts = record.get_array('part')
    for code, name in enumerate(PARTS):
        assert_equal(results[name].frames(), runs.select(np.flatnonzero(parts == code)))
        assert results[name].label.endswith(f'({name})')
    assert [results[name].n_frames for name in PARTS] == [35, 5, 10]
    attributes = record.base.attributes.all
    assert attributes['settings'] == {'seed': 1, **settings}
    assert attributes['n_frames'] == attributes['n_wanted'] == {'train': 35, 'valid': 5, 'test': 10}
    assert attributes['strata'] == [
        {'kind': '300 K', 'train': 21, 'valid': 3, 'test': 6},
        {'kind': '600 K', 'train': 14, 'valid': 2, 'test': 4},
    ]
    assert (attributes['parts'], attributes['reasons'][0]) == (['train', 'valid', 'test'], 'assigned')
    assert record.creator.uuid == results['test'].creator.uuid
    assert record.creator.inputs.dataset.uuid == dataset.uuid
    assert record.creator.process_label == 'split_dataset'
    json.dumps(attributes)


def test_the_record_reports_how_near_in_time_the_parts_are(dataset, runs):
    results = split(dataset, by='blocks', gap_steps=60, timestep_fs=0.5)
    record = results['record']
    nearness = {tuple(one['parts']): one for one in record.base.attributes.get('nearness')}
    origins = [parse_origins(results[name].frames()) for name in ('train', 'test')]
    expected = min(abs(a.step - b.step) for a in origins[0] for b in origins[1] if a.run == b.run)
    found = nearness['train', 'test']
    assert found['smallest_distance_steps'] == expected >= 60
    assert found['smallest_distance_fs'] == 0.5 * expected
    assert record.base.attributes.get('left_out')['too near in time'] == (record.get_array('reason') == 2).sum() > 0
    tested = np.flatnonzero(record.get_array('part') == 2)
    assert record.get_array('steps_to_train')[tested].min() == expected
    assert (record.get_array('steps_to_train')[record.get_array('part') == 0] == 0).all()
    warnings = record.base.attributes.get('warnings')
    assert not [text for text in warnings if 'pairs of neighbours' in text]


def test_neighbours_are_warned_of(dataset):
    random = split(dataset)['record'].base.attributes.get('warnings')
    assert any('in train and test, the nearest 20 steps apart' in text and 'split by blocks' in text for text in random)
    blocks = split(dataset, by='blocks')['record'].base.attributes.get('warnings')
    assert any('set `gap_steps`' in text for text in blocks)
    assert split(dataset)['record'].base.attributes.get('nearness')[0]['smallest_distance_fs'] is None


def test_a_part_that_is_not_wanted_is_not_there(dataset):
    assert set(split(dataset, valid=0)) == {'train', 'test', 'record'}
    assert set(split(dataset, test=None)) == {'train', 'valid', 'record'}


def hashes(nodes):
    return {name: node.base.caching.compute_hash() for name, node in sorted(nodes.items())}


@pytest.mark.parametrize(
    ('function', 'settings'),
    [
        (split_dataset, {'seed': 1, 'by': 'blocks', 'stratify': ['temperature', 'run']}),
        (subsample_dataset, {'seed': 1, 'n_random': 7, 'stratify': 'temperature'}),
    ],
)
def test_equal_inputs_have_equal_hashes_and_are_served_from_the_cache(runs, aiida_profile, function, settings):
    first, node = function.run_get_node(LabelledDataset(runs), orm.Dict(settings))
    again, other = function.run_get_node(LabelledDataset(replace(runs)), orm.Dict(dict(reversed(settings.items()))))
    assert node.base.caching.compute_hash() == other.base.caching.compute_hash()
    assert hashes(first) == hashes(again)
    with enable_caching():
        cached, served = function.run_get_node(LabelledDataset(runs), orm.Dict(settings))
    assert served.base.caching.is_created_from_cache
    assert hashes(cached) == hashes(first)
    _, changed = function.run_get_node(LabelledDataset(runs), orm.Dict({**settings, 'seed': 2}))
    assert changed.base.caching.compute_hash() != node.base.caching.compute_hash()


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'test': 1.2}, '`test` is 1.2: a fraction is between 0 and 1'),
        ({'test': 0.7, 'valid': 0.7}, 'add up to more than 1'),
        ({'test': 60}, 'leave too few for train'),
        ({'test': 0.001}, 'which is none'),
        ({'seed': None}, '`seed` is missing'),
        ({'stratify': 'temprature'}, "'temprature' is nothing to stratify by"),
        ({'stratify': 5}, '`stratify` is 5: give a word'),
        ({'tset': 0.1}, 'unknown setting `tset`: did you mean `test`?'),
        ({'timestep_fs': -1}, '`timestep_fs` is -1'),
        ({'by': 'blocks', 'block_steps': 600, 'test': 0.1, 'valid': 0}, 'Make the blocks shorter or the part larger'),
    ],
)
def test_splits_that_cannot_be_made(dataset, settings, message):
    with pytest.raises(ValueError) as caught:
        split(dataset, **settings)
    assert message in str(caught.value)


def test_frames_without_temperatures_cannot_be_stratified_by_them(generate_dataset):
    with pytest.raises(ValueError, match='20 of 20 frames tell no temperature'):
        split(generate_dataset(20), stratify='temperature')


def test_subsample(dataset, runs):
    results = subsample_dataset(dataset, orm.Dict({'fraction': 0.2, 'seed': 3, 'stratify': ['temperature']}))
    record = results['record'].get_dict()
    assert_equal(results['dataset'].frames(), runs.select(record['indices']))
    assert (record['n_frames'], record['n_kept']) == (50, 10)
    assert record['strata'] == [
        {'kind': '300 K', 'before': 30, 'after': 6},
        {'kind': '600 K', 'before': 20, 'after': 4},
    ]
    every = subsample_dataset(dataset, orm.Dict({'stride': 20, 'start': 5}))
    assert every['dataset'].frames().origins == ('cold_300K:100', 'cold_300K:500', 'hot_600K:300')


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'give exactly one of'),
        ({'n_random': 3}, '`seed` is missing'),
        ({'n_random': 51, 'seed': 1}, 'there are 50 frames'),
        ({'n_random': 2.5, 'seed': 1}, '`n_random` is 2.5: give a whole number'),
        ({'stratify': 'run'}, '`stratify` belongs to `n_random`'),
        ({'stride': 2, 'stratify': 'run'}, '`stratify` belongs to `n_random` and `fraction`'),
        ({'stride': 'x'}, "`stride` is 'x'"),
        ({'fraction': 2.5, 'seed': 1}, '`fraction` is 2.5'),
    ],
)
def test_subsamples_that_cannot_be_made(dataset, settings, message):
    with pytest.raises(ValueError) as caught:
        subsample_dataset(dataset, orm.Dict(settings))
    assert message in str(caught.value)


def test_statistics(dataset, runs):
    node = dataset_statistics(dataset)
    assert node['n_frames'] == 50
    assert node['temperatures_K']['of_runs'] == {'300': 30, '600': 20}
    assert node['compositions']['HMg2']['energy_eV_per_atom']['std'] == pytest.approx((runs.energies / 3).std())
    assert node.creator.inputs.dataset.uuid == dataset.uuid
    assert len(dataset_statistics(dataset, orm.Dict({'n_listed': 1}))['runs']['largest']) == 1
    with pytest.raises(ValueError, match='unknown setting `nlisted`: did you mean `n_listed`'):
        dataset_statistics(dataset, orm.Dict({'nlisted': 1}))


def test_overlap_of_two_sets(runs, aiida_profile):
    train, test = LabelledDataset(runs.select([0, 1, 2, 30])), LabelledDataset(runs.select([2, 5, 40, 29]))
    found = dataset_overlap(train, test)
    assert found['equal_structures'] == [0]
    assert found['steps_to_train'] == [0, 60, 200, 540]
    assert found['nearness']['frames'] == [2, 0]
    assert found.creator.inputs.train.uuid == train.uuid
    apart = dataset_overlap(LabelledDataset(runs.select([0, 4])), LabelledDataset(runs.select([7, 8])))
    assert apart['equal_structures'] == []
    assert (apart['nearness']['smallest_distance_steps'], apart['nearness']['frames']) == (60, [1, 0])
    other = dataset_overlap(LabelledDataset(runs.select([0])), LabelledDataset(runs.select([45])))
    assert (other['nearness']['smallest_distance_steps'], other['steps_to_train']) == (None, [-1])


def test_a_random_test_set_of_an_nve_run_is_labelled_and_keeps_its_place(generate_trajectory, aiida_profile):
    """The test set of the reference study: frames drawn at random from an NVE run, which then wait for labels."""
    trajectory = generate_trajectory(np.random.default_rng(2).normal(0.0, 1.0, (40, 5, 3)), steps=5 * np.arange(40))
    settings = orm.Dict({'n_random': 10, 'seed': 4, 'config_type': 'NVE 600 K'})
    frames = frames_from_trajectories(settings, mg16h=trajectory.store()).frames()
    origins = parse_origins(frames)
    assert {one.temperature_K for one in origins} == {600.0}
    assert {one.run for one in origins} == {'mg16h'}
    assert len({one.step for one in origins}) == 10


def test_entry_points():
    from aiida.plugins import CalculationFactory

    for name in (
        'split_dataset',
        'subsample_dataset',
        'dataset_statistics',
        'dataset_overlap',
        'import_vasprun',
        'import_ase_db',
    ):
        assert CalculationFactory(f'hdiff.{name}').is_process_function
