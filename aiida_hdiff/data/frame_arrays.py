"""How frames of varying size are stored in a node: arrays with fixed names, equal bytes for equal data."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from aiida import orm

TEXTS_FILE = 'texts.json'
_TYPES = {'numbers': '<i2', 'offsets': '<i8', 'pbc': '?', 'scf_converged': '<i1'}
_WORKING_TYPES = {'numbers': np.int64, 'offsets': np.int64, 'pbc': np.bool_, 'scf_converged': np.int8}


def structure_attributes(frames: Any) -> dict[str, Any]:
    """Return the attributes of frames that queries filter by.

    Raises
    ------
    ValueError
        If there are no frames.
    """
    from ase.data import chemical_symbols

    if not len(frames):
        raise ValueError('no frames: give at least one configuration')
    counts = np.diff(frames.offsets)
    return {
        'n_frames': len(frames),
        'n_atoms_min': int(counts.min()),
        'n_atoms_max': int(counts.max()),
        'elements': [chemical_symbols[number] for number in np.unique(frames.numbers)],
        'config_types': sorted(set(frames.config_types)),
    }


def write_frame_arrays(node: orm.ArrayData, frames: Any, arrays: Sequence[str], texts: Sequence[str]) -> None:
    """Put the arrays and texts of frames into a node."""
    for name in arrays:
        values = np.ascontiguousarray(getattr(frames, name), dtype=_TYPES.get(name, '<f8'))
        if values.dtype.kind == 'f':
            # One of the many bit patterns of not-a-number, so that equal data have equal bytes.
            values = np.where(np.isnan(values), np.nan, values)
        node.set_array(name, values)
    content = json.dumps({name: list(getattr(frames, name)) for name in texts}, ensure_ascii=False, sort_keys=True)
    node.base.repository.put_object_from_filelike(io.BytesIO(content.encode('utf-8', 'surrogatepass')), TEXTS_FILE)


def read_frame_arrays(node: orm.ArrayData, arrays: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Return what `write_frame_arrays` has put into a node."""
    values: dict[str, Any] = {
        name: node.get_array(name).astype(_WORKING_TYPES.get(name, np.float64)) for name in arrays
    }
    content = node.base.repository.get_object_content(TEXTS_FILE, mode='rb').decode('utf-8', 'surrogatepass')
    return values | {name: tuple(found) for name, found in json.loads(content).items() if name in texts}
