"""What VASP prints about how a run went: the end of OUTCAR, and messages in its standard output."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 2**16
MAX_ERRORS = 20
REASON_LENGTH = 300

_ELAPSED = re.compile(rb'Elapsed time \(sec\):\s*([0-9.]+)')
_STOPPED = re.compile(rb'(soft|hard) stop encountered|\bLSTOP\b|\bLABORT\b', re.IGNORECASE)
_STARTED = re.compile(rb'\bvasp\.|running on\s+\d+|EMULATED', re.IGNORECASE)
_ERROR = re.compile(
    rb'\berrors?\b|very bad news|aborting|refuse[sd]?\b|segmentation fault|sigsegv|out of memory|not enough memory'
    rb'|please increase|exceed|i refuse',
    re.IGNORECASE,
)
_KILLED = re.compile(
    rb'signal (9|15)\b|\bkilled\b|cancelled|time limit|walltime|preempt|node.?fail|slurmstepd', re.IGNORECASE
)
_SPECIES = re.compile(rb'type information on POSCAR and POTCAR (are )?incompatible|species order', re.IGNORECASE)
_LIMIT = re.compile(rb'\b(ML_MCONF|ML_MB)\b')
_LIMIT_WORDS = re.compile(rb'increase|exceed|reached|too small|larger|full\b', re.IGNORECASE)
_BOX = re.compile(r'^[\s|*!#+-]+|[\s|*!#+-]+$')


@dataclass(frozen=True)
class RunMessages:
    """What was printed.

    Attributes
    ----------
    started
        Whether VASP has begun to print.
    errors
        Lines that tell of an error, without the frames around them.
    species
        The line that says that POSCAR and POTCAR have different species, or an empty text.
    limit
        ML_MCONF or ML_MB if the run has stopped because that limit was reached, or an empty text.
    stopped
        Whether VASP was asked to stop.
    killed
        Whether the scheduler or the operating system tells that it has ended the run.
    emulated
        Whether a stand-in has printed this and not VASP.
    """

    started: bool = False
    errors: tuple[str, ...] = ()
    species: str = ''
    limit: str = ''
    stopped: bool = False
    killed: bool = False
    emulated: bool = False

    @property
    def reason(self) -> str:
        """The errors as one text of at most 300 characters."""
        return ' '.join(self.errors)[:REASON_LENGTH]


def scan_messages(lines: Iterable[bytes]) -> RunMessages:
    """Search the standard output of a run."""
    errors: deque[str] = deque(maxlen=MAX_ERRORS)
    started = stopped = killed = emulated = False
    species = limit = ''
    previous = b''
    for line in lines:
        started = started or bool(_STARTED.search(line))
        emulated = emulated or b'EMULATED' in line
        if _SPECIES.search(line) and not species:
            species = _unframed(line)
        # Messages in a frame are broken into lines anywhere.
        if _LIMIT_WORDS.search(previous + line) and (found := _LIMIT.search(line) or _LIMIT.search(previous)):
            limit = found[1].decode()
        if _STOPPED.search(line):
            stopped = True
        elif _KILLED.search(line):
            killed = True
        elif _ERROR.search(line) and (text := _unframed(line)) and text not in errors:
            errors.append(text)
        previous = line
    return RunMessages(started, tuple(errors), species, limit, stopped, killed, emulated)


def _unframed(line: bytes) -> str:
    return ' '.join(_BOX.sub('', line[:2000].decode(errors='replace')).split())


@dataclass(frozen=True)
class OutcarEnd:
    """The end of OUTCAR.

    Attributes
    ----------
    finished
        Whether VASP has ended by itself.
    elapsed_s
        Wall time of the run in seconds, None if not written.
    stopped
        Whether VASP was asked to stop.
    """

    finished: bool
    elapsed_s: float | None
    stopped: bool


def read_outcar_end(path: str | Path) -> OutcarEnd:
    """Read the last 64 kB of OUTCAR, whatever its size.

    Parameters
    ----------
    path
        The file, not packed; it may be missing.
    """
    path = Path(path)
    if not path.is_file():
        return OutcarEnd(False, None, False)
    with path.open('rb') as stream:
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = stream.read(TAIL_BYTES)
    before, footer, after = tail.partition(b'General timing and accounting')
    match = _ELAPSED.search(after)
    return OutcarEnd(
        finished=bool(footer),
        elapsed_s=float(match[1]) if match and match[1].count(b'.') < 2 else None,
        stopped=bool(re.search(rb'(soft|hard) stop encountered', before)),
    )
