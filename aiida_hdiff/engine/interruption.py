"""Stopping at once when a signal comes or the time is up, but never while a result is written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType, TracebackType
from typing import Any

REPEAT_S = 1.0


class Interruption(BaseException):
    """Raised out of an interruptible part; not an `Exception`, so that no calculator takes it for its own failure."""


class Interrupter:
    """Turns SIGTERM, SIGINT and the end of the time into an `Interruption`, while in its context.

    Until the part under way has ended the exception is raised again every second, as code that an exception cannot
    leave (callbacks, destructors) swallows it.

    Parameters
    ----------
    started
        Time of :func:`time.monotonic` from which the limit counts.
    max_seconds
        The limit, or ``None``.
    """

    def __init__(self, started: float, max_seconds: float | None) -> None:
        self._deadline = None if max_seconds is None else started + max_seconds
        self._limit = max_seconds
        self._armed = False
        self._old: dict[int, Any] = {}
        self._old_timer = (0.0, 0.0)
        self.reason: str | None = None

    def __enter__(self) -> Interrupter:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            self._old[number] = signal.signal(number, self._received)
        self._old_timer = signal.setitimer(signal.ITIMER_REAL, 0.0)
        if self._deadline is not None:
            signal.setitimer(signal.ITIMER_REAL, max(self._deadline - monotonic(), 1e-3), REPEAT_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.setitimer(signal.ITIMER_REAL, *self._old_timer)

    def _received(self, number: int, _: FrameType | None) -> None:
        if number != signal.SIGALRM:
            self.reason = self.reason or signal.Signals(number).name
            signal.setitimer(signal.ITIMER_REAL, REPEAT_S, REPEAT_S)
        self.reason = self.reason or f'the time limit of {self._limit:g} s'
        if self._armed:
            raise Interruption(self.reason)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Allow the interruption in this part; one that came before is raised at its start."""
        self._armed = True
        try:
            if self.reason is not None:
                raise Interruption(self.reason)
            yield
        finally:
            self._armed = False
