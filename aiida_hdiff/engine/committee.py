"""A committee of potentials that watches over a molecular dynamics stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis.committee import force_deviations
from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.committee_settings import CommitteeSettings
from aiida_hdiff.engine.exit_codes import EXPLODED, EngineError
from aiida_hdiff.engine.implementations import replaced_if_wrong
from aiida_hdiff.engine.md_input import Potential

if TYPE_CHECKING:
    from aiida_hdiff.engine.system import System

Floats = NDArray[np.float64]

PREFIX = 'committee_'
"""Of the names of the record in the files of a stage."""
RECORD = {'steps': np.int64, 'deviations': np.float64, 'atoms': np.int64, 'hydrogen_deviations': np.float64}
"""What is recorded of every comparison."""
FRAMES = {'frame_steps': np.int64, 'frame_positions': np.float64, 'frame_cells': np.float64}
"""What is kept of uncertain configurations."""


class CommitteeMonitor:
    """Compares the forces of the potential of a stage with those of further members.

    Parameters
    ----------
    members
        Potentials beside the one that moves the atoms.
    settings
        When to compare, and what is uncertain.
    system
        The atoms in motion.
    threads
        Threads of the neural networks.

    Raises
    ------
    EngineError
        If a member cannot be loaded.
    """

    def __init__(
        self, members: Sequence[Potential], settings: CommitteeSettings, system: System, *, threads: int
    ) -> None:
        self._settings = settings
        self._system = system
        self._members = [system.atoms.copy() for _ in members]
        self._potentials = tuple(members)
        for atoms, potential in zip(self._members, members, strict=True):
            atoms.calc = build_calculator(potential, with_stress=False, threads=threads)
        self._hydrogen = system.atoms.numbers == 1
        self._record: dict[str, list[Any]] = {name: [] for name in (*RECORD, *FRAMES)}
        self._stride, self._n_flagged = 1, 0

    @property
    def stops(self) -> bool:
        """Whether the stage is to end where the committee is uncertain."""
        return self._settings.action == 'stop'

    def prepare(self) -> None:
        """Evaluate each member once; a fast calculator that does not give what its model does is replaced."""
        for atoms, potential in zip(self._members, self._potentials, strict=True):
            self._forces(atoms)
            replaced_if_wrong(atoms, potential.implementation)

    def compare(self, step: int) -> str | None:
        """Compare the forces after a step, if it is time to; return what is uncertain, or ``None``.

        Raises
        ------
        EngineError
            If a member predicts forces that are not finite.
        """
        if step % self._settings.every_steps:
            return None
        deviations = force_deviations([self._system.atoms.get_forces(), *map(self._forces, self._members)])
        atom = int(np.argmax(deviations))
        largest = float(deviations[atom])
        if not np.isfinite(largest):
            raise EngineError(EXPLODED, f'step {step}: forces of a member of the committee are not finite numbers.')
        of_hydrogen = float(deviations[self._hydrogen].max()) if self._hydrogen.any() else np.nan
        for name, value in zip(RECORD, (step, largest, atom, of_hydrogen), strict=True):
            self._record[name].append(value)
        expected = self._settings.calibration_factor * largest
        if expected <= self._settings.threshold_eV_A:
            return None
        self._keep(step)
        return (
            f'step {step}: the committee expects an error of {expected:.3g} eV/Å in the force on atom {atom} '
            f'({self._system.atoms.symbols[atom]}), above {self._settings.threshold_eV_A:g} eV/Å.'
        )

    def _forces(self, atoms: Any) -> Floats:
        atoms.set_cell(self._system.cell, scale_atoms=False)
        atoms.positions[:] = self._system.positions
        return np.array(atoms.get_forces(), dtype=np.float64)

    def _keep(self, step: int) -> None:
        number = self._n_flagged
        self._n_flagged += 1
        if number % self._stride:
            return
        frame = (step, self._system.positions.copy(), self._system.cell.copy())
        for name, value in zip(FRAMES, frame, strict=True):
            self._record[name].append(value)
        if len(self._record['frame_steps']) > self._settings.max_frames:
            self._stride *= 2
            for name in FRAMES:
                self._record[name] = self._record[name][::2]

    def arrays(self) -> dict[str, Any]:
        """Return the record so far under the names that it has in the files of a stage."""
        types, n_atoms = {**RECORD, **FRAMES}, len(self._hydrogen)
        shapes = {'frame_positions': (-1, n_atoms, 3), 'frame_cells': (-1, 3, 3)}
        values = {name: np.array(found, types[name]) for name, found in self._record.items()}
        shaped = {f'{PREFIX}{name}': one.reshape(shapes.get(name, one.shape)) for name, one in values.items()}
        return {**shaped, f'{PREFIX}stride': self._stride, f'{PREFIX}n_flagged': self._n_flagged}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on with the record in a checkpoint, if it has one."""
        if f'{PREFIX}steps' not in arrays:
            return
        self._record = {name: list(arrays[f'{PREFIX}{name}']) for name in (*RECORD, *FRAMES)}
        self._stride, self._n_flagged = (int(arrays[f'{PREFIX}{name}']) for name in ('stride', 'n_flagged'))
