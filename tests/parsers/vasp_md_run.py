"""The output of a VASP run with a force field, in the layouts of VASP 6.4, of atoms whose motion a test knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.formats import vasp_writer

VERSION = ' vasp.6.4.3 19Mar24 (build Jan 01 2025 00:00:00) complex\n'


@dataclass
class VaspRun:
    """Atoms that fly straight; frames, energies and files every `block` steps.

    ``stop_at`` ends the run early, by VASP itself or, with ``killed``, in the midst of writing a frame. With ``predictor``
    CONTCAR holds the last structure and, behind the velocities, the next one, as VASP writes it; otherwise the next.
    """

    symbols: tuple[str, ...] = ('Ni', 'Ni', 'H')
    steps: int = 100
    block: int = 10
    timestep_fs: float = 1.0
    wrapped: bool = False
    predictor: bool = False
    growth: float = 0.0
    stop_at: int | None = None
    killed: bool = False
    vasprun: bool = True
    every_step_in_xdatcar: bool = False
    every_step_in_oszicar: bool = False
    message: str = ''
    version: str = VERSION
    kinetic: float = 0.2
    start: np.ndarray = field(default_factory=lambda: np.array([[0.1, 0.2, 0.3], [3.0, 3.1, 5.9], [1.0, 5.8, 2.0]]))
    velocities: np.ndarray = field(
        default_factory=lambda: np.array([[1e-3, -2e-3, 5e-4], [2e-3, 1e-3, 3e-3], [-2.1e-2, 1.7e-2, 0.9e-2]])
    )
    cell: np.ndarray = field(default_factory=lambda: np.array([[6.0, 0.0, 0.0], [0.4, 6.2, 0.0], [0.1, -0.3, 6.4]]))

    def cell_at(self, step: int) -> np.ndarray:
        return self.cell * (1.0 + self.growth * (step - 1))

    def positions_at(self, step: int) -> np.ndarray:
        """Positions of a step, from 1: fractional coordinates move as in the first cell, the cell takes them along."""
        scaled = (self.start + (step - 1) * self.timestep_fs * self.velocities) @ np.linalg.inv(self.cell)
        return scaled @ self.cell_at(step)

    @property
    def last(self) -> int:
        return self.steps if self.stop_at is None else self.stop_at

    def energy_at(self, step: int) -> tuple[float, float]:
        return -10.0 - 1e-5 * step, self.kinetic + 1e-5 * step

    def write(self, folder: Path) -> None:
        """Write OUTCAR, OSZICAR, XDATCAR, vasprun.xml, CONTCAR and the standard output."""
        folder.mkdir(parents=True, exist_ok=True)
        stored = [step for step in range(1, self.last + 1) if step % self.block == 0]
        counts = [self.symbols.count(symbol) for symbol in dict.fromkeys(self.symbols)]
        self._write_xdatcar(folder, stored, counts)
        rows = list(range(1, self.last + 1)) if self.every_step_in_oszicar else stored
        lines = [self._ionic_line(step) for step in rows]
        (folder / 'OSZICAR').write_text(''.join(lines) + (lines[-1][:20] if self.killed and lines else ''))
        if self.vasprun:
            self._write_vasprun(folder / 'vasprun.xml', rows)
        self._write_outcar(folder, counts)
        done = stored[-1] if self.killed and stored else self.last
        self._write_contcar(folder, done + 1, counts)
        text = ' running on    1 total cores\n' + self.version + ''.join(lines) + self.message
        (folder / 'vasp_output').write_text(text)

    def _ionic_line(self, step: int) -> str:
        potential, kinetic = self.energy_at(step)
        free = vasp_float(potential)
        return (
            f'{step:7d} T={1000.0 * kinetic:6.0f}. E= {vasp_float(potential + kinetic)} F= {free} E0= {free}'
            f'  EK= {vasp_float(kinetic, 5)} SP= 0.00E+00 SK= 0.00E+00\n'
        )

    def _write_xdatcar(self, folder: Path, stored: list[int], counts: list[int]) -> None:
        frames = range(1, self.last + 1) if self.every_step_in_xdatcar else stored
        text = ''
        for number, step in enumerate(frames, 1):
            if number == 1 or self.growth:
                text += f'run\n           1\n{vasp_writer.rows(self.cell_at(step), "%12.6f")}'
                text += f'   {"   ".join(dict.fromkeys(self.symbols))}\n   {"   ".join(map(str, counts))}\n'
            scaled = self.positions_at(step) @ np.linalg.inv(self.cell_at(step))
            text += f'Direct configuration={number:6d}\n' + vasp_writer.rows(
                scaled % 1.0 if self.wrapped else scaled, '%12.8f'
            )
        (folder / 'XDATCAR').write_text(text[: -len(text) // 50] if self.killed else text)

    def _write_vasprun(self, path: Path, rows: list[int]) -> None:
        frames = []
        for step in rows:
            potential, kinetic = self.energy_at(step)
            empty = np.zeros((len(self.symbols), 3))
            frames.append(
                vasp_writer.Step(
                    True, potential, self.positions_at(step), self.cell_at(step), empty, np.zeros(6), kinetic
                )
            )
        if frames:
            vasp_writer.write_vasprun(path, frames, symbols=self.symbols, energies_only=True)
            if self.killed:
                path.write_text(path.read_text().rpartition('<structure')[0])

    def _write_outcar(self, folder: Path, counts: list[int]) -> None:
        first = vasp_writer.random_steps('m', len(self.symbols))[0]
        text = vasp_writer.outcar_header(first, tuple(dict.fromkeys(self.symbols)), counts)
        text = self.version + text.partition('\n')[2] + ' ML FORCE on cell =-STRESS in cart. coord. units (eV/cell)\n'
        if self.stop_at is not None and not self.killed:
            text += ' soft stop encountered!  aborting job ...\n'
        if not self.killed:
            text += (
                '\n General timing and accounting informations for this job:\n'
                '                     Elapsed time (sec):       20.000\n'
            )
        (folder / 'OUTCAR').write_text(text)

    def _write_contcar(self, folder: Path, step: int, counts: list[int]) -> None:
        cell, following = self.cell_at(step), self.positions_at(step) @ np.linalg.inv(self.cell_at(step))
        scaled = following
        if self.predictor:
            cell = self.cell_at(step - 1)
            scaled = self.positions_at(step - 1) @ np.linalg.inv(cell)
        text = f'run\n   1.0\n{vasp_writer.rows(cell, "%22.16f")}   {"   ".join(dict.fromkeys(self.symbols))}\n'
        text += f'   {"   ".join(map(str, counts))}\nDirect\n'
        text += vasp_writer.rows(scaled % 1.0 if self.wrapped else scaled, '%20.16f')
        if self.growth:
            rates = self.cell * self.growth / self.timestep_fs
            text += 'Lattice velocities and vectors\n  1\n' + vasp_writer.rows(
                np.vstack([rates, self.cell_at(step)]), '%24.15E'
            )
        text += '\n' + vasp_writer.rows(self.velocities, '%24.15E')
        if self.predictor:
            text += '\n  1\n  0.10000000E+01\n  0.00000000E+00 0.00000000E+00 0.00000000E+00 0.00000000E+00\n'
            text += vasp_writer.rows(following, '%16.8E')
        (folder / 'CONTCAR').write_text(text)


def vasp_float(value: float, digits: int = 8) -> str:
    """Return a number as VASP prints it in OSZICAR: `-.12345678E+03`."""
    mantissa, exponent = f'{abs(value):.{digits - 1}E}'.split('E')
    return f'{"-" if value < 0 else ""}.{mantissa.replace(".", "")}E{int(exponent) + 1:+03d}'
