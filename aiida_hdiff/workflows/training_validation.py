"""What is wrong with the settings of an on-the-fly training, found before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import isfinite
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.chunks import chunk_incar, chunks
from aiida_hdiff.common.protocols import unknown_key_error
from aiida_hdiff.formats.incar import settings_of_reference
from aiida_hdiff.formats.incar_checks import incar_error
from aiida_hdiff.workflows.md_stage import CODE_PLUGINS
from aiida_hdiff.workflows.training import (
    OPEN_SETTINGS,
    OnTheFlyProtocols,
    plateau_name,
    stage_constraint,
    stage_groups,
    stage_incar,
    stage_settings,
)

PLUGIN = 'hdiff.vasp_mlff'
MIN_TEMPERATURE_K = 1.0
MAX_TIMESTEP_FS = 2.0
MAX_CHUNK_STEPS = 50_000
"""Beyond it vasprun.xml and OUTCAR of a hundred atoms take a gigabyte each: ML_OUTBLOCK does not act in training."""

_REQUIRED = (
    'name mode steps chunk_steps start_K end_K threshold_eV_A adaptive max_configurations max_local_configurations '
    'spare_configurations growth scf_retries early_retries'
).split()

_CHOICES = {
    'cell': ('fixed_shape', 'fixed_angles', 'free', 'fixed'),
    'plateaus.order': ('serial', 'parallel'),
    'learning.criterion': (0, 1, 2),
}
_ANY_SIGN = ('pressure_GPa', 'learning.ramp_cx', 'learning.plateau_cx')
_NOT_NEGATIVE = ('ramp.time_ps', 'retries.scf', 'retries.early', 'friction_per_ps', 'lattice_friction_per_ps')

OWNERS = {
    'NSW': '`ramp.time_ps` and `plateaus.time_ps`',
    'TEBEG': '`ramp.start_K` and `plateaus.temperatures_K`',
    'TEEND': '`ramp.end_K` and `plateaus.temperatures_K`',
    'POTIM': '`timestep_fs`',
    'ISIF': '`cell`',
    'IBRION': 'the stage',
    'MDALGO': 'the stage',
    'SMASS': 'the stage',
    'NBLOCK': 'the stage',
    'PSTRESS': '`pressure_GPa`',
    'PMASS': '`lattice_mass_u`',
    'LANGEVIN_GAMMA': '`friction_per_ps`',
    'LANGEVIN_GAMMA_L': '`lattice_friction_per_ps`',
    'RANDOM_SEED': 'the input `seed`',
    'ML_LMLFF': 'the stage',
    'ML_MODE': 'the stage',
    'ML_LFAST': 'the refit',
    'ML_CTIFOR': '`learning.threshold_eV_A`',
    'ML_ICRITERIA': '`learning.criterion`',
    'ML_CX': '`learning.ramp_cx` and `learning.plateau_cx`',
    'ML_MCONF': '`learning.max_configurations`',
    'ML_MB': '`learning.max_local_configurations`',
}
"""Which setting each tag comes from."""


@cache
def training_template() -> dict[str, Any]:
    """Return the default protocol: every key that the settings have."""
    return OnTheFlyProtocols.get_protocol_settings()


def training_settings_error(settings: Mapping[str, Any], *, from_dataset: bool = False) -> str | None:
    """Return what is wrong with the settings of a training by themselves, or ``None``.

    With ``from_dataset`` there may be nothing to run: the force field is then only fitted to the frames.
    """
    template = training_template()
    closed = {key: value for key, value in settings.items() if key not in OPEN_SETTINGS}
    return (
        unknown_key_error(closed, template, 'settings.')
        or _missing_error(settings, template)
        or _tags_error(settings)
        or _values_error(settings, template, '')
        or _ranges_error(settings)
        or (None if from_dataset else nothing_to_train_error(settings))
    )


def nothing_to_train_error(settings: Mapping[str, Any]) -> str | None:
    """Return that a training has neither a ramp nor plateaus, or ``None``."""
    if settings['plateaus']['temperatures_K'] or settings['ramp']['time_ps'] > 0:
        return None
    return '`settings.ramp.time_ps` is 0 and there are no plateaus: give something to train on.'


def _missing_error(settings: Mapping[str, Any], template: Mapping[str, Any]) -> str | None:
    for key, value in template.items():
        inner = value if isinstance(value, Mapping) and key not in OPEN_SETTINGS else {}
        missing = [key] if key not in settings else [f'{key}.{name}' for name in inner if name not in settings[key]]
        if missing:
            return f'`settings.{missing[0]}` is missing: start from a protocol, which sets all.'
    return None


def _tags_error(settings: Mapping[str, Any]) -> str | None:
    for part in OPEN_SETTINGS:
        tags = settings[part]
        if not isinstance(tags, Mapping):
            return f'`settings.{part}` is {tags!r}: give a mapping of INCAR tags.'
        for tag in tags:
            name = str(tag).upper()
            if name == 'ML_ISTART':
                return (
                    f'`settings.{part}.{tag}` is deprecated: leave it out, the stages set ML_MODE (0 and 1 were train, '
                    '3 select, 4 refit, 2 run).'
                )
            if name in OWNERS:
                return f'`settings.{part}.{tag}` is set by {OWNERS[name]}: leave it out.'
            if part == 'incar' and name.startswith('ML_'):
                return f'`settings.incar.{tag}` belongs to the force field: give it in `settings.ml`.'
            if part == 'ml' and not name.startswith('ML_'):
                return f'`settings.ml.{tag}` is no tag of the force field: give it in `settings.incar`.'
    if str(settings['incar'].get('ALGO', '')).upper().startswith('A'):
        return (
            f'`settings.incar.ALGO` is {settings["incar"]["ALGO"]!r}: with ALGO = All some versions of VASP write '
            'wrong energies in training; give Normal, Fast or Very_Fast.'
        )
    return None


def _values_error(settings: Mapping[str, Any], template: Mapping[str, Any], where: str) -> str | None:
    for key, default in template.items():
        name, value = f'{where}{key}', settings[key]
        if name in OPEN_SETTINGS or isinstance(default, list):
            continue
        if isinstance(default, Mapping):
            error = _values_error(value, default, f'{name}.')
            if error:
                return error
        elif name in _CHOICES:
            if value not in _CHOICES[name] or isinstance(value, bool):
                return f'`settings.{name}` is {value!r}: give one of {", ".join(map(str, _CHOICES[name]))}.'
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                return f'`settings.{name}` is {value!r}: give true or false.'
        elif not _is_number(value):
            return f'`settings.{name}` is {value!r}: give a number.'
        elif isinstance(default, int) and value != int(value):
            return f'`settings.{name}` is {value!r}: give a whole number.'
        elif name in _NOT_NEGATIVE:
            if value < 0:
                return f'`settings.{name}` is {value!r}: give zero or a positive number.'
        elif name not in _ANY_SIGN and not value > 0:
            return f'`settings.{name}` is {value!r}: give a positive number.'
    return None


def _ranges_error(settings: Mapping[str, Any]) -> str | None:
    ramp, plateaus, learning = settings['ramp'], settings['plateaus'], settings['learning']
    accepted = settings['accepted_tags']
    if not isinstance(accepted, list) or not all(isinstance(tag, str) for tag in accepted):
        return f'`settings.accepted_tags` is {accepted!r}: give a list of INCAR tags that this package does not know.'
    temperatures = plateaus['temperatures_K']
    if not isinstance(temperatures, list) or not all(map(_is_number, temperatures)):
        return f'`settings.plateaus.temperatures_K` is {temperatures!r}: give a list of temperatures in K.'
    named = [('ramp.start_K', ramp['start_K']), ('ramp.end_K', ramp['end_K'])]
    for name, value in [*named, *(('plateaus.temperatures_K', kelvin) for kelvin in temperatures)]:
        if value < MIN_TEMPERATURE_K:
            return (
                f'`settings.{name}` holds {value!r} K: VASP takes TEBEG near 0 for a relaxation; give at least '
                f'{MIN_TEMPERATURE_K:g} K.'
            )
    if len(set(map(plateau_name, temperatures))) < len(temperatures):
        return f'`settings.plateaus.temperatures_K` is {temperatures!r}: give each temperature once.'
    if settings['timestep_fs'] > MAX_TIMESTEP_FS:
        return f'`settings.timestep_fs` is {settings["timestep_fs"]!r}: hydrogen needs at most {MAX_TIMESTEP_FS:g} fs.'
    if settings['chunk_steps'] > MAX_CHUNK_STEPS:
        return (
            f'`settings.chunk_steps` is {settings["chunk_steps"]}: the files of one job would take gigabytes; give at '
            f'most {MAX_CHUNK_STEPS}, 5000 to 10000 is usual.'
        )
    for name in ('ramp_cx', 'plateau_cx'):
        if not -1 < learning[name] <= 1:
            return f'`settings.learning.{name}` is {learning[name]!r}: ML_CX goes from above -1 to 1.'
    if not learning['growth'] > 1:
        return f'`settings.learning.growth` is {learning["growth"]!r}: give a factor above 1, for example 1.5.'
    if learning['threshold_eV_A'] > 1:
        return (
            f'`settings.learning.threshold_eV_A` is {learning["threshold_eV_A"]!r}: ML_CTIFOR is in eV/Å, for example '
            '0.005 for 5 meV/Å.'
        )
    return None


def stage_incar_error(settings: Mapping[str, Any], species: Sequence[str]) -> str | None:
    """Return what is wrong with the INCAR of one of the stages of a training, or ``None``.

    Parameters
    ----------
    settings
        Valid by themselves.
    species
        Chemical symbols in the order of POSCAR.
    """
    from aiida_hdiff.calculations.vasp_mlff import OTHER_TAGS

    for name in dict.fromkeys(name for group in stage_groups(settings) for name in group):
        stage = stage_settings(settings, name)
        first = chunks(**{key: stage[key] for key in ('steps', 'chunk_steps', 'start_K', 'end_K')})[0]
        values = {**stage, 'steps': first.steps}
        tags = chunk_incar(stage_incar(settings, name, n_species=len(species)), stage, values, '1 0 0')
        constraint = stage_constraint(settings, name)
        error = incar_error(
            tags, species, constraint=constraint, other_tags=OTHER_TAGS, extra_tags=settings['accepted_tags']
        )
        if error:
            error = error.replace('`unsupported_parameters` of the settings', '`settings.accepted_tags`')
            return f'INCAR of stage {name}: {error}'
    return None


def dataset_error(
    settings: Mapping[str, Any],
    *,
    n_frames: int,
    elements: Sequence[str],
    references: Sequence[str],
    symbols: Sequence[str],
    expected_reference: str | None,
) -> str | None:
    """Return why a training cannot go on from labelled frames, or ``None``.

    Parameters
    ----------
    settings
        Of the training.
    n_frames, elements, references
        Of the frames.
    symbols
        Elements of the structure.
    expected_reference
        Identity of the settings of the density functional calculation, which labels must have; None if unknown.
    """
    limit = settings['learning']['max_configurations']
    if n_frames >= limit:
        return (
            f'`settings.learning.max_configurations` is {limit}, but `dataset` has {n_frames} frames: give more than '
            'that, with room for new ones.'
        )
    missing = [symbol for symbol in symbols if symbol not in elements]
    if missing:
        return f'`dataset` has no {", ".join(missing)} of `structure`: give frames of the same elements.'
    if list(map(settings_of_reference, references)) != [expected_reference]:
        return (
            f'`dataset` has labels of {", ".join(map(repr, references))}, the training would add those of '
            f'{expected_reference!r}: the settings of the density functional calculation must be equal; take those of '
            'the data set, or label it again.'
        )
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def validate_code(value: orm.AbstractCode | None, _port: Any) -> str | None:
    """Return that a code is not set up for the training, or ``None``."""
    if value is None or CODE_PLUGINS.get(value.default_calc_job_plugin or '') == 'vasp':
        return None
    return (
        f'`code` {value.label!r} is set up for {value.default_calc_job_plugin!r}: give a code whose default plugin is '
        f'{PLUGIN!r}.'
    )


def validate_stage(value: orm.Dict | None, _port: Any) -> str | None:
    """Return what the description of a stage lacks, or ``None``."""
    if value is None:
        return None
    missing = [key for key in _REQUIRED if key not in value.get_dict()]
    return f'`stage` lacks `{missing[0]}`: take what `stage_settings` gives.' if missing else None


def validate_stage_inputs(value: dict[str, Any], _port: Any) -> str | None:
    """Return what is wrong with the inputs of a stage as a whole, or ``None``."""
    given = [name for name in ('ml_ab', 'ml_ab_folder') if name in value]
    if len(given) == 2:
        return '`ml_ab` and `ml_ab_folder` are both given: give the one to continue from.'
    count = value.get('n_configurations')
    if given and (count is None or count.value < 1):
        return f'`n_configurations` is missing: give the number of configurations in `{given[0]}`.'
    stage = value['stage'].get_dict()
    if not given and stage['mode'] != 'train':
        return f'`ml_ab` or `ml_ab_folder` is missing: mode {stage["mode"]} works on a training set.'
    return None
