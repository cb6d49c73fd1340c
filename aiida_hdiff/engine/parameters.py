"""The settings of one molecular dynamics stage, shared by all engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

from aiida_hdiff.engine.committee_settings import CommitteeSettings, committee_settings_error

ENSEMBLES = ('npt', 'nvt', 'nve')
THERMOSTATS = ('langevin', 'nose_hoover')
BAROSTATS = ('isotropic', 'fixed_shape', 'full')
CALCULATORS = ('auto', 'fast', 'stock')
MAX_TIMESTEP_WITH_H_FS = 2.0


@dataclass(frozen=True)
class MDParameters:
    """What one stage of molecular dynamics is run with.

    Attributes
    ----------
    ensemble
        ``npt``, ``nvt`` or ``nve``.
    temperature_K
        Target temperature; the start of the ramp if ``temperature_end_K`` is given. In an NVE stage it only
        sets the initial velocities, and only if the stage starts from a structure without velocities.
    steps, timestep_fs
        Number and length (fs) of the time steps.
    output_interval
        Steps between stored frames.
    seed
        Seed of every random number of the stage (velocities, Langevin noise).
    temperature_end_K
        End of a linear temperature ramp; ``None`` keeps the temperature constant. Not allowed in ``nve``.
    pressure_GPa
        External pressure of an ``npt`` stage.
    thermostat, thermostat_time_fs
        ``langevin`` or ``nose_hoover``, and its relaxation time (fs), the inverse of the Langevin friction.
    barostat, barostat_time_fs
        ``isotropic`` (volume only: angles and length ratios kept), ``fixed_shape`` (angles kept, lengths free,
        with a and b coupled when they start equal) or ``full`` (all six), and its relaxation time (fs).
    checkpoint_interval
        Steps between checkpoints; a multiple of ``output_interval``.
    velocities
        Store the velocities with every frame.
    calculator
        What evaluates CHGNet and MACE in `hdiff-engine`: ``fast``, the ``stock`` calculator of their packages, or
        ``auto``, the fast one where it applies.
    committee
        How further potentials watch over the stage; ``None`` where there are none. Only `hdiff-engine` has it.
    """

    ensemble: str
    temperature_K: float
    steps: int
    timestep_fs: float
    output_interval: int
    seed: int
    temperature_end_K: float | None = None
    pressure_GPa: float = 0.0
    thermostat: str = 'langevin'
    thermostat_time_fs: float = 100.0
    barostat: str = 'isotropic'
    barostat_time_fs: float = 1000.0
    checkpoint_interval: int | None = None
    velocities: bool = False
    calculator: str = 'auto'
    committee: CommitteeSettings | None = None

    @property
    def final_temperature_K(self) -> float:
        """Temperature at the end of the stage (K)."""
        return self.temperature_K if self.temperature_end_K is None else self.temperature_end_K

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints: as given, or about a twentieth of the run, on a stored frame."""
        if self.checkpoint_interval is not None:
            return self.checkpoint_interval
        return self.output_interval * max(1, self.steps // (20 * self.output_interval))

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a plain dictionary, without a committee or a calculator that were not chosen."""
        left_out = {'committee': None, 'calculator': 'auto'}
        return {key: value for key, value in asdict(self).items() if key not in left_out or value != left_out[key]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MDParameters:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or a value is out of range; the message says what to give instead.
        """
        error = parameters_error(values)
        if error:
            raise ValueError(error)
        committee = values.get('committee')
        watched = {} if committee is None else {'committee': CommitteeSettings.from_dict(committee)}
        return cls(**{**values, **watched})


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _choice_error(values: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str | None:
    if key in values and values[key] not in allowed:
        return f'`{key}` is {values[key]!r}: choose one of {", ".join(allowed)}.'
    return None


def parameters_error(values: Mapping[str, Any], *, with_hydrogen: bool = True) -> str | None:
    """Return what is wrong with a mapping of stage settings, or ``None``.

    Parameters
    ----------
    values
        Keys and values of :class:`MDParameters`.
    with_hydrogen
        Refuse time steps above 2 fs, which do not resolve the vibrations of hydrogen.
    """
    known = {field.name for field in fields(MDParameters)}
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f' Did you mean `{near[0]}`?' if near else f' Known: {", ".join(sorted(known))}.'
            return f'unknown setting `{key}`.{hint}'
    for key in ('ensemble', 'temperature_K', 'steps', 'timestep_fs', 'output_interval', 'seed'):
        if values.get(key) is None:
            return f'setting `{key}` is missing: give it explicitly.'
    choices = {'ensemble': ENSEMBLES, 'thermostat': THERMOSTATS, 'barostat': BAROSTATS, 'calculator': CALCULATORS}
    for key, allowed in choices.items():
        error = _choice_error(values, key, allowed)
        if error:
            return error
    for key in (
        'temperature_K',
        'timestep_fs',
        'thermostat_time_fs',
        'barostat_time_fs',
        'temperature_end_K',
    ):
        value = values.get(key)
        if value is not None and (not _is_number(value) or not value > 0):
            return f'`{key}` is {value!r}: give a positive number.'
    for key in ('steps', 'output_interval', 'checkpoint_interval'):
        value = values.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            return f'`{key}` is {value!r}: give a whole number of at least 1.'
    seed = values['seed']
    if isinstance(seed, bool) or not isinstance(seed, int) or not 1 <= seed < 2**31:
        return f'`seed` is {seed!r}: give a whole number from 1 to 2147483647.'
    if not _is_number(values.get('pressure_GPa', 0.0)):
        return f'`pressure_GPa` is {values["pressure_GPa"]!r}: give a number.'
    if values.get('committee') is not None:
        error = committee_settings_error(values['committee'])
        if error:
            return error
    return _consistency_error(values, with_hydrogen)


def _consistency_error(values: Mapping[str, Any], with_hydrogen: bool) -> str | None:
    timestep, steps, interval = values['timestep_fs'], values['steps'], values['output_interval']
    if with_hydrogen and timestep > MAX_TIMESTEP_WITH_H_FS:
        return f'`timestep_fs` is {timestep}: with hydrogen give at most {MAX_TIMESTEP_WITH_H_FS} fs.'
    if interval > steps:
        return f'`output_interval` ({interval}) is longer than the run (`steps` = {steps}): reduce it.'
    if values.get('committee') is not None and values['committee']['every_steps'] > steps:
        return f'`committee.every_steps` ({values["committee"]["every_steps"]}) is longer than the run: reduce it.'
    checkpoint = values.get('checkpoint_interval')
    if checkpoint is not None and checkpoint % interval:
        return f'`checkpoint_interval` ({checkpoint}) must be a multiple of `output_interval` ({interval}).'
    if values['ensemble'] == 'nve' and values.get('temperature_end_K') is not None:
        return '`temperature_end_K` is given, but an `nve` stage has no thermostat: remove it.'
    return None
