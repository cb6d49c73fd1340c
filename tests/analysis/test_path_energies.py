"""Energies along paths."""

import pytest

from aiida_hdiff.analysis.path_energies import is_bracketed, path_errors


def test_errors_count_from_the_first_point():
    found = path_errors([-10.0, -9.7, -9.9], [5.0, 5.35, 5.08])
    assert found.end_meV == pytest.approx((100.0, 80.0))
    assert found.barrier_meV == pytest.approx((300.0, 350.0))
    assert (found.end_error_meV, found.barrier_error_meV) == pytest.approx((-20.0, 50.0))
    assert found.largest_meV == pytest.approx(50.0)
    assert found.as_dict()['end_meV'] == pytest.approx([100.0, 80.0])


@pytest.mark.parametrize(
    ('points', 'energies', 'known'),
    [
        ([0, 1, 2, 3, 4], [0.0, 0.1, 0.3, 0.2, 0.1], True),
        ([0, 2, 3, 4], [0.0, 0.2, 0.3, 0.1], True),
        ([0, 2, 3, 4], [0.0, 0.3, 0.2, 0.1], False),
        ([0, 1, 2, 4], [0.0, 0.1, 0.2, 0.3], False),
        ([0, 2, 3, 4], [0.0, 0.1, 0.2, 0.3], True),
        ([1, 2, 3, 4], [0.0, 0.1, 0.3, 0.2], False),
        ([0, 1, 2, 3], [0.0, 0.1, 0.3, 0.2], False),
        ([], [], False),
    ],
)
def test_missing_points_matter_at_the_ends_and_beside_the_highest(points, energies, known):
    assert is_bracketed(points, energies, 5) is known


def test_paths_that_do_not_belong_together():
    with pytest.raises(ValueError, match='a path needs two energies'):
        path_errors([1.0], [1.0])
    with pytest.raises(ValueError, match='a path needs two energies'):
        path_errors([1.0, 2.0], [1.0, 2.0, 3.0])
