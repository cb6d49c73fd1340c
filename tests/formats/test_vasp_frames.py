"""Frames of a VASP run joined with their energies."""

import numpy as np
import pytest

from aiida_hdiff.formats.poscar import read_contcar
from aiida_hdiff.formats.vasp_frames import (
    iter_frames,
    kinetic_energy_eV,
    nearest_images,
    read_step_energies,
    steps_since,
)
from tests.parsers.vasp_md_run import VaspRun

MASSES = np.array([58.69, 58.69, 1.008])


def frames_of(run, folder, **changes):
    run.write(folder)
    energies = read_step_energies(folder)
    arguments = {'block': run.block, 'start_positions': run.start, 'start_cell': run.cell, **changes}
    pieces = list(iter_frames(folder, energies, **arguments))
    names = ('steps', 'cells', 'positions', 'potential_energy', 'kinetic_energy')
    return energies, {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}


@pytest.mark.parametrize('growth', [0.0, 2e-4])
@pytest.mark.parametrize('wrapped', [False, True])
def test_positions_go_on_from_the_start_whatever_vasp_wraps(tmp_path, wrapped, growth):
    run = VaspRun(steps=400, block=10, wrapped=wrapped, growth=growth)
    energies, frames = frames_of(run, tmp_path)
    assert energies.source == 'vasprun.xml'
    np.testing.assert_array_equal(frames['steps'], np.arange(10, 401, 10))
    expected = np.array([run.positions_at(step) for step in frames['steps']])
    # The displacements of the hydrogen atom cross the cell once.
    assert np.ptp(expected[:, 2], axis=0).max() > 6.0
    np.testing.assert_allclose(frames['positions'], expected, atol=1e-5 if growth else 2e-7)
    np.testing.assert_allclose(frames['cells'], [run.cell_at(step) for step in frames['steps']], atol=6e-7)
    values = np.array([run.energy_at(step) for step in frames['steps']])
    np.testing.assert_allclose(frames['potential_energy'], values[:, 0], atol=1e-8)
    np.testing.assert_allclose(frames['kinetic_energy'], values[:, 1], atol=1e-8)


def test_the_start_may_lie_in_another_image(tmp_path):
    run = VaspRun(steps=100, wrapped=True)
    shift = np.array([[1, 0, -2], [0, 3, 0], [-1, -1, -1]]) @ run.cell
    _, frames = frames_of(run, tmp_path, start_positions=run.start + shift)
    expected = np.array([run.positions_at(step) for step in frames['steps']]) + shift
    np.testing.assert_allclose(frames['positions'], expected, atol=2e-7)


@pytest.mark.parametrize('xdatcar', [False, True])
@pytest.mark.parametrize('oszicar', [False, True])
def test_versions_that_write_every_step_are_understood(tmp_path, xdatcar, oszicar):
    run = VaspRun(steps=60, block=20, every_step_in_xdatcar=xdatcar, every_step_in_oszicar=oszicar)
    if xdatcar and not oszicar:
        run.every_step_in_oszicar = True
    _, frames = frames_of(run, tmp_path)
    np.testing.assert_array_equal(frames['steps'], [20, 40, 60])
    np.testing.assert_allclose(frames['positions'], [run.positions_at(step) for step in (20, 40, 60)], atol=2e-7)


def test_energies_without_vasprun_are_those_of_oszicar(tmp_path):
    run = VaspRun(vasprun=False)
    energies, frames = frames_of(run, tmp_path)
    assert energies.source == 'OSZICAR'
    values = np.array([run.energy_at(step) for step in frames['steps']])
    np.testing.assert_allclose(frames['potential_energy'], values[:, 0], atol=1e-6)
    np.testing.assert_allclose(frames['kinetic_energy'], values[:, 1], atol=1e-5)


def test_a_vasprun_of_another_run_is_not_believed(tmp_path):
    run = VaspRun()
    run.write(tmp_path)
    other = VaspRun(kinetic=0.7)
    other.energy_at = lambda step: (-20.0, 0.7)
    other.write(tmp_path / 'other')
    (tmp_path / 'other' / 'vasprun.xml').rename(tmp_path / 'vasprun.xml')
    assert read_step_energies(tmp_path).source == 'OSZICAR'


def test_a_killed_run_is_read_as_far_as_it_goes(tmp_path):
    run = VaspRun(stop_at=57, killed=True)
    energies, frames = frames_of(run, tmp_path)
    np.testing.assert_array_equal(energies.steps, [10, 20, 30, 40, 50])
    np.testing.assert_array_equal(frames['steps'], [10, 20, 30, 40])


def test_nothing_was_written(tmp_path):
    assert read_step_energies(tmp_path) is None
    (tmp_path / 'OSZICAR').write_text('')
    assert read_step_energies(tmp_path) is None
    run = VaspRun(steps=20)
    run.write(tmp_path)
    (tmp_path / 'XDATCAR').unlink()
    arguments = {'block': 10, 'start_positions': run.start, 'start_cell': run.cell}
    assert list(iter_frames(tmp_path, read_step_energies(tmp_path), **arguments)) == []


def test_other_atoms_are_refused(tmp_path):
    run = VaspRun(steps=20)
    with pytest.raises(ValueError, match='XDATCAR has 3 atoms, POSCAR 2'):
        frames_of(run, tmp_path, start_positions=run.start[:2])


@pytest.mark.parametrize('ahead', [0, 1, 3, 7])
def test_steps_are_counted_by_the_way_of_the_atoms(tmp_path, ahead):
    run = VaspRun(steps=50 + ahead - 1 or 1, wrapped=True)
    run._write_contcar(tmp_path, 50 + ahead, [2, 1])
    contcar = read_contcar(tmp_path / 'CONTCAR')
    assert steps_since(contcar, run.positions_at(50), MASSES, 1.0) == ahead


def test_steps_without_velocities(tmp_path):
    run = VaspRun(velocities=np.zeros((3, 3)))
    run._write_contcar(tmp_path, 5, [2, 1])
    assert steps_since(read_contcar(tmp_path / 'CONTCAR'), run.start, MASSES, 1.0) == 0


def test_nearest_images():
    cell = np.diag([4.0, 5.0, 6.0])
    found = nearest_images(np.array([[0.1, 4.9, 3.0]]), cell, np.array([[8.0, 0.1, 3.0]]))
    np.testing.assert_allclose(found, [[8.1, -0.1, 3.0]])


def test_kinetic_energy():
    from ase import Atoms, units

    atoms = Atoms('NiH', positions=np.zeros((2, 3)))
    velocities = np.array([[1e-3, 2e-3, 0.0], [0.0, 1e-2, -3e-2]])
    atoms.set_velocities(velocities / units.fs)
    assert kinetic_energy_eV(atoms.get_masses(), velocities) == pytest.approx(atoms.get_kinetic_energy(), rel=1e-8)


@pytest.mark.parametrize('name', ['XDATCAR', 'OSZICAR', 'vasprun.xml', 'CONTCAR'])
def test_damaged_files_end_in_clear_errors(tmp_path, name):
    run = VaspRun(steps=40, growth=1e-4, predictor=True)
    run.write(tmp_path)
    content, rng = (tmp_path / name).read_bytes(), np.random.default_rng(8)
    refused = 0
    for _ in range(100):
        damaged = bytearray(content[: rng.integers(1, len(content))] if rng.random() < 0.4 else content)
        for place in rng.integers(0, len(damaged), rng.integers(0, 4)):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(damaged)
        try:
            energies = read_step_energies(tmp_path)
            if energies is not None:
                list(iter_frames(tmp_path, energies, block=10, start_positions=run.start, start_cell=run.cell))
            contcar = read_contcar(tmp_path / 'CONTCAR', allow_truncated=True)
            steps_since(contcar, run.positions_at(40), MASSES, 1.0)
        except ValueError:
            refused += 1
    assert refused < 100
