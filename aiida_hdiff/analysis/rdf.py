"""Partial radial distribution functions and coordination numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions
from aiida_hdiff.analysis.images import CHUNK_FRAMES, FrameChunk
from aiida_hdiff.common.rich import RichResult


@dataclass(frozen=True)
class RDFResult(RichResult):
    """Partial radial distribution functions.

    Attributes
    ----------
    r
        Centres of the bins in Å, shape (bins,).
    edges
        Edges of the bins in Å, shape (bins + 1,).
    g
        For each pair (a, b) of atomic numbers g_ab at `r`, shape (bins,).
    coordination
        For each pair (a, b) the mean number of atoms b within `edges[1:]` of an atom a, shape (bins,).
    """

    _units = {'r': 'Å', 'edges': 'Å'}

    r: FloatArray
    edges: FloatArray
    g: dict[tuple[int, int], FloatArray]
    coordination: dict[tuple[int, int], FloatArray]


def radial_distribution(
    positions: ArrayLike,
    cells: ArrayLike,
    numbers: ArrayLike,
    pairs: Sequence[tuple[int, int]],
    *,
    r_max: float,
    bins: int = 200,
) -> RDFResult:
    """Compute partial radial distribution functions, averaged over frames.

    All periodic images count, so the count is complete at any r_max and in any cell. For a = b the density of
    neighbours is (N - 1)/V: the ideal gas has g = 1 for any number of atoms. From the shortest lattice vector on, an
    atom's own images count as well and show as peaks.

    Parameters
    ----------
    positions
        Positions in Å, wrapped or not, shape (n_frames, n_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (3, 3) if fixed, else (n_frames, 3, 3).
    numbers
        Atomic numbers, shape (n_atoms,).
    pairs
        Pairs of atomic numbers.
    r_max
        Largest distance in Å; beyond half the smallest height of the cell if wanted.
    bins
        Number of bins between 0 and r_max.

    Raises
    ------
    ValueError
        Wrong shapes, values that are not finite, an element that does not occur, r_max or bins not
        positive.
    """
    given = as_positions(positions)
    vectors = as_cells(cells, given.shape[0])
    return radial_distribution_of_blocks([(given, vectors)], numbers, pairs, r_max=r_max, bins=bins)


def radial_distribution_of_blocks(
    blocks: Iterable[tuple[NDArray[np.floating], FloatArray]],
    numbers: ArrayLike,
    pairs: Sequence[tuple[int, int]],
    *,
    r_max: float,
    bins: int = 200,
) -> RDFResult:
    """Compute what `radial_distribution` does from a trajectory that comes block by block.

    Parameters
    ----------
    blocks
        Positions, shape (n_frames, n_atoms, 3), with cells, shape (1, 3, 3) or (n_frames, 3, 3), in Å.
    numbers, pairs, r_max, bins
        As in `radial_distribution`.

    Raises
    ------
    ValueError
        As in `radial_distribution`, or no block at all.
    """
    elements = np.asarray(numbers)
    if not r_max > 0.0:
        raise ValueError(f'r_max must be positive, not {r_max}')
    if bins < 1:
        raise ValueError(f'bins must be positive, not {bins}')
    members: dict[int, NDArray[np.intp]] = {int(z): np.flatnonzero(elements == z) for z in np.unique(elements)}
    for z in {z for pair in pairs for z in pair}:
        if z not in members:
            raise ValueError(f'no atom has the atomic number {z}')

    histograms = {pair: np.zeros(bins) for pair in pairs}
    n_frames, density = 0, 0.0
    for positions, cells in blocks:
        n_block, n_atoms, _ = positions.shape
        if elements.shape != (n_atoms,):
            raise ValueError(f'numbers must have shape ({n_atoms},), not {elements.shape}')
        n_frames += n_block
        density += n_block * float(np.mean(1.0 / np.abs(np.linalg.det(cells))))
        for start in range(0, n_block, CHUNK_FRAMES):
            frames = slice(start, start + CHUNK_FRAMES)
            chunk = FrameChunk(positions[frames], cells if len(cells) == 1 else cells[frames])
            for a, b in pairs:
                histograms[a, b] += chunk.histogram(members[a], members[b], r_max, bins)
    if not n_frames:
        raise ValueError('there is no frame: give at least one block of positions')

    edges = np.linspace(0.0, r_max, bins + 1)
    shells = np.diff(4.0 / 3.0 * np.pi * edges**3)
    g: dict[tuple[int, int], FloatArray] = {}
    coordination: dict[tuple[int, int], FloatArray] = {}
    for a, b in pairs:
        per_atom = histograms[a, b] / (n_frames * members[a].size)
        partners = max(members[b].size - (a == b), 1)
        g[a, b] = per_atom / (partners * density / n_frames * shells)
        coordination[a, b] = np.cumsum(per_atom)
    return RDFResult(r=0.5 * (edges[1:] + edges[:-1]), edges=edges, g=g, coordination=coordination)
