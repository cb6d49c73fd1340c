"""The runs whose outputs are kept in ``fixtures``: what each was started with.

``python -m tests.parsers.generate_fixtures`` (from the root of the repository) makes the outputs again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from tests.model_files import genuine_model

FIXTURES = Path(__file__).parent / 'fixtures'

PARAMETERS: dict[str, Any] = {
    'ensemble': 'nvt',
    'temperature_K': 600.0,
    'steps': 40,
    'timestep_fs': 1.0,
    'output_interval': 4,
    'seed': 3,
    'checkpoint_interval': 8,
}

PAIR = {'pair_style': 'lj/cut 4.0', 'pair_coeff': ['* * 0.5 2.2', '2 2 0.01 1.5', '1 2 0.05 1.5']}
LENNARD_JONES = b'{"epsilon_eV": 0.3, "sigma_A": 1.5, "cutoff_A": 3.4}'


def atoms_of(engine: str, *, hydrogen_at: float = 0.5) -> Atoms:
    """Return one conventional cell with a hydrogen atom, left out of LAMMPS's orientation."""
    host = bulk('Ni' if engine == 'lammps_md' else 'Cu', 'fcc', a=3.52 if engine == 'lammps_md' else 3.61, cubic=True)
    host.extend(Atoms('H', positions=[host.cell.array.sum(axis=0) * hydrogen_at]))
    if engine == 'lammps_md':
        host.rotate(40, (1, 2, 3), rotate_cell=True)
    return host


LAMMPS: dict[str, dict[str, Any]] = {
    'finished': {},
    'velocities': {'parameters': {'velocities': True, 'steps': 20}},
    'walltime': {
        'parameters': {'steps': 100_000_000, 'output_interval': 20_000, 'checkpoint_interval': 40_000},
        'max_seconds': 1,
    },
    'killed': {'kill_at': 22},
    'continued': {'from': 'killed'},
    'continued_killed': {'from': 'killed', 'kill_at': 30},
    'killed_early': {'kill_at': 6},
    'lost_atoms': {
        'parameters': {'steps': 2000, 'output_interval': 2000, 'checkpoint_interval': 2000},
        'hydrogen_at': 0.02,
    },
    'not_a_number': {'parameters': {'ensemble': 'npt'}, 'hydrogen_at': 1e-9},
    'exploded': {'hydrogen_at': 0.18},
    'engine_failed': {'from': 'killed', 'corrupt_restart': True},
    'pair_style_arguments': {'pair': {'pair_style': 'lj/cut', 'pair_coeff': ['* * nan 2.2']}},
    'unknown_style': {'pair': {'pair_style': 'no/such/style 4.0', 'pair_coeff': ['* * 0.5 2.2']}},
    'potential_refused': {'pair': {'pair_style': 'eam/alloy', 'pair_coeff': ['* * potential.0 Ni H']}},
    'not_started': {'not_started': True},
}

ENGINE: dict[str, dict[str, Any]] = {
    'finished': {},
    'velocities': {'parameters': {'velocities': True, 'steps': 20}},
    'walltime': {
        'parameters': {'steps': 1_000_000, 'output_interval': 50, 'checkpoint_interval': 50},
        'max_seconds': 3,
    },
    'walltime_early': {'parameters': {'steps': 1_000_000}, 'max_seconds': 0.01},
    'interrupted': {'parameters': {'steps': 1_000_000, 'output_interval': 50, 'checkpoint_interval': 50}, 'signal': 15},
    'killed': {'parameters': {'steps': 1_000_000, 'output_interval': 10, 'checkpoint_interval': 50}, 'signal': 9},
    'killed_early': {
        'parameters': {'steps': 1_000_000, 'output_interval': 50, 'checkpoint_interval': 1_000_000},
        'signal': 9,
    },
    'exploded': {'hydrogen_at': 0.15},
    'engine_failed': {'potential': {'architecture': 'emt', 'options': {'x': 1}}},
    'potential_refused': {
        'potential': {'architecture': 'lennard_jones', 'file': 'potential.0'},
        'content': b'{"epsilon_eV": 0.05',
    },
    'package_missing': {'potential': {'architecture': 'mace', 'file': 'potential.0'}, 'content': genuine_model('mace')},
}


def parameters_of(case: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the stage of a case."""
    return {**PARAMETERS, **case.get('parameters', {})}


def last_checkpoint(folder: Path) -> tuple[int, Path]:
    """Return step and file of the last restart file in a folder of LAMMPS."""
    path = max(folder.glob('checkpoint.*.restart'), key=lambda path: int(path.name.split('.')[1]))
    return int(path.name.split('.')[1]), path


def arrays_of(atoms: Atoms) -> dict[str, np.ndarray]:
    """Return what a job starts from."""
    return {'numbers': atoms.numbers, 'positions': atoms.positions, 'cell': atoms.cell.array}
