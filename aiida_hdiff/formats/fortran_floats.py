"""Floating-point numbers as Fortran compilers print them in list-directed output (``write (unit, *)``).

VASP writes its ML_AB files that way, so that their columns depend on the compiler. A layout is kept when a file is
rewritten; a table that it would round is written with all its digits instead.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TOKEN = re.compile(rb'([+-]?(?:\d+\.?\d*|\.\d+))(?:[eEdD]([+-]?\d{1,4})|([+-]\d{3}))?')
"""Fortran also reads and writes `D` for `E`, and leaves the letter out before an exponent of three digits."""


@dataclass(frozen=True)
class FloatLayout:
    """How one compiler prints double-precision numbers.

    Attributes
    ----------
    name
        Name of the compiler.
    width
        Columns of a number.
    fixed_digits
        Significant digits from 0.1 on, where numbers have no exponent and are followed by five blanks.
    exponent_decimals
        Decimals of smaller numbers, which have an exponent of three digits.
    zero_has_exponent
        Whether zero is printed with an exponent.
    """

    name: str
    width: int
    fixed_digits: int
    exponent_decimals: int
    zero_has_exponent: bool

    def format(self, table: Floats) -> bytes:
        """Return the lines of a table, shape (n_lines, n_columns), as this compiler prints them."""
        sizes = np.abs(table)
        below = sizes < 0.1 - 0.5 * 10.0 ** -(self.fixed_digits + 1)
        form = np.where(below | (sizes >= 10.0**self.fixed_digits), 1, 0)
        form[sizes == 0.0] = int(self.zero_has_exponent)
        form[(form == 1) & (sizes != 0.0) & ((sizes < 1e-99) | (sizes >= 1e99))] = 2
        decimals = self.exponent_decimals
        fields = (
            f'%#{self.width - 5}.{self.fixed_digits}g     ',
            f'%{self.width - 1}.{decimals}E',
            f'%{self.width}.{decimals}E',
        )
        template = '\n'.join(''.join([fields[i] for i in row]) for row in form.tolist()) + '\n'
        text = (template % tuple(table.ravel().tolist())).encode()
        return re.sub(rb'E([+-])(\d\d)(?!\d)', rb'E\g<1>0\2', text)


LAYOUTS = (
    FloatLayout('intel', 24, 15, 15, zero_has_exponent=True),
    FloatLayout('nvidia', 26, 16, 16, zero_has_exponent=False),
    FloatLayout('gnu', 26, 17, 16, zero_has_exponent=False),
)


def detect_layout(text: bytes, table: Floats) -> str | None:
    """Return the name of the layout that prints a table exactly as in the text, None if there is none."""
    return next((layout.name for layout in LAYOUTS if layout.format(table) == text), None)


def format_floats(table: Floats, layout: str | None) -> bytes:
    """Return the lines of a table, shape (n_lines, n_columns), which read back to the same numbers.

    Parameters
    ----------
    table
        Finite numbers.
    layout
        Name of a layout; without one, or where it would round a number, the shortest exact digits are written.

    Raises
    ------
    ValueError
        The layout is unknown.
    """
    if layout is not None:
        known = {one.name: one for one in LAYOUTS}
        if layout not in known:
            raise ValueError(f'unknown layout of numbers {layout!r}: choose one of {", ".join(known)}, or None')
        text = known[layout].format(table)
        values = parse_floats(text)
        if values is not None and np.array_equal(values, table.ravel()):
            return text
    return ''.join(''.join([f' {value!r:>24}' for value in row]) + '\n' for row in table.tolist()).encode()


def parse_floats(text: bytes) -> Floats | None:
    """Return the numbers of a text, None if a word of it is not one finite number in plain spelling."""
    with warnings.catch_warnings():
        warnings.simplefilter('error', DeprecationWarning)
        try:
            values = np.fromstring(text, dtype=np.float64, sep=' ')
        except (DeprecationWarning, ValueError):
            return None
    # A word such as `1.0-2.0` yields two numbers: compare the number of words.
    printed = np.frombuffer(text, dtype=np.uint8) > ord(' ')
    n_words = np.count_nonzero(printed[1:] & ~printed[:-1]) + int(printed[:1].sum())
    return values if n_words == len(values) and np.isfinite(np.sum(values)) else None


def parse_float(word: bytes) -> float | None:
    """Return the number that Fortran reads from a word, None if it is none or not finite."""
    match = _TOKEN.fullmatch(word)
    if match is None:
        return None
    value = float(match[1] + b'E' + (match[2] or match[3] or b'0'))
    return value if np.isfinite(value) else None
