"""OUTCAR of VASP 5 and 6, step by step, with steps of DFT and of a force field.

In a run with a machine-learned force field every step begins with a block of predictions, marked `ML`; where VASP then
decides for DFT, electronic steps and a second, unmarked block follow. Prediction-only output has the first kind alone.
The data sets of the potentials, which the file repeats, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.ionic_step import IonicStep, Prediction, StepBuilder, StepStream, StreamEnd, VaspHeader
from aiida_hdiff.formats.labelled_ml_ab import stress_from_kbar
from aiida_hdiff.formats.text_stream import LineReader, TruncatedError, parse_frames

Floats = NDArray[np.float64]

MAX_ATOMS = 10**7

_VERSION = re.compile(rb'\s*vasp\.(\w[\w.]*)', re.IGNORECASE)
_POTENTIAL = re.compile(rb'\s*(?:TITEL\s*=|POTCAR:)\s*\S+\s+([A-Za-z]{1,2})(?![a-z])')
_TAG = re.compile(rb'\s*(\w+)\s*=\s*(.*?)\s*$')
_PARAMETER = re.compile(rb'\b(NELM|NSW|NIONS|ISIF|IBRION|POTIM|TEBEG|TEEND|PSTRESS|EDIFF|ENCUT|NBLOCK)\s*=\s*([^\s;]+)')
_ITERATION = re.compile(rb'-+ Iteration\s*(\d+|\*+)\s*\(\s*(\d+|\*+)\s*\)')
_KINETIC = {
    b'kineti': ('kinetic', b'kinetic energy EKIN'),
    b'kin. l': ('lattice_kinetic', b'kin. lattice'),
    b'nose p': ('nose_potential', b'nose potential'),
    b'nose k': ('nose_kinetic', b'nose kinetic'),
}
_FIRST_STEP = re.compile(rb'\s*(ML FORCE|-+ I(teration|onic step)|POSITION\s+TOTAL-FORCE)')


def iter_outcar(path: str | Path, *, allow_truncated: bool = False) -> StepStream:
    """Open an OUTCAR and return its steps, one at a time.

    Positions have 5 decimals there, and the header has no initial structure.

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
        Iterator over `IonicStep` with the attributes `header` and `end`.

    Raises
    ------
    ValueError
        Not an OUTCAR, no header, damaged (during the iteration), or truncated; names the line.
    """
    return StepStream(lambda end: _steps(Path(path), allow_truncated, end))


def _steps(path: Path, allow_truncated: bool, end: StreamEnd) -> Iterator[IonicStep | VaspHeader]:
    with LineReader(path) as lines:
        header, line = _header(lines)
        yield header
        reader = _Reader(lines, header)
        try:
            while line.endswith(b'\n'):
                if reader.read(line):
                    yield from reader.done
                    reader.done.clear()
                line = lines.next()
        except TruncatedError:
            pass
        reader.close()
        yield from reader.done
        end.truncated = not reader.finished
        if end.truncated and not allow_truncated:
            raise TruncatedError(
                f'{lines.name} is truncated: it ends at line {lines.line} after {end.n_steps} complete steps: '
                'read it with allow_truncated=True to use these'
            )


def _header(lines: LineReader) -> tuple[VaspHeader, bytes]:
    """Read up to the first step and return the header and the line that begins the step."""
    version = ''
    incar: dict[str, str] = {}
    parameters: dict[str, str] = {}
    potentials: dict[bytes, list[str]] = {b'TITEL': [], b'POTCAR': []}
    counts: list[int] = []
    in_incar = emulated = False
    while line := lines.next():
        text = line.strip()
        if not line.endswith(b'\n') or (counts and _FIRST_STEP.match(line)):
            break
        emulated = emulated or b'EMULATED' in line
        if not version and (match := _VERSION.match(line)):
            version = match[1].decode()
        elif text == b'INCAR:':
            in_incar = True
        elif match := _POTENTIAL.match(line):
            in_incar = False
            potentials[b'TITEL' if text.startswith(b'TITEL') else b'POTCAR'].append(match[1].decode())
        elif in_incar and (match := _TAG.match(line)):
            incar[match[1].decode().upper()] = match[2].decode(errors='replace')
        elif text.startswith(b'ions per type'):
            words = text.partition(b'=')[2].split()
            if not words or not all(word.isdigit() for word in words):
                raise lines.error('no numbers of ions here: the file is damaged')
            counts = [int(word) for word in words]
        else:
            in_incar = in_incar and not text.startswith(b'POTCAR')
            for key, value in _PARAMETER.findall(line):
                parameters.setdefault(key.decode(), value.decode(errors='replace'))
    if not version or not counts:
        raise lines.error('no version or no numbers of ions before: the run has not begun or it is no OUTCAR')
    if not 0 < sum(counts) <= MAX_ATOMS:
        raise lines.error(f'{sum(counts)} ions: the file is damaged')
    kinds = potentials[b'TITEL'] if len(potentials[b'TITEL']) == len(counts) else potentials[b'POTCAR'][: len(counts)]
    kinds += [''] * (len(counts) - len(kinds))
    symbols = tuple(kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count))
    return VaspHeader(version, symbols, incar, parameters, emulated), line


class _Reader:
    """Turns lines into steps."""

    def __init__(self, lines: LineReader, header: VaspHeader) -> None:
        self.done: list[IonicStep] = []
        self.finished = False
        self._lines = lines
        self._n_atoms = len(header.symbols)
        self._max_scf_steps = header.max_scf_steps
        self._number = 0
        self._step: StepBuilder | None = None
        self._predicted: StepBuilder | None = None
        self._dft = False
        self._over = False
        self._handlers = {
            b'ML FOR': self._ml_begins,
            b'POSITI': self._forces,
            b'in kB ': self._stress,
            b'direct': self._cell,
            b'free  ': self._free_energy,
            b'energy': self._other_energies,
            b'ML ene': self._other_energies,
            b'------': self._ruler,
            b'kineti': self._kinetic,
            b'kin. l': self._kinetic,
            b'nose p': self._kinetic,
            b'nose k': self._kinetic,
            b'Genera': self._footer,
        }

    def read(self, line: bytes) -> bool:
        """Take in a line; return whether steps are complete."""
        text = line.lstrip()
        handler = self._handlers.get(text[:6])
        if handler is not None:
            handler(text)
            return bool(self.done)
        return False

    def close(self) -> None:
        """End the last step."""
        self._end_step(at_end=True)

    def _begin_step(self) -> StepBuilder:
        self._end_step()
        self._number += 1
        self._step = StepBuilder('ml')
        return self._step

    def _end_step(self, at_end: bool = False) -> None:
        step, predicted = self._step, self._predicted
        interrupted = self._dft and (step is None or 'free' not in step.energies or 'forces' not in step.tables)
        self._step = self._predicted = None
        self._dft = self._over = False
        if step is None or (at_end and interrupted and not self.finished):
            return
        if predicted is not None and np.any(predicted.tables.get('forces', np.ones(1))):
            step.prediction = Prediction(
                predicted.energies.get('free', 0.0), predicted.tables.get('forces'), predicted.tables.get('stress')
            )
        without_field = (
            step.source == 'ml' and step.energies.get('free') == 0.0 and not np.any(step.tables.get('forces'))
        )
        partial = at_end and 'forces' not in step.tables and not self.finished
        if 'free' not in step.energies or partial or (at_end and without_field):
            if at_end:
                return
            raise self._lines.error(f'step {self._number} has no energy before this line: the file is damaged')
        limit = self._max_scf_steps
        if step.source == 'dft' and step.scf_converged is None and limit is not None and step.scf_steps:
            step.scf_converged = step.scf_steps < limit
        self.done.append(step.build(self._number))

    def _current(self) -> StepBuilder:
        return self._step if self._step is not None else self._begin_step()

    def _ml_begins(self, text: bytes) -> None:
        if text.startswith(b'ML FORCE on cell') and (self._step is None or self._step.tables or self._step.energies):
            self._begin_step()

    def _begin_dft(self) -> None:
        """Keep what the force field has predicted, and make room for DFT."""
        step = self._current()
        if self._dft:
            return
        self._dft = True
        if step.energies or 'forces' in step.tables:
            self._predicted = step
            self._step = StepBuilder('dft')
        step = self._current()
        step.source = 'dft'
        if self._predicted is not None:
            kept = {name: self._predicted.tables.get(name) for name in ('positions', 'cell')}
            step.tables |= {name: table for name, table in kept.items() if table is not None}

    def _ruler(self, text: bytes) -> None:
        if match := _ITERATION.match(text):
            overflown, first = b'*' in match[1], match[2] == b'1'
            number = 0 if overflown else int(match[1])
            if self._step is None or self._over or (self._dft and (first if overflown else number != self._number)):
                self._begin_step()
            if not overflown and number != self._number:
                if not self._number < number < 10**9:
                    raise self._lines.error(f'step {number} after step {self._number}: the file is damaged')
                self._number = number
            self._begin_dft()
            self._current().scf_steps += 1
        elif self._dft and b'aborting loop' in text:
            self._current().scf_converged = b'EDIFF is reached' in text

    def _forces(self, text: bytes) -> None:
        if b'TOTAL-FORCE' not in text:
            return
        if text.rstrip().endswith(b'(ML)'):
            if self._step is None or self._dft or 'forces' in self._step.tables:
                self._begin_step()
        elif not self._dft or 'forces' in self._current().tables:
            if self._step is not None and self._dft:
                self._begin_step()
            self._begin_dft()
        table = self._table(self._n_atoms, 6, skipped=1)
        step = self._current()
        step.tables['positions'], step.tables['forces'] = table[:, :3], table[:, 3:]

    def _cell(self, text: bytes) -> None:
        if text.startswith(b'direct lattice vectors') and self._step is not None:
            if self._over:
                self._begin_step()
            self._step.tables['cell'] = self._table(3, 6)[:, :3]

    def _stress(self, text: bytes) -> None:
        if self._step is not None:
            values = self._numbers(text[5:].split(), 6)
            self._step.tables['stress'] = stress_from_kbar(np.array(values))

    def _free_energy(self, text: bytes) -> None:
        if b'TOTEN' not in text:
            return
        if self._step is not None and b'ML' in text and (self._over or 'free' in self._step.energies):
            self._begin_step()
        if self._step is not None:
            self._step.energies['free'] = self._numbers(text.partition(b'=')[2].split()[:1], 1)[0]

    def _other_energies(self, text: bytes) -> None:
        if self._step is not None and text.startswith((b'energy  without', b'ML energy  without')):
            before, _, after = text.partition(b'energy(sigma->0)')
            words = before.partition(b'=')[2].split()[:1] + after.partition(b'=')[2].split()[:1]
            without, sigma0 = self._numbers(words, 2)
            self._step.energies['without_entropy'], self._step.energies['sigma0'] = without, sigma0

    def _kinetic(self, text: bytes) -> None:
        name, start = _KINETIC[text[:6]]
        if self._step is not None and text.startswith(start):
            self._over = True
            self._step.energies[name] = self._numbers(text.partition(b'=')[2].split()[:1], 1)[0]

    def _footer(self, text: bytes) -> None:
        self.finished = self.finished or text.startswith(b'General timing and accounting')

    def _numbers(self, words: list[bytes], count: int) -> list[float]:
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != count or not np.all(np.isfinite(values)):
            raise self._lines.error(
                f'no {count} numbers here in step {self._number}: the run blew up or the file is damaged; '
                'use the steps before'
            )
        return values

    def _table(self, n_rows: int, n_columns: int, skipped: int = 0) -> Floats:
        self._lines.need(skipped, self._number)
        first = self._lines.line + 1
        text = self._lines.need(n_rows, self._number)
        table: Floats = parse_frames(self._lines.name, [text], (n_rows, n_columns), self._number, [first])[0]
        return table
