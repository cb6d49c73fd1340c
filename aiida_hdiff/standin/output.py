"""The files of a run, opened at its start and flushed after every step that is written."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin import outcar, structures, tables, vasprun
from aiida_hdiff.standin.record import Run, Step

Floats = NDArray[np.float64]


class Output:
    """OUTCAR, vasprun.xml, OSZICAR, XDATCAR, REPORT, CONTCAR and the screen.

    Parameters
    ----------
    run
        The inputs.
    folder
        Where files are written.
    screen
        Standard output.
    """

    def __init__(self, run: Run, folder: Path, screen: IO[str]) -> None:
        self._run, self._folder, self._screen = run, folder, screen
        self._frames = 0
        names = ['OUTCAR', 'vasprun.xml', 'OSZICAR', 'XDATCAR'] + (['REPORT'] if run.settings.is_md else [])
        self._streams = {name: (folder / name).open('w', encoding='utf-8') for name in names}
        self._write('OUTCAR', outcar.header(run))
        self._write('vasprun.xml', vasprun.header(run))
        if run.settings.is_md:
            self._write('REPORT', tables.report_header(run))
        self._flush()

    def step(self, step: Step) -> None:
        """Write a step, whole; in prediction-only runs every ML_OUTBLOCK-th, and frames every NBLOCK-th."""
        settings = self._run.settings
        if step.number % settings.nblock == 0 or not settings.is_md:
            self._frame(step)
        if step.labels is not None or step.number % settings.outblock == 0:
            self._write('OUTCAR', outcar.step_text(self._run, step))
            self._write('vasprun.xml', vasprun.step_text(self._run, step))
            lines = tables.electronic_steps(step) + tables.ionic_line(self._run, step)
            self._write('OSZICAR', lines)
            self._screen.write(lines)
            if step.kinetics is not None and 'REPORT' in self._streams:
                self._write('REPORT', tables.report_step(step))
        self._flush()

    def half_step(self, step: Step) -> None:
        """Write a part of a step, as a run leaves it that is killed."""
        for name, text in (
            ('OUTCAR', outcar.step_text(self._run, step)),
            ('vasprun.xml', vasprun.step_text(self._run, step)),
            ('OSZICAR', tables.electronic_steps(step) + tables.ionic_line(self._run, step)),
            ('XDATCAR', structures.xdatcar_frame(step.number, step.scaled)),
        ):
            self._write(name, text[: int(0.6 * len(text))])
        self._flush()

    def contcar(self, cell: Floats, scaled: Floats, velocities: Floats | None, lattice: Floats | None) -> None:
        """Write CONTCAR anew, and then put it into its place."""
        path = self._folder / 'CONTCAR'
        unfinished = path.with_name('CONTCAR.part')
        unfinished.write_text(structures.contcar(self._run, cell, scaled, velocities, lattice), encoding='utf-8')
        unfinished.replace(path)

    def message(self, kind: str, message: str) -> None:
        """Print a framed warning or error on the screen and in OUTCAR."""
        text = outcar.box(kind, message)
        self._screen.write(text)
        self._write('OUTCAR', text)
        self._flush()

    def line(self, text: str) -> None:
        """Print a line on the screen and in OUTCAR."""
        self._screen.write(text)
        self._write('OUTCAR', text)

    def finish(self, cell: Floats, scaled: Floats, velocities: Floats | None) -> None:
        """Write the ends that only runs have that were not interrupted."""
        self._write('OUTCAR', outcar.footer())
        self._write('vasprun.xml', vasprun.footer(self._run, cell, scaled, velocities))
        self._flush()

    def close(self) -> None:
        """Close the files."""
        for stream in self._streams.values():
            stream.close()

    def _frame(self, step: Step) -> None:
        self._frames += 1
        if self._frames == 1 or self._run.settings.npt:
            self._write('XDATCAR', structures.xdatcar_header(self._run, step.cell))
        scaled = step.scaled % 1.0 if self._run.settings.mdalgo == 0 and self._run.settings.is_md else step.scaled
        self._write('XDATCAR', structures.xdatcar_frame(self._frames, scaled))

    def _write(self, name: str, text: str) -> None:
        self._streams[name].write(text)

    def _flush(self) -> None:
        for stream in self._streams.values():
            stream.flush()
        self._screen.flush()
