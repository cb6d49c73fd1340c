"""Text dumps of LAMMPS.

Format: https://docs.lammps.org/dump.html, styles ``atom`` and ``custom``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.lammps import DumpFrames, frames_from_bounds
from aiida_hdiff.formats.text_stream import BLOCK_BYTES, LineReader, TruncatedError, parse_frames

Floats = NDArray[np.float64]


def read_text_dump(path: str | Path, *, allow_truncated: bool = False) -> Iterator[DumpFrames]:
    """Stream a text dump with a constant number of atoms, in blocks of a few megabytes.

    Parameters
    ----------
    path
        The file, plain or gzipped.
    allow_truncated
        Leave out an incomplete last frame, as a killed run writes it, instead of raising an error.

    Returns
    -------
    iterator of DumpFrames
        A column ``element`` holds atomic numbers.

    Raises
    ------
    ValueError
        Not a text dump, truncated, a line that cannot be read, atoms or columns that change, a column of
        words other than ``element``; names the line and the frame.
    """
    with LineReader(Path(path)) as lines:
        first: _Head | None = None
        heads: list[_Head] = []
        texts: list[bytes] = []
        frame = size = 0
        while True:
            try:
                head = _read_head(lines, frame)
                if head is None:
                    break
                first = first or head
                if (head.n_atoms, head.names) != (first.n_atoms, first.names):
                    raise lines.error(
                        f'frame {frame} has {head.n_atoms} atoms with columns {" ".join(head.names)}, the first one '
                        f'{first.n_atoms} with {" ".join(first.names)}: dump the same atoms and columns throughout'
                    )
                text = lines.need(head.n_atoms, frame)
            except TruncatedError:
                if allow_truncated:
                    break
                raise
            heads.append(replace(head, line=lines.line - head.n_atoms + 1))
            texts.append(text)
            frame += 1
            size += len(text)
            if size > BLOCK_BYTES:
                yield _block(lines.name, heads, texts, frame - len(texts))
                heads, texts, size = [], [], 0
        if texts:
            yield _block(lines.name, heads, texts, frame - len(texts))


@dataclass(frozen=True)
class _Head:
    step: int
    n_atoms: int
    bounds: tuple[float, ...]
    names: tuple[str, ...]
    line: int


def _read_head(lines: LineReader, frame: int) -> _Head | None:
    """Read a frame up to its table; None at the end of the file."""
    step = n_atoms = 0
    bounds: tuple[float, ...] = ()
    line = lines.next()
    while line and not line.strip():
        line = lines.next()
    if not line:
        return None
    while not line.startswith(b'ITEM: ATOMS'):
        if not line.startswith(b'ITEM:'):
            raise lines.error(f'frame {frame} has no "ITEM:" here: the file is no dump of LAMMPS, or atoms were added')
        try:
            if line.startswith(b'ITEM: BOX BOUNDS'):
                if b'abc origin' in line:
                    raise lines.error('dumps with "triclinic/general" are not read: dump without it')
                rows = np.array(lines.need(3, frame).split(), dtype=np.float64).reshape(3, -1)
                bounds = (*rows[:, :2].ravel(), *rows[:, 2:].ravel())
            elif line.startswith(b'ITEM: TIMESTEP'):
                step = int(lines.need(1, frame))
            elif line.startswith(b'ITEM: NUMBER OF ATOMS'):
                n_atoms = int(lines.need(1, frame))
            else:  # units, time
                lines.need(1, frame)
        except ValueError as error:
            if isinstance(error, TruncatedError) or str(error).startswith(lines.name):
                raise
            raise lines.error(f'the header of frame {frame} cannot be read: {error}') from error
        line = lines.next()
        if not line.endswith(b'\n'):
            raise TruncatedError(
                f'{lines.name} is truncated: it ends at line {lines.line}, in the header of frame {frame}: read it '
                'with allow_truncated=True to leave that frame out'
            )
    if n_atoms < 1 or not bounds:
        raise lines.error(f'frame {frame} has no number of atoms or no box: the file is no dump of LAMMPS')
    return _Head(step, n_atoms, bounds, tuple(line.decode().split()[2:]), 0)


def _block(name: str, heads: list[_Head], texts: list[bytes], first_frame: int) -> DumpFrames:
    names = heads[0].names
    if 'element' in names:
        texts = _numbered_elements(texts, names.index('element'))
    shape = (heads[0].n_atoms, len(names))
    columns = parse_frames(name, texts, shape, first_frame, [head.line for head in heads])
    steps = np.array([head.step for head in heads], dtype=np.int64)
    return frames_from_bounds(steps, np.array([head.bounds for head in heads]), columns, names)


def _numbered_elements(texts: list[bytes], column: int) -> list[bytes]:
    """Replace the symbols, which must be known elements, by atomic numbers."""
    from ase.data import atomic_numbers

    symbols = {line.split()[column] for line in texts[0].splitlines()}
    for symbol in symbols:
        number = atomic_numbers.get(symbol.decode(errors='replace'))
        if number:
            replacement = str(number).encode()
            for before, after in ((b' ', b' '), (b' ', b'\n'), (b'\n', b' ')):
                texts = [
                    (b'\n' + text).replace(before + symbol + after, before + replacement + after)[1:] for text in texts
                ]
    return texts
