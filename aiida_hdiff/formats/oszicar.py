"""OSZICAR of molecular dynamics: one line per ionic step.

Format: https://www.vasp.at/wiki/index.php/OSZICAR. Steps of a force field have that line too, but no electronic steps
before it. Energies have 8 and kinetic energies 5 digits, temperatures are rounded to 1 K.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.formats.text_stream import LineReader, TruncatedError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_COLUMNS = (b'T', b'E', b'F', b'E0', b'EK', b'SP', b'SK', b'mag')
_STEP = re.compile(rb'\s*(\d+|\*+)\s+(?:T=|F=)')
_VALUE = re.compile(rb'(T|E|F|E0|EK|SP|SK|mag)=\s*([^\s=]+)')
_ELECTRONIC = re.compile(rb'[A-Z]{2,4}\s?:\s*(\d+|\*+)\s')


@dataclass(frozen=True, eq=False)
class Oszicar:
    """Columns of OSZICAR, each of shape (n_steps,); NaN where a line has no such value.

    Attributes
    ----------
    steps
        Numbers of the steps as written; counted on where they overflow.
    temperature_K
        Temperature, rounded by VASP; `temperature_from_kinetic` gives more digits.
    total_energy
        E: sum of F and the kinetic and thermostat energies, in eV.
    free_energy
        F: free energy of the electrons, in eV.
    energy_sigma0
        E0: energy extrapolated to no smearing, in eV.
    kinetic_energy
        EK in eV.
    thermostat_potential
        SP: potential energy of a Nosé thermostat in eV.
    thermostat_kinetic
        SK: kinetic energy of a Nosé thermostat in eV.
    magnetization
        Magnetic moment of the cell in Bohr magnetons.
    scf_steps
        Number of electronic steps.
    truncated
        Whether the file ends within a step.
    """

    steps: Integers
    temperature_K: Floats
    total_energy: Floats
    free_energy: Floats
    energy_sigma0: Floats
    kinetic_energy: Floats
    thermostat_potential: Floats
    thermostat_kinetic: Floats
    magnetization: Floats
    scf_steps: Integers
    truncated: bool

    @property
    def is_ml(self) -> NDArray[np.bool_]:
        """Whether each step was made by a force field, shape (n_steps,)."""
        return np.asarray(self.scf_steps == 0)

    def temperature_from_kinetic(self, degrees_of_freedom: int) -> Floats:
        """Return 2 EK / (f k_B) in K, shape (n_steps,).

        Parameters
        ----------
        degrees_of_freedom
            f, 3 N for a Langevin thermostat and 3 N - 3 otherwise.
        """
        return np.asarray(2.0 * self.kinetic_energy / (degrees_of_freedom * BOLTZMANN_EV_PER_K))


def read_oszicar(path: str | Path, *, allow_truncated: bool = False) -> Oszicar:
    """Read OSZICAR, plain or gzipped.

    Parameters
    ----------
    path
        The file.
    allow_truncated
        Leave out an incomplete last step, as a killed run writes it, instead of raising an error.

    Raises
    ------
    ValueError
        No step in the file, a line that cannot be read, or truncated; names the line.
    """
    columns = {name: array('d') for name in _COLUMNS}
    steps, scf_steps = array('q'), array('q')
    n_scf = 0
    truncated = False
    with LineReader(Path(path)) as lines:
        try:
            while line := lines.next():
                if not line.endswith(b'\n'):
                    truncated = True
                    break
                if match := _ELECTRONIC.match(line):
                    n_scf += 1
                elif match := _STEP.match(line):
                    values = {name: _number(lines, text) for name, text in _VALUE.findall(line)}
                    if not {b'F', b'E0'} <= values.keys():
                        raise lines.error('F or E0 is missing: the file is damaged')
                    for name, column in columns.items():
                        column.append(values.get(name, np.nan))
                    counted = (steps[-1] if steps else 0) + 1
                    steps.append(counted if b'*' in match[1] or len(match[1]) > 15 else int(match[1]))
                    scf_steps.append(n_scf)
                    n_scf = 0
        except TruncatedError:
            truncated = True
        truncated = truncated or n_scf > 0
        if truncated and not allow_truncated:
            raise TruncatedError(
                f'{lines.name} is truncated: it ends at line {lines.line} within the step after {len(steps)} complete '
                'ones: read it with allow_truncated=True to leave that step out'
            )
        if not steps and not truncated:
            raise lines.error('no ionic step until here: the run has not begun or it is no OSZICAR')
    temperature, total, free, sigma0, kinetic, potential, thermostat, moment = map(np.array, columns.values())
    return Oszicar(
        steps=np.array(steps, dtype=np.int64),
        temperature_K=temperature,
        total_energy=total,
        free_energy=free,
        energy_sigma0=sigma0,
        kinetic_energy=kinetic,
        thermostat_potential=potential,
        thermostat_kinetic=thermostat,
        magnetization=moment,
        scf_steps=np.array(scf_steps, dtype=np.int64),
        truncated=truncated,
    )


def _number(lines: LineReader, text: bytes) -> float:
    """Return a number, NaN where it did not fit into its columns."""
    if not text.strip(b'*'):
        return np.nan
    try:
        return float(text)
    except ValueError:
        raise lines.error(f'{text.decode(errors="replace")[:40]!r} is not a number: the file is damaged') from None
