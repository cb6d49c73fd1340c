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
