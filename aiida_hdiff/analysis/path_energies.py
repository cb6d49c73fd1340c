"""Energies of hydrogen along paths between sites: those of a potential beside those of its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class PathErrors:
    """A path by two potentials; energies are counted from its first point, in meV.

    Attributes
    ----------
    end_meV, barrier_meV
        Energy of the last point, and the highest on the way, by teacher and student.
    end_error_meV, barrier_error_meV
        Student minus teacher.
    """

    end_meV: tuple[float, float]
    barrier_meV: tuple[float, float]
    end_error_meV: float
    barrier_error_meV: float

    @property
    def largest_meV(self) -> float:
        """Larger of the two errors, without sign."""
        return max(abs(self.end_error_meV), abs(self.barrier_error_meV))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def is_bracketed(points: Sequence[int], energies_eV: ArrayLike, n_points: int) -> bool:
    """Return whether points of a path tell its ends and its barrier, although others may be missing.

    Parameters
    ----------
    points
        Numbers of the points that there are, in order.
    energies_eV
        Their energies, shape (len(points),).
    n_points
        Of the whole path.

    Returns
    -------
    bool
        Whether both ends are there, and the neighbours of the highest point.
    """
    if not points or points[0] != 0 or points[-1] != n_points - 1:
        return False
    highest = points[int(np.argmax(np.asarray(energies_eV)))]
    return all(one in points for one in (highest - 1, highest + 1) if 0 <= one < n_points)


def path_errors(teacher_eV: ArrayLike, student_eV: ArrayLike) -> PathErrors:
    """Compare the energies of a path.

    Parameters
    ----------
    teacher_eV, student_eV
        Energies of the cell along the path, shape (n_points,).

    Raises
    ------
    ValueError
        If there are fewer than two points, or their numbers differ.
    """
    energies = [np.asarray(one, dtype=np.float64) for one in (teacher_eV, student_eV)]
    if energies[0].shape != energies[1].shape or energies[0].ndim != 1 or len(energies[0]) < 2:
        raise ValueError(f'a path needs two energies at least for each of two potentials, not {len(energies[0])}')
    relative = [1000.0 * (one - one[0]) for one in energies]
    ends = [float(one[-1]) for one in relative]
    barriers = [float(one.max()) for one in relative]
    return PathErrors(
        end_meV=(ends[0], ends[1]),
        barrier_meV=(barriers[0], barriers[1]),
        end_error_meV=ends[1] - ends[0],
        barrier_error_meV=barriers[1] - barriers[0],
    )
