"""Readers of VASP's files on damaged ones: ValueError or a result, in bounded time and memory.

HDIFF_FUZZ_TRIALS sets the number of damaged files in the long test, by default ten thousand for each reader.
"""

import gzip
import io
import os
import random
import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats import read_ml_ab, text_stream
from aiida_hdiff.formats.ml_ff import read_ml_ff_header
from aiida_hdiff.formats.ml_logfile import read_ml_logfile
from aiida_hdiff.formats.ml_reg import read_ml_reg
from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.poscar import read_contcar, write_poscar
from aiida_hdiff.formats.vasp_run import VaspRun
from aiida_hdiff.formats.vasp_trajectory import record_run
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.formats.xdatcar import read_xdatcar
from tests.formats.test_ml_ff import header as ml_ff_header
from tests.formats.test_vasp_tables import logfile_text, ml_reg_text, oszicar_text
from tests.formats.vasp_writer import random_steps, write_outcar, write_vasprun
from tests.parsers.vasp_mlff_run import TrainingRun

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')
TRIALS = int(os.environ.get('HDIFF_FUZZ_TRIALS', '10000'))
SECONDS_PER_TRIAL = 20
EXTRA_BYTES = 2**30
"""What a reader may take beyond what the process has."""

SHORT = {
    'vasprun': 40,
    'outcar': 30,
    'xdatcar': 80,
    'ml_ab': 30,
    'contcar': 80,
    'ml_ff': 80,
    'oszicar': 40,
    'ml_logfile': 20,
    'ml_reg': 40,
    'run': 40,
}


def record(path):
    """Read a damaged vasprun.xml beside other damaged files of the run, and write the trajectory."""
    folder = path.parent / 'run'
    whole = TrainingRun('dmmd').write(folder) if not folder.exists() else folder
    (folder / 'vasprun.xml').write_bytes(path.read_bytes())
    rng = random.Random(path.read_bytes()[-50:])
    for name in ('OUTCAR', 'XDATCAR', 'OSZICAR', 'CONTCAR'):
        content = (whole / f'{name}.whole' if (whole / f'{name}.whole').exists() else whole / name).read_bytes()
        (whole / f'{name}.whole').write_bytes(content)
        (folder / name).write_bytes(damage(content, rng) if rng.randrange(2) else content)
    try:
        contcar = read_contcar(folder / 'CONTCAR')
    except ValueError:
        contcar = None
    numbers = (12, 12, 1)
    options = {'timestep_fs': 1.0, 'degrees_of_freedom': 9, 'contcar': contcar, 'ended': bool(rng.randrange(2))}
    recorded = record_run(VaspRun(folder), folder / 'trajectory.h5', numbers, **options)
    assert np.all(np.diff(recorded.steps) > 0)


def steps_of(stream):
    for step in stream:
        assert np.isfinite(step.free_energy)
        assert step.positions is None or np.isfinite(step.positions).all()


READERS = {
    'vasprun': lambda path: steps_of(iter_vasprun(path, allow_truncated=True)),
    'outcar': lambda path: steps_of(iter_outcar(path, allow_truncated=True)),
    'xdatcar': lambda path: [len(block.scaled) for block in read_xdatcar(path, allow_truncated=True)],
    'ml_ab': lambda path: read_ml_ab(path, allow_truncated=True),
    'contcar': lambda path: read_contcar(path, timestep_fs=1.0, allow_truncated=True),
    'ml_ff': read_ml_ff_header,
    'oszicar': lambda path: read_oszicar(path, allow_truncated=True),
    'ml_logfile': lambda path: read_ml_logfile(path, allow_truncated=True),
    'ml_reg': lambda path: read_ml_reg(path, allow_truncated=True),
    'run': record,
}
NAMES = {
    'vasprun': [
        'pymatgen-core/vasprun.md.xml.gz',
        'pymatgen-core/vasprun.ml_md.xml.gz',
        'derived/vasprun.ml_md.no_calculation.xml.gz',
        'derived/vasprun.ml_md.outmode0_like.xml.gz',
    ],
    'outcar': ['dpdata/OUTCAR.ch4.ml', *(f'vasp-interactive/OUTCAR.istart{number}' for number in range(3))],
    'xdatcar': ['pymatgen-core/XDATCAR.MD', 'pymatgen-core/XDATCAR_6'],
    'ml_ab': ['vasp-interactive/ML_AB.H2', 'FPdataViewer/ML_AB_BiO_small', 'ML_AB_handmade_malformed'],
    'contcar': ['pymatgen-core/CONTCAR.MD', 'pymatgen-core/CONTCAR.MD.npt', 'vasp-interactive/POSCAR'],
    'ml_ff': ['vasp-interactive/ML_FF.H2'],
}


def written_here(kind, folder):
    """A file of our own writers, for kinds without a public sample and where there are no samples."""
    path = folder / 'whole'
    steps = random_steps('dmdm')
    if kind == 'run':
        return (TrainingRun('dmmd').write(folder / 'source') / 'vasprun.xml').read_bytes()
    if kind == 'vasprun':
        write_vasprun(path, steps)
    elif kind == 'outcar':
        write_outcar(path, steps)
    elif kind == 'contcar':
        stream = io.StringIO()
        table = steps[0].positions
        write_poscar(stream, symbols=['Mg', 'Mg', 'H'], cell=steps[0].cell, positions=table, velocities=table)
        return stream.getvalue().encode()
    else:
        texts = {'oszicar': oszicar_text, 'ml_logfile': lambda: logfile_text()[:60000], 'ml_reg': ml_reg_text}
        return texts[kind]().encode() if kind in texts else ml_ff_header() if kind == 'ml_ff' else b''
    return path.read_bytes()


def wholes(kind, folder):
    found = [written_here(kind, folder)]
    for name in NAMES.get(kind, ()):
        path = Path(SAMPLES or '', name)
        if SAMPLES and path.exists():
            content = path.read_bytes()
            found.append(gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content)
    return [content for content in found if content]


def damage(content, rng):
    """Cut, flip bits, overwrite, remove, repeat or move bytes, sometimes packed and damaged again."""
    content = bytearray(content)
    kind = rng.randrange(6)
    if kind in (0, 1):
        del content[rng.randrange(len(content)) :]
    for _ in range(0 if kind == 0 else rng.choice((1, 1, 10, 1000))):
        if not content:
            break
        place = rng.randrange(len(content))
        if kind == 2:
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 3:
            del content[place : place + rng.choice((1, 10, 1000))]
        elif kind == 4:
            piece = content[place : place + rng.choice((1, 100))]
            other = rng.randrange(len(content))
            content[other:other] = piece
        else:
            content[place] = rng.choice(b'0123456789-+.eE*<>/="{}[] \n\t\0\xff') if kind == 5 else rng.randrange(256)
    if rng.randrange(20) == 0:
        content = bytearray(gzip.compress(bytes(content), 1))
        if rng.randrange(2):
            del content[rng.randrange(len(content)) :]
        elif content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


@contextmanager
def limits():
    """Turn a hang and unbounded memory into errors."""

    def too_long(*_):
        raise AssertionError(f'a reader took more than {SECONDS_PER_TRIAL} s')

    size = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (size + EXTRA_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def fuzz(kind, folder, n_trials, seed):
    contents = wholes(kind, folder)
    if not contents:
        pytest.skip('HDIFF_VASP_SAMPLES does not name a folder of files written by VASP')
    path = folder / 'damaged'
    refused = 0
    with limits():
        for trial in range(n_trials):
            rng = random.Random(f'{kind} {seed} {trial}')
            path.write_bytes(damage(contents[trial % len(contents)], rng))
            signal.alarm(SECONDS_PER_TRIAL)
            try:
                READERS[kind](path)
            except ValueError:
                refused += 1
            except BaseException as error:
                error.add_note(f'trial {trial} of {kind} with seed {seed}')
                raise
            finally:
                signal.alarm(0)
    return refused


@pytest.mark.parametrize('kind', READERS)
def test_undamaged_files_are_read(tmp_path, kind):
    for index, content in enumerate(wholes(kind, tmp_path)):
        path = tmp_path / f'whole{index}'
        path.write_bytes(content)
        if b'forces' in content or kind != 'ml_ab':
            READERS[kind](path)


@pytest.mark.parametrize('kind', READERS)
def test_damage(tmp_path, kind):
    n_trials = SHORT[kind]
    refused = fuzz(kind, tmp_path, n_trials, 'short')
    assert refused < n_trials
    # A run has several files, of which one that can be read is enough.
    assert refused > 0 or kind == 'run'


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(7200)
@pytest.mark.parametrize('kind', READERS)
def test_ten_thousand_times(tmp_path, kind):
    assert fuzz(kind, tmp_path, TRIALS, 'long') < TRIALS


@pytest.mark.parametrize('kind', ['outcar', 'oszicar', 'ml_logfile', 'ml_reg', 'vasprun'])
def test_line_without_an_end(tmp_path, kind, monkeypatch):
    """As a hole of zeros that a full or broken disk has left."""
    monkeypatch.setattr(text_stream, 'MAX_LINE_BYTES', 2**20)
    content = written_here(kind, tmp_path)
    path = tmp_path / 'damaged'
    path.write_bytes(content[: content.rindex(b'\n', 0, len(content) // 2) + 1])
    with path.open('r+b') as stream:
        stream.truncate(path.stat().st_size + 2**22)
    with pytest.raises(ValueError, match='damaged'):
        READERS[kind](path)
