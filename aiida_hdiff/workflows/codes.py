"""Which of the codes of a study runs, trains and evaluates a potential."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.md_job import lammps_code_error
from aiida_hdiff.workflows.md_stage import CODE_PLUGINS, LAMMPS_JOB, by_callback, engine_of, job_plugin
from aiida_hdiff.workflows.validation import code_error, options_error

ENGINE = 'engine'
LABEL = 'label'
OWN_ENGINES = ('mace', 'chgnet')
"""Architectures that may have a `hdiff-engine` of their own."""


def code_key(architecture: str, codes: Collection[str], *, evaluates: bool = False) -> str:
    """Return the key of the code for potentials of an architecture.

    Parameters
    ----------
    architecture
        As `PotentialData` names it.
    codes
        Keys that there are: where `mace` or `chgnet` is absent, `engine` is used.
    evaluates
        Whether it is for `hdiff.evaluate`, which `hdiff-engine` does for LAMMPS pair styles too.
    """
    key = ENGINE if evaluates else engine_of(architecture)
    return architecture if key == ENGINE and architecture in OWN_ENGINES and architecture in codes else key


def label_key(codes: Collection[str]) -> str:
    """Return the key of the code that labels frames with another method than a potential, such as GPAW."""
    return LABEL if LABEL in codes else ENGINE


def codes_error(
    wanted: Mapping[str, str], codes: Mapping[str, orm.AbstractCode], options: Mapping[str, Any] | None
) -> str | None:
    """Return which code is missing or cannot be used, or ``None``.

    Parameters
    ----------
    wanted
        What each code is for, such as ``runs potential 'eam' (lammps)``, by key.
    codes
        The codes by key.
    options
        ``metadata.options`` of the jobs.
    """
    for key, purpose in wanted.items():
        code = codes.get(key)
        if code is None:
            return f'`codes.{key}` is missing, which {purpose}.'
        engine = ENGINE if key in (*OWN_ENGINES, LABEL) else key
        if CODE_PLUGINS.get(code.default_calc_job_plugin or '') != engine and not by_callback(code, key):
            return (
                f'`codes.{key}` is set up for {code.default_calc_job_plugin!r}: give one whose default plugin is '
                f'{job_plugin(engine)!r}.'
            )
        error = code_error(code) or options_error(options or {}, code)
        if error is None and code.default_calc_job_plugin == LAMMPS_JOB:
            error = lammps_code_error(code, key, options)
        if error:
            return error
    return None
