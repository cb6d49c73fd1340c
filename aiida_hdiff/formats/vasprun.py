"""vasprun.xml of VASP 5 and 6, step by step, with steps of DFT and of a force field.

Format: https://www.vasp.at/wiki/index.php/Vasprun.xml. In a run with a force field that is trained on the fly, steps of
DFT are `<calculation>` elements; steps of the force field are bare `<structure>`, `<varray>` and `<energy>` elements
between them. Prediction-only output may have only the `<energy>`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.formats.ionic_step import IonicStep, StepBuilder, StepStream, StreamEnd, VaspHeader
from aiida_hdiff.formats.text_stream import TruncatedError, parse_frames

Floats = NDArray[np.float64]

CHUNK_BYTES = 2**18
MAX_TEXT_BYTES = 2**26
"""Longest text of one element that is accepted."""

_SKIPPED = frozenset(
    ('dos', 'eigenvalues', 'projected', 'primitive_cell', 'kpoints', 'dynmat', 'dielectricfunction', 'eigenvectors')
)
_TABLES = frozenset(('basis', 'positions', 'velocities', 'forces', 'stress'))
_ENERGIES = {
    'e_fr_energy': 'free',
    'e_wo_entrp': 'without_entropy',
    'e_0_energy': 'sigma0',
    'kinetic': 'kinetic',
    'lattice kinetic': 'lattice_kinetic',
    'nosepot': 'nose_potential',
    'nosekinetic': 'nose_kinetic',
}
_SYMBOL = re.compile('[A-Za-z]+')


def iter_vasprun(path: str | Path, *, allow_truncated: bool = False) -> StepStream:
    """Open a vasprun.xml and return its steps, one at a time.

    Parameters
    ----------
    path
        The file, plain or gzipped.
    allow_truncated
        End with the last complete step and set `end.truncated` where a killed run left the file unfinished, instead
        of raising an error after that step.

    Returns
    -------
    StepStream
        Iterator over `IonicStep` with the attributes `header` and `end`; `end` has the final structure and velocities.

    Raises
    ------
    ValueError
        Not a vasprun.xml, no header, damaged (during the iteration), or truncated; names the line.
    """
    return StepStream(lambda end: _steps(Path(path), allow_truncated, end))


def _steps(path: Path, allow_truncated: bool, end: StreamEnd) -> Iterator[IonicStep | VaspHeader]:
    reader = _Reader(path.name, end)
    with path.open('rb') as probe:
        zipped = probe.read(2) == b'\x1f\x8b'
    header_given = False
    with gzip.open(path, 'rb') if zipped else path.open('rb') as stream:
        while not reader.closed:
            try:
                chunk = stream.read1(CHUNK_BYTES)
            except EOFError:
                chunk = b''
            except (gzip.BadGzipFile, zlib.error) as error:
                raise ValueError(f'{path.name} cannot be unpacked: {error}: copy it again') from None
            reader.feed(chunk)
            if not header_given and (reader.done or reader.closed or reader.begun):
                header_given = True
                yield reader.header()
            yield from reader.done
            reader.done.clear()
            if reader.error is not None:
                raise reader.error
            if not chunk:
                break
    if not header_given:
        header = reader.header()
        if not header.symbols:
            raise ValueError(f'{path.name}, line {reader.line}: ends before the atoms: the run has not begun')
        yield header
    end.truncated = not reader.closed
    if end.truncated and not allow_truncated:
        raise TruncatedError(
            f'{path.name} is truncated: it ends at line {reader.line} after {end.n_steps} complete steps: '
            'read it with allow_truncated=True to use these'
        )


class _Reader:
    """Collects steps from the events of the parser.

    Within tables and parts that are not needed the parser calls as little Python as possible.
    """

    def __init__(self, name: str, end: StreamEnd) -> None:
        self.name = name
        self.end = end
        self.done: list[IonicStep] = []
        self.error: ValueError | None = None
        self.begun = self.closed = False
        self.line = 1
        self._parser = expat.ParserCreate('ISO-8859-1')
        self._parser.buffer_text = True
        self._parser.buffer_size = 2**16
        self._parser.CommentHandler = self._comment
        self._version = self._tag = ''
        self._emulated = False
        self._incar: dict[str, str] = {}
        self._parameters: dict[str, str] = {}
        self._symbols: list[str] = []
        self._initial: dict[str, Floats] = {}
        self._path: list[str] = []
        self._array = self._structure = ''
        self._text: list[str] = []
        self._energies: dict[str, float] = {}
        self._scf_energies: dict[str, float] = {}
        self._step: StepBuilder | None = None
        self._n_steps = 0
        self._listen()

    def feed(self, chunk: bytes) -> None:
        """Parse more of the file; an empty chunk ends it."""
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            self.line = error.lineno
            # The parser reports an unfinished file as an error at its end.
            if chunk:
                self.error = ValueError(
                    f'{self.name}, line {error.lineno}: {error}: the file is no vasprun.xml, or damaged'
                )
        except ValueError as error:
            self.error = error
        self.line = max(self.line, self._parser.CurrentLineNumber)
        if sum(map(len, self._text)) > MAX_TEXT_BYTES:
            self.error = ValueError(f'{self.name}, line {self.line}: a text has no end: the file is damaged')

    def header(self) -> VaspHeader:
        """Return what precedes the first step."""
        return VaspHeader(
            version=self._version,
            symbols=tuple(self._symbols),
            incar=self._incar,
            parameters=self._parameters,
            emulated=self._emulated,
            positions=self._initial.get('positions'),
            cell=self._initial.get('cell'),
            velocities=self._initial.get('velocities'),
        )

    def _listen(self) -> None:
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._stop
        self._parser.CharacterDataHandler = None

    def _comment(self, text: str) -> None:
        self._emulated = self._emulated or 'EMULATED' in text

    def _collect(self) -> None:
        self._text.clear()
        self._parser.CharacterDataHandler = self._text.append

    def _take(self) -> str:
        self._parser.CharacterDataHandler = None
        text = ''.join(self._text)
        self._text.clear()
        return text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != 'modeling':
            raise ValueError(f'{self.name}, line {self._parser.CurrentLineNumber}: <{name}>: this is no vasprun.xml')
        parent = self._path[-1] if self._path else ''
        self._path.append(name)
        if len(self._path) > 200:
            raise ValueError(f'{self.name}, line {self._parser.CurrentLineNumber}: too deep: the file is damaged')
        if name in ('i', 'v'):
            self._tag = attributes.get('name', '').strip()
            self._collect()
        elif name == 'c':
            self._collect()
        elif name in _SKIPPED:
            self._skip(name)
        elif name == 'varray':
            table = attributes.get('name', '')
            self._skip(name, table if table in _TABLES else None)
        elif name == 'calculation':
            self.begun = True
            self._step = StepBuilder()
            self._scf_energies = {}
        elif name == 'structure':
            self._structure = attributes.get('name', '') if parent == 'modeling' else ''
            if parent == 'modeling' and not self._structure:
                self.begun = True
                self._step = StepBuilder('ml')
        elif name == 'scstep' and self._step is not None:
            self._step.scf_steps += 1
        elif name == 'energy':
            self._energies = {}
        elif name == 'array':
            self._array = attributes.get('name', '')

    def _stop(self, name: str) -> None:
        self._path.pop()
        parent = self._path[-1] if self._path else ''
        if name in ('i', 'v'):
            self._value(parent, self._take())
        elif name == 'c':
            text = self._take().strip()
            if self._array == 'atoms' and not text.isdigit():
                match = _SYMBOL.match(text)
                # Some versions lose the first letter of Zr.
                self._symbols.append('Zr' if text == 'r' else match[0] if match else '')
        elif name == 'structure':
            self._structure = ''
        elif name == 'energy':
            self._energy(parent)
        elif name == 'calculation':
            self._finish()
        elif name == 'modeling':
            self.closed = True

    def _value(self, parent: str, text: str) -> None:
        if parent == 'energy':
            key = _ENERGIES.get(self._tag)
            if key is not None:
                self._energies[key] = self._number(text)
        elif len(self._path) > 1 and self._path[1] == 'incar':
            self._incar[self._tag] = ' '.join(text.split())
        elif len(self._path) > 1 and self._path[1] == 'parameters':
            self._parameters[self._tag] = ' '.join(text.split())
        elif parent == 'generator' and self._tag in ('program', 'version'):
            self._version = text.strip() if self._tag == 'version' else self._version
            self._emulated = self._emulated or 'EMULAT' in text.upper()

    def _number(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise ValueError(
                f'{self.name}, line {self._parser.CurrentLineNumber}: {self._tag} of step {self._n_steps + 1} is '
                f'{text.strip()[:40]!r}, not a number: the run blew up or the file is damaged; use the steps before'
            )
        return value

    def _skip(self, name: str, table: str | None = None) -> None:
        """Pass over the content of an element, or collect its text as a table."""
        parser, first_line = self._parser, self._parser.CurrentLineNumber + 1
        depth = 1

        def start(inner: str, _: dict[str, str]) -> None:
            nonlocal depth
            depth += inner == name

        def stop(inner: str) -> None:
            nonlocal depth
            if inner == name:
                depth -= 1
                if not depth:
                    self._listen()
                    self._path.pop()
                    if table is not None:
                        self._table(table, self._take(), first_line)

        parser.StartElementHandler = start if table is None else None
        parser.EndElementHandler = stop
        parser.CharacterDataHandler = None
        if table is not None:
            self._collect()

    def _table(self, name: str, text: str, first_line: int) -> None:
        lines = text.strip().encode()
        n_rows = 3 if name in ('basis', 'stress') else len(self._symbols)
        table = parse_frames(self.name, [lines], (n_rows, 3), self._n_steps + 1, [first_line])[0]
        if self._structure:
            known = self._initial if self._structure == 'initialpos' else vars(self.end)
            self._place(known, name, table)
        elif self._step is not None:
            if name == 'stress':
                symmetric = 0.5 * (table + table.T)
                table = -symmetric.ravel()[[0, 4, 8, 5, 2, 1]] / (10.0 * EV_PER_ANGSTROM3_IN_GPA)
                self._step.tables['stress'] = table
            else:
                self._place(self._step.tables, name, table)

    def _place(self, target: dict[str, Floats], name: str, table: Floats) -> None:
        """Store a table, positions and velocities of which are in units of the lattice vectors."""
        if name == 'basis':
            target['cell'] = table
            return
        if name in ('positions', 'velocities') and 'cell' not in target:
            raise ValueError(
                f'{self.name}, line {self._parser.CurrentLineNumber}: {name} without lattice vectors before them: '
                'the file is damaged; use the steps before'
            )
        if name == 'positions':
            target['positions'] = table @ target['cell']
        elif name == 'velocities':
            # VASP writes displacements per step.
            self._tag = 'POTIM'
            target['velocities'] = table @ target['cell'] / self._number(self._parameters.get('POTIM', ''))
        else:
            target[name] = table

    def _energy(self, parent: str) -> None:
        if parent == 'scstep':
            self._scf_energies = self._energies
        elif parent == 'calculation' and self._step is not None:
            self._step.energies = self._energies
        elif parent == 'modeling':
            self.begun = True
            step = self._step if self._step is not None and self._step.source == 'ml' else StepBuilder('ml')
            step.energies = self._energies
            self._step = step
            self._finish()

    def _finish(self) -> None:
        step, self._step = self._step, None
        if step is None or 'free' not in step.energies:
            raise ValueError(
                f'{self.name}, line {self._parser.CurrentLineNumber}: step {self._n_steps + 1} has no energy: '
                'the file is damaged; use the steps before'
            )
        if step.source == 'dft':
            limit = self.header().max_scf_steps
            step.scf_converged = None if limit is None or not step.scf_steps else step.scf_steps < limit
            for kind in ('without_entropy', 'sigma0'):
                # These of the ionic step are wrong in some versions, those of the last electronic step are right.
                if {kind, 'free'} <= self._scf_energies.keys():
                    difference = self._scf_energies[kind] - self._scf_energies['free']
                    step.energies[kind] = step.energies['free'] + difference
        self._n_steps += 1
        self.done.append(step.build(self._n_steps))
