"""Files of the stand-in: our readers, readers of others, and the layout of VASP's own files."""

import gzip
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats import read_ml_ab
from aiida_hdiff.formats.ml_ff import read_ml_ff_header
from aiida_hdiff.formats.ml_logfile import read_ml_logfile
from aiida_hdiff.formats.ml_reg import read_ml_reg
from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.standin import VERSION
from aiida_hdiff.standin.inputs import read_poscar
from aiida_hdiff.standin.ml_files import labels_of
from aiida_hdiff.standin.reference import Reference
from tests.standin import cases

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')
needs_samples = pytest.mark.skipif(not SAMPLES, reason='HDIFF_VASP_SAMPLES does not name a folder of files by VASP')


def test_our_readers_agree_on_a_training_run(training):
    folder = training['train']
    outcar = iter_outcar(folder / 'OUTCAR')
    vasprun = iter_vasprun(folder / 'vasprun.xml')
    from_outcar, from_vasprun = list(outcar), list(vasprun)
    oszicar = read_oszicar(folder / 'OSZICAR')
    assert len(from_outcar) == len(from_vasprun) == len(oszicar.steps) == 35
    sources = [step.source for step in from_outcar]
    assert sources == [step.source for step in from_vasprun]
    assert [source == 'ml' for source in sources] == oszicar.is_ml.tolist()
    assert 2 <= sources.count('dft') < 25
    assert outcar.header.emulated
    assert vasprun.header.emulated
    assert VERSION in (outcar.header.version, vasprun.header.version)
    assert outcar.header.symbols == vasprun.header.symbols == ('Ni',) * 32 + ('H',) * 2
    for text, xml in zip(from_outcar, from_vasprun, strict=True):
        assert text.free_energy == pytest.approx(xml.free_energy, abs=1e-7)
        assert text.total_energy == pytest.approx(xml.total_energy, abs=1e-5)
        np.testing.assert_allclose(text.forces, xml.forces, atol=1e-5)
        np.testing.assert_allclose(text.positions, xml.positions, atol=1e-5)
        np.testing.assert_allclose(text.cell, xml.cell, atol=1e-7)
        np.testing.assert_allclose(text.stress, xml.stress, atol=1e-7)
        assert text.scf_converged is (True if text.source == 'dft' else None)
    np.testing.assert_allclose(oszicar.free_energy, [step.free_energy for step in from_vasprun], rtol=1e-7)
    np.testing.assert_allclose(oszicar.kinetic_energy, [step.kinetic_energy for step in from_vasprun], rtol=1e-4)
    temperatures = [step.temperature_K(3 * 34) for step in from_vasprun]
    np.testing.assert_allclose(oszicar.temperature_K, temperatures, atol=0.51)


def test_labels_are_those_of_the_reference(training, setfl_path):
    """Every frame of ML_ABN, and every step of DFT in OUTCAR, has energy, forces and stress of the potential."""
    folder = training['train']
    reference = Reference(f'eam:{setfl_path}')
    frames = read_ml_ab(folder / 'ML_ABN')
    labelled = [step for step in iter_vasprun(folder / 'vasprun.xml') if step.source == 'dft']
    assert len(frames) == len(labelled)
    for frame, step in zip(frames, labelled, strict=True):
        exact = reference(frame.symbols, frame.cell, frame.positions)
        stored = labels_of(frame)
        assert stored.energy == pytest.approx(exact.energy, abs=1e-8)
        np.testing.assert_allclose(stored.forces, exact.forces, atol=1e-8)
        np.testing.assert_allclose(stored.stress_kbar, exact.stress_kbar, atol=1e-6)
        assert step.free_energy == pytest.approx(exact.energy, abs=1e-7)
        np.testing.assert_allclose(step.forces, exact.forces, atol=1e-6)
        scaled = frame.positions @ np.linalg.inv(frame.cell)
        assert scaled.min() >= -1e-12
        assert scaled.max() < 1.0 + 1e-12
        difference = scaled - step.positions @ np.linalg.inv(step.cell)
        np.testing.assert_allclose(difference - np.round(difference), 0.0, atol=1e-6)


def test_learning_files(training):
    folder = training['train']
    log = read_ml_logfile(folder / 'ML_LOGFILE')
    assert log.emulated
    assert not log.truncated
    assert log.settings['ML_MODE'] == 'TRAIN'
    errors = log.bayesian_errors
    labelled = [step.step for step in iter_vasprun(folder / 'vasprun.xml') if step.source == 'dft']
    assert log.dft_steps.tolist() == [0, *labelled]
    chosen = np.isin(errors['nstep'], labelled)
    assert np.all(errors['bee_max_force'][chosen] > errors['threshold'][chosen])
    accurate = errors['nstep'][errors['bee_max_force'] <= errors['threshold']]
    assert not set(accurate) & set(labelled)
    frames = read_ml_ab(folder / 'ML_ABN')
    local = log.local_configurations
    assert [local[element].after[-1] for element in ('Ni', 'H')] == [len(basis) for basis in frames.basis_sets]
    fit = read_ml_reg(folder / 'ML_REG')
    assert len(fit.energies) == len(frames)
    np.testing.assert_allclose(fit.energies[:, 0], [frame.energy for frame in frames])
    assert fit.rmse_forces == pytest.approx(log.training_errors['rmse_force'][-1], rel=1e-3)
    assert fit.rmse_forces < 0.03
    header = read_ml_ff_header(folder / 'ML_FFN')
    assert (header.emulated, header.lfast, header.types) == (True, False, ('Ni', 'H'))
    assert header.n_training == len(frames)
    assert read_ml_ff_header(training['refit'] / 'ML_FFN').lfast


def test_refit_keeps_the_training_set(training):
    before, after = (read_ml_ab(training[name] / 'ML_ABN') for name in ('train', 'refit'))
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.forces, other.forces)
    np.testing.assert_array_equal(before.basis_sets[0], after.basis_sets[0])


def test_banner_in_every_file(training):
    for name in ('OUTCAR', 'vasprun.xml', 'ML_LOGFILE', 'ML_REG', 'REPORT', 'vasp_output'):
        text = (training['train'] / name).read_text()
        assert 'EMULATED' in text
        assert 'NOT VASP' in text
        assert 'NiAlH_jea.eam.alloy' in text
    # Of a prediction, the banner names what the force field was trained on.
    assert 'NiAlH_jea.eam.alloy' in (training['run'] / 'OUTCAR').read_text()[:500]
    head = (training['train'] / 'ML_FFN').read_bytes()[:4096].decode()
    assert len(head.rstrip()) < 4096
    assert json.loads(head[head.index('{') :])['EMULATED'] is True
    for path in training['train'].iterdir():
        if path.name not in ('POTCAR', 'OUTCAR'):
            assert 'NOT-A-REAL-POTCAR' not in path.read_bytes().decode('latin-1'), path


def test_xdatcar_is_read_by_ase(training):
    from ase.io import read

    frames = read(training['train'] / 'XDATCAR', index=':', format='vasp-xdatcar')
    steps = list(iter_vasprun(training['train'] / 'vasprun.xml'))
    assert len(frames) == 7
    for frame, step in zip(frames, steps[4::5], strict=True):
        np.testing.assert_allclose(frame.cell.array, step.cell, atol=1e-6)
        np.testing.assert_allclose(frame.positions, step.positions, atol=1e-5)
    text = (training['train'] / 'XDATCAR').read_text()
    assert text.count('standin test') == 7
    fixed = (training['run'] / 'XDATCAR').read_text()
    assert fixed.count('standin test') == 1
    assert len(read(training['run'] / 'XDATCAR', index=':', format='vasp-xdatcar')) == 20


def test_contcar_is_read_by_ase_with_velocities(training):
    from ase import units
    from ase.io import read

    atoms = read(training['train'] / 'CONTCAR', format='vasp')
    contcar = read_poscar(training['train'] / 'CONTCAR')
    np.testing.assert_allclose(atoms.positions, contcar.scaled @ contcar.cell, atol=1e-10)
    np.testing.assert_allclose(atoms.get_velocities() * units.fs, contcar.velocities, atol=1e-10)
    assert contcar.lattice_velocities is not None
    assert read_poscar(training['run'] / 'CONTCAR').lattice_velocities is None


def skeleton(lines, widths=True):
    """Lines with a mark for each number, and their lengths; equal neighbours once."""
    found = []
    for line in lines:
        text = re.sub(r'(?<![A-Za-z])[-+]?(\d+\.?\d*|\.\d+)(E[-+]?\d+)?(?![A-Za-z])', '#', line.rstrip())
        entry = (re.sub(r'\s+', ' ', text), len(line.rstrip()) if widths else 0)
        if not found or found[-1] != entry:
            found.append(entry)
    return found


def outcar_steps(path, *, dft):
    """Lines of each step, from one block of the force field to the next."""
    lines = Path(path).read_text(errors='replace').splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith('  ML FORCE on cell')]
    steps = [lines[a:b] for a, b in pairwise(starts)]
    return [step for step in steps if any('Iteration' in line for line in step) is dft]


@needs_samples
def test_steps_of_the_force_field_have_the_lines_of_vasp(training):
    real = outcar_steps(Path(SAMPLES, 'dpdata', 'OUTCAR.ch4.ml'), dft=False)
    ours = outcar_steps(training['train'] / 'OUTCAR', dft=False)
    assert skeleton(ours[1]) == skeleton(real[1])


@needs_samples
def test_steps_of_dft_end_with_the_lines_of_vasp(training):
    """Where our readers look: from the forces on; timings and changes since the last step aside."""
    ends = []
    for path in (Path(SAMPLES, 'dpdata', 'OUTCAR.ch4.ml'), training['train'] / 'OUTCAR'):
        step = outcar_steps(path, dft=True)[1]
        start = next(i for i, line in enumerate(step) if line.startswith(' POSITION'))
        lines = [line for line in step[start:] if not re.search('cpu time|RANDOM_SEED|d Force', line)]
        ends.append([entry for entry in skeleton(lines) if entry[0]])
    assert ends[0] == ends[1]


@needs_samples
def test_prediction_only_steps_have_the_lines_of_vasp(training):
    """As in the sample up to the timings; that run was killed before it had energies of the motion."""
    real = Path(SAMPLES, 'vasp-interactive', 'OUTCAR.istart2').read_text(errors='replace').splitlines()
    ours = (training['run'] / 'OUTCAR').read_text().splitlines()
    blocks = []
    for lines in (real, ours):
        starts = [i for i, line in enumerate(lines) if 'Ionic step' in line]
        ends = [next(i for i in range(start, len(lines)) if 'ML energy  without' in lines[i]) for start in starts[:2]]
        blocks.append([skeleton(lines[start : end + 1]) for start, end in zip(starts, ends, strict=False)])
    assert blocks[0] == blocks[1]


def tree(element):
    """Tags, names and attributes below an element, without repeated rows."""
    found = [(element.tag, element.get('name'), element.get('type'))]
    for child in element:
        below = tree(child)
        if found[-1] != below[-1] or child.tag not in ('v', 'scstep'):
            found += below
    return found


@needs_samples
def test_vasprun_steps_have_the_elements_of_vasp(training):
    from lxml import etree

    with gzip.open(Path(SAMPLES, 'pymatgen-core', 'vasprun.ml_md.xml.gz')) as stream:
        real = etree.parse(stream).getroot()
    ours = etree.parse(training['train'] / 'vasprun.xml').getroot()

    def predicted(root):
        children = list(root)
        start = next(i for i, child in enumerate(children) if child.tag == 'structure' and not child.get('name'))
        end = next(i for i in range(start, len(children)) if children[i].tag == 'time')
        # That run had ISIF = 0: no stress.
        kept = [child for child in children[start : end + 1] if child.get('name') != 'stress']
        return [entry for child in kept for entry in tree(child)]

    assert predicted(ours) == predicted(real)
    calculations = []
    for root in (real, ours):
        one = root.findall('calculation')[1]
        unwanted = ('scstep', 'eigenvalues', 'dos', 'projected')
        kept = [child for child in one if child.tag not in unwanted and child.get('name') != 'stress']
        calculations.append([entry for child in kept for entry in tree(child)])
    assert calculations[0] == calculations[1]
    order = [[child.tag for child in root if child.tag != 'calculation'][:8] for root in (real, ours)]
    assert [tag for tag in order[0] if tag != 'primitive_cell'][:7] == [t for t in order[1] if isinstance(t, str)][:7]


def test_stock_parsers_see_what_they_see_on_real_files(training):
    """Of training runs the steps of DFT alone; prediction-only runs look crashed to parsevasp."""
    outcar = pytest.importorskip('parsevasp.outcar')
    vasprun = pytest.importorskip('parsevasp.vasprun')
    folder = training['train']
    n_dft = sum(step.source == 'dft' for step in iter_vasprun(folder / 'vasprun.xml'))
    energies = vasprun.Xml(file_path=str(folder / 'vasprun.xml')).get_energies('all')
    assert len(energies['energy_extrapolated']) == n_dft
    status = outcar.Outcar(file_path=str(folder / 'OUTCAR')).get_run_status()
    assert (status['finished'], status['electronic_converged'], status['nsw']) == (True, True, 35)
    with pytest.raises(SystemExit):
        outcar.Outcar(file_path=str(training['run'] / 'OUTCAR'))
    if SAMPLES:
        with pytest.raises(SystemExit):
            outcar.Outcar(file_path=str(Path(SAMPLES, 'vasp-interactive', 'OUTCAR.istart2')))


def test_stream_of_a_run_is_that_of_vasp(training):
    stream = pytest.importorskip('parsevasp.stream')
    assert not stream.Stream(file_path=str(training['train'] / 'vasp_output')).has_entries


def test_sparse_output_of_prediction_only_runs(training):
    """ML_OUTBLOCK = 10 and ML_OUTPUT_MODE = 0 are the defaults there."""
    folder = training['sparse']
    assert read_oszicar(folder / 'OSZICAR').steps.tolist() == [10, 20, 30, 40]
    steps = list(iter_vasprun(folder / 'vasprun.xml'))
    assert [step.source for step in steps] == ['ml'] * 4
    assert all(step.forces is None and step.positions is None for step in steps)
    assert (folder / 'XDATCAR').read_text().count('Direct configuration=') == 4
    assert 'TOTAL-FORCE' not in (folder / 'OUTCAR').read_text()


def test_static_calculation(tmp_path, setfl_path):
    status, printed = cases.run(tmp_path, cases.STATIC, cases.eam(setfl_path))
    assert status == 0
    assert ' 1 F= ' in printed
    (step,) = iter_outcar(tmp_path / 'OUTCAR')
    (xml,) = iter_vasprun(tmp_path / 'vasprun.xml')
    atoms = cases.nickel_hydride()
    exact = Reference(f'eam:{setfl_path}')(atoms.get_chemical_symbols(), atoms.cell.array, atoms.positions)
    for one in (step, xml):
        assert (one.source, one.scf_converged) == ('dft', True)
        assert one.free_energy == pytest.approx(exact.energy, abs=1e-7)
        np.testing.assert_allclose(one.forces, exact.forces, atol=1e-6)
        assert one.kinetic_energy is None
    np.testing.assert_allclose(step.stress, xml.stress, atol=1e-7)
    assert not (tmp_path / 'ML_LOGFILE').exists()
    assert '(ML)' not in (tmp_path / 'OUTCAR').read_text()
    from ase.io import read

    ase = read(tmp_path / 'vasprun.xml', format='vasp-xml')
    assert ase.get_potential_energy() == pytest.approx(exact.energy, abs=1e-7)
    np.testing.assert_allclose(ase.get_stress(), xml.stress, atol=1e-7)
