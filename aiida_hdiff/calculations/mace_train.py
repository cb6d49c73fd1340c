"""Training and fine-tuning of MACE models, by mace's `mace_run_train` under `hdiff-engine train-mace`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_hdiff.calculations.engine_job import define_engine_options, engine_calcinfo, engine_limits, write_json
from aiida_hdiff.calculations.model_safety import require_trust
from aiida_hdiff.calculations.training_sets import (
    define_failures,
    define_interruptions,
    define_training,
    forces_error,
    foundation_error,
    training_sets,
    training_sets_error,
)
from aiida_hdiff.common.calcjob import HdiffProcessSpec
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine import mace_config as mace
from aiida_hdiff.engine.mace_config import TrainFacts, TrainSettings
from aiida_hdiff.engine.mace_options import mace_options
from aiida_hdiff.engine.mace_state import last_resume_file, resume_epoch
from aiida_hdiff.formats import write_extxyz

INPUT_FILE = 'train.json'
SUMMARY_FILE = 'training.json'
FOUNDATION_FILE = 'foundation.model'
HISTORY_FILE = 'history.jsonl'
CHECKPOINTS = 'checkpoints'
MIN_REPLAY_FRAMES = 10
DATASETS = ('train', 'valid', 'test', 'replay')


class MaceTrainCalculation(CalcJob):
    """Train a MACE model from scratch, or fine-tune one: naively, or with replay of frames it was trained on.

    The inputs decide: without `foundation` from scratch, with it fine-tuning, with `replay` too multihead replay;
    `freeze` and `lora` in `config` are those of mace. A job that was stopped gives a `checkpoint`, from which another
    goes on with the next epoch. The files are generated from the inputs and pinned by regression tests: whoever changes
    them raises `CACHE_VERSION`.
    """

    _spec_class = HdiffProcessSpec
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports."""
        super().define(spec)
        define_mace_training(spec)
        spec.output('checkpoint', valid_type=orm.FolderData, required=False, help='From which a stopped job goes on.')
        define_engine_options(spec, 'hdiff.mace_train')
        spec.inputs.validator = cls.validate_inputs
        define_interruptions(spec)
        define_failures(spec)

    @classmethod
    def validate_inputs(cls, value: dict[str, Any], port: Any) -> str | None:
        """Return what is wrong with the inputs as a whole, or ``None``."""
        return training_error(value) or validate_calc_job(value, port)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings and the data sets."""
        options, inputs = self.inputs.metadata.options, self.inputs
        foundation = inputs.foundation if 'foundation' in inputs else None
        settings, config = TrainSettings.from_dict(inputs.settings.get_dict()), inputs.config.get_dict()
        full = mace.job_config(
            {name: value for name, value in config.items() if name != 'patience'},
            settings,
            training_facts(inputs),
            seed=inputs.seed.value,
            foundation=None if foundation is None else FOUNDATION_FILE,
            with_test='test' in inputs,
        )
        checkpoint = inputs.checkpoint if 'checkpoint' in inputs else None
        resume = None if checkpoint is None else last_resume_file(checkpoint.base.repository.list_object_names())
        values = {
            'config': full,
            'foundation': full.get('foundation_model'),
            'resume': resume,
            'max_energy_shift_eV_per_atom': settings.max_energy_shift_eV_per_atom,
            'divergence_factor': settings.divergence_factor,
            'patience': config.get('patience'),
            **engine_limits(options),
        }
        if require_trust(foundation, options):
            values['trusted'] = True
        write_json(folder, INPUT_FILE, values)
        names = [name for name in DATASETS if name in inputs]
        for name in names:
            with folder.open(f'{name}.xyz', 'w', encoding='utf-8') as handle:
                frames = inputs[name].frames()
                keep = name == 'train'
                write_extxyz(
                    (_anonymous(frame, frame.config_type if keep else '') for frame in frames), handle, prefix='REF_'
                )

        copies = [] if foundation is None else [(foundation.uuid, foundation.file_names[0], FOUNDATION_FILE)]
        if checkpoint is not None:
            copies += self._checkpoint_copies(checkpoint, resume)
        return engine_calcinfo(
            inputs,
            ['train-mace', INPUT_FILE],
            copies=copies,
            exclude=[f'{name}.xyz' for name in names],
            retrieve=[SUMMARY_FILE],
            temporary=[
                results_file(inputs.seed.value),
                f'{mace.NAME}.model',
                f'{mace.NAME}_stagetwo.model',
                'resume_epoch-*.pt',
                (f'{CHECKPOINTS}/*.pt', '.', 2),
            ],
        )

    def _checkpoint_copies(self, checkpoint: orm.FolderData, resume: str | None) -> list[tuple[str, str, str]]:
        repository = checkpoint.base.repository
        copies = [(checkpoint.uuid, str(resume), str(resume))]
        copies += [
            (checkpoint.uuid, f'{CHECKPOINTS}/{name}', f'{CHECKPOINTS}/{name}')
            for name in repository.list_object_names(CHECKPOINTS)
        ]
        copies.append((checkpoint.uuid, HISTORY_FILE, results_file(self.inputs.seed.value)))
        return copies


def define_mace_training(spec: Any) -> None:
    """Declare the inputs and outputs that the job and its restart workchain share."""
    define_training(spec)
    spec.input('foundation', valid_type=PotentialData, required=False, help='MACE model to fine-tune.')
    spec.input(
        'replay',
        valid_type=LabelledDataset,
        required=False,
        help='Frames labelled as those that `foundation` was trained on, for multihead fine-tuning with replay.',
    )
    spec.input(
        'config',
        valid_type=orm.Dict,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Dict({}),
        help='Options of `mace_run_train`, without those that the other inputs give.',
    )
    spec.input(
        'settings',
        valid_type=orm.Dict,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Dict({}),
        help='What is done around it, see `aiida_hdiff.engine.mace_config.TrainSettings`.',
    )
    spec.input(
        'seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Of the weights and of the order of the frames.'
    )
    spec.input(
        'checkpoint',
        valid_type=orm.FolderData,
        required=False,
        help='Of a stopped job with these inputs, to go on from.',
    )


def results_file(seed: int) -> str:
    """Return the name of the file in which mace writes how the training goes."""
    return f'results/{mace.tag(seed)}_train.txt'


def _anonymous(frame: Any, config_type: str) -> Any:
    """Return a frame with what mace reads only."""
    return replace(frame, origin='', reference='', config_type=config_type, ctifor=None, scf_converged=None)


def strategy(inputs: Any) -> str:
    """Return the strategy that the inputs mean, one of `aiida_hdiff.engine.mace_config.STRATEGIES`."""
    if 'foundation' not in inputs:
        return 'from_scratch'
    return 'multihead_replay' if 'replay' in inputs else 'fine_tuning'


def training_facts(inputs: Any) -> TrainFacts:
    """Return what of the data sets the configuration depends on."""
    return TrainFacts.from_frames(inputs['train'].frames(), inputs['valid'].n_frames, strategy(inputs))


def config_record(inputs: Any) -> dict[str, Any]:
    """Return what the configuration was checked against, and the policy for the energies of the atoms."""
    facts, settings = training_facts(inputs), TrainSettings.from_dict(inputs['settings'].get_dict())
    known = mace_options()
    return {
        'strategy': facts.strategy,
        'e0s_policy': mace.e0s_policy(settings, facts),
        'e0s_determined': facts.n_compositions >= len(facts.elements),
        'config_checked_against': {'version': known.version, 'source': known.source},
        'config': mace.complete_config(inputs['config'].get_dict(), facts),
    }


def training_error(value: dict[str, Any]) -> str | None:
    """Return why a MACE model cannot be trained with these inputs, or ``None``."""
    if any(name not in value for name in ('train', 'valid', 'seed', 'config', 'settings')):
        return None
    try:
        settings = TrainSettings.from_dict(value['settings'].get_dict())
    except (ValueError, TypeError) as error:
        return f'`settings`: {error}'
    if not 0 <= value['seed'].value < 2**32:
        return f'`seed` is {value["seed"].value}: give a whole number from 0 to {2**32 - 1}.'
    if 'replay' in value and 'foundation' not in value:
        return '`replay` is given without `foundation`: there is nothing to keep; leave it out.'
    sets, facts = training_sets(value), training_facts(value)
    return (
        training_sets_error(sets)
        or _replay_error(value.get('replay'))
        or _foundation_error(value)
        or mace.e0s_error(settings, facts)
        or mace.config_error(value['config'].get_dict(), facts)
        or _checkpoint_error(value)
    )


def _replay_error(replay: LabelledDataset | None) -> str | None:
    if replay is None:
        return None
    if replay.n_frames < MIN_REPLAY_FRAMES:
        return f'`replay` has {replay.n_frames} frames: give at least {MIN_REPLAY_FRAMES}.'
    return forces_error('replay', replay)


def _foundation_error(value: dict[str, Any]) -> str | None:
    foundation = value.get('foundation')
    if foundation is None:
        return None
    sets = {name: value[name] for name in ('train', 'replay') if name in value}
    error = trust_error(foundation, (value.get('metadata') or {}).get('options') or value.get('options'))
    return foundation_error(foundation, 'mace', '`PotentialData.from_file`', sets) or (
        None if error is None else f'`foundation`: {error}'
    )


def _checkpoint_error(value: dict[str, Any]) -> str | None:
    checkpoint = value.get('checkpoint')
    if checkpoint is None:
        return None
    names = checkpoint.base.repository.list_object_names()
    name = last_resume_file(names)
    if name is None or CHECKPOINTS not in names or HISTORY_FILE not in names:
        return '`checkpoint` is not that of a stopped training: give the output `checkpoint` of one.'
    epochs = mace.complete_config(value['config'].get_dict(), training_facts(value))['max_num_epochs']
    if (resume_epoch(name) or 0) >= epochs:
        return f'`checkpoint` has all of {epochs} epochs: there is nothing left to train.'
    return None
