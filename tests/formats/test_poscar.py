"""POSCAR and CONTCAR, written here and by VASP."""

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats.poscar import read_contcar, write_poscar

RNG = np.random.default_rng(7)
SYMBOLS = ('Mg', 'Mg', 'H')
CELL = np.array([[3.2, 0.0, 0.0], [-1.6, 2.8, 0.0], [0.1, 0.0, 5.2]])
POSITIONS = RNG.normal(scale=9.0, size=(3, 3))
VELOCITIES = RNG.normal(scale=0.02, size=(3, 3))
LATTICE_VELOCITIES = RNG.normal(scale=1e-3, size=(3, 3))


def sample(name):
    folder = os.environ.get('HDIFF_VASP_SAMPLES')
    if not folder or not Path(folder, name).exists():
        pytest.skip(f'HDIFF_VASP_SAMPLES does not name a folder of files written by VASP with {name}')
    return Path(folder, name)


def write(path, **options):
    with path.open('w') as stream:
        write_poscar(stream, **{'symbols': SYMBOLS, 'cell': CELL, 'positions': POSITIONS, **options})
    return path


@pytest.mark.parametrize('lattice', [None, LATTICE_VELOCITIES])
@pytest.mark.parametrize('velocities', [None, VELOCITIES])
def test_round_trip(tmp_path, velocities, lattice):
    if velocities is None and lattice is not None:
        with pytest.raises(ValueError, match='lattice velocities without velocities'):
            write(tmp_path / 'POSCAR', lattice_velocities=lattice)
        return
    contcar = read_contcar(write(tmp_path / 'POSCAR', velocities=velocities, lattice_velocities=lattice))
    assert contcar.symbols == SYMBOLS
    assert contcar.counts == (2, 1)
    assert contcar.comment == 'Mg2H1'
    assert contcar.next_positions is None
    np.testing.assert_allclose(contcar.cell, CELL, rtol=0, atol=1e-15)
    np.testing.assert_allclose(contcar.positions, POSITIONS, rtol=0, atol=1e-14)
    for found, given in ((contcar.velocities, velocities), (contcar.lattice_velocities, lattice)):
        if given is None:
            assert found is None
        else:
            np.testing.assert_allclose(found, given, rtol=1e-14)


def test_ase_reads_the_same(tmp_path):
    from ase import units
    from ase.io import read

    atoms = read(write(tmp_path / 'POSCAR', velocities=VELOCITIES), format='vasp')
    assert atoms.get_chemical_symbols() == list(SYMBOLS)
    np.testing.assert_allclose(atoms.positions, POSITIONS, atol=1e-12)
    np.testing.assert_allclose(np.array(atoms.cell), CELL, atol=1e-12)
    velocities = atoms.get_velocities()
    assert not velocities.any() or np.allclose(velocities * units.fs, VELOCITIES)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'symbols': ('Mg', 'H', 'Mg')}, 'species Mg H Mg: atoms of one species must follow one another'),
        ({'symbols': ('Mg', 'H')}, r'positions have shape \(3, 3\), not \(2, 3\)'),
        ({'velocities': VELOCITIES[:2]}, r'velocities have shape \(2, 3\)'),
        ({'velocities': VELOCITIES * np.nan}, 'velocities have values that are not finite'),
        ({'cell': np.zeros((3, 3))}, 'lattice vectors are coplanar'),
        ({'comment': 41 * 'x'}, 'at most 40 characters'),
        ({'comment': 'a\nb'}, 'give one line'),
    ],
)
def test_bad_input(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / 'POSCAR', **options)


TEXT = """Mg2 H
{scale}
 3.0 0.0 0.0
 0.0 3.0 0.0
 0.0 0.0 4.0
 Mg_pv H/2a0f
 2 1
{mode}
 0.5 0.0 0.0{flags}
 0.0 0.5 0.0{flags}
 0.0 0.0 0.5{flags}
"""


@pytest.mark.parametrize(
    ('scale', 'mode', 'flags', 'cell', 'last'),
    [
        ('1.0', 'Direct', '', (3.0, 3.0, 4.0), 2.0),
        ('2.0', 'direct', ' H3', (6.0, 6.0, 8.0), 4.0),
        ('2.0', 'Cartesian', '', (6.0, 6.0, 8.0), 1.0),
        ('2.0', 'Selective dynamics\nk', ' T T F', (6.0, 6.0, 8.0), 1.0),
        ('-288.0', 'Direct', '', (6.0, 6.0, 8.0), 4.0),
        ('1.0 1.0 2.0', 'Cartesian', '', (3.0, 3.0, 8.0), 1.0),
    ],
)
def test_layouts(tmp_path, scale, mode, flags, cell, last):
    path = tmp_path / 'POSCAR'
    path.write_bytes(gzip.compress(TEXT.format(scale=scale, mode=mode, flags=flags).encode()))
    contcar = read_contcar(path)
    np.testing.assert_allclose(contcar.cell, np.diag(cell), atol=1e-12)
    np.testing.assert_allclose(contcar.positions[2], [0.0, 0.0, last], atol=1e-12)
    assert contcar.symbols == SYMBOLS


def test_velocities_per_step(tmp_path):
    path = tmp_path / 'POSCAR'
    path.write_text(TEXT.format(scale='1.0', mode='Direct', flags='') + 'Direct\n' + 3 * ' 0.01 0.0 0.02\n')
    with pytest.raises(ValueError, match='line 15: velocities in lattice vectors per step: give the time step in fs'):
        read_contcar(path)
    np.testing.assert_allclose(read_contcar(path, timestep_fs=2.0).velocities, np.tile([0.015, 0.0, 0.04], (3, 1)))


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('1.0\n', 'abc\n', 'line 2: no scaling factor'),
        ('1.0\n', '1.0 -1.0 1.0\n', 'line 2: three scaling factors must be positive'),
        (' Mg_pv H/2a0f\n', '', 'line 6: no symbols above the numbers of atoms, as in VASP 4'),
        (' 2 1\n', ' 2\n', 'line 7: no numbers of atoms'),
        (' 2 1\n', ' 2 99999999\n', 'atoms: the file is damaged'),
        (' 0.0 0.5 0.0\n', ' 0.0 x 0.0\n', 'line 10'),
        (' 0.0 0.0 0.5\n', '', 'truncated: it ends at line 10'),
    ],
)
def test_damage(tmp_path, old, new, message):
    path = tmp_path / 'POSCAR'
    path.write_text(TEXT.format(scale='1.0', mode='Direct', flags='').replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_contcar(path)


def test_every_truncation(tmp_path):
    whole = write(tmp_path / 'POSCAR', velocities=VELOCITIES, lattice_velocities=LATTICE_VELOCITIES).read_text()
    path = tmp_path / 'CONTCAR'
    kept = set()
    for end in (*range(0, len(whole), 5), len(whole) - 1):
        path.write_text(whole[:end])
        try:
            contcar = read_contcar(path, allow_truncated=True)
        except ValueError:
            continue
        np.testing.assert_allclose(contcar.positions, POSITIONS, atol=1e-14)
        kept.add((contcar.lattice_velocities is not None, contcar.velocities is not None))
        assert contcar.velocities is None
    assert kept == {(False, False), (True, False)}


def test_contcar_of_vasp():
    """Positions, velocities and the next positions fulfil x' = x + v dt to all written digits."""
    path = sample('pymatgen-core/CONTCAR.MD')
    contcar = read_contcar(path)
    assert contcar.counts == (20, 2, 4, 24)
    assert contcar.symbols[20:23] == ('Ge', 'Ge', 'P')
    assert contcar.lattice_velocities is None
    assert contcar.velocities[0].tolist() == [-0.0083844199, -0.0046373336, -0.0017369449]
    np.testing.assert_array_equal(contcar.next_cell, contcar.cell)
    moved = (contcar.next_positions - contcar.positions) @ np.linalg.inv(contcar.cell)
    moved = (moved - np.round(moved)) @ contcar.cell
    np.testing.assert_allclose(moved, 2.0 * contcar.velocities, atol=1.5e-7)


def test_contcar_of_vasp_at_constant_pressure():
    contcar = read_contcar(sample('pymatgen-core/CONTCAR.MD.npt'))
    assert contcar.symbols == 8 * ('Si',)
    assert contcar.lattice_velocities[0].tolist() == [0.0011376865, -0.0020054010, 0.0010745440]
    assert contcar.next_cell[0, 0] == 5.6062799
    scaled = contcar.positions @ np.linalg.inv(contcar.cell)
    moved = contcar.next_positions @ np.linalg.inv(contcar.next_cell) - scaled
    np.testing.assert_allclose((moved - np.round(moved)) @ contcar.next_cell, 3.0 * contcar.velocities, atol=1.5e-7)


def test_contcar_of_vasp_comes_back(tmp_path):
    contcar = read_contcar(sample('pymatgen-core/CONTCAR.MD.npt'))
    stream = io.StringIO()
    write_poscar(
        stream, symbols=contcar.symbols, cell=contcar.cell, positions=contcar.positions,
        velocities=contcar.velocities, lattice_velocities=contcar.lattice_velocities,
    )  # fmt: skip
    (tmp_path / 'POSCAR').write_text(stream.getvalue())
    again = read_contcar(tmp_path / 'POSCAR')
    for name in ('cell', 'positions', 'velocities', 'lattice_velocities'):
        np.testing.assert_allclose(getattr(again, name), getattr(contcar, name), rtol=0, atol=1e-14)


def test_poscar_of_vasp():
    contcar = read_contcar(sample('vasp-interactive/POSCAR'))
    assert contcar.symbols == ('H', 'H')
    np.testing.assert_allclose(contcar.positions, [[0.0, 0.0, 0.368583], [0.0, 0.0, -0.368583]], atol=1e-12)
    assert contcar.velocities is None
