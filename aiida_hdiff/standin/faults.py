"""Faults on demand, to test what restarts a run: a kill, electronic steps that do not converge, the end of the time."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from aiida_hdiff.standin import StandinError
from aiida_hdiff.standin.incar import Settings

CONTROL = 'HDIFF_STANDIN_CONTROL'
KINDS = ('crash-at-step', 'scf-fail-at-step', 'stop-at-step', 'walltime-s')
VARIABLES = {
    'crash-at-step': 'HDIFF_STANDIN_CRASH_AT_STEP',
    'scf-fail-at-step': 'HDIFF_STANDIN_SCF_FAIL_AT_STEP',
    'walltime-s': 'HDIFF_STANDIN_WALLTIME_S',
}
HELP = """\
faults, to test what restarts runs:
  HDIFF_STANDIN_WALLTIME_S=<s>          stop after the step in which this time ends, as with LSTOP in STOPCAR; every run
  HDIFF_STANDIN_CRASH_AT_STEP=<n>       die within step n of the run as by SIGKILL, files cut within a line
  HDIFF_STANDIN_SCF_FAIL_AT_STEP=<n>    in step n the electronic steps do not converge; with molecular dynamics the run
                                        ends there, the step is in the output and not in ML_ABN
  The latter two act only in a run that reads neither ML_AB nor velocities, so that a continuation does not fail again.

  HDIFF_STANDIN_CONTROL=<folder>        a folder of one file for each fault, called crash-at-step-<n>,
                                        scf-fail-at-step-<n>, stop-at-step-<n> or walltime-s-<seconds>, with any suffix
                                        after a dot. Steps count from the start of the run. Before it acts the file gets
                                        the suffix .done, so that each acts once, whatever runs next. Lines NAME = VALUE
                                        in the file restrict it to runs whose INCAR has these tags; the line
                                        ML_AB = T (or F) to runs that do (or do not) read ML_AB.
  STOPCAR with LSTOP = .TRUE. (or LABORT = .TRUE.) in the working directory ends a run after the present step.
"""


class Faults:
    """The faults that are asked for.

    Parameters
    ----------
    environment
        Environment variables.
    settings
        INCAR, for restrictions.
    has_ml_ab, continued
        Whether ML_AB is read, and whether the run continues another: by ML_AB or velocities.
    folder
        Working directory, for STOPCAR.
    """

    def __init__(
        self, environment: Mapping[str, str], settings: Settings, has_ml_ab: bool, continued: bool, folder: Path
    ) -> None:
        self._start = time.monotonic()
        self._settings, self._has_ml_ab = settings, has_ml_ab
        self._stopcar = folder / 'STOPCAR'
        control = environment.get(CONTROL, '')
        self._control = Path(control) if control else None
        self._values: dict[str, float] = {}
        for kind, variable in VARIABLES.items():
            text = environment.get(variable, '')
            if text and (kind == 'walltime-s' or not continued):
                try:
                    self._values[kind] = float(text)
                except ValueError:
                    raise StandinError(f'{variable} is {text!r}, not a number') from None

    def crash(self, step: int) -> bool:
        """Return whether to die in this step."""
        return self._acts('crash-at-step', step)

    def scf_fails(self, step: int) -> bool:
        """Return whether the electronic steps of this step do not converge."""
        return self._acts('scf-fail-at-step', step)

    def stop(self, step: int) -> str:
        """Return why to stop after this step, empty to go on."""
        if self._acts('stop-at-step', step) or self._acts('walltime-s', time.monotonic() - self._start):
            return 'soft'
        if self._stopcar.is_file():
            text = self._stopcar.read_text(encoding='utf-8', errors='replace').upper()
            for tag, kind in (('LABORT', 'hard'), ('LSTOP', 'soft')):
                if re.search(rf'{tag}\s*=\s*\.?T', text):
                    return kind
        return ''

    def die(self) -> None:
        """Die as by SIGKILL."""
        os.kill(os.getpid(), signal.SIGKILL)

    def _acts(self, kind: str, now: float) -> bool:
        value = self._values.get(kind)
        if value is not None and (now >= value if kind == 'walltime-s' else now == value):
            return True
        if self._control is None:
            return False
        for path in sorted(self._control.glob(f'{kind}-*')):
            match = re.fullmatch(rf'{kind}-(\d+(?:\.\d+)?)(\.(?!.*done$).*)?', path.name)
            if match is None or not self._matches(path):
                continue
            value = float(match[1])
            if now >= value if kind == 'walltime-s' else now == value:
                with suppress(OSError):
                    path.rename(path.with_name(path.name + '.done'))
                    return True
        return False

    def _matches(self, path: Path) -> bool:
        try:
            lines = path.read_text(encoding='utf-8').splitlines()
        except OSError:
            return False
        for line in lines:
            name, equals, value = (part.strip().upper() for part in line.partition('='))
            if not equals:
                continue
            own = ('T' if self._has_ml_ab else 'F') if name == 'ML_AB' else self._settings.tags.get(name, '').upper()
            if own != value:
                return False
        return True
