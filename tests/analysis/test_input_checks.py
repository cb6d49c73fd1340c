import numpy as np
import pytest

from aiida_hdiff.analysis import check_cells, check_times, check_unwrapped, unwrap_positions

from .models import CUBIC, brownian, lattice_walk, vibration

TRICLINIC = np.array([[9.0, 0.0, 0.0], [-4.5, 7.8, 0.0], [0.0, 0.0, 10.0]])


def wrap(positions, cell):
    scaled = positions @ np.linalg.inv(cell)
    return (scaled - np.floor(scaled)) @ cell


def test_times_give_the_step():
    assert check_times([0.0, 10.0, 20.0]) == 10.0
    assert check_times(np.arange(100_001) * 0.5 + 1e6) == pytest.approx(0.5, rel=1e-9)
    assert check_times((np.arange(50_000) * 7.3).astype(np.float32)) == pytest.approx(7.3, rel=1e-6)


@pytest.mark.parametrize(
    ('times', 'message'),
    [
        ([5.0], 'times_fs has 1 frame'),
        ([0.0, 1.0, 1.0, 2.0], 'times_fs repeats at frame 2: 1 fs after 1 fs: sort the frames'),
        ([0.0, 1.0, 3.0, 2.0], 'times_fs goes back at frame 3: 2 fs after 3 fs'),
        (np.r_[0:100:10, 90:150:10], 'times_fs repeats at frame 10: 90 fs after 90 fs'),
        (np.r_[0:100:10, 100:500:20], 'the step to frame 1 is 10 fs, elsewhere 20 fs'),
        (np.r_[0:300:10, 300:400:20], 'the step to frame 31 is 20 fs, elsewhere 10 fs: frames are missing, or runs'),
        (np.r_[0:100:10, 110:300:10], 'the step to frame 10 is 20 fs, elsewhere 10 fs'),
        ([0.0, np.nan, 2.0], 'times_fs contains values that are not finite'),
    ],
)
def test_times_refused(times, message):
    with pytest.raises(ValueError, match=message):
        check_times(times)


def test_cells():
    assert check_cells(TRICLINIC, 5).shape == (1, 3, 3)
    breathing = TRICLINIC * (1 + 0.01 * np.arange(5))[:, None, None]
    np.testing.assert_array_equal(check_cells(breathing, 5), breathing)
    left_handed = breathing[:, [1, 0, 2]]
    np.testing.assert_array_equal(check_cells(left_handed, 5), left_handed)
    breathing[3] = breathing[3][[1, 0, 2]]
    with pytest.raises(ValueError, match='the cell changes its handedness at frame 3'):
        check_cells(breathing, 5)
    breathing[2, 0] = np.nan
    with pytest.raises(ValueError, match='cells must have a finite, non-zero volume, but frame 2 has'):
        check_cells(breathing, 5)
    with pytest.raises(ValueError, match='the cell changes its handedness at frame 1'):
        unwrap_positions(np.zeros((2, 1, 3)), np.array([TRICLINIC, -TRICLINIC]))


@pytest.mark.parametrize('cell', [11.0 * np.eye(3), TRICLINIC], ids=['cubic', 'triclinic'])
@pytest.mark.parametrize('known', [True, False])
@pytest.mark.parametrize('n_atoms', [1, 8])
def test_wrapped_positions(rng, cell, known, n_atoms):
    walk = brownian(rng, 20_000, n_atoms, 0.05, 0.5)
    given = cell if known else None
    check_unwrapped(walk, given)
    wrapped = wrap(walk, cell)
    with pytest.raises(ValueError, match=r'positions are wrapped: atom \d jumps by .* at frame \d+: unwrap them first'):
        check_unwrapped(wrapped, given)
    check_unwrapped(unwrap_positions(wrapped, cell), given)


def test_the_frame_is_named(rng):
    positions = np.cumsum(np.full((300, 2, 3), 0.05), axis=0)
    positions[:, 1] = 5.0 + vibration(rng, 300, 1, 0.1)[:, 0]
    positions[:, 0, 0] = (9.0 + 0.05 * np.arange(300)) % 10.0
    with pytest.raises(ValueError, match=r'atom 0 jumps by 9\.95 Å, about a cell length, at frame 20'):
        check_unwrapped(positions, np.diag([10.0, 30.0, 30.0]))


@pytest.mark.parametrize('n_atoms', [1, 8])
@pytest.mark.parametrize('rate', [0.002, 0.1, 2.0])
def test_hops_are_no_alarm(rng, n_atoms, rate):
    for jump in (2.5, 3.0):
        walk = lattice_walk(rng, 5000, n_atoms, 0.05, rate, jump * CUBIC) + vibration(rng, 5000, n_atoms, 0.05)
        check_unwrapped(walk)
        check_unwrapped(walk, 13.0 * np.eye(3))


def test_coarse_frames_are_no_alarm(rng):
    """Displacements of 5 Å and more between frames, as in a run stored once per 10 ps."""
    walk = brownian(rng, 2000, 8, 10.0, 1.0)
    check_unwrapped(walk)
    check_unwrapped(walk, 40.0 * np.eye(3))
