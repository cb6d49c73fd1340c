"""What the input files of all commands of `hdiff-engine` have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError


def bad_input(message: str) -> EngineError:
    """Return the error of an input file that cannot be used."""
    return EngineError(BAD_INPUT, message)


def check_keys(values: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse keys that the command does not know.

    Raises
    ------
    EngineError
        If there is one.
    """
    for key in values:
        if key not in known:
            raise bad_input(f'unknown key `{key}`; known: {", ".join(known)}.')


def job_limits(values: Mapping[str, Any]) -> tuple[int, float | None]:
    """Return the threads of a job and the seconds after which it stops by itself, or ``None``.

    Raises
    ------
    EngineError
        If one of them is out of range.
    """
    threads, max_seconds = values.get('threads', 1), values.get('max_seconds')
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise bad_input(f'`threads` is {threads!r}: give a whole number of at least 1.')
    if max_seconds is not None and (not isinstance(max_seconds, (int, float)) or not max_seconds > 0):
        raise bad_input(f'`max_seconds` is {max_seconds!r}: give a positive number of seconds.')
    return threads, max_seconds
