import pytest

from aiida_hdiff.report.text import measurement, plural, ratio, scientific


@pytest.mark.parametrize(
    ('value', 'error', 'expected'),
    [
        (0.44, 0.007, '0.440 ± 0.007'),
        (0.44, 0.0171, '0.440 ± 0.017'),
        (2.71, 0.2, '2.71 ± 0.20'),
        (2.71, 0.0996, '2.71 ± 0.10'),
        (1200.4, 12.0, '1200 ± 12'),
        (0.44, None, '0.440'),
        (0.44, float('nan'), '0.440'),
        (0.44, 0.0, '0.440'),
        (None, 0.1, '–'),
        (float('nan'), 0.1, '–'),
    ],
)
def test_measurement(value, error, expected):
    assert measurement(value, error) == expected


@pytest.mark.parametrize(
    ('value', 'error', 'expected', 'plain'),
    [
        (2.71e-9, 0.2e-9, '(2.71 ± 0.20) × 10⁻⁹', '(2.71 ± 0.20)e-09'),
        (9.999e-9, None, '1.00 × 10⁻⁸', '1.00e-08'),
        (1.0e-12, None, '1.00 × 10⁻¹²', '1.00e-12'),
        (float('inf'), None, '–', '–'),
        (-1.0, None, '–', '–'),
        (None, None, '–', '–'),
    ],
)
def test_scientific(value, error, expected, plain):
    assert scientific(value, error) == expected
    assert scientific(value, error, plain=True) == plain


def test_small_words():
    assert plural(1, 'run') == '1 run'
    assert plural(0, 'run') == '0 runs'
    assert ratio(2.043) == '2.04'
    assert ratio(0.0421) == '0.042'
