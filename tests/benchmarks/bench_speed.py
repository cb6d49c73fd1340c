"""CPU time and memory of mean squared displacement, D and its error against other packages, in one run on one machine.

Run `python tests/benchmarks/bench_speed.py [--gemdat PYTHON] [--sizes 100000x8 ...]` where the extra `peers` is
installed; GEMDAT, which needs an older matplotlib, may be in an environment of its own. Every measurement has a process
of its own with one thread. All are measured in turn, three times (`--rounds`), the slow ones once; times are medians.
Memory is what the process needs beyond the input and the imported packages. `error` is the largest deviation of the
MSD from a direct sum at four lags, `D` is in Å²/ps (0.5 is right). The floor is the Fourier transforms of the padded
series alone. On a shared machine trust only the ratios. `--methods` leaves out all but those named.

With `--all` the tables of bench_rdf.py, bench_sites.py and bench_readers.py follow.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path

for variable in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS', 'TBB_NUM_THREADS'):
    os.environ[variable] = '1'

import numpy as np  # noqa: E402

TIMESTEP_FS = 10.0
WINDOW_PS = (2.0, 10.0)
DIFFUSION_A2_PS = 0.5
LAGS = (1, 10, 100, 1000)
SIZES = ('100000x8', '100000x136', '1000000x8')
SLOW_SECONDS = 4.0


def trajectory(n_frames, n_atoms):
    """Random walk, made in place: nothing else than the input is ever in memory."""
    rng = np.random.default_rng(1)
    positions = np.empty((n_frames, n_atoms, 3))
    step = np.sqrt(2.0 * DIFFUSION_A2_PS * TIMESTEP_FS / 1000.0)
    for start in range(0, n_frames, 1000):
        block = positions[start : start + 1000]
        rng.standard_normal(out=block)
        block *= step
        block[0] += positions[start - 1] if start else 20.0
        np.cumsum(block, axis=0, out=block)
    return positions


def straight_line(msd):
    """D and its standard error as by the recipe in the documentation of MDAnalysis."""
    from scipy.stats import linregress

    lags = np.arange(*(int(ps * 1000 / TIMESTEP_FS) for ps in WINDOW_PS))
    fit = linregress(lags * TIMESTEP_FS / 1000.0, msd[lags])
    return fit.slope / 6.0, fit.stderr / 6.0


def own(positions):
    from aiida_hdiff.analysis import diffusion_coefficient, mean_squared_displacement

    def work():
        msd = mean_squared_displacement(positions, TIMESTEP_FS).msd
        result = diffusion_coefficient(positions, TIMESTEP_FS, window_ps=WINDOW_PS)
        return msd, result.value * 1e8

    return work


def own_msd(positions):
    from aiida_hdiff.analysis import mean_squared_displacement

    return lambda: (mean_squared_displacement(positions, TIMESTEP_FS).msd, None)


def floor(positions):
    from scipy import fft

    n_frames, n_atoms, _ = positions.shape
    length = fft.next_fast_len(2 * n_frames - 1, real=True)
    batch = min(n_atoms, max(1, int(4e7) // (24 * length)))
    padded = np.zeros((batch, length))
    padded[:, :n_frames] = positions[:, :batch, 0].T

    def work():
        for _ in range(3 * n_atoms // batch):
            fft.rfft(padded, axis=1)
        for _ in range(3 * n_atoms % batch):
            fft.rfft(padded[0])
        return None, None

    return work


def pymatgen_fft(positions):
    from pymatgen.analysis.diffusion.analyzer import _msd_from_positions_fft

    series = np.ascontiguousarray(positions.transpose(1, 0, 2))

    def work():
        msd = _msd_from_positions_fft(series).sum(axis=2).mean(axis=0)
        return msd, straight_line(msd)[0]

    return work


def pymatgen(positions):
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Structure

    n_frames, n_atoms, _ = positions.shape
    structure = Structure(np.eye(3) * 50.0, ['Ni'] + ['H'] * n_atoms, np.zeros((n_atoms + 1, 3)))
    displacements = np.zeros((n_atoms + 1, n_frames, 3))
    displacements[1:] = positions.transpose(1, 0, 2) - positions[0][:, None]

    def work():
        # Lags up to a tenth of the run, as our window allows; the default goes on to 8/30 and more.
        analyzer = DiffusionAnalyzer(structure, displacements, 'H', 600.0, TIMESTEP_FS, 1, min_obs=10 * n_atoms)
        return None, analyzer.diffusivity * 1e4

    return work


def mdanalysis(positions):
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    universe = MDAnalysis.Universe.empty(positions.shape[1], trajectory=True)
    universe.load_new(positions, dt=TIMESTEP_FS / 1000.0)

    def work():
        msd = EinsteinMSD(universe, select='all', msd_type='xyz', fft=True).run().results.timeseries
        return msd, straight_line(msd)[0]

    return work


def tidynamics(positions):
    import tidynamics

    def work():
        msd = sum(tidynamics.msd(positions[:, atom]) for atom in range(positions.shape[1])) / positions.shape[1]
        return msd, straight_line(msd)[0]

    return work


def freud(positions):
    import freud

    def work():
        msd = freud.msd.MSD(mode='window').compute(positions).msd
        return msd, straight_line(msd)[0]

    return work


def kinisi(positions):
    import scipp as sc
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_msd

    n_frames = len(positions)
    moved = sc.array(dims=['obs', 'particle', 'dimension'], values=positions[1:] - positions[0], unit='angstrom')
    lags = np.append(np.unique(np.geomspace(200, n_frames // 10, 99).astype(int)), n_frames - 1)
    index = sc.array(dims=['time interval'], values=lags)
    times = index.to(dtype='float64') * sc.scalar(TIMESTEP_FS / 1000.0, unit='ps')
    parsed = types.SimpleNamespace(
        displacements=sc.DataArray(moved), dt_index=index, dt=times, dimensionality=sc.scalar(3.0, unit='dimensionless')
    )

    def work():
        fitted = Diffusion(calculate_msd(parsed, progress=False))
        fitted._diffusion(sc.scalar(WINDOW_PS[0], unit='ps'), progress=False)
        return None, float(sc.mean(sc.to_unit(fitted.D, 'angstrom^2/ps')).value)

    return work


def gemdat(positions):
    from gemdat import Trajectory
    from gemdat.metrics import TrajectoryMetricsStd

    edge = 1000.0
    run = Trajectory(
        species=['H'] * positions.shape[1],
        coords=positions / edge,
        lattice=np.eye(3) * edge,
        constant_lattice=True,
        time_step=TIMESTEP_FS * 1e-15,
        metadata={'temperature': 600.0},
    )

    def work():
        msd = run.mean_squared_displacement().mean(axis=0)
        spread = TrajectoryMetricsStd(run.split(10)).tracer_diffusivity(dimensions=3)
        return msd, spread.n * 1e8

    return work


METHODS = {
    'aiida-hdiff: MSD, D, error': own,
    'aiida-hdiff: MSD alone': own_msd,
    'floor: FFTs alone': floor,
    'pymatgen-a-d: FFT MSD, line': pymatgen_fft,
    'pymatgen-a-d: DiffusionAnalyzer, 200 lags': pymatgen,
    'freud: window MSD (single precision), line': freud,
    'tidynamics: MSD per atom, line': tidynamics,
    'MDAnalysis: EinsteinMSD fft, line': mdanalysis,
    'kinisi: 100 lags, D, error': kinisi,
    'GEMDAT: MSD, D in 10 parts': gemdat,
}


def memory_kb(field):
    """Return a field of /proc/self/status, which is not inherited from the parent as `ru_maxrss` is."""
    return int(Path('/proc/self/status').read_text().split(f'{field}:')[1].split()[0])


def measure(name, n_frames, n_atoms):
    warnings.simplefilter('ignore')
    prepare = METHODS[name]
    prepare(trajectory(20_000, 2))()  # imports and caches
    positions = trajectory(n_frames, n_atoms)
    work = prepare(positions)
    Path('/proc/self/clear_refs').write_text('5')  # the peak begins here
    before, seconds = memory_kb('VmRSS'), []
    while len(seconds) < 3 and sum(seconds) < 8.0:
        start = time.process_time()
        msd, diffusion = work()
        seconds.append(time.process_time() - start)
        if len(seconds) == 1:
            extra = (memory_kb('VmHWM') - before) * 1024 / 1e6
    error = None
    if msd is not None:
        direct = [np.mean(np.sum((positions[lag:] - positions[:-lag]) ** 2, axis=2)) for lag in LAGS]
        error = float(np.max(np.abs(np.asarray(msd)[list(LAGS)] / direct - 1.0)))
    print(json.dumps({'seconds': min(seconds), 'extra_MB': extra, 'error': error, 'D': diffusion}))


def run(name, size, python):
    command = [python, __file__, '--measure', name, '--sizes', size]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        return (finished.stderr.strip().splitlines() or ['killed'])[-1]
    return json.loads(finished.stdout.splitlines()[-1])


def table(size, pythons, methods, n_rounds):
    rows = {name: [] for name in methods}
    for _ in range(n_rounds):
        for name, row in rows.items():
            if not row or (not isinstance(row[0], str) and row[0]['seconds'] < SLOW_SECONDS):
                row.append(run(name, size, pythons.get(name.split(':')[0], sys.executable)))
    print(f'\n{size} (frames x atoms)')
    print(f'{"":42s} {"CPU s":>8s} {"ratio":>7s} {"MB":>7s} {"error":>8s} {"D":>7s}')
    reference = None
    for name, (first, *others) in rows.items():
        if isinstance(first, str):
            print(f'{name:42s} {first[:60]}', flush=True)
            continue
        seconds = statistics.median(row['seconds'] for row in (first, *others))
        reference = reference or seconds
        error = f'{first["error"]:8.0e}' if first['error'] is not None else f'{"-":>8s}'
        value = f'{first["D"]:7.3f}' if first['D'] is not None else f'{"-":>7s}'
        print(
            f'{name:42s} {seconds:8.3f} {seconds / reference:7.2f} {first["extra_MB"]:7.0f} {error} {value}', flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', nargs='+', default=SIZES)
    parser.add_argument('--gemdat', default=sys.executable, help='the Python in which GEMDAT is installed')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--all', action='store_true', help='print the tables of the other benchmarks as well')
    parser.add_argument('--measure', choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, *(int(number) for number in options.sizes[0].split('x')))
        return
    for size in options.sizes:
        table(size, {'GEMDAT': options.gemdat}, options.methods, options.rounds)
    for name in ('bench_rdf.py', 'bench_sites.py', 'bench_readers.py') if options.all else ():
        print(f'\n{name}', flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(name)], check=True)


if __name__ == '__main__':
    main()
