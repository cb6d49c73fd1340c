"""Text trajectories, plain or gzipped, in blocks of frames: counted lines and fast conversion of numbers."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 2**22
"""Text that is held at once."""

MAX_LINE_BYTES = 2**26
"""Longest line that is accepted."""

_PACKING_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class TruncatedError(ValueError):
    """The file ends within a frame."""


class LineReader:
    """Lines of a file with their numbers, for messages.

    Parameters
    ----------
    path
        The file; gzip is recognised by its first bytes.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.line = 0
        with path.open('rb') as probe:
            zipped = probe.read(2) == b'\x1f\x8b'
        self._stream = gzip.open(path, 'rb') if zipped else path.open('rb')

    def __enter__(self) -> LineReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def next(self) -> bytes:
        """Return the next line, empty at the end of the file.

        Raises
        ------
        TruncatedError
            A packed file ends early.
        ValueError
            A packed file is damaged, or a line has no end.
        """
        try:
            line = self._stream.readline(MAX_LINE_BYTES)
        except _PACKING_ERRORS as error:
            raise self._unpacking_error(error) from None
        self.line += bool(line)
        if len(line) == MAX_LINE_BYTES:
            raise self.error('a line has no end: the file is damaged')
        return line

    def need(self, count: int, frame: int) -> bytes:
        """Return the next lines of a frame in one piece.

        Raises
        ------
        TruncatedError
            The file ends before, or within the last of them.
        ValueError
            As `next`.
        """
        try:
            lines = list(islice(self._stream, count))
        except _PACKING_ERRORS as error:
            raise self._unpacking_error(error) from None
        self.line += len(lines)
        if len(lines) < count or (lines and not lines[-1].endswith(b'\n')):
            raise TruncatedError(
                f'{self.name} is truncated: it ends at line {self.line}, {len(lines)} of {count} lines into a part of '
                f'frame {frame}: read it with allow_truncated=True to leave that frame out'
            )
        return b''.join(lines)

    def _unpacking_error(self, error: Exception) -> ValueError:
        if isinstance(error, EOFError):
            return TruncatedError(
                f'{self.name} is truncated: the packed file ends after line {self.line}: copy it again'
            )
        return ValueError(f'{self.name} cannot be unpacked: {error}: copy it again')

    def error(self, text: str) -> ValueError:
        """Return an error that names the file and the line read last."""
        return ValueError(f'{self.name}, line {self.line}: {text}')


def parse_frames(
    name: str, texts: Sequence[bytes], shape: tuple[int, int], first_frame: int, first_lines: Sequence[int]
) -> NDArray[np.float64]:
    """Turn the tables of several frames into numbers, shape (n_frames, *shape).

    Parameters
    ----------
    name
        Name of the file.
    texts
        Lines of each table.
    shape
        Rows and columns of a table.
    first_frame
        Index of the first frame.
    first_lines
        Number of the first line of each table.

    Raises
    ------
    ValueError
        A line that has another number of columns or is not numeric, or a value that is not finite; the
        message names the frame and the line.
    """
    values = _numbers(b''.join(texts))
    if values is None or values.size != len(texts) * shape[0] * shape[1]:
        for frame, text, first in zip(range(first_frame, first_frame + len(texts)), texts, first_lines, strict=True):
            for number, line in enumerate(text.splitlines(), first):
                row = _numbers(line)
                if row is None or row.size != shape[1]:
                    raise ValueError(
                        f'{name}, line {number}: frame {frame} should have {shape[1]} numbers here, not '
                        f'{line.decode(errors="replace").strip()[:60]!r}: the file is damaged'
                    )
        raise ValueError(f'{name}: the frames from {first_frame} on cannot be read as numbers: the file is damaged')
    table = values.reshape(len(texts), *shape)
    if not np.isfinite(np.sum(table)):
        index, row_index, _ = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f'{name}, line {first_lines[index] + row_index}: frame {first_frame + index} has a value that is not '
            'finite: the run blew up; use the frames before'
        )
    return table


def _numbers(text: bytes) -> NDArray[np.float64] | None:
    with warnings.catch_warnings():
        warnings.simplefilter('error', DeprecationWarning)
        try:
            return np.fromstring(text, dtype=np.float64, sep=' ')
        except (DeprecationWarning, ValueError):
            return None
