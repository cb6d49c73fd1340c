"""Writer of VASP's ML_AB files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from aiida_hdiff.formats.fortran_floats import format_floats
from aiida_hdiff.formats.ml_ab import MLAB, NAME_LENGTH, VERSION, MLABFrame

_STARS, _EQUALS, _DASHES = b'*' * 50 + b'\n', b'=' * 50 + b'\n', b'-' * 50 + b'\n'


def write_ml_ab(frames: MLAB | Iterable[MLABFrame], target: str | Path | IO[str]) -> None:
    """Write a ML_AB file, the inverse of `read_ml_ab`: what VASP has written comes out byte by byte.

    Parameters
    ----------
    frames
        What `read_ml_ab` has returned; other frames get the header of `MLAB.from_frames`.
    target
        Path or text stream.

    Raises
    ------
    ValueError
        The frames do not make a file, see `MLAB`, or a name is longer than VASP's 40 characters.
    """
    ml_ab = frames if isinstance(frames, MLAB) else MLAB.from_frames(frames)
    for number, frame in enumerate(ml_ab, 1):
        if len(_bytes(frame.name)) > NAME_LENGTH:
            raise ValueError(
                f'configuration {number} has the name {frame.name!r}: shorten it to {NAME_LENGTH} characters'
            )
    if isinstance(target, (str, Path)):
        with Path(target).open('wb') as stream:
            stream.writelines(_parts(ml_ab))
    else:
        target.writelines(part.decode('utf-8', 'surrogateescape') for part in _parts(ml_ab))


def _parts(ml_ab: MLAB) -> Iterator[bytes]:
    layout = ml_ab.float_layout
    yield f' {VERSION} Version\n'.encode()
    yield _section(_STARS, 'The number of configurations', b'%11d\n' % len(ml_ab))
    yield _section(_STARS, 'The maximum number of atom type', b'%8d\n' % len(ml_ab.elements))
    yield _section(_STARS, 'The atom types in the data file', _threes([_symbol(one) for one in ml_ab.elements]))
    yield _section(_STARS, 'The maximum number of atoms per system', b'%15d\n' % ml_ab.max_atoms)
    yield _section(_STARS, 'The maximum number of atoms per atom type', b'%15d\n' % ml_ab.max_atoms_per_element)
    for title, values in ('Reference atomic energy (eV)', ml_ab.reference_energies), ('Atomic mass', ml_ab.masses):
        rows = [format_floats(values[np.newaxis, i : i + 3], layout) for i in range(0, len(values), 3)]
        yield _section(_STARS, title, b''.join(rows))
    sizes = [b'%5d' % len(basis) for basis in ml_ab.basis_sets]
    yield _section(_STARS, 'The numbers of basis sets per atom type', _threes(sizes))
    for element, basis in zip(ml_ab.elements, ml_ab.basis_sets, strict=True):
        pairs = b'%11d%7d\n' * len(basis) % tuple(basis.ravel().tolist())
        yield _section(_STARS, f'Basis set for {element:2s}', pairs)
    for number, frame in enumerate(ml_ab, 1):
        yield _frame(number, frame, layout)


def _frame(number: int, frame: MLABFrame, layout: str | None) -> bytes:
    types = zip(frame.elements, frame.counts, strict=True)
    stress = frame.stress_kbar.reshape(2, 1, 3)
    return b''.join(
        [
            _STARS + b'     Configuration num.%7d\n' % number,
            _section(_EQUALS, 'System name', b'     ' + _bytes(frame.name).ljust(NAME_LENGTH) + b'\n'),
            _section(_EQUALS, 'The number of atom types', b'%8d\n' % len(frame.elements)),
            _section(_EQUALS, 'The number of atoms', b'%11d\n' % frame.n_atoms),
            _section(
                _STARS,
                'Atom types and atom numbers',
                b''.join(b'     %s%7d\n' % (_symbol(element), count) for element, count in types),
            ),
            b''
            if frame.ctifor is None
            else _section(_EQUALS, 'CTIFOR', format_floats(np.array([[frame.ctifor]]), layout)),
            _section(_EQUALS, 'Primitive lattice vectors (ang.)', format_floats(frame.cell, layout)),
            _section(_EQUALS, 'Atomic positions (ang.)', format_floats(frame.positions, layout)),
            _section(_EQUALS, 'Total energy (eV)', format_floats(np.array([[frame.energy]]), layout)),
            _section(_EQUALS, 'Forces (eV ang.^-1)', format_floats(frame.forces, layout)),
            _section(_EQUALS, 'Stress (kbar)', b''),
            b'     XX YY ZZ\n' + _DASHES + format_floats(stress[0], layout),
            _DASHES + b'     XY YZ ZX\n' + _DASHES + format_floats(stress[1], layout),
        ]
    )


def _section(ledger: bytes, title: str, body: bytes) -> bytes:
    return ledger + b'     ' + _bytes(title) + b'\n' + _DASHES + body


def _threes(words: Sequence[bytes]) -> bytes:
    return b''.join(b'     ' + b' '.join(words[i : i + 3]) + b'\n' for i in range(0, len(words), 3))


def _symbol(element: str) -> bytes:
    return _bytes(element).ljust(2)


def _bytes(text: str) -> bytes:
    return text.encode('utf-8', 'surrogateescape')
