"""From the labels and predictions of an evaluation to what parity plots show."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.models import Parity

_MILLI = 1000.0


def parity(node: Any) -> tuple[Parity, ...]:
    """Return energies, forces on each element and stresses of the output `parity` of `hdiff.evaluate`.

    Energies are per atom, without the constant energies of the elements that fit the labels best, and the predictions
    also without those that fit their errors best, so that zeros of energy do not matter.

    Parameters
    ----------
    node : aiida.orm.ArrayData
        The output.

    Returns
    -------
    tuple of Parity
        Quantities without finite pairs are left out.
    """
    from ase.data import chemical_symbols

    names = node.get_arraynames()
    arrays = {name: node.get_array(name) for name in names}
    numbers, offsets, forces = arrays['numbers'], arrays['offsets'], arrays['forces']
    labels = _without_elements(arrays['energies'][:, 0] / np.diff(offsets), numbers, offsets)
    errors = arrays['energy_errors_without_element_offsets']
    found = [_pair('energy', 'meV/atom', _MILLI * labels, _MILLI * (labels + errors))]
    for number in sorted(set(numbers.tolist())):
        pairs = forces[numbers == number].reshape(-1, 2)
        found.append(_pair(f'forces on {chemical_symbols[number]}', 'eV/Å', pairs[:, 0], pairs[:, 1]))
    stresses = EV_PER_ANGSTROM3_IN_GPA * arrays['stresses'].reshape(-1, 2)
    found.append(_pair('stress', 'GPa', stresses[:, 0], stresses[:, 1]))
    return tuple(one for one in found if len(one.labels))


def _pair(name: str, unit: str, labels: FloatArray, predictions: FloatArray) -> Parity:
    finite = np.isfinite(labels) & np.isfinite(predictions)
    return Parity(name, unit, labels[finite], predictions[finite])


def _without_elements(energies: FloatArray, numbers: Any, offsets: Any) -> FloatArray:
    """Return energies per atom less the constant energies of the elements by least squares, shape (n_frames,)."""
    counts = np.array([np.add.reduceat(numbers == number, offsets[:-1], dtype=np.float64) for number in set(numbers)])
    fractions = (counts / np.diff(offsets)).T
    constants = np.linalg.lstsq(fractions, energies, rcond=1e-9)[0]
    left: FloatArray = energies - fractions @ constants
    return left
