import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_by_window, diffusion_coefficient
from aiida_hdiff.analysis.einstein import LagWindow
from aiida_hdiff.analysis.window import StartTest

from .models import CUBIC, back_jump_walk, brownian, vibration

DT = 0.1


def test_windows_of_the_start_test():
    test = StartTest.of(LagWindow(20, 100))
    expected = (8, 12), (20, 30), (20, 40), (34, 68), (60, 100)
    assert test.windows == tuple(LagWindow(*lags) for lags in expected)


@pytest.mark.parametrize('window', [LagWindow(20, 40), LagWindow(20, 31), LagWindow(1, 100), LagWindow(3, 100)])
def test_no_start_test_without_enough_lags(window):
    assert StartTest.of(window) is None


def test_d_does_not_depend_on_the_window_of_brownian_motion(rng):
    positions = brownian(rng, 10_001, 8, DT, 1.5)
    scan = diffusion_by_window(positions, 1000 * DT)
    assert scan.end_ps[-1] == pytest.approx(100.0)
    np.testing.assert_allclose(scan.end_ps, 2 * scan.start_ps)
    assert np.all(np.diff(scan.start_ps) > 0)
    np.testing.assert_array_less(np.abs(scan.value - 1.5e-8), 3.5 * scan.std_error)
    assert scan.std_error[-1] > 3 * scan.std_error[2]


def test_d_by_window_falls_where_jumps_are_correlated(rng):
    """D(τ) = D_0 [f + (1 - f) exp(-1.4 Γ τ)] for back-jumps of 40 %, with f = 0.6/1.4."""
    walk = back_jump_walk(rng, 40_001, 8, DT, 1.0, 3.0 * CUBIC, 0.4)
    scan = diffusion_by_window(
        walk + vibration(rng, *walk.shape[:2], DT), 1000 * DT, windows_ps=[(0.5, 0.7), (1.0, 1.2), (4.0, 8.0)]
    )
    f = 0.6 / 1.4
    middle = np.array([0.6, 1.1, 6.0])
    expected = 1.5e-8 * (f + (1 - f) * np.exp(-1.4 * middle))
    np.testing.assert_array_less(np.abs(scan.value - expected), 4 * scan.std_error + 0.01 * expected)
    assert scan.value[0] > 1.3 * scan.value[2]


def test_given_windows_and_host(rng):
    positions = brownian(rng, 4001, 4, DT, 1.0)
    drift = np.linspace(0.0, 30.0, 4001)[:, None, None]
    scan = diffusion_by_window(
        positions + drift, 1000 * DT, host_positions=np.zeros((4001, 2, 3)) + drift, windows_ps=[(2, 4), (5, 20)]
    )
    assert scan.start_ps == pytest.approx([2.0, 5.0])
    assert scan.end_ps == pytest.approx([4.0, 20.0])
    assert scan.value[0] == pytest.approx(diffusion_coefficient(positions, 1000 * DT, window_ps=(2, 4)).value)


@pytest.mark.parametrize(
    ('n_frames', 'windows', 'message'),
    [
        (39, None, 'positions have 39 frames: D by window needs at least 40'),
        (400, [(2.0, 10.0)], 'the fit window ends at 10 ps, but the run is only 40 ps long'),
        (1, [(2.0, 10.0)], 'positions have one frame'),
    ],
)
def test_refuses(n_frames, windows, message):
    with pytest.raises(ValueError, match=message):
        diffusion_by_window(np.zeros((n_frames, 1, 3)), 1000 * DT, windows_ps=windows)
