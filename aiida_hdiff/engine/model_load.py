"""Opening the model files of CHGNet and MACE with an unpickler that imports nothing beyond the allow-list."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiida_hdiff.engine.exit_codes import MODEL_REFUSED, EngineError
from aiida_hdiff.engine.model_allow_list import CALLED, FUNCTION_NAMES, GETATTR, NAMED, REDUCE_GRAPH_MODULE
from aiida_hdiff.engine.model_scan import graph_module_error, scan_model


class ModelRefusedError(pickle.UnpicklingError):
    """A pickle that names what no model file needs."""


def require_safe_model(path: str | Path, architecture: str) -> None:
    """Scan a model file.

    Raises
    ------
    EngineError
        With :data:`aiida_hdiff.engine.exit_codes.MODEL_REFUSED` if anything beyond the allow-list is in it.
    """
    path = Path(path)
    result = scan_model(path.read_bytes(), architecture)
    if not result.is_safe:
        raise EngineError(MODEL_REFUSED, result.message(f'the {architecture} model {path.name}'))


def load_checkpoint(path: str | Path, *, device: str = 'cpu', trusted: bool = False) -> dict[str, Any]:
    """Return the content of a CHGNet file, which is tensors and plain values only.

    Parameters
    ----------
    path
        The file.
    device
        Where the tensors go.
    trusted
        The user vouches for the file: load whatever is in it.

    Raises
    ------
    EngineError
        If the scan finds anything beyond the allow-list.
    """
    import torch

    if not trusted:
        require_safe_model(path, 'chgnet')
    return dict(torch.load(str(path), map_location=device, weights_only=not trusted))


def load_mace_model(path: str | Path, *, device: str = 'cpu', trusted: bool = False) -> Any:
    """Return the model in a MACE file.

    Parameters
    ----------
    path
        The file.
    device
        Where the tensors go.
    trusted
        The user vouches for the file: load whatever is in it.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    EngineError
        If the scan finds anything beyond the allow-list.
    """
    import mace  # noqa: F401  (lets e3nn load its constants)
    import torch

    if trusted:
        return torch.load(str(path), map_location=device, weights_only=False)
    require_safe_model(path, 'mace')
    reader = SimpleNamespace(Unpickler=_MaceUnpickler, load=_refuse, __name__='aiida_hdiff')
    return torch.load(str(path), map_location=device, weights_only=False, pickle_module=reader)


def _refuse(*_: Any, **__: Any) -> Any:
    raise ModelRefusedError('the file is not the zip archive of torch.save')


class _MaceUnpickler(pickle.Unpickler):
    """An unpickler that finds what is on the list, and checks the arguments of what could run code."""

    def find_class(self, module: str, name: str) -> Any:
        found = f'{module}.{name}'.replace('builtins.', '__builtin__.', 1)
        if found == GETATTR:
            return _checked_getattr
        if found == REDUCE_GRAPH_MODULE:
            return _checked_graph_module
        if found == '_codecs.encode':
            return _encode
        if found not in CALLED['mace'] | NAMED['mace']:
            raise ModelRefusedError(f'the file names `{module}.{name}`, which no MACE model needs')
        return getattr(importlib.import_module(module.replace('__builtin__', 'builtins')), name)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise ModelRefusedError(f'the file encodes bytes as {encoding!r}')
    return text.encode('latin1')


def _checked_getattr(owner: Any, name: str) -> Any:
    import torch

    if owner is not torch._C._VariableFunctionsClass or name not in FUNCTION_NAMES:
        raise ModelRefusedError(f'the file takes {name!r} from an object')
    return getattr(owner, name)


def _checked_graph_module(body: dict[str, Any], imports: str) -> Any:
    from torch.fx._symbolic_trace import Tracer
    from torch.fx.graph_module import reduce_graph_module

    error = graph_module_error(body, imports, Tracer)
    if error:
        raise ModelRefusedError(error)
    return reduce_graph_module(body, imports)
