"""The files of LAMMPS, read from real outputs."""

import struct
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats.lammps import (
    data_file,
    read_dump,
    read_screen_output,
    read_time_series,
    restart_is_complete,
    restricted_triclinic,
)
from tests.parsers.cases import FIXTURES as RUNS

FIXTURES = Path(__file__).parent / 'fixtures'
CELLS = ('orthogonal', 'triclinic')


def text_dump(path):
    """Read the text dump of the same run, written by LAMMPS beside the binary one."""
    lines = path.read_text().splitlines()
    steps, cells, frames = [], [], []
    n_atoms = int(lines[3])
    for start in range(0, len(lines), 9 + n_atoms):
        steps.append(int(lines[start + 1]))
        bounds = np.array([[float(word) for word in line.split()] for line in lines[start + 5 : start + 8]])
        xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
        x = bounds[0, 1] - bounds[0, 0] - (max(0, xy, xz, xy + xz) - min(0, xy, xz, xy + xz))
        y = bounds[1, 1] - bounds[1, 0] - (max(0, yz) - min(0, yz))
        cells.append([[x, 0, 0], [xy, y, 0], [xz, yz, bounds[2, 1] - bounds[2, 0]]])
        frames.append([[float(word) for word in line.split()] for line in lines[start + 9 : start + 9 + n_atoms]])
    return np.array(steps), np.array(cells), np.array(frames)


@pytest.mark.parametrize('name', CELLS)
@pytest.mark.parametrize('block_frames', [1, 3, 500])
def test_binary_dump_equals_the_text_dump(name, block_frames):
    blocks = list(read_dump(FIXTURES / f'{name}.dump.bin', block_frames=block_frames))
    steps, cells, columns = text_dump(FIXTURES / f'{name}.dump.txt')
    assert max(len(block.steps) for block in blocks) == min(block_frames, len(steps))
    np.testing.assert_array_equal(np.concatenate([block.steps for block in blocks]), steps)
    np.testing.assert_array_equal(steps, np.arange(0, 31, 5))
    np.testing.assert_allclose(np.concatenate([block.cells for block in blocks]), cells, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([block.columns for block in blocks]), columns, rtol=1e-13)
    assert np.ptp(cells[:, 0, 0]) > 1e-3


def test_triclinic_cell_is_the_one_of_the_input():
    (frames,) = read_dump(FIXTURES / 'triclinic.dump.bin')
    np.testing.assert_allclose(frames.cells[0], [[3.5, 0, 0], [-1.2, 3.3, 0], [0.7, -0.9, 3.6]], atol=1e-12)
    assert np.ptp(frames.cells[:, 2, 1]) > 0


@pytest.mark.parametrize('name', CELLS)
@pytest.mark.parametrize('cut', [1, 8, 150, 300])
def test_an_incomplete_last_frame_is_left_out(tmp_path, name, cut):
    content = (FIXTURES / f'{name}.dump.bin').read_bytes()
    (whole,) = read_dump(FIXTURES / f'{name}.dump.bin')
    size = len(content) // len(whole.steps)
    path = tmp_path / 'dump.bin'
    path.write_bytes(content[:-cut])
    (frames,) = read_dump(path)
    assert len(frames.steps) == (len(content) - cut) // size
    np.testing.assert_array_equal(frames.columns, whole.columns[: len(frames.steps)])


@pytest.mark.parametrize('length', [0, 5, 30, 100, 200])
def test_a_dump_without_a_whole_frame_has_none(tmp_path, length):
    path = tmp_path / 'dump.bin'
    path.write_bytes((FIXTURES / 'triclinic.dump.bin').read_bytes()[:length])
    assert list(read_dump(path)) == []


def test_another_file_is_no_dump(tmp_path):
    path = tmp_path / 'dump.bin'
    path.write_bytes(b'ITEM: TIMESTEP\n' * 20)
    with pytest.raises(ValueError, match='not a binary dump of style custom'):
        list(read_dump(path))


def test_a_dump_of_another_byte_order_or_revision_is_refused(tmp_path):
    content = bytearray((FIXTURES / 'triclinic.dump.bin').read_bytes())
    content[18:22] = struct.pack('>i', 1)
    path = tmp_path / 'dump.bin'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='another byte order or revision'):
        list(read_dump(path))


def test_a_layout_that_changes_between_frames_is_refused(tmp_path):
    content = bytearray((FIXTURES / 'orthogonal.dump.bin').read_bytes())
    content[len(content) // 7 + 3] ^= 0xFF
    path = tmp_path / 'dump.bin'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='layout of the dump changes'):
        list(read_dump(path))


@pytest.mark.parametrize('seed', range(5))
def test_restricted_triclinic_is_a_rotation(seed):
    rng = np.random.default_rng(seed)
    cell = rng.normal(0.0, 1.0, (3, 3)) + 4.0 * np.eye(3)
    lower, rotation = restricted_triclinic(cell)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(cell @ rotation, lower, atol=1e-13)
    assert np.all(np.diag(lower) > 0)
    assert lower[0, 1] == lower[0, 2] == lower[1, 2] == 0.0


def test_a_restricted_cell_is_left_as_it_is():
    cell = np.array([[3.0, 0, 0], [-1.0, 3.0, 0], [0.5, 0.2, 4.0]])
    lower, rotation = restricted_triclinic(cell)
    np.testing.assert_allclose(lower, cell, atol=1e-14)
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-14)


@pytest.mark.parametrize('cell', [np.diag([1.0, 1.0, -1.0]), np.eye(3)[[1, 0, 2]], np.zeros((3, 3))])
def test_left_handed_and_flat_cells_are_refused(cell):
    with pytest.raises(ValueError, match='left-handed or coplanar: swap two'):
        restricted_triclinic(cell)


def test_data_file(file_regression):
    cell = np.array([[3.0, 0, 0], [-1.0, 3.0, 0], [0.5, 0.2, 4.0]])
    positions = np.array([[0.1, 0.2, 0.3], [1.0, -2.0, 1 / 3]])
    text = data_file([1, 2], [58.6934, 1.008], cell, positions, np.array([[1e-3, 0, 0], [0, 0.25, -1e-5]]))
    file_regression.check(text)


def test_data_file_of_an_orthogonal_cell_at_rest_has_neither_tilt_nor_velocities():
    text = data_file([1], [1.008], np.diag([3.0, 4.0, 5.0]), np.zeros((1, 3)), None)
    assert 'xy xz yz' not in text
    assert 'Velocities' not in text
    assert '0.0 4 ylo yhi' in text


def test_time_series():
    series = read_time_series(FIXTURES / 'triclinic.series.txt')
    assert series.shape == (7, 4)
    np.testing.assert_array_equal(series[:, 0], np.arange(0, 31, 5))
    assert series[0, 2] == pytest.approx(600.0)


@pytest.mark.parametrize(
    ('text', 'rows'),
    [
        ('# a\n# b\n0 1.5 2.5\n10 3.5 4.', [[0, 1.5, 2.5]]),
        ('# a\n# b\n0 1.5 2.5\n10 3.5 4.5\n', [[0, 1.5, 2.5], [10, 3.5, 4.5]]),
        ('# a\n# b\n0 1.5 nan\n10 -inf 4.5\n2', [[0, 1.5, np.nan], [10, -np.inf, 4.5]]),
    ],
)
def test_time_series_without_its_incomplete_last_line(tmp_path, text, rows):
    path = tmp_path / 'series.txt'
    path.write_text(text)
    np.testing.assert_array_equal(read_time_series(path), rows)


@pytest.mark.parametrize('text', ['', '# a\n# b\n', '# a', '10 3.5'])
def test_an_empty_time_series_has_a_column_of_steps(tmp_path, text):
    path = tmp_path / 'series.txt'
    path.write_text(text)
    assert read_time_series(path)[:, 0].tolist() == []


@pytest.mark.parametrize('text', ['0 one\n', '0 1.0\n5 2.0 3.0\n'])
def test_a_corrupt_time_series_is_refused(tmp_path, text):
    path = tmp_path / 'series.txt'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'could not convert|cannot reshape'):
        read_time_series(path)


def screen(name):
    return read_screen_output((RUNS / 'lammps_md' / name / 'lammps.out').read_text())


def test_screen_output_of_a_finished_run():
    output = screen('finished')
    assert output.version.startswith('22 Jul 2025')
    assert output.last_step == 40
    assert output.error is None
    assert not output.halted
    assert not output.timed_out
    assert output.marks == ('stopped at step 40',)


def test_screen_output_of_a_killed_run():
    output = screen('killed')
    assert output.version.startswith('22 Jul 2025')
    assert 16 <= output.last_step <= 22
    assert (output.error, output.marks) == (None, ())


def test_screen_output_after_the_wall_time():
    output = screen('walltime')
    assert output.timed_out
    assert output.error is None
    (mark,) = output.marks
    assert 0 < int(mark.removeprefix('stopped at step ')) < 100_000_000


def test_screen_output_of_a_halted_run():
    output = screen('exploded')
    assert output.halted
    assert not output.timed_out
    assert output.marks == ('stopped at step 4',)


@pytest.mark.parametrize(
    ('name', 'error', 'last_step'),
    [
        ('unknown_style', "Unrecognized pair style 'no/such/style'", None),
        ('lost_atoms', 'Lost atoms: original 5 current', 0),
        ('not_a_number', 'Non-numeric pressure - simulation unstable', 0),
        ('potential_refused', 'Not a valid integer number', None),
        ('engine_failed', 'Incomplete or corrupted LAMMPS restart file', None),
    ],
)
def test_screen_output_of_a_failed_run(name, error, last_step):
    output = screen(name)
    assert output.error.startswith(error)
    assert output.last_step == last_step
    assert output.marks == ()


@pytest.mark.parametrize('text', ['', 'bash: lmp: command not found\n', 'LAMMPS (22 Jul'])
def test_screen_output_of_what_did_not_start(text):
    output = read_screen_output(text)
    assert output.version is None
    assert output.last_step is None


def test_restart_is_complete_only_with_its_end(tmp_path):
    whole = (FIXTURES / 'triclinic.state.restart').read_bytes()
    assert restart_is_complete(FIXTURES / 'triclinic.state.restart')
    path = tmp_path / 'x.restart'
    for content in (whole[:-1], whole[:-16], whole[: len(whole) // 2], whole[:16], b'', b'x' + whole[1:]):
        path.write_bytes(content)
        assert not restart_is_complete(path)
