"""Occupation, residence times and jump rates of the kinds of interstitial sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_timestep_ps
from aiida_hdiff.analysis.blocking import mean_with_error
from aiida_hdiff.analysis.jumps import Jumps
from aiida_hdiff.analysis.sites import InterstitialSites
from aiida_hdiff.analysis.stays import Stays
from aiida_hdiff.common.rich import RichResult


@dataclass(frozen=True)
class JumpRate:
    """Rate of jumps from one kind of site to another.

    Attributes
    ----------
    value, std_error
        Jumps per ps and atom on the first kind, and the Poisson error √n/T; both 0 without jumps.
    count
        Number of jumps n.
    """

    value: float
    std_error: float
    count: int


@dataclass(frozen=True)
class SiteStatistics(RichResult):
    """What hydrogen does on the sites.

    Attributes
    ----------
    occupation
        Mean number of atoms on each site, shape (n_sites,).
    occupation_fractions
        For each kind the fraction of the atoms on it, and its standard error.
    occupation_per_site
        For each kind the mean number of atoms on one such site, and its standard error.
    residence_times_ps
        For each kind the mean time until an atom leaves a site, and its standard error; `None` if none left.
    rates
        For each ordered pair of kinds with jumps.
    """

    occupation: FloatArray
    occupation_fractions: dict[str, tuple[float, float]]
    occupation_per_site: dict[str, tuple[float, float]]
    residence_times_ps: dict[str, tuple[float, float] | None]
    rates: dict[tuple[str, str], JumpRate]


def site_statistics(stays: Stays, jumps: Jumps, sites: InterstitialSites, timestep_fs: float) -> SiteStatistics:
    """Return occupation, residence times and rates.

    Fractions are means over frames; their errors come from blocking. The residence time of a kind is the time
    that all atoms spent there over the number of times that they left. This is the maximum-likelihood
    estimate for exponential stays, of which the first and the last of each atom are cut off by the ends of
    the run: leaving those out, or counting them as complete, would bias it. Its relative error is 1/√n.

    Parameters
    ----------
    stays, jumps, sites
        From :func:`~aiida_hdiff.analysis.find_stays`, :func:`~aiida_hdiff.analysis.find_jumps` and
        :func:`~aiida_hdiff.analysis.find_sites`.
    timestep_fs
        Time between frames in fs.

    Raises
    ------
    ValueError
        A time step that is not positive, or fewer than two frames.
    """
    timestep_ps = as_timestep_ps(timestep_fs)
    if stays.n_frames < 2:
        raise ValueError(f'rates need at least two frames, not {stays.n_frames}: give a longer trajectory')
    durations = (stays.end_frames - stays.first_frames).astype(np.float64)
    occupation = np.bincount(stays.sites, weights=durations, minlength=len(sites)) / stays.n_frames
    counts = _occupation_series(stays, sites)
    known = counts.sum(axis=0)
    fractions = counts[:, known > 0] / known[known > 0]
    names = sites.kind_names
    time_ps = np.bincount(sites.kinds[stays.sites], weights=durations, minlength=len(names)) * timestep_ps
    n_jumps = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(n_jumps, (sites.kinds[jumps.from_sites], sites.kinds[jumps.to_sites]), 1)
    occupied = {name: mean_with_error(series) for name, series in zip(names, fractions, strict=True)}
    per_site = {name: stays.n_atoms / sites.count(name) for name in names}
    left = n_jumps.sum(axis=1)
    return SiteStatistics(
        occupation=occupation,
        occupation_fractions=occupied,
        occupation_per_site={n: (v * per_site[n], e * per_site[n]) for n, (v, e) in occupied.items()},
        residence_times_ps={
            name: (float(time_ps[i] / left[i]), float(time_ps[i] / left[i] ** 1.5)) if left[i] else None
            for i, name in enumerate(names)
        },
        rates={
            (names[i], names[j]): JumpRate(
                float(n_jumps[i, j] / time_ps[i]), float(np.sqrt(n_jumps[i, j]) / time_ps[i]), int(n_jumps[i, j])
            )
            for i, j in np.argwhere(n_jumps)
        },
    )


def _occupation_series(stays: Stays, sites: InterstitialSites) -> NDArray[np.int64]:
    """Return how many atoms are on each kind of site in each frame, shape (n_kinds, n_frames)."""
    kinds = sites.kinds[stays.sites]
    changes = np.zeros((len(sites.kind_names), stays.n_frames + 1), dtype=np.int64)
    np.add.at(changes, (kinds, stays.first_frames), 1)
    np.add.at(changes, (kinds, stays.end_frames), -1)
    occupation: NDArray[np.int64] = np.cumsum(changes[:, :-1], axis=1)
    return occupation
