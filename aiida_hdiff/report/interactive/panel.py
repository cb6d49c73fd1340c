"""What all interactive figures share: panels with variants, colours, compact numbers and safe text."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult
from aiida_hdiff.report.text import EMULATED

Figure = dict[str, Any]

COLOURS = tuple(f'@c{number}' for number in range(6))
"""Names of colours, which the page replaces by those of the light or the dark mode."""
GREYS = tuple(f'@l{number}' for number in range(5))
MARKERS = ('circle', 'square', 'diamond', 'cross', 'triangle-up', 'pentagon')
MAX_POINTS = 300
KEEP_APART = '\u200b'
"""A sign without width: so many of it after the label of each potential keep equal labels apart on an axis."""
_LEGEND_PX = 56
_TITLE_PX = 24
_TICKS = [float(f'{factor}e{power}') for power in range(-8, 7) for factor in (1, 2, 5)]

_HOT = ((59, 111, 212), (132, 92, 200), (196, 80, 146), (224, 110, 80), (226, 158, 22))


@dataclass(frozen=True)
class Variant:
    """One of the figures that a panel can show: its group and label in the menu, and the figure."""

    group: str
    label: str
    figure: Figure


@dataclass(frozen=True)
class Panel:
    """An interactive figure of the page.

    Attributes
    ----------
    name, title : str
        Name in the page and heading.
    caption : str
        What is drawn, in a sentence or two.
    variants : tuple of Variant
        Figures to choose from, at least one.
    height : int
        Height in pixels.
    is_3d : bool
        Whether it is a three-dimensional view.
    """

    name: str
    title: str
    caption: str
    variants: tuple[Variant, ...]
    height: int = 400
    is_3d: bool = False


def panels(name: str, title: str, caption: str, variants: Iterable[Variant], **options: Any) -> list[Panel]:
    """Return one panel, or none where there is no variant."""
    found = tuple(variants)
    if not found:
        return []
    panel = Panel(name, title, caption, found, **options)
    for variant in found:
        layout = variant.figure['layout']
        if 'scene' not in layout:
            used = layout['margin']['t'] + layout['margin']['b'] + _LEGEND_PX
            layout['legend']['y'] = -round(_LEGEND_PX / (panel.height - used), 3)
    return [panel]


def mark_emulated(panel: Panel) -> None:
    """Write above all variants of a panel that they were made with the VASP stand-in."""
    for variant in panel.variants:
        layout = variant.figure['layout']
        layout['title'] = {
            'text': EMULATED, 'x': 0.5, 'xanchor': 'center', 'y': 0.995, 'yref': 'container', 'yanchor': 'top',
            'font': {'size': 11, 'color': '#b00020'},
        }  # fmt: skip
        layout['margin'] = {**layout['margin'], 't': layout['margin']['t'] + _TITLE_PX}


def text(value: str) -> str:
    """Return user text in which plotly finds neither tags nor links nor mathematics."""
    return html.escape(value, quote=False).replace('$', '&#36;')


def numbers(values: npt.ArrayLike, digits: int = 4) -> list[float | None]:
    """Return numbers with a few significant digits, ``None`` for what is not finite.

    Parameters
    ----------
    values : array_like
        One-dimensional values.
    digits : int
        Significant digits.

    Returns
    -------
    list
        Numbers that are short in JSON.
    """
    return [_short(float(value), digits) for value in np.asarray(values, dtype=np.float64)]


def _short(value: float, digits: int) -> float | None:
    if not math.isfinite(value):
        return None
    short = float(f'{value:.{digits}g}')
    return int(short) if short == int(short) and abs(short) < 1e6 else short


def thinned(*arrays: npt.NDArray[Any], logarithmic: bool = False) -> list[npt.NDArray[Any]]:
    """Return arrays of one length with at most `MAX_POINTS` entries each, ends included."""
    size = len(arrays[0])
    if size <= MAX_POINTS:
        return list(arrays)
    positions = np.geomspace(1, size, MAX_POINTS) - 1 if logarithmic else np.linspace(0, size - 1, MAX_POINTS)
    keep = np.unique(positions.round().astype(int))
    return [array[keep] for array in arrays]


def temperature_colours(temperatures_K: Iterable[float]) -> dict[float, str]:
    """Return one colour per temperature, from blue (cold) over purple to orange (hot)."""
    return dict(zip(unique := sorted(set(temperatures_K)), sequence_colours(len(unique)), strict=True))


def sequence_colours(count: int) -> list[str]:
    """Return colours in an order that is seen with every kind of colour vision and on light and dark paper."""
    stops = np.linspace(0.0, 1.0, len(_HOT))
    table = np.array(_HOT, dtype=np.float64)
    places = np.linspace(0.0, 1.0, count) if count != 1 else np.array([0.5])
    mixed = np.stack([np.interp(places, stops, table[:, channel]) for channel in range(3)], axis=1)
    return ['#' + ''.join(f'{round(value):02x}' for value in colour) for colour in mixed]


def figure(data: Sequence[dict[str, Any]], **layout: Any) -> Figure:
    """Return a figure with the margins and the legend of the page."""
    base: dict[str, Any] = {
        'margin': {'l': 64, 'r': 16, 't': 16, 'b': 52},
        'hovermode': 'closest',
        'hoverlabel': {'namelength': -1},
        'legend': {'orientation': 'h', 'x': 0, 'yanchor': 'top'},
    }
    return {'data': list(data), 'layout': {**base, **layout}}


def axis(title: str, **options: Any) -> dict[str, Any]:
    """Return an axis with its title."""
    return {'title': {'text': title}, 'automargin': True, **options}


def log_axis(title: str, **options: Any) -> dict[str, Any]:
    """Return a logarithmic axis with powers of ten."""
    return axis(
        title, type='log', exponentformat='power', dtick=1, minor={'ticks': 'outside', 'dtick': 'D1'}, **options
    )


def short_log_axis(title: str, **options: Any) -> dict[str, Any]:
    """Return a logarithmic axis for a decade or so, with 1, 2 and 5 times the powers of ten."""
    return axis(title, type='log', tickvals=_TICKS, ticktext=[f'{tick:g}' for tick in _TICKS], **options)


def runs(study: Study, *, first_replica_only: bool = False) -> Iterator[tuple[PotentialResult, TemperatureResult]]:
    """Yield every run with its potential, in the order of the study."""
    for potential in study.potentials:
        for result in potential.temperatures:
            if result.replica == 0 or not first_replica_only:
                yield potential, result
