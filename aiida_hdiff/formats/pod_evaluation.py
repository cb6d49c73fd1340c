"""The script of a fit by `fitpod` and of the evaluation that follows it, and what the evaluation writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA, GPA_IN_BAR
from aiida_hdiff.formats.lammps import data_file, restricted_triclinic
from aiida_hdiff.formats.pod import COEFFICIENTS_FILE

PARAM_FILE = 'param.pod'
DATA_FILE = 'data.pod'
EVALUATION_LOG = 'evaluation.log'
ENERGIES_FILE = 'energies.txt'
FORCES_FILE = 'forces.txt'
FITTED_MARK = 'fitted in'
FINISHED_MARK = 'evaluated all frames'
_PRESSURES = ('pxx', 'pyy', 'pzz', 'pyz', 'pxz', 'pxy')

Floats = NDArray[np.float64]


def frame_file(index: int) -> str:
    """Return the name of the data file of a frame, from 0."""
    return f'frames/{index + 1}.data'


def fit_script(elements: Sequence[str], n_frames: int) -> str:
    """Return the script that fits, and then evaluates ``n_frames`` frames by the pair style itself."""
    numbers = ' '.join(f'$({name}:%.16g)' for name in ('pe', *_PRESSURES))
    return '\n'.join(
        [
            'variable begin timer',
            f'fitpod {PARAM_FILE} {DATA_FILE}',
            'variable end timer',
            f'print "hdiff: {FITTED_MARK} $(v_end-v_begin:%.3f) s"',
            f'log {EVALUATION_LOG}',
            f'variable frame loop {n_frames}',
            'label next_frame',
            'clear',
            'units metal',
            'atom_style atomic',
            'boundary p p p',
            'read_data frames/${frame}.data',
            'pair_style pod',
            f'pair_coeff * * {PARAM_FILE} {COEFFICIENTS_FILE} {" ".join(elements)}',
            f'thermo_style custom step pe {" ".join(_PRESSURES)}',
            'thermo_modify norm no',
            'run 0 post no',
            f'print "{numbers}" append {ENERGIES_FILE} screen no',
            f'write_dump all custom {FORCES_FILE} fx fy fz modify sort id append yes format float %.16g',
            'next frame',
            'jump SELF next_frame',
            f'print "hdiff: {FINISHED_MARK}"',
            '',
        ]
    )


def frame_data(types: Sequence[int], masses: Sequence[float], cell: Floats, positions: Floats) -> str:
    """Return the data file of a frame, in LAMMPS's orientation; cell and positions are in Å.

    Raises
    ------
    ValueError
        If the cell is left-handed or has no volume.
    """
    lower, rotation = restricted_triclinic(cell)
    return data_file(types, masses, lower, positions @ rotation, None)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What LAMMPS says about one frame, in the orientation of the frame.

    Attributes
    ----------
    energy
        In eV.
    forces
        In eV/Å, shape (n_atoms, 3).
    stress
        xx, yy, zz, yz, xz, xy in eV/Å³ with ASE's sign, shape (6,).
    """

    energy: float
    forces: Floats
    stress: Floats


def read_evaluation(energies: str, forces: str, cells: Sequence[Floats]) -> list[Evaluated]:
    """Return the evaluation of frames with these cells (Å).

    Raises
    ------
    ValueError
        If frames are missing, or a file is not as the script of `fit_script` writes it.
    """
    rows = np.array(energies.split(), dtype=np.float64).reshape(-1, 1 + len(_PRESSURES))
    tables = list(_tables(forces))
    if not len(rows) == len(tables) == len(cells):
        raise ValueError(f'{min(len(rows), len(tables))} of {len(cells)} frames are evaluated')
    found = []
    for row, table, cell in zip(rows, tables, cells, strict=True):
        _, rotation = restricted_triclinic(cell)
        xx, yy, zz, yz, xz, xy = -row[1:] / (GPA_IN_BAR * EV_PER_ANGSTROM3_IN_GPA)
        stress = rotation @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ rotation.T
        voigt = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        found.append(Evaluated(energy=float(row[0]), forces=table @ rotation.T, stress=voigt))
    return found


def _tables(text: str) -> Iterator[Floats]:
    """Yield the forces of the frames of a text dump."""
    for part in text.split('ITEM: TIMESTEP\n')[1:]:
        header, _, body = part.partition('ITEM: ATOMS fx fy fz')
        n_atoms = int(header.split('ITEM: NUMBER OF ATOMS\n')[1].split(None, 1)[0])
        _, _, numbers = body.partition('\n')
        values = np.array(numbers.split(), dtype=np.float64)
        if values.size != 3 * n_atoms:
            raise ValueError(f'a frame has {values.size} of {3 * n_atoms} components of forces')
        yield values.reshape(n_atoms, 3)
