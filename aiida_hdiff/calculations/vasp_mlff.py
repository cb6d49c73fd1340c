"""VASP with a machine-learned force field: training on the fly, selection, refit, and molecular dynamics with it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.md_job import seconds_before_walltime
from aiida_hdiff.calculations.vasp_inputs import ml_ab_settings_error, potcars_error, species_error, species_of
from aiida_hdiff.common.calcjob import HdiffProcessSpec, require_package, set_default_options
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.formats.iconst import iconst
from aiida_hdiff.formats.incar import format_incar
from aiida_hdiff.formats.incar_checks import incar_error, ml_mode
from aiida_hdiff.formats.poscar import write_poscar

require_package('aiida_vasp', 'vasp')
from aiida_vasp.calcs.vasp import VaspCalculation  # noqa: E402
from parsevasp.constants import incar_tags  # noqa: E402

STDOUT = 'vasp_output'
ML_AB, ML_ABN, ML_FF, ML_FFN = 'ML_AB', 'ML_ABN', 'ML_FF', 'ML_FFN'
ICONST = 'ICONST'
STOPCAR = 'STOPCAR'

RETRIEVED = (STDOUT, 'CONTCAR')
RETRIEVED_TEMPORARILY = ('OUTCAR', 'vasprun.xml', 'XDATCAR', 'OSZICAR', 'REPORT', 'ML_LOGFILE')
RETRIEVED_FROM_TRAINING = (ML_ABN, 'ML_REG')

OTHER_TAGS = frozenset(tag.upper() for tag in incar_tags) | {
    'CSVR_PERIOD', 'NHC_NCHAINS', 'NHC_NRESPA', 'NHC_NS', 'NHC_PERIOD', 'RANDOM_GENERATOR', 'VELOCITY',
}  # fmt: skip
"""Tags that parsevasp knows, and those of molecular dynamics that it lacks."""

_UNUSED_INPUTS = ('dynamics', 'charge_density', 'wavefunctions', 'restart_folder')
_UNUSED_OUTPUTS = (
    'structure kpoints trajectory arrays chgcar wavecar bands dos energies projectors parameters hessian dynmat '
    'born_charges dielectrics'
).split()

# The timer ends itself and its `sleep` when VASP is done; VASP ends after the step in which it finds the file.
_TIMER = (
    "( trap 'kill $pause 2>/dev/null' TERM; sleep {seconds} & pause=$!; "
    "wait $pause && echo 'LSTOP = .TRUE.' > {file} ) > /dev/null 2>&1 &\nhdiff_timer=$!"
)
_END_TIMER = 'kill $hdiff_timer 2>/dev/null || true'


class VaspMlffCalculation(VaspCalculation):
    """One VASP run with a machine-learned force field.

    The files are generated from the inputs and pinned by regression tests: whoever changes them raises
    `CACHE_VERSION`. Shortly before the end of the wall time the job asks VASP to stop, by a file STOPCAR.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        for name in _UNUSED_INPUTS:
            del spec.inputs[name]
        for name in _UNUSED_OUTPUTS:
            del spec.outputs[name]
        spec.inputs['structure'].valid_type = orm.StructureData
        spec.inputs['structure'].help = 'Atoms, sorted by species; its cell is what ICONST refers to.'
        spec.inputs['parameters'].help = 'Flat INCAR: tags and values, with ML_MODE.'
        spec.input('state', valid_type=MDState, required=False, help='Positions, velocities and cell to start from.')
        spec.input('ml_ab', valid_type=orm.SinglefileData, required=False, help='ML_AB: labels to continue from.')
        spec.input(
            'ml_ab_folder', valid_type=orm.RemoteData, required=False,
            help='Folder of a job whose ML_ABN is continued, without leaving the computer.',
        )  # fmt: skip
        spec.input('force_field', valid_type=PotentialData, required=False, help='ML_FF for ML_MODE = run.')
        spec.input(
            'force_field_folder', valid_type=orm.RemoteData, required=False, help='Folder of a job whose ML_FFN is run.'
        )
        spec.input(
            'constraint', valid_type=orm.Str, serializer=orm.to_aiida_type, required=False,
            help='What stays of the cell at constant pressure: fixed_shape, fixed_angles or none.',
        )  # fmt: skip
        spec.input(
            'n_configurations', valid_type=orm.Int, serializer=orm.to_aiida_type, required=False,
            validator=_validate_not_negative, help='Configurations in the ML_AB that is read.',
        )  # fmt: skip
        spec.input(
            'first_step', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(0),
            validator=_validate_not_negative, help='Step of the stage at which this part of it begins.',
        )  # fmt: skip
        spec.input(
            'store_ml_ab', valid_type=orm.Bool, serializer=orm.to_aiida_type, default=lambda: orm.Bool(False),
            help='Store ML_ABN as output `ml_ab`.',
        )  # fmt: skip
        cls._define_outputs(spec)
        cls._define_exit_codes(spec)
        set_default_options(spec, 'hdiff.vasp_mlff')
        spec.inputs['metadata']['options']['output_filename'].default = STDOUT
        spec.inputs.validator = cls.validate_inputs

    @classmethod
    def _define_outputs(cls, spec: Any) -> None:
        spec.outputs['misc'].help = 'How the run went: version, steps, mode, configurations, warnings.'
        spec.outputs['misc'].required = False
        outputs = (
            ('trajectory', MDTrajectory, 'All steps, of DFT and of the force field.'),
            ('sources', orm.ArrayData, 'Whether each stored step is of DFT.'),
            ('final_state', MDState, 'Last state, from which the stage goes on.'),
            ('dataset', LabelledDataset, 'Configurations that this run added to the training set.'),
            ('learning', orm.ArrayData, 'Bayesian errors, threshold and decisions against the step.'),
            ('regression', orm.ArrayData, 'Energies, forces and stresses of the training set, DFT and fitted.'),
            ('force_field', PotentialData, 'The refitted force field.'),
            ('ml_ab', orm.SinglefileData, 'The complete training set as VASP wrote it.'),
        )
        for name, kind, text in outputs:
            spec.output(name, valid_type=kind, required=False, help=text)

    @classmethod
    def _define_exit_codes(cls, spec: Any) -> None:
        spec.exit_code(0, 'NO_ERROR', message='the run finished', invalidates_cache=False)
        codes = (
            (300, 'ERROR_OUTPUT_MISSING', 'The job left no output: {reason}'),
            (301, 'ERROR_OUTPUT_UNREADABLE', 'The output cannot be read: {reason}'),
            (302, 'ERROR_NO_SPACE', 'No space left on the disk while reading the output: {reason}'),
            (400, 'ERROR_OUT_OF_WALLTIME', 'VASP stopped at step {step} of {steps} before the end of the wall time.'),
            (401, 'ERROR_INTERRUPTED', 'The job was interrupted; what there is ends with step {step}.'),
            (402, 'ERROR_INTERRUPTED_EARLY', 'The job was interrupted before there was anything to continue from.'),
            (413, 'ERROR_SCF_FAILED', 'The electronic structure did not converge at step {step}.'),
            (414, 'ERROR_ML_MCONF_REACHED', 'The training set is full: ML_MCONF = {limit} was reached at step {step}.'),
            (415, 'ERROR_ML_MB_REACHED', 'The reference configurations are full: ML_MB = {limit}, at step {step}.'),
            (420, 'ERROR_VASP_FAILED', 'VASP stopped with an error: {reason}'),
            (424, 'ERROR_SPECIES_ORDER', 'VASP found POSCAR and POTCAR in different orders: {reason}'),
            (425, 'ERROR_KNOWN_BAD_VERSION', 'The results of this version of VASP cannot be used: {reason}'),
            (705, 'WARNING_KNOWN_BAD_VERSION', 'Finished, but with a version of VASP that needs care: {reason}'),
        )
        for status, label, message in codes:
            spec.exit_code(status, label, message=message)

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        structure, parameters = value.get('structure'), value.get('parameters')
        if structure is None or parameters is None:
            return None
        incar, potcars = parameters.get_dict(), value.get('potential', {})
        constraint, count = value.get('constraint'), _configurations(value)
        settings = value['settings'].get_dict() if value.get('settings') else {}
        if isinstance(count, str):
            return count
        if value.get('remote_folder') is not None:  # A finished run is imported: VASP has accepted its INCAR.
            return species_error(structure) or potcars_error(structure, potcars) or validate_calc_job(value, port)
        return (
            species_error(structure)
            or incar_error(
                incar,
                species_of(structure),
                constraint=None if constraint is None else constraint.value,
                n_configurations=count,
                other_tags=OTHER_TAGS,
                extra_tags=settings.get('unsupported_parameters', ()),
            )
            or potcars_error(structure, potcars)
            or _files_error(value, ml_mode(incar), settings)
            or _state_error(value.get('state'), structure)
            or _ml_ab_error(value, incar, potcars)
            or validate_calc_job(value, port)
        )

    def incar(self) -> dict[str, Any]:
        """Return the tags of INCAR."""
        return dict(self.inputs.parameters.get_dict())

    def start(self) -> dict[str, Any]:
        """Return symbols, positions, cell, velocities and lattice velocities of POSCAR; the last two may be missing."""
        structure = self.inputs.structure
        symbols = structure.get_ase().get_chemical_symbols()
        state = self.inputs.get('state', None)
        if state is None:
            return {
                'symbols': symbols,
                'positions': np.array([site.position for site in structure.sites]),
                'cell': np.array(structure.cell),
            }
        return {'symbols': symbols, **motion(state)}

    def potcars(self) -> dict[str, Any]:
        """Return the POTCAR nodes by kind."""
        return dict(self.inputs.potential)

    def constraint(self) -> str:
        """Return what stays of the cell."""
        node = self.inputs.get('constraint', None)
        return 'none' if node is None else str(node.value)

    @property
    def _parameters(self) -> dict[str, Any]:
        return {key.lower(): value for key, value in self.incar().items()}

    def verify_inputs(self) -> bool:
        """Leave the checks to the validators of the ports."""
        return True

    def write_incar(self, dst: str, validate_tags: bool = True) -> None:
        """Write INCAR, whose tags the validator has checked."""
        with open(dst, 'w', encoding='utf-8') as stream:  # noqa: PTH123
            stream.write(format_incar(self.incar()))

    def write_poscar(self, dst: str) -> None:
        """Write POSCAR with 16 decimals, and the velocities if there are any."""
        with open(dst, 'w', encoding='utf-8') as stream:  # noqa: PTH123
            write_poscar(stream, **self.start())

    def write_potcar(self, dst: str) -> None:
        """Join the POTCARs in the order of POSCAR."""
        from aiida_vasp.parsers.content_parsers.potcar import MultiPotcarIo

        MultiPotcarIo.from_structure(self.inputs.structure, self.potcars()).write(dst)

    def write_additional(self, folder: Folder, calcinfo: CalcInfo) -> None:
        """Add ICONST, ML_AB and ML_FF; the last two go from their node or folder straight to the computer."""
        super().write_additional(folder, calcinfo)
        if self.constraint() != 'none':
            with folder.open(ICONST, 'w') as stream:
                stream.write(iconst(self.inputs.structure.cell, self.constraint()))
        for node, name in self.input_files():
            source = node.filename if isinstance(node, orm.SinglefileData) else node.file_names[0]
            calcinfo.local_copy_list.append((node.uuid, source, name))
        for port, source, name in (('ml_ab_folder', ML_ABN, ML_AB), ('force_field_folder', ML_FFN, ML_FF)):
            remote = self.inputs.get(port, None)
            if remote is not None:
                path = f'{remote.get_remote_path()}/{source}'
                calcinfo.remote_copy_list.append((remote.computer.uuid, path, name))

    def input_files(self) -> list[tuple[Any, str]]:
        """Return the nodes whose files are copied, and the names in the job."""
        wanted = (('ml_ab', ML_AB), ('force_field', ML_FF))
        return [(self.inputs[port], name) for port, name in wanted if self.inputs.get(port, None) is not None]

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the files; keep licensed and large ones out of the provenance."""
        calcinfo = CalcInfo() if 'remote_folder' in self.inputs else super().prepare_for_submission(folder)
        mode = ml_mode(self.incar())
        temporary = list(RETRIEVED_TEMPORARILY)
        if mode != 'run':
            temporary += RETRIEVED_FROM_TRAINING
        if mode in ('refit', 'refitbayesian'):
            temporary.append(ML_FFN)
        calcinfo.retrieve_list = list(RETRIEVED)
        calcinfo.retrieve_temporary_list = temporary
        calcinfo.provenance_exclude_list = ['POTCAR', ML_AB, ML_FF]
        seconds = seconds_before_walltime(self.inputs.metadata.options.max_wallclock_seconds)
        calcinfo.prepend_text = _TIMER.format(seconds=seconds, file=STOPCAR)
        calcinfo.append_text = _END_TIMER
        return calcinfo


def motion(state: MDState) -> dict[str, Any]:
    """Return positions, cell and what there is of velocities of a state."""
    arrays = {'positions': state.get_array('positions'), 'cell': state.get_array('cell')}
    if state.velocities is not None:
        arrays['velocities'] = state.velocities
        if state.lattice_velocities is not None:
            arrays['lattice_velocities'] = state.lattice_velocities
    return arrays


def slow_force_field_error(potential: PotentialData, settings: dict[str, Any] | None = None) -> str | None:
    """Return why a force field cannot be run, or ``None``."""
    if potential.architecture != 'vasp-mlff':
        return (
            f'the potential is a {potential.architecture} model, which VASP cannot run: give one of architecture '
            'vasp-mlff (a ML_FFN of VASP).'
        )
    if potential.options.get('lfast') is False and not (settings or {}).get('allow_slow_force_field'):
        return (
            'the force field has ML_LFAST = .FALSE., so that every step is as slow as in training: refit it '
            '(ML_MODE = refit), or set `allow_slow_force_field` in the settings.'
        )
    return None


def _validate_not_negative(value: orm.Int | None, _port: Any) -> str | None:
    if value is not None and value.value < 0:
        return f'{value.value} is given: give a whole number of at least 0.'
    return None


def _configurations(value: dict[str, Any]) -> int | str | None:
    """Return how many configurations the ML_AB has, as given or as it says; a text if these differ."""
    given = value.get('n_configurations')
    if value.get('ml_ab') is None:
        return None if given is None else int(given.value)
    with value['ml_ab'].open(mode='rb') as stream:
        head = io.BytesIO(stream.read(1000)).read().decode(errors='replace').splitlines()
    counted = int(head[4]) if len(head) > 4 and head[4].strip().isdigit() else None
    if counted is None:
        return '`ml_ab` does not begin as an ML_AB does: give the ML_ABN of a training run.'
    if given is not None and given.value != counted:
        return f'`n_configurations` is {given.value}, but `ml_ab` has {counted} configurations: leave it out.'
    return counted


def _files_error(value: dict[str, Any], mode: str | None, settings: dict[str, Any]) -> str | None:
    def given(*names: str) -> list[str]:
        return [name for name in names if value.get(name) is not None]

    labels, fields = given('ml_ab', 'ml_ab_folder'), given('force_field', 'force_field_folder')
    if len(labels) > 1 or len(fields) > 1:
        both = labels if len(labels) > 1 else fields
        return f'`{both[0]}` and `{both[1]}` are both given: give one of them.'
    if mode == 'run':
        if labels:
            return f'`{labels[0]}` is given, but ML_MODE = run reads no labels: leave it out.'
        if not fields:
            return 'ML_MODE = run needs `force_field` or `force_field_folder`: give one.'
    elif fields:
        return f'`{fields[0]}` is given, but ML_MODE = {mode} reads no force field: leave it out.'
    if mode in ('select', 'refit', 'refitbayesian') and not labels:
        return f'ML_MODE = {mode} needs `ml_ab` or `ml_ab_folder`: give the labels.'
    if value.get('n_configurations') is not None and not labels:
        return '`n_configurations` is given, but there is no ML_AB to read: leave it out.'
    if 'ml_ab_folder' in labels and value.get('n_configurations') is None:
        return '`n_configurations` is missing: say how many configurations the ML_ABN in `ml_ab_folder` has.'
    code = value.get('code')
    for name in given('ml_ab_folder', 'force_field_folder'):
        if code is not None and code.computer.pk != value[name].computer.pk:
            return f'`{name}` is on {value[name].computer.label}, but the code is on {code.computer.label}.'
    potential = value.get('force_field')
    if potential is None:
        return None
    error = slow_force_field_error(potential, settings)
    if error:
        return f'`force_field`: {error}'
    missing = potential.missing_elements(species_of(value['structure']))
    if missing:
        return f'`force_field` covers {", ".join(potential.elements)} but not {", ".join(missing)} of `structure`.'
    return None


def _state_error(state: MDState | None, structure: orm.StructureData) -> str | None:
    if state is None or np.array_equal(state.get_array('numbers'), structure.get_ase().numbers):
        return None
    return '`state` has other atoms, or another order of them, than `structure`: give a state of this structure.'


def _ml_ab_error(value: dict[str, Any], incar: dict[str, Any], potcars: dict[str, Any]) -> str | None:
    for name in ('ml_ab', 'ml_ab_folder'):
        if value.get(name) is not None and value.get('kpoints') is not None:
            return ml_ab_settings_error(value[name], incar, potcars, value['kpoints'], name)
    return None
