"""What each kind of trajectory file holds, as blocks of continuous positions."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.lammps import DumpFrames, read_dump
from aiida_hdiff.formats.lammps_text import read_text_dump
from aiida_hdiff.formats.positions import Positions
from aiida_hdiff.formats.unwrapping import Unwrapper
from aiida_hdiff.formats.xdatcar import is_xdatcar, read_xdatcar

Floats = NDArray[np.float64]
Elements = Sequence[str] | Mapping[int, str]

ASE_BLOCK_FRAMES = 200


@dataclass(frozen=True)
class Block:
    """Consecutive frames.

    Attributes
    ----------
    numbers
        Atomic numbers, shape (n_atoms,).
    steps
        Steps of the frames, shape (n,); None if the source does not count them.
    cells, positions
        In Å, shapes (n, 3, 3) and (n, n_atoms, 3).
    unwrapping
        As in `Positions`.
    """

    numbers: NDArray[np.int64]
    steps: NDArray[np.int64] | None
    cells: Floats
    positions: Floats
    unwrapping: str


def recognise(path: Path) -> str:
    """Return 'hdiff', 'binary dump', 'text dump', 'xdatcar', or 'ase' for anything else, by the first bytes."""
    with path.open('rb') as stream:
        head = stream.read(4096)
    if head.startswith(b'\x1f\x8b'):
        with gzip.open(path) as stream:
            head = stream.read(4096)
    if head.startswith(b'\x89HDF'):
        return 'hdiff'
    if head[8:18] == b'DUMPCUSTOM':
        return 'binary dump'
    if head.startswith(b'ITEM:'):
        return 'text dump'
    if not head.strip():
        raise ValueError(f'{path.name} is empty')
    return 'xdatcar' if is_xdatcar(head) else 'ase'


def stored(path: Path) -> Positions:
    """Read a trajectory of aiida-hdiff, the positions of which are continuous."""
    from aiida_hdiff.formats.trajectory import TrajectoryFile

    with TrajectoryFile(path) as file:
        return Positions(file.positions(), file.cells, file.numbers.astype(np.int64), file.times_fs, 'file')


def xdatcar(path: Path, allow_truncated: bool) -> Iterator[Block]:
    """Read an XDATCAR; VASP wraps positions."""
    unwrap = Unwrapper()
    for frames in read_xdatcar(path, allow_truncated=allow_truncated):
        if not all(frames.symbols):
            raise ValueError(f'{path.name}, line 6: no elements, as in VASP 4: add a line with their symbols')
        numbers = _numbers(frames.symbols, path.name)
        steps = None if np.any(frames.configurations < 0) else frames.configurations
        yield Block(
            numbers, steps, frames.cells, unwrap(frames.scaled, frames.cells, continuous=False), 'nearest image'
        )


def dump(path: Path, elements: Elements | None, allow_truncated: bool, *, binary: bool) -> Iterator[Block]:
    """Read a dump of LAMMPS."""
    unwrap = Unwrapper()
    first: tuple[NDArray[np.float64], NDArray[np.int64], Floats] | None = None
    n_read = 0
    for frames in read_dump(path) if binary else read_text_dump(path, allow_truncated=allow_truncated):
        columns = _sorted(frames, path.name)
        names = frames.names
        kinds = [columns[..., names.index(name)] for name in ('id', 'type', 'element') if name in names]
        if first is None:
            numbers = _dump_numbers(columns[0], names, elements, path.name)
            first = np.stack([kind[0] for kind in kinds]), numbers, frames.origins[0]
        for kind, expected in zip(kinds, first[0], strict=True):
            changed = np.any(kind != expected, axis=1)
            if changed.any():
                frame = n_read + int(np.argmax(changed))
                raise ValueError(f'{path.name}: the atoms change at frame {frame}: split the file there')
        scaled, continuous = _dump_scaled(columns, frames, path.name)
        positions = unwrap(scaled, frames.cells, continuous=continuous)
        positions += first[2]
        yield Block(first[1], frames.steps, frames.cells, positions, 'file' if continuous else 'nearest image')
        n_read += len(frames.steps)


def _sorted(frames: DumpFrames, name: str) -> Floats:
    """Return the columns with the atoms in the order of their ids."""
    if 'id' not in frames.names:
        raise ValueError(f'{name} has no column "id", so that atoms cannot be followed: dump it with "id"')
    ids = frames.columns[..., frames.names.index('id')]
    if np.all(np.diff(ids, axis=1) > 0.0):
        return frames.columns
    order = np.argsort(ids, axis=1, kind='stable')
    return np.take_along_axis(frames.columns, order[..., None], axis=1)


def _dump_numbers(columns: Floats, names: tuple[str, ...], elements: Elements | None, name: str) -> NDArray[np.int64]:
    if 'element' in names and (elements is None or 'type' not in names):
        return columns[:, names.index('element')].astype(np.int64)
    if 'type' not in names:
        raise ValueError(f'{name} has neither a column "element" nor "type": dump one of them')
    types = columns[:, names.index('type')].astype(int)
    if elements is None:
        raise ValueError(
            f'{name} has no column "element": name the atom types {", ".join(map(str, np.unique(types)))} with '
            'elements=(...)'
        )
    by_type = dict(elements) if isinstance(elements, Mapping) else dict(enumerate(elements, 1))
    missing = sorted(set(types.tolist()) - set(by_type))
    if missing:
        raise ValueError(f'{name} has atoms of type {missing[0]}, which elements={elements!r} does not name')
    return _numbers([by_type[kind] for kind in types.tolist()], name)


def _dump_scaled(columns: Floats, frames: DumpFrames, name: str) -> tuple[Floats, bool]:
    """Return positions in units of the lattice vectors, and whether they are continuous."""
    axes = 'xyz'
    styles = {'': 'x', 'u': 'xu', 's': 'xs', 'su': 'xsu'}
    found = [s for s in ('u', 'su', '', 's') if all(styles[s].replace('x', axis, 1) in frames.names for axis in axes)]
    if not found:
        raise ValueError(f'{name} has no positions: dump "xu yu zu" (its columns are {" ".join(frames.names)})')
    style = found[0]
    index = [frames.names.index(styles[style].replace('x', axis, 1)) for axis in axes]
    scaled = columns[..., index]
    if 's' not in style:
        scaled = (scaled - frames.origins[:, None]) @ np.linalg.inv(frames.cells)
    if 'u' in style:
        return scaled, True
    flags = ['ix', 'iy', 'iz']
    if all(flag in frames.names for flag in flags):
        return scaled + columns[..., [frames.names.index(flag) for flag in flags]], True
    return scaled, False


def ase(source: Path | Iterable[Any]) -> Iterator[Block]:
    """Read frames of ASE, wrapped or not, from a file or an iterable."""
    name = source.name if isinstance(source, Path) else 'frames'
    frames = _ase_file(source) if isinstance(source, Path) else iter(source)
    unwrap: Unwrapper | None = None
    numbers = np.empty(0, dtype=np.int64)
    n_read = 0
    while chunk := list(islice(frames, ASE_BLOCK_FRAMES)):
        if unwrap is None:
            numbers, periodic = chunk[0].numbers.astype(np.int64), chunk[0].pbc
            unwrap = Unwrapper(periodic)
        for frame, atoms in enumerate(chunk, n_read):
            if not np.array_equal(atoms.numbers, numbers):
                raise ValueError(f'{name}: the atoms change at frame {frame}: give frames of one system, in one order')
        cells = np.array([atoms.cell.array for atoms in chunk])
        positions = np.array([atoms.positions for atoms in chunk])
        if not np.isfinite(positions).all():
            frame = n_read + int(np.argmin(np.isfinite(positions).all(axis=(1, 2))))
            raise ValueError(f'{name}: frame {frame} has a position that is not finite: use the frames before')
        if periodic.any():
            if not np.all(np.linalg.det(cells)):
                raise ValueError(f'{name}: a cell has no volume: set three lattice vectors')
            positions = unwrap(positions @ np.linalg.inv(cells), cells, continuous=False)
        yield Block(numbers, None, cells, positions, 'nearest image')
        n_read += len(chunk)


def _ase_file(path: Path) -> Iterator[Any]:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    try:
        yield from iread(path, index=':')
    except UnknownFileTypeError as error:
        raise ValueError(f'{path.name} is of no format that is known here or to ASE: {error}') from error
    except (EOFError, IndexError, KeyError, OSError, StopIteration) as error:
        raise ValueError(f'{path.name} cannot be read by ASE, it may be truncated: {error}') from error


def _numbers(symbols: Sequence[str], name: str) -> NDArray[np.int64]:
    from ase.data import atomic_numbers

    for symbol in dict.fromkeys(symbols):
        if symbol not in atomic_numbers or symbol == 'X':
            raise ValueError(f'{name}: {symbol!r} is not the symbol of an element')
    return np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int64)
