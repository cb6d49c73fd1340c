"""The grammar of VASP's ML_AB files, one pattern per line of the format.

The pieces joined make the pattern that reads; the first of them that does not match is the line that is wrong.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aiida_hdiff.formats.ml_ab import VERSION

Pieces = tuple[tuple[str, bytes], ...]
"""What is expected, and its pattern."""

_STARS = ('a line of 50 "*"', rb' *\*{50} *\n')
_EQUALS = ('a line of 50 "="', rb' *={50} *\n')
_BEFORE_STARS = (_STARS[0], b'(?=' + _STARS[1] + b')')
_DASHES = ('a line of 50 "-"', rb' *-{50} *\n')
_INTEGER = ('an integer', rb' *(\d{1,12}) *\n')
_TO_STARS = ('values', rb'([^*]*)')
_TO_EQUALS = ('numbers', rb'([^=]*)')
_LINE = ('a line', rb'([^\n]*)\n')
_TYPE = rb' *[^\s*=]+ +\d{1,12} *\n'
_TYPES = ('lines of an element and a count', b'((?:' + _TYPE + b')+)(?!' + _TYPE + b')')
_NUMBERS = ('a line of numbers', rb'([^\n]*\n)')


def _title(text: str) -> tuple[str, bytes]:
    return f'"{text}"', b' *' + re.escape(text.encode()) + rb' *\n'


def _section(ledger: tuple[str, bytes], title: str, body: tuple[str, bytes]) -> Pieces:
    return (ledger, _title(title), _DASHES, body)


HEADER: Pieces = (
    (f'"{VERSION} Version"', rb' *' + re.escape(VERSION.encode()) + rb' +Version *\n'),
    *_section(_STARS, 'The number of configurations', _INTEGER),
    *_section(_STARS, 'The maximum number of atom type', _INTEGER),
    *_section(_STARS, 'The atom types in the data file', _TO_STARS),
    *_section(_STARS, 'The maximum number of atoms per system', _INTEGER),
    *_section(_STARS, 'The maximum number of atoms per atom type', _INTEGER),
    *_section(_STARS, 'Reference atomic energy (eV)', _TO_STARS),
    *_section(_STARS, 'Atomic mass', _TO_STARS),
    *_section(_STARS, 'The numbers of basis sets per atom type', _TO_STARS),
    _BEFORE_STARS,
)
_CTIFOR = _EQUALS[1] + _title('CTIFOR')[1]
FRAME: Pieces = (
    _STARS,
    ('"Configuration num." and its number', rb' *Configuration num\. *(\d{1,12}) *\n'),
    *_section(_EQUALS, 'System name', _LINE),
    *_section(_EQUALS, 'The number of atom types', _INTEGER),
    *_section(_EQUALS, 'The number of atoms', _INTEGER),
    *_section(_STARS, 'Atom types and atom numbers', _TYPES),
    ('"CTIFOR"', rb'(?:(?P<ctifor>' + _CTIFOR + rb')|(?!' + _CTIFOR + rb'))'),
    (_DASHES[0], rb'(?(ctifor)' + _DASHES[1] + rb')'),
    (_TO_EQUALS[0], rb'(?(ctifor)' + _TO_EQUALS[1] + rb')'),
    *_section(_EQUALS, 'Primitive lattice vectors (ang.)', _TO_EQUALS),
    *_section(_EQUALS, 'Atomic positions (ang.)', _TO_EQUALS),
    *_section(_EQUALS, 'Total energy (eV)', _TO_EQUALS),
    *_section(_EQUALS, 'Forces (eV ang.^-1)', _TO_EQUALS),
    *(_EQUALS, _title('Stress (kbar)'), _DASHES),
    *(_title('XX YY ZZ'), _DASHES, _NUMBERS, _DASHES, _title('XY YZ ZX'), _DASHES, _NUMBERS),
)


def basis_pieces(element: str) -> Pieces:
    """Return the grammar of the basis set of an element: one group."""
    return (*_section(_STARS, f'Basis set for {element}', _TO_STARS), _BEFORE_STARS)


@lru_cache(maxsize=64)
def prefixes(pieces: Pieces) -> tuple[re.Pattern[bytes], ...]:
    """Return the patterns of the first piece, of the first two, ..., and of the whole part."""
    patterns = [pattern for _, pattern in pieces]
    return tuple(re.compile(b''.join(patterns[:count])) for count in range(1, len(patterns) + 1))
