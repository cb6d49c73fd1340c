"""House style of the figures: sizes, fonts and colours."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.extras import require
from aiida_hdiff.report.study import Study
from aiida_hdiff.report.text import EMULATED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = TypeVar('Draw', bound=Callable[..., Any])

COLUMN_IN = 3.35
"""Width of one journal column (85 mm) in inches."""

PAGE_IN = 6.9
"""Width of a journal page (175 mm) in inches."""

# Okabe and Ito's palette without black and yellow: told apart with every kind of colour vision.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')
MARKERS = ('o', 's', '^', 'D', 'v', 'P')
INK = '#222222'
WARNING = '#B00020'
MAX_POINTS = 300
KINDS = ('svg', 'pdf', 'png')
"""Formats of files of figures."""
_METADATA: dict[str, dict[str, str | None]] = {
    'svg': {'Date': None, 'Creator': None},
    'pdf': {'CreationDate': None, 'Creator': None, 'Producer': None},
    'png': {'Software': None},
}
_LABEL_POINTS_PER_IN = 1.9
"""Size of the label of emulated figures by their width, so that it fits."""

_RC: dict[str, Any] = {
    'font.family': 'DejaVu Sans',
    'font.size': 8.0,
    'axes.labelsize': 8.5,
    'axes.titlesize': 8.5,
    'axes.linewidth': 0.7,
    'axes.edgecolor': INK,
    'axes.labelcolor': INK,
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
    'xtick.labelsize': 7.5,
    'ytick.labelsize': 7.5,
    'xtick.direction': 'in',
    'ytick.direction': 'in',
    'legend.fontsize': 7.0,
    'legend.frameon': False,
    'legend.handlelength': 1.8,
    'lines.linewidth': 1.2,
    'lines.markersize': 4.5,
    'errorbar.capsize': 2.0,
    'figure.facecolor': 'white',
    'figure.constrained_layout.use': True,
    'savefig.dpi': 200,
    'svg.fonttype': 'path',
    'pdf.fonttype': 42,
    'svg.hashsalt': 'aiida-hdiff',
    'axes.formatter.use_mathtext': True,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Apply the house style to everything drawn or saved inside.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    matplotlib = require('matplotlib')
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def new_figure(
    width_in: float, height_in: float, rows: int = 1, columns: int = 1, **sharing: Any
) -> tuple[Figure, list[list[Axes]]]:
    """Return an empty figure without any global state, and its grid of axes.

    Parameters
    ----------
    width_in, height_in : float
        Size in inches.
    rows, columns : int
        Size of the grid.
    **sharing
        ``sharex`` and ``sharey`` of :meth:`matplotlib.figure.Figure.subplots`.

    Returns
    -------
    tuple
        The figure and its axes, ``axes[row][column]``.
    """
    figure: Figure = require('matplotlib.figure').Figure(figsize=(width_in, height_in))
    grid = figure.subplots(rows, columns, squeeze=False, **sharing)
    return figure, [list(row) for row in grid]


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as the content of a file; equal figures give equal bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    kind : str
        ``png`` (200 dots per inch), ``svg`` or ``pdf``.

    Returns
    -------
    bytes
        The content.
    """
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, metadata=_METADATA[kind])
    return buffer.getvalue()


def mark_emulated(figure: Figure) -> None:
    """Write above a figure that it was made with the VASP stand-in."""
    size = min(9.0, _LABEL_POINTS_PER_IN * figure.get_figwidth())
    figure.suptitle(EMULATED, color=WARNING, fontsize=size, fontweight='bold')


def labelled(draw: Draw) -> Draw:
    """Return a function that draws a figure of a study, and labels it if anything in the study was emulated."""

    @wraps(draw)
    def labelled_draw(study: Study, *args: Any, **kwargs: Any) -> Any:
        figure = draw(study, *args, **kwargs)
        if figure is not None and study.emulated:
            with house_style():
                mark_emulated(figure)
        return figure

    return cast('Draw', labelled_draw)


def plain(text: str) -> str:
    """Return user text with its dollar signs protected from the mathematics parser."""
    return text.replace('$', r'\$')


def temperature_colours(temperatures_K: Sequence[float]) -> dict[float, Any]:
    """Return one colour per temperature, dark for cold and bright for hot.

    Parameters
    ----------
    temperatures_K : sequence of float
        Temperatures in K, with repetitions.

    Returns
    -------
    dict
        Colours by temperature.
    """
    colormap = require('matplotlib').colormaps['plasma']
    unique = sorted(set(temperatures_K))
    positions = np.linspace(0.02, 0.82, max(len(unique), 2))
    return {kelvin: colormap(position) for kelvin, position in zip(unique, positions, strict=False)}


def thinned(*arrays: FloatArray, logarithmic: bool = False) -> list[FloatArray]:
    """Return the arrays with at most `MAX_POINTS` entries each, ends included.

    Parameters
    ----------
    *arrays : ndarray
        Arrays of one length.
    logarithmic : bool
        Keep the early entries densely, for logarithmic axes.

    Returns
    -------
    list of ndarray
        The thinned arrays.
    """
    size = len(arrays[0])
    if size <= MAX_POINTS:
        return list(arrays)
    if logarithmic:
        positions = np.geomspace(1, size, MAX_POINTS) - 1
    else:
        positions = np.linspace(0, size - 1, MAX_POINTS)
    keep = np.unique(positions.round().astype(int))
    return [array[keep] for array in arrays]


def temperature_legend(figure: Figure, colours: dict[float, Any], columns: int = 5) -> None:
    """Put one legend of the temperatures below the panels."""
    lines = require('matplotlib.lines')
    handles = [lines.Line2D([], [], color=colour, label=f'{kelvin:g} K') for kelvin, colour in colours.items()]
    if not handles:
        return
    figure.legend(
        handles=handles,
        loc='outside lower center',
        ncols=min(columns, len(handles)),
        columnspacing=1.0,
        handletextpad=0.4,
        handlelength=1.3,
    )
