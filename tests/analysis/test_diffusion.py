import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_coefficient
from aiida_hdiff.analysis.einstein import LagWindow, einstein_slopes

from .models import (
    CUBIC,
    FCC,
    brownian,
    brute_force_msd,
    fractional_brownian,
    lattice_walk,
    on_off,
    vibration,
)

DT = 0.1
N_FRAMES = 10_001
N_ATOMS = 8
M2_S = 1e-8


def run(positions, **options):
    return diffusion_coefficient(positions, DT * 1000.0, **options)


def test_slopes_equal_their_definition(rng):
    positions = brownian(rng, 300, 3, DT, 1.0) + 10.0
    windows = [LagWindow(4, 20), LagWindow(8, 40)]
    for window, slopes in zip(windows, einstein_slopes(positions, DT, windows), strict=True):
        lags = np.arange(window.first, window.last + 1)
        for origin in (0, 57, 299 - window.last):
            squares = (positions[origin + lags] - positions[origin]) ** 2
            expected = np.polyfit(lags * DT, squares.mean(axis=1), 1)[0] / 2
            np.testing.assert_allclose(slopes[:, origin], expected, rtol=1e-9)
        assert slopes.shape == (3, 300 - window.last)


def test_agrees_with_a_line_through_the_brute_force_msd(rng):
    positions = brownian(rng, 5001, N_ATOMS, DT, 1.5)
    lags = np.arange(20, 101)
    slope = np.polyfit(lags * DT, brute_force_msd(positions, lags).mean(axis=1).sum(axis=1), 1)[0]
    result = run(positions)
    assert result.value == pytest.approx(slope / 6 * M2_S, rel=0.01)
    assert abs(result.value - slope / 6 * M2_S) < 0.5 * result.std_error
    assert result.window_ps == pytest.approx((2.0, 10.0))


@pytest.mark.parametrize(
    ('jumps', 'rate', 'expected'),
    [(3.0 * CUBIC, 1.0, 1.0 * 3.0**2 / 6), (4.0 * FCC, 0.7, 0.7 * 4.0**2 / 12)],
    ids=['simple cubic', 'fcc octahedral'],
)
def test_lattice_walk(rng, jumps, rate, expected):
    positions = lattice_walk(rng, 4 * N_FRAMES, N_ATOMS, DT, rate, jumps)
    result = run(positions + vibration(rng, 4 * N_FRAMES, N_ATOMS, DT))
    assert result.status == 'resolved'
    assert result.reason == ''
    assert abs(result.value - expected * M2_S) < 3 * result.std_error
    assert result.std_error < 0.03 * result.value
    assert result.interval[0] < result.value < result.interval[1] < 1.1 * result.upper_bound
    np.testing.assert_array_less(np.abs(result.per_axis - expected * M2_S), 3.5 * np.asarray(result.per_axis_std_error))
    assert result.per_axis.mean() == pytest.approx(result.value, rel=1e-12)


def test_number_of_hops(rng):
    positions = lattice_walk(rng, N_FRAMES, N_ATOMS, DT, 0.1, 3.0 * CUBIC)
    steps = np.count_nonzero(np.abs(np.diff(positions, axis=0)).sum(axis=2))
    result = run(positions + vibration(rng, N_FRAMES, N_ATOMS, DT), jump_length_A=3.0)
    assert result.n_hops == pytest.approx(steps, rel=0.15)


def test_two_rates_give_a_tensor(rng):
    a, c, rate = 3.2, 2.6, 0.8
    angles = np.arange(6) * np.pi / 3
    basal = np.stack([a * np.cos(angles), a * np.sin(angles), np.zeros(6)], axis=1)
    jumps = np.concatenate([basal, [[0, 0, c], [0, 0, -c]]])
    probabilities = np.array([0.1] * 6 + [0.2] * 2)
    result = run(lattice_walk(rng, 4 * N_FRAMES, N_ATOMS, DT, rate, jumps, probabilities))
    expected = np.array([0.6 * a**2 / 4, 0.6 * a**2 / 4, 0.4 * c**2 / 2]) * rate * M2_S
    np.testing.assert_array_less(np.abs(result.per_axis - expected), 3 * result.per_axis_std_error)
    assert result.value == pytest.approx(expected.mean(), rel=0.05)


def test_langevin_particle_has_the_d_of_einstein(rng):
    variance, friction = 2.0, 5.0
    velocities = vibration(rng, 4 * N_FRAMES, N_ATOMS, DT, np.sqrt(variance), 1 / friction)
    decay = np.exp(-friction * DT)
    positions = np.cumsum(velocities, axis=0) * DT
    discrete = variance * DT / 2 * (1 + decay) / (1 - decay)
    assert discrete == pytest.approx(variance / friction, rel=0.03)
    result = run(positions)
    assert abs(result.value - discrete * M2_S) < 3 * result.std_error


def brownian_model(rng):
    return brownian(rng, N_FRAMES, N_ATOMS, DT, 1.5), 1.5


def hopping_model(rng):
    walk = lattice_walk(rng, N_FRAMES, N_ATOMS, DT, 1.0, 3.0 * CUBIC)
    return walk + vibration(rng, N_FRAMES, N_ATOMS, DT), 1.5


def rare_model(rng):
    walk = lattice_walk(rng, N_FRAMES, N_ATOMS, DT, 0.03, 3.0 * CUBIC)
    return walk + vibration(rng, N_FRAMES, N_ATOMS, DT), 0.045


def common_model(rng):
    walk = lattice_walk(rng, N_FRAMES, N_ATOMS, DT, on_off(rng, N_FRAMES, 1, DT, 25.0), 3.0 * CUBIC)
    return walk + vibration(rng, N_FRAMES, N_ATOMS, DT), 0.75


def short_model(rng):
    return brownian(rng, 1001, N_ATOMS, DT, 1.5), 1.5


@pytest.mark.parametrize(
    'model', [brownian_model, hopping_model, rare_model, common_model, short_model], ids=lambda f: f.__name__
)
def test_error_is_calibrated(model):
    rng = np.random.default_rng(5)
    results, truths = zip(*[(run(x, jump_length_A=3.0), d) for x, d in (model(rng) for _ in range(250))], strict=True)
    truth = truths[0] * M2_S
    values = np.array([result.value for result in results])
    errors = np.array([result.std_error for result in results])
    within = np.mean(np.abs(values - truth) < errors)
    covered = np.mean([result.interval[0] < truth < result.interval[1] for result in results])
    bounded = np.mean([result.upper_bound > truth for result in results])
    refused = np.mean([result.status != 'resolved' for result in results])
    ratio = errors.mean() / values.std()
    print(f'{model.__name__}: {within=:.3f} {covered=:.3f} {bounded=:.3f} {refused=:.3f} {ratio=:.2f}')
    assert abs(within - 0.68) <= 0.08
    assert covered >= 0.92
    assert bounded >= 0.88
    assert refused < 0.02
    assert 0.85 < ratio < 1.25
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))


def test_caged_atoms_are_refused(rng):
    result = run(vibration(rng, N_FRAMES, N_ATOMS, DT))
    assert result.status == 'not_resolved'
    assert 'hops, fewer than 10' in result.reason
    a, time = 2.5, (N_FRAMES - 1) * DT
    assert result.upper_bound == pytest.approx(3.0 * a**2 / (6 * N_ATOMS * time) * M2_S, rel=0.3)


@pytest.mark.parametrize('relaxation', [3.0, 5.0, 10.0])
def test_slowly_rattling_atoms_are_refused(rng, relaxation):
    for _ in range(10):
        result = run(vibration(rng, N_FRAMES, N_ATOMS, DT, amplitude=1.0, relaxation=relaxation))
        assert result.status == 'not_resolved'
        assert result.n_hops > 10
        assert 'sub-diffusive' in result.reason


def test_sub_diffusion_is_refused(rng):
    for _ in range(10):
        result = run(fractional_brownian(rng, N_FRAMES, N_ATOMS, hurst=0.25, scale=0.5))
        assert result.status == 'not_resolved'
        assert 'sub-diffusive: the slope changes by -' in result.reason


def test_uniform_motion_is_refused(rng):
    drift = np.arange(N_FRAMES)[:, None, None] * DT * np.array([1.0, 0.5, 0.0])
    result = run(drift + brownian(rng, N_FRAMES, N_ATOMS, DT, 0.01))
    assert result.status == 'not_resolved'
    assert 'super-diffusive' in result.reason


def test_few_hops_are_refused_with_an_upper_bound_above_the_truth(rng):
    rate = 4 / (N_ATOMS * (N_FRAMES - 1) * DT)
    truth = rate * 3.0**2 / 6 * M2_S
    bounded = 0
    for _ in range(100):
        walk = lattice_walk(rng, N_FRAMES, N_ATOMS, DT, rate, 3.0 * CUBIC)
        result = run(walk + vibration(rng, N_FRAMES, N_ATOMS, DT), jump_length_A=3.0)
        assert result.status == 'not_resolved' or result.n_hops >= 10
        bounded += result.upper_bound > truth
    assert bounded >= 90


def test_five_hops_are_refused(rng):
    positions = vibration(rng, N_FRAMES, N_ATOMS, DT)
    for hop in range(5):
        positions[1500 + 1500 * hop :, hop, 0] += 3.0
    result = run(positions, jump_length_A=3.0)
    assert result.status == 'not_resolved'
    assert result.n_hops == pytest.approx(5, abs=0.5)
    assert result.upper_bound > 5 * 3.0**2 / (6 * N_ATOMS * (N_FRAMES - 1) * DT) * M2_S


def test_noisy_few_blocks_include_zero():
    positions = np.zeros((1001, 1, 3))
    positions[500:, 0, 0] = 20.0
    result = diffusion_coefficient(positions, DT * 1000.0)
    assert result.status == 'not_resolved'
    assert 'the 95 % interval includes zero' in result.reason


def test_host_drift_is_removed(rng):
    atoms = brownian(rng, N_FRAMES, N_ATOMS, DT, 1.0)
    host = vibration(rng, N_FRAMES, 30, DT, amplitude=0.1)
    drift = np.cumsum(rng.normal(size=(N_FRAMES, 1, 3)), axis=0)
    plain = run(atoms)
    result = run(atoms + drift, host_positions=host + drift)
    assert result.host_drift_removed
    assert not plain.host_drift_removed
    assert result.value == pytest.approx(plain.value, rel=0.01)
    assert run(atoms + drift).value > 2 * plain.value


def test_time_and_length_units(rng):
    positions = brownian(rng, N_FRAMES, N_ATOMS, DT, 1.5)
    slow = diffusion_coefficient(positions, 1000.0, window_ps=(20.0, 100.0))
    assert slow.value == pytest.approx(run(positions).value / 10, rel=1e-9)
    assert run(2 * positions).value == pytest.approx(4 * run(positions).value, rel=1e-9)


@pytest.mark.parametrize(
    ('n_frames', 'options', 'message'),
    [
        (500, {}, 'window ends at 10 ps, but the run is only 50 ps long: extend the run to at least 100 ps'),
        (500, {}, 'or end the window at 5 ps or earlier'),
        (1001, {'window_ps': (5.0, 2.0)}, r'window_ps must be increasing and positive, not \(5.0, 2.0\)'),
        (1001, {'window_ps': (0.0, 2.0)}, 'window_ps must be increasing and positive'),
        (
            1001,
            {'window_ps': (2.01, 2.09)},
            r'fewer than two lags at 0.1 ps between frames: store frames more often',
        ),
        (1001, {'jump_length_A': 0.0}, 'jump_length_A must be positive, not 0.0'),
        (1001, {'host_positions': np.zeros((7, 2, 3))}, 'positions have 1001 frames, host_positions 7'),
        (1001, {'host_positions': np.zeros((7, 2))}, 'host_positions must have shape'),
    ],
)
def test_refuses(n_frames, options, message):
    with pytest.raises(ValueError, match=message):
        run(np.zeros((n_frames, 2, 3)), **options)


def test_shortest_run_that_the_window_allows(rng):
    result = run(brownian(rng, 1000, 8, DT, 1.0))
    assert result.status == 'resolved'
    assert result.n_blocks == 9
