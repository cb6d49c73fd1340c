"""Calcfunctions on configurations and data sets: choice, import, joining, filtering; provenance of each."""

import io
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.datasets import (
    filter_dataset,
    frames_from_dataset,
    frames_from_structures,
    frames_from_trajectories,
    import_extxyz,
    import_ml_ab,
    merge_datasets,
)
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import ml_ab_from_labelled, write_extxyz, write_ml_ab
from tests.data.test_dataset import assert_equal


@pytest.fixture
def trajectory(generate_trajectory):
    """Give a stored trajectory of 20 frames, at every fifth step, with atoms outside the cell."""
    positions = np.random.default_rng(2).normal(0.0, 5.0, (20, 5, 3))
    return generate_trajectory(positions, steps=5 * np.arange(20)).store()


def choose(trajectory, **settings):
    return frames_from_trajectories(orm.Dict(settings), hot=trajectory)


@pytest.mark.parametrize(
    ('settings', 'steps'),
    [
        ({'indices': [3, 0, -1]}, [15, 0, 95]),
        ({'indices': {'hot': [7]}}, [35]),
        ({'stride': 6}, [0, 30, 60, 90]),
        ({'stride': 6, 'start': 10}, [50, 80]),
    ],
)
def test_frames_are_chosen(trajectory, settings, steps):
    node = choose(trajectory, **settings)
    assert node.frames().origins == tuple(f'hot:{step}' for step in steps)
    for atoms, step in zip(node.to_ase(), steps, strict=True):
        shift = (atoms.positions - trajectory.get_positions()[step // 5]) / 7.04
        np.testing.assert_allclose(shift, np.round(shift), atol=1e-5)
        assert (atoms.get_scaled_positions(wrap=False) >= -1e-9).all()
        assert (atoms.get_scaled_positions(wrap=False) < 1.0).all()


def test_random_frames_come_from_the_seed(trajectory):
    one, same, other = (choose(trajectory, n_random=8, start=4, seed=seed).frames().origins for seed in (1, 1, 2))
    assert one == same != other
    steps = [int(origin.split(':')[1]) for origin in one]
    assert steps == sorted(set(steps))
    assert len(steps) == 8
    assert min(steps) >= 20


def test_frames_of_several_trajectories(trajectory, generate_trajectory):
    other = generate_trajectory(np.zeros((3, 2, 3)) + np.arange(2)[:, None], numbers=[12, 1]).store()
    settings = orm.Dict({'indices': {'hot': [1], 'a': [2, 0]}, 'config_type': 'md'})
    node = frames_from_trajectories(settings, hot=trajectory, a=other)
    assert node.frames().origins == ('a:2', 'a:0', 'hot:5')
    assert (node.elements, node.base.attributes.get('n_atoms_max')) == (['H', 'Mg', 'Ni'], 5)
    assert {node.base.attributes.get('config_types')[0]} == {'md'}
    creator = node.creator
    assert {creator.inputs.hot.uuid, creator.inputs.a.uuid} == {trajectory.uuid, other.uuid}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'give exactly one of `indices`, `stride` and `n_random`, not none'),
        ({'stride': 2, 'indices': [1]}, 'not indices, stride'),
        ({'strde': 2}, 'unknown setting `strde`: did you mean `stride`?'),
        ({'stride': 0}, '`stride` is 0: give a whole number of at least 1'),
        ({'stride': 2, 'start': -1}, '`start` is -1'),
        ({'n_random': 3}, '`seed` is missing: random frames need one'),
        ({'n_random': 30, 'seed': 1}, '`n_random` is 30, but hot has 20 frames from 0 on: reduce it'),
        ({'indices': [20]}, '`indices` of hot are [20]: give a list of numbers from 0 to 19'),
        ({'indices': {'cold': [1]}}, '`indices` of hot are None'),
        ({'stride': 1, 'start': 99}, 'no structures: give at least one'),
    ],
)
def test_choices_that_cannot_be_made(trajectory, settings, message):
    with pytest.raises(ValueError) as caught:
        choose(trajectory, **settings)
    assert message in str(caught.value)


def test_frames_from_structures(generate_structure):
    node = frames_from_structures(orm.Dict({}), b=generate_structure(1), a=generate_structure(2))
    assert node.frames().origins == ('a', 'b')
    assert [len(atoms) for atoms in node.to_ase()] == [33, 5]


def test_frames_from_a_dataset(generate_dataset):
    dataset = generate_dataset(5)
    node = frames_from_dataset(dataset, orm.Dict({'stride': 2}))
    expected = dataset.frames().select([0, 2, 4])
    assert_equal(node.frames(), expected, ('numbers', 'positions', 'offsets', 'cells', 'pbc'), ('origins',))


def test_import_extxyz(generate_dataset):
    frames = generate_dataset(3).frames()
    stream = io.StringIO()
    bare = replace(frames, references=('', 'own', ''), origins=('', 'x', ''), config_types=('', '', ''))
    write_extxyz(bare, stream, prefix='REF_')
    file = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()), filename='set.extxyz')
    node = import_extxyz(file, orm.Dict({'prefix': 'REF_', 'reference': 'PBE', 'config_type': 'bulk'}))
    found = node.frames()
    assert found.origins == ('set.extxyz:0', 'x', 'set.extxyz:2')
    assert found.references == ('PBE', 'own', 'PBE')
    assert_equal(found, replace(frames, references=found.references), texts=('references',))
    assert set(found.config_types) == {'bulk'}
    assert node.creator.inputs.file.uuid == file.uuid
    assert node.label == '3 frames of H Cu'


def test_import_ml_ab(generate_dataset):
    frames = generate_dataset(3).frames()
    stream = io.StringIO()
    write_ml_ab(ml_ab_from_labelled(frames), stream)
    file = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()), filename='ML_ABN')
    node = import_ml_ab(file, orm.Dict({'reference': 'PBE'}))
    assert node.frames().origins == ('ML_ABN:1', 'ML_ABN:2', 'ML_ABN:3')
    assert node.references == ['PBE']
    assert sorted(node.frames().energies) == pytest.approx(sorted(frames.energies), rel=1e-14)
    cut = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()[:-300]), filename='ML_ABN')
    with pytest.raises(ValueError, match='line'):
        import_ml_ab(cut, orm.Dict({}))
    assert import_ml_ab(cut, orm.Dict({'allow_truncated': True})).n_frames == 2


def test_files_that_cannot_be_imported():
    file = orm.SinglefileData(io.BytesIO(b'hello'), filename='set.extxyz')
    with pytest.raises(ValueError, match=r'^set[.]extxyz, frame 0'):
        import_extxyz(file, orm.Dict({}))
    with pytest.raises(ValueError, match='unknown setting `prefx`: did you mean'):
        import_extxyz(file, orm.Dict({'prefx': 'REF_'}))


def test_merge(generate_dataset):
    one, other = generate_dataset(3), generate_dataset(4, seed=8)
    both = LabelledDataset(other.frames().concatenate([other.frames(), one.frames().select([2, 0])]))
    results = merge_datasets(orm.Dict({}), b=both, a=one)
    expected = one.frames().concatenate([one.frames(), other.frames()])
    assert_equal(results['dataset'].frames(), expected)
    assert results['decisions'].get_dict() == {
        'n_frames': {'a': 3, 'b': 6},
        'n_kept': 7,
        'references': ['emt'],
        'duplicates': [{'left_out': ['b', 4], 'kept': ['a', 2]}, {'left_out': ['b', 5], 'kept': ['a', 0]}],
    }
    assert merge_datasets(orm.Dict({'keep_duplicates': True}), b=both, a=one)['dataset'].n_frames == 9


def test_mixed_reference_levels_are_refused(generate_dataset):
    one, other = generate_dataset(2, reference='gpaw-1'), generate_dataset(2, seed=8, reference='gpaw-2')
    with pytest.raises(ValueError) as caught:
        merge_datasets(orm.Dict({}), a=one, b=other)
    assert "the labels have different references: 'gpaw-1' (in a), 'gpaw-2' (in b). Label again" in str(caught.value)
    merged = merge_datasets(orm.Dict({'allow_mixed_references': True}), a=one, b=other)['dataset']
    assert merged.references == ['gpaw-1', 'gpaw-2']
    with pytest.raises(ValueError, match='different references'):
        merge_datasets(orm.Dict({}), a=one, b=generate_dataset(2, seed=8, reference=''))
    with pytest.raises(ValueError, match='no data sets: give at least one'):
        merge_datasets(orm.Dict({}))


def test_filter(generate_dataset):
    frames = generate_dataset(5).frames()
    forces = frames.forces.copy()
    forces[frames.offsets[1] : frames.offsets[2]] += 0.3
    converged = np.array([1, 1, -1, 0, 1], dtype=np.int8)
    dataset = LabelledDataset(replace(frames, forces=forces, scf_converged=converged))
    results = filter_dataset(dataset, orm.Dict({}))
    assert_equal(results['dataset'].frames(), dataset.frames().select([0, 2, 4]))
    decisions = results['decisions']
    assert decisions['kept'] == [True, False, True, False, True]
    assert decisions['left_out'] == [
        {'frame': 1, 'origin': 'md:10', 'reasons': ['net force']},
        {'frame': 3, 'origin': 'md:30', 'reasons': ['scf not converged']},
    ]
    assert decisions['settings'] == {
        'max_force_error_eV_A': 0.1, 'max_force_eV_A': None, 'keep_unconverged': False,
    }  # fmt: skip
    assert decisions['force_error_eV_A'][1] == pytest.approx(0.3 * np.sqrt(3) * np.sqrt(3), rel=1e-6)
    assert filter_dataset(dataset, orm.Dict({'keep_unconverged': True}))['dataset'].n_frames == 4


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'max_force_eV_A': 1e-9}, 'no frame is left of 4 (largest force): relax the settings'),
        ({'max_force_eV_A': -1}, 'max_force_eV_A must be positive or None, not -1'),
        ({'max_forces': 1}, 'unknown setting `max_forces`: did you mean `max_force_eV_A`?'),
    ],
)
def test_filters_that_cannot_be_applied(generate_dataset, settings, message):
    with pytest.raises(ValueError) as caught:
        filter_dataset(generate_dataset(), orm.Dict(settings))
    assert message in str(caught.value)
