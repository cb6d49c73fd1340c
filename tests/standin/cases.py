"""Inputs of runs of the stand-in: Ni with hydrogen in the quick start's potential, and argon."""

import io
from pathlib import Path

import numpy as np

from aiida_hdiff.standin.run import execute
from tests.vasp_fixtures import fake_potcar

LJ = {'HDIFF_STANDIN_REFERENCE': 'lj'}
DFT = {'ENCUT': 400, 'EDIFF': '1E-5', 'IBRION': 0, 'POTIM': 1.0, 'RANDOM_SEED': '12 0 0'}
TRAIN = DFT | {
    'ML_LMLFF': '.TRUE.',
    'ML_MODE': 'train',
    'ML_CTIFOR': 0.005,
    'ML_MCONF': 500,
    'ML_MB': 4000,
    'MDALGO': 3,
    'ISIF': 3,
    'LANGEVIN_GAMMA': '10 10',
    'LANGEVIN_GAMMA_L': 10,
    'PMASS': 1000,
    'PSTRESS': 1.0,
    'TEBEG': 300,
    'TEEND': 300,
    'NSW': 20,
}
REFIT = DFT | {'ML_LMLFF': '.TRUE.', 'ML_MODE': 'refit', 'ISIF': 2}
RUN = DFT | {'ML_LMLFF': '.TRUE.', 'ML_MODE': 'run', 'ISIF': 2, 'MDALGO': 1, 'ANDERSEN_PROB': 0.0, 'TEBEG': 600}
STATIC = {'ENCUT': 400, 'EDIFF': '1E-6', 'NSW': 0, 'IBRION': -1, 'ISIF': 2}


def eam(path):
    """The environment that names an EAM file."""
    return {'HDIFF_STANDIN_REFERENCE': f'eam:{path}'}


def nickel_hydride(n_hydrogen=2):
    from ase import Atoms
    from ase.build import bulk

    atoms = bulk('Ni', 'fcc', a=3.52, cubic=True).repeat(2)
    sites = 3.52 * np.array([(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)])
    atoms.extend(Atoms('H' * n_hydrogen, positions=sites[:n_hydrogen]))
    return atoms


def argon():
    from ase.build import bulk

    return bulk('Ar', 'fcc', a=5.3, cubic=True)


def poscar_text(atoms):
    symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
    counts = [atoms.get_chemical_symbols().count(symbol) for symbol in symbols]
    rows = [*atoms.cell.array.tolist()]
    text = 'standin test\n1.0\n' + ''.join(f' {a:.12f} {b:.12f} {c:.12f}\n' for a, b, c in rows)
    text += f'{" ".join(symbols)}\n{" ".join(map(str, counts))}\nDirect\n'
    return text + ''.join(f' {a:.14f} {b:.14f} {c:.14f}\n' for a, b, c in atoms.get_scaled_positions(wrap=False))


def iconst_text(cell):
    a, b, c = np.linalg.norm(cell, axis=1)
    lines = ['LA 1 2 0', 'LA 1 3 0', 'LA 2 3 0', 'LR 1 0', 'LR 2 0', 'LR 3 0']
    lines += ['S 1 0 0 0 0 0 0', 'S 0 1 0 0 0 0 0', 'S 0 0 1 0 0 0 0']
    lines += [f'S 0 0 0 {b:.8f} {-a:.8f} 0 0', f'S 0 0 0 {c:.8f} 0 {-a:.8f} 0', f'S 0 0 0 0 {c:.8f} {-b:.8f} 0']
    return '\n'.join(lines) + '\n'


def write_inputs(folder, tags, atoms=None, files=None):
    """Write the input files of a run; `files` replaces or adds some by their text, bytes or path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    atoms = nickel_hydride() if atoms is None else atoms
    symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
    contents = {
        'INCAR': ''.join(f'{name} = {value}\n' for name, value in tags.items()),
        'POSCAR': poscar_text(atoms),
        'POTCAR': ''.join(fake_potcar(symbol) for symbol in symbols),
        'KPOINTS': 'mesh\n0\nGamma\n1 1 1\n0 0 0\n',
        'ICONST': iconst_text(atoms.cell.array),
    } | (files or {})
    for name, content in contents.items():
        if content is None:
            continue
        data = content.read_bytes() if isinstance(content, Path) else content
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def run(folder, tags, environment, atoms=None, files=None):
    """Run in this process; return the exit status and what was printed."""
    write_inputs(folder, tags, atoms, files)
    screen = io.StringIO()
    status = execute(Path(folder), environment, screen)
    (Path(folder) / 'vasp_output').write_text(screen.getvalue())
    return status, screen.getvalue()
