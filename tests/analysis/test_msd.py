import tracemalloc

import numpy as np
import pytest

from aiida_hdiff.analysis import _correlation, mean_squared_displacement
from aiida_hdiff.analysis import msd as msd_module
from aiida_hdiff.analysis._correlation import Autocorrelation

from .models import brownian, brute_force_msd, vibration


@pytest.mark.parametrize('n_frames', [1, 2, 37, 1000])
def test_equals_the_definition(rng, n_frames):
    positions = brownian(rng, n_frames, 5, 0.01, 1.5) + 40.0
    result = mean_squared_displacement(positions, 10.0, per_atom=True)
    expected = brute_force_msd(positions, range(n_frames))
    np.testing.assert_allclose(result.msd_per_axis, expected.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(result.msd, expected.mean(axis=1).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(result.msd_per_atom, expected.sum(axis=2), rtol=1e-9)
    np.testing.assert_allclose(result.lag_times_ps, 0.01 * np.arange(n_frames))


def test_long_run_equals_the_definition(rng):
    positions = brownian(rng, 100_000, 2, 0.005, 1.5)
    lags = [1, 2, 10, 1000, 50_000, 99_999]
    result = mean_squared_displacement(positions, 5.0)
    np.testing.assert_allclose(result.msd_per_axis[lags], brute_force_msd(positions, lags).mean(axis=1), rtol=1e-9)


def test_chunks_of_atoms_add_up(rng, monkeypatch):
    positions = brownian(rng, 200, 7, 0.01, 1.0)
    whole = mean_squared_displacement(positions, 10.0, per_atom=True)
    monkeypatch.setattr(msd_module, 'CHUNK_BYTES', 3 * 24 * 400)
    chunked = mean_squared_displacement(positions, 10.0, per_atom=True)
    np.testing.assert_allclose(chunked.msd_per_axis, whole.msd_per_axis, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(chunked.msd_per_atom, whole.msd_per_atom, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize('n_samples', [1, 2, 3, 15, 16, 17, 255, 1023, 4999])
@pytest.mark.parametrize('fraction', [0.0, 0.1, 0.5, 1.0])
def test_autocorrelation_equals_the_direct_sum(rng, n_samples, fraction):
    last = int(fraction * (n_samples - 1))
    transform = Autocorrelation(n_samples, last)
    series = np.zeros((3, transform.n_padded))
    series[:, :n_samples] = rng.normal(size=(3, n_samples))
    power = transform.no_power()
    transform.add_power(series[:1], power)
    transform.add_power(series[1:], power)
    direct = sum(np.correlate(one, one, 'full')[n_samples - 1 :] for one in series[:, :n_samples])
    np.testing.assert_allclose(transform.correlation(power), direct[: last + 1], rtol=0, atol=1e-13 * direct[0])


@pytest.mark.parametrize('sizes', [(64, 10**9, 1), (2048, 1, 10**9), (100, 3 * 16 * 9 * 700, 16 * 4 * 700)])
def test_autocorrelation_in_parts_is_the_same(rng, monkeypatch, sizes):
    def result():
        transform = Autocorrelation(5000, 4999)
        power = transform.no_power()
        transform.add_power(np.pad(series, ((0, 0), (0, transform.n_padded - 5000))), power)
        return transform.correlation(power)

    series = rng.normal(size=(7, 5000))
    whole = result()
    for name, size in zip(('BLOCK', 'CACHED_BYTES', 'SCRATCH_BYTES'), sizes, strict=True):
        monkeypatch.setattr(_correlation, name, size)
    np.testing.assert_allclose(result(), whole, rtol=0, atol=1e-13 * whole[0])


@pytest.mark.parametrize('dtype', [np.float64, np.float32])
def test_the_layout_of_the_input_does_not_matter_and_it_is_left_as_it_is(rng, dtype):
    positions = brownian(rng, 3000, 4, 0.01, 1.0).astype(dtype)
    before = positions.copy()
    expected = mean_squared_displacement(positions, 10.0, per_atom=True)
    np.testing.assert_array_equal(positions, before)
    for other in (np.asfortranarray(positions), np.repeat(positions, 2, axis=1)[:, ::2]):
        result = mean_squared_displacement(other, 10.0, per_atom=True)
        np.testing.assert_allclose(result.msd_per_axis, expected.msd_per_axis, rtol=1e-12)
        np.testing.assert_allclose(result.msd_per_atom, expected.msd_per_atom, rtol=1e-12)
    positions.flags.writeable = False
    np.testing.assert_array_equal(mean_squared_displacement(positions, 10.0).msd, expected.msd)


def test_far_from_the_origin(rng):
    positions = brownian(rng, 20_000, 3, 0.005, 1.0)
    lags = [1, 3, 100, 19_999]
    result = mean_squared_displacement(positions + 1e4, 5.0)
    np.testing.assert_allclose(
        result.msd_per_axis[lags], brute_force_msd(positions + 1e4, lags).mean(axis=1), rtol=1e-9
    )


def test_memory_beyond_the_input(rng):
    positions = brownian(rng, 100_000, 8, 0.01, 1.0)
    tracemalloc.start()
    mean_squared_displacement(positions, 10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e7


def test_max_lag_and_single_precision(rng):
    positions = brownian(rng, 500, 3, 0.01, 1.0).astype(np.float32)
    result = mean_squared_displacement(positions, 10.0, max_lag=20)
    full = mean_squared_displacement(positions, 10.0)
    assert result.msd.shape == (21,)
    assert result.msd_per_atom is None
    np.testing.assert_allclose(result.msd, full.msd[:21], rtol=1e-9)


def test_constant_velocity_is_ballistic():
    velocity = np.array([0.3, -0.1, 0.2])
    times = 0.02 * np.arange(300)
    positions = (times[:, None] * velocity)[:, None, :] + np.zeros((1, 4, 1))
    result = mean_squared_displacement(positions, 20.0)
    np.testing.assert_allclose(result.msd, velocity @ velocity * times**2, rtol=1e-9)
    np.testing.assert_allclose(result.msd_per_axis, velocity**2 * times[:, None] ** 2, rtol=1e-9)


def test_harmonic_oscillator_has_the_plateau_of_its_amplitude(rng):
    positions = vibration(rng, 20_000, 4, 0.05, amplitude=0.3, relaxation=0.1)
    result = mean_squared_displacement(positions, 50.0, max_lag=100)
    expected = 6 * 0.3**2 * (1 - np.exp(-result.lag_times_ps / 0.1))
    np.testing.assert_allclose(result.msd, expected, rtol=0.03, atol=1e-12)


@pytest.mark.parametrize(
    ('positions', 'timestep', 'max_lag', 'message'),
    [
        (np.zeros((5, 3)), 1.0, None, r'positions must have shape \(n_frames, n_atoms, 3\), not \(5, 3\)'),
        (np.zeros((5, 0, 3)), 1.0, None, 'positions is empty'),
        (np.full((5, 2, 3), np.nan), 1.0, None, 'positions contains values that are not finite: frame 0, atom 0'),
        (np.zeros((5, 2, 3)), 0.0, None, 'timestep_fs must be positive, not 0.0'),
        (np.zeros((5, 2, 3)), 1.0, 5, 'max_lag must lie within 0 and n_frames - 1 = 4, not 5'),
        (np.zeros((5, 2, 3)), 1.0, -1, 'max_lag must lie within 0 and n_frames - 1 = 4, not -1'),
    ],
)
def test_refuses(positions, timestep, max_lag, message):
    with pytest.raises(ValueError, match=message):
        mean_squared_displacement(positions, timestep, max_lag=max_lag)
