"""How a committee of potentials watches over a molecular dynamics stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

ACTIONS = ('flag', 'stop')
MAX_FRAMES = 100


@dataclass(frozen=True)
class CommitteeSettings:
    """When the forces of the committee are compared, and what follows.

    Attributes
    ----------
    every_steps
        Steps between comparisons.
    threshold_eV_A
        A configuration is uncertain if ``calibration_factor`` times the largest deviation of an atom is above it.
    action
        ``flag`` goes on and records the configuration, ``stop`` ends the stage at it.
    calibration_factor
        Expected error of the forces per deviation, such as the ``slope`` of a calibrated committee.
    max_frames
        Most uncertain configurations to keep; when there are more, every second is dropped, and then every second of
        those to come is kept, so that they stay spread over the stage.
    """

    every_steps: int
    threshold_eV_A: float
    action: str = 'flag'
    calibration_factor: float = 1.0
    max_frames: int = MAX_FRAMES

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CommitteeSettings:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or a value is out of range; the message says what to give instead.
        """
        error = committee_settings_error(values)
        if error:
            raise ValueError(error)
        return cls(**values)


def committee_settings_error(values: Any) -> str | None:
    """Return what is wrong with a mapping of settings of a committee, or ``None``."""
    known = [field.name for field in fields(CommitteeSettings)]
    if not isinstance(values, Mapping):
        return f'`committee` is {values!r}: give a mapping with `every_steps` and `threshold_eV_A`.'
    for key in values:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f'Did you mean `{near[0]}`?' if near else f'Known: {", ".join(known)}.'
            return f'unknown setting `committee.{key}`. {hint}'
    for key in ('every_steps', 'threshold_eV_A'):
        if values.get(key) is None:
            return f'setting `committee.{key}` is missing: give it explicitly.'
    for key in ('every_steps', 'max_frames'):
        value = values.get(key, MAX_FRAMES)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return f'`committee.{key}` is {value!r}: give a whole number of at least 1.'
    for key in ('threshold_eV_A', 'calibration_factor'):
        value = values.get(key, 1.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            return f'`committee.{key}` is {value!r}: give a positive number.'
    if values.get('action', 'flag') not in ACTIONS:
        return f'`committee.action` is {values["action"]!r}: choose one of {", ".join(ACTIONS)}.'
    return None
