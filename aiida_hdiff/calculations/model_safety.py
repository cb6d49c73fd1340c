"""The last check before a job takes a model file with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.exceptions import InputValidationError

from aiida_hdiff.data.model_trust import code_in_potential, is_trusted, trust_error
from aiida_hdiff.data.potential import PotentialData


def require_trust(potential: PotentialData | None, options: Mapping[str, Any]) -> bool:
    """Return whether the model of a job is to be loaded without a scan where it runs.

    Parameters
    ----------
    potential
        The potential, if there is one.
    options
        ``metadata.options`` of the job.

    Returns
    -------
    bool
        True only if the scan finds what could run code, and the user of this profile vouches for it.

    Raises
    ------
    aiida.common.exceptions.InputValidationError
        If it finds that, and nobody does.
    """
    error = trust_error(potential, options)
    if error:
        raise InputValidationError(error)
    return potential is not None and is_trusted(potential, options) and code_in_potential(potential) is not None


def engine_potential(potential: PotentialData, options: Mapping[str, Any], name: str = 'potential') -> dict[str, Any]:
    """Return what `hdiff-engine` is told about a potential.

    Parameters
    ----------
    potential
        The potential.
    options
        ``metadata.options`` of the job.
    name
        What its files begin with where the job runs, as in ``potential.0``.

    Raises
    ------
    aiida.common.exceptions.InputValidationError
        If it could run code, and is not trusted.
    """
    more: dict[str, Any] = {'trusted': True} if require_trust(potential, options) else {}
    if potential.converted_file is not None:
        more['converted'] = f'{name}.1'
    return {
        'architecture': potential.architecture,
        'file': f'{name}.0' if potential.file_names else None,
        'options': potential.options,
        **more,
    }
