"""The configuration of a MACE training: what a user may set, safe defaults, and what contradicts the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from aiida_hdiff.engine.mace_options import options_error
from aiida_hdiff.formats import LabelledFrames

NAME = 'trained'
"""Name of the experiment, from which mace makes names of files."""
STRATEGIES = ('from_scratch', 'fine_tuning', 'multihead_replay')
E0S_POLICIES = ('auto', 'isolated_atoms', 'average', 'estimated', 'foundation')
ISOLATED_ATOM = 'IsolatedAtom'
"""The config type by which mace knows frames of isolated atoms."""
TRAIN_FILE, VALID_FILE, TEST_FILE, REPLAY_FILE = 'train.xyz', 'valid.xyz', 'test.xyz', 'replay.xyz'

DEFAULTS: dict[str, Any] = {
    'model': 'MACE',
    'device': 'cpu',
    'default_dtype': 'float64',
    'energy_weight': 40.0,
    'forces_weight': 10.0,
    'batch_size': 5,
    'valid_batch_size': 5,
    'max_num_epochs': 100,
    'scheduler': 'ExponentialLR',
    'lr_scheduler_gamma': 0.97,
    'amsgrad': True,
    'ema': True,
    'ema_decay': 0.99,
    'eval_interval': 1,
    'error_table': 'PerAtomRMSE',
    'num_workers': 0,
    'pin_memory': False,
}
"""Where the defaults of mace are not for small sets; its loss weights leave energy and stress unfitted there."""
STRESS_WEIGHT = 1000.0
LEARNING_RATES = {'from_scratch': 0.01, 'fine_tuning': 0.003, 'multihead_replay': 0.003}

_INPUTS = {
    'seed': 'the input `seed`',
    'train_file': 'the input `train`',
    'valid_file': 'the input `valid`',
    'valid_fraction': 'the input `valid`, which `split_dataset` makes',
    'test_file': 'the input `test`',
    'foundation_model': 'the input `foundation`',
    'pt_train_file': 'the input `replay`',
    'multiheads_finetuning': 'the input `replay`',
    'E0s': '`e0s` in the input `settings`',
    'restart_latest': 'the input `checkpoint`',
}
_OWNED = frozenset(
    'name work_dir log_dir model_dir checkpoints_dir results_dir downloads_dir test_dir pt_valid_file statistics_file '
    'heads head_key energy_key forces_key stress_key virials_key dipole_key charges_key polarizability_key '
    'total_charge_key total_spin_key elec_temp_key atomic_numbers save_all_checkpoints keep_checkpoints plot '
    'plot_frequency plot_interaction_e dry_run wandb wandb_dir wandb_entity wandb_log_hypers wandb_name wandb_project '
    'distributed launcher multi_processed_test num_samples_pt subselect_pt filter_type_pt allow_random_padding_pt '
    'foundation_model_kwargs foundation_filter_elements skip_evaluate_heads log_level keep_isolated_atoms'.split()
)
_FOR_FOUNDATION = ('freeze', 'lora', 'foundation_head', 'foundation_model_elements', 'lora_rank', 'lora_alpha')
_FOR_REPLAY = ('pseudolabel_replay', 'pseudolabel_replay_compute_stress', 'weight_pt_head')
_MODELS = ('MACE', 'ScaleShiftMACE')
_LOSSES = ('ef', 'weighted', 'forces_only', 'stress', 'huber', 'universal', 'l1l2energyforces')
_STRESS_LOSSES = ('stress', 'huber', 'universal')


@dataclass(frozen=True)
class TrainSettings:
    """What this package does around a training.

    Attributes
    ----------
    e0s
        Energies of the isolated atoms: one of :data:`E0S_POLICIES`, or eV by symbol. ``auto`` is ``estimated`` with a
        foundation model, else ``isolated_atoms`` if the set has them, else ``average``.
    max_energy_shift_eV_per_atom
        With a foundation model: largest mean error of its energies of the training set, with these energies of the
        atoms, before the first epoch. A larger one means that the energies have different zeros.
    divergence_factor
        The training has diverged when the loss of the validation set is this many times that of the start.
    """

    e0s: str | Mapping[str, float] = 'auto'
    max_energy_shift_eV_per_atom: float = 0.5
    divergence_factor: float = 100.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainSettings:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a setting is unknown or out of range.
        """
        known = [one.name for one in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f'unknown setting `{name}`: choose from {", ".join(known)}.')
        settings = cls(**values)
        for name, limit in (('max_energy_shift_eV_per_atom', 0.0), ('divergence_factor', 1.0)):
            value = getattr(settings, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > limit:
                raise ValueError(f'`{name}` is {value!r}: give a number above {limit:g}.')
        if isinstance(settings.e0s, Mapping):
            for symbol, energy in settings.e0s.items():
                if isinstance(energy, bool) or not isinstance(energy, (int, float)) or not np.isfinite(energy):
                    raise ValueError(f'`e0s` of {symbol} is {energy!r}: give an energy in eV.')
        elif settings.e0s not in E0S_POLICIES:
            raise ValueError(f'`e0s` is {settings.e0s!r}: choose {", ".join(E0S_POLICIES)}, or give eV by symbol.')
        return settings

    def as_dict(self) -> dict[str, Any]:
        """Return the settings in terms of JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TrainFacts:
    """What of the data the configuration depends on.

    Attributes
    ----------
    strategy
        One of :data:`STRATEGIES`.
    n_train, n_valid
        Numbers of frames.
    elements
        Symbols of the training set, by atomic number.
    isolated
        Symbols of which it has an isolated atom.
    n_with_stress
        Frames of the training set with a stress.
    n_compositions
        Rank of the compositions: below the number of elements, an average does not determine the energy of each.
    """

    strategy: str
    n_train: int
    n_valid: int
    elements: tuple[str, ...]
    isolated: tuple[str, ...] = field(default=())
    n_with_stress: int = 0
    n_compositions: int = 0

    @classmethod
    def from_frames(cls, train: LabelledFrames, n_valid: int, strategy: str) -> TrainFacts:
        """Collect them from the training set."""
        from ase.data import chemical_symbols

        isolated, counts = set(), []
        numbers = np.unique(train.numbers)
        n_bulk = 0
        for index, kind in enumerate(train.config_types):
            of_frame = train.numbers[train.offsets[index] : train.offsets[index + 1]]
            if kind == ISOLATED_ATOM and len(of_frame) == 1:
                isolated.add(chemical_symbols[of_frame[0]])
                continue
            n_bulk += 1
            counts.append([int((of_frame == number).sum()) for number in numbers])
        return cls(
            strategy=strategy,
            n_train=n_bulk,
            n_valid=n_valid,
            elements=tuple(chemical_symbols[number] for number in numbers),
            isolated=tuple(sorted(isolated)),
            n_with_stress=int((~np.isnan(train.stresses).any(axis=1)).sum()),
            n_compositions=int(np.linalg.matrix_rank(np.array(counts))) if counts else 0,
        )


def e0s_policy(settings: TrainSettings, facts: TrainFacts) -> str:
    """Return the policy for the energies of the isolated atoms that ``auto`` stands for; ``given`` if they are."""
    if isinstance(settings.e0s, Mapping):
        return 'given'
    if settings.e0s != 'auto':
        return settings.e0s
    if facts.strategy != 'from_scratch':
        return 'estimated'
    return 'isolated_atoms' if set(facts.isolated) >= set(facts.elements) else 'average'


def e0s_error(settings: TrainSettings, facts: TrainFacts) -> str | None:
    """Return why the energies of the isolated atoms cannot be had like this, or ``None``."""
    policy = e0s_policy(settings, facts)
    known = settings.e0s if isinstance(settings.e0s, Mapping) else facts.isolated
    missing = [symbol for symbol in facts.elements if symbol not in known]
    if policy == 'given' and missing:
        return f'`settings.e0s` lacks {", ".join(missing)}: give the energy in eV of every element of `train`.'
    if policy == 'isolated_atoms' and missing:
        return (
            f'`settings.e0s` is isolated_atoms, but `train` has no frame of config type {ISOLATED_ATOM} of '
            f'{", ".join(missing)}: add one of each element, or choose another policy.'
        )
    if policy in ('estimated', 'foundation') and facts.strategy == 'from_scratch':
        return f'`settings.e0s` is {policy}, but there is no `foundation`: choose average, or give eV by symbol.'
    if policy == 'average' and facts.strategy == 'multihead_replay':
        return '`settings.e0s` is average, which mace cannot do with `replay`: choose estimated.'
    return None


def config_error(config: Mapping[str, Any], facts: TrainFacts) -> str | None:
    """Return what is wrong with the configuration that a user gives, or ``None``."""
    for name in config:
        if name in _INPUTS:
            return f'`{name}` is not set in `config`: give {_INPUTS[name]}.'
        if name in _OWNED:
            return f'`{name}` is set by the job and cannot be in `config`: leave it out.'
        if name in _FOR_FOUNDATION and facts.strategy == 'from_scratch' and config[name]:
            return f'`{name}` is for fine-tuning: give the input `foundation`, or leave it out.'
        if name in _FOR_REPLAY and facts.strategy != 'multihead_replay' and config[name]:
            return f'`{name}` is for fine-tuning with replay: give the input `replay`, or leave it out.'
    error = options_error(dict(config))
    if error:
        return f'`config`: {error}'
    return _contradiction(complete_config(config, facts), config, facts)


def _contradiction(full: Mapping[str, Any], config: Mapping[str, Any], facts: TrainFacts) -> str | None:
    for name in ('max_num_epochs', 'eval_interval', 'batch_size', 'valid_batch_size', 'patience'):
        if name in full and full[name] < 1:
            return f'`{name}` is {full[name]}: give at least 1.'
    if not full['lr'] > 0:
        return f'`lr` is {full["lr"]}: give a positive learning rate.'
    if full['batch_size'] > facts.n_train:
        return f'`batch_size` is {full["batch_size"]}, but `train` has {facts.n_train} frames: give a smaller one.'
    if (full['max_num_epochs'] - 1) % full['eval_interval']:
        return (
            f'`eval_interval` is {full["eval_interval"]}, with which the last of {full["max_num_epochs"]} epochs is '
            'not evaluated and thus lost: give 1, or a divisor of the number of epochs less one.'
        )
    if full['model'] not in _MODELS:
        return f'`model` is {full["model"]!r}: choose {" or ".join(_MODELS)}.'
    if full['loss'] not in _LOSSES:
        return f'`loss` is {full["loss"]!r}: choose one of {", ".join(_LOSSES)}.'
    if config.get('loss') in _STRESS_LOSSES and not facts.n_with_stress:
        return f'`loss` is {config["loss"]!r}, but no frame of `train` has a stress: choose weighted.'
    if config.get('freeze') and config.get('lora'):
        return '`freeze` and `lora` are both given: leave one of them out.'
    freeze = config.get('freeze')
    if freeze is not None and not -7 <= freeze <= 7:
        return f'`freeze` is {freeze}: give the number of blocks to freeze, 1 to 7.'
    return None


def complete_config(config: Mapping[str, Any], facts: TrainFacts) -> dict[str, Any]:
    """Return what the user gives, with defaults for the rest: not those that depend on the inputs of a job."""
    with_stress = facts.n_with_stress > 0
    full: dict[str, Any] = {
        **DEFAULTS,
        'lr': LEARNING_RATES[facts.strategy],
        'loss': 'stress' if with_stress else 'weighted',
        'compute_stress': with_stress,
        'batch_size': max(1, min(DEFAULTS['batch_size'], facts.n_train)),
    }
    if with_stress:
        full['stress_weight'] = STRESS_WEIGHT
    if facts.strategy == 'multihead_replay':
        full |= {'loss': 'universal', 'force_mh_ft_lr': True}
    return full | dict(config)


def job_config(
    config: Mapping[str, Any],
    settings: TrainSettings,
    facts: TrainFacts,
    *,
    seed: int,
    foundation: str | None,
    with_test: bool,
) -> dict[str, Any]:
    """Return all options of ``mace_run_train`` for a job in its working directory.

    Parameters
    ----------
    config
        Of the user.
    settings, facts
        Where the energies of the isolated atoms come from.
    seed
        Of the initial weights and the order of the frames.
    foundation
        Name of the file of the foundation model, or ``None``.
    with_test
        Whether there is a test set.
    """
    full = complete_config(config, facts) | {
        'name': NAME,
        'seed': seed,
        'train_file': TRAIN_FILE,
        'valid_file': VALID_FILE,
        'E0s': _e0s_option(settings, facts),
        'plot': False,
        'checkpoints_dir': 'checkpoints',
        'results_dir': 'results',
        'model_dir': '.',
        'log_dir': 'logs',
    }
    if with_test:
        full['test_file'] = TEST_FILE
    if foundation is not None:
        full |= {'foundation_model': foundation, 'multiheads_finetuning': facts.strategy == 'multihead_replay'}
    if facts.strategy == 'multihead_replay':
        full['pt_train_file'] = REPLAY_FILE
    return full


def _e0s_option(settings: TrainSettings, facts: TrainFacts) -> str | None:
    policy = e0s_policy(settings, facts)
    if isinstance(settings.e0s, Mapping):
        from ase.data import atomic_numbers

        return str({atomic_numbers[symbol]: float(settings.e0s[symbol]) for symbol in facts.elements})
    return None if policy == 'isolated_atoms' else policy


def tag(seed: int) -> str:
    """Return the beginning of the names of mace's files."""
    return f'{NAME}_run-{seed}'


def missing_elements(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the symbols of the first that are not in the second, sorted."""
    return sorted(set(wanted) - set(known))
