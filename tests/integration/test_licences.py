"""No text of a POTCAR leaves the database: not into a node, an archive, a dump, a log or a report.

The POTCARs of the test are none of VASP: they have a marker where the licensed data would be. A whole study is run by
the stand-in, which is not VASP, and everything that can be shared is searched for the marker, also in what is packed.
"""

import base64
import gzip
import io
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_hdiff.report.text import EMULATED
from tests.conftest import executable, nickel_hydride
from tests.integration.standin import TRAIN, run_standin
from tests.vasp_fixtures import POTCAR_FAMILY, POTCAR_MARKER, fake_potcar

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')
pytest.importorskip('matscipy', reason='matscipy is not installed')
pytestmark = [pytest.mark.integration, pytest.mark.slow]

MARKER = POTCAR_MARKER.encode()
FORBIDDEN_NAMES = ('POTCAR', 'OUTCAR', 'vaspout.h5', 'vasprun.xml', 'WAVECAR', 'CHGCAR', 'ML_AB', 'ML_FF')
BASE64 = re.compile(rb'[A-Za-z0-9+/]{200,}={0,2}')

TRAINING = {
    'title': 'licence test',
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [2, 2, 2]},
    'hydrogen': {'n_hydrogen': 4, 'seed': 1},
    'potcars': {'family': POTCAR_FAMILY},
    'protocol': 'demo',
    'settings': {
        'chunk_steps': 40,
        'ramp': {'time_ps': 0.03, 'start_K': 300.0, 'end_K': 1600.0},
        'plateaus': {'temperatures_K': []},
    },
    'diffusion': {
        'temperatures_K': [1300, 1600],
        'protocol': 'demo',
        'settings': {
            'timestep_fs': 1.0,
            'npt': {'time_ps': 0.03, 'checkpoint_interval_ps': None},
            'nvt': {'time_ps': 0.03, 'checkpoint_interval_ps': None},
            'nve': {'time_ps': 2.0, 'checkpoint_interval_ps': None},
            'analysis': {'window_ps': [0.1, 0.2]},
            'gate': {'temperature_tolerance_K': 1600.0, 'drift_limit_meV_per_atom_per_ns': 1e6},
        },
    },
}


def unpacked(name, content, depth=0):
    """Yield what is in a file: itself, and what is behind compression, archives, databases and encodings."""
    yield name, content
    if depth > 6:
        return
    if content[:4] == b'PK\x03\x04':
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                yield f'{name}/{member.filename}', member.filename.encode()
                yield from unpacked(f'{name}/{member.filename}', archive.read(member), depth + 1)
    elif content[:2] == b'\x1f\x8b':
        yield from unpacked(f'{name} (gzip)', gzip.decompress(content), depth + 1)
    elif content[:2] in (b'\x78\x01', b'\x78\x9c', b'\x78\xda'):
        yield from unpacked(f'{name} (zlib)', zlib.decompressobj().decompress(content), depth + 1)
    elif content.startswith(b'SQLite format 3'):
        yield from tables(name, content)
    elif content[:8] == b'\x89HDF\r\n\x1a\n':
        yield from hdf5(name, content)
    else:
        for number, match in enumerate(BASE64.finditer(content)):
            text = match[0]
            plain = base64.b64decode(text + b'=' * (-len(text) % 4))
            yield from unpacked(f'{name} (base64 {number})', plain, depth + 1)


def tables(name, content):
    connection = sqlite3.connect(':memory:')
    connection.deserialize(content) if hasattr(connection, 'deserialize') else pytest.skip('needs Python 3.11')
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            yield f'{name}:{table}', repr(row).encode()


def hdf5(name, content):
    found = []

    def look(key, item):
        found.append(repr(dict(item.attrs)).encode())
        if isinstance(item, h5py.Dataset) and item.dtype.kind in 'OSU':
            found.append(repr(item[()]).encode())

    with h5py.File(io.BytesIO(content)) as file:
        look('/', file)
        file.visititems(look)
    yield from ((f'{name} (hdf5)', one) for one in found)


def searched(folder):
    """Return the names of everything in a folder of files, and those in which the marker is."""
    names, hits = [], []
    for path in sorted(Path(folder).rglob('*')):
        if path.is_file():
            for name, content in unpacked(str(path.relative_to(folder)), path.read_bytes()):
                names.append(name)
                if MARKER in content:
                    hits.append(name)
    return names, hits


@pytest.fixture(scope='module')
def study(aiida_profile, tmp_path_factory, setfl_path):
    """Run the study once and return its node."""
    from aiida.engine import run_get_node
    from aiida_vasp.data.potcar import PotcarData

    from aiida_hdiff.workflows.training_study import training_builder
    from tests.vasp_fixtures import write_potcar_family

    folder = tmp_path_factory.mktemp('study')
    computer = orm.Computer(
        label='localhost', hostname='localhost', transport_type='core.local', scheduler_type='core.direct',
        workdir=str(folder / 'work'),
    ).store()  # fmt: skip
    computer.configure(safe_interval=0.0)
    computer.set_minimum_job_poll_interval(0.1)
    PotcarData.upload_potcar_family(
        write_potcar_family(folder, ('Ni', 'H')), POTCAR_FAMILY, 'Fake POTCARs', stop_if_existing=False
    )
    orm.InstalledCode(
        label='vasp', computer=computer, filepath_executable=executable('hdiff-vasp-standin'),
        default_calc_job_plugin='hdiff.vasp_mlff',
    ).store()  # fmt: skip
    environment = {'OMP_NUM_THREADS': '1', 'HDIFF_STANDIN_REFERENCE': f'eam:{setfl_path}'}
    builder = training_builder({**TRAINING, 'options': {'environment_variables': environment}}, folder)
    _, node = run_get_node(builder)
    # So short a study may end without an Arrhenius fit; all its jobs and reports are there.
    assert node.exit_status in (0, 437, 712), (node.exit_status, node.exit_message)
    assert node.base.links.get_outgoing(link_label_filter='diffusion').one().node.exit_status in (0, 510, 710)
    return node


@pytest.fixture
def run(study, tmp_path, monkeypatch):
    """Give a function that runs a command line of the package in an empty folder."""
    from aiida_hdiff.cli import main

    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


def test_the_search_finds_what_is_packed(tmp_path):
    """The other tests rest on this: a POTCAR is found in all the places that they look into."""
    text = fake_potcar('Ni').encode()
    with zipfile.ZipFile(tmp_path / 'a.aiida', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('inner/plain', text)
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, 'w', zipfile.ZIP_DEFLATED) as deeper:
            deeper.writestr('x', text)
        archive.writestr('inner.zip', inner.getvalue())
    (tmp_path / 'a.gz').write_bytes(gzip.compress(text))
    (tmp_path / 'a.z').write_bytes(zlib.compress(text))
    (tmp_path / 'a.html').write_bytes(b'<img src="data:x;base64,' + base64.b64encode(gzip.compress(text)) + b'">')
    connection = sqlite3.connect(tmp_path / 'a.sqlite')
    connection.execute('CREATE TABLE log (message TEXT)')
    connection.execute('INSERT INTO log VALUES (?)', (text.decode(),))
    connection.commit()
    connection.close()
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file.attrs['text'] = text.decode()
    _, hits = searched(tmp_path)
    assert {re.split('[/ :]', name)[0] for name in hits} == {
        'a.aiida', 'a.gz', 'a.z', 'a.html', 'a.sqlite', 'a.h5',
    }  # fmt: skip
    assert {'a.aiida/inner/plain', 'a.aiida/inner.zip/x'} <= set(hits)


def test_only_the_nodes_of_aiida_vasp_hold_it(study):
    """The marker is in the database, or nothing would be tested; and in no other node."""
    from aiida_vasp.data.potcar import PotcarFileData

    holders = set()
    for (node,) in orm.QueryBuilder().append(orm.Node).iterall():
        contents = [repr(node.base.attributes.all).encode(), repr(node.base.extras.all).encode()]
        for root, _, names in node.base.repository.walk():
            contents += [node.base.repository.get_object_content(str(root / name), 'rb') for name in names]
        if any(MARKER in text for content in contents for _, text in unpacked('', content)):
            holders.add(type(node))
    assert holders == {PotcarFileData}
    logs = orm.QueryBuilder().append(orm.Log, project=['message', 'metadata']).all()
    assert logs
    assert MARKER.decode() not in repr(logs)


def test_jobs_leave_licensed_and_large_files_alone(study):
    jobs = [one for one in study.called_descendants if isinstance(one, orm.CalcJobNode)]
    assert len(jobs) >= 8
    for job in jobs:
        stored = [*job.base.repository.list_object_names(), *job.outputs.retrieved.list_object_names()]
        assert set(stored).isdisjoint(FORBIDDEN_NAMES), stored
        wanted = [*(job.get_retrieve_list() or []), *(job.get_retrieve_temporary_list() or [])]
        assert not [name for name in map(str, wanted) if 'vaspout' in name or '*' in name]
        assert 'POTCAR' not in map(str, wanted)


def test_the_archive(study, run, tmp_path):
    from aiida_vasp.data.potcar import PotcarData, PotcarFileData

    run('export', study.base.links.get_outgoing(link_label_filter='diffusion').one().node.pk, '-o', 'study.aiida')
    names, hits = searched(tmp_path)
    assert len(names) > 500
    assert hits == []
    types = ' '.join(repr(text) for name, text in unpacked('', Path('study.aiida').read_bytes()) if 'db_dbnode' in name)
    assert PotcarData.class_node_type in types
    assert PotcarFileData.class_node_type not in types
    # In another process, since opening an archive closes the profile of the tests, which is in memory.
    command = [sys.executable, '-m', 'aiida_hdiff.cli', 'report', 'study.aiida', '-o', 'from_archive.html']
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / 'aiida')}
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert EMULATED in Path('from_archive.html').read_text()


def test_the_dump(study, tmp_path):
    study.dump(output_path=tmp_path / 'dump', include_outputs=True)
    names, hits = searched(tmp_path)
    assert len(names) > 50
    assert hits == []
    assert not [name for name in names if name.rpartition('/')[2] in FORBIDDEN_NAMES]


def test_the_report_and_the_figures(study, run, tmp_path):
    pk = study.base.links.get_outgoing(link_label_filter='diffusion').one().node.pk
    run('report', pk, '-o', 'report.html', '--figures', 'figures', '--data', 'data')
    run('plot-training', study.pk, '-o', 'learning.svg')
    Path('results.json').write_text(run('show', pk, '--json'))
    table = run('show', pk)
    names, hits = searched(tmp_path)
    assert hits == []
    assert len(names) > 10
    assert EMULATED in Path('report.html').read_text()
    assert '"emulated": true' in Path('results.json').read_text()
    assert table.startswith(EMULATED)
    assert 'EMULATED' in run('potential', 'list')


def test_a_run_of_the_stand_in_is_imported_with_its_label(study, run, setfl_path, tmp_path):
    """What a user would have: the folder of a run, with its POTCAR and an OUTCAR that repeats lines of it."""
    folder = tmp_path / 'mine'
    tags = {**TRAIN, 'nsw': 30}
    run_standin(folder, executable('hdiff-vasp-standin'), tags, nickel_hydride(2, 2), f'eam:{setfl_path}')
    assert (folder / 'OUTCAR').read_bytes().count(MARKER) > 0
    output = run('import-vasp', 'mine')
    assert EMULATED in output
    node = orm.load_node(int(re.search(r'job (\d+)', output)[1]))
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.misc['emulated'] is True
    assert node.outputs.trajectory.n_frames == 30
    assert node.outputs.dataset.n_frames == node.outputs.misc['n_dft_steps']
    assert node.inputs.constraint.value == 'fixed_shape'
    assert 'EMULATED' in run('trajectory', 'list')
    assert EMULATED in run('import-mlab', 'mine/ML_ABN')
    found = [item for one in node.base.links.get_outgoing().all_nodes() for item in contents_of(one)]
    assert len(found) > 5
    assert [name for name, content in found if MARKER in content] == []
    assert {'POTCAR', 'OUTCAR', 'vasp_output'}.isdisjoint(node.outputs.retrieved.list_object_names())


def contents_of(node):
    """Yield the names and contents of the files of a node, and of what is packed in them."""
    for root, _, names in node.base.repository.walk():
        for name in names:
            yield from unpacked(name, node.base.repository.get_object_content(str(root / name), 'rb'))
