"""Data sets and configurations as nodes: content, attributes for queries, files."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from ase.calculators.emt import EMT
from ase.io import read

from aiida_hdiff.calculations.datasets import filter_dataset, import_ml_ab
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import read_extxyz, read_ml_ab
from aiida_hdiff.formats.configurations import Configurations
from tests.conftest import copper_frames
from tests.formats.test_labelled import ARRAYS, TEXTS


def assert_equal(found, expected, arrays=ARRAYS, texts=TEXTS):
    for name in arrays:
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    for name in texts:
        assert getattr(found, name) == getattr(expected, name)


def changed(dataset, **values):
    return LabelledDataset(replace(dataset.frames(), **values))


@pytest.mark.parametrize('stored', [False, True])
def test_the_frames_come_back_bit_by_bit(generate_dataset, stored):
    frames = generate_dataset().frames()
    strange = replace(
        frames,
        origins=('Ångström\n', '"', '', 'a\\b'),
        stresses=np.where(np.arange(4)[:, None] == 1, np.nan, frames.stresses),
        scf_converged=np.array([1, 0, -1, 1], dtype=np.int8),
        ctifors=np.array([np.nan, 0.1, 1e-300, np.nan]),
        pbc=np.array([[True, False, True]] * 4),
    )
    node = LabelledDataset(strange)
    assert_equal((orm.load_node(node.store().pk) if stored else node).frames(), strange)


def test_attributes(generate_dataset):
    node = generate_dataset(6)
    energies = [(atoms.calc, atoms.get_potential_energy() / len(atoms))[1] for atoms in with_emt(6)]
    forces = np.concatenate([atoms.get_forces() for atoms in with_emt(6)])
    attributes = {key: value for key, value in node.base.attributes.all.items() if not key.startswith('array|')}
    expected = {
        'n_frames': 6, 'n_atoms_min': 2, 'n_atoms_max': 5, 'elements': ['H', 'Cu'], 'config_types': ['rattled'],
        'references': ['emt'], 'has_stress': True, 'n_with_stress': 6, 'n_not_converged': 0,
    }  # fmt: skip
    numbers = {
        'energy_min_eV_per_atom': min(energies),
        'energy_max_eV_per_atom': max(energies),
        'force_max_eV_A': np.linalg.norm(forces, axis=1).max(),
        'force_rms_eV_A': np.sqrt((forces**2).mean()),
    }
    assert {key: attributes.pop(key) for key in numbers} == pytest.approx(numbers, rel=1e-12)
    assert attributes == expected


def with_emt(n_frames):
    for atoms in copper_frames(n_frames):
        atoms.calc = EMT()
        yield atoms


def test_sets_are_found_by_their_attributes(generate_dataset, aiida_profile_clean):
    generate_dataset(2).store()
    wanted = generate_dataset(5, reference='other').store()
    query = orm.QueryBuilder().append(
        LabelledDataset,
        filters={'attributes.n_frames': {'>': 3}, 'attributes.references': {'contains': ['other']}},
        project='id',
    )
    assert query.all(flat=True) == [wanted.pk]


def test_equal_data_hash_equally_whatever_their_memory_layout(generate_dataset):
    frames = generate_dataset().frames()
    other = replace(
        frames,
        positions=np.asfortranarray(frames.positions),
        ctifors=np.frombuffer(np.array([0xFFF8000000000001] * 4, dtype='<u8').tobytes(), dtype='<f8'),
    )
    assert np.isnan(other.ctifors).all()
    hashes = [LabelledDataset(one).store().base.caching.get_hash() for one in (frames, other)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize('name', ['positions', 'forces', 'energies', 'cells', 'stresses'])
def test_another_number_is_another_hash(generate_dataset, name):
    frames = generate_dataset().frames()
    values = getattr(frames, name).copy()
    values.flat[0] = np.nextafter(values.flat[0], 10.0)
    other = changed(generate_dataset(), **{name: values})
    assert other.store().base.caching.get_hash() != generate_dataset().store().base.caching.get_hash()


def test_another_origin_is_another_hash(generate_dataset):
    other = changed(generate_dataset(), origins=('md:0', 'md:10', 'md:20', 'md:31'))
    assert other.store().base.caching.get_hash() != generate_dataset().store().base.caching.get_hash()


def test_to_ase(generate_dataset):
    for found, atoms in zip(generate_dataset().to_ase(), with_emt(4), strict=True):
        np.testing.assert_array_equal(found.positions, atoms.positions)
        assert found.get_potential_energy() == atoms.get_potential_energy()
        np.testing.assert_array_equal(found.get_forces(), atoms.get_forces())
        np.testing.assert_array_equal(found.get_stress(), atoms.get_stress())
        assert found.info['reference'] == 'emt'


def test_export_as_extxyz(generate_dataset, tmp_path):
    node = generate_dataset().store()
    node.export(tmp_path / 'set.extxyz')
    assert_equal(read_extxyz(tmp_path / 'set.extxyz'), node.frames())
    assert len(read(tmp_path / 'set.extxyz', ':')) == 4


def test_export_as_ml_ab(generate_dataset, tmp_path):
    node = generate_dataset().store()
    node.export(tmp_path / 'ML_AB', fileformat='ml_ab')
    ml_ab = read_ml_ab(tmp_path / 'ML_AB')
    assert len(ml_ab) == 4
    assert sorted(frame.energy for frame in ml_ab) == pytest.approx(sorted(node.frames().energies), rel=1e-14)


@pytest.mark.parametrize('name', ['vasp-interactive/ML_AB.H2', 'FPdataViewer/ML_AB_BiO_small'])
def test_files_of_vasp_through_a_node(name, tmp_path):
    """ML_AB of VASP, a data set, extended xyz and ML_AB again; decisions about its frames are in the graph."""
    samples = os.environ.get('HDIFF_VASP_SAMPLES')
    if samples is None:
        pytest.skip('HDIFF_VASP_SAMPLES does not name a folder with files of VASP')
    path = Path(samples) / name
    file = orm.SinglefileData(path, filename='ML_AB')
    node = import_ml_ab(file, orm.Dict({'reference': 'PBE'}))
    original = read_ml_ab(path)
    frames = orm.load_node(node.pk).frames()
    np.testing.assert_array_equal(frames.energies, [frame.energy for frame in original])
    np.testing.assert_array_equal(frames[2].positions, original[2].positions)
    np.testing.assert_array_equal(frames[2].forces, original[2].forces)
    kbar = original[2].stress_kbar[[0, 1, 2, 4, 5, 3]]
    np.testing.assert_allclose(frames[2].stress, -kbar / 1602.176634, rtol=1e-14)
    assert frames.origins[2] == 'ML_AB:3'
    node.export(tmp_path / 'set.extxyz')
    assert_equal(read_extxyz(tmp_path / 'set.extxyz'), frames)
    node.export(tmp_path / 'ML_AB', fileformat='ml_ab')
    for one, other in zip(read_ml_ab(tmp_path / 'ML_AB'), original, strict=True):
        for field in ('cell', 'positions', 'forces', 'energy', 'ctifor'):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        np.testing.assert_allclose(one.stress_kbar, other.stress_kbar, rtol=1e-14)
    results = filter_dataset(node, orm.Dict({'max_force_error_eV_A': 0.01}))
    decisions = results['decisions'].get_dict()
    assert decisions['n_kept'] + len(decisions['left_out']) == decisions['n_frames'] == len(original)
    assert results['dataset'].n_frames == sum(decisions['kept']) == decisions['n_kept']
    assert results['decisions'].creator.inputs.dataset.uuid == node.uuid


def test_configurations(generate_configurations):
    node = generate_configurations(5).store()
    found = orm.load_node(node.pk)
    assert (found.n_frames, found.elements) == (5, ['H', 'Cu'])
    expected = Configurations.from_ase(copper_frames(5), [f'md:{10 * i}' for i in range(5)], ['rattled'] * 5)
    arrays = ('numbers', 'positions', 'offsets', 'cells', 'pbc')
    assert_equal(found.frames(), expected, arrays, ('origins', 'config_types'))
    for atoms, original in zip(found.to_ase(), copper_frames(5), strict=True):
        assert atoms == original
        assert atoms.info['config_type'] == 'rattled'
    assert 'references' not in found.base.attributes.all


def test_empty_sets_are_refused(generate_dataset):
    with pytest.raises(ValueError, match='no frames: give at least one'):
        LabelledDataset(generate_dataset().frames()[:0])
    with pytest.raises(ValueError, match='no structures: give at least one'):
        Configurations.from_ase([], [])


def test_nodes_without_content_are_not_stored():
    from aiida.common.exceptions import ValidationError

    for cls in (LabelledDataset, ConfigurationsData):
        node = cls.__new__(cls)
        orm.ArrayData.__init__(node)
        with pytest.raises(ValidationError, match='no configurations'):
            node.store()
