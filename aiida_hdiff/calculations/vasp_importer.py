"""From the folder of a finished VASP run to the inputs of `VaspMlffCalculation`, as if AiiDA had run it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import CalcJobImporter

from aiida_hdiff.calculations.potcar_titles import potcar_titles, potcars_by_title
from aiida_hdiff.calculations.vasp_inputs import species_error
from aiida_hdiff.calculations.vasp_mlff import ICONST, ML_AB, ML_ABN, ML_FF
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats.iconst import CONSTRAINTS, iconst
from aiida_hdiff.formats.incar import number, read_incar, truth
from aiida_hdiff.formats.incar_checks import ml_mode
from aiida_hdiff.formats.poscar import Contcar, read_contcar
from aiida_hdiff.formats.vasp_folder import check_finished, check_inputs_of_run

KSPACING = 0.5
"""VASP's default spacing of the k-points (1/Å, with the factor 2π) where KPOINTS is missing."""
ICONST_TOLERANCE = 1e-3
RUN_MODE = '2'
"""ML_ISTART of VASP 6.3 for a run that only predicts."""

_FREE_TEXT = ('SYSTEM',)


class VaspMlffImporter(CalcJobImporter):
    """Reads INCAR, POSCAR and KPOINTS, the titles of POTCAR, and of ML_AB how many configurations it has."""

    @staticmethod
    def parse_remote_data(remote_data: orm.RemoteData, **kwargs: Any) -> dict[str, Any]:
        """Return the inputs of a finished run; nothing is stored.

        Parameters
        ----------
        remote_data
            The folder, on this machine.
        **kwargs
            ``family``: label of the POTCAR family to search; all uploaded POTCARs by default.

        Raises
        ------
        ValueError
            If the folder is not that of a finished run of molecular dynamics or of a force field, a file cannot be
            read, or no uploaded POTCAR has the title of one that was used; the message says what to do.
        """
        folder = Path(remote_data.get_remote_path())
        return {**run_inputs(folder, kwargs.get('family')), 'metadata': {'computer': remote_data.computer}}


def run_inputs(folder: Path, family: str | None = None) -> dict[str, Any]:
    """Return the unstored inputs of a finished run, see `VaspMlffImporter.parse_remote_data`."""
    check_finished(folder)
    tags = read_incar(_text(folder / 'INCAR'))
    tags = {tag: value for tag, value in tags.items() if tag not in _FREE_TEXT}
    mode = _checked_mode(tags)
    start = read_contcar(folder / 'POSCAR', timestep_fs=number(tags.get('POTIM')))
    check_inputs_of_run(folder / 'vasprun.xml', tags, start)
    structure = _structure(start)
    problem = species_error(structure)
    if problem:
        raise ValueError(f'POSCAR: {problem}')
    inputs: dict[str, Any] = {
        'structure': structure,
        'parameters': orm.Dict({tag.lower(): value for tag, value in tags.items()}),
        'kpoints': _kpoints(folder / 'KPOINTS', tags, start),
        'potential': potcars_by_title(potcar_titles(folder), structure, family),
    }
    if start.velocities is not None:
        inputs['state'] = MDState(
            numbers=structure.get_ase().numbers,
            positions=start.positions,
            cell=start.cell,
            velocities=start.velocities,
            lattice_velocities=start.lattice_velocities,
        )
    constraint = _constraint(folder / ICONST, start)
    if constraint is not None:
        inputs['constraint'] = orm.Str(constraint)
    if mode == 'run' and (folder / ML_FF).is_file():
        inputs['force_field'] = PotentialData.from_vasp_mlff(
            folder / ML_FF, elements=None if _has_header(folder / ML_FF) else list(dict.fromkeys(start.symbols))
        )
    if mode != 'run' and (folder / ML_AB).is_file() and (folder / ML_ABN).is_file():
        inputs['n_configurations'] = orm.Int(_count(folder / ML_AB))
    return inputs


def _checked_mode(tags: dict[str, Any]) -> str | None:
    """Return ML_MODE in the words of VASP 6.4, or ``None`` for molecular dynamics without a force field."""
    if truth(tags.get('ML_LMLFF')):
        return ml_mode(tags) or ('run' if str(tags.get('ML_ISTART')) == RUN_MODE else 'train')
    if number(tags.get('IBRION')) != 0.0 or not (number(tags.get('NSW')) or 0.0) > 0.0:
        raise ValueError(
            'the run is neither molecular dynamics (IBRION = 0 and NSW > 0) nor of a force field (ML_LMLFF = .TRUE.): '
            'take other runs in with aiida-vasp.'
        )
    return None


def _text(path: Path) -> str:
    return path.read_bytes().decode('utf-8', errors='replace')


def _structure(start: Contcar) -> orm.StructureData:
    node = orm.StructureData(cell=start.cell.tolist())
    for symbol, position in zip(start.symbols, start.positions.tolist(), strict=True):
        node.append_atom(symbols=symbol, position=position)
    return node


def _kpoints(path: Path, tags: dict[str, Any], start: Contcar) -> orm.KpointsData:
    """Return the k-points of KPOINTS, or of KSPACING where it is missing."""
    if path.is_file():
        from aiida_vasp.parsers.content_parsers.kpoints import KpointsParser
        from aiida_vasp.parsers.vasp import get_kpoints_node

        try:
            with path.open(encoding='utf-8') as stream:
                found: orm.KpointsData = get_kpoints_node(KpointsParser(handler=stream).kpoints, start.cell.tolist())
        except Exception as error:
            # The parser raises what it likes on files that it does not understand.
            raise ValueError(f'KPOINTS cannot be read: {error or type(error).__name__}.') from error
        return found
    spacing = number(tags.get('KSPACING')) or KSPACING
    lengths = 2.0 * math.pi * np.linalg.norm(np.linalg.inv(start.cell).T, axis=1)
    node = orm.KpointsData()
    centred = truth(tags.get('KGAMMA')) is not False
    mesh = [max(1, math.ceil(length / spacing)) for length in lengths]
    node.set_kpoints_mesh(mesh, offset=[0.0 if centred or count % 2 else 0.5 for count in mesh])
    return node


def _constraint(path: Path, start: Contcar) -> str | None:
    """Return what an ICONST of this package holds fixed, or ``None`` for none or another one."""
    if not path.is_file():
        return None
    words = [_word(word) for word in _text(path).split()]
    for constraint in CONSTRAINTS[:2]:
        expected = [_word(word) for word in iconst(start.cell, constraint).split()]
        if len(words) == len(expected) and all(map(_equal, words, expected)):
            return constraint
    return None


def _word(word: str) -> str | float:
    value = number(word)
    return word.upper() if value is None else value


def _equal(one: str | float, other: str | float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ICONST_TOLERANCE, abs_tol=ICONST_TOLERANCE)
    return one == other


def _has_header(path: Path) -> bool:
    from aiida_hdiff.formats.ml_ff import read_ml_ff_header

    with path.open('rb') as stream:
        header = read_ml_ff_header(stream.read(4096))
    return header is not None and bool(header.types)


def _count(path: Path) -> int:
    """Return the number of configurations that an ML_AB says it has."""
    with path.open('rb') as stream:
        lines = stream.read(1000).splitlines()
    if len(lines) < 5 or not lines[4].strip().isdigit():
        raise ValueError(f'{path.name}, line 5: no number of configurations here: the file is no ML_AB.')
    return int(lines[4])
