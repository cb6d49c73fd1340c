"""Bayesian linear regression from the sums of its normal equations.

Method: C. M. Bishop, Pattern Recognition and Machine Learning (2006), sections 3.5 and 7.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SHRINK_STEPS = 12
SHRINK_LIMIT = 1e8
"""Largest precision of a family, relative to the common one."""


def evidence(gram: Floats, moment: Floats, square: float, n_rows: int) -> tuple[float, float, Floats]:
    """Return the precisions of prior and noise of largest evidence, and a square root of the covariance."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    projected = vectors.T @ moment
    prior, noise = 1e-4, 1e2
    for _ in range(50):
        weights = noise * projected / (noise * values + prior)
        misfit = max(square - 2.0 * weights @ projected + weights @ (values * weights), 1e-12 * square + 1e-300)
        known = float((noise * values / (noise * values + prior)).sum())
        new_prior = known / max(float(weights @ weights), 1e-300)
        new_noise = max(n_rows - known, 1.0) / misfit
        new_prior = float(np.clip(new_prior, 1e-12 * new_noise * values.max(), new_noise * values.max()))
        done = abs(np.log(new_prior / prior)) + abs(np.log(new_noise / noise)) < 1e-3
        prior, noise = new_prior, new_noise
        if done:
            break
    return prior, noise, vectors / np.sqrt(noise * values + prior)


def shrunk(gram: Floats, moment: Floats, prior: float, noise: float, families: Integers) -> Floats:
    """Return the mean with a precision of the prior for each family of features.

    Families that the data do not need, such as those of atoms that have not met, shrink towards zero and do not attract
    where nothing was seen. The covariance keeps the one wide prior, so that the Bayesian error there stays large.
    """
    counts = np.bincount(families)
    precisions = np.full(len(counts), prior)
    weights = np.zeros(len(gram))
    for _ in range(SHRINK_STEPS):
        inverse = np.linalg.inv(noise * gram + np.diag(precisions[families]))
        weights = noise * inverse @ moment
        known = counts - precisions * np.bincount(families, np.diag(inverse))
        sizes = np.bincount(families, weights**2)
        precisions = np.clip(np.maximum(known, 1e-6) / np.maximum(sizes, 1e-300), prior, SHRINK_LIMIT * prior)
    return np.asarray(weights)
