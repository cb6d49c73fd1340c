"""Inputs, outputs, exit codes and input validation that all molecular dynamics jobs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm

from aiida_hdiff.calculations.md_committee import committee_error
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.engine.parameters import MDParameters, parameters_error

MIN_DISTANCE_TO_HYDROGEN_A = 0.5
WALLTIME_MARGIN = 0.05
WALLTIME_MARGIN_S = 20


def define_md(spec: Any) -> None:
    """Declare the ports of a molecular dynamics job."""
    spec.input('structure', valid_type=orm.StructureData, help='Atoms, and where they start if no state is given.')
    spec.input('potential', valid_type=PotentialData, help='Potential that moves the atoms.')
    spec.input(
        'parameters',
        valid_type=orm.Dict,
        serializer=orm.to_aiida_type,
        validator=_validate_parameters,
        help='Settings of the stage, see `aiida_hdiff.engine.parameters.MDParameters`.',
    )
    spec.input('state', valid_type=MDState, required=False, help='Positions, velocities and cell to start from.')
    spec.input('checkpoint', valid_type=MDState, required=False, help='State of this same stage to continue from.')

    spec.output('trajectory', valid_type=MDTrajectory, required=False, help='Stored frames, up to the checkpoint.')
    spec.output('final_state', valid_type=MDState, required=False, help='Last state, or last checkpoint.')
    spec.output('results', valid_type=orm.Dict, help='How the run went: steps, speed, engine version.')
    spec.output('failed_frame', valid_type=MDState, required=False, help='The frame at which an exploded run stopped.')
    spec.default_output_node = 'results'

    spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
    spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
    spec.exit_code(302, 'ERROR_NO_SPACE', message='No space left on the disk while reading the output: {reason}')
    spec.exit_code(
        400,
        'ERROR_OUT_OF_WALLTIME',
        message='The wall time ended at step {step} of {steps}; a checkpoint was written.',
    )
    spec.exit_code(401, 'ERROR_INTERRUPTED', message='The job was interrupted; the last checkpoint is of step {step}.')
    spec.exit_code(402, 'ERROR_INTERRUPTED_EARLY', message='The job was interrupted before its first checkpoint.')
    spec.exit_code(410, 'ERROR_LOST_ATOMS', message='Atoms were lost: {reason}')
    spec.exit_code(411, 'ERROR_NOT_A_NUMBER', message='An energy or a position is not a number: {reason}')
    spec.exit_code(412, 'ERROR_EXPLODED', message='The run exploded: {reason}')
    spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='The engine stopped with an error: {reason}')
    spec.exit_code(421, 'ERROR_UNKNOWN_STYLE', message='This LAMMPS does not know the pair style: {reason}')
    spec.exit_code(422, 'ERROR_POTENTIAL_REFUSED', message='The potential cannot be loaded: {reason}')
    spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='A package is missing where the job ran: {reason}')
    spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='The model file could run code: {reason}')


def _validate_parameters(value: orm.Dict | None, _port: Any) -> str | None:
    return parameters_error(value.get_dict()) if value else None


def validate_md_inputs(value: dict[str, Any]) -> str | None:
    """Return what is wrong with the inputs of a job as a whole, or ``None``."""
    structure, potential = value.get('structure'), value.get('potential')
    if structure is None or potential is None:
        return None
    atoms = structure.get_ase()
    missing = potential.missing_elements(atoms.get_chemical_symbols())
    if missing:
        return (
            f'`potential` covers {", ".join(potential.elements[:12])} but not {", ".join(missing)} of `structure` '
            f'({atoms.get_chemical_formula()}): give a potential of all its elements.'
        )
    error = trust_error(potential, value.get('options') or (value.get('metadata') or {}).get('options'))
    if error:
        return f'`potential`: {error}'
    for name in ('state', 'checkpoint'):
        state = value.get(name)
        if state is not None and not np.array_equal(state.get_array('numbers'), atoms.numbers):
            return (
                f'`{name}` has other atoms, or another order of them, than `structure`: give a state of this structure.'
            )
    checkpoint = value.get('checkpoint')
    if checkpoint is not None and checkpoint.checkpoint is None:
        return '`checkpoint` has no file of the engine to continue from: give it as `state` instead.'
    return committee_error(value)


def lammps_code_error(code: orm.AbstractCode, architecture: str, options: Mapping[str, Any] | None) -> str | None:
    """Return why a code for `hdiff.lammps_md` cannot run a potential, or ``None``.

    A pair style takes a LAMMPS executable; CHGNet and MACE take `hdiff-engine`, in one process. Where the name of the
    executable is that of neither, nothing is said about it.

    Parameters
    ----------
    code
        The code.
    architecture
        As `PotentialData` names it.
    options
        ``metadata.options`` of the job.
    """
    name = code.get_executable().name
    if architecture == 'lammps':
        return (
            f'`code` {code.label!r} is a hdiff-engine, which runs CHGNet and MACE in LAMMPS, but no pair style: give a '
            'LAMMPS executable.'
            if name.startswith('hdiff-engine')
            else None
        )
    if name.startswith('lmp'):
        return (
            f'`code` {code.label!r} is a LAMMPS executable ({name}), which cannot run a {architecture} potential: give '
            'a `hdiff-engine` whose default plugin is `hdiff.lammps_md`.'
        )
    options = options or {}
    counts = {key: value for key, value in (options.get('resources') or {}).items() if isinstance(value, int)}
    each_machine = counts.get('num_machines', 1) * counts.get('num_mpiprocs_per_machine', 1)
    processes = counts.get('tot_num_mpiprocs') or each_machine
    if options.get('withmpi') and processes > 1:
        return (
            f'`options` asks for {processes} processes, but a {architecture} potential runs in one: set `withmpi` to '
            'false, and threads by `OMP_NUM_THREADS` in `environment_variables`.'
        )
    return None


def structure_error(structure: orm.StructureData, *, needs_hydrogen: bool = True) -> str | None:
    """Return why a structure cannot be used for hydrogen diffusion, or ``None``."""
    try:
        atoms = structure.get_ase()
    except ValueError:
        return '`structure` has sites with several elements or vacancies: give one element per site.'
    hydrogens = np.nonzero(atoms.numbers == 1)[0]
    if needs_hydrogen and not len(hydrogens):
        return (
            f'`structure` ({atoms.get_chemical_formula()}) has no hydrogen: insert it with `insert_hydrogen` or with '
            '`hydrogen` in the study file.'
        )
    if len(hydrogens) == len(atoms):
        return f'`structure` ({atoms.get_chemical_formula()}) has no host atoms: give a host crystal with H in it.'
    if not all(atoms.pbc):
        return '`structure` is not periodic in all three directions: diffusion in a crystal needs it to be.'
    if not np.all(np.isfinite(atoms.positions)) or not np.all(np.isfinite(atoms.cell.array)):
        return '`structure` has positions or cell vectors that are not finite numbers: give numbers in Å.'
    if not np.linalg.det(atoms.cell.array) > 0:
        return 'the cell vectors of `structure` are left-handed or coplanar: swap two of them.'
    for index in hydrogens:
        distances = atoms.get_distances(index, [i for i in range(len(atoms)) if i != index], mic=True)
        if distances.min() < MIN_DISTANCE_TO_HYDROGEN_A:
            return (
                f'in `structure` hydrogen atom {index} is {distances.min():.2f} Å from another atom: keep at least '
                f'{MIN_DISTANCE_TO_HYDROGEN_A} Å.'
            )
    return None


def start_arrays(inputs: Any) -> dict[str, Any]:
    """Return numbers, positions (Å), cell (Å) and velocities (Å/fs or ``None``) that a job starts from."""
    if 'state' in inputs:
        state = inputs.state
        arrays = {name: state.get_array(name) for name in ('numbers', 'positions', 'cell')}
        return {**arrays, 'velocities': state.velocities}
    atoms = inputs.structure.get_ase()
    return {
        'numbers': atoms.numbers,
        'positions': atoms.positions,
        'cell': np.array(atoms.cell),
        'velocities': None,
    }


def seconds_before_walltime(limit: int) -> int:
    """Return the wall time (s) after which an engine stops by itself, before the scheduler kills it."""
    return max(1, int(limit - max(WALLTIME_MARGIN * limit, min(WALLTIME_MARGIN_S, limit / 2))))


def md_parameters(inputs: Any) -> MDParameters:
    """Return the validated stage settings of a job."""
    return MDParameters.from_dict(inputs.parameters.get_dict())
