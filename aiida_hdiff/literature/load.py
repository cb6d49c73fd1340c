"""Reading and checking ``values.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from importlib import resources
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
    'prefactor_error_m2_s': (0.0, 1e-2),
    'activation_energy_eV': (0.0, 3.0),
    'activation_energy_error_eV': (0.0, 1.0),
}
_DOI = re.compile(r'10\.\d{4,9}/\S+')


def load_literature(host: str | None = None) -> tuple[LiteratureValue, ...]:
    """Return the published values shipped with the package.

    Parameters
    ----------
    host : str, optional
        Chemical symbol of the host, for example ``Ni``; by default all hosts.

    Returns
    -------
    tuple of LiteratureValue
        Recommended values come first; empty where nothing is known for the host.

    Raises
    ------
    ValueError
        If the file of values is not valid.
    """
    return tuple(value for value in _load_all() if host is None or value.host == host)


@lru_cache(maxsize=1)
def _load_all() -> tuple[LiteratureValue, ...]:
    import yaml

    text = resources.files('aiida_hdiff.literature').joinpath('values.yaml').read_text(encoding='utf-8')
    return parse_values(yaml.safe_load(text))


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
    return tuple(sorted(values, key=lambda value: not value.recommended))


def _parse_entry(entry: Any, number: int) -> LiteratureValue:
    """Check one entry."""
    if not isinstance(entry, Mapping):
        msg = f'literature value number {number}: expected a mapping'
        raise ValueError(msg)
    name = f'literature value {entry.get("key", f"number {number}")!r}'

    def fail(problem: str) -> ValueError:
        return ValueError(f'{name}: {problem}')

    if unknown := sorted(set(entry) - _FIELDS):
        raise fail(f'unknown field {", ".join(map(str, unknown))}')
    for field in _REQUIRED:
        if not isinstance(entry.get(field), str) or not entry[field]:
            raise fail(f'{field} must be a text')
    for field, choices in _CHOICES.items():
        if entry[field] not in choices:
            raise fail(f'{field} is {entry[field]!r}, not one of {", ".join(choices)}')
    for field, (low, high) in _LIMITS.items():
        value = entry.get(field)
        if value is not None and not (_is_number(value) and low <= value <= high):
            raise fail(f'{field} is {value!r}, not a number from {low:g} to {high:g}')
    data = dict(entry)
    for field in ('temperature_range_K', 'point'):
        pair = entry.get(field)
        if pair is None:
            continue
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_number(x) and x > 0 for x in pair)):
            raise fail(f'{field} is {pair!r}, not two positive numbers')
        data[field] = (float(pair[0]), float(pair[1]))
    low_high = data.get('temperature_range_K')
    if low_high is not None and low_high[0] >= low_high[1]:
        raise fail('temperature_range_K must be [lowest, highest]')
    if data.get('activation_energy_eV') is None and data.get('point') is None:
        raise fail('neither an activation energy nor a point is given')
    if not isinstance(data.get('recommended', False), bool):
        raise fail(f'recommended is {data["recommended"]!r}, not true or false')
    doi = data.get('doi')
    if doi is not None and not (isinstance(doi, str) and _DOI.fullmatch(doi)):
        raise fail(f'{doi!r} is not a DOI')
    return LiteratureValue(**data)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
