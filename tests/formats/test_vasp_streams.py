"""vasprun.xml and OUTCAR, from numbers that the test has written itself."""

import gzip

import numpy as np
import pytest

from aiida_hdiff.common.units import KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
from aiida_hdiff.formats.labelled_ml_ab import stress_from_kbar
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.vasprun import iter_vasprun
from tests.formats.vasp_writer import outcar_header, outcar_step, random_steps, write_outcar, write_vasprun

PATTERN = 'ddmmdmmmd'


def write(kind, path, steps, **options):
    (write_vasprun if kind == 'vasprun' else write_outcar)(path, steps, **options)
    return path


READERS = {'vasprun': (iter_vasprun, 1e-7, 1e-7), 'outcar': (iter_outcar, 5.1e-6, 5.1e-7)}


@pytest.fixture(params=READERS)
def kind(request):
    return request.param


def test_every_number_comes_back(tmp_path, kind):
    read, length, force = READERS[kind]
    steps = random_steps(PATTERN)
    stream = read(write(kind, tmp_path / 'file', steps))
    assert stream.header.version == '6.3.0'
    assert stream.header.symbols == ('Mg', 'Mg', 'H')
    assert stream.header.incar['PREC'] == 'Normal'
    assert stream.header.max_scf_steps == 60
    assert stream.end.truncated is None
    for number, (step, found) in enumerate(zip(steps, stream, strict=True), 1):
        assert (found.step, found.source) == (number, 'ml' if step.ml else 'dft')
        assert found.free_energy == pytest.approx(step.energy, abs=1e-8)
        assert found.energy_sigma0 == pytest.approx(step.energy + (0.0 if step.ml else 0.1), abs=2e-8)
        assert found.energy_without_entropy == pytest.approx(step.energy + (0.0 if step.ml else 0.2), abs=2e-8)
        np.testing.assert_allclose(found.positions, step.positions, atol=length)
        np.testing.assert_allclose(found.cell, step.cell, atol=1e-8)
        np.testing.assert_allclose(found.forces, step.forces, atol=force)
        np.testing.assert_allclose(found.stress, stress_from_kbar(step.stress), atol=1e-8)
        assert found.kinetic_energy == pytest.approx(step.kinetic, abs=1e-6)
        assert found.total_energy == pytest.approx(step.energy + step.kinetic, abs=2e-6)
        assert found.scf_steps == step.scf_steps
        assert found.scf_converged is (None if step.ml else True)
    assert stream.end.truncated is False
    assert stream.end.n_steps == len(steps)


def test_predictions_beside_dft(tmp_path):
    steps = random_steps(PATTERN)
    for step, found in zip(steps, iter_outcar(write('outcar', tmp_path / 'OUTCAR', steps)), strict=True):
        if step.ml:
            assert found.prediction is None
        else:
            assert found.prediction.energy == pytest.approx(step.predicted_energy, abs=1e-8)
            np.testing.assert_allclose(found.prediction.forces, 2.0 * step.forces, atol=1e-6)
            np.testing.assert_allclose(found.prediction.stress, stress_from_kbar(2.0 * step.stress), atol=1e-8)


def test_scf_that_reaches_its_limit(tmp_path, kind):
    steps = random_steps('dmd')
    steps[0].scf_steps, steps[2].scf_steps = 4, 6
    found = list(READERS[kind][0](write(kind, tmp_path / 'file', steps, nelm=6)))
    assert [step.scf_converged for step in found] == [True, None, False]


def test_plain_dft_without_any_force_field(tmp_path):
    steps = random_steps('ddd')
    path = write('outcar', tmp_path / 'OUTCAR', steps)
    text = path.read_text()
    for _ in steps:
        begin = text.index('  ML FORCE on cell')
        text = text[:begin] + text[text.index('-' * 39 + ' Iteration', begin) :]
    path.write_text(text)
    found = list(iter_outcar(path))
    assert [(step.step, step.source) for step in found] == [(1, 'dft'), (2, 'dft'), (3, 'dft')]
    np.testing.assert_allclose([step.free_energy for step in found], [step.energy for step in steps], atol=1e-8)


def test_energies_only(tmp_path):
    """As VASP writes with ML_OUTPUT_MODE=0."""
    steps = random_steps('mmmm')
    stream = iter_vasprun(write('vasprun', tmp_path / 'vasprun.xml', steps, energies_only=True))
    found = list(stream)
    np.testing.assert_allclose([step.free_energy for step in found], [step.energy for step in steps], atol=1e-8)
    assert all(step.positions is None and step.forces is None and step.source == 'ml' for step in found)
    np.testing.assert_allclose(stream.end.positions, steps[-1].positions, atol=1e-7)
    with pytest.raises(ValueError, match='step 1 has no structure'):
        found[0].to_labelled(stream.header.symbols)


def test_velocities_are_displacements_per_step(tmp_path):
    steps = random_steps('m')
    velocities = np.random.default_rng(5).normal(scale=0.01, size=(3, 3))
    header = iter_vasprun(write('vasprun', tmp_path / 'vasprun.xml', steps, potim=0.5, velocities=velocities)).header
    np.testing.assert_allclose(header.velocities, velocities, atol=1e-7)


def test_temperature_is_that_of_the_kinetic_energy(tmp_path, kind):
    steps = random_steps('m')
    steps[0].kinetic = 1.5 * 3 * 8.617333262e-5 * 300.0
    found = next(READERS[kind][0](write(kind, tmp_path / 'file', steps)))
    assert found.temperature_K(9) == pytest.approx(300.0, rel=1e-4)
    assert found.temperature_K(6) == pytest.approx(450.0, rel=1e-4)


def test_labelled_frame(tmp_path, kind):
    steps = random_steps('d')
    stream = READERS[kind][0](write(kind, tmp_path / 'file', steps))
    frame = next(stream).to_labelled(stream.header.symbols, origin='run:1', reference='PBE')
    assert frame.numbers.tolist() == [12, 12, 1]
    assert frame.energy == pytest.approx(steps[0].energy, abs=1e-8)
    assert (frame.origin, frame.reference, frame.scf_converged) == ('run:1', 'PBE', True)
    with pytest.raises(ValueError, match=r"unknown elements \['Qq'\]"):
        next(READERS[kind][0](tmp_path / 'file')).to_labelled(('Qq', 'Mg', 'H'))


def test_every_truncation(tmp_path, kind):
    """Wherever a file ends, the steps before are those of the whole file, and the reader says that it is cut."""
    read = READERS[kind][0]
    steps = random_steps('dmmd')
    whole = write(kind, tmp_path / 'whole', steps).read_bytes()
    expected = [(step.step, step.source, step.free_energy) for step in read(tmp_path / 'whole')]
    cut = tmp_path / 'cut'
    counts = set()
    for size in range(0, len(whole) - 60, 37):
        cut.write_bytes(whole[:size])
        if size < whole.index(b'initialpos' if kind == 'vasprun' else b'NELM'):
            with pytest.raises(ValueError, match=r'line|cut'):
                list(read(cut))
            continue
        stream = read(cut, allow_truncated=True)
        found = [(step.step, step.source, step.free_energy) for step in stream]
        # The last step of an OUTCAR may have been predicted and not yet been given to DFT.
        reliable = found[:-1] if kind == 'outcar' else found
        assert reliable == expected[: len(reliable)]
        assert stream.end.truncated is True
        counts.add(len(found))
        strict = read(cut)
        with pytest.raises(ValueError, match=f'line [0-9]+ after {len(found)} complete steps'):
            list(strict)
    assert counts == {0, 1, 2, 3, 4}


def test_cut_within_a_first_prediction_of_zero(tmp_path):
    """Before there is a force field, VASP writes zeros, which are no step."""
    step = random_steps('d')[0]
    step.predicted_energy = 0.0
    text = outcar_step(step, 1)
    for table in (2.0 * step.forces, 2.0 * step.stress):
        for value in table.ravel():
            text = text.replace(f'{value:14.6f}', f'{0.0:14.6f}').replace(f'{value:12.5f}', f'{0.0:12.5f}')
    path = tmp_path / 'OUTCAR'
    path.write_text(outcar_header(step, ('Mg', 'H'), (2, 1)) + text[: text.index('-- Iteration') - 60])
    assert list(iter_outcar(path, allow_truncated=True)) == []
    path.write_text(outcar_header(step, ('Mg', 'H'), (2, 1)) + text)
    (found,) = iter_outcar(path, allow_truncated=True)
    assert (found.source, found.prediction) == ('dft', None)


def test_gzip_and_its_truncation(tmp_path, kind):
    read = READERS[kind][0]
    write(kind, tmp_path / 'file', random_steps('dm', n_atoms=3))
    packed = gzip.compress((tmp_path / 'file').read_bytes())
    path = tmp_path / 'file.gz'
    path.write_bytes(packed)
    assert len(list(read(path))) == 2
    path.write_bytes(packed[:-20])
    stream = read(path, allow_truncated=True)
    assert len(list(stream)) <= 2
    assert stream.end.truncated


@pytest.mark.parametrize('number', ['***********', 'NaN', '1.0E+400', 'x'])
def test_a_run_that_blew_up(tmp_path, kind, number):
    steps = random_steps('mmm')
    path = write(kind, tmp_path / 'file', steps)
    old = f'{steps[1].forces[2, 1]:.{8 if kind == "vasprun" else 6}f}'
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, number))
    stream = READERS[kind][0](path)
    assert next(stream).step == 1
    with pytest.raises(ValueError, match=r'file, line \d+: frame 2'):
        next(stream)


def test_stand_in_is_recognised(tmp_path, kind):
    path = write(kind, tmp_path / 'file', random_steps('m'))
    assert not READERS[kind][0](path).header.emulated
    banner = '<modeling>\n<!-- EMULATED, not VASP -->' if kind == 'vasprun' else ' INCAR:\n   SYSTEM = EMULATED'
    path.write_text(path.read_text().replace(banner.split('\n')[0], banner, 1))
    assert READERS[kind][0](path).header.emulated


def test_other_files_are_refused(tmp_path, kind):
    path = tmp_path / 'other'
    for content in (b'', b'\0' * 1000, b'<html><body></body></html>', b'some text\n' * 100, b'\x1f\x8bzip'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='other'):
            list(READERS[kind][0](path))


def test_kinetic_unit():
    """The constant that the samples confirm: one u Å²/fs² in eV."""
    assert pytest.approx(1.66053906660e-27 * 1e10 / 1.602176634e-19, rel=1e-9) == KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
