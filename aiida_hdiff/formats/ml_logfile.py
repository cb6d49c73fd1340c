"""ML_LOGFILE: how a force field was trained on the fly.

Format: https://www.vasp.at/wiki/index.php/ML_LOGFILE. The header of the main loop names the columns of every kind of
line, which differ between versions of VASP; names are taken from there. Rows begin with their keyword and the step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.text_stream import LineReader, TruncatedError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Column = NDArray[Any]

BLOCK_ROWS = 4096
MAX_COLUMNS = 10**4

_ROW = re.compile(rb'([A-Z][A-Z0-9_]*)\s+(\d+|\*+)(?:\s|$)')
_COMMENT = re.compile(rb'#\s*([A-Z][A-Z0-9_]*)(?:\s+(.*?))?\s*$')
_SECTION = re.compile(rb'\*\s+(\S.*?)\s+\*{3,}\s*$')
_SETTING = re.compile(rb'.*:\s*(ML_[A-Z0-9_]+)\s*=\s*(.*?)\s*$')


@dataclass(frozen=True, eq=False)
class LocalConfigurations:
    """Local reference configurations of one element at the steps at which they changed, each of shape (n_updates,).

    Attributes
    ----------
    steps
        Steps of the run.
    before, after
        Numbers of configurations.
    """

    steps: Integers
    before: Integers
    after: Integers


@dataclass(frozen=True, eq=False)
class MLLogfile:
    """The tables of ML_LOGFILE.

    Attributes
    ----------
    tables
        Columns by keyword and name, such as ``tables['BEEF']['bee_max_force']``; each of shape (n_rows,), of integers,
        numbers, truth values or text. Names that occur again get a number: `el`, `el_2`. A column without a name is
        called by its number in the file, as in `column_9`. Units are those of the file: eV, eV/Å, kbar.
    settings
        Values of the tags in effect that begin with ``ML_``, as written.
    emulated
        Whether the file says that a stand-in has written it and not VASP.
    truncated
        Whether the file ends within the main loop.
    """

    tables: Mapping[str, Mapping[str, Column]]
    settings: Mapping[str, str]
    emulated: bool
    truncated: bool

    def column(self, keyword: str, name: str) -> Column:
        """Return a column, empty if the file has no such rows.

        Raises
        ------
        ValueError
            The rows are there, without such a column.
        """
        table = self.tables.get(keyword)
        if table is None:
            return np.empty(0)
        if name not in table:
            raise ValueError(f'{keyword} of ML_LOGFILE has no column {name!r}, only {", ".join(table)}')
        return table[name]

    @property
    def bayesian_errors(self) -> Mapping[str, Column]:
        """Columns of BEEF: Bayesian errors and the threshold at each step.

        `nstep`, `bee_energy` (eV/atom), `bee_max_force`, `bee_ave_force`, `threshold` (eV/Å), `bee_max_stress`,
        `bee_ave_stress` (kbar).
        """
        return self.tables.get('BEEF', {})

    @property
    def training_errors(self) -> Mapping[str, Column]:
        """Columns of ERR: `nstep`, `rmse_energy` (eV/atom), `rmse_force` (eV/Å), `rmse_stress` (kbar)."""
        return self.tables.get('ERR', {})

    @property
    def threshold_updates(self) -> Mapping[str, Column]:
        """Columns of THRUPD: the step, the old and the new threshold in eV/Å, and what the decision was based on."""
        return self.tables.get('THRUPD', {})

    @property
    def dft_steps(self) -> Integers:
        """Steps that were calculated by DFT, shape (n_dft,)."""
        steps, chosen = self.column('STATUS', 'nstep'), self.column('STATUS', 'doabin')
        return np.asarray(steps[chosen.astype(bool)], dtype=np.int64)

    @property
    def states(self) -> dict[str, int]:
        """Number of steps in each state: accurate, threshold, learning, critical, predict."""
        names, counts = np.unique(self.column('STATUS', 'state').astype(str), return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}

    @property
    def local_configurations(self) -> dict[str, LocalConfigurations]:
        """Local reference configurations by element, from LCONF."""
        columns = list(self.tables.get('LCONF', {}).values())
        found = {}
        for element, before, after in zip(columns[1::3], columns[2::3], columns[3::3], strict=False):
            for symbol in np.unique(element[element != '']) if element.dtype.kind == 'U' else ():
                chosen = element == symbol
                parts = (column[chosen].astype(np.float64).astype(np.int64) for column in (columns[0], before, after))
                found[str(symbol)] = LocalConfigurations(*parts)
        return found


def read_ml_logfile(path: str | Path, *, allow_truncated: bool = False) -> MLLogfile:
    """Read ML_LOGFILE, plain or gzipped.

    Parameters
    ----------
    path
        The file.
    allow_truncated
        Return the complete rows of a file that ends within the main loop, instead of raising an error.

    Raises
    ------
    ValueError
        No ML_LOGFILE, rows that cannot be read, or truncated; names the line.
    """
    tables: dict[str, _Table] = {}
    settings: dict[str, str] = {}
    section, begun, emulated, broken = '', False, False, False
    with LineReader(Path(path)) as lines:
        try:
            while line := lines.next():
                if not line.endswith(b'\n'):
                    broken = True
                    break
                if match := _ROW.match(line):
                    begun = True
                    key = match[1].decode()
                    tables.setdefault(key, _Table(key)).append(line, lines)
                elif match := _COMMENT.match(line):
                    key = match[1].decode()
                    tables.setdefault(key, _Table(key)).describe(match[2] or b'')
                elif match := _SECTION.match(line):
                    section = match[1].decode(errors='replace')
                    emulated = emulated or 'EMULAT' in section
                elif match := _SETTING.match(line):
                    settings[match[1].decode()] = match[2].decode(errors='replace')
                else:
                    emulated = emulated or b'EMULATED' in line
        except TruncatedError:
            broken = True
        if not (section or begun):
            raise lines.error('no section and no row until here: this is no ML_LOGFILE')
        truncated = broken or section in ('', 'MAIN LOOP')
        if truncated and not allow_truncated:
            raise TruncatedError(
                f'{lines.name} is truncated: it ends at line {lines.line} '
                f'{"within" if section == "MAIN LOOP" else "before the end of"} the main loop: '
                'read it with allow_truncated=True to use the rows before'
            )
    columns = {key: table.columns() for key, table in tables.items() if table.has_rows}
    return MLLogfile(columns, settings, emulated, truncated)


class _Table:
    """Rows of one keyword, converted in blocks."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._names: list[str] = []
        self._last: list[bytes] = []
        self._rows: list[list[bytes]] = []
        self._blocks: list[list[Column]] = []

    @property
    def has_rows(self) -> bool:
        """Whether there is a row."""
        return bool(self._rows or self._blocks)

    def describe(self, text: bytes) -> None:
        """Take in a line of the header; columns have the names above their numbers 2, 3 and so on."""
        words = text.split()
        numbers = [word for word in words if word.isdigit()]
        if numbers[:1] == [b'2'] and set(words) - set(numbers) <= {b'...'} and self._last:
            self._names = [word.decode(errors='replace') for word in self._last if word != b'...'][:MAX_COLUMNS]
        self._last = words

    def append(self, line: bytes, lines: LineReader) -> None:
        """Take in a row."""
        words = line.split()[1:]
        if len(words) > MAX_COLUMNS:
            raise lines.error(f'{len(words)} columns in {self._key}: the file is damaged')
        self._rows.append(words)
        if len(self._rows) == BLOCK_ROWS:
            self._flush()

    def columns(self) -> dict[str, Column]:
        """Return the columns by name."""
        self._flush()
        n_columns = max(len(block) for block in self._blocks)
        lengths = [len(block[0]) for block in self._blocks]
        result = {}
        for index, name in enumerate(self._unique_names(n_columns)):
            missing = [np.full(length, np.nan) for length in lengths]
            parts = [
                block[index] if index < len(block) else empty
                for block, empty in zip(self._blocks, missing, strict=True)
            ]
            kinds = {part.dtype.kind for part in parts}
            if len(kinds) > 1 and not kinds <= {'i', 'f'}:
                parts = [part.astype(str) for part in parts]
            result[name] = np.concatenate(parts)
        return result

    def _flush(self) -> None:
        if self._rows:
            n_columns = max(len(row) for row in self._rows)
            padded = [row + [b''] * (n_columns - len(row)) for row in self._rows]
            self._blocks.append([_convert(words) for words in zip(*padded, strict=True)])
            self._rows.clear()

    def _unique_names(self, count: int) -> list[str]:
        names = self._names[:count] or ['nstep']
        # Columns that repeat for every element may be named once only.
        group = names[1:] if self._key == 'LCONF' and len(names) == 4 else []
        while group and len(names) < count:
            names = names + group
        names = names[:count] + [f'column_{index + 2}' for index in range(len(names), count)]
        return [
            name if not names[:i].count(name) else f'{name}_{names[:i].count(name) + 1}' for i, name in enumerate(names)
        ]


def _convert(words: tuple[bytes, ...]) -> Column:
    """Return a column as integers, numbers (NaN for overflow or no value), truth values or text."""
    if all(word in (b'T', b'F') for word in words):
        return np.array([word == b'T' for word in words])
    try:
        return np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([float(word) if word.strip(b'*') else np.nan for word in words])
    except ValueError:
        return np.array([word.decode(errors='replace') for word in words])
