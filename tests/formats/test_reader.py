"""One trajectory in every format, written by the codes themselves, and every way in which a file can be wrong."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from aiida_hdiff.formats import read_positions, text_stream
from aiida_hdiff.formats.lammps_text import read_text_dump
from aiida_hdiff.formats.trajectory import TrajectoryWriter
from tests.conftest import executable, nickel_hydride

SCRIPT = """units metal
lattice fcc 3.6
{region}
create_box 2 box
create_atoms 1 box
create_atoms 2 single 0.25 0.25 0.25
create_atoms 2 single 1.5 1.0 1.0
mass 1 58.69
mass 2 1.008
pair_style eam/alloy
pair_coeff * * potential.eam Ni H
velocity all create 3000 7
fix 1 all {ensemble}
timestep 0.001
dump u all custom 5 unwrapped.dump id type xu yu zu
dump i all custom 5 images.dump id type x y z ix iy iz
dump w all custom 5 wrapped.dump type xs ys zs id element
dump s all custom 5 scaled.dump id element xsu ysu zsu
dump b all custom 5 binary.dump.bin id type xu yu zu
dump_modify u format float %.15g sort id
dump_modify i format float %.15g time yes units yes
dump_modify w format float %.15g element Ni H
dump_modify s format float %.15g element Ni H
dump_modify b sort id
run 1500
"""
BOXES = {
    'fixed': ('region box block 0 2 0 2 0 2', 'nve'),
    'triclinic': ('region box prism 0 2 0 2 0 2 0.4 -0.3 0.2', 'nve'),
    'varying': (
        'region box prism 0 2 0 2 0 2 0.4 -0.3 0.2',
        'npt temp 3000 3000 0.1 tri 20000 20000 0.5 flip no',
    ),
}


@pytest.fixture(scope='module', params=sorted(BOXES))
def run(request, tmp_path_factory, setfl_path):
    """One run of LAMMPS in which atoms cross the boundaries, dumped in five ways at once."""
    folder = tmp_path_factory.mktemp(request.param)
    region, ensemble = BOXES[request.param]
    shutil.copy(setfl_path, folder / 'potential.eam')
    (folder / 'in.lammps').write_text(SCRIPT.format(region=region, ensemble=ensemble))
    command = [executable('lmp'), '-in', 'in.lammps', '-log', 'none', '-screen', 'none']
    subprocess.run(command, cwd=folder, check=True, env=os.environ | {'OMP_NUM_THREADS': '1'})
    return folder


def read_dump(path, **kwargs):
    return read_positions(path, md_timestep_fs=1.0, elements=('Ni', 'H'), **kwargs)


def displacement_errors(one, other):
    """Largest difference of the displacements between frames."""
    return np.abs(np.diff(one.positions, axis=0) - np.diff(other.positions, axis=0)).max()


@pytest.mark.parametrize('name', ['images', 'wrapped', 'scaled', 'binary'])
def test_every_dump_of_a_run_gives_the_same_path(run, name):
    reference = read_dump(run / 'unwrapped.dump')
    other = read_dump(next(run.glob(f'{name}.dump*')))
    assert other.unwrapping == ('nearest image' if name == 'wrapped' else 'file')
    assert displacement_errors(reference, other) < 1e-9
    np.testing.assert_allclose(other.cells, reference.cells, atol=1e-12)
    np.testing.assert_array_equal(other.numbers, [28] * 32 + [1] * 2)
    np.testing.assert_allclose(other.times_fs, 5.0 * np.arange(301))
    assert other.timestep_fs == pytest.approx(5.0)
    wrapped = np.floor(reference.positions @ np.linalg.inv(reference.cells))
    assert np.ptp(wrapped, axis=0).max() > 0


def test_a_fixed_cell_has_the_positions_of_the_file(run):
    reference = read_dump(run / 'unwrapped.dump')
    frames = ase.io.read(run / 'unwrapped.dump', index=':', format='lammps-dump-text')
    if reference.cells.ndim == 2:
        np.testing.assert_allclose(reference.positions, [atoms.positions for atoms in frames], atol=1e-9)
    else:
        steps = np.diff([atoms.cell.scaled_positions(atoms.positions) for atoms in frames], axis=0)
        cells = [atoms.cell.array for atoms in frames]
        assert np.abs(np.diff(reference.positions, axis=0) - steps @ cells[1:]).max() < 0.1


@pytest.mark.parametrize('block_bytes', [1, 20_000])
def test_blocks_and_gzip_do_not_matter(run, tmp_path, monkeypatch, block_bytes):
    whole = read_dump(run / 'wrapped.dump')
    path = tmp_path / 'wrapped.dump.gz'
    path.write_bytes(gzip.compress((run / 'wrapped.dump').read_bytes()))
    for module in ('lammps_text', 'xdatcar'):
        monkeypatch.setattr(f'aiida_hdiff.formats.{module}.BLOCK_BYTES', block_bytes)
    np.testing.assert_allclose(read_dump(path).positions, whole.positions, atol=1e-10)


def as_ase_frames(run):
    """Return what the reader makes of a dump, and its frames as they are, in objects of ASE."""
    reference = read_dump(run / 'unwrapped.dump')
    (dump,) = read_text_dump(run / 'unwrapped.dump')
    frames = [
        Atoms(reference.numbers, positions=columns[:, 2:] - origin, cell=cell, pbc=True)
        for columns, origin, cell in zip(dump.columns, dump.origins, dump.cells, strict=True)
    ]
    return reference, frames


@pytest.mark.parametrize(('name', 'tolerance'), [('run.traj', 1e-9), ('run.extxyz', 1e-6), ('XDATCAR', 1e-5)])
def test_files_written_by_ase(run, tmp_path, name, tolerance):
    reference, frames = as_ase_frames(run)
    for atoms in frames:
        atoms.wrap()
    path = tmp_path / name
    ase.io.write(path, frames, **({'format': 'vasp-xdatcar'} if name == 'XDATCAR' else {}))
    given = read_positions(path, timestep_fs=5.0)
    np.testing.assert_array_equal(given.numbers, reference.numbers)
    np.testing.assert_allclose(given.times_fs, reference.times_fs)
    assert given.unwrapping == 'nearest image'
    assert displacement_errors(given, reference) < tolerance


def test_frames_of_ase_wrapped_or_not(run):
    reference, frames = as_ase_frames(run)
    assert displacement_errors(read_positions(frames, timestep_fs=5.0), reference) < 1e-9
    for atoms in frames:
        atoms.wrap()
    assert displacement_errors(read_positions(iter(frames), timestep_fs=5.0), reference) < 1e-9


def test_a_direction_without_periodicity_is_not_unwrapped():
    frames = [Atoms('H', positions=[[0, 0, z]], cell=[4, 4, 4], pbc=(True, True, False)) for z in (0.0, 3.5)]
    np.testing.assert_allclose(read_positions(frames, timestep_fs=1.0).positions[:, 0, 2], [0, 3.5])
    frames = [Atoms('H', positions=[[x, 0, 0]], cell=[4, 4, 4], pbc=(True, True, False)) for x in (0.0, 3.5)]
    np.testing.assert_allclose(read_positions(frames, timestep_fs=1.0).positions[:, 0, 0], [0, -0.5], atol=1e-12)
    molecule = [Atoms('H2', positions=[[0, 0, 0], [0, 0, z]]) for z in (0.7, 0.8)]
    assert read_positions(molecule, timestep_fs=1.0).positions[1, 1, 2] == 0.8


def test_a_trajectory_of_this_package(tmp_path):
    path = tmp_path / 'trajectory.h5'
    positions = np.random.default_rng(1).normal(size=(20, 3, 3))
    with TrajectoryWriter(path, [12, 12, 1], timestep_fs=0.5) as writer:
        observables = dict.fromkeys(('potential_energy', 'kinetic_energy', 'temperature', 'pressure'), np.zeros(20))
        writer.append(10 * np.arange(20), positions, np.tile(5 * np.eye(3), (20, 1, 1)), observables)
    given = read_positions(path)
    np.testing.assert_allclose(given.positions, positions, atol=1e-5)
    np.testing.assert_allclose(given.cells, 5 * np.eye(3))
    assert given.timestep_fs == pytest.approx(5.0)
    with pytest.raises(ValueError, match=r'trajectory\.h5 knows its times: leave out timestep_fs'):
        read_positions(path, timestep_fs=5.0)


def xdatcar(n_frames=3, first=1, title='MgH', header_every_frame=False):
    header = f'{title}\n 1\n  5.0 0.0 0.0\n  0.0 5.0 0.0\n  0.0 0.0 5.0\n  Mg  H\n  2  1\n'
    text = '' if header_every_frame else header
    for frame in range(n_frames):
        text += (header if header_every_frame else '') + f'Direct configuration={first + frame:6d}\n'
        text += ''.join(f'   {(0.97 + 0.01 * frame) % 1:.8f}  {0.2 * i:.8f}  0.50000000\n' for i in range(3))
    return text


def test_a_hydrogen_that_leaves_the_cell_of_an_xdatcar(tmp_path):
    path = tmp_path / 'XDATCAR'
    path.write_text(xdatcar(n_frames=7))
    run = read_positions(path, timestep_fs=2.0)
    np.testing.assert_allclose(run.positions[:, 2, 0], 5.0 * (0.97 + 0.01 * np.arange(7)), atol=1e-9)
    assert repr(run) == 'Positions(Mg2 H1, 7 frames every 2 fs)'
    path.write_text(xdatcar(n_frames=7, header_every_frame=True))
    np.testing.assert_allclose(read_positions(path, timestep_fs=2.0).positions, run.positions)
    path.write_text(xdatcar(n_frames=7).replace('\n 1\n', '\n -1000.0\n'))
    np.testing.assert_allclose(read_positions(path, timestep_fs=2.0).positions, 2.0 * run.positions)
    path.write_text(xdatcar(n_frames=7).replace('Mg  H', 'Mg_pv/0a1b H/77'))
    np.testing.assert_array_equal(read_positions(path, timestep_fs=2.0).numbers, [12, 12, 1])
    path.write_text(xdatcar(n_frames=2).replace('=     2', '=******'))
    assert len(read_positions(path, timestep_fs=2.0)) == 2


@pytest.mark.skipif('HDIFF_VASP_SAMPLES' not in os.environ, reason='HDIFF_VASP_SAMPLES names no folder of VASP files')
@pytest.mark.parametrize(('name', 'n_frames', 'shape'), [('XDATCAR.MD', 5, (3, 3)), ('XDATCAR_6', 4, (4, 3, 3))])
def test_xdatcar_written_by_vasp(name, n_frames, shape):
    path = Path(os.environ['HDIFF_VASP_SAMPLES']) / 'pymatgen-core' / name
    given = read_positions(path, timestep_fs=1.0)
    frames = ase.io.read(path, index=':', format='vasp-xdatcar')
    assert given.positions.shape == (n_frames, len(frames[0]), 3)
    assert given.cells.shape == shape
    cells = np.broadcast_to(given.cells, (n_frames, 3, 3))
    scaled = given.positions @ np.linalg.inv(cells)
    for index, atoms in enumerate(frames):
        np.testing.assert_allclose(cells[index], atoms.cell.array, atol=1e-12)
        if len(shape) == 2:
            difference = scaled[index] - atoms.get_scaled_positions(wrap=False)
            np.testing.assert_allclose(difference, np.round(difference), atol=1e-9)


def write_dump(path, frames, columns='id type x y z', n_atoms=2, bounds='0 5\n0 5\n0 5\n'):
    """Write (step, lines) as a text dump."""
    path.write_text(
        ''.join(
            f'ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{n_atoms}\nITEM: BOX BOUNDS pp pp pp\n{bounds}'
            f'ITEM: ATOMS {columns}\n{lines}'
            for step, lines in frames
        )
    )
    return path


GOOD = '1 1 0 0 0\n2 2 1 1 1\n'


@pytest.mark.parametrize(
    ('steps', 'lines', 'message'),
    [
        ((0, 10, 10), GOOD, r'run\.dump: the step repeats at frame 2: 10 after 10, with 10'),
        ((0, 10, 5), GOOD, r'run\.dump: the step goes back at frame 2: 5 after 10'),
        ((10, 5), GOOD, r'the step goes back at frame 1: 5 after 10'),
        ((0, 10, 30), GOOD, r'the step is not equidistant at frame 2: 30 after 10, with 10'),
        ((0,), '1 1 0 0 nan\n2 2 1 1 1\n', r'run\.dump, line 10: frame 0 has a value that is not finite'),
        ((0,), '1 1 0 0 0\n2 2 1 1\n', r"run\.dump, line 11: frame 0 should have 5 numbers here, not '2 2 1 1'"),
        ((0,), '1 1 0 0 0\n2 H 1 1 1\n', r"run\.dump, line 11: .* not '2 H 1 1 1': the file is damaged"),
        ((0,), '1 3 0 0 0\n2 2 1 1 1\n', r"has atoms of type 3, which elements=\('Ni', 'H'\) does not name"),
        ((0,), '1 1 0 0 0\n', r'run\.dump is truncated: it ends at line 10, 1 of 2 lines into a part of frame 0'),
        ((0,), GOOD[:-1], r'is truncated: it ends at line 11'),
        ((0,), GOOD + '3 1 0 0 0\n', r'run\.dump, line 12: frame 1 has no "ITEM:" here'),
    ],
)
def test_a_bad_dump(tmp_path, steps, lines, message):
    path = write_dump(tmp_path / 'run.dump', [(step, lines) for step in steps])
    with pytest.raises(ValueError, match=message):
        read_dump(path)


def test_a_dump_whose_atoms_change(tmp_path):
    first = write_dump(tmp_path / 'a', [(0, GOOD)]).read_text()
    path = tmp_path / 'run.dump'
    path.write_text(first + write_dump(tmp_path / 'b', [(10, GOOD + '3 1 2 2 2\n')], n_atoms=3).read_text())
    with pytest.raises(ValueError, match=r'line 20: frame 1 has 3 atoms with columns id .*, the first one 2'):
        read_dump(path)
    path = write_dump(path, [(0, GOOD), (10, '1 1 0 0 0\n3 2 1 1 1\n')])
    with pytest.raises(ValueError, match=r'run\.dump: the atoms change at frame 1'):
        read_dump(path)


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        ('i type x y z', 'has no column "id", so that atoms cannot be followed'),
        ('id t x y z', 'has neither a column "element" nor "type"'),
        ('id type x y vz', r'has no positions: dump "xu yu zu" \(its columns are id type x y vz\)'),
    ],
)
def test_a_dump_without_what_is_needed(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        read_dump(write_dump(tmp_path / 'run.dump', [(0, GOOD)], columns))


def test_a_dump_without_elements_or_times(tmp_path):
    path = write_dump(tmp_path / 'run.dump', [(0, GOOD), (10, GOOD)])
    with pytest.raises(ValueError, match=r'name the atom types 1, 2 with elements'):
        read_positions(path, timestep_fs=1.0)
    with pytest.raises(ValueError, match='give either timestep_fs'):
        read_positions(path, elements=('Ni', 'H'))
    with pytest.raises(ValueError, match='give either timestep_fs'):
        read_positions(path, elements=('Ni', 'H'), timestep_fs=1.0, md_timestep_fs=1.0)
    with pytest.raises(ValueError, match='md_timestep_fs must be positive, not -1'):
        read_positions(path, elements=('Ni', 'H'), md_timestep_fs=-1)
    with pytest.raises(ValueError, match="'Nn' is not the symbol of an element"):
        read_positions(path, elements=('Nn', 'H'), timestep_fs=1.0)
    by_type = read_positions(path, elements={2: 'H', 1: 'Pd'}, timestep_fs=1.0)
    np.testing.assert_array_equal(by_type.numbers, [46, 1])


@pytest.mark.parametrize('cut', [1, 30, 100, 120])
def test_a_truncated_file_can_be_read_on_request(tmp_path, cut):
    for name, text, elements in (
        ('run.dump', write_dump(tmp_path / 'a', [(0, GOOD), (10, GOOD), (20, GOOD)]).read_text(), ('Ni', 'H')),
        ('XDATCAR', xdatcar(header_every_frame=True), None),
    ):
        path = tmp_path / name
        path.write_text(text[:-cut])
        with pytest.raises(ValueError, match=rf'{name} is truncated: it ends at line \d+, .* frame 2'):
            read_positions(path, timestep_fs=1.0, elements=elements)
        assert len(read_positions(path, timestep_fs=1.0, allow_truncated=True, elements=elements)) == 2


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('Direct configuration=     3', 'Direct configuration=     1', 'the step goes back at frame 2: 1 after 2'),
        ('Direct configuration=     3', 'Direct configuration=     5', 'is not equidistant at frame 2'),
        ('  2  1\n', '  2\n', r'XDATCAR, line 7: no numbers of atoms for every element'),
        ('  5.0 0.0', '  5.0 x', r'XDATCAR, line 5: no scale and lattice vectors'),
        ('Mg  H', 'Mg  Q', "XDATCAR: 'Q' is not the symbol of an element"),
        ('  Mg  H\n', '', r'XDATCAR, line 6: no elements, as in VASP 4'),
        ('0.40000000  0.5', '0.4xx  0.5', r'XDATCAR, line 11: frame 0 should have 3 numbers here'),
        ('0.40000000', '       nan', r'XDATCAR, line 11: frame 0 has a value that is not finite'),
    ],
)
def test_a_bad_xdatcar(tmp_path, old, new, message):
    path = tmp_path / 'XDATCAR'
    path.write_text(xdatcar().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_positions(path, timestep_fs=1.0)


def test_an_xdatcar_whose_cell_or_atoms_change(tmp_path):
    path = tmp_path / 'XDATCAR'
    second = xdatcar(1, first=2, header_every_frame=True)
    path.write_text(xdatcar(1) + second.replace('  5.0 0.0 0.0\n  0.0 5.0 0.0', '  0.0 5.0 0.0\n  5.0 0.0 0.0'))
    with pytest.raises(ValueError, match='XDATCAR: the cell changes its handedness at frame 1'):
        read_positions(path, timestep_fs=1.0)
    path.write_text(xdatcar(1) + second.replace('  0.0 5.0 0.0', '  5.0 5.0 0.0'))
    with pytest.raises(ValueError, match='XDATCAR: frame 1 has other lattice vectors than the frame before'):
        read_positions(path, timestep_fs=1.0)
    path.write_text(xdatcar(1) + second.replace('Mg  H', 'Mg  D').replace('2  1', '1  2'))
    with pytest.raises(ValueError, match='the atoms change before frame 1'):
        read_positions(path, timestep_fs=1.0)
    path.write_text(xdatcar(1) + 'something else\n' * 3)
    with pytest.raises(ValueError, match=r'XDATCAR is truncated|no scale and lattice vectors'):
        read_positions(path, timestep_fs=1.0)


def test_files_that_are_no_trajectories(tmp_path):
    path = tmp_path / 'notes.txt'
    path.write_text('')
    with pytest.raises(ValueError, match=r'notes\.txt is empty'):
        read_positions(path, timestep_fs=1.0)
    path.write_bytes(bytes(range(200)))
    with pytest.raises(ValueError, match=r'notes\.txt is of no format that is known here or to ASE'):
        read_positions(path, timestep_fs=1.0)
    with pytest.raises(ValueError, match='frames has no complete frame'):
        read_positions([], timestep_fs=1.0)
    with pytest.raises(FileNotFoundError):
        read_positions(tmp_path / 'nowhere', timestep_fs=1.0)


def test_frames_of_ase_that_do_not_fit():
    hydrogen, palladium = (Atoms(name, cell=[4, 4, 4], pbc=True) for name in ('H', 'Pd'))
    with pytest.raises(ValueError, match='frames: the atoms change at frame 1'):
        read_positions([hydrogen, palladium], timestep_fs=1.0)
    broken = hydrogen.copy()
    broken.positions[0, 0] = np.inf
    with pytest.raises(ValueError, match='frames: frame 1 has a position that is not finite'):
        read_positions([hydrogen, broken], timestep_fs=1.0)
    with pytest.raises(ValueError, match='frames: a cell has no volume'):
        read_positions([Atoms('H', pbc=True)] * 2, timestep_fs=1.0)


def test_choice_of_atoms_and_frames():
    atoms = nickel_hydride(2, 1)
    run = read_positions([atoms] * 4, timestep_fs=2.0)
    hydrogen, host = run.select('H'), run.host()
    np.testing.assert_allclose(hydrogen.positions[0], atoms.positions[atoms.numbers == 1], atol=1e-12)
    np.testing.assert_array_equal(host.numbers, atoms.numbers[atoms.numbers != 1])
    np.testing.assert_array_equal(run.select(1, 'Ni').positions, run.positions)
    assert len(run.frames(slice(1, None, 2))) == 2
    assert run.frames(slice(1, None, 2)).timestep_fs == 4.0
    with pytest.raises(ValueError, match="'Q' is not the symbol of an element"):
        run.select('Q')
    with pytest.raises(ValueError, match='no atom of Mg: the trajectory has Ni32 H1'):
        run.select('Mg')
    with pytest.raises(ValueError, match='no host atoms: the trajectory has only H1'):
        hydrogen.host('H')
    with pytest.raises(ValueError, match='a single frame has no time between frames'):
        _ = run.frames(slice(1)).timestep_fs


def test_the_words_of_a_table_are_not_guessed():
    assert text_stream._numbers(b'1 2 three') is None
    np.testing.assert_array_equal(text_stream._numbers(b' 1 -2.5e-3\n 7'), [1, -2.5e-3, 7])
