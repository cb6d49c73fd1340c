"""Small runs of the engine."""

import json
import signal

import numpy as np
import pytest
from ase.build import bulk

from aiida_hdiff.engine.cli import main
from aiida_hdiff.formats.frame_stream import read_frame_stream

DEFAULTS = {
    'ensemble': 'nve',
    'temperature_K': 600.0,
    'steps': 40,
    'timestep_fs': 2.0,
    'output_interval': 5,
    'seed': 7,
    'thermostat_time_fs': 50.0,
    'barostat_time_fs': 300.0,
}


def write_input(folder, atoms, start_velocities=None, *, potential=None, job=None, **parameters):
    """Write input.json and start.npz."""
    arrays = {'numbers': atoms.numbers, 'positions': atoms.positions, 'cell': atoms.cell.array, 'pbc': atoms.pbc}
    if start_velocities is not None:
        arrays['velocities'] = start_velocities
    np.savez(folder / 'start.npz', **arrays)
    values = {
        'parameters': {**DEFAULTS, **parameters},
        'potential': potential or {'architecture': 'emt', 'file': None, 'options': {}},
        'start': 'start.npz',
        'checkpoint': None,
        'threads': 1,
        'max_seconds': None,
        **(job or {}),
    }
    (folder / 'input.json').write_text(json.dumps(values))


class Run:
    """One run in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.code = None

    @property
    def status(self):
        return json.loads((self.folder / 'status.json').read_text())

    @property
    def frames(self):
        return read_frame_stream(self.folder / 'frames.bin')

    def arrays(self, name):
        return dict(np.load(self.folder / name))


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Give a function that runs the engine in a new folder and returns what it left."""
    number = iter(range(1000))
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}

    def run(atoms, start_velocities=None, *, copy=(), **settings):
        folder = tmp_path / f'run{next(number)}'
        folder.mkdir()
        for source, name in copy:
            (folder / name).write_bytes(source.read_bytes())
        write_input(folder, atoms, start_velocities, **settings)
        monkeypatch.chdir(folder)
        result = Run(folder)
        result.code = main(['md', 'input.json'])
        return result

    yield run
    for name, handler in handlers.items():
        signal.signal(name, handler)


def copper(repeats=2, a=3.61):
    """Copper, 4 atoms a conventional cell."""
    return bulk('Cu', 'fcc', a=a, cubic=True).repeat(repeats)
