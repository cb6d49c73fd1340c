"""Errors of a potential on labelled configurations, by `hdiff-engine evaluate`."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.analysis.error_summary import N_WORST
from aiida_hdiff.calculations.engine_job import (
    define_engine_options,
    engine_calcinfo,
    engine_limits,
    write_arrays,
    write_json,
)
from aiida_hdiff.calculations.model_safety import require_trust
from aiida_hdiff.common.calcjob import HdiffProcessSpec
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats.configurations import ARRAYS

INPUT_FILE = 'evaluate.json'
FRAMES_FILE = 'frames.npz'
PREDICTIONS_FILE = 'labels.jsonl'
DEFAULTS = {'stress': True, 'n_worst': N_WORST, 'max_failures': 0}
"""Settings: predict the stress of sets that have it labelled; worst frames to list; frames that may fail."""


class EvaluateCalculation(CalcJob):
    """Compare a potential with the labels of a set: MACE, CHGNet, EMT, Lennard-Jones, EAM, or a LAMMPS pair style.

    A force field of VASP is compared with its training by `hdiff.vasp_mlff`, as VASP itself writes it.
    The input file is generated from the inputs and pinned by regression tests: whoever changes it raises
    `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input('dataset', valid_type=LabelledDataset, help='Labelled configurations.')
        spec.input('potential', valid_type=PotentialData, help='What predicts them.')
        spec.input(
            'settings',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=_validate_settings,
            required=False,
            help='`stress`, `n_worst` and `max_failures`, see `DEFAULTS`.',
        )
        spec.output('results', valid_type=orm.Dict, help='Errors, as a whole and by kind; worst frames; versions.')
        spec.output(
            'parity',
            valid_type=orm.ArrayData,
            required=False,
            help='Labels and predictions: `energies` (n, 2) eV, `forces` (atoms, 3, 2) eV/Å, `stresses` (n, 6, 2) '
            'eV/Å³, of the frames `frames`, whose atoms are `numbers` and `offsets`; errors of each frame.',
        )
        spec.default_output_node = 'results'
        define_engine_options(spec, 'hdiff.evaluate')
        spec.inputs.validator = cls.validate_inputs

        spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
        spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
        spec.exit_code(
            400, 'ERROR_OUT_OF_WALLTIME', message='The wall time ended with {done} of {total} frames predicted.'
        )
        spec.exit_code(
            401, 'ERROR_INTERRUPTED', message='The job was interrupted with {done} of {total} frames predicted.'
        )
        spec.exit_code(
            414,
            'ERROR_FRAMES_FAILED',
            message='The potential fails for frames, the first by {reason}; {done} are done.',
        )
        spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='The engine stopped with an error: {reason}')
        spec.exit_code(422, 'ERROR_POTENTIAL_REFUSED', message='The potential cannot be loaded: {reason}')
        spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='A package is missing where the job ran: {reason}')
        spec.exit_code(424, 'ERROR_SETTINGS_REFUSED', message='The engine refused its input: {reason}')
        spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='The model file could run code: {reason}')

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        if 'dataset' in value and 'potential' in value:
            error = evaluation_error(value['potential'], value['dataset'])
            error = error or trust_error(value['potential'], (value.get('metadata') or {}).get('options'))
            if error:
                return error
        return validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the configurations."""
        options, potential, dataset = self.inputs.metadata.options, self.inputs.potential, self.inputs.dataset
        chosen = evaluation_settings(self.inputs)
        settings = {
            'potential': self._potential(require_trust(potential, options)),
            'reference': prediction_reference(potential),
            'frames': FRAMES_FILE,
            'stress': chosen['stress'] and dataset.base.attributes.get('n_with_stress') > 0,
            'max_failures': chosen['max_failures'],
            **engine_limits(options),
        }
        write_json(folder, INPUT_FILE, settings)
        frames = dataset.frames()
        write_arrays(folder, FRAMES_FILE, {name: getattr(frames, name) for name in ARRAYS})
        return engine_calcinfo(
            self.inputs,
            ['evaluate', INPUT_FILE],
            copies=[(potential.uuid, name, name) for name in potential.file_names],
            exclude=[FRAMES_FILE],
            temporary=[PREDICTIONS_FILE],
        )

    def _potential(self, trusted: bool) -> dict[str, Any]:
        potential, elements = self.inputs.potential, self.inputs.dataset.elements
        if potential.architecture == 'lammps':
            types = potential.lammps_types(elements)
            options: dict[str, Any] = {'commands': potential.pair_commands(types), 'elements': types}
        else:
            options = potential.options
        files = potential.file_names
        values = {'architecture': potential.architecture, 'file': files[0] if files else None, 'options': options}
        return {**values, 'trusted': True} if trusted else values


def evaluation_settings(inputs: Any) -> dict[str, Any]:
    """Return the settings of a job, with the defaults."""
    return {**DEFAULTS, **(inputs['settings'].get_dict() if 'settings' in inputs else {})}


def prediction_reference(potential: PotentialData) -> str:
    """Return the name of a potential that its predictions carry."""
    return f'{potential.architecture}-{potential.sha256[:16]}'


def _validate_settings(value: orm.Dict | None, _port: Any) -> str | None:
    if value is None:
        return None
    for key, given in value.get_dict().items():
        if key not in DEFAULTS:
            return f'unknown setting `{key}`: known are {", ".join(DEFAULTS)}.'
        if key == 'stress':
            if not isinstance(given, bool):
                return f'`stress` is {given!r}: give true or false.'
        elif isinstance(given, bool) or not isinstance(given, int) or given < 0:
            return f'`{key}` is {given!r}: give a whole number of at least 0.'
    return None


def evaluation_error(potential: PotentialData, dataset: LabelledDataset) -> str | None:
    """Return why a potential cannot be compared with the labels of a set, or ``None``."""
    if potential.architecture == 'vasp-mlff':
        return (
            '`potential` is a force field of VASP, which only VASP evaluates: its errors on its training set are the '
            'output `regression` of `hdiff.vasp_mlff`.'
        )
    missing = potential.missing_elements(dataset.elements)
    if missing:
        return f'`potential` does not cover {", ".join(missing)} of `dataset`: give one of all its elements.'
    if len(dataset.references) > 1:
        return (
            f'`dataset` has labels of {len(dataset.references)} levels ({", ".join(dataset.references)}), whose '
            'energies cannot be compared with one potential: choose one with `filter_dataset`.'
        )
    return None
