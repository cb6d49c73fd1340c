"""POSCAR, POTCAR, KPOINTS and ICONST: what the run is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin import StandinError
from aiida_hdiff.standin.incar import Settings

Floats = NDArray[np.float64]

SHAPE_TOLERANCE = 1e-3
"""Relative deviation of the lengths in ICONST from the ratio of the cell's that is accepted."""


@dataclass(frozen=True, eq=False)
class Poscar:
    """A structure with its motion, species in their order.

    Attributes
    ----------
    comment
        First line.
    elements, counts
        Symbols, each once, and numbers of atoms.
    cell
        Rows in Å, shape (3, 3).
    scaled
        Positions in units of the lattice vectors, shape (n_atoms, 3).
    velocities
        Å/fs, shape (n_atoms, 3); None where the file has none.
    lattice_velocities
        Å/fs, shape (3, 3); None where the file has none.
    """

    comment: str
    elements: tuple[str, ...]
    counts: tuple[int, ...]
    cell: Floats
    scaled: Floats
    velocities: Floats | None
    lattice_velocities: Floats | None

    @property
    def kinds(self) -> NDArray[np.int64]:
        """Index of the species of each atom, shape (n_atoms,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


@dataclass(frozen=True)
class Potcar:
    """What is needed of a POTCAR: titles, symbols, masses in u, valences."""

    titles: tuple[str, ...]
    elements: tuple[str, ...]
    masses: tuple[float, ...]
    valences: tuple[float, ...]


def read_poscar(path: Path) -> Poscar:
    """Read POSCAR.

    Raises
    ------
    StandinError
        Not a POSCAR of VASP 5 or 6, or species that are not contiguous.
    """
    lines = path.read_text(encoding='utf-8').splitlines()
    try:
        comment, scale = lines[0].rstrip(), float(lines[1].split()[0])
        cell = _rows(lines[2:5], 3)
        cell = cell * (scale if scale > 0.0 else (-scale / abs(np.linalg.det(cell))) ** (1.0 / 3.0))
        elements = tuple(word.split('_')[0].split('/')[0] for word in lines[5].split())
        counts = tuple(int(word) for word in lines[6].split()[: len(elements)])
        place = 7 + _starts(lines[7], 'Ss')
        direct = not _starts(lines[place], 'CcKk')
        n_atoms = sum(counts)
        start = place + 1
        positions = _rows(lines[start : start + n_atoms], 3)
    except (IndexError, ValueError) as error:
        raise StandinError(f'POSCAR cannot be read: {error}') from None
    if len(positions) != n_atoms or len(counts) != len(elements) or len(cell) != 3:
        raise StandinError(f'POSCAR is incomplete: {len(positions)} of {n_atoms} atoms')
    if len(set(elements)) != len(elements):
        raise StandinError(
            f'POSCAR lists the species {" ".join(elements)}: force fields need each species once, atoms contiguous'
        )
    scaled = positions if direct else (positions * (scale if scale > 0 else 1.0)) @ np.linalg.inv(cell)
    rest = lines[start + n_atoms :]
    lattice_velocities = None
    if rest and _starts(rest[0], 'Ll'):
        lattice_velocities = _rows(rest[2:5], 3)
        rest = rest[8:]
    velocities = None
    if len(rest) > n_atoms and rest[1].split():
        scaled_velocities = _starts(rest[0], 'Dd')
        velocities = _rows(rest[1 : 1 + n_atoms], 3)
        if len(velocities) != n_atoms:
            raise StandinError('POSCAR: the block of velocities is incomplete')
        velocities = velocities @ cell if scaled_velocities else velocities
    return Poscar(comment, elements, counts, cell, scaled, velocities, lattice_velocities)


def read_potcar(path: Path, poscar: Poscar, settings: Settings) -> Potcar:
    """Read the titles and masses of POTCAR; POMASS of INCAR replaces the masses.

    Raises
    ------
    StandinError
        Another order or number of species than in POSCAR.
    """
    text = path.read_text(encoding='utf-8', errors='replace')
    titles = tuple(match.strip() for match in re.findall(r'TITEL\s*=\s*(.*)', text))
    if not titles:
        raise StandinError('POTCAR has no TITEL: join one data set for each species')
    elements = tuple(re.split(r'[_.\s]', title.split()[min(1, len(title.split()) - 1)])[0] for title in titles)
    if elements != poscar.elements:
        raise StandinError(
            f'species order: POTCAR has {" ".join(elements)}, POSCAR {" ".join(poscar.elements)}: use one order'
        )
    masses = tuple(float(value) for value in re.findall(r'POMASS\s*=\s*([-+.\dEe]+)', text))
    valences = tuple(float(value) for value in re.findall(r'ZVAL\s*=\s*([-+.\dEe]+)', text))
    if len(masses) != len(titles):
        masses = _standard_masses(elements)
    if settings.pomass:
        masses = settings.pomass
        if len(masses) != len(elements):
            raise StandinError(f'POMASS has {len(masses)} values for {len(elements)} species')
    if len(valences) != len(titles):
        valences = (1.0,) * len(titles)
    return Potcar(titles, elements, masses, valences)


def check_constraint(path: Path, cell: Floats) -> None:
    """Check that ICONST fixes the shape of this cell, as the stand-in moves its size only.

    Raises
    ------
    StandinError
        No ICONST, other constraints, or lengths that do not belong to the cell.
    """
    if not path.is_file():
        raise StandinError('ISIF = 3 without ICONST: the stand-in moves the size of the cell only, fix its shape')
    words = [line.split('!')[0].split() for line in path.read_text(encoding='utf-8').splitlines()]
    words = [line for line in words if line]
    complex_lines = [line[1:] for line in words if line[0] == 'S']
    try:
        weights = np.array([[float(word) for word in line[:6]] for line in complex_lines])
    except ValueError:
        raise StandinError('ICONST: a line S has something else than numbers') from None
    if weights.shape != (6, 6) or [line[0] for line in words[:6]] != ['LA'] * 3 + ['LR'] * 3:
        raise StandinError('ICONST must have three lines LA, three LR and six S, which fix the shape of the cell')
    lengths = np.linalg.norm(cell, axis=1)
    residuals = np.abs(weights[:, 3:] @ lengths) / (np.abs(weights[:, 3:]) @ lengths + 1e-12)
    if residuals.max() > SHAPE_TOLERANCE:
        raise StandinError('ICONST: the lengths in it do not have the ratios of the lattice vectors of POSCAR')


def kpoint_grid(folder: Path) -> tuple[int, int, int]:
    """Return the grid of KPOINTS, one point without such a file."""
    path = folder / 'KPOINTS'
    if path.is_file():
        lines = path.read_text(encoding='utf-8').splitlines()
        words = lines[3].split()[:3] if len(lines) > 3 else []
        if len(words) == 3 and all(word.isdigit() for word in words) and lines[1].split()[:1] == ['0']:
            return int(words[0]), int(words[1]), int(words[2])
    return 1, 1, 1


def _rows(lines: list[str], columns: int) -> Floats:
    return np.array([[float(word) for word in line.split()[:columns]] for line in lines], dtype=np.float64)


def _starts(line: str, letters: str) -> bool:
    return bool(line.strip()) and line.strip()[0] in letters


def _standard_masses(elements: tuple[str, ...]) -> tuple[float, ...]:
    from ase.data import atomic_masses, atomic_numbers

    return tuple(float(atomic_masses[atomic_numbers[element]]) for element in elements)
