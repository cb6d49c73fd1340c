"""Numbers as text."""

from __future__ import annotations

import math

_SUPERSCRIPT = str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹')
MISSING = '–'
EMULATED = 'EMULATED - made with the VASP stand-in, not VASP'
"""What every report and figure says that descends from a run of the stand-in."""


def decimals_for(error: float) -> int:
    """Return how many decimals an error deserves.

    The rule of the Particle Data Group: two significant digits where the error starts with 100 to 354,
    one otherwise.

    Parameters
    ----------
    error : float
        Standard error, positive.

    Returns
    -------
    int
        Number of decimals, may be negative.
    """
    exponent = math.floor(math.log10(error))
    leading = round(error / 10.0**exponent * 100)
    if leading >= 950:
        return -exponent
    return -exponent + (1 if leading < 355 else 0)


def measurement(value: float | None, error: float | None = None, decimals: int = 3) -> str:
    """Return ``value ± error`` with as many digits as the error deserves.

    Parameters
    ----------
    value : float or None
        The value; ``None`` or a number that is not finite gives a dash.
    error : float or None
        Its standard error; without one the value has `decimals` decimals.
    decimals : int
        Decimals where there is no error.

    Returns
    -------
    str
        The text.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if error is None or not math.isfinite(error) or error <= 0.0:
        return f'{value:.{decimals}f}'
    places = max(decimals_for(error), 0)
    return f'{value:.{places}f} ± {error:.{places}f}'


def power(exponent: int) -> str:
    """Return a power of ten with a superscript exponent."""
    return f'10{str(exponent).translate(_SUPERSCRIPT)}'


def scientific(value: float | None, error: float | None = None, *, plain: bool = False) -> str:
    """Return a value in scientific notation, with its error where there is one.

    Parameters
    ----------
    value, error : float or None
        A positive value and its standard error.
    plain : bool
        Write ``e-09``, which can be pasted into a program, instead of ``× 10⁻⁹``.

    Returns
    -------
    str
        For example ``(2.71 ± 0.20) × 10⁻⁹``.
    """
    if value is None or not math.isfinite(value) or value <= 0.0:
        return MISSING
    exponent = math.floor(math.log10(value))
    mantissa = value / 10.0**exponent
    if mantissa >= 9.995:
        exponent, mantissa = exponent + 1, mantissa / 10.0
    tail = f'e{exponent:+03d}' if plain else f' × {power(exponent)}'
    if error is None or not math.isfinite(error) or error <= 0.0:
        return f'{mantissa:.2f}{tail}'
    return f'({measurement(mantissa, error / 10.0**exponent)}){tail}'


def ratio(value: float) -> str:
    """Return a ratio with two significant digits, or three above one."""
    return f'{value:.2f}' if value >= 0.1 else f'{value:.2g}'


def digits(value: float | None, count: int = 3) -> str:
    """Return a number with so many significant digits, without exponent; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0.0:
        return '0'
    return f'{value:.{max(0, count - 1 - math.floor(math.log10(abs(value))))}f}'


def plural(count: int, noun: str) -> str:
    """Return ``1 temperature`` or ``2 temperatures``."""
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


STATUS_TEXT = {'resolved': 'resolved', 'not_resolved': 'not resolved', 'failed': 'failed'}
