"""`import-mlab` and `import-vasp`: what a user already has comes into the graph."""

import gzip
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import MLAB, read_ml_ab, write_ml_ab
from aiida_hdiff.formats.poscar import write_poscar
from aiida_hdiff.formats.vasprun import iter_vasprun
from tests.formats.vasp_writer import Step, write_outcar, write_vasprun
from tests.parsers.vasp_mlff_run import CELL, FOOTER, SYMBOLS, TrainingRun
from tests.vasp_fixtures import POTCAR_FAMILY, POTCAR_MARKER, fake_force_field, fake_potcar

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')

INCAR = """
SYSTEM = of somebody, in /home/somebody/work
ML_LMLFF = .TRUE. ; ML_MODE = TRAIN
ENCUT = 400  # eV
IBRION = 0 ; NSW = 10 ; POTIM = 1.0 ; MDALGO = 3 ; ISIF = 3
TEBEG = 300 ; TEEND = 300
LANGEVIN_GAMMA = 10 10
"""
KPOINTS = 'mesh\n0\nGamma\n2 2 1\n0 0 0\n'


def n_nodes():
    return orm.QueryBuilder().append(orm.Node).count()


def write_ml_ab_file(path, run=None, **changes):
    frames = (run or TrainingRun()).frames()
    stream = io.StringIO()
    write_ml_ab(MLAB.from_frames(frames), stream)
    path.write_text(stream.getvalue())
    return frames


# import-mlab


def test_a_training_set_becomes_a_data_set(run_command):
    frames = write_ml_ab_file(Path('ML_AB'))
    output = run_command('import-mlab', 'ML_AB', '--label', 'mine', '--reference', 'PBE-400')
    assert f'[1/1] ML_AB, 0.0 MB: {len(frames)} configurations of Mg H' in output
    pk = int(re.search(r'data set (\d+): 4 frames of H Mg, reference PBE-400', output)[1])
    node = orm.load_node(pk)
    assert isinstance(node, LabelledDataset)
    assert node.label == 'mine'
    found = node.frames()
    np.testing.assert_array_equal(found.energies, [frame.energy for frame in frames])
    assert found.origins[0].startswith('ML_AB')
    assert node.creator.process_label == 'import_ml_ab'
    assert node.creator.inputs.file.filename == 'ML_AB'
    assert str(Path.cwd()) not in str(node.creator.inputs.file.base.attributes.all)


def test_a_training_set_of_the_stand_in_is_known_by_its_name(run_command):
    write_ml_ab_file(Path('plain'))
    text = Path('plain').read_text()
    Path('ML_AB').write_text(text.replace('Mg2H', 'EMULATED Mg2H'))
    Path('other').write_text(text)
    assert 'EMULATED - made with the VASP stand-in, not VASP' in run_command('import-mlab', 'ML_AB', 'other')
    assert 'EMULATED' not in run_command('import-mlab', 'other')


def test_frames_with_a_net_force_are_flagged(run_command):
    write_ml_ab_file(Path('ML_AB'))
    output = run_command('import-mlab', 'ML_AB')
    assert 'reference not given' in output
    assert '4 frames are flagged' in output
    assert len(re.findall(r'net force \(force error \d\.\d+ eV/Å\)', output)) == 4


def test_several_files_become_one_set_without_repetitions(run_command):
    for name in ('one', 'two', 'three'):
        Path(name).mkdir()
    write_ml_ab_file(Path('one/ML_ABN'))
    write_ml_ab_file(Path('two/ML_ABN'))
    write_ml_ab_file(Path('three/ML_ABN'), TrainingRun(seed=9, start=TrainingRun().start + 0.1))
    output = run_command('import-mlab', 'one/ML_ABN', 'two/ML_ABN', 'three/ML_ABN')
    assert '4 frames are in several files and were taken once' in output
    node = orm.load_node(int(re.search(r'data set (\d+): 8 frames', output)[1]))
    assert {origin.split(' ')[0].split(':')[0][:8] for origin in node.frames().origins} == {'ML_ABN-1', 'ML_ABN-3'}
    assert node.creator.process_label == 'merge_datasets'


def test_a_broken_file_is_named_with_its_line_and_nothing_is_stored(run_command):
    write_ml_ab_file(Path('good'))
    lines = Path('good').read_text().splitlines()
    lines[40] = 'what'
    Path('bad').write_text('\n'.join(lines))
    before = n_nodes()
    output = run_command('import-mlab', 'good', 'bad', code=1)
    assert re.search(r'Error: bad, line \d+: .*Nothing was stored', output), output
    assert 'is no file' in run_command('import-mlab', 'nothing', code=1)
    cut = Path('good').read_text()
    Path('cut').write_text(cut[: int(0.8 * len(cut))])
    assert 'Nothing was stored' in run_command('import-mlab', 'cut', code=1)
    assert n_nodes() == before
    output = run_command('import-mlab', 'cut', '--allow-truncated')
    assert ': 3 frames of' in output


# import-vasp

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')


@pytest.fixture
def uploaded(fake_potcars, aiida_localhost):
    """Upload the POTCARs that the runs of these tests name; they are none of VASP."""
    return fake_potcars(('Mg', 'H'))


def finished(folder, pattern='ddmmdmmmdm', **changes):
    """Write the folder of a finished training run, as a user has it."""
    folder = Path(folder)
    run = TrainingRun(pattern)
    run.write(folder)
    (folder / 'INCAR').write_text(INCAR)
    (folder / 'KPOINTS').write_text(KPOINTS)
    (folder / 'POTCAR').write_text(''.join(map(fake_potcar, ('Mg', 'H'))))
    (folder / 'vasp_output').write_text('running for somebody in /home/somebody/work\n')
    with (folder / 'POSCAR').open('w') as stream:
        write_poscar(
            stream, symbols=SYMBOLS, cell=CELL, positions=run.start, velocities=run.scaled_velocities @ CELL,
            lattice_velocities=run.growth,
        )  # fmt: skip
    for name, text in changes.items():
        (folder / name).write_text(text)
    return run


def job_of(output):
    return orm.load_node(int(re.search(r'job (\d+)', output)[1]))


def everything_about(node):
    """Return all that is stored in a job and its neighbours: attributes, extras and files, as one byte string."""
    found = []
    nodes = [node, *node.base.links.get_incoming().all_nodes(), *node.base.links.get_outgoing().all_nodes()]
    for one in nodes:
        found += [repr(one.base.attributes.all).encode(), repr(one.base.extras.all).encode(), one.label.encode()]
        for root, _, names in one.base.repository.walk():
            found += [one.base.repository.get_object_content(str(root / name), mode='rb') for name in names]
    return b'\n'.join(found)


def test_a_finished_training_comes_in_as_if_it_had_run(run_command, uploaded):
    run = finished('training')
    output = run_command('import-vasp', 'training', '--family', POTCAR_FAMILY)
    node = job_of(output)
    assert (node.exit_status, node.process_type) == (0, 'aiida.calculations:hdiff.vasp_mlff')
    assert node.is_imported
    assert 'job' in output
    assert '10 steps, 4 of DFT, ML_MODE train, version 6.4.3' in output
    assert node.outputs.misc['n_dft_steps'] == 4
    assert node.outputs.trajectory.n_frames == 10
    assert node.outputs.dataset.n_frames == 4
    assert node.outputs.final_state.step == 10
    assert {'learning', 'regression', 'sources'} <= set(node.outputs)
    assert node.inputs.potential.Mg.uuid == uploaded['Mg'].uuid
    tags = node.inputs.parameters.get_dict()
    assert (tags['ml_mode'].lower(), tags['langevin_gamma'], tags['encut']) == ('train', [10, 10], 400)
    assert node.inputs.kpoints.get_kpoints_mesh() == ([2, 2, 1], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(node.inputs.state.velocities, run.scaled_velocities @ CELL, atol=1e-12)
    assert node.inputs.structure.get_ase().get_chemical_symbols() == list(SYMBOLS)
    assert node.outputs.dataset.references[0].startswith('vasp:')


def test_nothing_tells_of_the_machine_or_holds_a_potcar(run_command, uploaded):
    finished('training')
    node = job_of(run_command('import-vasp', 'training'))
    found = everything_about(node)
    assert len(found) > 10_000
    for secret in (str(Path.cwd()), 'somebody', POTCAR_MARKER, os.path.expanduser('~')):
        assert secret.encode() not in found, secret
    assert {'OUTCAR', 'POTCAR', 'vasp_output'}.isdisjoint(node.outputs.retrieved.list_object_names())
    assert node.inputs.remote_folder.base.extras.get('cleaned') is True
    assert not Path(node.inputs.remote_folder.get_remote_path()).exists()


def test_frames_that_were_read_are_not_new(run_command, uploaded):
    finished('training')
    write_ml_ab_file(Path('training/ML_AB'), TrainingRun('dmm'))
    node = job_of(run_command('import-vasp', 'training'))
    assert node.inputs.n_configurations.value == 1
    assert node.outputs.dataset.n_frames == 3


def test_potcars_are_taken_by_title_and_never_from_the_folder(run_command, uploaded):
    finished('other', POTCAR=''.join(map(fake_potcar, ('Mg_pv', 'H'))))
    before = n_nodes()
    output = run_command('import-vasp', 'other', code=1)
    assert "no uploaded POTCAR has the title 'PAW_PBE Mg_pv 01Jan2000'" in output
    assert 'aiida-vasp potcar uploadfamily' in output
    assert 'Nothing was stored' in output
    assert "POTCAR family 'none' does not exist" in run_command('import-vasp', 'other', '--family', 'none', code=1)
    assert n_nodes() == before
    finished('short', POTCAR=fake_potcar('Mg'))
    assert 'there are 1 POTCARs' in run_command('import-vasp', 'short', code=1)
    finished('swapped', POTCAR=''.join(map(fake_potcar, ('H', 'Mg'))))
    assert 'is the POTCAR of H, but the species in its place is Mg' in run_command('import-vasp', 'swapped', code=1)


def unfinished(folder):
    finished(folder)
    for name in ('vasprun.xml', 'OUTCAR'):
        text = Path(folder, name).read_text()
        Path(folder, name).write_text(text[: len(text) // 2])


def without(name):
    def make(folder):
        finished(folder)
        Path(folder, name).unlink()

    return make


def continued(folder):
    run = finished(folder)
    Path(folder, 'POSCAR').write_text(run.contcar(10))


def changed(folder):
    finished(folder)
    path = Path(folder, 'vasprun.xml')
    path.write_text(path.read_text().replace('</incar>', '<i name="TEBEG">    480.00000000</i>\n</incar>'))


def not_run(folder):
    finished(folder)
    for name in ('vasprun.xml', 'OUTCAR'):
        Path(folder, name).unlink()


def packed(folder):
    not_run(folder)
    Path(folder, 'vasprun.xml.gz').write_bytes(b'')


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda folder: None, 'there is no such folder'),
        (lambda folder: Path(folder).mkdir(), 'INCAR is missing'),
        (without('POSCAR'), 'POSCAR is missing'),
        (unfinished, 'the run has not finished'),
        (not_run, 'VASP has not run here'),
        (packed, 'unpack vasprun.xml.gz'),
        (lambda folder: finished(folder, INCAR='ENCUT = 300\n'), 'neither molecular dynamics'),
        (lambda folder: finished(folder, POSCAR='what\n'), 'POSCAR'),
        (lambda folder: finished(folder, KPOINTS='what\n'), 'KPOINTS cannot be read'),
        (changed, 'INCAR has TEBEG = 300, but the run was made with 480.0'),
        (continued, 'POSCAR is not what the run began with'),
        (lambda folder: finished(folder, ML_AB='what\n'), 'ML_AB, line 5'),
    ],
)  # fmt: skip
def test_what_is_no_finished_run_is_refused_and_nothing_is_stored(run_command, uploaded, make, message):
    finished('good')
    make('bad')
    before = n_nodes()
    output = run_command('import-vasp', 'good', 'bad', code=1)
    assert output.startswith('Error: bad: ') or 'Error: bad' in output
    assert message in output
    assert 'Nothing was stored' in output
    assert n_nodes() == before


def test_a_computer_that_is_not_there(run_command, uploaded):
    assert "computer 'nowhere' is not set up" in run_command('import-vasp', 'x', '--computer', 'nowhere', code=1)


def hopping(folder, kelvin, n_steps=900, seed=1):
    """Write a finished run of a force field in which two H atoms move by a random walk among vibrating Ni."""
    from ase.build import bulk

    folder = Path(folder)
    folder.mkdir()
    atoms = bulk('Ni', 'fcc', a=3.52, cubic=True)
    symbols = [*atoms.get_chemical_symbols(), 'H', 'H']
    start = np.concatenate([atoms.positions, [[1.76, 0, 0], [0, 1.76, 0]]])
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(scale=0.15 * kelvin / 300, size=(n_steps, 2, 3)), axis=0)
    cell = atoms.cell.array
    kinetic = 3 * len(start) / 2 * 8.617333e-5 * kelvin
    steps = []
    for moved in walk:
        positions = start + rng.normal(scale=0.02, size=start.shape)
        positions[-2:] += moved
        positions = positions if steps else start  # as in POSCAR
        steps.append(
            Step(True, -20.0, positions, cell, np.zeros_like(start), np.zeros(6), kinetic * rng.uniform(0.9, 1.1))
        )
    write_vasprun(folder / 'vasprun.xml', steps, symbols, potim=1.0)
    write_outcar(folder / 'OUTCAR', steps[:1], ('Ni', 'H'), (4, 2), finished=False)
    (folder / 'OUTCAR').write_text((folder / 'OUTCAR').read_text() + FOOTER)
    tags = f'ML_LMLFF = T\nML_ISTART = 2\nIBRION = 0\nNSW = {n_steps}\nPOTIM = 1.0\nTEBEG = {kelvin}\nMDALGO = 1\n'
    (folder / 'INCAR').write_text(tags)
    (folder / 'ML_FF').write_bytes(fake_force_field())
    (folder / 'POTCAR').write_text(''.join(map(fake_potcar, ('Ni', 'H'))))
    with (folder / 'POSCAR').open('w') as stream:
        write_poscar(stream, symbols=symbols, cell=cell, positions=start)


def test_imported_runs_lead_to_d_an_arrhenius_fit_and_a_report(run_command, fake_potcars, aiida_localhost):
    fake_potcars(('Ni', 'H'))
    for kelvin in (300, 600):
        hopping(f'md_{kelvin}', kelvin, seed=kelvin)
    output = run_command('import-vasp', 'md_300', 'md_600', '--analyse', '--window-ps', 0.02, 0.08)
    pks = [int(pk) for pk in re.findall(r'diffusivity (\d+):', output)]
    low, high = (orm.load_node(pk) for pk in pks)
    assert (low['temperature_K'], high['temperature_K']) == (300.0, 600.0)
    # A random walk with steps of s per fs and axis has D = s²/2 per fs: 1.1e-7 m²/s for 0.15 Å and four times that.
    for node, expected in ((low, 1.125e-7), (high, 4.5e-7)):
        assert node.value_m2_s == pytest.approx(expected, rel=0.4)
    assert {link.node.process_type for link in low.creator.inputs.trajectory.base.links.get_incoming().all()} == {
        'aiida.calculations:hdiff.vasp_mlff'
    }
    last = int(re.search(r'See `aiida-hdiff report (\d+)`', output)[1])
    fit = orm.load_node(last)
    assert {node.pk for node in fit.creator.base.links.get_incoming().all_nodes()} > set(pks)
    assert f'Arrhenius fit {last}: ' in output
    run_command('report', last, '-o', 'report.html', '--data', 'data')
    page = Path('report.html').read_text()
    assert 'imported from their folders' in page
    assert 'id="figure-msd"' in page
    assert 'id="figure-arrhenius"' in page
    assert 'EMULATED' not in page
    potential = low.creator.inputs.trajectory.creator.inputs.force_field
    assert potential.elements == ['Ni', 'H']
    assert potential.sha256[:12] in page
    assert 'D/(m²/s)' in run_command('show', last)


def test_a_ramp_has_no_diffusivity(run_command, uploaded):
    finished('ramp', INCAR=INCAR.replace('TEEND = 300', 'TEEND = 700'))
    output = run_command('import-vasp', 'ramp', '--analyse', code=1)
    assert 'D needs a run at one temperature. The imported jobs stay.' in output


@pytest.mark.skipif(not SAMPLES, reason='HDIFF_VASP_SAMPLES does not name a folder of files written by VASP')
def test_a_training_of_real_vasp_comes_in(run_command, fake_potcars, aiida_localhost):
    """VASP 6.3.0, 80 atoms, 100 steps of which 20 are of DFT; INCAR and POSCAR are rebuilt from vasprun.xml."""
    folder = Path('training')
    folder.mkdir()
    content = gzip.decompress(Path(SAMPLES, 'pymatgen-core/vasprun.ml_md.xml.gz').read_bytes())
    (folder / 'vasprun.xml').write_bytes(content)
    header = iter_vasprun(folder / 'vasprun.xml').header
    (folder / 'INCAR').write_text(''.join(f'{tag} = {value}\n' for tag, value in header.incar.items()))
    elements = list(dict.fromkeys(header.symbols))
    with (folder / 'POSCAR').open('w') as stream:
        write_poscar(
            stream, symbols=header.symbols, cell=header.cell, positions=header.positions, velocities=header.velocities
        )
    (folder / 'POTCAR').write_text(''.join(map(fake_potcar, elements)))
    fake_potcars(tuple(elements))
    output = run_command('import-vasp', 'training')
    node = job_of(output)
    assert '100 steps, 20 of DFT, ML_MODE train, version 6.3.0' in output
    assert node.outputs.trajectory.n_frames == 100
    assert node.outputs.dataset.n_frames == 20
    with node.outputs.trajectory.reader() as reader:
        energies = reader.observable('potential_energy')
    np.testing.assert_allclose(energies, [step.free_energy for step in iter_vasprun(folder / 'vasprun.xml')], atol=1e-7)
    assert node.exit_status == 0, node.exit_message


def test_the_set_of_an_imported_run_is_read_back(run_command, uploaded):
    finished('training')
    node = job_of(run_command('import-vasp', 'training'))
    run_command('dataset', 'export', node.outputs.dataset.pk, '-o', 'ML_AB')
    assert len(read_ml_ab('ML_AB')) == 4
