"""MACE by the compiled kernels of Symmetrix-XL: the conversion of a model, and its calculator.

Symmetrix-XL (package ``symmetrix-xl``) is a fork of Symmetrix by W. C. Witt. It evaluates the same function as
mace-torch, but for its radial functions, which are splines, and reads it from a JSON file made once from the model.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

from aiida_hdiff.engine.exit_codes import MISSING_PACKAGE, MODEL_REFUSED, NOT_CONVERTIBLE, EngineError
from aiida_hdiff.engine.implementations import RECORD, NotApplicableError

PACKAGE = 'symmetrix-xl'
_PLAIN = re.compile(r'[A-Za-z0-9 _.,:;=+*\-/()\[\]]{0,200}')


def symmetrix_calculator(path: str | Path | None, *, dtype: str, head: str | None) -> Any:
    """Load a converted model.

    Where kernels cannot be compiled for it, for want of a C++20 compiler, those are used that need no compilation.

    Parameters
    ----------
    path
        File that :func:`convert` wrote, or ``None``.
    dtype
        ``float64`` or ``float32``.
    head
        Head of the model, or ``None`` for its default.

    Returns
    -------
    ase.calculators.calculator.Calculator

    Raises
    ------
    NotApplicableError
        If the model has not been converted, or the package is missing.
    EngineError
        If the file is not the plain data that a converted model is.
    """
    if path is None:
        raise NotApplicableError('the model has not been converted (`hdiff.mace_convert`)')
    require_plain_data(path)
    try:
        from symmetrix import Symmetrix
    except ImportError as error:
        raise NotApplicableError(
            f'the package {PACKAGE} cannot be used here ({error}); pip install "aiida-hdiff[fast]"'
        ) from error
    record = {'implementation': 'symmetrix', 'variant': 'direct', 'dtype': dtype}
    try:
        calculator = Symmetrix(str(path), dtype=dtype, head=head, streamed_edges='direct')
    except Exception as error:
        reason = str(error).partition('\n')[0]
        record |= {'variant': 'non-compiled', 'warning': f'kernels were not compiled, the run is slower: {reason}'}
        try:
            calculator = Symmetrix(str(path), dtype=dtype, head=head, streamed_edges='non-compiled')
        except Exception as second:
            raise NotApplicableError(f'{PACKAGE} cannot run the converted model here ({second})') from second
    setattr(calculator, RECORD, record)
    return calculator


def require_plain_data(path: str | Path) -> None:
    """Refuse a converted model that is more than numbers and names.

    From the file source code is made, which is compiled: no string in it may have what could become code.

    Raises
    ------
    EngineError
        With :data:`aiida_hdiff.engine.exit_codes.MODEL_REFUSED`.
    """
    error = plain_data_error(Path(path).read_bytes())
    if error:
        raise EngineError(MODEL_REFUSED, f'the converted model {Path(path).name} is not loaded: {error}.')


def plain_data_error(content: bytes) -> str | None:
    """Return what in a converted model is not plain data, or ``None``."""
    try:
        left = [json.loads(content)]
    except (ValueError, RecursionError):
        return 'it is no JSON'
    if not isinstance(left[0], dict):
        return 'it is no JSON object'
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str) and _PLAIN.fullmatch(value) is None:
            return f'it has the text {value[:40]!r}, which no converted model has'
    return None


def convert(model: Any, target: str | Path, *, head: str | None) -> None:
    """Write a model of mace-torch as Symmetrix-XL reads it.

    Parameters
    ----------
    model
        The module, as :func:`aiida_hdiff.engine.model_load.load_mace_model` returns it.
    target
        File to write.
    head
        Its default head, or ``None``.

    Raises
    ------
    EngineError
        If the package is missing, or the model has parts that Symmetrix-XL does not know.
    """
    try:
        from symmetrix import extract_mace_data
    except ImportError as error:
        raise EngineError(
            MISSING_PACKAGE, f'the package {PACKAGE} cannot be used ({error}): pip install "aiida-hdiff[fast]".'
        ) from error
    # The converter reads files by itself, and unpickles whatever is in them: it is given the model that was scanned.
    load = extract_mace_data._load_mace_checkpoint
    extract_mace_data._load_mace_checkpoint = lambda *_: model
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            data = extract_mace_data.extract_mace_data('', head=head)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError) as error:
        raise EngineError(
            NOT_CONVERTIBLE,
            f'Symmetrix-XL cannot run this model ({type(error).__name__}: {error}). It takes models with `max_ell: 3`, '
            '`correlation: 3` and two interactions: run this one with mace-torch, or train one like that.',
        ) from error
    finally:
        extract_mace_data._load_mace_checkpoint = load
    Path(target).write_text(json.dumps(data, separators=(',', ':')) + '\n', encoding='utf-8')
