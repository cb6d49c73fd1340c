"""Continuous positions from wrapped ones, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Unwrapper:
    """Join blocks of frames to one continuous trajectory.

    Atoms are wrapped into the cell first. The displacement between two frames is then that of the wrapped
    positions plus the lattice vectors, of the later frame, by which the atom was wrapped in between: those
    that make it smallest, or those the source tells. This preserves displacements where the cell varies (von
    Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153, 021101 (2020), doi:10.1063/5.0008316). The first frame
    stays where it is.

    Parameters
    ----------
    periodic
        Directions in which atoms may have been wrapped.
    """

    def __init__(self, periodic: ArrayLike = (True, True, True)) -> None:
        self._periodic = np.asarray(periodic, dtype=bool)
        self._previous: tuple[Floats, Floats] | None = None
        self._shift: Floats | None = None

    def __call__(self, scaled: Floats, cells: Floats, *, continuous: bool) -> Floats:
        """Return the continuous positions of the next frames in Å, shape (n, n_atoms, 3).

        Parameters
        ----------
        scaled
            Positions in units of the lattice vectors, shape (n, n_atoms, 3).
        cells
            Lattice vectors as rows in Å, shape (n, 3, 3).
        continuous
            Whether `scaled` is itself continuous, so that it tells when an atom was wrapped.
        """
        images = np.floor(scaled)
        images[..., ~self._periodic] = 0.0
        wrapped = scaled - images
        last_wrapped, last_images = self._previous or (wrapped[:1], images[:1])
        self._previous = wrapped[-1:].copy(), images[-1:].copy()
        if self._shift is None:
            self._shift = images[0] @ cells[0]
        if continuous:
            crossed = np.diff(images, axis=0, prepend=last_images)
        else:
            crossed = -np.round(np.diff(wrapped, axis=0, prepend=last_wrapped))
            crossed[..., ~self._periodic] = 0.0
        unwrapped: Floats = wrapped @ cells
        if crossed.any():
            shifts = crossed @ cells
            shifts[0] += self._shift
            np.cumsum(shifts, axis=0, out=shifts)
            self._shift = shifts[-1].copy()
            unwrapped += shifts
        else:
            unwrapped += self._shift
        return unwrapped
