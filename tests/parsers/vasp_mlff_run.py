"""A training run in the layouts of VASP's files, from numbers that the tests know; no file is of VASP."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aiida_hdiff.formats import MLAB, MLABFrame, write_ml_ab
from tests.formats.vasp_writer import Step, write_outcar, write_vasprun

SYMBOLS = ('Mg', 'Mg', 'H')
CELL = np.array([[6.0, 0.0, 0.0], [-3.0, 5.2, 0.0], [0.0, 0.0, 5.5]])
TIMESTEP_FS = 1.0
FOOTER = (
    '\n General timing and accounting informations for this job:\n ====\n'
    '                         Elapsed time (sec):        4.500\n'
)
MASSES = np.array([24.305, 24.305, 1.008])
LOG_HEADER = """\
* MACHINE LEARNING SETTINGS ***************************
 Operation mode                                        : ML_MODE    = TRAIN
*******************************************************
* MAIN LOOP *******************************************
# STATUS            nstep     state is   doabin    iff   nsample    ngenff
# STATUS                2         3  4        5      6         7         8
# LCONF                nstep el nlrc_old nlrc_new ...
# LCONF                    2  3        4        5 ...
# BEEF             nstep  bee_energy  bee_max_force  bee_ave_force  threshold  bee_max_stress  bee_ave_stress
# BEEF                 2           3              4              5          6               7               8
# ERR              nstep    rmse_energy     rmse_force    rmse_stress
# ERR                  2              3              4              5
# THRUPD           nstep   ctifor_prev    ctifor_new   std_rel_beef  slope_rel_beef
# THRUPD               2             3             4              5               6
"""


@dataclass
class TrainingRun:
    """Positions x(n) = x(0) + n v dt, in a cell that grows, and the files of the first ``len(pattern)`` steps."""

    pattern: str = 'ddmmdmmmdm'
    seed: int = 5
    growing: bool = True
    start: np.ndarray = field(default_factory=lambda: np.array([[0.4, 1.7, 1.3], [1.5, 2.5, 2.0], [2.5, 1.5, 4.3]]))
    n_before: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.scaled_velocities = rng.normal(scale=0.008, size=(3, 3))
        self.growth = 1e-3 * np.eye(3) if self.growing else np.zeros((3, 3))
        self.steps = []
        for number, letter in enumerate(self.pattern):
            cell, positions = self.at(number)
            self.steps.append(
                Step(
                    letter == 'm', -10.0 + rng.normal(), positions, cell, rng.normal(size=(3, 3)),
                    10.0 * rng.normal(size=6), 0.1 + 0.05 * rng.random(),
                    scf_steps=0 if letter == 'm' else int(rng.integers(3, 9)), predicted_energy=-10.0,
                )
            )  # fmt: skip

    def at(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return cell and continuous positions after some moves."""
        cell = CELL + number * self.growth
        scaled = self.start @ np.linalg.inv(CELL) + number * TIMESTEP_FS * self.scaled_velocities
        return cell, scaled @ cell

    def write(self, folder: Path, *, finished: bool = True, wrapped: bool = False) -> Path:
        """Write all files; a run that has not finished has no ends."""
        folder.mkdir(exist_ok=True)
        steps = self.steps
        if wrapped:
            steps = [Step(**{**vars(step), 'positions': _wrapped(step.positions, step.cell)}) for step in steps]
        write_vasprun(folder / 'vasprun.xml', steps, SYMBOLS, potim=TIMESTEP_FS)
        text = (folder / 'vasprun.xml').read_text().replace('6.3.0 ', '6.4.3 ')
        # Of the last structure VASP writes where it has moved to; here CONTCAR tells.
        text = text[: text.index('<structure name="finalpos"')] + '</modeling>\n'
        (folder / 'vasprun.xml').write_text(text if finished else text[: -len('</modeling>\n')])
        write_outcar(folder / 'OUTCAR', steps, ('Mg', 'H'), (2, 1), finished=False)
        text = (folder / 'OUTCAR').read_text().replace('vasp.6.3.0', 'vasp.6.4.3')
        (folder / 'OUTCAR').write_text(text + (FOOTER if finished else ''))
        (folder / 'OSZICAR').write_text(''.join(_oszicar(n, step) for n, step in enumerate(self.steps, 1)))
        (folder / 'XDATCAR').write_text(_xdatcar(self.steps))
        (folder / 'CONTCAR').write_text(self.contcar(len(self.steps)))
        (folder / 'ML_LOGFILE').write_text(self.log(finished))
        if 'd' in self.pattern:
            (folder / 'ML_ABN').write_text(self.ml_ab())
        (folder / 'ML_REG').write_text(_ml_reg())
        (folder / 'vasp_output').write_text(' running on    4 total cores\n vasp.6.4.3 19Mar24 complex\n')
        return folder

    def contcar(self, number: int) -> str:
        """Return CONTCAR as VASP leaves it after a step, counted from 1."""
        (cell, positions), (next_cell, next_positions) = self.at(number - 1), self.at(number)
        scaled, moved = positions @ np.linalg.inv(cell), next_positions @ np.linalg.inv(next_cell)
        velocities = (moved - scaled) @ next_cell / TIMESTEP_FS
        lattice = _rows(self.growth / TIMESTEP_FS, '%16.8E') + _rows(next_cell, '%16.8E')
        return (
            'Mg2H\n   1.0\n' + _rows(cell, '%22.16f') + '   Mg  H\n     2     1\nDirect\n' + _rows(scaled, '%20.16f')
            + (f'Lattice velocities and vectors\n           1\n{lattice}' if self.growing else '')
            + '\n' + _rows(velocities, '%16.8E') + f'\n           1\n   {TIMESTEP_FS:.14f}\n'
            + _rows(np.zeros((1, 4)), '%16.8E') + _rows(moved, '%16.8E') + _rows(np.zeros((6, 3)), '%16.8E')
        )  # fmt: skip

    def log(self, finished: bool = True, first: int = 1) -> str:
        """Return ML_LOGFILE; its steps may begin at 0 or 1."""
        text = LOG_HEADER
        for number, step in enumerate(self.steps, first):
            state = 'accurate   1        F' if step.ml else 'threshold  2        T'
            text += f'STATUS          {number:9d} {state}      T         0         0\n'
            text += f'BEEF {number:9d}' + 6 * f'  {1e-3 * number:15.8E}' + '\n'
            if not step.ml:
                text += f'ERR {number:9d}  1.0E-03  2.0E-02  {number:.8E}\n'
                text += f'LCONF {number:9d} Mg {number:8d} {number + 1:8d} H {number:8d} {number + 2:8d}\n'
                text += f'THRUPD {number:9d} 2.0E-03 {1e-3 * number:.8E} 1.0E-01 -2.0E-02\n'
        return text + ('* TIMING INFORMATION ****\n' if finished else '')

    def frames(self) -> list[MLABFrame]:
        """Return the steps of DFT as VASP collects them, behind those that it has read."""
        dft = [step for step in self.steps if not step.ml]
        before = [Step(**{**vars(step), 'energy': -50.0 - n}) for n, step in enumerate(self.n_before * dft[:1])]
        return [
            MLABFrame(
                name='Mg2H', elements=('Mg', 'H'), counts=(2, 1), cell=step.cell,
                positions=_wrapped(step.positions, step.cell), energy=step.energy + 1e-9, forces=step.forces,
                stress_kbar=step.stress, ctifor=0.005,
            )
            for step in [*before, *dft]
        ]  # fmt: skip

    def ml_ab(self) -> str:
        """Return ML_ABN."""
        stream = io.StringIO()
        write_ml_ab(MLAB.from_frames(self.frames()), stream)
        return stream.getvalue()


def ml_ffn(**entries: object) -> bytes:
    """Return a force field: a header in VASP's layout, and no force field."""
    header = {
        'date': '2026-01-02T03:04:05.678', 'ML_LFAST': True, 'types': ['Mg', 'H'], 'training_structures': 4,
        'local_reference_cfgs': [10, 20], 'ML_RCUT1': 8.0, 'ML_RCUT2': 5.0, **entries,
    }  # fmt: skip
    return f'ML_FF 0.2.2 binary {json.dumps(header)}'.ljust(4095).encode() + b'\n' + bytes(range(256))


def _wrapped(positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    return (positions @ np.linalg.inv(cell) % 1.0) @ cell


def _rows(table: np.ndarray, form: str) -> str:
    return ''.join(''.join(form % value for value in row) + '\n' for row in table)


def _oszicar(number: int, step: Step) -> str:
    scf = ''.join(
        f'DAV:  {n:2d}    -0.1E+02   -0.1E-02   -0.1E-02   100   0.1E+00\n' for n in range(1, step.scf_steps + 1)
    )
    return scf + (
        f'{number:7d} T=   300. E= {step.energy + step.kinetic:.8E} F= {step.energy:.8E} E0= {step.energy:.8E}  '
        f'EK= {step.kinetic:.5E} SP= 0.00E+00 SK= 0.00E+00\n'
    )


def _xdatcar(steps: list[Step]) -> str:
    text = ''
    for number, step in enumerate(steps, 1):
        text += 'Mg2H\n 1\n' + _rows(step.cell, ' %11.6f') + '  Mg  H\n   2   1\n'
        text += f'Direct configuration={number:6d}\n' + _rows(step.positions @ np.linalg.inv(step.cell), ' %11.8f')
    return text


def _ml_reg() -> str:
    def table(title: str, n_rows: int) -> str:
        rows = ''.join(f'{n:17.6f}{n + 0.5:12.6f}\n' for n in range(n_rows))
        return '=' * 100 + f'\n     {title}\n' + '-' * 100 + '\n' + rows

    return (
        '*' * 100 + '\n     Results at          9 MD step.\n' + table('Total energies (eV)', 4)
        + table('Forces (eV ang.^-1)', 36) + table('Stress (kbar)', 24)
    )  # fmt: skip
