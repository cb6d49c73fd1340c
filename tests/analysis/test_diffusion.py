import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_coefficient, einstein
from aiida_hdiff.analysis.einstein import LagWindow, einstein_series

from .models import (
    CUBIC,
    FCC,
    back_jump_walk,
    brownian,
    brute_force_msd,
    fractional_brownian,
    lattice_walk,
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
    windows = [LagWindow(4, 20), LagWindow(8, 40), LagWindow(1, 2)]
    for window, series in einstein_series(positions, DT, windows).items():
        slopes = series.slopes
        lags = np.arange(window.first, window.last + 1)
        for origin in (0, 57, 299 - window.last):
            squares = (positions[origin + lags] - positions[origin]) ** 2
            expected = np.polyfit(lags * DT, squares.mean(axis=1), 1)[0] / 2
            np.testing.assert_allclose(slopes[:, origin], expected, rtol=1e-9, atol=1e-9)
        assert slopes.shape == (3, 300 - window.last)
        assert series.window == window


@pytest.mark.parametrize('sizes', [(64, 2**22), (4096, 24 * 5), (64, 24 * 300)], ids=['time', 'atoms', 'both'])
def test_chunks_add_up(rng, monkeypatch, sizes):
    positions = brownian(rng, 700, 5, DT, 1.0)
    windows = [LagWindow(4, 20), LagWindow(8, 40)]
    whole = einstein_series(positions, DT, windows)
    monkeypatch.setattr(einstein, 'MIN_CHUNK_FRAMES', sizes[0])
    monkeypatch.setattr(einstein, 'CHUNK_BYTES', sizes[1])
    for window, series in einstein_series(positions, DT, windows).items():
        np.testing.assert_allclose(series.slopes, whole[window].slopes, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(series.per_atom, whole[window].per_atom, rtol=1e-9)
        alone = [einstein_series(positions[:, [i]], DT, [window])[window].pooled.mean() for i in range(5)]
        np.testing.assert_allclose(series.per_atom, alone, rtol=1e-9)


def test_agrees_with_a_line_through_the_brute_force_msd(rng):
    positions = brownian(rng, 5001, N_ATOMS, DT, 1.5)
    lags = np.arange(20, 31)
    slope = np.polyfit(lags * DT, brute_force_msd(positions, lags).mean(axis=1).sum(axis=1), 1)[0]
    result = run(positions)
    assert result.value == pytest.approx(slope / 6 * M2_S, rel=0.01)
    assert abs(result.value - slope / 6 * M2_S) < 0.5 * result.std_error
    assert result.window_ps == pytest.approx((2.0, 3.0))


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
    for _ in range(50):
        walk = lattice_walk(rng, N_FRAMES, N_ATOMS, DT, rate, 3.0 * CUBIC)
        result = run(walk + vibration(rng, N_FRAMES, N_ATOMS, DT), jump_length_A=3.0)
        assert result.status == 'not_resolved' or result.n_hops >= 10
        bounded += result.upper_bound > truth
    assert bounded >= 43


def test_five_hops_are_refused(rng):
    positions = vibration(rng, N_FRAMES, N_ATOMS, DT)
    for hop in range(5):
        positions[1500 + 1500 * hop :, hop, 0] += 3.0
    result = run(positions, jump_length_A=3.0)
    assert result.status == 'not_resolved'
    assert result.n_hops == pytest.approx(5, abs=1.5)
    assert result.upper_bound > 5 * 3.0**2 / (6 * N_ATOMS * (N_FRAMES - 1) * DT) * M2_S


def test_noisy_few_blocks_include_zero():
    positions = np.zeros((1001, 1, 3))
    positions[:, 0, 0] = np.clip(np.arange(1001) - 500, 0, 10) * 2.0
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
        (1001, {'host_positions': np.zeros((1001, 0, 3))}, 'host_positions is empty: 1001 frames of 0 atoms'),
        (1, {}, 'positions have one frame: a displacement needs two'),
        (1001, {'cell': np.zeros((3, 3))}, 'cells must have a finite, non-zero volume, but frame 0'),
    ],
)
def test_refuses(n_frames, options, message):
    with pytest.raises(ValueError, match=message):
        run(np.zeros((n_frames, 2, 3)), **options)


def test_shortest_run_that_the_window_allows(rng):
    result = run(brownian(rng, 1000, 8, DT, 1.0))
    assert result.status == 'resolved'
    assert (result.n_blocks, result.degrees_of_freedom) == (12, 11)
    assert run(brownian(rng, 1000, 8, DT, 1.0), window_ps=(5.0, 10.0)).n_blocks == 9


@pytest.mark.parametrize(
    ('back', 'rate', 'window'),
    [(0.0, 1.0, (2.0, 3.0)), (0.0, 0.02, (2.0, 4.0)), (0.4, 1.0, (3.4, 6.8)), (0.4, 0.4, (6.0, 10.0))],
    ids=['fast', 'vibrations', 'back-jumps', 'slow back-jumps'],
)
def test_the_motion_decides_which_lags_are_fitted(rng, back, rate, window):
    walk = back_jump_walk(rng, 2 * N_FRAMES, 16, DT, rate, 3.0 * CUBIC, back)
    result = run(walk + vibration(rng, 2 * N_FRAMES, 16, DT))
    assert result.window_ps == pytest.approx(window)
    assert abs(result.value - 1.5 * rate * (1 - back) / (1 + back) * M2_S) < 3 * result.std_error


def test_a_window_of_one_octave_is_used_as_it_is(rng):
    positions = brownian(rng, N_FRAMES, N_ATOMS, DT, 1.0)
    assert run(positions, window_ps=(3.0, 6.0)).window_ps == pytest.approx((3.0, 6.0))
    assert run(positions, window_ps=(0.2, 5.0)).window_ps == pytest.approx((0.2, 5.0))


def test_a_single_atom(rng):
    result = run(brownian(rng, N_FRAMES, 1, DT, 1.0))
    assert result.status == 'resolved'
    assert abs(result.value - M2_S) < 3 * result.std_error
    assert result.per_atom == pytest.approx([result.value])
    assert np.isnan(result.walker_std_error)
    assert np.isnan(result.walker_disagreement)
    assert result.warnings == ()


def test_not_finite_names_frame_and_atom(rng):
    positions = brownian(rng, 1001, 3, DT, 1.0)
    for bad in (np.nan, np.inf):
        positions[77, 2, 1] = bad
        with pytest.raises(ValueError, match='positions contains values that are not finite: frame 77, atom 2'):
            run(positions)
    host = np.zeros((1001, 2, 3))
    host[5, 1] = np.nan
    with pytest.raises(ValueError, match='host_positions contains values that are not finite: frame 5, atom 1'):
        run(brownian(rng, 1001, 3, DT, 1.0), host_positions=host)


def test_wrapped_positions_are_refused(rng):
    cell = 11.0 * np.eye(3)
    walk = lattice_walk(rng, N_FRAMES, 4, DT, 0.5, 2.8 * CUBIC) + 0.1 * rng.normal(size=(N_FRAMES, 4, 3))
    for known in (cell, None):
        assert run(walk, cell=known).status == 'resolved'
        with pytest.raises(ValueError, match=r'positions are wrapped: atom \d jumps by \d.* at frame \d+: unwrap them'):
            run(walk % 11.0, cell=known)


def rare_walk(rng, hops, n_frames=5001, timestep=0.2):
    rate = hops / (N_ATOMS * (n_frames - 1) * timestep)
    walk = lattice_walk(rng, n_frames, N_ATOMS, timestep, rate, 3.0 * CUBIC)
    return walk + vibration(rng, n_frames, N_ATOMS, timestep), rate * 3.0**2 / 6 * M2_S


@pytest.mark.parametrize('hops', [12, 30])
def test_the_interval_of_few_hops_is_on_ln_d_and_covers(hops):
    rng = np.random.default_rng(11)
    n = 60
    covered, lower, upper = 0, 0, 0
    for _ in range(n):
        positions, truth = rare_walk(rng, hops)
        result = diffusion_coefficient(positions, 200.0, jump_length_A=3.0)
        kind = 'none' if result.n_hops < 5 else 'log' if result.n_hops < 50 else 'normal'
        assert result.interval_kind == kind
        low, high = result.interval
        if kind == 'none':
            assert np.isnan([low, high]).all()
            covered += 1
            continue
        if kind == 'log':
            assert low > 0.0
            assert np.sqrt(low * high) == pytest.approx(result.value, rel=1e-9)
        assert (result.status == 'not_resolved') == (result.n_hops < 10)
        covered += low < truth < high
        lower, upper = lower + (truth < low), upper + (truth > high)
    # a binomial with n = 60 and p = 0.95 is below 0.86 in one of 500 cases
    assert covered / n >= 0.86, (covered, lower, upper)


def test_averaging_dense_frames_leaves_d_as_it_is():
    """Frames at 5 and at 50 fs of one path give the same D; a run of just ten windows is not refused for it."""
    rng = np.random.default_rng(3)
    steps = rng.normal(0.0, 0.05, (40_003, 6, 3))
    path = np.cumsum(steps, axis=0) + rng.normal(0.0, 0.2, steps.shape)
    dense = diffusion_coefficient(path, 5.0)
    thin = diffusion_coefficient(path[::10], 50.0)
    assert dense.window_ps == pytest.approx(thin.window_ps)
    assert dense.value == pytest.approx(thin.value, abs=0.5 * thin.std_error)
    assert dense.std_error == pytest.approx(thin.std_error, rel=0.3)
    assert dense.n_hops == pytest.approx(6 * 6 * dense.value * 1e8 * 40_002 * 0.005 / 2.5**2)
    assert diffusion_coefficient(path[:14_286], 7.0).n_blocks > 5
    assert diffusion_coefficient(path, 5.0, window_ps=(2.0, 2.02)).window_ps == pytest.approx((2.0, 2.02))
