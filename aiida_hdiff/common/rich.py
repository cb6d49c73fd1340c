"""How results show in a notebook: a small table with units, errors beside their values, and a coloured status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from html import escape
from math import floor, isfinite, log10
from typing import Any

import numpy as np

UNITS = {
    '_meV_per_atom_ns': 'meV/atom/ns',
    '_per_ps': '1/ps',
    '_m2_s': 'm²/s',
    '_eV': 'eV',
    '_ps': 'ps',
    '_fs': 'fs',
    '_K': 'K',
    '_A': 'Å',
}
"""Units by the end of a name."""

COLOURS = {'resolved': '#1a7f37', 'not_resolved': '#9a6700'}
"""Green and amber with a contrast of at least 4.5 on white."""

_ERRORS = ('_std_error', '_error')
_SUPERSCRIPTS = str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹')


class RichResult:
    """Base of results that show as a table in a notebook.

    The rows are the fields of the dataclass. `_units` gives units to fields whose names tell none.
    """

    _units: Mapping[str, str] = {}

    def _repr_html_(self) -> str:
        assert is_dataclass(self)
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return html_table(type(self).__name__, values, self._units)


def html_table(title: str, values: Mapping[str, Any], units: Mapping[str, str] | None = None) -> str:
    """Return a table in HTML, without scripts; all text is escaped.

    Parameters
    ----------
    title
        Headline.
    values
        Numbers, text, arrays and whatever else by name. ``x_error`` or ``x_std_error`` is shown beside ``x``,
        and ``std_error`` beside ``value``; ``None`` and empty text are left out. If ``status`` is
        ``not_resolved``, the value, which then means nothing, is left out and the upper bound comes first.
    units
        Units of names that do not end in one of `UNITS`.
    """
    given = dict(units or {})
    shown = {name: value for name, value in values.items() if value is not None and not _is_empty(value)}
    if shown.get('status') == 'not_resolved':
        hidden = {name for name in shown if name.startswith(('value', 'std_error', 'interval', 'per_axis'))}
        bounds = [name for name in shown if name.startswith('upper_bound')]
        order = [*bounds, *(name for name in shown if name not in hidden and name not in bounds)]
        shown = {name: shown[name] for name in order}
    errors = {name: error for name in shown if (error := _error_name(name, shown))}
    rows = ''
    for name, value in shown.items():
        if name in errors.values():
            continue
        stem, unit = _split(name, given)
        text = _text(value, shown[errors[name]] if name in errors else None)
        style = 'text-align:left'
        if name == 'status':
            text, style = text.replace('_', ' '), f'{style};font-weight:bold;color:{COLOURS.get(text, "inherit")}'
        label = escape(stem.replace('_', ' '))
        cell = escape(f'{text} {unit}'.strip())
        rows += f'<tr><th style="text-align:left">{label}</th><td style="{style}">{cell}</td></tr>'
    return f'<table><caption style="text-align:left"><b>{escape(title)}</b></caption><tbody>{rows}</tbody></table>'


def number_with_error(value: float, error: float) -> str:
    """Return a value and its error, rounded to two digits of the error, such as ``(1.24 ± 0.11) × 10⁻⁹``."""
    if not (isfinite(value) and isfinite(error) and error > 0.0):
        return f'{value:.4g} ± {error:.2g}'
    exponent = floor(log10(max(abs(value), error)))
    scale = 0 if -3 <= exponent <= 3 else exponent
    decimals = max(0, 1 - floor(log10(error)) + scale)
    text = f'{value / 10.0**scale:.{decimals}f} ± {error / 10.0**scale:.{decimals}f}'
    return text if scale == 0 else f'({text}) × {_power(scale)}'


def _number(value: float) -> str:
    text = f'{value:.4g}'
    if 'e' not in text:
        return text
    mantissa, exponent = text.split('e')
    return f'{mantissa} × {_power(int(exponent))}'


def _power(exponent: int) -> str:
    return '10' + str(exponent).translate(_SUPERSCRIPTS)


def _is_empty(value: Any) -> bool:
    return isinstance(value, (str, list, tuple, dict)) and not value


def _split(name: str, units: Mapping[str, str]) -> tuple[str, str]:
    """Return a name without its unit, and the unit."""
    if name in units:
        return name, units[name]
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending), unit
    return name, ''


def _error_name(name: str, values: Mapping[str, Any]) -> str:
    stem, _ = _split(name, {})
    ending = name.removeprefix(stem)
    candidates = [f'{stem}{error}{ending}' for error in _ERRORS]
    if stem in ('value', 'mean'):
        candidates.append(f'std_error{ending}')
    return next((one for one in candidates if one in values), '')


def _text(value: Any, error: Any = None) -> str:
    if isinstance(value, (bool, np.bool_)):
        return 'yes' if value else 'no'
    if isinstance(value, (int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return _number(float(value)) if error is None else number_with_error(float(value), float(error))
    if isinstance(value, np.ndarray):
        return _array(value, error)
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(one, (float, int)) for one in value):
        return f'{_number(value[0])} to {_number(value[1])}'
    if isinstance(value, Mapping):
        return ', '.join(_text(key) for key in value)
    if isinstance(value, (tuple, list)):
        return ', '.join(_text(one) for one in value) if len(value) <= 6 else f'{len(value)} entries'
    return str(value) if not is_dataclass(value) else type(value).__name__


def _array(value: np.ndarray[Any, Any], error: Any) -> str:
    if value.ndim == 1 and value.size <= 6:
        errors = [None] * value.size if error is None else list(error)
        return ', '.join(_text(one, two) for one, two in zip(value, errors, strict=True))
    shape = ' × '.join(str(length) for length in value.shape)
    if not np.issubdtype(value.dtype, np.number) or value.size == 0:
        return f'array of {shape}'
    return f'{shape} numbers, {_number(float(np.min(value)))} to {_number(float(np.max(value)))}'
