"""Fine-tuning of CHGNet, by `hdiff-engine train-chgnet`."""

from __future__ import annotations

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
from aiida_hdiff.calculations.training_sets import (
    define_failures,
    define_interruptions,
    define_training,
    foundation_error,
    training_sets,
    training_sets_error,
)
from aiida_hdiff.common.calcjob import HdiffProcessSpec
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.train_chgnet_input import ARRAYS, MAGMOMS
from aiida_hdiff.engine.train_chgnet_settings import ChgnetTrainingSettings, chgnet_settings_error

INPUT_FILE = 'train.json'
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
        define_engine_options(spec, 'hdiff.chgnet_train')
        spec.inputs.validator = cls.validate_inputs
        define_interruptions(spec)
        define_failures(spec)

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        return training_error(value) or validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the sets."""
        options, foundation = self.inputs.metadata.options, self.inputs.foundation
        sets = {name: f'{name}.npz' for name in training_sets(self.inputs)}
        settings: dict[str, Any] = {
            'settings': training_settings(self.inputs).as_dict(),
            'model': foundation.file_names[0],
            'options': {key: one for key, one in foundation.options.items() if key == 'device'},
            'sets': sets,
            'checkpoint': CONTINUED_FILE if 'checkpoint' in self.inputs else None,
            **engine_limits(options),
        }
        if require_trust(foundation, options):
            settings['trusted'] = True
        write_json(folder, INPUT_FILE, settings)
        for name, file in sets.items():
            write_arrays(folder, file, self._arrays(name))
        copies = [(foundation.uuid, name, name) for name in foundation.file_names]
        if 'checkpoint' in self.inputs:
            checkpoint = self.inputs.checkpoint
            copies.append((checkpoint.uuid, checkpoint.filename, CONTINUED_FILE))
        return engine_calcinfo(
            self.inputs,
            ['train-chgnet', INPUT_FILE],
            copies=copies,
            exclude=list(sets.values()),
            temporary=[TRAINING_FILE, ERRORS_FILE, MODEL_FILE, CHECKPOINT_FILE],
        )

    def _arrays(self, name: str) -> dict[str, Any]:
        frames = self.inputs[name].frames()
        arrays = {key: getattr(frames, key) for key in ARRAYS}
        magmoms = self.inputs.get('magmoms', None)
        if magmoms is not None and name in magmoms.get_arraynames():
            arrays[MAGMOMS] = magmoms.get_array(name)
        return arrays


def define_chgnet_training(spec: Any) -> None:
    """Declare the inputs and outputs that the job and its restart workchain share."""
    define_training(spec)
    spec.input('foundation', valid_type=PotentialData, help='CHGNet to start from.')
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
    sets, foundation = training_sets(value), value['foundation']
    return (
        foundation_error(foundation, 'chgnet', '`PotentialData.from_chgnet()`', sets)
        or training_sets_error(sets)
        or _stress_error(sets, training_settings(value))
        or magmoms_error(value.get('magmoms'), sets)
        or trust_error(foundation, (value.get('metadata') or {}).get('options') or value.get('options'))
    )


def _stress_error(sets: dict[str, LabelledDataset], settings: ChgnetTrainingSettings) -> str | None:
    for name in ('train', 'valid'):
        if settings.stress_weight > 0 and not sets[name].base.attributes.get('has_stress'):
            return f'`{name}` has frames without stress: label it, or set `stress_weight` to 0.'
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
