"""CPU time of the mean squared displacement against ASE and a direct sum, in one run on one machine.

Run `python tests/benchmarks/bench_msd.py [n_frames] [n_atoms]`. On a shared machine trust only the ratios.
"""

import sys
import time

import numpy as np
from ase import Atoms
from ase.md.analysis import DiffusionCoefficient

from aiida_hdiff.analysis import diffusion_coefficient, mean_squared_displacement

N_LOG_LAGS = 50


def cpu_seconds(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def direct_sum(positions):
    """Every origin, but only log-spaced lags; all lags would take n_frames / 2 / 50 times as long."""
    for lag in np.unique(np.geomspace(1, len(positions) - 1, N_LOG_LAGS).astype(int)):
        displacements = positions[lag:] - positions[:-lag]
        np.einsum('tax,tax->', displacements, displacements) / len(displacements)


def ase_diffusion(trajectory):
    """One origin per segment, ten segments."""
    analysis = DiffusionCoefficient(trajectory, timestep=1.0)
    analysis.calculate(ignore_n_images=0, number_of_segments=10)


def main(n_frames=20_000, n_atoms=8):
    positions = np.cumsum(np.random.default_rng(1).normal(size=(n_frames, n_atoms, 3)), axis=0)
    trajectory = [Atoms(f'H{n_atoms}', positions=frame) for frame in positions]
    mean_squared_displacement(positions[:100], 5.0)
    own = cpu_seconds(mean_squared_displacement, positions, 5.0)
    rows = {
        'mean_squared_displacement, all lags': own,
        'diffusion_coefficient, D and its error': cpu_seconds(diffusion_coefficient, positions, 5.0),
        'ASE DiffusionCoefficient, 10 origins': cpu_seconds(ase_diffusion, trajectory),
        f'direct sum, {N_LOG_LAGS} lags': cpu_seconds(direct_sum, positions),
    }
    print(f'{n_frames} frames of {n_atoms} atoms')
    for name, seconds in rows.items():
        print(f'{name:40s} {seconds:8.3f} CPU s   x{seconds / own:6.1f}')


if __name__ == '__main__':
    main(*(int(argument) for argument in sys.argv[1:]))
