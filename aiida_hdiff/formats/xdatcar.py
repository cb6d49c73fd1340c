"""XDATCAR files of VASP 5 and 6, with a fixed cell or one header per frame.

Format: https://www.vasp.at/wiki/index.php/XDATCAR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.text_stream import BLOCK_BYTES, LineReader, TruncatedError, parse_frames

Floats = NDArray[np.float64]

_VARIANT = re.compile(r'[^A-Za-z].*')
_CONFIGURATION = re.compile(rb'\s*direct configuration\s*=\s*(\d+|\*+)\s*$', re.IGNORECASE)


@dataclass(frozen=True)
class XdatcarFrames:
    """Consecutive frames.

    Attributes
    ----------
    symbols
        Chemical symbols, one per atom; empty strings where the file has none (VASP 4).
    configurations
        The numbers VASP gave to the frames, -1 where they overflowed, shape (n,).
    cells
        Lattice vectors as rows in Å, shape (n, 3, 3).
    scaled
        Positions in units of the lattice vectors, as in the file, shape (n, n_atoms, 3).
    """

    symbols: tuple[str, ...]
    configurations: NDArray[np.int64]
    cells: Floats
    scaled: Floats


def is_xdatcar(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an XDATCAR."""
    return any(_CONFIGURATION.match(line) for line in head.splitlines()[6:8])


def read_xdatcar(path: str | Path, *, allow_truncated: bool = False) -> Iterator[XdatcarFrames]:
    """Stream an XDATCAR in blocks of a few megabytes.

    Parameters
    ----------
    path
        The file, plain or gzipped.
    allow_truncated
        Leave out an incomplete last frame, as a killed run writes it, instead of raising an error.

    Raises
    ------
    ValueError
        Not an XDATCAR, truncated, a header or a frame that cannot be read, atoms that change between
        headers; names the line and the frame.
    """
    with LineReader(Path(path)) as lines:
        symbols, cell = _header(lines, lines.next(), 0)
        texts: list[bytes] = []
        starts: list[int] = []
        cells: list[Floats] = []
        configurations: list[int] = []
        frame = size = 0

        def block() -> XdatcarFrames:
            scaled = parse_frames(lines.name, texts, (len(symbols), 3), frame - len(texts), starts)
            return XdatcarFrames(symbols, np.array(configurations), np.array(cells), scaled)

        while line := lines.next():
            if not line.strip():
                continue
            try:
                match = _CONFIGURATION.match(line)
                if match is None:
                    now, cell = _header(lines, line, frame)
                    if now != symbols:
                        raise lines.error(f'the atoms change before frame {frame}: split the file there')
                    match = _CONFIGURATION.match(lines.need(1, frame))
                    if match is None:
                        raise lines.error(f'"Direct configuration=" of frame {frame} is missing: the file is damaged')
                starts.append(lines.line + 1)
                text = lines.need(len(symbols), frame)
            except TruncatedError:
                del starts[len(texts) :]
                if allow_truncated:
                    break
                raise
            texts.append(text)
            cells.append(cell)
            configurations.append(-1 if b'*' in match[1] else int(match[1]))
            frame += 1
            size += len(text)
            if size > BLOCK_BYTES:
                yield block()
                for column in (texts, starts, cells, configurations):
                    column.clear()
                size = 0
        if texts:
            yield block()


def _header(lines: LineReader, title: bytes, frame: int) -> tuple[tuple[str, ...], Floats]:
    """Read what follows the title: scale, lattice vectors, symbols and counts."""
    if not title:
        raise lines.error('the file is empty: it is no XDATCAR')
    words = lines.need(4, frame).split()
    try:
        scale, *vectors = (float(word) for word in words)
        cell = np.array(vectors).reshape(3, 3)
    except ValueError:
        raise lines.error('no scale and lattice vectors here: the file is no XDATCAR, or damaged') from None
    names = lines.need(1, frame).split()
    numbered = bool(names) and all(name.isdigit() for name in names)
    counts = names if numbered else lines.need(1, frame).split()
    if not counts or not all(word.isdigit() for word in counts) or len(counts) != len(names):
        raise lines.error('no numbers of atoms for every element here: the file is no XDATCAR, or damaged')
    # Newer versions of VASP may add the variant or the hash of the potential to the symbol.
    kinds = ['' if numbered else _VARIANT.sub('', name.decode(errors='replace')) for name in names]
    if scale < 0.0:
        scale = (-scale / abs(np.linalg.det(cell))) ** (1.0 / 3.0)
    return tuple(kind for kind, count in zip(kinds, counts, strict=True) for _ in range(int(count))), scale * cell
