"""Whether the host stays the crystal that it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray, as_cells, as_positions, as_timestep_ps
from aiida_hdiff.analysis._periodic import periodic_images
from aiida_hdiff.analysis.host_lattice import Lattice, atomic_spacing_A, lattice_type

MIN_FRAMES = 8
MIN_WINDOWS = 4
SHELL_NEIGHBOURS = 14


@dataclass(frozen=True)
class HostState:
    """The host in successive windows of time, after its drift is removed.

    Attributes
    ----------
    times_ps
        Centres of the windows in ps since the first frame, shape (n_windows,).
    window_ps
        Their length in ps.
    spacing_A
        Distance of nearest neighbours in Å if the atoms were close-packed.
    lindemann
        Root-mean-square displacement of the atoms from their mean positions in the window, in units of the spacing,
        shape (n_windows,).
    displacement_A
        Root-mean-square distance of the mean positions from those in the first window in Å, shape (n_windows,).
    moved_fraction
        Fraction of the atoms whose mean position is further than half the spacing from that in the first window,
        shape (n_windows,).
    shell_change
        Root-mean-square change of the distances of each atom to its 14 nearest neighbours since the first window, in
        units of the spacing, shape (n_windows,).
    lattices
        Lattice of the mean positions in each window: 'fcc', 'bcc', 'hcp' or 'other'.
    """

    times_ps: FloatArray
    window_ps: float
    spacing_A: float
    lindemann: FloatArray
    displacement_A: FloatArray
    moved_fraction: FloatArray
    shell_change: FloatArray
    lattices: tuple[Lattice, ...]

    def melted_since_ps(self, lindemann_limit: float = 0.2) -> float | None:
        """Return when the host melted (ps), or None.

        A window is molten if its atoms spread over more than the limit, or if more than half of them have left their
        place and there is no lattice; the last window must be.
        """
        lattice_lost = np.array([lattice == 'other' for lattice in self.lattices])
        molten = (self.lindemann > lindemann_limit) | ((self.moved_fraction > 0.5) & lattice_lost)
        return self._since(molten)

    def transformed_since_ps(self, shell_limit: float = 0.1) -> float | None:
        """Return when the lattice changed for good (ps), or None.

        Two different known lattices differ; elsewhere the distances to the 14 nearest neighbours must have changed by
        more than the limit. The last two windows must agree.
        """
        reference = self.lattices[0]
        renamed = [{reference, lattice} <= {'fcc', 'bcc', 'hcp'} and lattice != reference for lattice in self.lattices]
        changed = np.array(renamed) | (self.shell_change > shell_limit)
        return self._since(changed) if changed[-2] else None

    def _since(self, flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
        """Return the beginning of the windows at the end that all have the flag, or None."""
        if not flags[-1]:
            return None
        before = np.flatnonzero(~flags)
        first = int(before[-1]) + 1 if before.size else 0
        return float(self.times_ps[first] - 0.5 * self.window_ps)


def host_state(host_positions: ArrayLike, cells: ArrayLike, timestep_fs: float, *, window_ps: float = 5.0) -> HostState:
    """Follow the displacements and the lattice of the host through a run.

    Displacements are those in fractional coordinates times the mean cell, so that a change of the cell alone is none.
    A crystal melts when they reach 0.10 to 0.15 of the spacing (Lindemann's criterion), in a melt they grow without
    limit.

    Parameters
    ----------
    host_positions
        Unwrapped positions of the host atoms in Å, shape (n_frames, n_host_atoms, 3).
    cells
        Lattice vectors as rows in Å, shape (3, 3) if fixed, else (n_frames, 3, 3).
    timestep_fs
        Time between frames in fs.
    window_ps
        Length of the windows in ps, long against vibrations; shortened to a quarter of the run if need be.

    Raises
    ------
    ValueError
        Positions or cells of a wrong shape or not finite, timestep or window not positive, fewer than eight frames.
    """
    host = as_positions(host_positions, 'host_positions')
    n_frames, n_atoms, _ = host.shape
    vectors = as_cells(cells, n_frames)
    timestep_ps = as_timestep_ps(timestep_fs)
    if not window_ps > 0.0:
        raise ValueError(f'window_ps must be positive, not {window_ps}')
    if n_frames < MIN_FRAMES:
        raise ValueError(f'host_positions has {n_frames} frames: the state of the host needs at least {MIN_FRAMES}')
    size = min(max(2, round(window_ps / timestep_ps)), n_frames // MIN_WINDOWS)
    n_windows = n_frames // size
    spread = np.empty(n_windows)
    means, cells_of_windows = np.empty((n_windows, n_atoms, 3)), np.empty((n_windows, 3, 3))
    for window in range(n_windows):
        frames = slice(window * size, (window + 1) * size)
        cell = vectors if len(vectors) == 1 else vectors[frames]
        scaled = host[frames] @ np.linalg.inv(cell)
        scaled -= scaled.mean(axis=1, keepdims=True)
        means[window], cells_of_windows[window] = scaled.mean(axis=0), cell.mean(axis=0)
        moved = (scaled - means[window]) @ cells_of_windows[window]
        spread[window] = np.sqrt(np.einsum('tax,tax->', moved, moved) / (size * n_atoms))
    mean_cell = cells_of_windows.mean(axis=0)
    spacing = atomic_spacing_A(mean_cell, n_atoms)
    distances = np.linalg.norm((means - means[0]) @ mean_cell, axis=2)
    shells = np.array([_shell(mean @ cell, cell) for mean, cell in zip(means, cells_of_windows, strict=True)])
    return HostState(
        times_ps=(np.arange(n_windows) + 0.5) * size * timestep_ps,
        window_ps=size * timestep_ps,
        spacing_A=spacing,
        lindemann=spread / spacing,
        displacement_A=np.sqrt(np.mean(distances**2, axis=1)),
        moved_fraction=np.mean(distances > 0.5 * spacing, axis=1),
        shell_change=np.sqrt(np.mean((shells - shells[0]) ** 2, axis=(1, 2))) / spacing,
        lattices=tuple(lattice_type(mean @ cell, cell) for mean, cell in zip(means, cells_of_windows, strict=True)),
    )


def _shell(points: FloatArray, cell: FloatArray) -> FloatArray:
    """Return the distances (Å) of each atom to its nearest neighbours, ascending, shape (n_atoms, 14)."""
    from scipy.spatial import cKDTree

    images = periodic_images(points, cell, 2.5 * atomic_spacing_A(cell, len(points)))
    home = images.positions[: len(points)]
    distances = np.asarray(cKDTree(images.positions).query(home, k=SHELL_NEIGHBOURS + 1)[0])
    return distances[:, 1:]
