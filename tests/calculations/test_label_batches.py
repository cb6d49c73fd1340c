"""Frames cut into jobs and put together again: order of atoms and frames, origins, references."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.label_batches import frame_structures, gather_labels, species_order, split_frames
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats.configurations import Configurations
from tests.data.test_dataset import assert_equal

RECORD = {'n_failed': 1, 'failures': [{'frame': 2, 'origin': 'md:20', 'reason': 'x'}], 'n_jobs': 3, 'emulated': False}
STRUCTURE = ('numbers', 'positions', 'offsets', 'cells', 'pbc')


@pytest.fixture
def mixed(generate_dataset):
    """Give a data set whose hydrogen atoms stand between those of copper."""
    frames = generate_dataset(4).frames()
    images = []
    for index, frame in enumerate(frames):
        order = np.random.default_rng(index).permutation(len(frame.numbers))
        arrays = {name: getattr(frame, name)[order] for name in ('numbers', 'positions', 'forces')}
        images.append(replace(frame, **arrays))
    return LabelledDataset(type(frames).from_frames(images))


@pytest.mark.parametrize(
    ('numbers', 'order'),
    [([12, 1, 12, 28, 1], [0, 2, 1, 4, 3]), ([1, 1], [0, 1]), ([1, 12, 1], [0, 2, 1]), ([8], [0])],
)
def test_species_in_the_order_of_their_first_atoms(numbers, order):
    assert species_order(np.array(numbers)).tolist() == order


def test_splitting(mixed):
    nodes = split_frames(mixed, orm.Dict({'batch_000': [0, 2], 'batch_001': [3]}))
    assert_equal(
        nodes['batch_000'].frames(), Configurations.from_labelled(mixed.frames()).select([0, 2]), STRUCTURE, ()
    )
    assert nodes['batch_001'].frames().origins == ('md:30',)
    assert nodes['batch_000'].creator.inputs.frames.uuid == mixed.uuid


def sorted_parts(mixed, chosen):
    """Return what VASP jobs would give for structures in the order of POSCAR."""
    batches = {f'frame_{index:05d}{suffix}': [index] for index, suffix in chosen}
    structures = frame_structures(mixed, orm.Dict(batches))
    parts = {}
    for name, (index,) in batches.items():
        atoms, frame = structures[name].get_ase(), mixed.frames()[index]
        order = species_order(frame.numbers)
        assert atoms.numbers.tolist() == frame.numbers[order].tolist()
        assert len(structures[name].get_ase().symbols.formula._tree) <= 2
        labelled = replace(
            frame, numbers=atoms.numbers.astype(np.int64), positions=atoms.positions, cell=atoms.cell.array,
            forces=frame.forces[order], origin='', config_type='', reference='vasp:0',
        )  # fmt: skip
        parts[name] = LabelledDataset(type(mixed.frames()).from_frames([labelled]))
    return parts


def test_forces_return_to_their_atoms(mixed):
    parts = sorted_parts(mixed, [(3, ''), (0, '_2'), (1, '')])
    outputs = gather_labels(mixed, orm.Dict(RECORD), **parts)
    expected = mixed.frames().select([0, 1, 3])
    assert_equal(outputs['dataset'].frames(), replace(expected, references=('vasp:0',) * 3))
    assert outputs['results'].get_dict() == {'n_frames': 4, 'n_labelled': 3, 'reference': 'vasp:0', **RECORD}


def test_batches_and_previous_labels_are_put_in_their_places(generate_dataset):
    dataset = generate_dataset(6)
    frames = ConfigurationsData(Configurations.from_labelled(dataset.frames()))
    batches = {
        'b': LabelledDataset(dataset.frames().select([5, 2])),
        'a': LabelledDataset(dataset.frames().select([3])),
    }
    previous = LabelledDataset(dataset.frames().select([2, 0]))
    found = gather_labels(frames, orm.Dict(RECORD), previous=previous, **batches)['dataset'].frames()
    assert_equal(found, dataset.frames().select([0, 2, 3, 5]))


def test_equal_frames_share_their_labels(generate_dataset):
    once = generate_dataset(2)
    twice = Configurations.from_labelled(once.frames().select([0, 1, 0]))
    outputs = gather_labels(ConfigurationsData(replace(twice, origins=('a', 'b', 'c'))), orm.Dict(RECORD), part=once)
    assert outputs['dataset'].frames().origins == ('a', 'b', 'c')
    assert outputs['dataset'].frames().energies[2] == once.frames().energies[0]


def test_nothing_labelled(generate_configurations):
    outputs = gather_labels(generate_configurations(), orm.Dict(RECORD))
    assert set(outputs) == {'results'}
    assert (outputs['results']['n_labelled'], outputs['results']['reference']) == (0, None)


def test_parts_that_do_not_belong_together(mixed, generate_dataset):
    parts = sorted_parts(mixed, [(0, ''), (1, '')])
    with pytest.raises(ValueError, match='frame_00003 has the labels of another structure than configuration 3'):
        gather_labels(mixed, orm.Dict(RECORD), frame_00003=parts['frame_00000'])
    other = LabelledDataset(replace(mixed.frames(), references=('emt',) * 4))
    with pytest.raises(ValueError, match='different references: emt, vasp:0'):
        gather_labels(mixed, orm.Dict(RECORD), **parts, rest=other)
