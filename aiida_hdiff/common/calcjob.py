"""What all calculation jobs share: exit-code ranges that decide about caching, and default resources."""

from __future__ import annotations

from typing import Any

from aiida.engine import CalcJob, CalcJobProcessSpec

CACHEABLE_FROM = 500
"""Exit statuses below this one mean that the job did not do its work: it is never served from the cache."""


class HdiffProcessSpec(CalcJobProcessSpec):
    """Specification in which a failed job invalidates the cache unless told otherwise.

    Ranges: 300-349 output missing or unreadable, 400-409 stopped but restartable, 410-449 the run failed,
    500-599 the physics says no, 700-799 finished with a warning.
    """

    def exit_code(self, status: int, label: str, message: str, invalidates_cache: bool | None = None) -> None:
        """Add an exit code."""
        if invalidates_cache is None:
            invalidates_cache = status < CACHEABLE_FROM
        super().exit_code(status, label, message, invalidates_cache=invalidates_cache)


def set_default_options(spec: Any, parser_name: str, *, max_wallclock_seconds: int = 86400) -> None:
    """Default to the parser, one process, one thread and a day of wall time; take the option `trusted_models`."""
    spec.input(
        'metadata.options.trusted_models',
        valid_type=list,
        required=False,
        help='Keys of potentials to load although they could run code; they must be trusted in this profile, too.',
    )
    options = spec.inputs['metadata']['options']
    options['parser_name'].default = parser_name
    options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    options['withmpi'].default = False
    options['max_wallclock_seconds'].default = max_wallclock_seconds
    options['environment_variables'].default = {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}


def require_package(module: str, extra: str) -> None:
    """Check that an optional package is there.

    Raises
    ------
    ImportError
        With the extra to install.
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise ImportError(f'package {module!r} is not installed: run `pip install "aiida-hdiff[{extra}]"`.')


__all__ = ('CACHEABLE_FROM', 'CalcJob', 'HdiffProcessSpec', 'require_package', 'set_default_options')
