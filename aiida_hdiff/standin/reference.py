"""The reference potential, in the place of DFT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.standin import StandinError

Floats = NDArray[np.float64]

VARIABLE = 'HDIFF_STANDIN_REFERENCE'
KBAR_PER_EV_PER_ANGSTROM3 = 10.0 * EV_PER_ANGSTROM3_IN_GPA


@dataclass(frozen=True, eq=False)
class Labels:
    """Energy in eV, forces in eV/Å, stress in kbar with VASP's sign as a symmetric matrix, shape (3, 3)."""

    energy: float
    forces: Floats
    stress_kbar: Floats


class Reference:
    """A reference potential.

    Parameters
    ----------
    text
        `eam:FILE`, `chgnet`, `chgnet:MODEL` (weights that its package ships, such as `r2scan`), `emt` or `lj`
        (argon), as in the environment variable.

    Raises
    ------
    StandinError
        Not one of these, a file that does not exist, or a package that is not installed.
    """

    def __init__(self, text: str) -> None:
        kind, _, file = text.partition(':')
        if kind not in _CALCULATORS:
            raise StandinError(
                f'{VARIABLE} is {text!r}: set it to eam:<file>, chgnet, chgnet:<model>, emt or lj; '
                'there is no DFT in the stand-in'
            )
        self.name = f'{kind} {Path(file).name}'.strip()
        try:
            self._calculator = _CALCULATORS[kind](file)
        except ModuleNotFoundError as error:
            raise StandinError(f'the reference {kind} needs the package {error.name}: install it') from None
        except (OSError, ValueError) as error:
            raise StandinError(f'{VARIABLE}: {error}') from None

    def __call__(self, symbols: list[str], cell: Floats, positions: Floats) -> Labels:
        """Return the labels of a periodic structure.

        Raises
        ------
        StandinError
            The potential cannot do these elements.
        """
        from ase import Atoms

        atoms = Atoms(symbols, positions=positions, cell=cell, pbc=True)
        atoms.calc = self._calculator
        try:
            energy = float(atoms.get_potential_energy())
            forces = np.array(atoms.get_forces(), dtype=np.float64)
            stress = np.array(atoms.get_stress(voigt=False), dtype=np.float64)
        except (NotImplementedError, KeyError, IndexError, RuntimeError) as error:
            raise StandinError(
                f'the reference {self.name} fails for {" ".join(dict.fromkeys(symbols))}: {error!r}'
            ) from None
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
            raise StandinError(f'the reference {self.name} gives no finite number: the structure is unphysical')
        return Labels(energy, forces, -0.5 * (stress + stress.T) * KBAR_PER_EV_PER_ANGSTROM3)


def reference_from(environment: Mapping[str, str]) -> Reference:
    """Return the potential that the environment names."""
    return Reference(environment.get(VARIABLE, ''))


def reference_name(environment: Mapping[str, str]) -> str:
    """Return the name for the banner, without loading the potential."""
    kind, _, file = environment.get(VARIABLE, 'none').partition(':')
    return f'{kind} {Path(file).name}'.strip()


def _eam(file: str) -> Any:
    from matscipy.calculators.eam import EAM

    if not Path(file).is_file():
        raise FileNotFoundError(f'the potential file {file} does not exist')
    return EAM(file)


def _chgnet(model: str) -> Any:
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    return CHGNetCalculator(CHGNet.load(model_name=model or '0.3.0', use_device='cpu', verbose=False), use_device='cpu')


def _emt(file: str) -> Any:
    from ase.calculators.emt import EMT

    return EMT()


def _lennard_jones(file: str) -> Any:
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=0.0104, sigma=3.4, rc=8.5, ro=7.5, smooth=True)


_CALCULATORS: dict[str, Callable[[str], Any]] = {'eam': _eam, 'chgnet': _chgnet, 'emt': _emt, 'lj': _lennard_jones}
