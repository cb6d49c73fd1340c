"""Databases of ASE, as ASE itself writes them."""

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from aiida_hdiff.formats.labelled_ase_db import read_ase_db
from tests.conftest import copper_frames


def labelled(n_frames=4):
    for index, atoms in enumerate(copper_frames(n_frames)):
        atoms.calc = EMT()
        results = {
            'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces(), 'free_energy': -100.0 - index,
            'stress': atoms.get_stress(),
        }  # fmt: skip
        atoms.calc = SinglePointCalculator(atoms, **results)
        yield atoms


@pytest.mark.parametrize('name', ['set.db', 'set.json'])
def test_labels_come_back(tmp_path, name):
    images = list(labelled())
    database = connect(tmp_path / name)
    database.write(images[0], origin='hot:5', reference='EMT', config_type='rattled', temperature=310.24)
    for atoms in images[1:]:
        database.write(atoms)
    frames = read_ase_db(tmp_path / name)
    assert frames.origins == ('hot:5 310.2 K', f'{name}:2', f'{name}:3', f'{name}:4')
    assert frames.references == ('EMT', '', '', '')
    assert frames.config_types[0] == 'rattled'
    for frame, atoms in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.numbers, atoms.numbers)
        np.testing.assert_array_equal(frame.positions, atoms.positions)
        np.testing.assert_array_equal(frame.forces, atoms.get_forces())
        np.testing.assert_array_equal(frame.stress, atoms.get_stress())
        assert frame.energy == atoms.get_potential_energy()
    free = read_ase_db(tmp_path / name, energy='free_energy', origin='x')
    np.testing.assert_array_equal(free.energies, [-100.0, -101.0, -102.0, -103.0])
    assert free.origins[1] == 'x:2'


def test_constraints_do_not_change_forces(tmp_path):
    from ase.constraints import FixAtoms

    (atoms,) = labelled(1)
    forces = atoms.get_forces().copy()
    atoms.set_constraint(FixAtoms([0]))
    connect(tmp_path / 'set.db').write(atoms)
    np.testing.assert_array_equal(read_ase_db(tmp_path / 'set.db')[0].forces, forces)


def test_rows_are_selected_and_unlabelled_ones_named(tmp_path):
    database = connect(tmp_path / 'set.db')
    for index, atoms in enumerate(labelled(4)):
        if index == 2:
            atoms.calc = None
        database.write(atoms, split='train' if index % 2 else 'test')
    with pytest.raises(ValueError, match=r'set[.]db, row 3: no energy: leave such rows out'):
        read_ase_db(tmp_path / 'set.db')
    assert read_ase_db(tmp_path / 'set.db', skip_unlabelled=True).origins == ('set.db:1', 'set.db:2', 'set.db:4')
    assert len(read_ase_db(tmp_path / 'set.db', selection='split=train')) == 2
    with pytest.raises(ValueError, match="has no labelled rows that match 'split=no'"):
        read_ase_db(tmp_path / 'set.db', selection='split=no')


@pytest.mark.parametrize(
    ('name', 'content', 'settings', 'message'),
    [
        ('set.xyz', b'', {}, 'ends in .db or .json'),
        ('set.db', b'hello', {}, 'set.db is no SQLite file'),
        ('set.db', b'SQLite format 3\x00' + b'0' * 100, {}, 'set.db cannot be read as a database of ASE'),
        ('set.json', b'{', {}, 'set.json cannot be read as a database of ASE'),
        ('set.json', b'{}', {'energy': 'enthalpy'}, "`energy` is 'enthalpy': give energy or free_energy"),
    ],
)
def test_files_that_are_no_databases(tmp_path, name, content, settings, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_ase_db(path, **settings)


def test_a_missing_file_and_a_bad_selection(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'set[.]db is not there'):
        read_ase_db(tmp_path / 'set.db')
    assert list(tmp_path.iterdir()) == []
    connect(tmp_path / 'set.db').write(next(labelled(1)))
    with pytest.raises(ValueError, match='cannot be read as a database of ASE'):
        read_ase_db(tmp_path / 'set.db', selection='natoms>x')
