"""ICONST: which combinations of the cell stay as they are."""

import numpy as np
import pytest

from aiida_hdiff.formats.iconst import iconst

HEXAGONAL = np.array([[12.8, 0.0, 0.0], [-6.4, 11.085125168440816, 0.0], [0.0, 0.0, 10.4]])
TRICLINIC = np.array([[5.0, 0.3, 0.1], [-1.0, 6.0, 0.2], [0.7, -0.4, 7.0]])


def residuals(text, cell):
    """Evaluate the constrained coordinates of a cell: the lines `S` of the file."""
    lengths = np.linalg.norm(cell, axis=1)
    directions = cell / lengths[:, None]
    primitives = []
    for words in (line.split() for line in text.splitlines()):
        if words[0] == 'LA':
            first, second = (int(word) - 1 for word in words[1:3])
            primitives.append(np.arccos(directions[first] @ directions[second]))
        elif words[0] == 'LR':
            primitives.append(lengths[int(words[1]) - 1])
    rows = [line.split() for line in text.splitlines() if line.startswith('S')]
    assert all(len(row) == len(primitives) + 2 and row[-1] == '0' for row in rows)
    return np.array([[float(word) for word in row[1:-1]] for row in rows]) @ primitives


@pytest.mark.parametrize('cell', [HEXAGONAL, TRICLINIC, np.diag([4.0, 5.0, 6.0])])
def test_fixed_shape_keeps_all_but_the_volume(cell):
    text = iconst(cell)
    start = residuals(text, cell)
    np.testing.assert_allclose(start[3:], 0.0, atol=1e-9)
    np.testing.assert_allclose(residuals(text, 1.07 * cell), start, atol=1e-9)
    turned = cell @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(residuals(text, turned), start, atol=1e-9)
    rng = np.random.default_rng(2)
    for _ in range(20):
        strain = 0.01 * rng.normal(size=(3, 3))
        assert np.abs(residuals(text, cell @ (np.eye(3) + strain)) - start).max() > 1e-4


def test_fixed_angles_leaves_the_lengths_free():
    text = iconst(TRICLINIC, 'fixed_angles')
    start = residuals(text, TRICLINIC)
    stretched = TRICLINIC * np.array([1.02, 0.98, 1.05])[:, None]
    np.testing.assert_allclose(residuals(text, stretched), start, atol=1e-12)


def test_fixed_angles_keeps_equal_lengths_equal():
    text = iconst(HEXAGONAL, 'fixed_angles')
    start = residuals(text, HEXAGONAL)
    np.testing.assert_allclose(residuals(text, HEXAGONAL * np.array([1.02, 1.02, 0.95])[:, None]), start, atol=1e-6)
    assert np.abs(residuals(text, HEXAGONAL * np.array([1.02, 1.0, 1.0])[:, None]) - start).max() > 0.1


def test_text(file_regression):
    file_regression.check(iconst(HEXAGONAL), basename='iconst')


@pytest.mark.parametrize(
    ('cell', 'constraint', 'message'),
    [
        (HEXAGONAL, 'shape', "constraint 'shape' has no ICONST: choose one of fixed_shape, fixed_angles"),
        (HEXAGONAL, 'none', "constraint 'none' has no ICONST"),
        (np.ones((3, 3)), 'fixed_shape', 'has no volume'),
        (np.eye(2), 'fixed_shape', 'has no volume'),
        (np.full((3, 3), np.nan), 'fixed_shape', 'has no volume'),
    ],
)
def test_bad_input(cell, constraint, message):
    with pytest.raises(ValueError, match=message.replace('(', r'\(')):
        iconst(cell, constraint)
