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
