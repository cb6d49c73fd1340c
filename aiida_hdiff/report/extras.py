"""Optional dependencies of the report."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str) -> ModuleType:
    """Import a module of the ``report`` extra.

    Parameters
    ----------
    module : str
        Name of the module.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If its package is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as exception:
        package = module.partition('.')[0]
        msg = f'{package} is needed for the report but could not be imported: pip install aiida-hdiff[report]'
        raise ImportError(msg) from exception
