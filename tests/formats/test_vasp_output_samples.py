"""Output that VASP wrote, if there is any here: set HDIFF_VASP_SAMPLES to its folder."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.common.units import KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
from aiida_hdiff.formats import read_ml_ab
from aiida_hdiff.formats.labelled_ml_ab import labelled_from_ml_ab
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.vasprun import iter_vasprun

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')
pytestmark = pytest.mark.skipif(
    not SAMPLES, reason='HDIFF_VASP_SAMPLES does not name a folder of files written by VASP'
)

TRAINING = 'pymatgen-core/vasprun.ml_md.xml.gz'
PLAIN = 'pymatgen-core/vasprun.md.xml.gz'
PATTERN = 10 * 'd' + 'mmmmdmmd' + 'mmmmmmd'
MASSES = {'Si': 28.085, 'H': 1.0, 'C': 12.011, 'O': 16.0}


def sample(name):
    path = Path(SAMPLES, name)
    if not path.exists():
        pytest.skip(f'{name} is not among the samples')
    return path


def compare(step, atoms, length, force):
    np.testing.assert_allclose(step.positions, atoms.positions, atol=length)
    np.testing.assert_allclose(step.cell, atoms.cell, atol=1e-8)
    np.testing.assert_allclose(step.forces, atoms.get_forces(apply_constraint=False), atol=force)
    assert step.free_energy == pytest.approx(atoms.get_potential_energy(force_consistent=True), abs=1e-8)
    assert step.energy_sigma0 == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    if step.stress is not None:
        np.testing.assert_allclose(step.stress, atoms.get_stress(), atol=1e-9)


@pytest.mark.parametrize(('name', 'n_dft'), [(TRAINING, 20), (PLAIN, 10)])
def test_vasprun_against_ase(name, n_dft):
    from ase.io import read

    with gzip.open(sample(name), 'rt') as stream:
        images = read(stream, index=':', format='vasp-xml')
    stream = iter_vasprun(sample(name))
    steps = [step for step in stream if step.source == 'dft']
    assert len(steps) == len(images) == n_dft
    assert list(stream.header.symbols) == images[0].get_chemical_symbols()
    for step, atoms in zip(steps, images, strict=True):
        compare(step, atoms, 1e-10, 1e-12)
        assert step.scf_converged
        assert atoms.calc.results.get('stress') is None or step.stress is not None


def test_training_run():
    stream = iter_vasprun(sample(TRAINING))
    steps = list(stream)
    assert ''.join(step.source[0] for step in steps).startswith(PATTERN)
    assert [step.step for step in steps] == list(range(1, 101))
    assert sum(step.source == 'ml' for step in steps) == 80
    assert steps[-1].total_energy == pytest.approx(-491.51831988, abs=1e-7)
    assert all(step.stress is None and step.forces.shape == (80, 3) for step in steps)
    assert stream.header.version == '6.3.0'
    assert stream.header.incar['ML_LMLFF'] == 'T'
    assert (stream.header.max_scf_steps, steps[0].scf_steps) == (500, 18)
    assert stream.end.truncated is False


@pytest.mark.parametrize(('name', 'atol'), [(PLAIN, 5e-5), (TRAINING, 0.2)])
def test_velocities_have_the_kinetic_energy(name, atol):
    """Where the first step starts with the velocities of POSCAR; a Nosé thermostat has half a step between."""
    stream = iter_vasprun(sample(name))
    masses = np.array([MASSES[symbol] for symbol in stream.header.symbols])
    squares = np.sum(stream.header.velocities**2, axis=1)
    kinetic = 0.5 * KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2 * np.sum(masses * squares)
    assert kinetic == pytest.approx(next(stream).kinetic_energy, abs=atol)


def test_positions_continue():
    """Structures, the final one and the velocities are of one trajectory: the velocity is the last displacement."""
    stream = iter_vasprun(sample(PLAIN))
    steps = list(stream)
    np.testing.assert_allclose(stream.header.positions, steps[0].positions, atol=1e-7)
    moved = (stream.end.positions - steps[-1].positions) @ np.linalg.inv(stream.end.cell)
    displacement = (moved - np.round(moved)) @ stream.end.cell
    assert np.abs(displacement).max() < 0.5


@pytest.mark.parametrize('kind', ['no_calculation', 'outmode0_like'])
def test_prediction_alone(kind):
    whole = [step for step in iter_vasprun(sample(TRAINING)) if step.source == 'ml']
    steps = list(iter_vasprun(sample(f'derived/vasprun.ml_md.{kind}.xml.gz')))
    assert len(steps) == 80
    for step, same in zip(steps, whole, strict=True):
        assert (step.source, step.free_energy, step.total_energy) == ('ml', same.free_energy, same.total_energy)
        if kind == 'no_calculation':
            np.testing.assert_array_equal(step.positions, same.positions)
            np.testing.assert_array_equal(step.forces, same.forces)
        else:
            assert step.positions is None


def test_outcar_of_a_langevin_run():
    """CH4 at constant pressure, 1 kbar: ten steps, four of DFT."""
    stream = iter_outcar(sample('dpdata/OUTCAR.ch4.ml'))
    steps = list(stream)
    assert stream.header.symbols == ('H', 'H', 'H', 'H', 'C')
    assert stream.header.incar['MDALGO'] == '3'
    assert ''.join(step.source[0] for step in steps) == 'dddmmdmmmm'
    assert [step.scf_steps for step in steps if step.source == 'dft'] == [19, 4, 4, 7]
    assert steps[0].free_energy == -24.12709802
    assert steps[3].free_energy == -24.12729692
    assert [step.prediction is not None for step in steps[:6]] == [False, False, True, False, False, True]
    # VASP prints the temperature of atoms and lattice together: 3 N + 9 degrees of freedom.
    printed = [3.43, 3.58, 3.71, 3.62, 3.42, 3.30, 3.40, 3.67, 3.81, 3.71]
    both = [(step.kinetic_energy + step.lattice_kinetic_energy) / step.kinetic_energy for step in steps]
    temperatures = [step.temperature_K(24) * ratio for step, ratio in zip(steps, both, strict=True)]
    np.testing.assert_allclose(temperatures, printed, atol=0.0055)
    # Without p V the sum has no jump between DFT and the force field, unlike what VASP prints.
    assert np.ptp([step.total_energy for step in steps]) < 1e-3
    assert stream.end.truncated is False


def without_predictions(text):
    """An OUTCAR as VASP writes it without a force field, of the steps of DFT."""
    blocks = r' {2}ML FORCE on cell.*? {2}ML energy  without entropy[^\n]*\n(?:\s*enthalpy is ML[^\n]*\n)?'
    return re.sub(blocks, '', text, flags=re.DOTALL)


@pytest.mark.parametrize(
    'name', ['dpdata/OUTCAR.ch4.ml', 'vasp-interactive/OUTCAR.istart0', 'vasp-interactive/OUTCAR.istart1']
)
def test_outcar_against_ase(tmp_path, name):
    from ase.io import read

    steps = [step for step in iter_outcar(sample(name), allow_truncated=True) if step.source == 'dft']
    (tmp_path / 'OUTCAR').write_text(without_predictions(sample(name).read_text()))
    images = read(tmp_path / 'OUTCAR', index=':', format='vasp-out')
    assert len(steps) == len(images)
    for step, atoms in zip(steps, images, strict=True):
        compare(step, atoms, 1e-10, 1e-12)


def test_outcar_against_ml_ab():
    """What VASP took as training data is what OUTCAR has as steps of DFT."""
    frames = labelled_from_ml_ab(read_ml_ab(sample('vasp-interactive/ML_AB.H2')))
    steps = list(iter_outcar(sample('vasp-interactive/OUTCAR.istart0'), allow_truncated=True))
    stream = iter_outcar(sample('vasp-interactive/OUTCAR.istart0'), allow_truncated=True)
    first = next(stream).to_labelled(stream.header.symbols)
    frame = next(iter(frames))
    assert [step.source for step in steps] == ['dft', 'dft']
    assert frame.energy == pytest.approx(first.energy, abs=1e-8)
    np.testing.assert_allclose(first.forces, frame.forces, atol=1e-6)
    np.testing.assert_allclose(first.stress, frame.stress, atol=1e-8)
    assert first.numbers.tolist() == frame.numbers.tolist()


@pytest.mark.parametrize(('number', 'pattern'), [(0, 'dd'), (1, 'ddddddddddmmm'), (2, 'mmm')])
def test_killed_runs(number, pattern):
    path = sample(f'vasp-interactive/OUTCAR.istart{number}')
    stream = iter_outcar(path, allow_truncated=True)
    steps = list(stream)
    assert ''.join(step.source[0] for step in steps) == pattern
    assert stream.end.truncated
    assert [step.step for step in steps] == list(range(1, len(pattern) + 1))
    strict = iter_outcar(path)
    with pytest.raises(ValueError, match=f'truncated: it ends at line [0-9]+ after {len(pattern)} complete steps'):
        list(strict)
    if number == 2:
        assert steps[0].free_energy == -6.81086173
        assert steps[0].stress[2] == pytest.approx(12.36758 / 1602.176634, rel=1e-9)
