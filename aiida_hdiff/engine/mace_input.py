"""The input of ``hdiff-engine train-mace``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_hdiff.engine.job_input import bad_input, check_keys, job_limits

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
        check_keys(values, _KEYS)
        threads, max_seconds = job_limits(values)
        config = values.get('config')
        if not isinstance(config, dict) or 'name' not in config or 'seed' not in config:
            raise bad_input('`config` is missing, or lacks `name` and `seed`: give the options of mace_run_train.')
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
