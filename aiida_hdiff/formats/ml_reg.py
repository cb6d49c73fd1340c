"""ML_REG: what the force field predicts for its training set, beside the training data.

Format: https://www.vasp.at/wiki/index.php/ML_REG: three tables of two columns, ab initio and fitted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.labelled_ml_ab import EV_PER_ANGSTROM3_IN_KBAR
from aiida_hdiff.formats.text_stream import LineReader, TruncatedError, parse_frames

Floats = NDArray[np.float64]

BLOCK_LINES = 2**16

_TITLES = ((b'energ', 'energies'), (b'force', 'forces'), (b'stress', 'stress'))
_STEP = re.compile(rb'.*Results at\s+(\d+)', re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class MLReg:
    """Training data of the last training step; the last axis is ab initio, fitted.

    Attributes
    ----------
    step
        Step of molecular dynamics at which the force field was made; None if not written.
    energies
        Energies in eV, shape (n_configurations, 2).
    forces
        Components x, y, z of the forces of all atoms of all configurations, in eV/Å, shape (n_vectors, 3, 2).
    stress
        Stress of the configurations in eV/Å³ with ASE's sign, in the order of the components in the file,
        shape (n_configurations, 6, 2).
    truncated
        Whether the file ends within or before a table; that table is cut to complete entries.
    """

    step: int | None
    energies: Floats
    forces: Floats
    stress: Floats
    truncated: bool

    @property
    def rmse_energy(self) -> float:
        """Root mean square error of the energies in eV per configuration."""
        return _rmse(self.energies)

    @property
    def rmse_forces(self) -> float:
        """Root mean square error of the force components in eV/Å."""
        return _rmse(self.forces)

    @property
    def rmse_stress(self) -> float:
        """Root mean square error of the stress components in eV/Å³."""
        return _rmse(self.stress)


def read_ml_reg(path: str | Path, *, allow_truncated: bool = False) -> MLReg:
    """Read ML_REG, plain or gzipped.

    Parameters
    ----------
    path
        The file.
    allow_truncated
        Return what is complete in a file that ends too early, instead of raising an error.

    Raises
    ------
    ValueError
        No table in the file, a line that cannot be read, tables that contradict one another, or truncated.
    """
    step: int | None = None
    blocks: dict[str, list[Floats]] = {name: [] for _, name in _TITLES}
    table = ''
    pending: list[bytes] = []
    truncated = False
    with LineReader(Path(path)) as lines:

        def flush() -> None:
            if pending:
                numbers = parse_frames(lines.name, [b''.join(pending)], (len(pending), 2), 0, [start])
                blocks[table].append(numbers[0])
                pending.clear()

        start = 0
        try:
            while line := lines.next():
                text = line.strip()
                if not line.endswith(b'\n'):
                    truncated = True
                    break
                if text[:1] in (b'*', b'=', b'-') and len(text) > 9 and not text.strip(text[:1]):
                    flush()
                elif match := _STEP.match(text):
                    step = int(match[1])
                elif text[:1].isalpha():
                    flush()
                    table = next((name for key, name in _TITLES if key in text.lower()), '')
                    if not table:
                        raise lines.error(f'unknown table {text.decode(errors="replace")[:40]!r}: this is no ML_REG')
                elif text:
                    if not table:
                        raise lines.error('numbers before the first title: this is no ML_REG')
                    start = start if pending else lines.line
                    pending.append(line)
                    if len(pending) == BLOCK_LINES:
                        flush()
            flush()
        except TruncatedError:
            flush()
            truncated = True
        if not table:
            raise lines.error('no table until here: this is no ML_REG')
        rows = {name: np.concatenate([np.empty((0, 2)), *parts]) for name, parts in blocks.items()}
        n_frames, n_components, n_stress = (len(rows[name]) for name in ('energies', 'forces', 'stress'))
        truncated = truncated or table != 'stress' or n_stress < 6 * n_frames
        if truncated and not allow_truncated:
            raise TruncatedError(
                f'{lines.name} is truncated: it ends at line {lines.line} in the table of {table}: '
                'read it with allow_truncated=True to use what is complete'
            )
        if not truncated and (n_components % 3 or n_components < 3 * n_frames or n_stress != 6 * n_frames):
            raise lines.error(
                f'{n_frames} energies, {n_components} components of forces and {n_stress} of stress do not belong '
                'together: the file is damaged'
            )
    forces = rows['forces'][: n_components - n_components % 3].reshape(-1, 3, 2)
    stress = rows['stress'][: n_stress - n_stress % 6].reshape(-1, 6, 2)
    return MLReg(step, rows['energies'], forces, -stress / EV_PER_ANGSTROM3_IN_KBAR, truncated)


def _rmse(table: Floats) -> float:
    return float(np.sqrt(np.mean((table[..., 1] - table[..., 0]) ** 2))) if table.size else np.nan
