"""What an analysis gives beside the diffusion coefficient, as plain data: no AiiDA, no plotting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Measured = tuple[float, float | None]
"""A value and its standard error, ``None`` where that is unknown."""


def store_arrays(instance: object, *names: str) -> None:
    """Make the named fields float64 arrays of one common length.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    lengths = set()
    for name in names:
        value = getattr(instance, name)
        if value is None:
            continue
        array = np.asarray(value, dtype=np.float64)
        object.__setattr__(instance, name, array)
        lengths.add(len(array))
    if len(lengths) > 1:
        msg = f'{type(instance).__name__}: {", ".join(names)} differ in length: {sorted(lengths)}'
        raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class WindowScan:
    """D for other fit windows of the mean squared displacement.

    Attributes
    ----------
    start_ps, end_ps : ndarray
        First and last lag time of each window in ps.
    value_m2_s, std_error_m2_s : ndarray
        D and its standard error in m²/s.
    """

    start_ps: FloatArray
    end_ps: FloatArray
    value_m2_s: FloatArray
    std_error_m2_s: FloatArray

    def __post_init__(self) -> None:
        store_arrays(self, 'start_ps', 'end_ps', 'value_m2_s', 'std_error_m2_s')


@dataclass(frozen=True, eq=False)
class PairSeries:
    """Number of H-H pairs closer than a cut-off.

    Attributes
    ----------
    times_ps, counts : ndarray
        Middle of each averaging window in ps and the mean number of pairs in it.
    cutoff_A : float
        Cut-off in Å.
    mean, std_error : float or None
        Mean over the run and its standard error.
    random : float or None
        Number expected of hydrogen placed at random.
    """

    times_ps: FloatArray
    counts: FloatArray
    cutoff_A: float
    mean: float | None = None
    std_error: float | None = None
    random: float | None = None

    def __post_init__(self) -> None:
        store_arrays(self, 'times_ps', 'counts')


@dataclass(frozen=True, eq=False)
class VanHove:
    """Self part of the van Hove function of hydrogen.

    Attributes
    ----------
    r_A : ndarray
        Distances in Å, shape (n_r,).
    lags_ps : ndarray
        Lag times in ps, shape (n_lags,).
    self_part : ndarray
        4πr²G_s(r, t) in 1/Å, shape (n_lags, n_r).
    non_gaussian : ndarray or None
        Non-Gaussian parameter α₂ at each lag time.
    """

    r_A: FloatArray
    lags_ps: FloatArray
    self_part: FloatArray
    non_gaussian: FloatArray | None = None

    def __post_init__(self) -> None:
        store_arrays(self, 'r_A')
        store_arrays(self, 'lags_ps', 'self_part', 'non_gaussian')


@dataclass(frozen=True)
class Collective:
    """Diffusion of all hydrogen atoms together, and what it says of their correlation.

    Attributes
    ----------
    value_m2_s, std_error_m2_s : float or None
        Collective diffusion coefficient and its standard error in m²/s.
    haven_ratio, haven_ratio_std_error : float or None
        Tracer over collective diffusion coefficient and its standard error.
    """

    value_m2_s: float | None = None
    std_error_m2_s: float | None = None
    haven_ratio: float | None = None
    haven_ratio_std_error: float | None = None


@dataclass(frozen=True, eq=False)
class SiteNetwork:
    """Interstitial sites, how much hydrogen is on them, and the jumps between them.

    Attributes
    ----------
    positions_A : ndarray
        Positions of the sites in Å, shape (n, 3).
    kinds : ndarray
        Index into `kind_names` of each site, shape (n,).
    kind_names : tuple of str
        Names such as ``octahedral``.
    cell_A, host_positions_A : ndarray
        Cell, shape (3, 3), and averaged host positions, shape (m, 3), in Å.
    host_numbers : ndarray
        Atomic numbers of the host, shape (m,).
    edges, edge_counts : ndarray
        Pairs of sites, shape (k, 2), and the number of jumps between them, shape (k,).
    occupation : dict
        Fraction of the time on each kind of site, with its standard error.
    residence_times_ps : dict
        Mean residence time in ps by kind, with its standard error; ``None`` where no jump was seen.
    jump_rates_per_ps : dict
        Rate of jumps per hydrogen atom in 1/ps by pair of kinds: (value, standard error, number of jumps).
    site_occupation : ndarray or None
        Mean number of hydrogen atoms on each site, shape (n,).
    lattice : str
        Name of the host lattice.
    n_jumps : int or None
        Number of jumps seen.
    mean_jump_length_A : float or None
        Root-mean-square or mean length of a jump in Å.
    jump_diffusivity_m2_s, jump_diffusivity_std_error_m2_s : float or None
        D of uncorrelated jumps at that rate, and its standard error, in m²/s.
    correlation_factor, correlation_factor_std_error : float or None
        D over that value, and its standard error.
    reason : str
        Why there is nothing to show.
    """

    positions_A: FloatArray
    kinds: npt.NDArray[np.int64]
    kind_names: tuple[str, ...]
    cell_A: FloatArray
    host_positions_A: FloatArray
    host_numbers: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int64]
    edge_counts: FloatArray
    occupation: Mapping[str, Measured] = field(default_factory=dict)
    residence_times_ps: Mapping[str, Measured | None] = field(default_factory=dict)
    jump_rates_per_ps: Mapping[str, tuple[float, float | None, int | None]] = field(default_factory=dict)
    site_occupation: FloatArray | None = None
    lattice: str = ''
    n_jumps: int | None = None
    mean_jump_length_A: float | None = None
    jump_diffusivity_m2_s: float | None = None
    jump_diffusivity_std_error_m2_s: float | None = None
    correlation_factor: float | None = None
    correlation_factor_std_error: float | None = None
    reason: str = ''


@dataclass(frozen=True, eq=False)
class HydrogenPath:
    """The way of one hydrogen atom through the host.

    Attributes
    ----------
    atom : int
        Index of the atom in the cell.
    times_ps : ndarray
        Times in ps, shape (n,).
    positions_A : ndarray
        Unwrapped positions relative to the host in Å, shape (n, 3).
    host_positions_A : ndarray
        Host atoms around the path, images included, in Å, shape (m, 3).
    host_symbols : tuple of str
        Chemical symbols of the host atoms.
    bonds : ndarray
        Pairs of neighbouring host atoms, shape (k, 2).
    displacement_A : float
        Distance between first and last position in Å.
    """

    atom: int
    times_ps: FloatArray
    positions_A: FloatArray
    host_positions_A: FloatArray
    host_symbols: tuple[str, ...]
    bonds: npt.NDArray[np.int64]
    displacement_A: float


@dataclass(frozen=True)
class RunDetails:
    """What one run shows beside its diffusion coefficient; each part may be missing.

    Attributes
    ----------
    windows, pairs, van_hove, collective, sites, path
        See the classes.
    interval_kind : str
        ``normal``, or ``log`` where the interval is on ln D.
    walker_std_error_m2_s : float or None
        Standard error of D from the scatter between hydrogen atoms or replicas, in m²/s.
    warnings : tuple of str
        What the analysis and the checks of the structure complain about.
    """

    windows: WindowScan | None = None
    pairs: PairSeries | None = None
    van_hove: VanHove | None = None
    collective: Collective | None = None
    sites: SiteNetwork | None = None
    path: HydrogenPath | None = None
    interval_kind: str = 'normal'
    walker_std_error_m2_s: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphNode:
    """A box of the provenance graph: a node of AiiDA.

    Attributes
    ----------
    uuid, label, kind : str
        UUID, what it is in words, and ``data``, ``result``, ``calculation`` or ``job``.
    note : str
        A second line, for example the value of a result.
    """

    uuid: str
    label: str
    kind: str
    note: str = ''


@dataclass(frozen=True)
class ProvenanceGraph:
    """How one number came to be: boxes and arrows, from the inputs down to the result.

    Attributes
    ----------
    title : str
        Which number it is.
    nodes : tuple of GraphNode
        The boxes.
    edges : tuple
        Arrows: (UUID of the source, UUID of the target, label of the link).
    left_out : int
        Ancestors that are not drawn.
    """

    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, str, str], ...]
    left_out: int = 0
