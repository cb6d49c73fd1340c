"""INCAR files of VASP: written, read, and reduced to the settings that define the electronic structure.

Format: https://www.vasp.at/wiki/index.php/INCAR.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

SETTINGS_PREFIX = 'vasp:'
EMULATED_PREFIX = 'emulated-'
"""Begins the reference of labels that the stand-in for VASP has made: they never mix with those of VASP."""
LARGEST_SEED = 900_000_000
"""Upper bound of the first number of RANDOM_SEED."""

_DYNAMICS = (
    'ANDERSEN_PROB APACO CSVR_PERIOD IBRION ISIF KBLOCK LANGEVIN_GAMMA LANGEVIN_GAMMA_L MDALGO NBLOCK NHC_NCHAINS '
    'NHC_NRESPA NHC_NS NHC_PERIOD NPACO NSUBSYS NSW PMASS POMASS POTIM PSTRESS PSUBSYS RANDOM_GENERATOR RANDOM_SEED '
    'SHAKEMAXITER SHAKETOL SMASS TEBEG TEEND TSUBSYS VELOCITY'
)
_OUTPUT_AND_MACHINE = (
    'ICHARG INIWAV ISTART KPAR LAECHG LASYNC LCHARG LDWNUM LELF LH5 LORBIT LPLANE LSCALAPACK LSCALU LVHAR LVTOT LWAVE '
    'NCORE NCORE_IN_IMAGE1 NELM NELMDL NELMIN NPAR NSIM NWRITE SYSTEM'
)
DYNAMICS = frozenset(_DYNAMICS.split())
"""Tags that move atoms and the cell."""
NOT_ELECTRONIC = frozenset(f'{_DYNAMICS} {_OUTPUT_AND_MACHINE}'.split())
"""Tags that move atoms, write files or distribute work; with them all ML_ tags."""

_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?')
_TRUE = re.compile(r'\.?t(rue)?\.?', re.IGNORECASE)
_FALSE = re.compile(r'\.?f(alse)?\.?', re.IGNORECASE)
_TAG = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


def normalised(incar: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with tags in capitals, in alphabetical order, without those that are ``None``.

    Raises
    ------
    ValueError
        If a tag is no word or is given twice in different spellings.
    """
    values: dict[str, Any] = {}
    for key, value in incar.items():
        if not isinstance(key, str) or not _TAG.fullmatch(key):
            raise ValueError(f'{key!r} is no INCAR tag: give a word of letters, digits and underscores.')
        tag = key.upper()
        if tag in values:
            raise ValueError(f'`{tag}` is given twice in different spellings: give it once.')
        values[tag] = value
    return {tag: values[tag] for tag in sorted(values) if values[tag] is not None}


def truth(value: Any) -> bool | None:
    """Return a logical value however it is spelled, or ``None`` if it is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if _TRUE.fullmatch(value.strip()):
            return True
        if _FALSE.fullmatch(value.strip()):
            return False
    return None


def numbers(value: Any) -> list[float] | None:
    """Return the numbers of a value, a list or a text such as ``10 10`` or ``2*10``, or ``None`` if it has others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return [float(value)]
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, Sequence) or not words:
        return None
    found: list[float] = []
    for word in words:
        if isinstance(word, bool) or not isinstance(word, (str, int, float)):
            return None
        repeat, star, text = str(word).rpartition('*')
        if (star and not repeat.isdigit()) or not _NUMBER.fullmatch(text):
            return None
        found += [float(text.lower().replace('d', 'e'))] * (int(repeat) if star else 1)
    return found


def number(value: Any) -> float | None:
    """Return a single number, or ``None`` if the value is not one."""
    found = numbers(value)
    return found[0] if found is not None and len(found) == 1 else None


def seed_value(seed: int) -> str:
    """Return the value of RANDOM_SEED for a whole number."""
    return f'{seed % LARGEST_SEED} 0 0'


def format_incar(incar: Mapping[str, Any]) -> str:
    """Return the text of an INCAR: one tag a line, in alphabetical order.

    Raises
    ------
    ValueError
        If a tag or a value cannot be written.
    """
    return ''.join(f'{tag} = {_text(tag, value)}\n' for tag, value in normalised(incar).items())


def _text(tag: str, value: Any) -> str:
    if isinstance(value, bool):
        return '.TRUE.' if value else '.FALSE.'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        if any(mark in value for mark in '\n;#!\\'):
            raise ValueError(f'`{tag}` is {value!r}: line breaks and ; # ! \\ cannot be in a value.')
        return value.strip()
    if isinstance(value, Sequence) and value:
        return ' '.join(_text(tag, item) for item in value)
    raise ValueError(f'`{tag}` is {value!r}: give a number, a text, true or false, or a list of these.')


def read_incar(text: str) -> dict[str, Any]:
    """Return the tags of an INCAR by their names in capitals: logical values, numbers, lists of numbers, and texts.

    Of a tag that occurs twice the first value counts, as it does for VASP.

    Raises
    ------
    ValueError
        If a line with an equals sign has no tag before it.
    """
    values: dict[str, Any] = {}
    joined = re.sub(r'\\[ \t]*\r?\n', ' ', text)
    for line_number, line in enumerate(joined.splitlines(), 1):
        for statement in re.split('[#!]', line, maxsplit=1)[0].split(';'):
            tag, equals, value = statement.partition('=')
            if not equals:
                continue
            if not _TAG.fullmatch(tag.strip()):
                raise ValueError(f'INCAR, line {line_number}: {tag.strip()!r} is no tag: correct the line.')
            values.setdefault(tag.strip().upper(), _value(value.strip()))
    return values


def _value(text: str) -> Any:
    logical = truth(text)
    if logical is not None:
        return logical
    found = numbers(text)
    if found is None:
        return text
    values = [int(item) if item.is_integer() and not re.search('[.eEdD]', text) else item for item in found]
    return values[0] if len(values) == 1 else values


def electronic_settings(incar: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags that define the electronic structure, each in one spelling: what labels must have in common.

    Numbers are floats, logical values booleans, texts in small letters.
    """
    return {
        tag: _canonical(value)
        for tag, value in normalised(incar).items()
        if tag not in NOT_ELECTRONIC and not tag.startswith('ML_')
    }


def _canonical(value: Any) -> Any:
    logical = truth(value)
    if logical is not None:
        return logical
    found = numbers(value)
    if found is not None:
        return found[0] if len(found) == 1 else found
    if isinstance(value, str):
        return ' '.join(value.split()).lower()
    return [_canonical(item) for item in value]


def dft_settings_hash(incar: Mapping[str, Any], potcar_titles: Sequence[str], kpoints: Any) -> str:
    """Return the identity of a level of theory.

    Two calculations with the same identity give labels that may be trained on together. Tags of the dynamics, of the
    force field, of the output and of the parallel distribution do not count, nor do spellings and the order of tags.

    Parameters
    ----------
    incar
        All tags of the calculation.
    potcar_titles
        TITEL of each POTCAR; their order does not count.
    kpoints
        The k-points as plain values, such as ``{'mesh': [1, 1, 1], 'offset': [0.0, 0.0, 0.0]}``.

    Returns
    -------
    str
        ``vasp:`` and 16 hexadecimal digits.
    """
    content = {
        'incar': electronic_settings(incar),
        'potcars': sorted(' '.join(title.split()) for title in potcar_titles),
        'kpoints': _plain(kpoints),
    }
    text = json.dumps(content, sort_keys=True, separators=(',', ':'))
    return SETTINGS_PREFIX + hashlib.sha256(text.encode()).hexdigest()[:16]


def label_reference(settings_hash: str, *, emulated: bool) -> str:
    """Return the reference of labels made with these settings by VASP, or by its stand-in."""
    return EMULATED_PREFIX + settings_hash if emulated and settings_hash else settings_hash


def settings_of_reference(reference: str) -> str:
    """Return the identity of the settings in a reference, whether the labels are emulated or not."""
    return reference.removeprefix(EMULATED_PREFIX)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, (int, float)):
        return float(value)
    return [_plain(item) for item in value]
