"""The state of a molecular dynamics run: what the next stage, or the rest of this one, starts from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import ArrayLike, NDArray


class MDState(orm.ArrayData):
    """Positions, velocities and cell at one step, with the engine's own checkpoint when there is one."""

    CHECKPOINT_NAME = 'checkpoint'

    def __init__(
        self,
        *,
        numbers: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike,
        velocities: ArrayLike | None = None,
        lattice_velocities: ArrayLike | None = None,
        step: int = 0,
        checkpoint: bytes | None = None,
        engine: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Build a state.

        Parameters
        ----------
        numbers
            Atomic numbers, shape (n_atoms,).
        positions
            Unwrapped positions (Å), shape (n_atoms, 3).
        cell
            Cell vectors in rows (Å), shape (3, 3).
        velocities
            Å/fs, shape (n_atoms, 3).
        lattice_velocities
            Rates of change of the cell vectors, in rows (Å/fs), shape (3, 3); of engines that keep them apart from
            their checkpoint.
        step
            Step of the stage at which the state was taken.
        checkpoint
            The engine's own file, from which the same stage continues with its thermostat and barostat.
        engine
            Name of the engine that wrote the checkpoint.
        """
        super().__init__(**kwargs)
        self.set_array('numbers', np.asarray(numbers, dtype=np.int32))
        self.set_array('positions', np.asarray(positions, dtype=np.float64))
        self.set_array('cell', np.asarray(cell, dtype=np.float64))
        if velocities is not None:
            self.set_array('velocities', np.asarray(velocities, dtype=np.float64))
        if lattice_velocities is not None:
            self.set_array('lattice_velocities', np.asarray(lattice_velocities, dtype=np.float64))
        if checkpoint is not None:
            self.base.repository.put_object_from_filelike(io.BytesIO(checkpoint), self.CHECKPOINT_NAME)
        self.base.attributes.set('step', int(step))
        self.base.attributes.set('n_atoms', len(np.asarray(numbers)))
        self.base.attributes.set('engine', engine if checkpoint is not None else None)

    @property
    def step(self) -> int:
        """Step of the stage at which the state was taken."""
        return int(self.base.attributes.get('step'))

    @property
    def engine(self) -> str | None:
        """Engine that wrote the checkpoint, if there is one."""
        value = self.base.attributes.get('engine', None)
        return None if value is None else str(value)

    @property
    def velocities(self) -> NDArray[np.float64] | None:
        """Velocities (Å/fs), shape (n_atoms, 3), or ``None``."""
        return self.get_array('velocities') if 'velocities' in self.get_arraynames() else None

    @property
    def lattice_velocities(self) -> NDArray[np.float64] | None:
        """Rates of change of the cell vectors (Å/fs), shape (3, 3), or ``None``."""
        return self.get_array('lattice_velocities') if 'lattice_velocities' in self.get_arraynames() else None

    @property
    def checkpoint(self) -> bytes | None:
        """The engine's checkpoint file, or ``None``."""
        if self.CHECKPOINT_NAME not in self.base.repository.list_object_names():
            return None
        content = self.base.repository.get_object_content(self.CHECKPOINT_NAME, mode='rb')
        return bytes(content)

    def to_ase(self) -> Atoms:
        """Return the structure, with velocities in ASE's unit if there are any."""
        from ase import Atoms, units

        atoms = Atoms(
            numbers=self.get_array('numbers'),
            positions=self.get_array('positions'),
            cell=self.get_array('cell'),
            pbc=True,
        )
        if self.velocities is not None:
            atoms.set_velocities(self.velocities / units.fs)
        return atoms
