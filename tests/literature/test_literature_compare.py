"""Computed beside published numbers."""

import math

import pytest

from aiida_hdiff.literature import (
    LiteratureValue,
    compare_coefficient,
    compare_energy,
    comparison_temperature,
)

LAW = LiteratureValue(
    key='x', host='Ni', phase='fcc', isotope='H', origin='experiment', kind='permeation', transport='dilute',
    citation='A 1999', reference='A, J. 1, 2 (1999)', prefactor_m2_s=1e-6, activation_energy_eV=0.4,
    temperature_range_K=(400.0, 800.0),
)  # fmt: skip


def variant(**changes):
    return LiteratureValue(**{**LAW.__dict__, **changes})


POINT = variant(prefactor_m2_s=None, activation_energy_eV=None, temperature_range_K=None, point=(673.0, 2e-8))
ENERGY = variant(prefactor_m2_s=None)


@pytest.mark.parametrize(
    ('value', 'low', 'high', 'expected'),
    [
        (LAW, 600.0, 1200.0, 2 / (1 / 600 + 1 / 800)),
        (LAW, 450.0, 500.0, 2 / (1 / 450 + 1 / 500)),
        (LAW, 900.0, 1200.0, 900.0),
        (LAW, 200.0, 300.0, 300.0),
        (variant(temperature_range_K=None), 600.0, 1200.0, 800.0),
        (LAW, 500.0, 500.0, 500.0),
        (POINT, 300.0, 600.0, 673.0),
        (ENERGY, 300.0, 600.0, None),
    ],
)
def test_temperature(value, low, high, expected):
    assert comparison_temperature(value, low, high) == (expected if expected is None else pytest.approx(expected))


def test_ratio_distance_and_deviation():
    d = 3.0 * LAW.coefficient(600.0)
    result = compare_coefficient(LAW, 600.0, d, 0.3, computed_range_K=(500.0, 900.0))
    assert result.log_ratio == pytest.approx(math.log(3.0))
    assert result.log10_ratio == pytest.approx(math.log10(3.0))
    assert result.relative_deviation == pytest.approx(2.0)
    assert result.published_error_assumed
    assert result.sigma_distance == pytest.approx(math.log(3.0) / math.hypot(0.3, math.log(2.0)))
    assert (result.outside_computed, result.outside_published) == (False, False)


def test_published_errors_replace_the_default():
    value = variant(prefactor_error_m2_s=5e-7, activation_energy_error_eV=0.001)
    result = compare_coefficient(value, 500.0, 2 * value.coefficient(500.0), 0.0, computed_range_K=(500.0, 500.0))
    assert not result.published_error_assumed
    assert result.sigma_distance == pytest.approx(math.log(2.0) / value.log_error(500.0))
    energy = compare_energy(value, 0.41, 0.0)
    assert energy.sigma_distance == pytest.approx(10.0)
    assert not energy.published_error_assumed


def test_extrapolation_is_told():
    low = compare_coefficient(LAW, 300.0, 1e-12, 0.1, computed_range_K=(300.0, 900.0))
    assert (low.outside_computed, low.outside_published) == (False, True)
    far = compare_coefficient(LAW, 500.0, 1e-10, 0.1, computed_range_K=(600.0, 900.0))
    assert (far.outside_computed, far.outside_published) == (True, False)
    unknown = variant(temperature_range_K=None)
    assert compare_coefficient(unknown, 700.0, 1e-9, 0.1, computed_range_K=(600.0, 900.0)).outside_published
    near = compare_coefficient(POINT, 673.0, 1e-8, 0.1, computed_range_K=(300.0, 670.0))
    assert (near.outside_computed, near.outside_published) == (False, False)


def test_energy():
    result = compare_energy(LAW, 0.46, 0.03)
    assert result.difference_eV == pytest.approx(0.06)
    assert result.error_eV == pytest.approx(math.hypot(0.03, 0.02))
    assert result.published_error_assumed
    assert compare_energy(LAW, 0.34, 0.03, default_error_eV=0.05).sigma_distance < 0.0


@pytest.mark.parametrize(
    ('arguments', 'options', 'message'),
    [
        ((LAW, 600.0, 0.0, 0.1), {}, 'computed D must be positive, not 0.0'),
        ((LAW, 600.0, -1e-9, 0.1), {}, 'only resolved coefficients'),
        ((LAW, 600.0, float('nan'), 0.1), {}, 'computed D must be positive, not nan'),
        ((LAW, 600.0, 1e-9, -0.1), {}, 'error of ln D must not be negative'),
        ((LAW, 0.0, 1e-9, 0.1), {}, 'temperature must be positive, not 0.0 K'),
        ((LAW, 600.0, 1e-9, 0.1), {'default_factor': 1.0}, 'default_factor must be larger than 1'),
        ((POINT, 600.0, 1e-9, 0.1), {}, 'no D is published at 600 K'),
        ((ENERGY, 600.0, 1e-9, 0.1), {}, 'no D is published at 600 K'),
    ],
)
def test_refuses_coefficients(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        compare_coefficient(*arguments, computed_range_K=(500.0, 900.0), **options)


def test_refuses_energies_and_ranges():
    with pytest.raises(ValueError, match='x: no activation energy is published'):
        compare_energy(POINT, 0.4, 0.01)
    with pytest.raises(ValueError, match='error of the activation energy must not be negative'):
        compare_energy(LAW, 0.4, -0.01)
    with pytest.raises(ValueError, match='default_error_eV must be positive'):
        compare_energy(LAW, 0.4, 0.01, default_error_eV=0.0)
    with pytest.raises(ValueError, match='positive and in order, not 900'):
        comparison_temperature(LAW, 900.0, 600.0)
