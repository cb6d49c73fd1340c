"""Conversion of a MACE model for faster kernels, and its comparison with the model: ``hdiff-engine convert-mace``.

Files written: ``converted.json`` and, if it could be loaded, ``comparison.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.checkpoint import write_atomically
from aiida_hdiff.engine.exit_codes import CONVERSION_DIFFERS, EngineError
from aiida_hdiff.engine.fast_mace import convert
from aiida_hdiff.engine.implementations import TOLERANCES, calculator_record, differences, excess
from aiida_hdiff.engine.job_input import bad_input, check_keys, job_limits
from aiida_hdiff.engine.md_input import Potential, read_start
from aiida_hdiff.engine.model_load import load_mace_model

if TYPE_CHECKING:
    from ase import Atoms

CONVERTED = 'converted.json'
COMPARISON = 'comparison.json'
DISPLACEMENTS = ((0.0, 0.0), (0.05, 0.01), (0.15, 0.03))
"""Of the structures that are compared: standard deviation of the displacements (Å), and of the strains."""


@dataclass(frozen=True)
class ConvertInput:
    """What ``hdiff-engine convert-mace`` is told.

    Attributes
    ----------
    potential
        The model, of architecture ``mace``.
    start
        File with a structure, see :class:`aiida_hdiff.engine.md_input.MDInput`.
    threads
        Threads of the kernels and of torch.
    """

    potential: Potential
    start: str
    threads: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConvertInput:
        """Build from the mapping in the input file.

        Raises
        ------
        EngineError
            If something is missing, unknown or out of range.
        """
        check_keys(values, ('potential', 'start', 'threads', 'max_seconds'))
        potential = Potential.from_dict(values.get('potential'))
        if potential.architecture != 'mace' or potential.file is None:
            raise bad_input('`potential` must be of architecture mace, with its `file`.')
        if not isinstance(values.get('start'), str):
            raise bad_input('`start` is missing: give the name of the file with the structure.')
        return cls(potential, values['start'], job_limits(values)[0])


def convert_mace(job: ConvertInput) -> str:
    """Convert a model and compare the result with it; return what to say about it.

    Raises
    ------
    EngineError
        If the model cannot be loaded or converted, or the result differs from it.
    """
    atoms, _ = read_start(job.start)
    wanted = replace(job.potential, converted=CONVERTED, implementation='fast')
    stock = build_calculator(replace(wanted, implementation='stock'), with_stress=True, threads=job.threads)
    model = load_mace_model(str(job.potential.file), trusted=job.potential.trusted)
    convert(model, CONVERTED, head=job.potential.options.get('head'))
    fast = build_calculator(wanted, with_stress=True, threads=job.threads)
    frames = [displaced(atoms, *scales, seed=number) for number, scales in enumerate(DISPLACEMENTS)]
    found, wrong = [], None
    for frame in frames:
        results, seconds = zip(*(_evaluate(frame, one) for one in (fast, stock)), strict=True)
        difference, largest = differences(*results), float(np.abs(results[1]['forces']).max())
        wrong = wrong or excess(difference, largest)
        found.append({**difference, 'largest_force_eV_A': largest, 'cpu_s': list(seconds)})
    comparison = {'calculator': calculator_record(fast), 'tolerances': TOLERANCES, 'frames': found}
    write_atomically(COMPARISON, json.dumps(comparison, indent=1).encode())
    if wrong is not None:
        raise EngineError(CONVERSION_DIFFERS, f'the converted model does not give what the model does: {wrong}.')
    return f'the converted model agrees with the model on {len(frames)} structures.'


def _evaluate(atoms: Atoms, calculator: Any) -> tuple[dict[str, Any], float]:
    copy = atoms.copy()
    copy.calc = calculator
    begun = process_time()
    copy.get_stress()
    copy.get_forces()
    seconds = process_time() - begun
    names = ('energy', 'forces', 'stress')
    return {name: np.array(calculator.results[name], dtype=np.float64) for name in names}, seconds


def displaced(atoms: Atoms, displacement_A: float, strain: float, *, seed: int) -> Atoms:
    """Return atoms in a strained cell, displaced at random.

    Parameters
    ----------
    atoms
        The structure.
    displacement_A, strain
        Standard deviations of the displacements (Å) and of the six strains.
    seed
        Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    copy: Atoms = atoms.copy()
    strains = strain * rng.standard_normal((3, 3))
    copy.set_cell(copy.cell.array @ (np.eye(3) + (strains + strains.T) / 2), scale_atoms=True)
    copy.positions += displacement_A * rng.standard_normal(copy.positions.shape)
    return copy
