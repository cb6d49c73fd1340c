"""Fits of proper orthogonal descriptor (POD) potentials, by `fitpod` of the stock LAMMPS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job
from ase.data import atomic_masses, atomic_numbers

from aiida_hdiff.calculations.training_sets import training_sets, training_sets_error
from aiida_hdiff.common.calcjob import HdiffProcessSpec, set_default_options
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats import pod, write_extxyz
from aiida_hdiff.formats import pod_evaluation as script
from aiida_hdiff.formats.pod import PodSettings

INPUT_FILE = 'in.fitpod'
LOG_FILE = 'fitpod.log'
TRAINING_FOLDER = 'train'
TRAINING_FILE = f'{TRAINING_FOLDER}/frames.xyz'


class PodTrainCalculation(CalcJob):
    """Fit a POD potential, which LAMMPS runs at milliseconds a step, and evaluate it in LAMMPS on all sets.

    Frames are wrapped into their cells. The fit is a linear least squares problem: it has no seed, and takes seconds.
    The input files are generated from the inputs and pinned by regression tests: whoever changes them raises
    `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input('train', valid_type=LabelledDataset, help='Frames to fit to, close contacts among them.')
        spec.input('valid', valid_type=LabelledDataset, required=False, help='Frames to evaluate on.')
        spec.input('test', valid_type=LabelledDataset, required=False, help='Frames to evaluate on.')
        spec.input(
            'settings',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict({}),
            validator=_validate_settings,
            help='Descriptors and weights, see `aiida_hdiff.formats.pod.PodSettings`.',
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='For the pair style `pod` of LAMMPS.')
        spec.output('results', valid_type=orm.Dict, required=False, help='Errors by set, size and time, warnings.')
        spec.output_namespace(
            'parity',
            valid_type=orm.ArrayData,
            dynamic=True,
            help='Labels and predictions by LAMMPS of each set, as of `hdiff.evaluate`.',
        )
        spec.default_output_node = 'results'
        set_default_options(spec, 'hdiff.pod_train')
        options = spec.inputs['metadata']['options']
        options['input_filename'].default = INPUT_FILE
        options['output_filename'].default = 'lammps.out'
        spec.inputs.validator = cls.validate_inputs

        spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
        spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
        spec.exit_code(402, 'ERROR_INTERRUPTED_EARLY', message='The job was interrupted before the fit was evaluated.')
        spec.exit_code(411, 'ERROR_NOT_A_NUMBER', message='The fit failed: {reason}')
        spec.exit_code(413, 'ERROR_OUT_OF_MEMORY', message='The memory does not suffice: the job was killed for it.')
        spec.exit_code(420, 'ERROR_FIT_FAILED', message='LAMMPS stopped with an error: {reason}')
        spec.exit_code(421, 'ERROR_NO_FITPOD', message='This LAMMPS has no `fitpod` (package ML-POD): {reason}')

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        return pod_training_error(value) or validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings, the training set, and the frames to evaluate."""
        inputs, options = self.inputs, self.inputs.metadata.options
        settings = PodSettings.from_dict(inputs.settings.get_dict())
        elements = pod_elements(inputs)
        train = inputs.train.frames()
        folder.get_subfolder(TRAINING_FOLDER, create=True)
        folder.get_subfolder('frames', create=True)
        with folder.open(TRAINING_FILE, 'w', encoding='utf-8') as handle:
            write_extxyz(pod.wrapped(train), handle)
        written = [TRAINING_FILE]
        masses = [atomic_masses[atomic_numbers[symbol]] for symbol in elements]
        kinds = {atomic_numbers[symbol]: kind for kind, symbol in enumerate(elements, 1)}
        for frame in evaluated_frames(inputs):
            name = script.frame_file(len(written) - 1)
            types = [kinds[number] for number in frame.numbers.tolist()]
            with folder.open(name, 'w') as handle:
                handle.write(script.frame_data(types, masses, frame.cell, frame.positions))
            written.append(name)
        texts = {
            script.PARAM_FILE: pod.param_file(settings, elements),
            script.DATA_FILE: pod.data_file(settings, TRAINING_FOLDER),
            options.input_filename: script.fit_script(elements, len(written) - 1),
        }
        for name, text in texts.items():
            with folder.open(name, 'w') as handle:
                handle.write(text)

        codeinfo = CodeInfo()
        codeinfo.code_uuid = inputs.code.uuid
        codeinfo.cmdline_params = ['-in', options.input_filename, '-log', LOG_FILE, '-screen', 'none']
        codeinfo.stdout_name = options.output_filename
        codeinfo.join_files = True
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.provenance_exclude_list = written
        calcinfo.retrieve_list = [options.output_filename, LOG_FILE, pod.ERRORS_FILE]
        calcinfo.retrieve_temporary_list = [
            script.PARAM_FILE,
            pod.COEFFICIENTS_FILE,
            script.EVALUATION_LOG,
            script.ENERGIES_FILE,
            script.FORCES_FILE,
        ]
        return calcinfo


def pod_elements(inputs: Mapping[str, Any]) -> list[str]:
    """Return the elements of the potential, in the order of its species."""
    chosen = PodSettings.from_dict(inputs['settings'].get_dict()).elements
    return list(inputs['train'].elements if chosen is None else chosen)


def evaluated_frames(inputs: Mapping[str, Any]) -> list[Any]:
    """Return the frames of all sets, set after set."""
    return [frame for dataset in training_sets(inputs).values() for frame in dataset.frames()]


def pod_training_error(value: Mapping[str, Any]) -> str | None:
    """Return why a POD potential cannot be fitted with these inputs, or ``None``."""
    if 'train' not in value or 'settings' not in value:
        return None
    sets, elements, present = training_sets(value), pod_elements(value), value['train'].elements
    error = training_sets_error(sets)
    if error:
        return error
    lacking = [symbol for symbol in elements if symbol not in present]
    if lacking:
        return (
            f'`settings.elements` has {", ".join(lacking)}, of which `train` has no atom: give frames with it, or '
            'leave it out.'
        )
    missing = [symbol for symbol in present if symbol not in elements]
    if missing:
        return f'`train` has {", ".join(missing)}, which `settings.elements` has not: add it.'
    return next((error for error in (_cells_error(name, one) for name, one in sets.items()) if error), None)


def _cells_error(name: str, dataset: LabelledDataset) -> str | None:
    frames = dataset.frames()
    if not frames.pbc.all():
        index = int(frames.pbc.all(axis=1).argmin())
        return (
            f'frame {index} of `{name}` is not periodic in all three directions, which `fitpod` needs: leave it out, '
            'or put it into a periodic cell.'
        )
    left = np.linalg.det(frames.cells) <= 0
    if left.any():
        return f'the cell of frame {int(left.argmax())} of `{name}` is left-handed or flat: swap two of its vectors.'
    return None


def _validate_settings(value: orm.Dict | None, _port: Any) -> str | None:
    if value is None:
        return None
    try:
        PodSettings.from_dict(value.get_dict())
    except (ValueError, TypeError) as error:
        return str(error)
    return None
