"""Reader of VASP's ML_AB files: strict about the format, indifferent to columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.fortran_floats import detect_layout, parse_float, parse_floats
from aiida_hdiff.formats.ml_ab import MLAB, VERSION, MLABFrame, check_basis, check_frame
from aiida_hdiff.formats.ml_ab_grammar import FRAME, HEADER, Pieces, basis_pieces, prefixes
from aiida_hdiff.formats.text_stream import BLOCK_BYTES, TruncatedError

Floats = NDArray[np.float64]
T = TypeVar('T')


class _Table(NamedTuple):
    """A place in the file that holds numbers."""

    start: int
    end: int
    rows: int
    columns: int


class _Draft(NamedTuple):
    """A frame whose numbers are not read yet."""

    start: int
    end: int
    name: bytes
    elements: tuple[str, ...]
    counts: tuple[int, ...]
    tables: tuple[_Table, ...]


def read_ml_ab(source: str | Path | IO[str] | IO[bytes], *, allow_truncated: bool = False) -> MLAB:
    """Read a ML_AB or ML_ABN file.

    Words are read, not columns, so that the layout of any compiler is understood; titles, separating lines and all
    counts are checked.

    Parameters
    ----------
    source
        Path or stream.
    allow_truncated
        Return the complete configurations of a file that ends too early, as a killed run may leave it; the basis
        sets are then the dummy ``1 1``.

    Returns
    -------
    MLAB
        A sequence of `MLABFrame`, with the header.

    Raises
    ------
    ValueError
        The file is something else, empty, compressed, truncated, has Windows line ends, or a title, count or
        number in it is wrong; the message names the file and the line.
    """
    if isinstance(source, (str, Path)):
        name, data = Path(source).name, Path(source).read_bytes()
    else:
        text = source.read()
        name = Path(str(getattr(source, 'name', 'stream'))).name
        data = text.encode('utf-8', 'surrogateescape') if isinstance(text, str) else text
    return _Reader(name, data).read(allow_truncated)


class _Reader:
    """A file that is being read; positions are bytes from its start."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data
        self.float_layout: str | None = None
        self.with_ctifor = False
        if not data or data.isspace():
            raise ValueError(f'{name} is empty: no VASP run has written a training set there')
        if data[:2] == b'\x1f\x8b':
            raise ValueError(f'{name} is compressed: unpack it with gunzip first')
        first, *rest = data[:200].split(b'\n', 1)
        words, expected = b' '.join(first.split()), f'{VERSION} Version'.encode()
        if words != expected and (rest or not expected.startswith(words)):
            raise self.error(
                0, f'a ML_AB file begins with "{VERSION} Version", not {_show(first)}: this is another file'
            )
        if b'\r' in data:
            raise self.error(data.index(b'\r'), 'it has Windows line ends: convert it with dos2unix')

    def error(self, position: int, text: str) -> ValueError:
        return ValueError(f'{self.name}, line {self.line(position)}: {text}')

    def line(self, position: int) -> int:
        return self.data.count(b'\n', 0, position) + 1

    def match(self, pieces: Pieces, position: int, where: str) -> re.Match[bytes]:
        """Match a part of the format; if it does not, find out which line is to blame."""
        patterns = prefixes(pieces)
        match = patterns[-1].match(self.data, position)
        if match:
            return match
        start = position
        for (expected, _), pattern in zip(pieces, patterns, strict=True):
            step = pattern.match(self.data, start)
            if step is None:
                end = self.data.find(b'\n', position)
                if end < 0:
                    raise TruncatedError(
                        f'{self.name} is truncated: it ends at line {self.line(position)} in {where}, before '
                        f'{expected}: read it with allow_truncated=True to keep the configurations before'
                    )
                found = _show(self.data[position : min(end, position + 60)])
                raise self.error(position, f'{where} should have {expected} here, not {found}')
            position = step.end()
        raise AssertionError(where)

    def words(self, match: re.Match[bytes], group: int, count: int, what: str) -> list[bytes]:
        words = match[group].split()
        if len(words) != count:
            raise self.error(match.start(group), f'{len(words)} {what} instead of {count}, one for each type')
        return words

    def floats(self, match: re.Match[bytes], group: int, count: int, what: str) -> Floats:
        values = [parse_float(word) for word in self.words(match, group, count, what)]
        if None in values:
            raise self.error(match.start(group), f'{what} should be finite numbers, not {_show(match[group])}')
        return np.array(values, dtype=np.float64)

    def read(self, allow_truncated: bool) -> MLAB:
        head = self.match(HEADER, 0, 'the header')
        n_frames, n_types = int(head[1]), int(head[2])
        elements = tuple(word.decode('utf-8', 'replace') for word in self.words(head, 3, n_types, 'atom types'))
        if len(set(elements)) != n_types or n_types == 0:
            raise self.error(head.start(3), f'the atom types {" ".join(elements)} repeat or are missing')
        energies = self.floats(head, 6, n_types, 'reference energies')
        masses = self.floats(head, 7, n_types, 'masses')
        sizes = self.floats(head, 8, n_types, 'numbers of basis sets')
        bases: list[NDArray[np.int64]] = []
        starts, position = [], head.end()
        for element, size in zip(elements, sizes, strict=True):
            part = self.match(basis_pieces(element), position, 'the header')
            if size < 1 or size % 1:
                raise self.error(head.start(8), f'{size:g} basis sets for {element}: at least one, a dummy, is needed')
            pairs = self.tables([_Table(*part.span(1), int(size), 2)])
            if np.any(pairs % 1):
                raise self.error(part.start(1), f'the basis set for {element} should be pairs of integers')
            bases.append(pairs.astype(np.int64).reshape(-1, 2))
            starts.append(part.start(1))
            position = part.end()
        frames = self.frames(position, n_frames, elements, allow_truncated)
        if len(frames) < n_frames:
            bases = [np.array([[1, 1]]) for _ in elements]
        for element, basis, start in zip(elements, bases, starts, strict=True):
            self.checked(start, check_basis, element, basis, frames)
        limits = int(head[4]), int(head[5])
        return self.checked(
            head.start(4), MLAB, frames, elements, energies, masses, tuple(bases), *limits, self.float_layout
        )

    def frames(
        self, position: int, n_frames: int, elements: Sequence[str], allow_truncated: bool
    ) -> tuple[MLABFrame, ...]:
        frames: list[MLABFrame] = []
        drafts: list[_Draft] = []
        start = position
        try:
            for number in range(1, n_frames + 1):
                drafts.append(draft := self.draft(position, number))
                position = draft.end
                if position - start > BLOCK_BYTES:
                    frames += self.finished(drafts, len(frames), elements)
                    drafts, start = [], position
        except TruncatedError:
            if not allow_truncated:
                raise
        else:
            if self.data[position:].strip():
                raise self.error(
                    position, f'more follows after the {n_frames} configurations that the header announces'
                )
        frames += self.finished(drafts, len(frames), elements)
        if not frames:
            raise ValueError(f'{self.name} has no complete configuration')
        return tuple(frames)

    def draft(self, position: int, number: int) -> _Draft:
        """Find the parts of a frame, and check everything but its numbers."""
        where = f'configuration {number}'
        match = self.match(FRAME, position, where)
        index, name, n_types, n_atoms, types = match.group(1, 2, 3, 4, 5)
        if int(index) != number:
            raise self.error(match.start(1), f'{where} has the number {int(index)}: number them from 1 on')
        words = types.split()
        counts = tuple(map(int, words[1::2]))
        if len(counts) != int(n_types) or sum(counts) != int(n_atoms) or min(counts) < 1:
            raise self.error(
                match.start(3),
                f'{where} announces {int(n_types)} types and {int(n_atoms)} atoms, but lists {len(counts)} types with '
                f'{sum(counts)} atoms',
            )
        shapes = ((1, 1), (3, 3), (sum(counts), 3), (1, 1), (sum(counts), 3), (1, 3), (1, 3))
        tables = tuple(
            _Table(*match.span(group), *shape) for group, shape in enumerate(shapes, 7) if match[group] is not None
        )
        return _Draft(
            match.start(),
            match.end(),
            name[5:].rstrip() if name[:5].isspace() else name.strip(),
            tuple(word.decode('utf-8', 'replace') for word in words[::2]),
            counts,
            tables,
        )

    def finished(self, drafts: Sequence[_Draft], n_before: int, elements: Sequence[str]) -> list[MLABFrame]:
        """Read the numbers of some frames at once."""
        values = self.tables([table for draft in drafts for table in draft.tables])
        values.setflags(write=False)
        frames: list[MLABFrame] = []
        begin = 0
        for draft in drafts:
            parts = []
            for table in draft.tables:
                end = begin + table.rows * table.columns
                parts.append(values[begin:end].reshape(table.rows, table.columns))
                begin = end
            cell, positions, energy, forces, _, _ = parts[-6:]
            frame = self.checked(
                draft.start,
                MLABFrame,
                draft.name.decode('utf-8', 'surrogateescape'),
                draft.elements,
                draft.counts,
                cell,
                positions,
                energy.item(),
                forces,
                values[begin - 6 : begin],
                parts[0].item() if len(parts) == 7 else None,
            )
            if not frames and not n_before:
                table = draft.tables[-5]
                self.float_layout = detect_layout(self.data[table.start : table.end], positions)
                self.with_ctifor = frame.ctifor is not None
            self.checked(draft.start, check_frame, frame, n_before + len(frames) + 1, elements, self.with_ctifor)
            frames.append(frame)
        return frames

    def tables(self, tables: Sequence[_Table]) -> Floats:
        """Return the numbers of several tables, one after the other."""
        data = self.data
        for table in tables:
            if data.count(b'\n', table.start, table.end) != table.rows:
                n_lines = data.count(b'\n', table.start, table.end)
                raise self.error(table.start, f'{n_lines} lines follow instead of {table.rows}')
        values = parse_floats(b''.join([data[table.start : table.end] for table in tables]))
        expected = sum(table.rows * table.columns for table in tables)
        if values is not None and len(values) == expected and all(map(self.is_regular, tables)):
            return values
        if len(tables) > 1:
            return np.concatenate([self.tables([table]) for table in tables])
        return self.word_by_word(tables[0])

    def is_regular(self, table: _Table) -> bool:
        """Whether the first line has the right number of words, and the others are as long or have as many."""
        end = self.data.index(b'\n', table.start) + 1
        if len(self.data[table.start : end].split()) != table.columns:
            return False
        if self.data[end - 1 : table.end : end - table.start] == b'\n' * table.rows:
            return True
        lines = self.data[table.start : table.end].split(b'\n')[:-1]
        return all(len(line.split()) == table.columns for line in lines)

    def word_by_word(self, table: _Table) -> Floats:
        """Read a table with Fortran's other spellings, or find the line that is wrong."""
        numbers: list[float] = []
        position = table.start
        for text in self.data[table.start : table.end].splitlines():
            values = [value for word in text.split() if (value := parse_float(word)) is not None]
            if len(values) != table.columns or len(text.split()) != table.columns:
                raise self.error(
                    position,
                    f'{table.columns} finite numbers should be here, not {_show(text)}: the file is damaged, or a '
                    'number did not fit its columns; leave this configuration out',
                )
            numbers += values
            position += len(text) + 1
        return np.array(numbers)

    def checked(self, position: int, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function, and add the line to its errors."""
        try:
            return function(*arguments)
        except ValueError as error:
            raise self.error(position, str(error)) from None


def _show(text: bytes) -> str:
    return repr(text.decode('utf-8', 'replace').strip()[:60])
