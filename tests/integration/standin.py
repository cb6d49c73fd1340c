"""A force field trained by the stand-in, which emulates VASP and is not VASP, for tests of what uses one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from aiida_hdiff.formats.iconst import iconst
from aiida_hdiff.formats.incar import format_incar
from aiida_hdiff.formats.poscar import write_poscar
from tests.vasp_fixtures import fake_potcar

TRAIN = {
    'encut': 400, 'ml_lmlff': True, 'ml_mode': 'train', 'ml_ctifor': 0.01, 'ml_mconf': 200, 'ibrion': 0, 'nsw': 60,
    'potim': 1.0, 'mdalgo': 3, 'isif': 3, 'langevin_gamma': [10, 10], 'langevin_gamma_l': 10, 'pmass': 1000,
    'pstress': 0, 'tebeg': 300, 'teend': 900, 'random_seed': '7 0 0',
}  # fmt: skip


def run_standin(folder: Path, executable: str, tags: dict[str, Any], atoms: Any, reference: str) -> None:
    """Run the stand-in in a folder."""
    folder.mkdir(exist_ok=True)
    symbols = atoms.get_chemical_symbols()
    with (folder / 'POSCAR').open('w') as stream:
        write_poscar(stream, symbols=symbols, cell=atoms.cell.array, positions=atoms.positions)
    (folder / 'POTCAR').write_text(''.join(map(fake_potcar, dict.fromkeys(symbols))))
    (folder / 'KPOINTS').write_text('gamma\n0\nGamma\n1 1 1\n0 0 0\n')
    (folder / 'ICONST').write_text(iconst(atoms.cell.array))
    (folder / 'INCAR').write_text(format_incar(tags))
    environment = {**os.environ, 'HDIFF_STANDIN_REFERENCE': reference, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [executable], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def train_force_field(folder: Path, executable: str, atoms: Any, reference: str) -> bytes:
    """Train on the fly, refit, and return ML_FFN."""
    run_standin(folder / 'train', executable, TRAIN, atoms, reference)
    refit = folder / 'refit'
    refit.mkdir()
    (folder / 'train' / 'ML_ABN').rename(refit / 'ML_AB')
    run_standin(refit, executable, {'ml_lmlff': True, 'ml_mode': 'refit', 'encut': 400}, atoms, reference)
    return (refit / 'ML_FFN').read_bytes()
