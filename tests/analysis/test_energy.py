import numpy as np
import pytest

from aiida_hdiff.analysis import energy_drift, mean_energy_frame

from .models import vibration


def test_exact_slope():
    times = np.linspace(0.0, 200.0, 401)
    result = energy_drift(times, -500.0 + 3e-6 * 100 * times, 100)
    assert result.slope_meV_per_atom_ns == pytest.approx(3.0, rel=1e-6)
    assert result.std_error_meV_per_atom_ns == pytest.approx(0.0, abs=1e-6)


def test_error_is_calibrated_for_correlated_fluctuations(rng):
    times = 0.1 * np.arange(4000)
    results = [
        energy_drift(times, 1e-4 * times + vibration(rng, 4000, 1, 0.1, 0.01, 2.0)[:, 0, 0], 10) for _ in range(300)
    ]
    slopes = np.array([result.slope_meV_per_atom_ns for result in results])
    errors = np.array([result.std_error_meV_per_atom_ns for result in results])
    assert slopes.mean() == pytest.approx(10.0, abs=4 * slopes.std() / np.sqrt(300))
    assert errors.mean() / slopes.std() == pytest.approx(1.0, abs=0.2)
    assert abs(np.mean(np.abs(slopes - 10.0) < errors) - 0.68) <= 0.10


@pytest.mark.parametrize(
    ('times', 'energies', 'n_atoms', 'message'),
    [
        ([0.0, 1.0], [0.0, 1.0, 2.0], 1, '2 times but 3 total energies'),
        ([0.0, 1.0], [0.0, 1.0], 1, 'a drift needs at least three frames, not 2'),
        ([0.0, 1.0, 1.0], [0.0, 1.0, 2.0], 1, 'times_ps must increase'),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], 0, 'n_atoms must be positive, not 0'),
        ([0.0, 1.0, 2.0], [0.0, np.inf, 2.0], 1, 'total_energies_eV contains values that are not finite'),
        ([[0.0, 1.0, 2.0]], [0.0, 1.0, 2.0], 1, 'times_ps must be one-dimensional'),
    ],
)
def test_drift_refuses(times, energies, n_atoms, message):
    with pytest.raises(ValueError, match=message):
        energy_drift(times, energies, n_atoms)


def test_frame_nearest_the_mean():
    assert mean_energy_frame([5.0, 0.0, 2.1, 4.0]) == 2
    assert mean_energy_frame([100.0, 1.0, 2.9, 5.0], start=1) == 2


@pytest.mark.parametrize('start', [-1, 3])
def test_frame_refuses(start):
    with pytest.raises(ValueError, match=f'start must be a frame of the 3 given, not {start}'):
        mean_energy_frame([1.0, 2.0, 3.0], start=start)
