"""Compact molecular dynamics trajectories in one HDF5 file with the H5MD tree.

Positions and velocities are stored as 32-bit integers: positions in units of 1e-5 Å, as differences between
successive frames within blocks of 1000 frames, velocities in units of 1e-8 Å/fs without differences; both are
byte-shuffled and compressed in chunks of 1000 frames and 8 atoms, so that a few atoms or a few frames are read without
the rest. The rounding error is at most half a unit. Energies, temperature, pressure and cells are float64.

H5MD: de Buyl, Colberg, Höfling, Comput. Phys. Commun. 185, 1546 (2014), doi:10.1016/j.cpc.2014.01.018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK_FRAMES = 1000
CHUNK_ATOMS = 8
POSITION_QUANTUM_A = 1e-5
VELOCITY_QUANTUM_A_PER_FS = 1e-8
OBSERVABLES = ('potential_energy', 'kinetic_energy', 'temperature', 'pressure')
"""Per-frame quantities: eV, eV, K, eV/Å³ (positive under compression)."""

Floats = NDArray[np.float64]


def _quantise(values: Floats, quantum: float) -> NDArray[np.int32]:
    scaled = np.rint(values / quantum)
    if not np.all(np.abs(scaled) < 2**31 - 1):
        raise ValueError(f'a value is not finite or beyond {2**31 * quantum:.0f}, the range of the trajectory file.')
    return scaled.astype(np.int32)


def _block_differences(quantised: NDArray[np.int32]) -> NDArray[np.int32]:
    """Replace all but the first frame of each block by the difference from the frame before."""
    encoded = quantised.copy()
    for first in range(0, len(encoded), BLOCK_FRAMES):
        block = encoded[first : first + BLOCK_FRAMES]
        block[1:] = np.diff(block, axis=0)
    return encoded


class TrajectoryWriter:
    """Write a trajectory frame block by frame block, with memory for one block only.

    Parameters
    ----------
    target
        Path or writable binary file.
    numbers
        Atomic numbers, shape (n_atoms,).
    timestep_fs
        Time step of the integration (fs).
    velocities
        Whether velocities are stored.
    """

    def __init__(
        self,
        target: str | Path | BinaryIO,
        numbers: ArrayLike,
        *,
        timestep_fs: float,
        velocities: bool = False,
    ) -> None:
        self._file = h5py.File(target, 'w')
        numbers = np.asarray(numbers, dtype=np.int32)
        self._n_atoms = len(numbers)
        self._vectors = {'position': POSITION_QUANTUM_A}
        if velocities:
            self._vectors['velocity'] = VELOCITY_QUANTUM_A_PER_FS
        self._pending: list[tuple[NDArray[Any], ...]] = []
        self._n_pending = 0
        self._create(numbers, timestep_fs)

    def _create(self, numbers: NDArray[np.int32], timestep_fs: float) -> None:
        file = self._file
        meta = file.create_group('h5md')
        meta.attrs['version'] = np.array([1, 1])
        meta.create_group('creator').attrs['name'] = 'aiida-hdiff'
        particles = file.create_group('particles/all')
        particles.create_dataset('species', data=numbers)
        box = particles.create_group('box')
        box.attrs['dimension'] = 3
        box.attrs['boundary'] = np.array([b'periodic'] * 3)
        self._extendable('particles/all/box/edges/value', (3, 3), np.float64, {'unit': 'angstrom'})
        steps = self._extendable('particles/all/step', (), np.int64, {})
        steps.attrs['timestep_fs'] = float(timestep_fs)
        for name, quantum in self._vectors.items():
            unit, encoding = ('angstrom', 'block-delta') if name == 'position' else ('angstrom/fs', 'none')
            attributes = {'unit': unit, 'quantum': quantum, 'encoding': encoding, 'block': BLOCK_FRAMES}
            self._extendable(f'particles/all/{name}/value', (self._n_atoms, 3), np.int32, attributes)
        for name, unit in zip(OBSERVABLES, ('eV', 'eV', 'K', 'eV/angstrom^3'), strict=True):
            self._extendable(f'observables/{name}/value', (), np.float64, {'unit': unit})

    def _extendable(self, name: str, shape: tuple[int, ...], dtype: Any, attributes: Mapping[str, Any]) -> Any:
        chunk = (BLOCK_FRAMES, *((min(CHUNK_ATOMS, shape[0]), *shape[1:]) if shape else ()))
        dataset = self._file.create_dataset(
            name, shape=(0, *shape), maxshape=(None, *shape), chunks=chunk, dtype=dtype,
            shuffle=True, compression='gzip', compression_opts=4,
        )  # fmt: skip
        dataset.attrs.update(attributes)
        return dataset

    def append(
        self,
        steps: ArrayLike,
        positions: ArrayLike,
        cells: ArrayLike,
        observables: Mapping[str, ArrayLike],
        velocities: ArrayLike | None = None,
    ) -> None:
        """Append frames.

        Parameters
        ----------
        steps
            Integration steps of the frames, shape (n,).
        positions
            Unwrapped positions (Å), shape (n, n_atoms, 3).
        cells
            Cell vectors in rows (Å), shape (n, 3, 3).
        observables
            The arrays of :data:`OBSERVABLES`, each of shape (n,).
        velocities
            Å/fs, shape (n, n_atoms, 3); required exactly when the writer stores velocities.

        Raises
        ------
        ValueError
            If a position or velocity is not finite or out of range, or velocities do not match the writer.
        """
        if (velocities is not None) != ('velocity' in self._vectors):
            raise ValueError('velocities must be given for every frame, or for none.')
        vectors = [np.asarray(positions, dtype=np.float64)]
        if velocities is not None:
            vectors.append(np.asarray(velocities, dtype=np.float64))
        quantised = [_quantise(v, q) for v, q in zip(vectors, self._vectors.values(), strict=True)]
        scalars = [np.asarray(observables[name], dtype=np.float64) for name in OBSERVABLES]
        frames: tuple[NDArray[Any], ...] = (
            np.asarray(steps, dtype=np.int64),
            np.asarray(cells, dtype=np.float64),
            *scalars,
            *quantised,
        )
        self._pending.append(frames)
        self._n_pending += len(frames[0])
        if self._n_pending >= BLOCK_FRAMES:
            self._flush(final=False)

    def _flush(self, *, final: bool) -> None:
        if not self._pending:
            return
        columns = [np.concatenate(column) for column in zip(*self._pending, strict=True)]
        ready = self._n_pending if final else self._n_pending - self._n_pending % BLOCK_FRAMES
        self._write([column[:ready] for column in columns])
        self._pending = [tuple(column[ready:] for column in columns)]
        self._n_pending -= ready

    def _write(self, columns: Sequence[NDArray[Any]]) -> None:
        names = ['particles/all/step', 'particles/all/box/edges/value']
        names += [f'observables/{name}/value' for name in OBSERVABLES]
        names += [f'particles/all/{name}/value' for name in self._vectors]
        for name, column in zip(names, columns, strict=True):
            dataset = self._file[name]
            start = len(dataset)
            dataset.resize(start + len(column), axis=0)
            if name.endswith('position/value'):
                dataset[start:] = _block_differences(column)
            else:
                dataset[start:] = column

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._flush(final=True)
        self._file.close()

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TrajectoryFile:
    """Random access to a trajectory written by :class:`TrajectoryWriter`.

    Parameters
    ----------
    source
        Path or readable, seekable binary file.

    Raises
    ------
    ValueError
        If the file is not such a trajectory.
    """

    def __init__(self, source: str | Path | BinaryIO) -> None:
        try:
            self._file = h5py.File(source, 'r')
        except OSError as error:
            raise ValueError(f'not a trajectory file of aiida-hdiff: {error}') from error
        try:
            self._particles = self._file['particles/all']
            self.numbers: NDArray[np.int32] = self._particles['species'][:]
            self.steps: NDArray[np.int64] = self._particles['step'][:]
            self.timestep_fs = float(self._particles['step'].attrs['timestep_fs'])
        except (OSError, KeyError) as error:
            self._file.close()
            raise ValueError(f'not a trajectory file of aiida-hdiff: {error}') from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TrajectoryFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def times_fs(self) -> Floats:
        """Time of each frame (fs), shape (n_frames,)."""
        return np.asarray(self.steps * self.timestep_fs, dtype=np.float64)

    @property
    def has_velocities(self) -> bool:
        """Whether velocities are stored."""
        return 'velocity' in self._particles

    @property
    def cells(self) -> Floats:
        """Cell vectors in rows (Å), shape (n_frames, 3, 3)."""
        return np.asarray(self._particles['box/edges/value'][:])

    def observable(self, name: str) -> Floats:
        """Return one of :data:`OBSERVABLES`, shape (n_frames,)."""
        return np.asarray(self._file[f'observables/{name}/value'][:])

    def positions(self, atoms: Sequence[int] | NDArray[Any] | None = None, frames: slice = slice(None)) -> Floats:
        """Return unwrapped positions (Å), shape (n_frames, n_atoms, 3), of a choice of atoms and a range of frames."""
        return self._vectors('position', atoms, frames)

    def velocities(self, atoms: Sequence[int] | NDArray[Any] | None = None, frames: slice = slice(None)) -> Floats:
        """Return velocities (Å/fs), shape (n_frames, n_atoms, 3).

        Raises
        ------
        KeyError
            If the trajectory has none.
        """
        return self._vectors('velocity', atoms, frames)

    def _vectors(self, name: str, atoms: Sequence[int] | NDArray[Any] | None, frames: slice) -> Floats:
        dataset = self._particles[f'{name}/value']
        quantum, delta = float(dataset.attrs['quantum']), dataset.attrs['encoding'] == 'block-delta'
        n_atoms = dataset.shape[1]
        chosen = np.arange(n_atoms)
        if atoms is not None:
            chosen = chosen[np.asarray(atoms, dtype=None if len(atoms) else np.intp)]
        wanted = range(*frames.indices(len(self)))
        output = np.empty((len(wanted), len(chosen), 3))
        if not len(wanted) or not len(chosen):
            return output
        index = np.asarray(wanted)
        low, high = int(chosen.min()), int(chosen.max()) + 1
        local = chosen - low
        for start in range(index.min() // BLOCK_FRAMES * BLOCK_FRAMES, int(index.max()) + 1, BLOCK_FRAMES):
            here = np.nonzero((index >= start) & (index < start + BLOCK_FRAMES))[0]
            if not len(here):
                continue
            block = dataset[start : start + BLOCK_FRAMES, low:high]
            if not np.array_equal(local, np.arange(high - low)):
                block = block[:, local]
            if delta:
                np.cumsum(block, axis=0, out=block)
            selection = index[here] - start
            if len(selection) == len(block) and selection[0] == 0 and selection[-1] == len(block) - 1:
                np.multiply(block, quantum, out=output[here[0] : here[-1] + 1])
            else:
                output[here] = block[selection] * quantum
        return output
