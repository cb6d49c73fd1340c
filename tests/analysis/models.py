"""Model trajectories with a known diffusion coefficient; lengths in Å, times in ps, rates in 1/ps."""

import numpy as np

CUBIC = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)
"""Jumps on the simple cubic lattice in units of its constant."""

FCC = np.array([v for v in np.ndindex(3, 3, 3) if sum(abs(x - 1) for x in v) == 2], dtype=float) / 2 - 0.5
"""Jumps between octahedral sites of fcc in units of the lattice constant: twelve of length 1/√2."""


def brownian(rng, n_frames, n_atoms, timestep, diffusion):
    """Free Brownian motion."""
    steps = rng.normal(scale=np.sqrt(2 * diffusion * timestep), size=(n_frames, n_atoms, 3))
    return np.cumsum(steps, axis=0)


def lattice_walk(rng, n_frames, n_atoms, timestep, rate, jumps, probabilities=None):
    """Continuous-time random walk; rate is the total rate, a number or an array (n_frames, n_atoms)."""
    counts = rng.poisson(np.broadcast_to(rate * timestep, (n_frames, n_atoms)))
    frames, atoms = (np.repeat(index, counts[counts > 0]) for index in np.nonzero(counts))
    steps = np.zeros((n_frames, n_atoms, 3))
    np.add.at(steps, (frames, atoms), jumps[rng.choice(len(jumps), size=frames.size, p=probabilities)])
    return np.cumsum(steps, axis=0)


def vibration(rng, n_frames, n_atoms, timestep, amplitude=0.25, relaxation=0.1):
    """Ornstein-Uhlenbeck process: an overdamped harmonic oscillator of that amplitude and relaxation time."""
    from scipy.signal import lfilter

    memory = np.exp(-timestep / relaxation)
    noise = rng.normal(size=(n_frames, n_atoms, 3)) * amplitude
    noise[1:] *= np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], noise, axis=0)


def on_off(rng, n_frames, n_atoms, timestep, mean_time):
    """Telegraph process of zeros and ones."""
    switches = rng.random((n_frames, n_atoms)) < timestep / mean_time
    return (np.cumsum(switches, axis=0) + rng.integers(0, 2, n_atoms)) % 2


def fractional_brownian(rng, n_frames, n_atoms, hurst, scale):
    """Fractional Brownian motion, MSD ∝ t^(2 hurst), by circulant embedding."""
    k = np.arange(n_frames)
    covariance = 0.5 * ((k + 1.0) ** (2 * hurst) - 2 * k ** (2.0 * hurst) + np.abs(k - 1.0) ** (2 * hurst))
    power = np.maximum(np.fft.rfft(np.concatenate([covariance, covariance[-2:0:-1]])).real, 0.0)
    white = np.fft.rfft(rng.normal(size=(n_atoms, 3, 2 * n_frames - 2)), axis=-1)
    noise = np.fft.irfft(white * np.sqrt(power), axis=-1)[..., :n_frames]
    return scale * np.cumsum(noise, axis=-1).transpose(2, 0, 1)


def brute_force_msd(positions, lags):
    """The definition, shape (n_lags, n_atoms, 3)."""
    return np.array([((positions[lag:] - positions[: len(positions) - lag]) ** 2).mean(axis=0) for lag in lags])


def back_jump_walk(rng, n_frames, n_atoms, timestep, rate, jumps, back):
    """Walk whose jumps reverse the previous one with probability `back`, else are random; f = (1 - back)/(1 + back)."""
    counts = rng.poisson(rate * timestep, size=(n_atoms, n_frames))
    atoms, frames = (np.repeat(index, counts[counts > 0]) for index in np.nonzero(counts))
    fresh = rng.random(atoms.size) >= back
    fresh[np.flatnonzero(np.diff(atoms, prepend=-1))] = True
    last_fresh = np.maximum.accumulate(np.where(fresh, np.arange(atoms.size), 0))
    signs = 1.0 - 2.0 * ((np.arange(atoms.size) - last_fresh) % 2)
    steps = np.zeros((n_frames, n_atoms, 3))
    np.add.at(steps, (frames, atoms), signs[:, None] * jumps[rng.integers(len(jumps), size=atoms.size)[last_fresh]])
    return np.cumsum(steps, axis=0)


BENCHMARK_MODELS = {
    'brownian': 1.5,
    'fast': 1.5,
    'slow': 0.045,
    'back-jumps': 1.5 * 0.6 / 1.4,
    'trapping': 0.75,
    'shared': 0.75,
}
"""The models on which errors are calibrated, with their D in Å²/ps."""


def benchmark_model(name, rng, n_frames, n_atoms, timestep):
    """Positions of a benchmark model: jumps of 3 Å at 1/ps (slow: 0.03/ps) under vibrations of 0.25 Å.

    `trapping` switches each atom, and `shared` all of them together, on and off, with a mean time of 25 ps in each
    state; `back-jumps` reverses 40 % of the jumps, which gives the correlation factor 0.43.
    """
    shape = rng, n_frames, n_atoms, timestep
    if name == 'brownian':
        return brownian(*shape, BENCHMARK_MODELS[name])
    if name == 'back-jumps':
        walk = back_jump_walk(*shape, 1.0, 3.0 * CUBIC, 0.4)
    else:
        rate = {
            'fast': lambda: 1.0,
            'slow': lambda: 0.03,
            'trapping': lambda: on_off(*shape, 25.0),
            'shared': lambda: on_off(rng, n_frames, 1, timestep, 25.0),
        }[name]()
        walk = lattice_walk(*shape, rate, 3.0 * CUBIC)
    return walk + vibration(*shape)
