"""Reading and checking files of published values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from aiida_hdiff.literature.value import LiteratureValue, Origin, Transport

_FIELDS = {item.name for item in fields(LiteratureValue)}
_REQUIRED = ('key', 'host', 'phase', 'isotope', 'origin', 'kind', 'transport', 'citation', 'reference')
_CHOICES: dict[str, tuple[str, ...]] = {
    'origin': get_args(Origin),
    'transport': get_args(Transport),
    'isotope': ('H', 'D', 'T'),
}
_LIMITS = {
    'prefactor_m2_s': (1e-12, 1e-2),
    'prefactor_error_m2_s': (1e-15, 1e-2),
    'activation_energy_eV': (0.0, 3.0),
    'activation_energy_error_eV': (1e-6, 1.0),
}
_POINT_LIMITS = ((1.0, 5000.0), (1e-30, 1e-4))
_DOI = re.compile(r'10\.\d{4,9}/\S+')
_KEY = re.compile(r'[a-z0-9]+(-[a-z0-9]+)*')


def load_literature(host: str | None = None, *, extra: str | Path | None = None) -> tuple[LiteratureValue, ...]:
    """Return the published values shipped with the package, and those of a file of one's own.

    Parameters
    ----------
    host : str, optional
        Chemical symbol of the host, for example ``Ni``; by default all hosts.
    extra : path, optional
        A YAML file of further values in the format of :func:`read_values`.

    Returns
    -------
    tuple of LiteratureValue
        Recommended values come first, one's own before those shipped; empty where nothing is known for the host.

    Raises
    ------
    ValueError
        If a file of values is missing or not valid, or a key in it is taken.
    """
    own = () if extra is None else read_values(extra)
    taken = {value.key for value in _shipped()}
    for value in own:
        if value.key in taken:
            msg = f'{Path(str(extra)).name}: literature value {value.key!r}: the key is one of those shipped: rename it'
            raise ValueError(msg)
    values = (value for value in (*own, *_shipped()) if host is None or value.host == host)
    return _recommended_first(values)


def read_values(path: str | Path) -> tuple[LiteratureValue, ...]:
    """Read a YAML file with a list of published values, checked by :func:`parse_values`.

    Raises
    ------
    ValueError
        If the file is missing, not YAML, or not valid.
    """
    import yaml

    path = Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        msg = f'the file of literature values {path.name!r} cannot be read: {error.strerror}'
        raise ValueError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f'the file of literature values {path.name!r} is not YAML: {error}'
        raise ValueError(msg) from error
    try:
        return parse_values(entries)
    except ValueError as error:
        msg = f'{path.name}: {error}'
        raise ValueError(msg) from error


@lru_cache(maxsize=1)
def _shipped() -> tuple[LiteratureValue, ...]:
    with resources.as_file(resources.files('aiida_hdiff.literature').joinpath('values.yaml')) as path:
        return read_values(path)


def parse_values(entries: Any) -> tuple[LiteratureValue, ...]:
    """Check parsed YAML and return the values, the recommended ones first.

    Parameters
    ----------
    entries : list of dict
        One mapping per value, with the field names of `LiteratureValue`.

    Returns
    -------
    tuple of LiteratureValue
        The checked values.

    Raises
    ------
    ValueError
        If an entry is incomplete, a number is out of range, or a key occurs twice.
    """
    if not isinstance(entries, list):
        msg = 'literature values: expected a list of entries'
        raise ValueError(msg)
    values = [_parse_entry(entry, number) for number, entry in enumerate(entries, start=1)]
    seen: set[str] = set()
    for value in values:
        if value.key in seen:
            msg = f'literature value {value.key!r}: the key occurs twice'
            raise ValueError(msg)
        seen.add(value.key)
    return _recommended_first(values)


def _recommended_first(values: Iterable[LiteratureValue]) -> tuple[LiteratureValue, ...]:
    return tuple(sorted(values, key=lambda value: not value.recommended))


def _parse_entry(entry: Any, number: int) -> LiteratureValue:
    """Check one entry."""
    if not isinstance(entry, Mapping):
        msg = f'literature value number {number}: expected a mapping'
        raise ValueError(msg)
    name = f'literature value {entry.get("key", f"number {number}")!r}'

    def fail(problem: str) -> ValueError:
        return ValueError(f'{name}: {problem}')

    if unknown := sorted(set(entry) - _FIELDS, key=str):
        raise fail(f'unknown field {", ".join(map(str, unknown))}')
    for field in _REQUIRED:
        if not isinstance(entry.get(field), str) or not entry[field]:
            raise fail(f'{field} must be a text')
    if not _KEY.fullmatch(entry['key']):
        raise fail('key must be lower-case letters and digits, with hyphens between')
    for field, choices in _CHOICES.items():
        if entry[field] not in choices:
            raise fail(f'{field} is {entry[field]!r}, not one of {", ".join(choices)}')
    for field, (low, high) in _LIMITS.items():
        value = entry.get(field)
        if value is not None and not (_is_number(value) and low <= value <= high):
            raise fail(f'{field} is {value!r}, not a number from {low:g} to {high:g}{_hint(value)}')
    data = dict(entry)
    for field in ('temperature_range_K', 'point'):
        pair = entry.get(field)
        if pair is None:
            continue
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_number(x) and x > 0 for x in pair)):
            wrong = pair[-1] if isinstance(pair, list) and pair else pair
            raise fail(f'{field} is {pair!r}, not two positive numbers{_hint(wrong)}')
        data[field] = (float(pair[0]), float(pair[1]))
    _check_pairs(data, fail)
    if not isinstance(data.get('recommended', False), bool):
        raise fail(f'recommended is {data["recommended"]!r}, not true or false')
    if not isinstance(data.get('note', ''), str):
        raise fail(f'note is {data["note"]!r}, not a text')
    doi = data.get('doi')
    if doi is not None and not (isinstance(doi, str) and _DOI.fullmatch(doi)):
        raise fail(f'{doi!r} is not a DOI, which begins with 10. and has no https://doi.org/ before it')
    return LiteratureValue(**data)


def _check_pairs(data: dict[str, Any], fail: Callable[[str], ValueError]) -> None:
    """Check range and point, and that there is something to compare with."""
    low_high, point = data.get('temperature_range_K'), data.get('point')
    if low_high is not None and low_high[0] >= low_high[1]:
        raise fail('temperature_range_K must be [lowest, highest]')
    if point is not None and not all(low <= x <= high for x, (low, high) in zip(point, _POINT_LIMITS, strict=True)):
        raise fail(f'point is {list(point)}, not [temperature in K, D in m²/s]')
    if data.get('activation_energy_eV') is None and point is None:
        raise fail('neither an activation energy nor a point is given')
    for value, error in (
        ('prefactor_m2_s', 'prefactor_error_m2_s'),
        ('activation_energy_eV', 'activation_energy_error_eV'),
    ):
        if data.get(error) is not None and data.get(value) is None:
            raise fail(f'{error} is given without {value}')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _hint(value: Any) -> str:
    """Explain the usual reason why a number came out as text."""
    if isinstance(value, str) and re.fullmatch(r'[+-]?\d+[eE][+-]?\d+', value):
        return f': YAML reads {value} as text, write {value.lower().replace("e", ".0e")}'
    return ''
