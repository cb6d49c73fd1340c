"""CPU time of reading trajectories against ASE and MDAnalysis, in one run on one machine.

Run `OMP_NUM_THREADS=1 python tests/benchmarks/bench_readers.py [n_frames] [n_atoms]`. The rate is that of the file. ASE
and MDAnalysis do not unwrap. On a shared machine trust only the ratios.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from aiida_hdiff.formats import read_positions

EDGE = 10.0


def write_dump(path, positions):
    """Write the columns `id type xu yu zu` as LAMMPS does with %.8g."""
    n_atoms = positions.shape[1]
    template = ''.join(f'{i + 1} {2 if i < 8 else 1} %.8g %.8g %.8g\n' for i in range(n_atoms))
    box = f'ITEM: BOX BOUNDS pp pp pp\n0 {EDGE}\n0 {EDGE}\n0 {EDGE}\n'
    with path.open('w') as stream:
        for step, frame in enumerate(positions):
            stream.write(
                f'ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{n_atoms}\n{box}ITEM: ATOMS id type xu yu zu\n'
            )
            stream.write(template % tuple(frame.ravel()))


def write_xdatcar(path, positions):
    """Write wrapped positions as VASP does."""
    n_atoms = positions.shape[1]
    template = '   %.8f  %.8f  %.8f\n' * n_atoms
    lattice = ''.join(f'{row[0]:13.6f}{row[1]:12.6f}{row[2]:12.6f}\n' for row in EDGE * np.eye(3))
    with path.open('w') as stream:
        stream.write(f'H in Mg\n 1\n{lattice}   H    Mg\n   8  {n_atoms - 8}\n')
        for step, frame in enumerate(positions / EDGE % 1.0, 1):
            stream.write(f'Direct configuration={step:6d}\n' + template % tuple(frame.ravel()))


def with_ase(path, name):
    from ase.io import read

    return np.array([atoms.positions for atoms in read(path, index=':', format=name)])


def with_mdanalysis(path):
    import MDAnalysis

    universe = MDAnalysis.Universe(path, format='LAMMPSDUMP', topology_format='LAMMPSDUMP')
    return np.array([frame.positions.copy() for frame in universe.trajectory])


def main(n_frames=4000, n_atoms=136):
    warnings.simplefilter('ignore')
    rng = np.random.default_rng(1)
    positions = EDGE * rng.random((n_atoms, 3)) + np.cumsum(0.05 * rng.normal(size=(n_frames, n_atoms, 3)), axis=0)
    with tempfile.TemporaryDirectory() as folder:
        dump, xdatcar = Path(folder, 'run.lammpstrj'), Path(folder, 'XDATCAR')
        write_dump(dump, positions)
        write_xdatcar(xdatcar, positions)
        rows = {
            'LAMMPS text dump': (
                dump,
                {
                    'aiida-hdiff': lambda: read_positions(dump, timestep_fs=1.0, elements=('Mg', 'H')).positions,
                    'ASE': lambda: with_ase(dump, 'lammps-dump-text'),
                    'MDAnalysis': lambda: with_mdanalysis(dump),
                },
            ),
            'XDATCAR': (
                xdatcar,
                {
                    'aiida-hdiff': lambda: read_positions(xdatcar, timestep_fs=1.0).positions,
                    'ASE': lambda: with_ase(xdatcar, 'vasp-xdatcar'),
                },
            ),
        }
        print(f'{n_frames} frames of {n_atoms} atoms\n{"":30s} {"CPU s":>8s} {"ratio":>7s} {"MB/s":>7s}')
        for kind, (path, readers) in rows.items():
            own = None
            for name, reader in readers.items():
                start = time.process_time()
                try:
                    found = reader()
                except ImportError:
                    continue
                seconds = time.process_time() - start
                own = own or seconds
                if name == 'aiida-hdiff':
                    tolerance = 1e-5 if kind == 'LAMMPS text dump' else 1e-4
                    np.testing.assert_allclose(np.diff(found, axis=0), np.diff(positions, axis=0), atol=tolerance)
                rate = path.stat().st_size / 1e6 / seconds
                print(f'{kind + ": " + name:30s} {seconds:8.2f} {seconds / own:7.1f} {rate:7.1f}', flush=True)


if __name__ == '__main__':
    main(*(int(argument) for argument in sys.argv[1:]))
