"""The input of ``hdiff-engine train-mace``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError

_KEYS = (
    'config', 'foundation', 'trusted', 'resume', 'max_energy_shift_eV_per_atom', 'divergence_factor', 'patience',
    'threads', 'max_seconds',
)  # fmt: skip


@dataclass(frozen=True)
class MaceInput:
    """What ``hdiff-engine train-mace`` is told.

    Attributes
    ----------
    config
        All options of ``mace_run_train``.
    foundation
        Name of the file of the foundation model in the working directory, or ``None``.
    trusted
        Load the foundation model whatever is in it, because the user vouches for it.
    resume
        Name of the file to continue from, or ``None``.
    max_energy_shift_eV_per_atom
        Largest mean error of the foundation's energies before the first epoch; ``None`` for any.
    divergence_factor
        Stop when the validation loss is this many times the first.
    patience
        Stop after so many evaluations without a better one; ``None`` for never.
    threads
        Threads of torch.
    max_seconds
        Wall time (s) after which the job stops; or ``None``.
    """

    config: dict[str, Any]
    foundation: str | None
    resume: str | None
    max_energy_shift_eV_per_atom: float | None
    divergence_factor: float
    patience: int | None
    threads: int
    max_seconds: float | None
    trusted: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaceInput:
        """Build from the mapping in the input file.

        Raises
        ------
        EngineError
            If something is missing, unknown or out of range.
        """
        for key in values:
            if key not in _KEYS:
                raise _bad(f'unknown key `{key}`; known: {", ".join(_KEYS)}.')
        config, threads, max_seconds = values.get('config'), values.get('threads', 1), values.get('max_seconds')
        if not isinstance(config, dict) or 'name' not in config or 'seed' not in config:
            raise _bad('`config` is missing, or lacks `name` and `seed`: give the options of mace_run_train.')
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise _bad(f'`threads` is {threads!r}: give a whole number of at least 1.')
        if max_seconds is not None and (not isinstance(max_seconds, (int, float)) or not max_seconds > 0):
            raise _bad(f'`max_seconds` is {max_seconds!r}: give a positive number of seconds.')
        return cls(
            config=config,
            foundation=values.get('foundation'),
            resume=values.get('resume'),
            max_energy_shift_eV_per_atom=values.get('max_energy_shift_eV_per_atom'),
            divergence_factor=float(values.get('divergence_factor') or 100.0),
            patience=values.get('patience'),
            threads=threads,
            max_seconds=max_seconds,
            trusted=values.get('trusted') is True,
        )


def _bad(message: str) -> EngineError:
    return EngineError(BAD_INPUT, message)
