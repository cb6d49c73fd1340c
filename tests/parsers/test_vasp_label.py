"""Every end of a static VASP calculation; labels and units against a file that VASP 6.3.2 wrote."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory, ParserFactory
from ase import Atoms

from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats.incar import dft_settings_hash
from aiida_hdiff.formats.vasprun import iter_vasprun
from tests.formats.vasp_writer import random_steps, write_vasprun

pytest.importorskip('aiida_vasp')

ENTRY = 'hdiff.vasp_label'
INCAR = {'ENCUT': 300, 'GGA': 'PE'}
STARTED = b' vasp.6.3.2 20Jan22 complex\n'


@pytest.fixture
def parse(generate_calc_job_node, fake_potcars, tmp_path):
    """Give a function that parses a vasprun.xml, or its absence, of a calculation on a structure."""

    def run(content, atoms, symbols, stdout=STARTED, missing_folder=False):
        folder, retrieved = tmp_path / 'job', tmp_path / 'retrieved'
        folder.mkdir()
        retrieved.mkdir()
        if content is not None:
            (folder / 'vasprun.xml').write_bytes(content)
        (retrieved / 'vasp_output').write_bytes(stdout)
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([2, 2, 2])
        inputs = {'structure': orm.StructureData(ase=atoms), 'parameters': orm.Dict(INCAR), 'kpoints': kpoints}
        inputs |= {f'potential__{kind}': node for kind, node in fake_potcars(symbols).items()}
        node = generate_calc_job_node(ENTRY, inputs, retrieved=retrieved)
        temporary = {} if missing_folder else {'retrieved_temporary_folder': str(folder)}
        return ParserFactory(ENTRY).parse_from_node(node, store_provenance=False, **temporary)

    return run


def code(name):
    return CalculationFactory(ENTRY).exit_codes[name].status


@pytest.fixture
def static(tmp_path):
    """Return the step, the structure and the content of vasprun.xml of a calculation of Mg2H."""
    (step,) = random_steps('d', seed=4)
    write_vasprun(tmp_path / 'vasprun.xml', [step])
    atoms = Atoms('Mg2H', positions=step.positions, cell=step.cell, pbc=True)
    return step, atoms, (tmp_path / 'vasprun.xml').read_bytes()


def test_labels(parse, static):
    step, atoms, content = static
    outputs, node = parse(content, atoms, ('Mg', 'H'))
    assert node.exit_status == 0, node.exit_message
    frames = outputs['dataset'].frames()
    assert isinstance(outputs['dataset'], LabelledDataset)
    assert frames.energies[0] == pytest.approx(step.energy, abs=1e-8)
    np.testing.assert_allclose(frames.forces, step.forces, atol=1e-8)
    np.testing.assert_allclose(frames.stresses[0], -step.stress[[0, 1, 2, 4, 5, 3]] / 1602.176634, atol=1e-10)
    np.testing.assert_allclose(frames.positions, atoms.positions, atol=1e-12)
    titles = [f'PAW_PBE {symbol} 01Jan2000' for symbol in ('Mg', 'H')]
    training = {**INCAR, 'NSW': 1000, 'ML_MODE': 'train'}
    assert frames.references == (dft_settings_hash(training, titles, {'mesh': [2, 2, 2], 'offset': [0, 0, 0]}),)
    assert frames.scf_converged.tolist() == [1]
    assert outputs['misc'].get_dict() == {
        'version': '6.3.0', 'emulated': False, 'scf_steps': step.scf_steps, 'scf_converged': True,
        'free_energy_eV': pytest.approx(step.energy, abs=1e-8),
        'energy_sigma0_eV': pytest.approx(step.energy + 0.1, abs=1e-8),
    }  # fmt: skip
    assert 'emulated' not in outputs['dataset'].base.extras.all


def test_labels_of_a_genuine_file(parse):
    """The first step of a run of VASP 6.3.2, whose stress is -dE/d strain as everywhere in ASE."""
    samples = os.environ.get('HDIFF_VASP_SAMPLES')
    if samples is None:
        pytest.skip('HDIFF_VASP_SAMPLES does not name a folder with files of VASP')
    path = Path(samples) / 'pymatgen-core' / 'vasprun.md.xml.gz'
    stream = iter_vasprun(path)
    step = next(stream)
    atoms = Atoms(stream.header.symbols, positions=step.positions, cell=step.cell, pbc=True)
    outputs, node = parse(gzip.open(path).read(), atoms, tuple(dict.fromkeys(stream.header.symbols)))
    assert node.exit_status == 0, node.exit_message
    (labelled,) = outputs['dataset'].to_ase()
    assert labelled.get_potential_energy() == step.free_energy
    np.testing.assert_array_equal(labelled.get_forces(), step.forces)
    np.testing.assert_array_equal(labelled.get_stress(), step.stress)
    assert np.linalg.norm(outputs['dataset'].frames().net_forces) < 0.1
    assert outputs['misc']['version'].startswith('6.3.2')


def test_electrons_that_do_not_converge(parse, tmp_path):
    (step,) = random_steps('d', seed=4)
    step.scf_steps = 60
    write_vasprun(tmp_path / 'vasprun.xml', [step])
    atoms = Atoms('Mg2H', positions=step.positions, cell=step.cell, pbc=True)
    outputs, node = parse((tmp_path / 'vasprun.xml').read_bytes(), atoms, ('Mg', 'H'))
    assert node.exit_status == code('ERROR_SCF_FAILED')
    assert node.exit_message == 'The electronic structure did not converge in 60 steps.'
    assert 'dataset' not in outputs
    assert outputs['misc']['scf_converged'] is False


def test_killed(parse, static):
    _, atoms, content = static
    outputs, node = parse(content[: content.index(b'</scstep>')], atoms, ('Mg', 'H'))
    assert node.exit_status == code('ERROR_INTERRUPTED_EARLY')
    assert not outputs


def test_killed_when_the_labels_were_complete(parse, static):
    _, atoms, content = static
    outputs, node = parse(content[: content.index(b'finalpos')], atoms, ('Mg', 'H'))
    assert node.exit_status == 0
    assert outputs['dataset'].n_frames == 1


@pytest.mark.parametrize('content', [None, b'', b'<?xml version="1.0"?>\n<modeling>\n'])
def test_errors_that_vasp_prints(parse, static, content):
    stdout = STARTED + b' |     VERY BAD NEWS! internal error in subroutine IBZKPT    |\n'
    outputs, node = parse(content, static[1], ('Mg', 'H'), stdout)
    assert node.exit_status == code('ERROR_VASP_FAILED')
    assert node.exit_message == 'VASP stopped with an error: VERY BAD NEWS! internal error in subroutine IBZKPT'
    assert not outputs


def test_no_output(parse, static):
    assert parse(None, static[1], ('Mg', 'H'), b'')[1].exit_status == code('ERROR_OUTPUT_MISSING')


def test_nothing_retrieved(parse, static):
    assert parse(None, static[1], ('Mg', 'H'), missing_folder=True)[1].exit_status == code('ERROR_OUTPUT_MISSING')


@pytest.mark.parametrize('change', ['garbage', 'species', 'moved', 'cell', 'no forces'])
def test_files_that_do_not_belong_to_the_job(parse, static, change):
    _, atoms, content = static
    if change == 'garbage':
        content = b'hello'
    elif change == 'species':
        atoms.numbers[0] = 13
    elif change == 'moved':
        atoms.positions[1] += 0.01
    elif change == 'cell':
        atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)
    else:
        start = content.index(b'<varray name="forces"')
        content = content[:start] + content[content.index(b'<varray name="stress"') :]
    stdout = b'' if change == 'garbage' else STARTED
    outputs, node = parse(content, atoms, tuple(dict.fromkeys(atoms.get_chemical_symbols())), stdout)
    assert node.exit_status == code('ERROR_OUTPUT_UNREADABLE'), node.exit_message
    assert 'dataset' not in outputs


def test_atoms_that_left_the_cell_are_the_same_atoms(parse, static):
    _, atoms, content = static
    atoms.positions[2] += atoms.cell[0] - 2.0 * atoms.cell[1]
    assert parse(content, atoms, ('Mg', 'H'))[1].exit_status == 0


def test_every_exit_code_has_a_test():
    codes = CalculationFactory(ENTRY).exit_codes
    stock = CalculationFactory('vasp.vasp').exit_codes
    own = [name for name in codes if codes[name].status >= 300 and name not in stock]
    assert [name for name in own if f"'{name}'" not in Path(__file__).read_text()] == []
