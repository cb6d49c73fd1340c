"""A molecular dynamics trajectory as one compact file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm

from aiida_hdiff.formats.joined import JoinedTrajectory
from aiida_hdiff.formats.trajectory import TrajectoryFile

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


class MDTrajectory(orm.SinglefileData):
    """Unwrapped positions, cells, energies and temperature of a run, with random access by atoms and frames.

    The file is HDF5 with the H5MD tree, see :mod:`aiida_hdiff.formats.trajectory`.
    """

    DEFAULT_FILENAME = 'trajectory.h5'

    def __init__(self, file: Any, **kwargs: Any) -> None:
        """Build from a trajectory file.

        Raises
        ------
        ValueError
            If the file is not a trajectory of this package.
        """
        kwargs['filename'] = self.DEFAULT_FILENAME
        super().__init__(file, **kwargs)
        with self.reader() as reader:
            symbols, counts = np.unique(reader.numbers, return_counts=True)
            self.base.attributes.set_many(
                {
                    'n_frames': len(reader),
                    'n_atoms': len(reader.numbers),
                    'composition': _composition(symbols, counts),
                    'timestep_fs': reader.timestep_fs,
                    'first_step': int(reader.steps[0]) if len(reader) else None,
                    'last_step': int(reader.steps[-1]) if len(reader) else None,
                    'has_velocities': reader.has_velocities,
                }
            )

    @contextmanager
    def reader(self) -> Iterator[TrajectoryFile]:
        """Open the file for random access."""
        with self.open(mode='rb') as handle, TrajectoryFile(handle) as reader:
            yield reader

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.base.attributes.get('n_frames'))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.base.attributes.get('n_atoms'))

    @property
    def frame_interval_fs(self) -> float:
        """Time between frames (fs); not-a-number for fewer than two frames."""
        if self.n_frames < 2:
            return float('nan')
        span = self.base.attributes.get('last_step') - self.base.attributes.get('first_step')
        return float(span * self.base.attributes.get('timestep_fs') / (self.n_frames - 1))

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Atomic numbers, shape (n_atoms,)."""
        with self.reader() as reader:
            return reader.numbers

    def get_positions(self, atoms: Sequence[int] | None = None, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Return unwrapped positions (Å), shape (n_frames, n_atoms, 3), of a choice of atoms and frames."""
        with self.reader() as reader:
            return reader.positions(atoms, frames)

    def to_ase(self, frames: slice = slice(None)) -> list[Atoms]:
        """Return frames as ASE structures, with the energy and temperature in ``info``."""
        from ase import Atoms

        with self.reader() as reader:
            positions, cells, steps = (
                reader.positions(frames=frames),
                reader.cells[frames],
                reader.steps[frames],
            )
            energies = reader.observable('potential_energy')[frames]
            temperatures = reader.observable('temperature')[frames]
            velocities = reader.velocities(frames=frames) if reader.has_velocities else None
            timestep, numbers = reader.timestep_fs, reader.numbers
        images = []
        for index, (position, cell) in enumerate(zip(positions, cells, strict=True)):
            atoms = Atoms(numbers=numbers, positions=position, cell=cell, pbc=True)
            atoms.info = {
                'time_fs': float(steps[index] * timestep),
                'MD_energy': float(energies[index]),
                'MD_temperature': float(temperatures[index]),
            }
            if velocities is not None:
                from ase import units

                atoms.set_velocities(velocities[index] / units.fs)
            images.append(atoms)
        return images

    def to_trajectory_data(self, frames: slice = slice(None)) -> orm.TrajectoryData:
        """Return frames as an unstored TrajectoryData (positions in Å, times in ps)."""
        from ase.data import chemical_symbols

        with self.reader() as reader:
            node = orm.TrajectoryData()
            node.set_trajectory(
                symbols=[chemical_symbols[number] for number in reader.numbers],
                positions=reader.positions(frames=frames),
                stepids=reader.steps[frames],
                cells=reader.cells[frames],
                times=reader.times_fs[frames] / 1000.0,
                pbc=(True, True, True),
            )
        return node


@contextmanager
def read_run(
    trajectory: MDTrajectory, extensions: Mapping[str, MDTrajectory]
) -> Iterator[TrajectoryFile | JoinedTrajectory]:
    """Open a run and its extensions, in the order of their names, as one trajectory.

    Raises
    ------
    ValueError
        If they are not of one run.
    """
    with ExitStack() as stack:
        nodes = [trajectory, *(extensions[name] for name in sorted(extensions))]
        readers = [stack.enter_context(node.reader()) for node in nodes]
        yield JoinedTrajectory(readers) if extensions else readers[0]


def _composition(numbers: NDArray[Any], counts: NDArray[Any]) -> dict[str, int]:
    from ase.data import chemical_symbols

    return {chemical_symbols[int(n)]: int(c) for n, c in zip(numbers, counts, strict=True)}
