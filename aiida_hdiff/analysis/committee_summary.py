"""What a committee of potentials says about labelled frames: errors, deviations and how they are related."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis.committee import LEVELS, CommitteeCalibration, calibrate, force_deviations, ideal_slope

Floats = NDArray[np.float64]

_PERCENTILES = (50, 90, 95, 99)
_MILLI = 1000.0


def committee_summary(forces: ArrayLike, labels: ArrayLike, numbers: ArrayLike, offsets: ArrayLike) -> dict[str, Any]:
    """Return how good a committee and its deviation are on labelled frames.

    Parameters
    ----------
    forces
        Predictions in eV/Å, shape (n_members, n_atoms, 3), of all atoms, frame after frame.
    labels
        True forces in eV/Å, shape (n_atoms, 3).
    numbers
        Atomic numbers, shape (n_atoms,).
    offsets
        First atom of each frame, and the end, shape (n_frames + 1,).

    Returns
    -------
    dict
        Plain numbers: ``member_force_rmse_meV_A`` in the order of the members and ``force_rmse_meV_A`` of their mean;
        ``deviation_eV_A`` and ``error_eV_A`` of the atoms, ``largest_deviation_eV_A`` of the frames; ``calibration``,
        ``None`` if the members are equal; ``by_element`` the same for the atoms of each.

    Raises
    ------
    ValueError
        Fewer than two members, or shapes that contradict one another.
    """
    from ase.data import chemical_symbols

    predicted, true = np.asarray(forces, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    spread, starts, kinds = force_deviations(predicted), np.asarray(offsets), np.asarray(numbers)
    if true.shape != predicted.shape[1:] or kinds.shape != spread.shape or starts[-1] != len(spread):
        raise ValueError(f'forces, labels, numbers and offsets are of {predicted.shape[1]}, {len(true)}, '
                         f'{len(kinds)} and {starts[-1]} atoms')  # fmt: skip
    errors = np.linalg.norm(predicted.mean(axis=0) - true, axis=1)
    have_spread = bool(np.ptp(predicted, axis=0).any())

    def of_atoms(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        # Atoms of one kind that are left, frame by frame.
        kept = np.concatenate([[0], np.cumsum(np.add.reduceat(chosen, starts[:-1], dtype=np.int64))])
        calibrated = have_spread and bool(spread[chosen].any())
        return {
            'n_atoms': int(chosen.sum()),
            'deviation_eV_A': _statistics(spread[chosen]),
            'error_eV_A': _statistics(errors[chosen]),
            'calibration': _plain(calibrate(spread[chosen], errors[chosen], kept)) if calibrated else None,
        }

    members = np.sqrt(((predicted - true) ** 2).mean(axis=(1, 2)))
    return {
        'n_members': len(predicted),
        'n_frames': len(starts) - 1,
        'member_force_rmse_meV_A': (_MILLI * members).tolist(),
        'force_rmse_meV_A': float(_MILLI * np.sqrt((errors**2).mean() / 3)),
        'largest_deviation_eV_A': _statistics(np.maximum.reduceat(spread, starts[:-1])),
        'ideal_slope': ideal_slope(len(predicted)),
        **of_atoms(np.ones(len(spread), dtype=np.bool_)),
        'by_element': {chemical_symbols[number]: of_atoms(kinds == number) for number in np.unique(kinds)},
    }


def _statistics(values: Floats) -> dict[str, float]:
    percentiles = {f'p{share}': float(np.percentile(values, share)) for share in _PERCENTILES}
    return {'mean': float(values.mean()), 'rms': float(np.sqrt((values**2).mean())), **percentiles,
            'max': float(values.max())}  # fmt: skip


def _plain(calibration: CommitteeCalibration) -> dict[str, Any]:
    values = {name: getattr(calibration, name) for name in CommitteeCalibration.__dataclass_fields__}
    return {**values, 'levels': list(LEVELS), 'coverage': list(calibration.coverage)}
