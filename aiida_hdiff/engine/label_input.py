"""The input of ``hdiff-engine label``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError
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
        for key in values:
            if key not in _KEYS:
                raise _bad(f'unknown key `{key}`; known: {", ".join(_KEYS)}.')
        try:
            settings = LabelSettings.from_dict(values.get('settings') or {})
        except ValueError as error:
            raise _bad(f'`settings`: {error}') from error
        threads, max_seconds = values.get('threads', 1), values.get('max_seconds')
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise _bad(f'`threads` is {threads!r}: give a whole number of at least 1.')
        if max_seconds is not None and (not isinstance(max_seconds, (int, float)) or not max_seconds > 0):
            raise _bad(f'`max_seconds` is {max_seconds!r}: give a positive number of seconds.')
        if not isinstance(values.get('frames'), str):
            raise _bad('`frames` is missing: give the name of the file with the configurations.')
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


def _bad(message: str) -> EngineError:
    return EngineError(BAD_INPUT, message)


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
        raise _bad(f'{name}: lacks {", ".join(missing)}.')
    try:
        return Configurations.from_arrays(arrays)
    except ValueError as error:
        raise _bad(f'{name}: {error}.') from error
