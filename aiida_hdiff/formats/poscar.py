"""POSCAR and CONTCAR of VASP 5 and 6, with velocities of atoms and lattice.

Format: https://www.vasp.at/wiki/index.php/POSCAR. After a step of molecular dynamics CONTCAR holds the configuration
that was calculated last, the velocities with which VASP left it, and behind these what it moved to: the next lattice
vectors and positions. `read_contcar` returns both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.formats.text_stream import LineReader, TruncatedError, parse_frames

Floats = NDArray[np.float64]

MAX_ATOMS = 10**7
COMMENT_LENGTH = 40
"""Characters of the first line that VASP reads."""

_VARIANT = re.compile(r'[^A-Za-z].*')


@dataclass(frozen=True, eq=False)
class Contcar:
    """A structure with what molecular dynamics needs to go on.

    Attributes
    ----------
    symbols
        Chemical symbols, one per atom.
    counts
        Numbers of atoms of each group of one species, in the order of the file.
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    positions
        Cartesian positions in Å, shape (n_atoms, 3).
    velocities
        Velocities of the atoms in Å/fs, shape (n_atoms, 3); None if the file has none.
    lattice_velocities
        Velocities of the lattice vectors in Å/fs, shape (3, 3); None if the file has none.
    next_cell, next_positions
        The configuration after the step of which `cell` and `positions` are the beginning; None if the file does not
        say. `next_positions` are those of VASP's predictor, `next_cell` is `cell` where the lattice does not move.
    comment
        The first line.
    """

    symbols: tuple[str, ...]
    counts: tuple[int, ...]
    cell: Floats
    positions: Floats
    velocities: Floats | None = None
    lattice_velocities: Floats | None = None
    next_cell: Floats | None = None
    next_positions: Floats | None = None
    comment: str = ''


def read_contcar(path: str | Path, *, timestep_fs: float | None = None, allow_truncated: bool = False) -> Contcar:
    """Read a POSCAR or CONTCAR, plain or gzipped.

    Parameters
    ----------
    path
        The file.
    timestep_fs
        Time step in fs; needed only where velocities are given in lattice vectors per step.
    allow_truncated
        Return the structure of a file that ends within the velocities or behind them, without the incomplete part.

    Raises
    ------
    ValueError
        No POSCAR of VASP 5 or 6, truncated, or numbers that cannot be read; names the line.
    """
    with LineReader(Path(path)) as lines:
        return _read(lines, timestep_fs, allow_truncated)


def _read(lines: LineReader, timestep_fs: float | None, allow_truncated: bool) -> Contcar:
    comment = lines.next().decode(errors='replace').strip()
    scale = _scale(lines)
    cell = _table(lines, 3)
    if scale[0] < 0.0:
        volume = abs(float(np.linalg.det(cell)))
        if not volume > 0.0:
            raise lines.error('the lattice vectors are coplanar: the file is damaged')
        scale = np.full(3, (-scale[0] / volume) ** (1.0 / 3.0))
    cell = cell * scale
    symbols, counts = _species(lines)
    mode = lines.need(1, 0).strip().lower()
    if mode.startswith(b's'):
        mode = lines.need(1, 0).strip().lower()
    positions = _table(lines, len(symbols))
    cartesian = mode.startswith((b'c', b'k'))
    positions = positions * scale if cartesian else positions @ cell
    found: dict[str, Floats] = {}
    try:
        _read_motion(lines, cell, len(symbols), timestep_fs, found)
    except TruncatedError:
        if not allow_truncated:
            raise
    return Contcar(symbols, counts, cell, positions, comment=comment, **found)


def _read_motion(
    lines: LineReader, cell: Floats, n_atoms: int, timestep_fs: float | None, found: dict[str, Floats]
) -> None:
    """Read what follows the positions: lattice velocities, velocities, and the predictor of VASP."""
    line = lines.next()
    next_cell = cell
    if line.strip().lower().startswith(b'l'):
        lines.need(1, 0)
        found['lattice_velocities'], next_cell = _table(lines, 3), _table(lines, 3)
        line = lines.next()
    mode = line.strip().lower()
    if not line or (mode and not mode.startswith((b'c', b'k', b'd'))):
        return
    velocities = _optional_table(lines, n_atoms)
    if velocities is None:
        return
    if mode.startswith(b'd'):
        if timestep_fs is None:
            raise lines.error('velocities in lattice vectors per step: give the time step in fs')
        velocities = velocities @ cell / timestep_fs
    found['velocities'] = velocities
    line = lines.next()
    if line.strip() or not line:
        return
    if lines.next().strip() != b'1':
        return
    lines.need(2, 0)
    scaled = _table(lines, n_atoms)
    found['next_cell'], found['next_positions'] = next_cell, scaled @ next_cell


def _scale(lines: LineReader) -> Floats:
    words = lines.need(1, 0).split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.empty(0)
    if len(values) not in (1, 3) or not np.all(np.isfinite(values)) or np.any(values == 0.0):
        raise lines.error('no scaling factor here: the file is no POSCAR, or damaged')
    if len(values) == 3 and np.any(values < 0.0):
        raise lines.error('three scaling factors must be positive: give one negative number for a volume')
    return values if len(values) == 3 else np.full(3, values[0])


def _species(lines: LineReader) -> tuple[tuple[str, ...], tuple[int, ...]]:
    names = lines.need(1, 0).split()
    if names and all(name.isdigit() for name in names):
        raise lines.error('no symbols above the numbers of atoms, as in VASP 4: write the symbols into this line')
    counts = lines.need(1, 0).split()
    if not counts or len(counts) != len(names) or not all(word.isdigit() and len(word) < 9 for word in counts):
        raise lines.error('no numbers of atoms for every element here: the file is no POSCAR, or damaged')
    numbers = tuple(int(word) for word in counts)
    if not 0 < sum(numbers) <= MAX_ATOMS:
        raise lines.error(f'{sum(numbers)} atoms: the file is damaged')
    # Newer versions of VASP may add the variant or the hash of the potential to the symbol.
    kinds = [_VARIANT.sub('', name.decode(errors='replace')) for name in names]
    return tuple(kind for kind, count in zip(kinds, numbers, strict=True) for _ in range(count)), numbers


def _table(lines: LineReader, n_rows: int) -> Floats:
    """Read three numbers from each of the next lines; what follows them are flags or symbols."""
    first = lines.line + 1
    text = b'\n'.join(b' '.join(line.split()[:3]) for line in lines.need(n_rows, 0).splitlines())
    table: Floats = parse_frames(lines.name, [text], (n_rows, 3), 0, [first])[0]
    return table


def _optional_table(lines: LineReader, n_rows: int) -> Floats | None:
    """Read numbers, or return None where the file ends before the first."""
    first = lines.next()
    if not first.strip():
        return None
    text = first + (lines.need(n_rows - 1, 0) if n_rows > 1 else b'')
    if not text.endswith(b'\n'):
        raise TruncatedError(f'{lines.name} is truncated: it ends at line {lines.line}, within the velocities')
    table: Floats = parse_frames(lines.name, [text], (n_rows, 3), 0, [lines.line - n_rows + 1])[0]
    return table


def write_poscar(
    stream: TextIO,
    *,
    symbols: Sequence[str],
    cell: ArrayLike,
    positions: ArrayLike,
    velocities: ArrayLike | None = None,
    lattice_velocities: ArrayLike | None = None,
    comment: str = '',
) -> None:
    """Write a POSCAR with 16 decimals.

    Parameters
    ----------
    stream
        Text is written there.
    symbols
        Chemical symbols, one per atom; atoms of one species must follow one another.
    cell
        Lattice vectors as rows in Å, shape (3, 3).
    positions
        Cartesian positions in Å, shape (n_atoms, 3).
    velocities
        Velocities of the atoms in Å/fs, shape (n_atoms, 3).
    lattice_velocities
        Velocities of the lattice vectors in Å/fs, shape (3, 3); needs `velocities`.
    comment
        The first line; by default the formula.

    Raises
    ------
    ValueError
        Shapes contradict one another, a number is not finite, the cell has no volume, a species occurs in two places,
        the comment is longer than the 40 characters that VASP reads or has several lines, or lattice velocities come
        without velocities.
    """
    n_atoms = len(symbols)
    tables = {'cell': (cell, (3, 3)), 'positions': (positions, (n_atoms, 3))}
    if velocities is not None:
        tables['velocities'] = (velocities, (n_atoms, 3))
    if lattice_velocities is not None:
        if velocities is None:
            raise ValueError('lattice velocities without velocities of the atoms: give both or none')
        tables['lattice_velocities'] = (lattice_velocities, (3, 3))
    arrays = {name: _checked(name, values, shape) for name, (values, shape) in tables.items()}
    groups = [(symbol, len(list(atoms))) for symbol, atoms in groupby(symbols)]
    kinds = [symbol for symbol, _ in groups]
    if not n_atoms or len(set(kinds)) < len(kinds):
        raise ValueError(
            f'species {" ".join(kinds[:20])}: atoms of one species must follow one another: sort the atoms by species'
        )
    comment = comment or ''.join(f'{symbol}{count}' for symbol, count in groups)[:COMMENT_LENGTH]
    if len(comment) > COMMENT_LENGTH or not comment.isprintable():
        raise ValueError(f'comment {comment[:60]!r}: give one line of at most {COMMENT_LENGTH} characters')
    if not abs(np.linalg.det(arrays['cell'])) > 0.0:
        raise ValueError('the lattice vectors are coplanar: give three independent ones')
    scaled = arrays['positions'] @ np.linalg.inv(arrays['cell'])
    stream.write(f'{comment}\n   1.0\n' + _rows(arrays['cell'], '%24.16f'))
    stream.write(''.join(f' {symbol:>4}' for symbol in kinds) + '\n')
    stream.write(''.join(f' {count:4}' for _, count in groups) + '\nDirect\n' + _rows(scaled, '%20.16f'))
    if 'lattice_velocities' in arrays:
        stream.write('Lattice velocities and vectors\n  1\n')
        stream.write(_rows(arrays['lattice_velocities'], '%24.15E') + _rows(arrays['cell'], '%24.15E'))
    if 'velocities' in arrays:
        stream.write('\n' + _rows(arrays['velocities'], '%24.15E'))


def _checked(name: str, values: ArrayLike, shape: tuple[int, int]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f'{name} have shape {array.shape}, not {shape}')
    if not np.all(np.isfinite(array)):
        raise ValueError(f'{name} have values that are not finite: give a state in which the run has not blown up')
    return array


def _rows(table: Floats, form: str) -> str:
    return ''.join(' '.join(form % value for value in row) + '\n' for row in table)
