"""Exit codes of ``hdiff-engine``, and the exception that carries one."""

FINISHED = 0
"""All steps, or configurations, are done."""
ERROR = 1
"""An error of the program that no other code describes; the traceback is on stderr."""
INTERRUPTED = 40
"""Stopped by a signal or the time limit; `checkpoint.npz`, or `labels.jsonl`, continues the run."""
EXPLODED = 41
"""The atoms left physical bounds; the offending frame is in `exploded.npz`."""
TOO_MANY_FAILURES = 42
"""More configurations could not be labelled than allowed; the others are in `labels.jsonl`."""
DIVERGED = 43
"""The loss of a training has left all bounds."""
NOT_A_NUMBER = 44
"""The loss of a training is not a number."""
OUT_OF_MEMORY = 45
"""The memory does not suffice."""
ENERGY_SHIFT = 46
"""The energies of a foundation model and of the data set are of different zero."""
UNCERTAIN = 47
"""The committee that watches over the stage is not certain of the forces; the frame is in `final.npz`."""
NOT_CONVERTIBLE = 48
"""The faster kernels do not know a part of the model."""
CONVERSION_DIFFERS = 49
"""The converted model does not give what the model does."""
MISSING_PACKAGE = 50
"""The potential needs a package that is not installed."""
BAD_INPUT = 51
"""The input cannot be run as it is; the message says what to change."""
MODEL_NOT_LOADED = 52
"""The potential cannot be read, or cannot describe the structure."""
MODEL_REFUSED = 53
"""The model file has something in it that could run code, and the user did not say to trust it."""

STATES = {
    FINISHED: 'finished',
    INTERRUPTED: 'interrupted',
    EXPLODED: 'exploded',
    TOO_MANY_FAILURES: 'too many failures',
    DIVERGED: 'diverged',
    NOT_A_NUMBER: 'not a number',
    OUT_OF_MEMORY: 'out of memory',
    ENERGY_SHIFT: 'energy shift',
    UNCERTAIN: 'uncertain',
    NOT_CONVERTIBLE: 'not convertible',
    CONVERSION_DIFFERS: 'conversion differs',
}
"""The `state` of `status.json` for an exit code; `error` for the others."""


class EngineError(Exception):
    """An end of the run that has an exit code.

    Attributes
    ----------
    exit_code
        One of the codes of this module.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
