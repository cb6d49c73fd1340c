"""Fine-tuning of CHGNet, by `hdiff-engine train-chgnet`."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.md_job import seconds_before_walltime
from aiida_hdiff.calculations.model_safety import require_trust
from aiida_hdiff.common.calcjob import HdiffProcessSpec, set_default_options
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.train_chgnet_input import ARRAYS, MAGMOMS, SPLITS
from aiida_hdiff.engine.train_chgnet_settings import ChgnetTrainingSettings, chgnet_settings_error
from aiida_hdiff.formats.configurations import structure_keys

INPUT_FILE = 'train.json'
STATUS_FILE = 'status.json'
PROGRESS_FILE = 'progress.json'
TRAINING_FILE = 'training.json'
ERRORS_FILE = 'errors.json'
MODEL_FILE = 'model.pth.tar'
CHECKPOINT_FILE = 'checkpoint.pt'
CONTINUED_FILE = 'continued.pt'


class ChgnetTrainCalculation(CalcJob):
    """Fine-tune CHGNet with its own `Trainer` on labelled sets that are split already.

    A job that is stopped leaves a checkpoint; a job with it goes on and ends as one that was never stopped.
    The input file is generated from the inputs and pinned by regression tests: whoever changes it raises
    `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        define_chgnet_training(spec)
        spec.output(
            'checkpoint',
            valid_type=orm.SinglefileData,
            required=False,
            help='To go on from, of a job that was stopped.',
        )
        set_default_options(spec, 'hdiff.chgnet_train')
        spec.inputs['metadata']['options']['output_filename'].default = 'engine.out'
        spec.inputs.validator = cls.validate_inputs

        spec.exit_code(300, 'ERROR_OUTPUT_MISSING', message='The job left no output: {reason}')
        spec.exit_code(301, 'ERROR_OUTPUT_UNREADABLE', message='The output cannot be read: {reason}')
        spec.exit_code(
            400, 'ERROR_OUT_OF_WALLTIME', message='The wall time ended after epoch {epoch} of {epochs}; it can go on.'
        )
        spec.exit_code(401, 'ERROR_INTERRUPTED', message='The job was interrupted after epoch {epoch} of {epochs}.')
        spec.exit_code(402, 'ERROR_INTERRUPTED_EARLY', message='The job was interrupted before its first checkpoint.')
        define_failures(spec)

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        return training_error(value) or validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the sets."""
        options, foundation = self.inputs.metadata.options, self.inputs.foundation
        sets = {name: f'{name}.npz' for name in SPLITS if name in self.inputs}
        settings: dict[str, Any] = {
            'settings': training_settings(self.inputs).as_dict(),
            'model': foundation.file_names[0],
            'options': {key: one for key, one in foundation.options.items() if key == 'device'},
            'sets': sets,
            'checkpoint': CONTINUED_FILE if 'checkpoint' in self.inputs else None,
            'threads': int(options.environment_variables.get('OMP_NUM_THREADS', 1)),
            'max_seconds': seconds_before_walltime(options.max_wallclock_seconds),
        }
        if require_trust(foundation, options):
            settings['trusted'] = True
        with folder.open(INPUT_FILE, 'w') as handle:
            json.dump(settings, handle, indent=1, sort_keys=True)
        for name, file in sets.items():
            with folder.open(file, 'wb') as handle:
                stream = io.BytesIO()
                np.savez(stream, **self._arrays(name))
                handle.write(stream.getvalue())

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = ['train-chgnet', INPUT_FILE]
        codeinfo.stdout_name = options.output_filename
        codeinfo.join_files = True
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.local_copy_list = [(foundation.uuid, name, name) for name in foundation.file_names]
        if 'checkpoint' in self.inputs:
            checkpoint = self.inputs.checkpoint
            calcinfo.local_copy_list.append((checkpoint.uuid, checkpoint.filename, CONTINUED_FILE))
        calcinfo.provenance_exclude_list = list(sets.values())
        calcinfo.retrieve_list = [options.output_filename, STATUS_FILE, PROGRESS_FILE]
        calcinfo.retrieve_temporary_list = [TRAINING_FILE, ERRORS_FILE, MODEL_FILE, CHECKPOINT_FILE]
        return calcinfo

    def _arrays(self, name: str) -> dict[str, Any]:
        frames = self.inputs[name].frames()
        arrays = {key: getattr(frames, key) for key in ARRAYS}
        magmoms = self.inputs.get('magmoms', None)
        if magmoms is not None and name in magmoms.get_arraynames():
            arrays[MAGMOMS] = magmoms.get_array(name)
        return arrays


def define_chgnet_training(spec: Any) -> None:
    """Declare the inputs and outputs that the job and its restart workchain share."""
    spec.input('foundation', valid_type=PotentialData, help='CHGNet to start from.')
    spec.input('train', valid_type=LabelledDataset, help='Training set.')
    spec.input('valid', valid_type=LabelledDataset, help='Validation set, which chooses the best epoch.')
    spec.input('test', valid_type=LabelledDataset, required=False, help='Test set, which chooses nothing.')
    spec.input(
        'magmoms',
        valid_type=orm.ArrayData,
        required=False,
        help='Magnetic moments of all atoms in Bohr magnetons, NaN where unknown: arrays `train` and `valid`.',
    )
    spec.input(
        'settings',
        valid_type=orm.Dict,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Dict({}),
        validator=_validate_settings,
        help='See `aiida_hdiff.engine.train_chgnet_settings.ChgnetTrainingSettings`.',
    )
    spec.input(
        'seed',
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        validator=_validate_seed,
        help='Of the order of the frames in each epoch, and of torch.',
    )
    spec.input(
        'checkpoint', valid_type=orm.SinglefileData, required=False, help='Of this same training, to go on from.'
    )
    spec.output('potential', valid_type=PotentialData, required=False, help='The model of the best epoch.')
    spec.output('curves', valid_type=orm.ArrayData, required=False, help='Errors by epoch; the names tell units.')
    spec.output('results', valid_type=orm.Dict, help='Epochs, errors of each set before and after, versions.')
    spec.default_output_node = 'results'


def define_failures(spec: Any) -> None:
    """Declare the exit codes of trainings that have failed for good."""
    spec.exit_code(411, 'ERROR_NOT_A_NUMBER', message='The loss is not a number: {reason}')
    spec.exit_code(412, 'ERROR_DIVERGED', message='The training diverged: {reason}')
    spec.exit_code(413, 'ERROR_OUT_OF_MEMORY', message='The memory does not suffice: {reason}')
    spec.exit_code(414, 'ERROR_ENERGY_SHIFT', message='The energies have different zeros: {reason}')
    spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='The engine stopped with an error: {reason}')
    spec.exit_code(422, 'ERROR_FOUNDATION_REFUSED', message='The foundation cannot be loaded: {reason}')
    spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='A package is missing where the job ran: {reason}')
    spec.exit_code(424, 'ERROR_INPUT_REFUSED', message='The engine refused its settings or a data set: {reason}')
    spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='The model file could run code: {reason}')


def _validate_settings(value: orm.Dict | None, _port: Any) -> str | None:
    if value and 'seed' in value.get_dict():
        return '`settings` has `seed`, which is an input of its own: give it there.'
    return chgnet_settings_error(value.get_dict()) if value else None


def _validate_seed(value: orm.Int | None, _port: Any) -> str | None:
    return chgnet_settings_error({'seed': value.value}) if value else None


def training_settings(inputs: Any) -> ChgnetTrainingSettings:
    """Return the settings of a job, with its seed."""
    return ChgnetTrainingSettings.from_dict({**inputs['settings'].get_dict(), 'seed': inputs['seed'].value})


def training_error(value: dict[str, Any]) -> str | None:
    """Return why CHGNet cannot be trained with these inputs, or ``None``."""
    if any(name not in value for name in ('foundation', 'train', 'valid', 'settings', 'seed')):
        return None
    sets = {name: value[name] for name in SPLITS if name in value}
    options = (value.get('metadata') or {}).get('options') or value.get('options')
    return (
        foundation_error(value['foundation'], sets)
        or sets_error(sets, training_settings(value))
        or magmoms_error(value.get('magmoms'), sets)
        or trust_error(value['foundation'], options)
    )


def foundation_error(foundation: PotentialData, sets: dict[str, LabelledDataset]) -> str | None:
    """Return why a potential cannot be the foundation for some sets, or ``None``."""
    if foundation.architecture != 'chgnet':
        return f'`foundation` is of the architecture {foundation.architecture!r}: give one of CHGNet.'
    if not foundation.file_names:
        return '`foundation` has no file: build it with `PotentialData.from_chgnet()`.'
    for name, dataset in sets.items():
        missing = foundation.missing_elements(dataset.elements)
        if missing:
            return f'`foundation` does not cover {", ".join(missing)} of `{name}`: give one of all its elements.'
    return None


def sets_error(sets: dict[str, LabelledDataset], settings: ChgnetTrainingSettings) -> str | None:
    """Return why sets cannot be trained on, or ``None``."""
    if sets['train'].n_frames < 2:
        return '`train` has a single frame, from which nothing is learnt: give at least two.'
    references = sorted({one for dataset in sets.values() for one in dataset.references})
    if len(references) > 1:
        return (
            f'the sets have labels of {len(references)} levels ({", ".join(references)}), which cannot be mixed: '
            'choose one with `filter_dataset`.'
        )
    for name, dataset in sets.items():
        unknown = sorted(set(dataset.elements) - set(sets['train'].elements))
        if unknown:
            return f'`{name}` has {", ".join(unknown)}, which `train` lacks: split the set by composition.'
        if dataset.base.attributes.get('n_not_converged'):
            return f'`{name}` has frames whose electronic structure did not converge: leave them out.'
        if not np.any(dataset.frames().forces):
            return f'all forces of `{name}` are zero: it has no forces to learn; label it again.'
        if settings.stress_weight > 0 and name != 'test' and not dataset.base.attributes.get('has_stress'):
            return f'`{name}` has frames without stress: label it, or set `stress_weight` to 0.'
    keys = {name: set(structure_keys(dataset.frames())) for name, dataset in sets.items()}
    for first, second in (('train', 'valid'), ('train', 'test'), ('valid', 'test')):
        shared = len(keys[first] & keys[second]) if second in keys else 0
        if shared:
            return f'`{first}` and `{second}` share {shared} configurations: split the set with `split_dataset`.'
    return None


def magmoms_error(magmoms: orm.ArrayData | None, sets: dict[str, LabelledDataset]) -> str | None:
    """Return why magnetic moments do not fit the sets, or ``None``."""
    if magmoms is None:
        return None
    for name in magmoms.get_arraynames():
        if name not in sets:
            return f'`magmoms` has an array {name!r}: known are {", ".join(sets)}.'
        n_total, shape = len(sets[name].frames().numbers), magmoms.get_array(name).shape
        if shape != (n_total,):
            return f'`magmoms` of `{name}` have shape {shape}, not ({n_total},) as its atoms need.'
    return None if 'train' in magmoms.get_arraynames() else '`magmoms` lacks the array `train`.'
