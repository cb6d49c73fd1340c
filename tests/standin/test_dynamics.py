"""Dynamics of the stand-in: ensembles, and continuation from its files."""

import numpy as np
import pytest

from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.standin.dynamics import ACCELERATION, Dynamics
from aiida_hdiff.standin.incar import read_settings
from aiida_hdiff.standin.inputs import read_poscar
from aiida_hdiff.standin.reference import Labels
from tests.standin import cases

NVE = cases.DFT | {'MDALGO': 1, 'ANDERSEN_PROB': 0.0, 'ISIF': 2, 'TEBEG': 30, 'NSW': 40, 'POTIM': 2.0}


def energies(folder):
    return np.array([step.total_energy for step in iter_vasprun(folder / 'vasprun.xml')])


def test_energy_is_conserved_and_momentum_stays_zero(tmp_path):
    status, _ = cases.run(tmp_path, NVE, cases.LJ, cases.argon())
    assert status == 0
    total = energies(tmp_path)
    assert np.ptp(total) < 2e-5
    assert np.ptp([step.kinetic_energy for step in iter_vasprun(tmp_path / 'vasprun.xml')]) > 1e-3
    np.testing.assert_allclose(read_poscar(tmp_path / 'CONTCAR').velocities.sum(axis=0), 0.0, atol=1e-8)


def test_continued_run_is_one_trajectory(tmp_path):
    """Twenty steps, and twenty from their CONTCAR, are the forty of one run."""
    cases.run(tmp_path / 'whole', NVE, cases.LJ, cases.argon())
    half = NVE | {'NSW': 20}
    cases.run(tmp_path / 'first', half, cases.LJ, cases.argon())
    start = {'POSCAR': tmp_path / 'first' / 'CONTCAR'}
    cases.run(tmp_path / 'second', half, cases.LJ, cases.argon(), start)
    joined = np.concatenate([energies(tmp_path / name) for name in ('first', 'second')])
    np.testing.assert_allclose(joined, energies(tmp_path / 'whole'), atol=1e-7)
    ends = [read_poscar(tmp_path / name / 'CONTCAR') for name in ('whole', 'second')]
    np.testing.assert_allclose(ends[0].scaled, ends[1].scaled, atol=1e-8)
    np.testing.assert_allclose(ends[0].velocities, ends[1].velocities, atol=1e-9)


def test_continued_cell_motion(tmp_path):
    """Without friction the barostat conserves the enthalpy, across a continuation too."""
    tags = cases.DFT | {
        'MDALGO': 3, 'ISIF': 3, 'LANGEVIN_GAMMA': 0, 'LANGEVIN_GAMMA_L': 0, 'PMASS': 20, 'PSTRESS': 0.5,
        'TEBEG': 30, 'NSW': 60, 'POTIM': 2.0,
    }  # fmt: skip
    cases.run(tmp_path / 'first', tags, cases.LJ, cases.argon())
    start = {'POSCAR': tmp_path / 'first' / 'CONTCAR'}
    cases.run(tmp_path / 'second', tags, cases.LJ, cases.argon(), start)
    enthalpies, volumes, lattice = [], [], []
    for name in ('first', 'second'):
        for step in iter_vasprun(tmp_path / name / 'vasprun.xml'):
            volumes.append(np.linalg.det(step.cell))
            lattice.append(step.lattice_kinetic_energy)
            enthalpies.append(step.total_energy + 0.5 / 1602.1766208 * volumes[-1])
    assert np.ptp(volumes) > 0.2
    assert max(lattice) > 1e-5
    assert np.ptp(enthalpies) < 0.01 * np.ptp([0.5 / 1602.1766208 * volume for volume in volumes]) + 2e-4
    cells = [step.cell / step.cell[0, 0] for step in iter_vasprun(tmp_path / 'second' / 'vasprun.xml')]
    np.testing.assert_allclose(cells, [np.eye(3)] * len(cells), atol=1e-6)


def free_particles(tags, n_steps, poscar):
    """Temperatures of particles without forces, and of the cell."""
    settings = read_settings(''.join(f'{name} = {value}\n' for name, value in tags.items()))
    dynamics = Dynamics(poscar, np.repeat([40.0], len(poscar.scaled)), settings)
    still = Labels(0.0, np.zeros((len(poscar.scaled), 3)), np.zeros((3, 3)))
    found = []
    for step in range(1, n_steps + 1):
        found.append(dynamics.finish(still))
        dynamics.advance(still, step)
    return found


@pytest.mark.parametrize(
    ('tags', 'degrees'),
    [({'MDALGO': 3, 'LANGEVIN_GAMMA': 200}, 3.0), ({'MDALGO': 1, 'ANDERSEN_PROB': 0.3}, 3.0)],
)
def test_thermostats(tmp_path, tags, degrees):
    tags = {'IBRION': 0, 'NSW': 400, 'POTIM': 2.0, 'TEBEG': 300, 'ISIF': 2, 'RANDOM_SEED': '3 0 0'} | tags
    poscar = read_poscar(cases.write_inputs(tmp_path, tags, cases.argon().repeat(3)) / 'POSCAR')
    kinetic = np.array([one.ions for one in free_particles(tags, 400, poscar)[40:]])
    mean = kinetic.mean() / len(poscar.scaled) / 8.617333262e-5 / degrees * 2.0
    assert mean == pytest.approx(300.0, rel=0.02)


def test_nose_thermostat_conserves_its_energy(tmp_path):
    tags = cases.DFT | {'MDALGO': 2, 'SMASS': 0, 'ISIF': 2, 'TEBEG': 40, 'NSW': 120, 'POTIM': 2.0}
    cases.run(tmp_path, tags, cases.LJ, cases.argon())
    steps = list(iter_vasprun(tmp_path / 'vasprun.xml'))
    total = np.array([step.total_energy for step in steps])
    assert np.ptp([step.thermostat_energy for step in steps]) > 5e-3
    assert np.ptp(total) < 0.2 * np.ptp([step.thermostat_energy for step in steps])


def test_ramp(tmp_path):
    tags = {'IBRION': 0, 'NSW': 11, 'POTIM': 2.0, 'TEBEG': 100, 'TEEND': 300, 'MDALGO': 3, 'LANGEVIN_GAMMA': '1E6'}
    poscar = read_poscar(cases.write_inputs(tmp_path, tags, cases.argon().repeat(5)) / 'POSCAR')
    settings = read_settings(''.join(f'{name} = {value}\n' for name, value in tags.items()))
    dynamics = Dynamics(poscar, np.full(len(poscar.scaled), 40.0), settings)
    assert [dynamics.target_K(step) for step in (1, 6, 11)] == [100.0, 200.0, 300.0]
    # So strong a friction draws all velocities anew in each step.
    temperatures = [one.temperature_K for one in free_particles(tags, 11, poscar)]
    np.testing.assert_allclose(temperatures[1:], [100.0 + 20.0 * step for step in range(10)], rtol=0.2)


def test_equal_inputs_give_equal_files(tmp_path):
    tags = cases.TRAIN | {'NSW': 6, 'LANGEVIN_GAMMA': 10}
    for name in 'ab':
        cases.run(tmp_path / name, tags, cases.LJ, cases.argon())
    for name in ('OUTCAR', 'vasprun.xml', 'CONTCAR', 'ML_ABN', 'ML_FFN', 'ML_LOGFILE', 'XDATCAR'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes(), name
    cases.run(tmp_path / 'c', tags | {'RANDOM_SEED': '13 0 0'}, cases.LJ, cases.argon())
    assert (tmp_path / 'c' / 'CONTCAR').read_bytes() != (tmp_path / 'a' / 'CONTCAR').read_bytes()


def test_coordinates_are_wrapped_without_thermostat_only(tmp_path):
    atoms = cases.argon()
    atoms.set_scaled_positions(atoms.get_scaled_positions() - 0.02)
    for mdalgo, wrapped in ((0, True), (2, False)):
        folder = tmp_path / str(mdalgo)
        cases.run(folder, NVE | {'MDALGO': mdalgo, 'SMASS': -3, 'NSW': 2}, cases.LJ, atoms)
        assert bool(read_poscar(folder / 'CONTCAR').scaled.min() >= 0.0) is wrapped


def test_temperature_counts_the_degrees_of_freedom(tmp_path):
    cases.run(tmp_path, NVE | {'TEBEG': 50, 'NSW': 1}, cases.LJ, cases.argon())
    assert read_oszicar(tmp_path / 'OSZICAR').temperature_K[0] == pytest.approx(50.0, abs=3.0)
    assert ACCELERATION == pytest.approx(9.6485e-3, rel=1e-4)
