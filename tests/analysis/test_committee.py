"""The deviation of a committee and its calibration, against what follows from normal distributions."""

import numpy as np
import pytest

from aiida_hdiff.analysis.committee import (
    LEVELS,
    MEAN_LENGTH,
    calibrate,
    force_deviations,
    ideal_slope,
)
from aiida_hdiff.analysis.committee_summary import committee_summary


def gaussian_errors(n_atoms=40_000, ratio=1.7, seed=1):
    """Return deviations, and normal errors of a root mean square length of ratio × deviation."""
    rng = np.random.default_rng(seed)
    deviations = rng.uniform(0.01, 0.4, n_atoms)
    vectors = rng.standard_normal((n_atoms, 3)) * (ratio * deviations / np.sqrt(3))[:, None]
    return deviations, np.linalg.norm(vectors, axis=1)


def independent_members(n_members, n_atoms=30_000, seed=2, shared=0.0):
    """Return the forces of members that scatter around the truth, with a part of the error in common, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n_atoms, 3))
    width = rng.uniform(0.02, 0.3, n_atoms)[:, None]
    common = shared * width * rng.standard_normal((n_atoms, 3))
    return truth + common + width * rng.standard_normal((n_members, n_atoms, 3)), truth


def test_deviation_by_hand():
    forces = [[[1.0, 0, 0], [0, 0, 0]], [[-1.0, 0, 0], [0, 3.0, 4.0]]]
    assert force_deviations(forces) == pytest.approx([1.0, 2.5])
    shift = np.array([0.3, -2.0, 5.0])
    assert force_deviations(np.array(forces) + shift) == pytest.approx([1.0, 2.5])


@pytest.mark.parametrize('n_members', [2, 3, 8])
def test_deviation_of_independent_members_is_a_standard_deviation(n_members):
    forces = 0.2 * np.random.default_rng(3).standard_normal((n_members, 50_000, 3))
    expected = 0.2 * np.sqrt(3 * (n_members - 1) / n_members)
    assert np.sqrt((force_deviations(forces) ** 2).mean()) == pytest.approx(expected, rel=0.01)


def test_normal_errors_are_calibrated_by_the_slope():
    ratio = 1.7
    found = calibrate(*gaussian_errors(ratio=ratio))
    assert found.slope == pytest.approx(ratio * MEAN_LENGTH / np.sqrt(3), rel=0.01)
    assert found.coverage == pytest.approx(LEVELS, abs=0.01)
    assert found.calibration_error < 0.005


def test_pearson_of_normal_errors():
    """With e = r d g, g of mean 1 and variance v: the correlation is the spread of d beside that of d g."""
    deviations, errors = gaussian_errors(200_000)
    variance = 3 / MEAN_LENGTH**2 - 1
    expected = deviations.std() / np.sqrt(deviations.var() + variance * (deviations**2).mean())
    found = calibrate(deviations, errors)
    assert found.pearson == pytest.approx(expected, abs=0.005)
    assert 0.5 < found.spearman < 1


def test_coverage_tells_errors_that_are_not_normal():
    deviations, _ = gaussian_errors(5_000)
    found = calibrate(deviations, 2.0 * deviations)
    assert (found.slope, found.pearson, found.spearman) == pytest.approx((2.0, 1.0, 1.0))
    # All errors are of one length, which is the quantile of the level 0.533 of the distribution that is assumed.
    assert found.coverage == tuple(float(level > 0.533) for level in LEVELS)
    assert found.calibration_error > 0.2


def test_deviation_that_says_nothing():
    rng = np.random.default_rng(4)
    deviations, errors = rng.uniform(0.1, 0.2, 20_000), rng.uniform(0.0, 1.0, 20_000)
    found = calibrate(deviations, errors)
    assert abs(found.pearson) < 0.03
    assert abs(found.spearman) < 0.03
    assert calibrate(np.full(10, 0.1), errors[:10]).pearson is None


@pytest.mark.parametrize('n_members', [2, 3, 5])
def test_slope_of_an_unbiased_committee(n_members):
    forces, truth = independent_members(n_members)
    errors = np.linalg.norm(forces.mean(axis=0) - truth, axis=1)
    deviations = force_deviations(forces)
    assert calibrate(deviations, errors).slope == pytest.approx(ideal_slope(n_members), rel=0.02)
    ratio = np.sqrt((errors**2).mean() / (deviations**2).mean())
    assert ratio == pytest.approx(1 / np.sqrt(n_members - 1), rel=0.02)


def test_error_of_a_single_member():
    """What the documentation says: the mean square over the members is that of the mean plus the deviation."""
    forces, truth = independent_members(3, 50, shared=1.0)
    single = ((forces - truth) ** 2).sum(axis=2).mean(axis=0)
    mean = ((forces.mean(axis=0) - truth) ** 2).sum(axis=1)
    assert single == pytest.approx(mean + force_deviations(forces) ** 2)


def test_members_that_err_together_have_a_larger_slope():
    forces, truth = independent_members(4, shared=2.0)
    errors = np.linalg.norm(forces.mean(axis=0) - truth, axis=1)
    assert calibrate(force_deviations(forces), errors).slope > 3 * ideal_slope(4)


def test_standard_error_of_the_slope():
    """Against the scatter over many sets of frames whose atoms share their luck."""
    slopes, claimed = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        deviations = rng.uniform(0.1, 0.3, (40, 5))
        errors = deviations * rng.uniform(0.5, 1.5, (40, 1))
        found = calibrate(deviations.ravel(), errors.ravel(), 5 * np.arange(41))
        slopes.append(found.slope)
        claimed.append(found.slope_std_error)
    assert np.mean(claimed) == pytest.approx(np.std(slopes), rel=0.25)
    assert calibrate([0.1, 0.2], [0.1, 0.3]).slope_std_error is None


def test_summary():
    forces, truth = independent_members(3, 600)
    numbers, offsets = np.tile([29, 29, 1], 200), 3 * np.arange(201)
    forces[:, numbers == 1] = truth[numbers == 1] + 2 * (forces[:, numbers == 1] - truth[numbers == 1])
    found = committee_summary(forces, truth, numbers, offsets)
    assert (found['n_members'], found['n_frames'], found['n_atoms']) == (3, 200, 600)
    expected = 1000 * np.sqrt(((forces[1] - truth) ** 2).mean())
    assert found['member_force_rmse_meV_A'][1] == pytest.approx(expected)
    assert found['force_rmse_meV_A'] < min(found['member_force_rmse_meV_A'])
    deviations = force_deviations(forces)
    assert found['largest_deviation_eV_A']['max'] == found['deviation_eV_A']['max'] == pytest.approx(deviations.max())
    assert found['largest_deviation_eV_A']['mean'] == pytest.approx(deviations.reshape(200, 3).max(axis=1).mean())
    hydrogen = found['by_element']['H']
    assert hydrogen['n_atoms'] == 200
    assert hydrogen['deviation_eV_A']['mean'] > 1.5 * found['by_element']['Cu']['deviation_eV_A']['mean']
    alone = calibrate(deviations[2::3], np.linalg.norm(forces.mean(axis=0) - truth, axis=1)[2::3], np.arange(201))
    assert hydrogen['calibration']['slope'] == pytest.approx(alone.slope)
    assert hydrogen['calibration']['slope_std_error'] == pytest.approx(alone.slope_std_error)
    assert len(found['calibration']['coverage']) == len(found['calibration']['levels'])


def test_an_element_that_some_frames_lack():
    forces, truth = independent_members(2, 6)
    found = committee_summary(forces, truth, [29, 1, 29, 29, 29, 1], [0, 2, 4, 6])
    assert found['by_element']['H']['n_atoms'] == 2
    assert found['by_element']['H']['calibration']['slope_std_error'] is not None


def test_equal_members_have_no_calibration():
    _, truth = independent_members(2, 30)
    found = committee_summary(np.stack([truth + 0.1] * 3), truth, np.full(30, 29), [0, 30])
    assert found['calibration'] is None
    assert found['by_element']['Cu']['calibration'] is None


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: force_deviations(np.zeros((1, 4, 3))), '1 member'),
        (lambda: force_deviations(np.zeros((4, 3))), 'n_members, n_atoms, 3'),
        (lambda: calibrate([0.0, 0.0], [1.0, 2.0]), 'the members are equal'),
        (lambda: calibrate([], []), 'one of each atom'),
        (lambda: calibrate([0.1], [0.1, 0.2]), 'one of each atom'),
        (lambda: committee_summary(np.zeros((2, 3, 3)), np.zeros((2, 3)), [1, 1, 1], [0, 3]), 'are of 3, 2, 3 and 3'),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
