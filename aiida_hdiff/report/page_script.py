"""The plotting library and the data of the figures, made safe to stand inside a page."""

from __future__ import annotations

import base64
import gzip
import json
from functools import lru_cache
from importlib import resources
from typing import Any

from aiida_hdiff.report.extras import require

_UNSAFE = {'<': r'\u003c', '>': r'\u003e', '&': r'\u0026', '\u2028': r'\u2028', '\u2029': r'\u2029'}


def json_block(content: Any) -> str:
    """Return JSON that cannot end the script element it stands in.

    Parameters
    ----------
    content
        Only JSON types; numbers must be finite.

    Returns
    -------
    str
        Compact JSON in which ``<``, ``>``, ``&`` and line separators are escaped.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
    for sign, escape in _UNSAFE.items():
        text = text.replace(sign, escape)
    return text


@lru_cache(maxsize=1)
def plotly_gzip_base64() -> str:
    """Return plotly.js as the plotly package ships it, compressed to a third; the page unpacks it when needed.

    Raises
    ------
    ImportError
        If plotly is not installed.
    """
    plotly = require('plotly')
    source = resources.files(plotly).joinpath('package_data').joinpath('plotly.min.js').read_bytes()
    return base64.b64encode(gzip.compress(source, 9, mtime=0)).decode('ascii')
