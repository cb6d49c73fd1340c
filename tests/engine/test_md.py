"""Whole runs of ``hdiff-engine md``."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aiida_hdiff.engine import exit_codes, md
from aiida_hdiff.engine.cli import main
from aiida_hdiff.formats.frame_stream import read_frame_stream

from .conftest import copper, write_input

STAGES = {
    'nve': {'ensemble': 'nve'},
    'langevin': {'ensemble': 'nvt', 'thermostat': 'langevin'},
    'nose_hoover': {'ensemble': 'nvt', 'thermostat': 'nose_hoover'},
    'ramp': {'ensemble': 'nvt', 'thermostat': 'langevin', 'temperature_end_K': 300.0},
    'npt_isotropic_langevin': {'ensemble': 'npt', 'thermostat': 'langevin'},
    'npt_fixed_shape_nose_hoover': {'ensemble': 'npt', 'thermostat': 'nose_hoover', 'barostat': 'fixed_shape'},
    'npt_full_nose_hoover': {'ensemble': 'npt', 'thermostat': 'nose_hoover', 'barostat': 'full'},
}
SMALL = copper((2, 1, 1))


def assert_same_frames(frames, expected):
    assert frames['step'].tolist() == expected['step'].tolist()
    for name in ('time_fs', 'potential_energy', 'kinetic_energy', 'temperature_K', 'pressure', 'cell', 'positions'):
        assert frames[name] == pytest.approx(expected[name], abs=1e-8, nan_ok=True), name


def test_frames_and_checkpoints(engine):
    run = engine(SMALL, checkpoint_interval=20, output_interval=10, steps=50)
    assert run.code == exit_codes.FINISHED
    assert run.frames['step'].tolist() == list(range(0, 51, 10))
    assert run.arrays('checkpoint.npz')['step'] == 40
    assert run.arrays('final.npz')['step'] == 50


def test_time_limit(engine):
    run = engine(SMALL, job={'max_seconds': 1e-9})
    assert run.code == exit_codes.INTERRUPTED
    assert run.frames['step'].tolist() == [0]
    assert run.arrays('checkpoint.npz')['step'] == 0
    assert 'time limit' in run.status['message']


@pytest.mark.parametrize('stage', STAGES)
def test_restart_in_mid_run_continues_the_run(engine, stage, monkeypatch):
    whole = engine(SMALL, **STAGES[stage])
    checkpoint = interrupted_at(engine, monkeypatch, 23, **STAGES[stage])
    assert checkpoint.code == exit_codes.INTERRUPTED
    assert checkpoint.status['state'] == 'interrupted'
    assert checkpoint.status['step'] == 23
    rest = engine(
        SMALL,
        **STAGES[stage],
        copy=[(checkpoint.folder / 'checkpoint.npz', 'from.npz')],
        job={'checkpoint': 'from.npz'},
    )
    assert rest.code == exit_codes.FINISHED
    assert checkpoint.frames['step'].tolist() == [0, 5, 10, 15, 20]
    assert rest.frames['step'].tolist() == [25, 30, 35, 40]
    assert_same_frames(np.concatenate([checkpoint.frames, rest.frames]), whole.frames)
    final, expected = rest.arrays('final.npz'), whole.arrays('final.npz')
    assert final['velocities'] == pytest.approx(expected['velocities'], abs=1e-9)
    assert final['random_state'] == expected['random_state']


def interrupted_at(engine, monkeypatch, step, **settings):
    """Run until a stop request that comes before step ``step + 1``."""
    calls = iter(range(1000))
    with monkeypatch.context() as patch:
        patch.setattr(md, 'stop_requests', lambda: lambda: 'SIGTERM' if next(calls) == step else None)
        return engine(SMALL, **settings)


def test_continued_in_the_same_folder_without_doubled_frames(engine, monkeypatch):
    whole = engine(SMALL)
    first = interrupted_at(engine, monkeypatch, 23)
    write_input(first.folder, SMALL, job={'checkpoint': 'checkpoint.npz'})
    monkeypatch.chdir(first.folder)
    assert main(['md', 'input.json']) == exit_codes.FINISHED
    assert_same_frames(first.frames, whole.frames)
    write_input(first.folder, SMALL)
    assert main(['md', 'input.json']) == exit_codes.FINISHED
    assert_same_frames(first.frames, whole.frames)


def test_files_of_a_finished_run(engine):
    run = engine(SMALL, ensemble='npt', velocities=True)
    assert run.code == 0
    status = run.status
    assert status['state'] == 'finished'
    assert status['step'] == 40
    assert status['engine'] == 'ase'
    assert {'python', 'ase', 'numpy', 'aiida-hdiff'} <= set(status['versions'])
    assert json.loads((run.folder / 'progress.json').read_text())['step'] == 40
    frames, final = run.frames, run.arrays('final.npz')
    assert frames['time_fs'].tolist() == [10.0 * n for n in range(9)]
    assert np.isfinite(frames['pressure']).all()
    assert frames['positions'][-1] == pytest.approx(final['positions'])
    assert frames['velocities'][-1] == pytest.approx(final['velocities'])
    assert frames['cell'][-1] == pytest.approx(final['cell'])
    assert frames['positions'][0] == pytest.approx(SMALL.positions)
    for name in ('status.json', 'progress.json', 'final.npz', 'frames.bin', 'checkpoint.npz'):
        assert str(run.folder).encode() not in (run.folder / name).read_bytes()
    assert not list(run.folder.glob('*.tmp'))


def test_stage_starts_from_the_final_state_of_another(engine):
    first = engine(SMALL, ensemble='nvt')
    second = engine(SMALL, copy=[(first.folder / 'final.npz', 'other.npz')], job={'start': 'other.npz'})
    assert second.code == 0
    assert second.frames['kinetic_energy'][0] == pytest.approx(first.frames['kinetic_energy'][-1])
    assert second.frames['positions'][0] == pytest.approx(first.frames['positions'][-1])
    assert np.isnan(second.frames['pressure']).all()


def test_given_velocities_lose_their_drift(engine):
    velocities = np.random.default_rng(1).normal(size=(8, 3)) / 1000 + [0.01, 0, 0]
    run = engine(SMALL, velocities, job={'max_seconds': 1e-9})
    kept = run.arrays('checkpoint.npz')['velocities']
    assert kept == pytest.approx(velocities - velocities.mean(axis=0), abs=1e-12)


def test_seed(engine):
    first, same, other = (engine(SMALL, ensemble='nvt', seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.frames['positions'], same.frames['positions'])
    assert not np.allclose(first.frames['positions'], other.frames['positions'])


def test_positions_are_unwrapped(engine):
    atoms = SMALL.copy()
    atoms.positions[0] += 3 * atoms.cell[0]
    plain, moved = engine(SMALL), engine(atoms)
    shift = moved.frames['positions'] - plain.frames['positions']
    assert shift[:, 0] == pytest.approx(np.tile(3 * atoms.cell[0], (9, 1)), abs=1e-6)


def test_ramp(engine):
    run = engine(SMALL, ensemble='nvt', thermostat_time_fs=5.0, temperature_end_K=20.0, steps=300, output_interval=1)
    temperatures = run.frames['temperature_K']
    assert temperatures[:60].mean() > 350
    assert temperatures[-30:].mean() < 120


def test_lennard_jones_and_eam_need_their_files(engine, tmp_path):
    model = tmp_path / 'lj.json'
    model.write_text(json.dumps({'epsilon_eV': 0.4, 'sigma_A': 2.3, 'cutoff_A': 5.0}))
    potential = {'architecture': 'lennard_jones', 'file': 'lj.json'}
    run = engine(SMALL, potential=potential, copy=[(model, 'lj.json')], ensemble='npt')
    assert run.code == 0
    model.write_text('{"epsilon": 1}')
    run = engine(SMALL, potential=potential, copy=[(model, 'lj.json')])
    assert run.code == exit_codes.MODEL_NOT_LOADED
    assert 'epsilon_eV, sigma_A, cutoff_A' in run.status['message']
    run = engine(SMALL, potential={'architecture': 'eam', 'file': 'absent.eam.alloy'})
    assert run.code == exit_codes.MODEL_NOT_LOADED
    assert 'absent.eam.alloy' in run.status['message']


@pytest.mark.filterwarnings('ignore::RuntimeWarning')
@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda atoms: atoms.positions.__setitem__(1, atoms.positions[0] + 0.6), 'force|temperature'),
        (lambda atoms: atoms.positions.__setitem__(1, atoms.positions[0]), 'not finite|apart|force'),
    ],
)
def test_exploded_start(engine, change, reason):
    atoms = SMALL.copy()
    change(atoms)
    run = engine(atoms)
    assert run.code == exit_codes.EXPLODED
    assert run.status['state'] == 'exploded'
    assert re.search(reason, run.status['message'])
    frame = run.arrays('exploded.npz')
    assert {'positions', 'velocities', 'cell', 'forces', 'numbers', 'step'} <= set(frame)
    assert not (run.folder / 'final.npz').exists()


def test_exploded_by_temperature(engine):
    run = engine(SMALL, np.random.default_rng(1).normal(size=(8, 3)) / 10)
    assert run.code == exit_codes.EXPLODED
    assert 'temperature' in run.status['message']


def test_atoms_on_top_of_each_other(engine, tmp_path):
    """A soft potential has no large force to show it."""
    model = tmp_path / 'lj.json'
    model.write_text(json.dumps({'epsilon_eV': 1e-9, 'sigma_A': 0.3, 'cutoff_A': 2.0}))
    atoms = SMALL.copy()
    atoms.positions[1] = atoms.positions[0] + [0.2, 0, 0]
    run = engine(atoms, potential={'architecture': 'lennard_jones', 'file': 'lj.json'}, copy=[(model, 'lj.json')])
    assert run.code == exit_codes.EXPLODED
    assert '0.2 Å apart' in run.status['message']


@pytest.mark.parametrize(('architecture', 'module'), [('chgnet', 'chgnet'), ('mace', 'mace')])
def test_missing_package(engine, monkeypatch, architecture, module):
    monkeypatch.setitem(sys.modules, 'torch', type(sys)('torch'))
    monkeypatch.setattr(sys.modules['torch'], 'set_num_threads', lambda number: None, raising=False)

    class Absent:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split('.')[0] == module:
                raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    for name in list(sys.modules):
        if name.split('.')[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, 'meta_path', [Absent, *sys.meta_path])
    run = engine(SMALL, potential={'architecture': architecture, 'file': 'model'})
    assert run.code == exit_codes.MISSING_PACKAGE
    assert f'pip install "aiida-hdiff[{architecture}]"' in run.status['message']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'ensemble': 'nvt', 'timestep_fs': 5.0}, 'timestep_fs'),
        ({'potential': {'architecture': 'magic'}}, 'chgnet, eam, emt, lennard_jones, mace'),
        ({'potential': {'architecture': 'emt', 'options': {'x': 1}}}, 'no option `x`; known: none'),
        ({'potential': 'emt'}, '`potential` must be a mapping'),
        ({'job': {'start': 'absent.npz'}}, 'absent.npz: no such file'),
        ({'job': {'start': 'input.json'}}, 'input.json: not a readable .npz'),
        ({'job': {'checkpoint': 'start.npz'}}, 'start.npz: not a checkpoint of this stage'),
        ({'job': {'threads': 0}}, '`threads` is 0'),
        ({'job': {'max_seconds': -1}}, '`max_seconds` is -1'),
        ({'job': {'bogus': 1}}, 'unknown key `bogus`'),
    ],
)
def test_bad_input(engine, settings, message):
    run = engine(SMALL, **settings)
    assert run.code == exit_codes.BAD_INPUT
    assert run.status['state'] == 'error'
    assert message in run.status['message']


def test_bad_structures(engine):
    slab = SMALL.copy()
    slab.pbc = (True, True, False)
    run = engine(slab, ensemble='npt')
    assert run.code == exit_codes.BAD_INPUT
    assert 'periodic' in run.status['message']
    assert engine(SMALL[:1]).code == exit_codes.BAD_INPUT
    broken = SMALL.copy()
    broken.positions[0, 0] = np.nan
    assert 'positions' in engine(broken).status['message']
    mercury = SMALL.copy()
    mercury.symbols[:] = 'Hg'
    run = engine(mercury)
    assert run.code == exit_codes.MODEL_NOT_LOADED
    assert 'emt cannot describe the structure' in run.status['message']


def test_checkpoint_of_another_stage(engine):
    other = engine(SMALL, ensemble='nvt')
    copy = [(other.folder / 'final.npz', 'from.npz')]
    job = {'checkpoint': 'from.npz'}
    assert '`seed` = 7, not 8' in engine(SMALL, ensemble='nvt', seed=8, copy=copy, job=job).status['message']
    assert 'not those of the start file' in engine(copper(1), ensemble='nvt', copy=copy, job=job).status['message']
    assert 'integrator_strain_basis' in engine(SMALL, ensemble='npt', copy=copy, job=job).status['message']
    again = engine(SMALL, ensemble='nvt', copy=copy, job=job)
    assert again.code == 0
    assert len(again.frames) == 0


def test_unreadable_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['md', 'absent.json']) == exit_codes.BAD_INPUT
    (tmp_path / 'list.json').write_text('[]')
    assert main(['md', 'list.json']) == exit_codes.BAD_INPUT


@pytest.mark.integration
@pytest.mark.parametrize('request_', [signal.SIGTERM, signal.SIGKILL])
def test_killed_process(engine, tmp_path, request_):
    """A killed process loses nothing that a restart does not bring back."""
    settings = {'ensemble': 'nvt', 'steps': 1000, 'output_interval': 10, 'checkpoint_interval': 50}
    whole = engine(SMALL, **settings)
    folder = tmp_path / 'killed'
    folder.mkdir()
    write_input(folder, SMALL, **settings)
    command = [sys.executable, '-m', 'aiida_hdiff.engine.cli', 'md', 'input.json']
    process = subprocess.Popen(command, cwd=folder)
    deadline = time.monotonic() + 60
    while not (folder / 'checkpoint.npz').exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(request_)
    code = process.wait(timeout=60)
    step = int(np.load(folder / 'checkpoint.npz')['step'])
    assert 50 <= step < 1000
    frames = np.array(read_frame_stream(folder / 'frames.bin'))
    if request_ == signal.SIGKILL:
        assert code == -signal.SIGKILL
        assert step % 50 == 0
        frames = frames[frames['step'] <= step]
    else:
        assert code == exit_codes.INTERRUPTED
        status = json.loads((folder / 'status.json').read_text())
        assert status['state'] == 'interrupted'
        assert status['step'] == step
        assert signal.Signals(request_).name in status['message']
    rest = engine(SMALL, **settings, copy=[(folder / 'checkpoint.npz', 'from.npz')], job={'checkpoint': 'from.npz'})
    joined = np.concatenate([frames, rest.frames])
    assert joined['step'].tolist() == whole.frames['step'].tolist()
    early = joined['step'] <= step + 100
    assert_same_frames(joined[early], whole.frames[early])


def test_version():
    output = subprocess.run(
        [sys.executable, '-m', 'aiida_hdiff.engine.cli', '--version'], capture_output=True, text=True, check=True
    )
    assert output.stdout.startswith('hdiff-engine 0')


def test_importing_the_program_costs_nothing():
    code = 'import sys, aiida_hdiff.engine.cli; print({"numpy", "ase", "scipy", "aiida"} & set(sys.modules))'
    output = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == 'set()'


@pytest.mark.integration
@pytest.mark.parametrize('ensemble', ['nve', 'npt'])
def test_chgnet(engine, ensemble):
    pytest.importorskip('chgnet')
    from aiida_hdiff.sampling import host_structure, insert_interstitials
    from aiida_hdiff.sampling.hosts import supercell

    atoms = insert_interstitials(supercell(host_structure('Mg'), (2, 2, 2)), n_hydrogen=1, sites='tetrahedral', seed=1)
    settings = {'temperature_K': 500.0, 'timestep_fs': 0.5, 'steps': 40, 'output_interval': 4}
    run = engine(atoms, potential={'architecture': 'chgnet'}, ensemble=ensemble, **settings)
    assert run.code == 0
    assert {'torch', 'chgnet'} <= set(run.status['versions'])
    total = run.frames['potential_energy'] + run.frames['kinetic_energy']
    assert np.isfinite(run.frames['pressure']).all() == (ensemble == 'npt')
    if ensemble == 'nve':
        assert np.ptp(total) / len(atoms) < 5e-4
