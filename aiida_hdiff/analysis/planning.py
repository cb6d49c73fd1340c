"""How long a run must be for a given error of D."""

from __future__ import annotations

import math

from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S

WINDOW_VARIANCE = 0.4
"""Variance of D in units of D² times the end of the window over the atoms' total time, measured for Brownian motion
and for fast hopping with vibrations (`docs/topics/diffusivity.md`)."""

MIN_HOPS = 10.0
MIN_WINDOWS = 10.0
SMALLEST_GROWTH = 1.25
LARGEST_GROWTH = 3.0
UNRESOLVED_GROWTH = 2.0
SAFETY = 1.1


def expected_relative_error(
    diffusivity_m2_s: float, n_hydrogen: int, production_ps: float, window_end_ps: float, jump_length_A: float
) -> float:
    """Return the relative standard error of D to expect of a run.

    Its square is the Poisson variance of the hops, 1/n_hops with n_hops = 6 n D T / a², plus the variance of fitting
    over lags up to τ, 0.4 τ / (n T), as measured for independent atoms. Atoms that share their dynamics do worse.

    Parameters
    ----------
    diffusivity_m2_s
        Guess of D in m²/s.
    n_hydrogen
        Number of diffusing atoms, n.
    production_ps
        Length of the run T in ps.
    window_end_ps
        Longest lag τ of the fit in ps.
    jump_length_A
        Jump length a in Å.

    Raises
    ------
    ValueError
        A value is not positive.
    """
    return math.sqrt(_variance_times_ps(diffusivity_m2_s, n_hydrogen, window_end_ps, jump_length_A) / production_ps)


def required_production_ps(
    diffusivity_m2_s: float, n_hydrogen: int, relative_error: float, window_end_ps: float, jump_length_A: float
) -> float:
    """Return the length of a run in ps from which a relative standard error of D is to be expected.

    It is at least ten times the window, and long enough for ten hops in all.

    Parameters
    ----------
    diffusivity_m2_s, n_hydrogen, window_end_ps, jump_length_A
        As in :func:`expected_relative_error`.
    relative_error
        Standard error of D over D.

    Raises
    ------
    ValueError
        A value is not positive.
    """
    if not relative_error > 0.0:
        raise ValueError(f'relative_error is {relative_error}: give a positive number, for example 0.1')
    wanted = _variance_times_ps(diffusivity_m2_s, n_hydrogen, window_end_ps, jump_length_A) / relative_error**2
    ten_hops = MIN_HOPS * _ps_per_hop(diffusivity_m2_s, n_hydrogen, jump_length_A)
    return max(wanted, ten_hops, MIN_WINDOWS * window_end_ps)


def next_production_ps(
    production_ps: float, relative_error: float | None, target: float, budget_ps: float
) -> float | None:
    """Return the total length to which a run should be extended, or None if it is good enough or the budget is spent.

    The error falls with the square root of the length; a tenth is added to spare a second extension. One step
    multiplies the length by 1.25 to 3, because the error itself is uncertain.

    Parameters
    ----------
    production_ps
        Length so far in ps.
    relative_error
        Standard error of D over D so far, or None if D is not resolved.
    target
        Relative error to reach.
    budget_ps
        Largest total length in ps.
    """
    if relative_error is not None and relative_error <= target:
        return None
    growth = UNRESOLVED_GROWTH if relative_error is None else SAFETY * (relative_error / target) ** 2
    wanted = production_ps * min(max(growth, SMALLEST_GROWTH), LARGEST_GROWTH)
    total = min(wanted, budget_ps)
    return total if total > production_ps * (1.0 + 1e-9) else None


def _ps_per_hop(diffusivity_m2_s: float, n_hydrogen: int, jump_length_A: float) -> float:
    if not (diffusivity_m2_s > 0.0 and n_hydrogen > 0 and jump_length_A > 0.0):
        raise ValueError(
            f'D {diffusivity_m2_s} m²/s, {n_hydrogen} atoms and a jump length of {jump_length_A} Å must be positive'
        )
    return jump_length_A**2 / (6.0 * n_hydrogen * diffusivity_m2_s / ANGSTROM2_PER_PS_IN_M2_PER_S)


def _variance_times_ps(diffusivity_m2_s: float, n_hydrogen: int, window_end_ps: float, jump_length_A: float) -> float:
    if not window_end_ps > 0.0:
        raise ValueError(f'window_end_ps is {window_end_ps}: give the longest lag of the fit in ps')
    hop = _ps_per_hop(diffusivity_m2_s, n_hydrogen, jump_length_A)
    return hop + WINDOW_VARIANCE * window_end_ps / n_hydrogen
