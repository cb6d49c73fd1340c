"""Energies, forces and stresses of configurations by any ASE calculator, by `hdiff-engine label`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.engine_job import (
    define_engine_options,
    engine_calcinfo,
    engine_limits,
    write_arrays,
    write_json,
)
from aiida_hdiff.calculations.model_safety import require_trust
from aiida_hdiff.common.calcjob import HdiffProcessSpec
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import calculator_error, trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.label_settings import WITH_POTENTIAL, LabelSettings, label_settings_error
from aiida_hdiff.formats.configurations import ARRAYS, structure_keys

INPUT_FILE = 'label.json'
FRAMES_FILE = 'frames.npz'
LABELS_FILE = 'labels.jsonl'


class LabelCalculation(CalcJob):
    """Label configurations with a calculator of ASE: GPAW, or a machine-learned potential.

    Each frame is on the disk when it is done; a job that was stopped leaves a data set from which another goes on.
    The input file is generated from the inputs and pinned by regression tests: whoever changes it raises
    `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 2

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input('frames', valid_type=ConfigurationsData, help='Configurations to label.')
        spec.input(
            'settings',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=_validate_settings,
            help='Calculator and rules, see `aiida_hdiff.engine.label_settings.LabelSettings`.',
        )
        spec.input(
            'potential',
            valid_type=PotentialData,
            required=False,
            help='Model of the calculators `chgnet`, `eam`, `lammps` and `mace`.',
        )
        spec.input(
            'previous', valid_type=LabelledDataset, required=False, help='Labels of some of the frames, to go on from.'
        )
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='The frames that have labels.')
        spec.output('results', valid_type=orm.Dict, help='How the job went: counts, failures, versions, speed.')
        spec.default_output_node = 'results'
        define_engine_options(spec, 'hdiff.label')
        spec.inputs.validator = cls.validate_inputs

        spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
        spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
        spec.exit_code(
            400, 'ERROR_OUT_OF_WALLTIME', message='The wall time ended with {done} of {total} frames labelled.'
        )
        spec.exit_code(
            401, 'ERROR_INTERRUPTED', message='The job was interrupted with {done} of {total} frames labelled.'
        )
        spec.exit_code(
            402, 'ERROR_INTERRUPTED_EARLY', message='The job was interrupted before its first frame was done.'
        )
        spec.exit_code(
            413, 'ERROR_ALL_FRAMES_FAILED', message='No frame could be labelled; the first failed by {reason}'
        )
        spec.exit_code(414, 'ERROR_TOO_MANY_FAILURES', message='The job gave up: {reason}')
        spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='The engine stopped with an error: {reason}')
        spec.exit_code(422, 'ERROR_CALCULATOR_REFUSED', message='The calculator cannot be made: {reason}')
        spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='A package is missing where the job ran: {reason}')
        spec.exit_code(424, 'ERROR_SETTINGS_REFUSED', message='The engine refused its input: {reason}')
        spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='The model file could run code: {reason}')

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        if 'settings' in value and 'frames' in value:
            settings = LabelSettings.from_dict(value['settings'].get_dict())
            error = potential_error(settings, value.get('potential'), value['frames'].elements)
            error = error or calculator_error(settings.calculator)
            error = error or trust_error(value.get('potential'), (value.get('metadata') or {}).get('options'))
            error = error or _previous_error(settings, value)
            if error:
                return error
        return validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the configurations."""
        options, potential = self.inputs.metadata.options, self.inputs.get('potential', None)
        frames, given = self.inputs.frames.frames(), self.inputs.settings.get_dict()
        settings = {
            'settings': {**LabelSettings.from_dict(given).as_dict(), **self._pair_style()},
            'reference': label_reference(self.inputs),
            'frames': FRAMES_FILE,
            'skip': sorted(labelled_before(self.inputs)),
            'model': None if potential is None or not potential.file_names else potential.file_names[0],
            **engine_limits(options),
        }
        if require_trust(potential, options):
            settings['trusted'] = True
        write_json(folder, INPUT_FILE, settings)
        write_arrays(folder, FRAMES_FILE, {name: getattr(frames, name) for name in ARRAYS})
        return engine_calcinfo(
            self.inputs,
            ['label', INPUT_FILE],
            copies=[(potential.uuid, name, name) for name in potential.file_names] if potential else [],
            exclude=[FRAMES_FILE],
            temporary=[LABELS_FILE],
        )

    def _pair_style(self) -> dict[str, Any]:
        """Return the parameters of the calculator `lammps`, in the order of the elements of the frames."""
        potential, elements = self.inputs.get('potential', None), self.inputs.frames.elements
        if potential is None or potential.architecture != 'lammps':
            return {}
        types = potential.lammps_types(elements)
        return {'parameters': {'commands': potential.pair_commands(types), 'elements': types}}


def label_reference(inputs: Any) -> str:
    """Return the name of the reference level of a job."""
    potential = inputs['potential'] if 'potential' in inputs else None
    settings = LabelSettings.from_dict(inputs['settings'].get_dict())
    return settings.reference(model_digest(potential))


def model_digest(potential: PotentialData | None) -> str | None:
    """Return what tells a model from others: its files, and of a pair style of LAMMPS its arguments."""
    if potential is None or potential.architecture != 'lammps':
        return None if potential is None else potential.sha256
    content = [potential.sha256, *potential.pair_commands(potential.elements)]
    return hashlib.sha256('\n'.join(content).encode()).hexdigest()


def labelled_before(inputs: Any) -> dict[int, int]:
    """Return the indices of the frames that the previous data set has, with their indices in it."""
    if 'previous' not in inputs:
        return {}
    places = {key: index for index, key in enumerate(structure_keys(inputs['previous'].frames()))}
    keys = structure_keys(inputs['frames'].frames())
    return {index: places[key] for index, key in enumerate(keys) if key in places}


def _validate_settings(value: orm.Dict | None, _port: Any) -> str | None:
    return label_settings_error(value.get_dict()) if value else None


def potential_error(settings: LabelSettings, potential: PotentialData | None, elements: Sequence[str]) -> str | None:
    """Return why a calculator cannot label atoms of these elements with a model, or ``None``."""
    name = settings.calculator
    if potential is None:
        needed = name in WITH_POTENTIAL and name != 'chgnet'
        return f'`potential` is missing: give the model of the calculator `{name}`.' if needed else None
    if name not in WITH_POTENTIAL:
        return f'`potential` is given, but the calculator {name!r} reads no model file: leave it out.'
    if potential.architecture != name:
        return f'`potential` is of the architecture {potential.architecture!r}, not {name!r} as `calculator` says.'
    if name == 'lammps' and settings.parameters:
        return '`parameters` of the calculator `lammps` are those of `potential`: leave them out.'
    missing = potential.missing_elements(elements)
    if missing:
        return f'`potential` does not cover {", ".join(missing)} of `frames`: give one of all their elements.'
    if 'model_name' in settings.parameters:
        return '`parameters.model_name` and `potential` are both given: leave one of them out.'
    return None


def _previous_error(settings: LabelSettings, value: dict[str, Any]) -> str | None:
    if 'previous' not in value:
        return None
    reference, found = label_reference(value), value['previous'].references
    if found != [reference]:
        return (
            f'`previous` was labelled with {", ".join(found) or "unknown settings"}, but these settings are '
            f'{reference}: labels of different settings cannot be mixed; leave it out or give its settings.'
        )
    same = len(labelled_before(value))
    if same < value['previous'].n_frames:
        return (
            f'`previous` has {value["previous"].n_frames} frames, but only {same} of them are in `frames`: give the '
            'configurations that it was made from.'
        )
    if same == value['frames'].n_frames:
        return '`previous` has all of `frames`: there is nothing left to label.'
    return None
