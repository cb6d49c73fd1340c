"""A run read from several of its files, and written as a trajectory, from numbers that the test knows."""

import numpy as np
import pytest

from aiida_hdiff.formats.poscar import read_contcar
from aiida_hdiff.formats.trajectory import TrajectoryFile
from aiida_hdiff.formats.vasp_messages import read_outcar_end, scan_messages
from aiida_hdiff.formats.vasp_run import VaspRun
from aiida_hdiff.formats.vasp_trajectory import record_run
from tests.formats.vasp_writer import random_steps, write_outcar, write_vasprun
from tests.parsers.vasp_mlff_run import CELL, SYMBOLS, TrainingRun

NUMBERS = (12, 12, 1)
OPTIONS = {'timestep_fs': 1.0, 'degrees_of_freedom': 9}


def xdatcar(numbers, positions):
    text = 'title\n 1.0\n' + ''.join('{} {} {}\n'.format(*row) for row in np.eye(3)) + ' Mg H\n 2 1\n'
    for number, frame in zip(numbers, positions, strict=True):
        text += f'Direct configuration={number:>6}\n' + ''.join('{:.8f} {:.8f} {:.8f}\n'.format(*row) for row in frame)
    return text


def oszicar(numbers):
    return ''.join(f'{n:7d} T= 300. E= -.9E+01 F= -.{n:06d}E+03 E0= -.1E+02  EK= 0.1E+01\n' for n in numbers)


def read(folder, **options):
    run = VaspRun(folder, **options)
    blocks = list(run.blocks())
    return run, np.concatenate([block.steps for block in blocks]), blocks


def test_rest_of_a_cut_vasprun_comes_from_outcar(tmp_path):
    steps = random_steps('dmmdmmmd')
    write_vasprun(tmp_path / 'vasprun.xml', steps)
    write_outcar(tmp_path / 'OUTCAR', steps)
    text = (tmp_path / 'vasprun.xml').read_text()
    (tmp_path / 'vasprun.xml').write_text(text[: int(0.6 * len(text))])
    run, numbers, blocks = read(tmp_path)
    assert numbers.tolist() == list(range(1, 9))
    assert run.complete
    assert (run.n_steps, run.n_dft_steps, run.n_ml_steps) == (8, 3, 5)
    energies = np.concatenate([block.free_energies for block in blocks])
    np.testing.assert_allclose(energies, [step.energy for step in steps], atol=1e-8)
    positions = np.concatenate([block.scaled @ block.cells for block in blocks])
    np.testing.assert_allclose(positions, [step.positions for step in steps], atol=6e-6)


@pytest.mark.parametrize(
    ('written', 'interval', 'frame_interval', 'expected'),
    [
        (range(1, 6), 1, 1, [1, 2, 3, 4, 5]),
        (range(1, 6), 10, 1, [10, 20, 30, 40, 50]),
        (range(1, 6), 1, 4, [4, 8, 12, 16, 20]),
        (range(10, 60, 10), 10, 10, [10, 20, 30, 40, 50]),
        (range(5, 30, 5), 1, 5, [5, 10, 15, 20, 25]),
        (['999999', '******', '******'], 1, 1, [999999, 1000000, 1000001]),
    ],
)
def test_numbers_of_frames(tmp_path, written, interval, frame_interval, expected):
    """VASP may count frames or steps in XDATCAR; energies belong to steps."""
    written = list(written)
    frames = np.random.default_rng(1).random((len(written), 3, 3))
    (tmp_path / 'XDATCAR').write_text(xdatcar(written, frames))
    (tmp_path / 'OSZICAR').write_text(oszicar(range(interval, 61, interval)))
    run, numbers, blocks = read(tmp_path, interval=interval, frame_interval=frame_interval)
    assert numbers.tolist() == expected
    known = [n for n in expected if n <= 60]
    energies = np.concatenate([block.free_energies for block in blocks])
    np.testing.assert_allclose(energies[np.array(expected) <= 60], [-n / 1000 for n in known])
    assert np.isnan(energies[np.array(expected) > 60]).all()
    np.testing.assert_allclose(np.concatenate([block.scaled for block in blocks]), frames, atol=1e-8)
    assert run.header is None


def test_numbers_that_do_not_increase(tmp_path):
    frames = np.random.default_rng(1).random((4, 3, 3))
    (tmp_path / 'XDATCAR').write_text(xdatcar([81, 2, 3, 4], frames))
    run = VaspRun(tmp_path)
    assert list(run.blocks()) == []
    assert run.warnings == ['XDATCAR: the numbers of the frames do not increase: the file is damaged']


def test_interval_of_oszicar(tmp_path):
    """Where INCAR does not say how often VASP writes, OSZICAR does."""
    steps = random_steps('mmm')
    write_vasprun(tmp_path / 'vasprun.xml', steps)
    (tmp_path / 'OSZICAR').write_text(oszicar([10, 20, 30]))
    run, numbers, _ = read(tmp_path)
    assert (run.interval, numbers.tolist()) == (10, [10, 20, 30])


def test_damage_is_a_warning(tmp_path):
    steps = random_steps('dddd')
    write_vasprun(tmp_path / 'vasprun.xml', steps)
    text = (tmp_path / 'vasprun.xml').read_text()
    place = text.rindex('<varray name="forces"')
    (tmp_path / 'vasprun.xml').write_text(text[:place] + '<&' + text[place:])
    (tmp_path / 'OSZICAR').write_text('nothing\n')
    run, numbers, _ = read(tmp_path)
    assert numbers.tolist() == [1, 2, 3]
    assert not run.complete
    assert [warning.split(',')[0] for warning in run.warnings] == ['OSZICAR', 'vasprun.xml']


def test_empty_folder(tmp_path):
    run = VaspRun(tmp_path)
    assert list(run.blocks()) == []
    assert (run.header, run.n_steps) == (None, 0)


def test_atoms_that_cross_the_boundary(tmp_path):
    """Wrapped or not, the trajectory continues what the run started from, images included."""
    run = TrainingRun('m' * 30, growing=False, start=np.array([[0.1, 0.1, 0.1], [6.1, 5.0, 5.4], [-9.0, 5.1, 0.0]]))
    for wrapped in (False, True):
        folder = run.write(tmp_path / str(wrapped), wrapped=wrapped)
        target = tmp_path / 'trajectory.h5'
        contcar = read_contcar(folder / 'CONTCAR')
        recorded = record_run(
            VaspRun(folder), target, NUMBERS, start=(CELL, run.start), contcar=contcar, ended=True, **OPTIONS
        )
        assert recorded.steps.tolist() == list(range(30))
        with TrajectoryFile(target) as reader:
            np.testing.assert_allclose(reader.positions(), [run.at(n)[1] for n in range(30)], atol=6e-6)
        np.testing.assert_allclose(recorded.state.positions, run.at(30)[1], atol=1e-6)


def test_state_of_finalpos(tmp_path):
    """Without CONTCAR the end of vasprun.xml has the next configuration."""
    steps = random_steps('mmm')
    write_vasprun(tmp_path / 'vasprun.xml', [*steps[:2], steps[2]])
    text = (tmp_path / 'vasprun.xml').read_text()
    last = text.index('<time', text.index('<time', text.index('<time') + 1) + 1)
    # The third step is removed: its structure remains as that of the end.
    second = text.index('<time', text.index('<time') + 1)
    end_of_second = text.index('</time>', second) + len('</time>\n')
    end_of_third = text.index('</time>', last) + len('</time>\n')
    (tmp_path / 'vasprun.xml').write_text(text[:end_of_second] + text[end_of_third:])
    recorded = record_run(VaspRun(tmp_path), tmp_path / 'trajectory.h5', NUMBERS, **OPTIONS)
    assert (recorded.state.source, recorded.state.step) == ('vasprun.xml', 2)
    scaled = [np.linalg.solve(cell.T, positions.T).T for cell, positions in (
        (recorded.state.cell, recorded.state.positions), (steps[2].cell, steps[2].positions),
    )]  # fmt: skip
    np.testing.assert_allclose((scaled[0] - scaled[1] + 0.5) % 1.0, 0.5, atol=1e-7)


def test_other_atoms_are_refused(tmp_path):
    TrainingRun('mm').write(tmp_path)
    with pytest.raises(ValueError, match='the files have 3 atoms, not 2'):
        record_run(VaspRun(tmp_path), tmp_path / 'trajectory.h5', NUMBERS[:2], **OPTIONS)
    assert len(SYMBOLS) == 3


MESSAGES = [
    (b' vasp.6.4.3 19Mar24\n', {'started': True}),
    (b'EMULATED by something: NOT VASP\n', {'started': True, 'emulated': True}),
    (b'|   Error EDDDAV: Call to ZHEGV failed   |\n', {'errors': ('Error EDDDAV: Call to ZHEGV failed',)}),
    (b'srun: error: n1: task 0: Killed\n', {'killed': True}),
    (b'exited on signal 11 (Segmentation fault)\n', {'errors': ('exited on signal 11 (Segmentation fault)',)}),
    (b'slurmstepd: error: *** CANCELLED DUE TO TIME LIMIT ***\n', {'killed': True}),
    (b' soft stop encountered!  aborting job ...\n', {'stopped': True}),
    (b'| Increase the tag |\n| ML_MCONF |\n', {'limit': 'ML_MCONF'}),
    (b'| ML_MB has been |\n| reached. |\n', {'limit': 'ML_MB'}),
    (b'ML_MB = 10\n ML_MCONF = 50\n', {}),
    (b'DAV:   1     0.1E+03    0.2E+03   -0.7E+04   100   0.1E+03\n', {}),
]  # fmt: skip


@pytest.mark.parametrize(('text', 'expected'), MESSAGES)
def test_messages(text, expected):
    found = scan_messages(text.splitlines(keepends=True))
    defaults = {
        'started': False, 'errors': (), 'species': '', 'limit': '', 'stopped': False, 'killed': False, 'emulated': False,
    }  # fmt: skip
    assert vars(found) == {**defaults, **expected}


def test_reason_is_short():
    found = scan_messages(f'error {n} {"x" * 100}\n'.encode() for n in range(1000))
    assert len(found.reason) == 300
    assert len(found.errors) == 20


def test_end_of_outcar(tmp_path):
    path = tmp_path / 'OUTCAR'
    assert not read_outcar_end(path).finished
    path.write_text('x' * 10**6 + '\n soft stop encountered!\n')
    assert (read_outcar_end(path).finished, read_outcar_end(path).stopped) == (False, True)
    TrainingRun('m').write(tmp_path)
    end = read_outcar_end(path)
    assert (end.finished, end.elapsed_s, end.stopped) == (True, 4.5, False)


def test_cell_of_xdatcar_has_all_digits_where_it_is_fixed(tmp_path):
    run = TrainingRun('mmm', growing=False)
    folder = run.write(tmp_path)
    cell = CELL + 3e-7 * np.eye(3)
    for step in run.steps:
        step.cell = cell
    write_vasprun(folder / 'vasprun.xml', run.steps, SYMBOLS, energies_only=True)
    text = (folder / 'vasprun.xml').read_text()
    for value in (cell[0, 0], cell[1, 1], cell[2, 2]):
        text = text.replace(f'{value:16.8f}', f'{value:18.10f}')
    (folder / 'vasprun.xml').write_text(text)
    (folder / 'OUTCAR').unlink()
    _, _, blocks = read(folder)
    np.testing.assert_allclose(blocks[0].cells, [cell] * 3, atol=1e-9)


@pytest.mark.integration
def test_memory_does_not_grow_with_the_file():
    """Peak memory of the readers, which the benchmark reports, of files of 20 and 100 MB."""
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).parents[1] / 'benchmarks' / 'bench_vasp_streams.py'
    peaks = []
    for size in ('20', '100'):
        done = subprocess.run([sys.executable, str(script), size], capture_output=True, text=True, check=True)
        rows = [line.split() for line in done.stdout.splitlines()[1:]]
        peaks.append({row[0]: float(row[-1]) for row in rows if row[0] != 'ASE'})
    for name, peak in peaks[1].items():
        assert peak < 200, name
        assert peak < peaks[0][name] + 50, name
