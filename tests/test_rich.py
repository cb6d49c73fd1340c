"""How results show in a notebook."""

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from aiida_hdiff.analysis import diffusion_coefficient, fit_arrhenius, mean_squared_displacement, radial_distribution
from aiida_hdiff.common.rich import COLOURS, RichResult, html_table, number_with_error


def cells(html):
    """Return the rows of a table, which must be well-formed, as a dictionary, and the style of the status."""
    rows = {row[0].text: row[1] for row in ET.fromstring(html).iter('tr')}
    style = rows['status'].get('style') if 'status' in rows else None
    return {name: cell.text for name, cell in rows.items()}, style


@pytest.fixture
def walk():
    return np.cumsum(np.random.default_rng(1).normal(scale=0.3, size=(20_000, 4, 3)), axis=0)


def test_a_resolved_coefficient(walk):
    result = diffusion_coefficient(walk, 10.0)
    rows, style = cells(result._repr_html_())
    number, unit = rows['value'].split(' × ')
    assert unit == '10⁻⁸ m²/s'
    assert float(number.strip('()').split(' ± ')[0]) == pytest.approx(result.value * 1e8, abs=0.06)
    assert rows['status'] == 'resolved'
    assert COLOURS['resolved'] in style
    assert rows['window'].endswith(' ps')
    assert 'reason' not in rows


def test_an_upper_bound_comes_first_where_nothing_is_resolved(walk):
    rows, style = cells(diffusion_coefficient(walk * 1e-3, 10.0)._repr_html_())
    assert next(iter(rows)) == 'upper bound'
    assert 'value' not in rows
    assert 'interval' not in rows
    assert rows['status'] == 'not resolved'
    assert COLOURS['not_resolved'] in style
    assert 'hops' in rows['reason']


def test_other_results(walk):
    rows, _ = cells(mean_squared_displacement(walk, 10.0, max_lag=100)._repr_html_())
    assert rows['lag times'] == '101 numbers, 0 to 1 ps'
    assert rows['msd'].endswith(' Å²')
    temperatures = np.array([400.0, 500.0, 600.0])
    law = fit_arrhenius(temperatures, 1e-7 * np.exp(-0.4 / (8.617333e-5 * temperatures)), 1e-12 * np.ones(3))
    rows, _ = cells(law._repr_html_())
    assert rows['activation energy'].startswith('0.4')
    assert ' ± ' in rows['activation energy']
    assert rows['activation energy'].endswith(' eV')
    rows, _ = cells(radial_distribution(walk[:10], 10 * np.eye(3), [1] * 4, [(1, 1)], r_max=4.0)._repr_html_())
    assert rows['r'].endswith(' Å')


def test_text_is_escaped():
    @dataclasses.dataclass(frozen=True)
    class Hostile(RichResult):
        reason: str

    html = Hostile('<script>alert(1)</script> & "more"')._repr_html_()
    assert '<script' not in html
    assert cells(html)[0]['reason'] == '<script>alert(1)</script> & "more"'
    assert '<b>&lt;i&gt;</b>' in html_table('<i>', {'<b>': 1})


@pytest.mark.parametrize(
    ('value', 'error', 'text'),
    [
        (1.2345e-9, 1.1e-10, '(1.23 ± 0.11) × 10⁻⁹'),
        (0.4123, 0.021, '0.412 ± 0.021'),
        (1234.0, 30.0, '1234 ± 30'),
        (5e-9, 3e-8, '(0.5 ± 3.0) × 10⁻⁸'),
        (-2.5e6, 4e4, '(-2.500 ± 0.040) × 10⁶'),
        (1.0, np.nan, '1 ± nan'),
    ],
)
def test_numbers_are_rounded_to_their_errors(value, error, text):
    assert number_with_error(value, error) == text


def test_arrays_and_pairs():
    rows, _ = cells(
        html_table(
            'T',
            {
                'per_axis': np.array([1e-9, 2e-9]),
                'per_axis_std_error': np.array([1e-10, 1e-10]),
                'many': np.arange(12.0).reshape(3, 4),
                'names': ('a', 'b'),
                'long': list(range(9)),
                'flag': True,
                'nothing': None,
            },
            {'per_axis': 'm²/s'},
        )
    )
    assert rows == {
        'per axis': '(1.00 ± 0.10) × 10⁻⁹, (2.00 ± 0.10) × 10⁻⁹ m²/s',
        'many': '3 × 4 numbers, 0 to 11',
        'names': 'a, b',
        'long': '9 entries',
        'flag': 'yes',
    }
