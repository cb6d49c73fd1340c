"""A second estimate of the error of D, from the differences between atoms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aiida_hdiff.analysis._arrays import FloatArray
from aiida_hdiff.analysis.blocking import BlockedMean

MIN_WALKERS = 4
"""Fewest atoms whose scatter is taken for an error."""

MAX_DISAGREEMENT = 3.0
"""Difference of both errors, in standard deviations, beyond which there is a warning."""


@dataclass(frozen=True)
class WalkerError:
    """Standard error of D from a bootstrap over atoms, beside that from blocking in time.

    Attributes
    ----------
    std_error
        In the unit of D; nan for fewer than four atoms.
    disagreement
        How far the blocked error is above (+) or below (-) this one, in standard deviations; nan likewise.
    warning
        What a disagreement beyond three standard deviations means, else empty.
    """

    std_error: float
    disagreement: float
    warning: str


def walker_error(per_atom: FloatArray, blocked: BlockedMean) -> WalkerError:
    """Compare the error of D from the scatter between atoms with that from blocking in time.

    Atoms drawn with replacement from n atoms with the coefficients d have a mean of variance
    Σ(d - D)²/n²: the bootstrap over atoms, with all samples instead of some (Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), 5.3). It is multiplied by n/(n - 1) against its bias. It assumes
    independent atoms and nothing about time; blocking assumes nothing about the atoms. The ratio of both
    variances has the F distribution if both are right, whose quantile is expressed in standard deviations
    of a normal one.

    Parameters
    ----------
    per_atom
        D of each atom, shape (n_atoms,).
    blocked
        Their mean with the blocked error, in the same unit.
    """
    from scipy.special import fdtr, fdtrc, ndtri

    n = per_atom.size
    if n < MIN_WALKERS:
        return WalkerError(math.nan, math.nan, '')
    std_error = float(per_atom.std(ddof=1)) / math.sqrt(n)
    if std_error == 0.0 or blocked.std_error == 0.0:
        return WalkerError(std_error, math.nan, '')
    ratio = (blocked.std_error / std_error) ** 2
    degrees = blocked.degrees_of_freedom, n - 1
    tiny = 1e-300
    if ratio > 1.0:
        disagreement = -float(ndtri(max(fdtrc(*degrees, ratio), tiny)))
    else:
        disagreement = float(ndtri(max(fdtr(*degrees, ratio), tiny)))
    warning = ''
    if disagreement > MAX_DISAGREEMENT:
        warning = (
            f'the error of D from its course in time is {math.sqrt(ratio):.1f} times that from the differences between '
            f'atoms ({disagreement:.1f}σ): the atoms do not move independently (collective dynamics); the error '
            'in time is given, which counts that'
        )
    elif disagreement < -MAX_DISAGREEMENT:
        warning = (
            f'the error of D from the differences between atoms is {1.0 / math.sqrt(ratio):.1f} times that from its '
            f'course in time ({-disagreement:.1f}σ): some atoms are trapped for times as long as the run; extend it, '
            'or trust walker_std_error'
        )
    return WalkerError(std_error, disagreement, warning)
