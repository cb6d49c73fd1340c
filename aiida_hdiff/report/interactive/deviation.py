"""Relative deviation of every potential from a published law, as coloured fields."""

from __future__ import annotations

import math
from typing import Any

from aiida_hdiff.report.compare import Deviation, deviations, published_label
from aiida_hdiff.report.interactive.panel import KEEP_APART, Figure, Panel, Variant, axis, figure, panels, text
from aiida_hdiff.report.study import Study
from aiida_hdiff.report.text import ratio, scientific

_LIMIT = 1.0
_LABEL_LENGTH = 28
_SCALE = [[0.0, '#2166ac'], [0.25, '#7fb2d6'], [0.5, '#f7f3ec'], [0.75, '#e8a06a'], [1.0, '#b2461f']]
_CAPTION = (
    'D of each potential in m²/s (left out on narrow screens), and below it over the published one at the same '
    '(measured) temperature: blue is too slow, orange too fast, the colours end at a factor of ten. “<” marks upper '
    'bounds, * temperatures outside the published range.'
)


def deviation_panels(study: Study) -> list[Panel]:
    """Return the ratio of D to each published law, potentials against temperatures."""
    tables = [
        (value, [(one.label, found) for one in study.potentials if (found := deviations(one, value))])
        for value in study.literature
    ]
    tables.sort(key=lambda entry: -sum(len(found) for _, found in entry[1]))
    variants = [Variant('', published_label(value), _figure(rows)) for value, rows in tables if rows]
    height = 170 + 56 * max(len(study.potentials), 1)
    return panels('deviation', 'Deviation from published values', _CAPTION, variants, height=height)


def _figure(rows: list[tuple[str, tuple[Deviation, ...]]]) -> Figure:
    temperatures = sorted({item.temperature_K for _, found in rows for item in found})
    columns = [f'{kelvin:g}' for kelvin in temperatures]
    z: list[list[float | None]] = []
    words, short, hovers = [], [], []
    for _, found in rows:
        by_temperature = {item.temperature_K: item for item in found}
        cells = [by_temperature.get(kelvin) for kelvin in temperatures]
        z.append([None if cell is None else round(math.log10(cell.ratio), 4) for cell in cells])
        words.append(['' if cell is None else f'{_coefficient(cell)}<br>{_ratio(cell)}' for cell in cells])
        short.append(['' if cell is None else _ratio(cell) for cell in cells])
        hovers.append(['' if cell is None else _hover(cell) for cell in cells])
    heat: dict[str, Any] = {
        'type': 'heatmap',
        'z': z,
        'x': columns,
        'y': [f'{text(label[:_LABEL_LENGTH])}{KEEP_APART * number}' for number, (label, _) in enumerate(rows)],
        'text': words,
        'meta': {'narrow': {'text': short}},
        'texttemplate': '%{text}',
        'textfont': {'color': '#14181f', 'size': 12},
        'customdata': hovers,
        'hovertemplate': '%{customdata}<extra></extra>',
        'zmin': -_LIMIT,
        'zmax': _LIMIT,
        'colorscale': _SCALE,
        'xgap': 3,
        'ygap': 3,
        'colorbar': {
            'title': {'text': 'D / D(published)', 'side': 'right'},
            'tickvals': [-1, -0.5, 0, 0.5, 1],
            'ticktext': ['≤ 0.1', '0.3', '1', '3', '≥ 10'],
            'thickness': 12,
            'outlinewidth': 0,
        },
    }
    return figure(
        [heat],
        xaxis=axis('requested T (K)', type='category', showgrid=False),
        yaxis={'type': 'category', 'automargin': True, 'showgrid': False, 'autorange': 'reversed'},
    )


def _coefficient(cell: Deviation) -> str:
    return f'{"&lt; " if cell.is_bound else ""}{scientific(cell.value_m2_s)}'


def _ratio(cell: Deviation) -> str:
    return f'{"&lt; " if cell.is_bound else ""}{ratio(cell.ratio)}{"*" if cell.extrapolated else ""}'


def _hover(cell: Deviation) -> str:
    sign = '&lt;' if cell.is_bound else '='
    sigma = '' if cell.distance_sigma is None else f'<br>ln ratio is {cell.distance_sigma:.1f} standard errors from 0'
    return (
        f'D {sign} {scientific(cell.value_m2_s)} m²/s at {cell.measured_temperature_K:.0f} K<br>'
        f'published {scientific(cell.published_m2_s)} m²/s<br>ratio {sign} {ratio(cell.ratio)}, '
        f'deviation {sign} {100.0 * (cell.ratio - 1.0):+.0f} %{sigma}'
    )
