"""Claimed error of D against its real scatter, over repeats of six models with a known D, beside other tools.

For each model: bias and real scatter in % of D, the ratio of the mean claimed error to the scatter, and how many % of
the 1σ and 95 % intervals contain the truth. Run from the repository

    python tests/benchmarks/bench_accuracy.py --repeats 100 --walkers 8

All methods see the same trajectories: 1 ns, one frame per 100 fs. The last column is the scatter over that of this
package on the same trajectories, with its standard error from a bootstrap over them. Tools that are not installed are
left out, with a line that says so. With `--store DIR` estimates are kept there, and not computed again.
"""

import argparse
import sys
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import linregress

sys.path.insert(0, str(Path(__file__).parents[2]))
from aiida_hdiff.analysis import diffusion_coefficient, mean_squared_displacement
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S as UNIT
from tests.analysis.models import BENCHMARK_MODELS, benchmark_model

RUN_PS = 1000.0


def own(positions, timestep):
    """This package, with its interval."""
    result = diffusion_coefficient(positions, 1000.0 * timestep, jump_length_A=3.0)
    return result.value / UNIT, result.std_error / UNIT, *(bound / UNIT for bound in result.interval)


def own_whole_window(positions, timestep):
    """A line over 2-10 ps with the scatter over atoms as error: what most careful scripts do."""
    msd = mean_squared_displacement(positions, 1000.0 * timestep, max_lag=round(10.0 / timestep), per_atom=True)
    lags = msd.lag_times_ps >= 2.0 - 1e-9
    slopes = np.polyfit(msd.lag_times_ps[lags], msd.msd_per_atom[lags], 1)[0] / 6.0
    error = slopes.std(ddof=1) / np.sqrt(slopes.size) if slopes.size > 1 else np.nan
    width = stdtrit(max(slopes.size - 1, 1), 0.975) * error
    return slopes.mean(), error, slopes.mean() - width, slopes.mean() + width


def bullerjahn(positions, timestep, step_ps=2.0, n_lags=20):
    """Generalised least squares with the covariance of a Gaussian walk with noise.

    Bullerjahn, von Bülow and Hummer, J. Chem. Phys. 153, 024116 (2020): MSD(i) = a² + iσ² with the covariance matrix
    that follows from Isserlis' theorem, iterated from a²/σ² of a straight line.
    """
    x = positions[:: round(step_ps / timestep)]
    n_frames, n_atoms, _ = x.shape
    lags = np.arange(1, n_lags + 1)
    msd = np.array([np.mean((x[lag:] - x[:-lag]) ** 2) for lag in lags])
    design = np.column_stack([np.ones(n_lags), lags])
    offset, slope = np.linalg.lstsq(design, msd, rcond=None)[0]
    for _ in range(3):
        offset, slope = max(offset, 0.0), max(slope, 1e-12)
        covariance = _gaussian_covariance(n_lags, offset, slope, n_frames) / (3 * n_atoms)
        precision = np.linalg.inv(covariance)
        errors = np.linalg.inv(design.T @ precision @ design)
        offset, slope = errors @ design.T @ precision @ msd
    value, error = slope / (2.0 * step_ps), np.sqrt(errors[1, 1]) / (2.0 * step_ps)
    return value, error, *normal_interval(value, error)


@cache
def _covariance_parts(n_lags, n_frames):
    """Parts of the covariance that go with σ⁴, a²σ² and a⁴: displacements overlap, and share ends."""
    parts = np.empty((3, n_lags, n_lags))
    for i in range(1, n_lags + 1):
        for j in range(1, n_lags + 1):
            u = np.arange(-i, j + 1)  # start of the first displacement after that of the second
            overlap = np.clip(np.minimum(u + i, j) - np.maximum(u, 0), 0, None)
            ends = (u == 0).astype(float) + (u + i == j) - (u + i == 0) - (u == j)
            pairs = np.clip(np.minimum(n_frames - i, n_frames - j - u) - np.maximum(0, -u), 0, None)
            factors = np.array([overlap**2, overlap * ends, 0.25 * ends**2])
            parts[:, i - 1, j - 1] = 2.0 * factors @ pairs / ((n_frames - i) * (n_frames - j))
    return parts


def _gaussian_covariance(n_lags, offset, slope, n_frames):
    return np.tensordot([slope**2, slope * offset, offset**2], _covariance_parts(n_lags, n_frames), 1)


def mdanalysis(positions, timestep):
    """The recipe of the documentation: a line through part of the MSD (here 1-10 % of the run) with scipy's error.

    It gets a frame every 500 fs, as reading frames takes most of its time; the fit begins at 10 ps.
    """
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    thin = round(0.5 / timestep)
    positions, timestep = positions[::thin], thin * timestep
    universe = MDAnalysis.Universe.empty(positions.shape[1], trajectory=True)
    universe.load_new(positions.astype(np.float32), dt=timestep)
    msd = EinsteinMSD(universe, select='all', msd_type='xyz', fft=True).run().results.timeseries
    lags = np.arange(round(0.01 * len(msd)), round(0.1 * len(msd)))
    line = linregress(lags * timestep, msd[lags])
    value, error = line.slope / 6.0, line.stderr / 6.0
    return value, error, *normal_interval(value, error)


def pymatgen(positions, timestep):
    """pymatgen-analysis-diffusion as by default: smoothed='max', min_obs=30, lags from 1 ps."""
    from pymatgen.analysis.diffusion.analyzer import _msd_from_positions_fft, get_diffusivity_from_msd

    n_frames, n_atoms, _ = positions.shape
    last = min(n_atoms * n_frames // 30, n_frames)
    first = round(1.0 / timestep)
    lags = np.arange(first, last, max((last - first) // 200, 1))
    msd = _msd_from_positions_fft(positions.transpose(1, 0, 2)).sum(axis=2).mean(axis=0)[lags]
    value, error = get_diffusivity_from_msd(msd, lags * timestep * 1000.0, smoothed='max')
    return value * 1e-4 / UNIT, error * 1e-4 / UNIT, *normal_interval(value * 1e-4 / UNIT, error * 1e-4 / UNIT)


def kinisi(positions, timestep):
    """kinisi with its own displacements, regression and sampler, on a coarser grid to finish in half a second.

    Every 500 fs a frame, 99 lags of 2-100 ps and the last one, which it needs to count its samples; 16 chains of 500
    steps after 500 of burn-in, instead of 32 chains of 1000, which changes D by a tenth of its error.
    """
    import scipp
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_msd

    thin = round(0.5 / timestep)
    positions, timestep = positions[::thin], thin * timestep
    lags = np.linspace(2.0, 100.0, 99) / timestep
    lags = np.unique(np.append(lags.round(), len(positions) - 1)).astype(int)
    moved = (positions[1:] - positions[0]).transpose(1, 0, 2)
    parser = SimpleNamespace(
        displacements=scipp.array(dims=['particle', 'obs', 'dimension'], values=moved, unit='angstrom'),
        dt_index=scipp.array(dims=['time interval'], values=lags),
        dt=scipp.array(dims=['time interval'], values=lags * timestep, unit='ps'),
        dimensionality=scipp.scalar(3.0),
    )
    diffusion = Diffusion(calculate_msd(parser, progress=False))
    diffusion._diffusion(
        scipp.scalar(2.0, unit='ps'),
        progress=False,
        random_state=np.random.RandomState(1),
        n_walkers=16,
        n_samples=500,
        n_burn=500,
    )
    samples = diffusion.D.values * 1e-4 / UNIT
    return samples.mean(), samples.std(ddof=1), *np.percentile(samples, [2.5, 97.5])


METHODS = {
    'aiida-hdiff': own,
    'OLS 2-10 ps, SEM over atoms': own_whole_window,
    'Bullerjahn GLS, 2 ps': bullerjahn,
    'kinisi 2-100 ps': kinisi,
    'MDAnalysis + linregress': mdanalysis,
    'pymatgen-analysis-diffusion': pymatgen,
}
PACKAGES = {kinisi: 'kinisi', mdanalysis: 'MDAnalysis', pymatgen: 'pymatgen.analysis.diffusion'}


def normal_interval(value, error):
    return value + ndtri(0.025) * error, value + ndtri(0.975) * error


def installed(method):
    from importlib.util import find_spec

    try:
        return method not in PACKAGES or find_spec(PACKAGES[method]) is not None
    except ModuleNotFoundError:
        return False


def statistics(estimates, truth):
    """Return bias %, scatter %, claimed over real, and the coverages in % of (value, error, low, high) rows."""
    value, error, low, high = np.asarray(estimates).T
    scatter = value.std(ddof=1)
    return SimpleNamespace(
        bias=100.0 * (value.mean() / truth - 1.0),
        bias_in_scatter=(value.mean() - truth) / scatter,
        scatter=100.0 * scatter / truth,
        ratio=error.mean() / scatter,
        within=100.0 * np.mean(np.abs(value - truth) < error),
        covered=100.0 * np.mean((low < truth) & (truth < high)),
    )


def paired_ratio(values, reference, rng, n_bootstrap=1000):
    """Return the ratio of two scatters over the same trajectories, and its standard error."""
    values, reference = (np.asarray(one)[: min(len(values), len(reference))] for one in (values, reference))
    drawn = rng.integers(len(values), size=(n_bootstrap, len(values)))
    ratios = values[drawn].std(axis=1) / reference[drawn].std(axis=1)
    return values.std() / reference.std(), ratios.std()


def estimates(model, methods, options, walkers):
    """Return the rows (value, error, low, high, milliseconds) of each method over the same trajectories."""
    rows = {name: [] for name in methods}
    files = {}
    if options.store:
        options.store.mkdir(parents=True, exist_ok=True)
        run = f'{model}-{walkers}-{options.timestep_fs:g}fs-seed{options.seed}'
        files = {name: options.store / f'{run}-{method.__name__}.npy' for name, method in methods.items()}
        rows |= {name: list(np.load(file)[: options.repeats]) for name, file in files.items() if file.exists()}
    wanted = dict.fromkeys(methods, options.repeats)
    if options.kinisi_repeats is not None:
        wanted |= {name: min(options.kinisi_repeats, options.repeats) for name, m in methods.items() if m is kinisi}
    done = {name: len(kept) for name, kept in rows.items()}
    timestep = options.timestep_fs / 1000.0
    rng = np.random.default_rng([options.seed, walkers, list(BENCHMARK_MODELS).index(model)])
    for repeat in range(max(wanted[name] if done[name] < wanted[name] else 0 for name in methods)):
        positions = benchmark_model(model, rng, round(RUN_PS / timestep) + 1, walkers, timestep)
        for name, method in methods.items():
            if done[name] <= repeat < wanted[name]:
                start = time.process_time()
                row = method(positions, timestep)
                rows[name].append((*row, 1000.0 * (time.process_time() - start)))
    for name, file in files.items():
        np.save(file, rows[name])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=100)
    parser.add_argument('--kinisi-repeats', type=int, help='fewer than for the others, as it is slow')
    parser.add_argument('--models', nargs='+', choices=BENCHMARK_MODELS, default=list(BENCHMARK_MODELS))
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS))
    parser.add_argument('--walkers', nargs='+', type=int, default=[8])
    parser.add_argument('--timestep-fs', type=float, default=100.0)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--store', type=Path, help='folder in which estimates are kept')
    options = parser.parse_args()
    methods = {}
    for name in options.methods:
        if installed(METHODS[name]):
            methods[name] = METHODS[name]
        else:
            print(f'{name}: not installed, left out')
    for walkers in options.walkers:
        print(f'\n{walkers} walkers, 1 ns, {options.timestep_fs:g} fs, {options.repeats} repeats')
        print(f'{"model":11s} {"method":29s} {"runs":>5s} {"bias %":>7s} {"scatter %":>9s} {"claimed/real":>12s} '
              f'{"1σ %":>5s} {"95 %":>5s} {"ms":>7s} {"scatter/own":>13s}')  # fmt: skip
        for model in options.models:
            table = {name: np.array(rows) for name, rows in estimates(model, methods, options, walkers).items()}
            for name, rows in table.items():
                s = statistics(rows[:, :4], BENCHMARK_MODELS[model])
                paired = ''
                if 'aiida-hdiff' in table and name != 'aiida-hdiff':
                    ratio, error = paired_ratio(rows[:, 0], table['aiida-hdiff'][:, 0], np.random.default_rng(0))
                    paired = f'{ratio:6.3f} ±{error:5.3f}'
                print(f'{model:11s} {name:29s} {len(rows):5d} {s.bias:+7.2f} {s.scatter:9.2f} {s.ratio:12.3g} '
                      f'{s.within:5.0f} {s.covered:5.1f} {rows[:, 4].mean():7.1f} {paired:>13s}', flush=True)  # fmt: skip


if __name__ == '__main__':
    main()
