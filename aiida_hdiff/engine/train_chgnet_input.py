"""The input of ``hdiff-engine train-chgnet``: settings, foundation and data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_hdiff.engine.job_input import bad_input, check_keys, job_limits
from aiida_hdiff.engine.train_chgnet_settings import ChgnetTrainingSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aiida_hdiff.formats import LabelledFrames

SPLITS = ('train', 'valid', 'test')
ARRAYS = ('numbers', 'positions', 'offsets', 'cells', 'pbc', 'energies', 'forces', 'stresses')
"""Arrays of a file of labelled frames, as in :class:`aiida_hdiff.formats.LabelledFrames`."""
MAGMOMS = 'magmoms'
"""Array of magnetic moments of all atoms in Bohr magnetons, shape (n_total,), NaN where unknown; may be missing."""
_KEYS = ('settings', 'model', 'options', 'trusted', 'sets', 'checkpoint', 'threads', 'max_seconds')


@dataclass(frozen=True)
class ChgnetTrainingInput:
    """What ``hdiff-engine train-chgnet`` is told.

    Attributes
    ----------
    settings
        How to train.
    model
        File of the foundation.
    options
        Of the foundation: ``device``.
    trusted
        Load the model file whatever is in it, because the user vouches for it.
    sets
        Files with labelled frames: ``train``, ``valid`` and, optionally, ``test``.
    checkpoint
        File from which to go on, or ``None``.
    threads
        Threads of torch.
    max_seconds
        Wall time (s) after which the job stops, with a checkpoint of the last complete epoch; or ``None``.
    """

    settings: ChgnetTrainingSettings
    model: str
    options: dict[str, Any]
    trusted: bool
    sets: dict[str, str]
    checkpoint: str | None
    threads: int
    max_seconds: float | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChgnetTrainingInput:
        """Build from the mapping in the input file.

        Raises
        ------
        EngineError
            If something is missing, unknown or out of range.
        """
        check_keys(values, _KEYS)
        try:
            settings = ChgnetTrainingSettings.from_dict(values.get('settings') or {})
        except ValueError as error:
            raise bad_input(f'`settings`: {error}') from error
        threads, max_seconds = job_limits(values)
        sets = values.get('sets')
        if not isinstance(values.get('model'), str):
            raise bad_input('`model` is missing: give the name of the file of the foundation.')
        if not isinstance(sets, Mapping) or not {'train', 'valid'} <= set(sets) <= set(SPLITS):
            raise bad_input('`sets` must name the files of `train`, `valid` and, optionally, `test`.')
        return cls(
            settings=settings,
            model=values['model'],
            options=dict(values.get('options') or {}),
            trusted=values.get('trusted') is True,
            sets={name: str(sets[name]) for name in SPLITS if name in sets},
            checkpoint=values.get('checkpoint'),
            threads=threads,
            max_seconds=max_seconds,
        )

    def identity(self) -> str:
        """Return a digest of all that decides how the training goes: settings, foundation and sets."""
        digest = hashlib.sha256(json.dumps([self.settings.as_dict(), sorted(self.sets)], sort_keys=True).encode())
        digest.update(Path(self.model).read_bytes())
        for name in self.sets.values():
            for array in _arrays(name).values():
                digest.update(array.tobytes())
        return digest.hexdigest()


def _arrays(name: str) -> dict[str, NDArray[Any]]:
    from aiida_hdiff.engine.md_input import read_arrays

    arrays = read_arrays(name)
    missing = [key for key in ARRAYS if key not in arrays]
    if missing:
        raise bad_input(f'{name}: lacks {", ".join(missing)}.')
    return {key: arrays[key] for key in (*ARRAYS, MAGMOMS) if key in arrays}


def read_labelled(name: str) -> tuple[LabelledFrames, NDArray[np.float64] | None]:
    """Return the labelled frames of a file in the working directory, and their magnetic moments if it has them.

    Raises
    ------
    EngineError
        If the file is missing or is not one of labelled frames.
    """
    import numpy as np

    from aiida_hdiff.formats import LabelledFrames

    arrays = _arrays(name)
    magmoms = arrays.pop(MAGMOMS, None)
    n_frames = len(arrays['energies'])
    types = {'numbers': np.int64, 'offsets': np.int64, 'pbc': np.bool_}
    values: dict[str, Any] = {key: np.asarray(arrays[key], dtype=types.get(key, np.float64)) for key in ARRAYS}
    try:
        frames = LabelledFrames(
            **values,
            ctifors=np.full(n_frames, np.nan),
            scf_converged=np.full(n_frames, -1, dtype=np.int8),
            origins=tuple(f'frame {index}' for index in range(n_frames)),
            references=('',) * n_frames,
            config_types=('',) * n_frames,
        )
    except ValueError as error:
        raise bad_input(f'{name}: {error}.') from error
    if not n_frames:
        raise bad_input(f'{name}: has no frames.')
    if magmoms is not None and magmoms.shape != frames.numbers.shape:
        raise bad_input(f'{name}: {magmoms.size} magnetic moments for {len(frames.numbers)} atoms.')
    return frames, magmoms
