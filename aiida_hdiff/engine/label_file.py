"""The file of labels: one line of JSON for each frame, appended when the frame is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def read_labels(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the header and the records of a file of labels, up to the first line that was not finished.

    Raises
    ------
    ValueError
        If the file is not one of labels.
    """
    records = [record for record, _ in _complete(path)]
    if not records or 'reference' not in records[0]:
        raise ValueError(f'{path.name} has no header: it is not a file of labels')
    return records[0], records[1:]


def _complete(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the complete records and where each ends."""
    end = 0
    with path.open('rb') as stream:
        for line in stream:
            if not line.endswith(b'\n'):
                return
            try:
                record = json.loads(line)
            except ValueError:
                return
            if not isinstance(record, dict):
                return
            end += len(line)
            yield record, end


class LabelWriter:
    """Appends records; what a killed job has left is kept, up to the last complete record.

    Attributes
    ----------
    earlier
        Records that were there.

    Raises
    ------
    ValueError
        If the file that is there has another header.
    """

    def __init__(self, path: str | Path, header: dict[str, Any]) -> None:
        self._path = Path(path)
        found = list(_complete(self._path)) if self._path.is_file() else []
        if found and found[0][0] != header:
            raise ValueError(f'{self._path.name} is of another job: remove it')
        self.earlier = [record for record, _ in found[1:]]
        self._stream = self._path.open('r+b' if found else 'wb')
        self._stream.truncate(found[-1][1] if found else 0)
        self._stream.seek(0, os.SEEK_END)
        if not found:
            self.write(header)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; it is on the disk when this returns."""
        self._stream.write(json.dumps(record, allow_nan=False, default=_list).encode() + b'\n')
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _list(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f'{type(value).__name__} cannot be written')
