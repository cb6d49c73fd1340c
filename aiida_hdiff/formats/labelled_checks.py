"""Which labelled configurations to trust, with the reason for every decision."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_hdiff.formats.labelled import LabelledFrames

MAX_FORCE_ERROR_EV_A = 0.1
"""Converged plane-wave calculations stay below 0.02 eV/Å."""


@dataclass(frozen=True)
class FrameDecision:
    """Whether one frame is kept, and why.

    Attributes
    ----------
    index
        Of the frame.
    origin
        Of the frame.
    kept
        Whether it passes.
    reasons
        What speaks against it: 'net force', 'largest force', 'scf not converged'.
    net_force_eV_A
        Length of the sum of all forces, zero in an exact calculation.
    force_error_eV_A
        Error of a force that this net force betrays: divided by the square root of the number of atoms, as for
        independent errors.
    largest_force_eV_A
        On one atom.
    scf_converged
        None if unknown, as in ML_AB files.
    """

    index: int
    origin: str
    kept: bool
    reasons: tuple[str, ...]
    net_force_eV_A: float
    force_error_eV_A: float
    largest_force_eV_A: float
    scf_converged: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision in terms of JSON."""
        return {**asdict(self), 'reasons': list(self.reasons)}


def check_labels(
    frames: LabelledFrames,
    *,
    max_force_error_eV_A: float | None = MAX_FORCE_ERROR_EV_A,
    max_force_eV_A: float | None = None,
    keep_unconverged: bool = False,
) -> tuple[FrameDecision, ...]:
    """Decide which frames are fit for training.

    The forces of a periodic system add up to zero; what is left are errors, large where the electronic structure
    was not converged, whether or not a file says so. ML_AB files do not: VASP puts unconverged steps there too.

    Parameters
    ----------
    frames
        The set.
    max_force_error_eV_A
        Limit of the net force divided by the square root of the number of atoms; None for no limit.
    max_force_eV_A
        Limit of the force on one atom; None for no limit.
    keep_unconverged
        Keep frames that are known not to be converged.

    Returns
    -------
    tuple of FrameDecision
        One for each frame.

    Raises
    ------
    ValueError
        A limit is not positive.

    Examples
    --------
    >>> decisions = check_labels(frames)  # doctest: +SKIP
    >>> good = frames.select([decision.kept for decision in decisions])  # doctest: +SKIP
    """
    for name, limit in (('max_force_error_eV_A', max_force_error_eV_A), ('max_force_eV_A', max_force_eV_A)):
        if limit is not None and not limit > 0.0:
            raise ValueError(f'{name} must be positive or None, not {limit}')
    net = np.linalg.norm(frames.net_forces, axis=1)
    errors = net / np.sqrt(frames.n_atoms)
    lengths = np.linalg.norm(frames.forces, axis=1)
    largest = np.maximum.reduceat(lengths, frames.offsets[:-1]) if len(frames) else lengths
    decisions = []
    for index, converged in enumerate(frames.scf_converged.tolist()):
        reasons = []
        if max_force_error_eV_A is not None and errors[index] > max_force_error_eV_A:
            reasons.append('net force')
        if max_force_eV_A is not None and largest[index] > max_force_eV_A:
            reasons.append('largest force')
        if converged == 0 and not keep_unconverged:
            reasons.append('scf not converged')
        decisions.append(
            FrameDecision(
                index=index,
                origin=frames.origins[index],
                kept=not reasons,
                reasons=tuple(reasons),
                net_force_eV_A=float(net[index]),
                force_error_eV_A=float(errors[index]),
                largest_force_eV_A=float(largest[index]),
                scf_converged=None if converged < 0 else bool(converged),
            )
        )
    return tuple(decisions)
