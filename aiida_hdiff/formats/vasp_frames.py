"""The frames of a VASP run with a force field: XDATCAR joined with the energies of vasprun.xml or OSZICAR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.common.units import KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.poscar import Contcar
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.formats.xdatcar import read_xdatcar

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StepEnergies:
    """Energies against the step of the job.

    Attributes
    ----------
    steps
        From 1, increasing, shape (n,).
    potential_energy, kinetic_energy
        In eV, shape (n,).
    source
        ``vasprun.xml``, with eight decimals, or ``OSZICAR``, with five to eight digits.
    """

    steps: Integers
    potential_energy: Floats
    kinetic_energy: Floats
    source: str


@dataclass(frozen=True, eq=False)
class VaspFrames:
    """Consecutive stored frames.

    Attributes
    ----------
    steps
        Steps of the job, from 1, shape (n,).
    cells
        Lattice vectors as rows in Å, shape (n, 3, 3).
    positions
        Unwrapped positions in Å, shape (n, n_atoms, 3).
    potential_energy, kinetic_energy
        In eV, shape (n,).
    """

    steps: Integers
    cells: Floats
    positions: Floats
    potential_energy: Floats
    kinetic_energy: Floats


def read_step_energies(folder: Path) -> StepEnergies | None:
    """Return the energies of all steps that OSZICAR lists, or ``None`` if it lists none.

    They are taken from vasprun.xml where it is readable up to the same step. Files that a killed run left unfinished
    are read as far as they go.

    Parameters
    ----------
    folder
        Holds OSZICAR, and vasprun.xml if there is one.

    Raises
    ------
    ValueError
        If OSZICAR is damaged.
    """
    path = folder / 'OSZICAR'
    if not path.is_file() or not path.stat().st_size:
        return None
    rows = read_oszicar(path, allow_truncated=True)
    if not len(rows.steps):
        return None
    fine = _vasprun_energies(folder / 'vasprun.xml')
    # Energies of both files agree to the digits of OSZICAR; if they do not, they are not of the same steps.
    if fine is not None and len(fine[0]) == len(rows.steps) and np.allclose(fine[0], rows.free_energy, rtol=2e-7):
        return StepEnergies(rows.steps, fine[0], fine[1], 'vasprun.xml')
    return StepEnergies(rows.steps, rows.free_energy, rows.kinetic_energy, 'OSZICAR')


def _vasprun_energies(path: Path) -> tuple[Floats, Floats] | None:
    if not path.is_file():
        return None
    potential, kinetic = [], []
    try:
        for step in iter_vasprun(path, allow_truncated=True):
            potential.append(step.free_energy)
            kinetic.append(np.nan if step.kinetic_energy is None else step.kinetic_energy)
    except (ValueError, StopIteration):
        return None
    values = np.array(potential, dtype=np.float64), np.array(kinetic, dtype=np.float64)
    return values if np.all(np.isfinite(values[1])) else None


def iter_frames(
    folder: Path, energies: StepEnergies, *, block: int, start_positions: ArrayLike, start_cell: ArrayLike
) -> Iterator[VaspFrames]:
    """Stream the frames of XDATCAR that have energies, one each ``block`` steps, in blocks of a few megabytes.

    Positions continue those at the start of the job, whether or not VASP has wrapped them: each atom is in the image
    that is nearest to that of the frame before.

    Parameters
    ----------
    folder
        Holds XDATCAR.
    energies
        Of `read_step_energies`.
    block
        Steps between the frames that are wanted, ML_OUTBLOCK of the run. Versions of VASP that write every step in
        spite of it are understood.
    start_positions, start_cell
        Unwrapped positions (Å), shape (n_atoms, 3), and lattice vectors as rows (Å) in POSCAR.

    Raises
    ------
    ValueError
        If XDATCAR is damaged, or has other atoms than POSCAR.
    """
    path = folder / 'XDATCAR'
    if not path.is_file() or not path.stat().st_size:
        return
    cell = np.asarray(start_cell, dtype=np.float64)
    start = np.asarray(start_positions, dtype=np.float64) @ np.linalg.inv(cell)
    last, shift = start, np.zeros_like(start)
    spacing = frame_spacing(path, energies, block)
    done = 0
    for frames in read_xdatcar(path, allow_truncated=True):
        if frames.scaled.shape[1] != len(start):
            raise ValueError(f'XDATCAR has {frames.scaled.shape[1]} atoms, POSCAR {len(start)}: not of one run.')
        # In units of the lattice vectors, so that each frame stays a structure where the cell varies.
        shifts = shift - np.cumsum(np.round(np.diff(frames.scaled, axis=0, prepend=last[None])), axis=0)
        last, shift = frames.scaled[-1], shifts[-1]
        positions = (frames.scaled + shifts) @ frames.cells
        steps = spacing * np.arange(done + 1, done + len(positions) + 1)
        done += len(positions)
        rows = np.minimum(np.searchsorted(energies.steps, steps), len(energies.steps) - 1)
        wanted = (energies.steps[rows] == steps) & (steps % block == 0)
        if wanted.any():
            yield VaspFrames(
                steps=steps[wanted],
                cells=frames.cells[wanted],
                positions=positions[wanted],
                potential_energy=energies.potential_energy[rows[wanted]],
                kinetic_energy=energies.kinetic_energy[rows[wanted]],
            )


def frame_spacing(path: Path, energies: StepEnergies, block: int) -> int:
    """Return the number of steps between the frames of XDATCAR: ``block``, or 1 if there is one of every step.

    The numbers that VASP writes above the frames are not used: they overflow, and it is not documented whether they
    count steps or frames.
    """
    if block == 1:
        return 1
    n_frames = sum(len(frames.cells) for frames in read_xdatcar(path, allow_truncated=True))
    return 1 if n_frames > int(energies.steps[-1]) // block + 1 else block


def next_structure(contcar: Contcar) -> tuple[Floats, Floats]:
    """Return cell and positions (Å) that a run goes on from: those of the predictor, where CONTCAR has them."""
    cell = contcar.cell if contcar.next_cell is None else contcar.next_cell
    return cell, contcar.positions if contcar.next_positions is None else contcar.next_positions


def steps_since(contcar: Contcar, positions: Floats, masses: Floats, timestep_fs: float) -> int:
    """Return how many steps CONTCAR is ahead of a frame, from the way of the atoms and their velocities.

    This is an estimate: the velocities are those of the end of the way.

    Parameters
    ----------
    contcar
        With velocities.
    positions
        Unwrapped positions of the frame in Å, shape (n_atoms, 3).
    masses
        In u, shape (n_atoms,).
    timestep_fs
        Time step in fs.
    """
    if contcar.velocities is None:
        return 0
    cell, now = next_structure(contcar)
    way = nearest_images(now, cell, positions) - positions
    weights = masses[:, None] * contcar.velocities
    speed = float(np.sum(weights * contcar.velocities))
    steps = float(np.sum(weights * way)) / (speed * timestep_fs) if speed > 0 else 0.0
    return max(0, round(steps)) if np.isfinite(steps) else 0


def nearest_images(positions: Floats, cell: Floats, reference: Floats) -> Floats:
    """Return the periodic images of positions (Å) that are nearest to those of a reference, shape (n_atoms, 3)."""
    scaled = (positions - reference) @ np.linalg.inv(cell)
    return np.asarray(positions - np.round(scaled) @ cell)


def kinetic_energy_eV(masses: Floats, velocities: Floats) -> float:
    """Return the kinetic energy (eV) of masses in u, shape (n_atoms,), and velocities in Å/fs, shape (n_atoms, 3)."""
    return 0.5 * KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2 * float(np.sum(masses[:, None] * velocities**2))
