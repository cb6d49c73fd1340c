"""The input of ``hdiff-engine label``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida_hdiff.engine.job_input import bad_input, check_keys, job_limits
from aiida_hdiff.engine.label_settings import LabelSettings

if TYPE_CHECKING:
    from aiida_hdiff.formats.configurations import Configurations

_KEYS = ('settings', 'reference', 'frames', 'skip', 'model', 'trusted', 'threads', 'max_seconds')


@dataclass(frozen=True)
class LabelInput:
    """What ``hdiff-engine label`` is told.

    Attributes
    ----------
    settings
        Calculator and rules.
    reference
        Name of the reference level, repeated in the file of labels.
    frames
        File with the arrays of :class:`aiida_hdiff.formats.configurations.Configurations`.
    skip
        Indices of frames that are labelled already.
    model
        Name of the model file in the working directory, or ``None``.
    trusted
        Load the model file whatever is in it, because the user vouches for it.
    threads
        Threads of the linear algebra and the neural networks.
    max_seconds
        Wall time (s) after which the job stops, without the frame under way; or ``None``.
    """

    settings: LabelSettings
    reference: str
    frames: str
    skip: frozenset[int]
    model: str | None
    threads: int
    max_seconds: float | None
    trusted: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelInput:
        """Build from the mapping in the input file.

        Raises
        ------
        EngineError
            If something is missing, unknown or out of range.
        """
        check_keys(values, _KEYS)
        try:
            settings = LabelSettings.from_dict(values.get('settings') or {})
        except ValueError as error:
            raise bad_input(f'`settings`: {error}') from error
        threads, max_seconds = job_limits(values)
        if not isinstance(values.get('frames'), str):
            raise bad_input('`frames` is missing: give the name of the file with the configurations.')
        return cls(
            settings=settings,
            reference=str(values.get('reference') or settings.reference()),
            frames=values['frames'],
            skip=frozenset(values.get('skip') or ()),
            model=values.get('model'),
            threads=threads,
            max_seconds=max_seconds,
            trusted=values.get('trusted') is True,
        )


def read_configurations(name: str) -> Configurations:
    """Return the configurations of a file in the working directory.

    Raises
    ------
    EngineError
        If the file is missing, or is not one of configurations.
    """
    from aiida_hdiff.engine.md_input import read_arrays
    from aiida_hdiff.formats.configurations import ARRAYS, Configurations

    arrays = read_arrays(name)
    missing = [key for key in ARRAYS if key not in arrays]
    if missing:
        raise bad_input(f'{name}: lacks {", ".join(missing)}.')
    try:
        return Configurations.from_arrays(arrays)
    except ValueError as error:
        raise bad_input(f'{name}: {error}.') from error
