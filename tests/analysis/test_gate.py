"""The limits of a gate and the verdicts on errors and drifts."""

import numpy as np
import pytest

from aiida_hdiff.analysis.gate import GateLimits, drift_verdict, error_reasons, errors_of, gate_error

SUMMARY = {
    'energy_meV_per_atom': {'rmse': 2300.0},
    'energy_meV_per_atom_without_element_offsets': {'rmse': 4.0},
    'force_meV_A': {'rmse': 80.0},
    'stress_GPa': None,
}


def test_errors_are_those_after_the_offsets():
    assert errors_of(SUMMARY) == {
        'energy_rmse_meV_per_atom': 4.0,
        'force_rmse_meV_A': 80.0,
        'stress_rmse_GPa': None,
    }


@pytest.mark.parametrize(
    ('limits', 'reasons'),
    [
        ({}, []),
        ({'energy_rmse_meV_per_atom': 4.0, 'force_rmse_meV_A': 80.0}, []),
        ({'force_rmse_meV_A': 79.9}, ['force RMSE 80 meV/Å is above the limit 79.9 meV/Å']),
        (
            {'energy_rmse_meV_per_atom': 1.0, 'force_rmse_meV_A': None, 'stress_rmse_GPa': 0.1},
            [
                'energy RMSE 4 meV/atom is above the limit 1 meV/atom',
                'stress RMSE is not known, and 0.1 GPa is the limit',
            ],
        ),
    ],
)
def test_reasons(limits, reasons):
    assert error_reasons(SUMMARY, GateLimits(**limits)) == reasons


def test_an_error_that_is_not_a_number_is_refused():
    assert error_reasons({**SUMMARY, 'force_meV_A': {'rmse': float('nan')}}, GateLimits()) == [
        'force RMSE nan meV/Å is above the limit 150 meV/Å'
    ]


@pytest.mark.parametrize(
    ('slope_meV_per_atom_ps', 'accepted'), [(0.5, True), (-0.5, True), (1.5, False), (-1.5, False)]
)
def test_a_planted_drift_is_found(slope_meV_per_atom_ps, accepted):
    n_atoms, times_ps = 36, np.linspace(0.0, 1.0, 101)
    noise = np.random.default_rng(1).normal(0.0, 1e-5, 101)
    energies = -100.0 + slope_meV_per_atom_ps * 1e-3 * n_atoms * times_ps + noise
    values, reasons = drift_verdict(times_ps, energies, n_atoms, GateLimits())
    assert values['drift_meV_per_atom_per_ps'] == pytest.approx(slope_meV_per_atom_ps, rel=1e-2)
    assert (reasons == []) is accepted
    if not accepted:
        assert reasons[0].endswith('meV/atom/ps, the limit is 1')


def test_energies_that_are_no_numbers_are_refused():
    values, reasons = drift_verdict([0.0, 1.0, 2.0], [0.0, np.nan, 0.0], 3, GateLimits())
    assert (values, reasons) == ({}, ['the energy of the smoke run is not a number'])


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'force_rmse': 1.0}, 'unknown limit `force_rmse`: known are energy_rmse_meV_per_atom'),
        ({'force_rmse_meV_A': 'low'}, "`force_rmse_meV_A` is 'low': give a number."),
        ({'force_rmse_meV_A': True}, '`force_rmse_meV_A` is True: give a number.'),
        ({'force_rmse_meV_A': 0}, '`force_rmse_meV_A` is 0: give a positive number.'),
        ({'smoke_time_ps': None}, '`smoke_time_ps` is None: give a number.'),
        ({'smoke_time_ps': -1.0}, '`smoke_time_ps` is -1.0: give a positive number.'),
        ({'smoke_time_ps': 0.001}, '`smoke_time_ps` is 0.001, which is 2 steps: give at least 10, or 0 for no run.'),
        ({'smoke_timestep_fs': 5.0}, '`smoke_timestep_fs` is 5.0: with hydrogen give at most 2.'),
    ],
)
def test_bad_limits(values, message):
    assert gate_error(values).startswith(message)


def test_good_limits():
    assert gate_error({}) is None
    assert gate_error({'force_rmse_meV_A': None, 'smoke_time_ps': 0}) is None
    limits = GateLimits(smoke_time_ps=0.5, smoke_timestep_fs=0.5)
    assert (limits.smoke_steps, limits.smoke_interval) == (1000, 10)
