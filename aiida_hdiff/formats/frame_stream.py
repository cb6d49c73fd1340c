"""Append-only binary stream of molecular dynamics frames; a killed run loses only an incomplete last one.

The file is a header of :data:`HEADER_BYTES` bytes and then records of one fixed size, little-endian. Fields
of a record: ``step`` (int64), and in float64 ``time_fs``, ``potential_energy`` and ``kinetic_energy`` (eV),
``temperature_K``, ``pressure`` (eV/Å³, NaN where it was not computed), ``cell`` ``(3, 3)`` and ``positions``
``(n_atoms, 3)`` (Å, unwrapped), and, if stored, ``velocities`` ``(n_atoms, 3)`` (Å/fs).
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAGIC = b'HDIFFRAM'
VERSION = 1
_HEADER = struct.Struct('<8sIIQ8x')  # magic, version, 1 with velocities, number of atoms, reserved
HEADER_BYTES = _HEADER.size


def frame_dtype(n_atoms: int, *, velocities: bool) -> np.dtype[np.void]:
    """Return the record type of a stream with ``n_atoms`` atoms."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [
        ('step', '<i8'),
        ('time_fs', '<f8'),
        ('potential_energy', '<f8'),
        ('kinetic_energy', '<f8'),
        ('temperature_K', '<f8'),
        ('pressure', '<f8'),
        ('cell', '<f8', (3, 3)),
        ('positions', '<f8', (n_atoms, 3)),
    ]
    if velocities:
        fields.append(('velocities', '<f8', (n_atoms, 3)))
    return np.dtype(fields)


def _read_header(path: Path) -> tuple[int, bool]:
    with path.open('rb') as stream:
        header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise ValueError(f'{path.name}: the header is incomplete ({len(header)} of {HEADER_BYTES} bytes).')
    magic, version, velocities, n_atoms = _HEADER.unpack(header)
    if magic != MAGIC:
        raise ValueError(f'{path.name}: not a stream of frames (it begins with {magic!r}, not {MAGIC!r}).')
    if version != VERSION:
        raise ValueError(f'{path.name}: version {version} of the stream is not known; this is version {VERSION}.')
    if velocities not in (0, 1) or not 0 < n_atoms < 2**40:
        raise ValueError(f'{path.name}: the header is corrupt ({n_atoms} atoms, velocities {velocities}).')
    return n_atoms, bool(velocities)


def _complete_frames(path: Path, dtype: np.dtype[np.void]) -> int:
    return int((path.stat().st_size - HEADER_BYTES) // dtype.itemsize)


def read_frame_stream(path: str | Path) -> NDArray[np.void]:
    """Return the complete frames of a stream as a memory-mapped structured array.

    Parameters
    ----------
    path
        The file; it may be that of a running or killed simulation.

    Returns
    -------
    numpy.ndarray
        ``(n_frames,)`` records, read-only, with the fields listed at the top of this module.

    Raises
    ------
    ValueError
        If the file is not a stream of frames; the message has the name of the file and the reason.
    """
    path = Path(path)
    n_atoms, velocities = _read_header(path)
    dtype = frame_dtype(n_atoms, velocities=velocities)
    n_frames = _complete_frames(path, dtype)
    if n_frames == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode='r', offset=HEADER_BYTES, shape=(n_frames,))


class FrameStreamWriter:
    """Write frames at the end of a stream, or begin a new one.

    Parameters
    ----------
    path
        The file; an existing one is continued, after its last complete frame.
    n_atoms
        Number of atoms in every frame.
    velocities
        Store velocities.

    Raises
    ------
    ValueError
        If an existing file is not a stream of frames, or has another number of atoms or other fields.
    """

    def __init__(self, path: str | Path, n_atoms: int, *, velocities: bool) -> None:
        self._path = Path(path)
        self._dtype = frame_dtype(n_atoms, velocities=velocities)
        if n_atoms < 1:
            raise ValueError(f'`n_atoms` is {n_atoms}: give a number of at least 1.')
        # A run killed while it created the file leaves less than a header; there is nothing to keep.
        if not self._path.exists() or self._path.stat().st_size < HEADER_BYTES:
            self._path.write_bytes(_HEADER.pack(MAGIC, VERSION, int(velocities), n_atoms))
        if _read_header(self._path) != (n_atoms, velocities):
            raise ValueError(
                f'{self._path.name}: the existing stream has {_read_header(self._path)[0]} atoms and '
                f'velocities={_read_header(self._path)[1]}, not {n_atoms} and {velocities}.'
            )
        self._stream = self._path.open('r+b')
        self._truncate(_complete_frames(self._path, self._dtype))

    def _truncate(self, n_frames: int) -> None:
        self._stream.truncate(HEADER_BYTES + n_frames * self._dtype.itemsize)
        self._stream.seek(0, 2)

    def discard_after(self, step: int) -> None:
        """Drop the stored frames of later steps than ``step``, which a restarted run is about to repeat."""
        frames = read_frame_stream(self._path)
        n_frames = int(np.count_nonzero(frames['step'] <= step))
        del frames
        self._truncate(n_frames)

    def write(
        self,
        step: int,
        time_fs: float,
        potential_energy: float,
        kinetic_energy: float,
        temperature_K: float,
        pressure: float,
        cell: ArrayLike,
        positions: ArrayLike,
        velocities: ArrayLike | None = None,
    ) -> None:
        """Append one frame and hand it to the operating system.

        Raises
        ------
        ValueError
            If ``velocities`` are missing in a stream that stores them, or given to one that does not, or if
            an array has another shape than the frames.
        """
        if (velocities is not None) != ('velocities' in (self._dtype.names or ())):
            verb = 'are missing in' if velocities is None else 'do not belong in'
            raise ValueError(f'{self._path.name}: velocities {verb} this stream.')
        frame = np.zeros((), dtype=self._dtype)
        scalars = (step, time_fs, potential_energy, kinetic_energy, temperature_K, pressure)
        for name, value in zip(self._dtype.names or (), scalars, strict=False):
            frame[name] = value
        arrays = {'cell': cell, 'positions': positions, 'velocities': velocities}
        for name, array in arrays.items():
            if array is None:
                continue
            values = np.asarray(array, dtype=float)
            if values.shape != frame[name].shape:
                raise ValueError(f'{self._path.name}: {name} have shape {values.shape}, not {frame[name].shape}.')
            frame[name] = values
        self._stream.write(frame.tobytes())
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> FrameStreamWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
