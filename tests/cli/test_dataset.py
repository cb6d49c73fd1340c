"""`aiida-hdiff dataset import|split|subsample|statistics`."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from ase.db import connect

from aiida_hdiff.cli.dataset import KINDS
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrames, write_extxyz
from aiida_hdiff.sampling.strata import KINDS as KNOWN_KINDS
from tests.cli.test_import import n_nodes, write_ml_ab_file
from tests.formats.test_labelled_ase_db import labelled
from tests.formats.test_vasp_labels import SYMBOLS, vasprun
from tests.formats.vasp_writer import random_steps, write_outcar
from tests.vasp_fixtures import POTCAR_MARKER


def dataset_of(output):
    return orm.load_node(int(re.search(r'data set (\d+): \d+ frames', output)[1]))


@pytest.fixture
def runs(generate_dataset):
    """Return a stored set of 40 frames of two runs at 300 K and 600 K, all of one composition."""
    frames = generate_dataset(4).frames().select([3] * 40)
    rattled = frames.positions + np.random.default_rng(1).normal(0.0, 0.02, frames.positions.shape)
    frames = replace(frames, positions=rattled, energies=frames.energies + 0.01 * np.arange(40))
    origins = tuple(f'{"cold_300K" if i < 24 else "hot_600K"}:{20 * i}' for i in range(40))
    return LabelledDataset(replace(frames, origins=origins)).store()


# import


def test_import_of_each_format(run_command, generate_dataset):
    frames = generate_dataset(3).frames()
    write_extxyz(frames, 'set.xyz', prefix='REF_')
    output = run_command('dataset', 'import', 'set.xyz', '--prefix', 'REF_', '--label', 'mine')
    assert '[1/1] set.xyz, extxyz, 0.0 MB: 3 frames' in output
    node = dataset_of(output)
    assert (node.label, node.n_frames, node.references) == ('mine', 3, ['emt'])
    assert node.creator.process_label == 'import_extxyz'
    with connect('set.db') as database:
        for atoms in labelled(2):
            database.write(atoms)
    node = dataset_of(run_command('dataset', 'import', 'set.db', '--reference', 'EMT', '--config-type', 'NVT 300 K'))
    assert (node.references, node.base.attributes.get('config_types')) == (['EMT'], ['NVT 300 K'])
    assert node.creator.process_label == 'import_ase_db'
    write_ml_ab_file(Path('ML_ABN'))
    node = dataset_of(run_command('dataset', 'import', 'ML_ABN'))
    assert (node.n_frames, node.creator.process_label) == (4, 'import_ml_ab')
    assert node.frames().origins[0] == 'ML_ABN:1'


def test_import_of_folders_of_vasp_runs(run_command):
    for name, pattern in (('mg_300K', 'dmmd'), ('mg_600K', 'dd')):
        Path(name).mkdir()
        vasprun(Path(name, 'vasprun.xml'), pattern)
    output = run_command('dataset', 'import', 'mg_300K', 'mg_600K', '--keep-duplicates')
    node = dataset_of(output)
    assert node.n_frames == 4
    assert node.frames().origins == ('mg_300K:step 1', 'mg_300K:step 4', 'mg_600K:step 1', 'mg_600K:step 2')
    assert len(node.references) == 1
    assert node.creator.process_label == 'merge_datasets'
    parts = node.creator.base.links.get_incoming(link_label_filter='file%').all_nodes()
    files = [part.creator.inputs.file for part in parts]
    assert {file.filename for file in files} == {'vasprun.xml.gz'}
    assert str(Path.cwd()) not in str([file.base.attributes.all for file in files])


def test_nothing_of_the_potcars_in_an_outcar_is_stored(run_command):
    write_outcar(Path('OUTCAR'), random_steps('dmd'), SYMBOLS[1:], (2, 1))
    text = Path('OUTCAR').read_text()
    Path('OUTCAR').write_text(text.replace(' INCAR:', f' {POTCAR_MARKER}\n INCAR:', 1))
    assert POTCAR_MARKER in Path('OUTCAR').read_text()
    node = dataset_of(run_command('dataset', 'import', 'OUTCAR', '--reference', 'PBE'))
    assert node.n_frames == 2
    assert node.references == ['PBE']
    assert node.frames().origins == ('OUTCAR:step 1', 'OUTCAR:step 3')
    file = node.creator.inputs.file
    assert file.filename == 'OUTCAR.extxyz'
    for stored in (file, node):
        for name in stored.base.repository.list_object_names():
            assert POTCAR_MARKER.encode() not in stored.base.repository.get_object_content(name, mode='rb')


def test_labels_of_different_references_are_refused_and_nothing_is_stored(run_command, generate_dataset):
    write_extxyz(generate_dataset(2).frames(), 'one.xyz')
    write_extxyz(generate_dataset(2, seed=9, reference='other').frames(), 'two.xyz')
    before = n_nodes()
    output = run_command('dataset', 'import', 'one.xyz', 'two.xyz', code=1)
    assert "the labels have different references: 'emt' (in one.xyz), 'other' (in two.xyz)" in output
    assert 'Nothing was stored' in output
    assert n_nodes() == before
    assert dataset_of(run_command('dataset', 'import', 'one.xyz', 'two.xyz', '--allow-mixed-references')).n_frames == 4


def test_equal_frames_of_several_files_are_taken_once(run_command, generate_dataset):
    for name in ('one', 'two'):
        Path(name).mkdir()
        write_extxyz(generate_dataset(3).frames(), f'{name}/set.xyz')
    output = run_command('dataset', 'import', 'one/set.xyz', 'two/set.xyz')
    assert '3 frames are in several files and were taken once' in output
    assert dataset_of(output).n_frames == 3


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('nothing.xyz', None, 'nothing.xyz is no file. Nothing was stored'),
        ('what.dat', 'x', 'the format of what.dat is not clear from its name: give it, one of extxyz'),
        ('set.xyz', 'x', 'set.xyz, frame 0'),
        ('set.db', 'x', 'set.db is no SQLite file'),
        ('vasprun.xml', 'x', 'vasprun.xml, line 1'),
        ('empty', 'folder', 'empty has neither vasprun.xml nor OUTCAR'),
    ],
)
def test_what_cannot_be_imported(run_command, name, content, message):
    if content == 'folder':
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_text(content)
    before = n_nodes()
    output = run_command('dataset', 'import', name, code=1)
    assert message in output
    assert 'Nothing was stored' in output
    assert n_nodes() == before


# split, subsample, statistics


def test_split(run_command, runs):
    output = run_command(
        'dataset', 'split', runs.pk, '--by', 'blocks', '--test', '0.2', '--valid', '4', '--seed', '3',
        '--stratify', 'temperature', '--blocks-per-run', '12', '--timestep-fs', '0.5',
    )  # fmt: skip
    parts = {name: orm.load_node(int(pk)) for name, pk in re.findall(r'(train|valid|test) +data set (\d+)', output)}
    assert set(parts) == {'train', 'valid', 'test'}
    assert sum(node.n_frames for node in parts.values()) == 40
    assert parts['test'].n_frames == pytest.approx(8, abs=2)
    record = orm.load_node(int(re.search(r'record (\d+)', output)[1]))
    settings = record.base.attributes.get('settings')
    assert (settings['test'], settings['valid'], settings['seed'], settings['by']) == (0.2, 4, 3, 'blocks')
    assert settings['stratify'] == ['temperature']
    assert re.search(r'  300 K: \d+ train, \d+ valid, \d+ test', output)
    assert re.search(r'train and test: 20 steps apart at least \(10 fs\)', output)
    nearness = record.base.attributes.get('nearness')
    assert [one['parts'] for one in nearness] == [['train', 'valid'], ['train', 'test'], ['valid', 'test']]


def test_a_split_without_one_part_and_with_a_gap(run_command, runs):
    output = run_command('dataset', 'split', runs.pk, '--valid', '0', '--by', 'blocks', '--gap-steps', '40')
    assert 'valid' not in output
    assert re.search(r'left out: \d+ too near in time', output)


@pytest.mark.parametrize(
    ('options', 'code', 'message'),
    [
        (['--test', '1.5'], 1, '`test` is 1.5: a fraction is between 0 and 1'),
        (['--test', '50'], 1, 'leave too few for train'),
        (['--test', 'some'], 2, "'some' is no number"),
        (['--stratify', 'pressure'], 2, "'pressure' is not one of"),
        (['--gap-steps', '5'], 1, '`gap_steps` belongs to `by: blocks`'),
    ],
)
def test_splits_that_cannot_be_made(run_command, runs, options, code, message):
    assert message in run_command('dataset', 'split', runs.pk, *options, code=code)


def test_the_command_knows_all_kinds():
    assert KINDS == KNOWN_KINDS


def test_another_node_is_refused(run_command, generate_trajectory):
    node = generate_trajectory().store()
    for command in ('split', 'subsample', 'statistics'):
        assert 'is a MDTrajectory, not of the type hdiff.dataset' in run_command('dataset', command, node.pk, code=1)


def test_subsample(run_command, runs):
    output = run_command('dataset', 'subsample', runs.pk, '--n-random', '10', '--stratify', 'temperature')
    assert re.search(r'data set \d+: 10 of 40 frames', output)
    assert '  300 K: 6 of 24' in output
    assert re.search(r'data set \d+: 4 of 40 frames', run_command('dataset', 'subsample', runs.pk, '--stride', '10'))
    assert 'give exactly one of' in run_command('dataset', 'subsample', runs.pk, code=1)


def test_statistics(run_command, runs):
    frames = runs.frames()
    doubled = LabelledDataset(LabelledFrames.concatenate([frames, frames.select(np.arange(2))])).store()
    output = run_command('dataset', 'statistics', doubled.pk)
    node = orm.load_node(int(re.search(r'statistics (\d+)', output)[1]))
    assert node.creator.inputs.dataset.uuid == doubled.uuid
    assert '42 frames' in output
    assert '2 frames repeat the structure of another' in output
    assert 'temperature: 300 to 600 K in 42 frames' in output
    assert 'reference emt: 42 frames' in output
    assert re.search(r'HCu4: 42 frames, -?\d+\.\d{4} eV/atom, spread \d+\.\d meV/atom', output)
    found = json.loads(run_command('dataset', 'statistics', doubled.pk, '--json'))
    assert found == node.get_dict()
