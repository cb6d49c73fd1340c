"""Commands on nodes and studies: what they print, what they write, and what they refuse."""

import json

import numpy as np
import pytest
from aiida import orm
from ase.io import read

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.formats import read_extxyz, read_ml_ab
from tests.data.test_results import ARRHENIUS, DIFFUSIVITY

KINDS = ('potential', 'dataset', 'trajectory', 'state', 'diffusivity', 'arrhenius')


@pytest.fixture
def make(generate_potential, generate_trajectory, generate_state, generate_dataset):
    """Give a factory of one stored node of each type."""
    makers = {
        'potential': lambda: generate_potential('mace', files=[b'one', b'two']),
        'dataset': generate_dataset,
        'trajectory': lambda: generate_trajectory(velocities=np.zeros((20, 5, 3))),
        'state': lambda: generate_state(step=42),
        'diffusivity': lambda: DiffusivityData(DIFFUSIVITY),
        'arrhenius': lambda: ArrheniusData(ARRHENIUS),
    }

    def factory(kind):
        node = makers[kind]()
        node.label = f'label of {kind}'
        return node.store()

    return factory


SUMMARY = {
    'potential': 'mace  ',
    'dataset': '4 frames of H Cu by emt',
    'trajectory': '20 frames of H1Ni4',
    'state': '33 atoms at step 42',
    'diffusivity': 'D(803 K) = ',
    'arrhenius': 'Ea = 0.440',
}


@pytest.mark.parametrize('kind', KINDS)
def test_list(run_command, make, kind):
    node = make(kind)
    line = next(line for line in run_command(kind, 'list').splitlines() if line.split()[0] == str(node.pk))
    assert f'label of {kind}' in line
    assert SUMMARY[kind] in line


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('by', ['pk', 'uuid'])
def test_show(run_command, make, kind, by):
    node = make(kind)
    head, text = run_command(kind, 'show', getattr(node, by)).split('\n', 1)
    assert head == f'{type(node).__name__} {node.pk} ({node.uuid}) label of {kind}'
    assert json.loads(text) == node.base.attributes.all


def test_export_of_a_potential(run_command, make, tmp_path):
    output = run_command('potential', 'export', make('potential').pk, '-o', tmp_path / 'new' / 'folder')
    assert [(tmp_path / 'new' / 'folder' / f'potential.{i}').read_bytes() for i in (0, 1)] == [b'one', b'two']
    assert output.count('wrote ') == 2


def test_export_of_a_trajectory(run_command, make, tmp_path):
    node = make('trajectory')
    run_command('trajectory', 'export', node.pk)
    images = read('trajectory.extxyz', index=':')
    assert len(images) == 20
    np.testing.assert_allclose(images[7].positions, node.get_positions()[7], atol=1e-7)
    run_command('trajectory', 'export', node.pk, '-o', tmp_path / 'a.h5')
    with node.open(mode='rb') as handle:
        assert (tmp_path / 'a.h5').read_bytes() == handle.read()


def test_export_of_a_dataset(run_command, make, tmp_path):
    node = make('dataset')
    expected = node.frames()
    run_command('dataset', 'export', node.pk)
    np.testing.assert_array_equal(read_extxyz('dataset.extxyz').forces, expected.forces)
    run_command('dataset', 'export', node.pk, '-o', tmp_path / 'ML_AB')
    assert sorted(one.energy for one in read_ml_ab(tmp_path / 'ML_AB')) == pytest.approx(sorted(expected.energies))
    run_command('dataset', 'export', node.pk, '-o', tmp_path / 'set.traj')
    assert [one.get_potential_energy() for one in read(tmp_path / 'set.traj', ':')] == expected.energies.tolist()


def test_export_of_a_dataset_without_stress_as_ml_ab(run_command, generate_dataset):
    from dataclasses import replace

    frames = generate_dataset().frames()
    node = LabelledDataset(replace(frames, stresses=frames.stresses * np.nan)).store()
    output = run_command('dataset', 'export', node.pk, '-o', 'ML_AB', code=1)
    assert 'ML_AB cannot be written: frame 0 has no stress' in output


def test_export_of_a_state(run_command, make, tmp_path):
    node = make('state')
    run_command('state', 'export', node.pk, '-o', tmp_path / 'a.extxyz')
    np.testing.assert_allclose(read(tmp_path / 'a.extxyz').positions, node.get_array('positions'), atol=1e-7)


@pytest.mark.parametrize('kind', ['diffusivity', 'arrhenius'])
def test_export_of_a_result(run_command, make, kind):
    node = make(kind)
    run_command(kind, 'export', node.pk)
    with open(f'{kind}.json', encoding='utf-8') as handle:
        assert json.load(handle) == node.base.attributes.all


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('command', ['show', 'export'])
def test_wrong_nodes(run_command, kind, command):
    assert "no node '99999999' in this profile" in run_command(kind, command, 99999999, code=1)
    assert "no node 'what' in this profile" in run_command(kind, command, 'what', code=1)
    number = orm.Int(1).store()
    entry_point = {'state': 'hdiff.md_state'}.get(kind, f'hdiff.{kind}')
    assert f'node {number.pk} is a Int, not of the type {entry_point}.' in run_command(kind, command, number.pk, code=1)


@pytest.mark.parametrize(('kind', 'name'), [('diffusivity', 'no/such/folder/a.json'), ('state', 'a.nonsense')])
def test_exports_that_cannot_be_written(run_command, make, kind, name):
    assert f'{name} cannot be written: ' in run_command(kind, 'export', make(kind).pk, '-o', name, code=1)


@pytest.mark.parametrize('command', ['status', 'show', 'report', 'plot', 'export'])
def test_commands_on_studies_refuse_other_nodes(run_command, command, generate_calc_job_node):
    assert "no node '99999999' in this profile" in run_command(command, 99999999, code=1)
    assert "no node 'nonsense' in this profile" in run_command(command, 'nonsense', code=1)
    number = orm.Int(1).store()
    message = f'node {number.pk} is a Int, not a DiffusionWorkChain: give the PK that `launch` printed.'
    assert message in run_command(command, number.pk, code=1)
    job = generate_calc_job_node('hdiff.md')
    assert f'node {job.pk} is a hdiff.md, not a DiffusionWorkChain' in run_command(command, job.pk, code=1)


def test_status_and_show_of_a_study_that_has_not_begun(
    run_command, generate_workchain, fake_code, generate_structure, generate_potential
):
    from aiida_hdiff.workflows.settings import DiffusionProtocols

    inputs = {
        'structure': generate_structure(),
        'potentials': {'lj': generate_potential()},
        'codes': {'lammps': fake_code()},
        'temperatures': orm.List([800, 900]),
        'settings': orm.Dict(DiffusionProtocols.get_protocol_settings('fast')),
        'seed': orm.Int(1),
    }
    node = generate_workchain('hdiff.diffusion', inputs).node
    output = run_command('status', node.pk)
    assert 'lj_800K_0' in output
    assert '0/470000' in output
    assert f'study {node.pk}: created' in output
    assert json.loads(run_command('show', node.pk, '--json'))
    assert 'lj' in run_command('show', node.uuid)


def test_import_of_what_is_no_archive(run_command, tmp_path):
    assert "archive 'no.aiida' does not exist" in run_command('import', 'no.aiida', code=1)
    for content in (b'', b'not an archive', b'PK\x03\x04broken'):
        path = tmp_path / 'a.aiida'
        path.write_bytes(content)
        assert "archive 'a.aiida' cannot be imported: " in run_command('import', path, code=1)


def test_import_of_an_archive(run_command, make, tmp_path):
    from aiida.tools.archive import create_archive

    create_archive([make('arrhenius')], filename=tmp_path / 'a.aiida')
    assert 'imported a.aiida' in run_command('import', tmp_path / 'a.aiida')


def test_an_archive_as_profile_is_read_but_not_written(run_command, make, tmp_path, aiida_config):
    from aiida.manage.configuration import profile_context
    from aiida.storage.sqlite_zip.backend import SqliteZipBackend
    from aiida.tools.archive import create_archive

    node = make('diffusivity')
    uuid = node.uuid
    create_archive([node], filename=tmp_path / 'a.aiida')
    with profile_context(SqliteZipBackend.create_profile(str(tmp_path / 'a.aiida')), allow_switch=True):
        assert uuid in run_command('diffusivity', 'show', uuid)
        (tmp_path / 'study.yaml').write_text('structure: {host: Ni}\n')
        output = run_command('launch', tmp_path / 'study.yaml', code=1)
        assert 'is read-only: choose another one with -p, nothing was submitted' in output
        assert 'is read-only' in run_command('import', tmp_path / 'a.aiida', code=1)
