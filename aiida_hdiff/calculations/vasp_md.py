"""Molecular dynamics with a machine-learned force field of VASP."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.md_job import define_md, md_parameters, validate_md_inputs
from aiida_hdiff.calculations.vasp_inputs import potcars_error, species_error, species_of
from aiida_hdiff.calculations.vasp_mlff import ML_FF, VaspMlffCalculation, motion, slow_force_field_error
from aiida_hdiff.common.calcjob import set_default_options
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.formats.incar import seed_value
from aiida_hdiff.formats.incar_checks import incar_error

KBAR_PER_GPA = 10.0
LATTICE_MASS_U = 1000.0
"""PMASS, the default of VASP: with it a cell of 10 Å of a metal breathes with a period of half a picosecond."""

CONSTRAINTS = {'isotropic': 'fixed_shape', 'fixed_shape': 'fixed_angles', 'full': 'none'}
"""What ICONST holds fixed, by the barostat of the stage."""

_NOT_OF_A_STAGE = (
    'potential parameters state ml_ab ml_ab_folder force_field force_field_folder constraint n_configurations '
    'first_step store_ml_ab vdw_kernel'
).split()
_TRAINING_OUTPUTS = 'misc trajectory sources final_state dataset learning regression force_field ml_ab'.split()


def gamma_point() -> orm.KpointsData:
    """Return the Γ point, which is all that a run without electrons needs."""
    node = orm.KpointsData()
    node.set_kpoints_mesh([1, 1, 1])
    return node


class VaspMDCalculation(VaspMlffCalculation):
    """One stage of molecular dynamics with a force field that VASP has trained and refitted.

    VASP writes no velocities with its frames: `velocities` of the parameters has no effect, the final state has them.
    A job that continues between two stored frames runs to the next one and ends there with exit code 404, so that all
    frames of a stage are equally spaced.
    """

    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        for name in _NOT_OF_A_STAGE:
            del spec.inputs[name]
        for name in _TRAINING_OUTPUTS:
            del spec.outputs[name]
        define_md(spec)
        from aiida_vasp.data.potcar import PotcarData

        spec.input_namespace('potcars', valid_type=PotcarData, dynamic=True, help='POTCARs by kind of `structure`.')
        spec.inputs['kpoints'].default = gamma_point
        spec.inputs['kpoints'].required = False
        spec.exit_code(404, 'ERROR_UP_TO_A_FRAME', message='The job ran up to the next stored frame, of step {step}.')
        set_default_options(spec, 'hdiff.vasp_md')
        spec.inputs.validator = cls.validate_inputs

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        structure, potential, node = (value.get(name) for name in ('structure', 'potential', 'parameters'))
        if structure is None or potential is None or node is None:
            return None
        settings = value['settings'].get_dict() if value.get('settings') else {}
        return (
            vasp_stage_error(structure, potential, value.get('potcars', {}), node.get_dict(), settings)
            or validate_md_inputs(value)
            or validate_calc_job(value, port)
        )

    def steps(self) -> tuple[int, int]:
        """Return the step from which this job goes on, and how many steps it makes."""
        parameters = md_parameters(self.inputs)
        return job_steps(parameters, self.inputs.checkpoint.step if 'checkpoint' in self.inputs else 0)

    def incar(self) -> dict[str, Any]:
        """Return the tags of INCAR."""
        first, steps = self.steps()
        n_species = len(species_of(self.inputs.structure))
        return md_incar(md_parameters(self.inputs), n_species=n_species, first_step=first, steps=steps)

    def start(self) -> dict[str, Any]:
        """Return symbols, positions, cell and velocities of POSCAR: of the checkpoint, the state, or the structure."""
        symbols = self.inputs.structure.get_ase().get_chemical_symbols()
        for name in ('checkpoint', 'state'):
            if name in self.inputs:
                start = {'symbols': symbols, **motion(self.inputs[name])}
                if md_parameters(self.inputs).ensemble != 'npt':
                    start.pop('lattice_velocities', None)
                return start
        structure = self.inputs.structure
        positions = np.array([site.position for site in structure.sites])
        return {'symbols': symbols, 'positions': positions, 'cell': np.array(structure.cell)}

    def potcars(self) -> dict[str, Any]:
        """Return the POTCAR nodes by kind."""
        return dict(self.inputs.potcars)

    def constraint(self) -> str:
        """Return what stays of the cell."""
        parameters = md_parameters(self.inputs)
        return CONSTRAINTS[parameters.barostat] if parameters.ensemble == 'npt' else 'none'

    def input_files(self) -> list[tuple[Any, str]]:
        """Return the force field, and its name in the job."""
        return [(self.inputs.potential, ML_FF)]


def job_steps(parameters: MDParameters, first_step: int) -> tuple[int, int]:
    """Return the step from which a job goes on and how many it makes: to the next frame if it begins between two."""
    beyond = first_step % parameters.output_interval
    if beyond:
        return first_step, min(parameters.output_interval - beyond, parameters.steps - first_step)
    return first_step, parameters.steps - first_step


def md_incar(
    parameters: MDParameters, *, n_species: int, first_step: int = 0, steps: int | None = None
) -> dict[str, Any]:
    """Return INCAR of a stage, or of a part of it.

    Parameters
    ----------
    parameters
        Settings of the stage.
    n_species
        Number of species.
    first_step, steps
        Where the part begins and how many steps it has; by default the rest of the stage.
    """
    steps = parameters.steps - first_step if steps is None else steps
    block = min(parameters.output_interval, steps)
    tags: dict[str, Any] = {
        'ML_LMLFF': True,
        'ML_MODE': 'run',
        'ML_OUTBLOCK': block,
        'ML_OUTPUT_MODE': 0,
        'NBLOCK': block,
        'IBRION': 0,
        'NSW': steps,
        'POTIM': parameters.timestep_fs,
        'TEBEG': _temperature_K(parameters, first_step),
        'RANDOM_SEED': seed_value(parameters.seed + first_step),
        'LWAVE': False,
        'LCHARG': False,
    }
    if parameters.ensemble == 'nve':
        return {**tags, 'MDALGO': 1, 'ANDERSEN_PROB': 0.0, 'ISIF': 2}
    tags |= {
        'MDALGO': 3,
        'ISIF': 2,
        'TEEND': _temperature_K(parameters, first_step + steps),
        'LANGEVIN_GAMMA': [FS_PER_PS / parameters.thermostat_time_fs] * n_species,
    }
    if parameters.ensemble == 'npt':
        tags |= {
            'ISIF': 3,
            'LANGEVIN_GAMMA_L': FS_PER_PS / parameters.barostat_time_fs,
            'PMASS': LATTICE_MASS_U,
            'PSTRESS': KBAR_PER_GPA * parameters.pressure_GPa,
        }
    return tags


def _temperature_K(parameters: MDParameters, step: int) -> float:
    first, last = parameters.temperature_K, parameters.final_temperature_K
    return float(round(first + (last - first) * step / parameters.steps, 9))


def vasp_stage_error(
    structure: orm.StructureData,
    potential: Any,
    potcars: Any,
    parameters: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> str | None:
    """Return why VASP cannot run a stage, or ``None``."""
    error = (
        slow_force_field_error(potential, settings)
        or species_error(structure)
        or potcars_error(structure, potcars, 'potcars')
    )
    if error:
        return error
    stage = MDParameters.from_dict(parameters)
    if stage.ensemble != 'nve' and stage.thermostat != 'langevin':
        return f'`thermostat` is {stage.thermostat!r}, but VASP runs are thermostatted by langevin here: choose it.'
    if stage.steps % stage.output_interval:
        return (
            f'`steps` is {stage.steps}, no multiple of `output_interval` ({stage.output_interval}): VASP writes '
            'nothing in between; make it one.'
        )
    species = species_of(structure)
    constraint = CONSTRAINTS[stage.barostat] if stage.ensemble == 'npt' else None
    tags = md_incar(stage, n_species=len(species))
    return incar_error(tags, species, constraint=constraint)
