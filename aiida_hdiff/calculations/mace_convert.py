"""Conversion of a MACE model for the compiled kernels of Symmetrix-XL, by `hdiff-engine convert-mace`."""

from __future__ import annotations

from typing import Any

import numpy as np
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
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData

INPUT_FILE = 'convert.json'
START_FILE = 'start.npz'
CONVERTED_FILE = 'converted.json'
COMPARISON_FILE = 'comparison.json'
DTYPES = ('float64', 'float32')


class MaceConvertCalculation(CalcJob):
    """Convert a MACE model once, and compare the result with the model on three structures.

    The output is the same potential with the converted model beside the model: `hdiff.md` runs it by the faster
    kernels, everything else by mace-torch. The kernels that the comparison compiles are kept in a folder of the user
    where it runs.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input('potential', valid_type=PotentialData, help='A MACE model.')
        spec.input('structure', valid_type=orm.StructureData, help='What it is to run, or a small cell of the like.')
        spec.input(
            'dtype',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Str('float64'),
            validator=_validate_dtype,
            help='Precision of the runs: `float64`, or `float32`, which is faster and conserves the energy less well.',
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The model in both forms.')
        spec.output('results', valid_type=orm.Dict, help='Differences, CPU seconds, kernels, versions.')
        spec.default_output_node = 'results'
        define_engine_options(spec, 'hdiff.mace_convert')
        spec.inputs.validator = cls.validate_inputs

        spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
        spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
        spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='The engine stopped with an error: {reason}')
        spec.exit_code(422, 'ERROR_POTENTIAL_REFUSED', message='The potential cannot be loaded: {reason}')
        spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='A package is missing where the job ran: {reason}')
        spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='The model file could run code: {reason}')
        spec.exit_code(427, 'ERROR_NOT_CONVERTIBLE', message='The model cannot be converted: {reason}')
        spec.exit_code(428, 'ERROR_CONVERSION_DIFFERS', message='The converted model is not used: {reason}')

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        if 'potential' in value and 'structure' in value:
            error = _conversion_error(value['potential'], value['structure'])
            error = error or trust_error(value['potential'], (value.get('metadata') or {}).get('options'))
            if error:
                return error
        return validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the structure."""
        options, potential = self.inputs.metadata.options, self.inputs.potential
        name = potential.file_names[0]
        settings: dict[str, Any] = {
            'potential': {
                'architecture': 'mace',
                'file': name,
                'options': {**potential.options, 'dtype': self.inputs.dtype.value},
            },
            'start': START_FILE,
            **engine_limits(options),
        }
        if require_trust(potential, options):
            settings['potential']['trusted'] = True
        write_json(folder, INPUT_FILE, settings)
        atoms = self.inputs.structure.get_ase()
        arrays = {'numbers': atoms.numbers, 'positions': atoms.positions, 'cell': np.array(atoms.cell)}
        write_arrays(folder, START_FILE, {**arrays, 'pbc': atoms.pbc})
        return engine_calcinfo(
            self.inputs,
            ['convert-mace', INPUT_FILE],
            copies=[(potential.uuid, name, name)],
            exclude=[START_FILE],
            retrieve=[COMPARISON_FILE],
            temporary=[CONVERTED_FILE],
        )


def _validate_dtype(value: orm.Str | None, _port: Any) -> str | None:
    if value is not None and value.value not in DTYPES:
        return f'`dtype` is {value.value!r}: choose one of {", ".join(DTYPES)}.'
    return None


def _conversion_error(potential: PotentialData, structure: orm.StructureData) -> str | None:
    if potential.architecture != 'mace':
        return f'`potential` is of architecture {potential.architecture}: only MACE models are converted.'
    if potential.converted_file is not None:
        return '`potential` has been converted already: use it as it is.'
    missing = potential.missing_elements(structure.get_symbols_set())
    if missing:
        return f'`potential` does not cover {", ".join(missing)} of `structure`: give a structure of its elements.'
    return None
