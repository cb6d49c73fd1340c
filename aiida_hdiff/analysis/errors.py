"""Predictions of a potential beside labels, their errors, and the constant energies that explain part of them.

An error is the prediction minus the label. Energies are compared per atom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.formats import LabelledFrames

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labelled frames, and what a potential says about them.

    Attributes
    ----------
    frames
        The labels.
    energies
        In eV, shape (n_frames,).
    forces
        In eV/Å, of all atoms, frame after frame, shape (n_total, 3).
    stresses
        In eV/Å³ with ASE's sign, xx, yy, zz, yz, xz, xy, shape (n_frames, 6); NaN where not predicted.

    Raises
    ------
    ValueError
        No frames, shapes contradict one another, or an energy or a force is not finite; names the frame.
    """

    frames: LabelledFrames
    energies: Floats
    forces: Floats
    stresses: Floats

    def __post_init__(self) -> None:
        n_frames = len(self.frames)
        if not n_frames:
            raise ValueError('no frames to compare: give at least one')
        shapes = {'energies': (n_frames,), 'forces': self.frames.forces.shape, 'stresses': (n_frames, 6)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f'predicted {name} have shape {getattr(self, name).shape}, not {shape}')
        if not np.isfinite(self.energies).all():
            raise ValueError(f'the predicted energy of frame {np.argmin(np.isfinite(self.energies))} is not finite')
        finite = np.isfinite(self.forces).all(axis=1)
        if not finite.all():
            frame = np.searchsorted(self.frames.offsets, np.argmin(finite), side='right') - 1
            raise ValueError(f'predicted forces of frame {frame} are not finite')

    @property
    def energy_errors(self) -> Floats:
        """Errors in eV/atom, shape (n_frames,)."""
        return (self.energies - self.frames.energies) / self.frames.n_atoms

    @property
    def force_errors(self) -> Floats:
        """Errors of the components in eV/Å, shape (n_total, 3)."""
        return self.forces - self.frames.forces

    @property
    def stress_errors(self) -> Floats:
        """Errors of the components in eV/Å³, shape (n_frames, 6); NaN where there is no label or no prediction."""
        return self.stresses - self.frames.stresses

    @property
    def force_rmse(self) -> Floats:
        """Root mean square error of the components of each frame in eV/Å, shape (n_frames,)."""
        squares = (self.force_errors**2).sum(axis=1)
        return np.sqrt(np.add.reduceat(squares, self.frames.offsets[:-1]) / (3 * self.frames.n_atoms))

    @property
    def force_max(self) -> Floats:
        """Largest error of a component in each frame in eV/Å, shape (n_frames,)."""
        return np.maximum.reduceat(np.abs(self.force_errors).max(axis=1), self.frames.offsets[:-1])


@dataclass(frozen=True)
class ElementOffsets:
    """A constant energy for each element, as pseudopotentials and functionals shift it.

    Attributes
    ----------
    numbers
        Atomic numbers.
    offsets_eV
        The constants, by how much a prediction is too high, shape (n_elements,).
    rank
        Rank of the matrix of compositions; below the number of elements the constants are not unique, their sum for
        each composition of the set is.
    errors
        What is left of the errors in eV/atom, shape (n_frames,).
    """

    numbers: tuple[int, ...]
    offsets_eV: Floats
    rank: int
    errors: Floats


def element_offsets(frames: LabelledFrames, energy_errors: ArrayLike) -> ElementOffsets:
    """Fit a constant for each element to energy errors by least squares.

    Parameters
    ----------
    frames
        The configurations.
    energy_errors
        Errors in eV/atom, shape (n_frames,).

    Returns
    -------
    ElementOffsets
        The minimum of the sum of squared errors per atom; of equal ones that with the smallest constants.
    """
    errors = np.asarray(energy_errors, dtype=np.float64)
    numbers, fractions = compositions(frames)
    offsets, _, rank, _ = np.linalg.lstsq(fractions, errors, rcond=1e-9)
    constants = np.asarray(offsets, dtype=np.float64)
    return ElementOffsets(numbers, constants, int(rank), errors - fractions @ constants)


def compositions(frames: LabelledFrames) -> tuple[tuple[int, ...], Floats]:
    """Return the atomic numbers of a set, and the share of each in every frame, shape (n_frames, n_elements)."""
    numbers = np.unique(frames.numbers)
    counts = np.array([np.add.reduceat(frames.numbers == number, frames.offsets[:-1]) for number in numbers])
    return tuple(int(number) for number in numbers), (counts / frames.n_atoms).T
