"""The header of ML_FF and ML_FFN, force fields of VASP from 6.4 on.

Format: https://www.vasp.at/wiki/index.php/ML_FFN. The first 4096 characters are one line of text with a JSON object;
the rest is binary and is not read. Files of VASP 6.3 have no header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER_BYTES = 4096

_HEADER = re.compile(r'ML_FF\s+(\d[\w.]*)\s+(\w+)\s+(\{.*\})\s*\Z', re.DOTALL)
_LOGICAL = re.compile(r':\s*(True|False)\b')


@dataclass(frozen=True)
class MLFFHeader:
    """What the header of a force field says.

    Attributes
    ----------
    version
        Version of the file format: 0.2.0 of VASP 6.4.0, 0.2.1 of 6.4.1 and 6.4.2, 0.2.2 of 6.4.3, 0.2.4 of 6.5.
    types
        Chemical symbols of the species, in the order of the file.
    lfast
        Whether the force field predicts in the fast mode: it does after a refit.
    n_training
        Number of training configurations.
    n_local
        Number of local reference configurations of each species.
    emulated
        Whether a stand-in has written the file and not VASP.
    date
        When it was written, as in the rows FFOUT of ML_LOGFILE.
    settings
        All entries.
    """

    version: str
    types: tuple[str, ...]
    lfast: bool
    n_training: int
    n_local: tuple[int, ...]
    emulated: bool
    date: str
    settings: Mapping[str, Any]


def read_ml_ff_header(file: str | Path | bytes) -> MLFFHeader | None:
    """Read the header of a force field.

    Parameters
    ----------
    file
        Path or content of ML_FF or ML_FFN; of the content only the first 4096 bytes are needed.

    Returns
    -------
    MLFFHeader | None
        None if the file has no header, as those of VASP 6.3.

    Raises
    ------
    ValueError
        There is a header that cannot be read, or the file is empty.
    """
    if isinstance(file, bytes):
        name, head = 'ML_FF', file[:HEADER_BYTES]
    else:
        name = Path(file).name
        with Path(file).open('rb') as stream:
            head = stream.read(HEADER_BYTES)
    if not head:
        raise ValueError(f'{name} is empty: the force field was not written; copy the file again or refit')
    if not head.startswith(b'ML_FF '):
        return None
    match = _HEADER.match(head.decode('ascii', errors='replace').replace('\0', ' ').rstrip())
    try:
        # Before 6.5 logical values were written as in Python.
        entries = json.loads(_LOGICAL.sub(lambda found: f': {found[1].lower()}', match[3])) if match else None
    except (ValueError, RecursionError):
        entries = None
    if match is None or not isinstance(entries, dict):
        raise ValueError(f'the header of {name} cannot be read: the file is damaged or incomplete; copy it again')
    types, lfast, n_training, n_local = (
        entries.get(key, '') for key in ('types', 'ML_LFAST', 'training_structures', 'local_reference_cfgs')
    )
    if not (_list_of(types, str) and type(lfast) is bool and type(n_training) is int and _list_of(n_local, int)):
        raise ValueError(
            f'the header of {name} lacks types, ML_LFAST, training_structures or local_reference_cfgs: '
            'the file is damaged, or of a version of VASP that is not known here'
        )
    return MLFFHeader(
        version=match[1],
        types=tuple(types),
        lfast=lfast,
        n_training=n_training,
        n_local=tuple(n_local),
        emulated=bool(entries.get('EMULATED', False)),
        date=str(entries.get('date', '')),
        settings=entries,
    )


def _list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(type(entry) is kind for entry in value)
