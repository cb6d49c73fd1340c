"""Predictions against labels, with their errors below."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_hdiff.report.density import MAX_POINTS, Density, density, limits_of
from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.interactive.panel import (
    Figure,
    Panel,
    Variant,
    axis,
    figure,
    numbers,
    panels,
    sequence_colours,
    text,
)
from aiida_hdiff.report.models import Parity
from aiida_hdiff.report.study import Study
from aiida_hdiff.report.text import digits

_CELLS = (60, 60)
_ERROR_CELLS = (44, 22)
_STOPS = 9
_CAPTION = (
    'Predictions against labels of the test set, and their difference below; the line is where both agree. More than '
    f'{MAX_POINTS} points are drawn as their number in each cell of a grid, from blue (one) to orange (most): none is '
    'left out. Energies are without constants of the elements.'
)


def parity_panels(study: Study) -> list[Panel]:
    """Return the parity plots, a variant per potential and quantity."""
    variants = [
        Variant(potential.label, shown.name, _figure(shown))
        for potential in study.potentials
        if potential.model is not None
        for shown in potential.model.parity
    ]
    return panels('parity', 'Predictions and labels', _CAPTION, variants, height=560)


def _figure(shown: Parity) -> Figure:
    errors = shown.predictions - shown.labels
    limits = limits_of(shown.labels, shown.predictions)
    error_limits = limits_of(errors, -errors)
    if len(shown.labels) <= MAX_POINTS:
        above, below = _points(shown, shown.predictions, ''), _points(shown, errors, '2')
    else:
        above = _cells(density(shown.labels, shown.predictions, _CELLS, (limits, limits)), shown.unit, '')
        below = _cells(density(shown.labels, errors, _ERROR_CELLS, (limits, error_limits)), shown.unit, '2')
    name, unit = text(shown.name), text(shown.unit)
    return figure(
        [above, below],
        xaxis=axis('', range=list(limits), showticklabels=False, anchor='y', zeroline=False),
        yaxis=axis(f'{name}: prediction ({unit})', range=list(limits), domain=[0.36, 1.0], zeroline=False),
        xaxis2=axis(f'{name}: label ({unit})', range=list(limits), matches='x', anchor='y2', zeroline=False),
        yaxis2=axis(f'error ({unit})', range=list(error_limits), domain=[0.0, 0.3], anchor='x2', zeroline=False),
        shapes=[_line(limits, limits, ''), _line(limits, (0.0, 0.0), '2')],
        annotations=[
            {
                'text': f'RMSE {digits(shown.rmse)} {unit}, {len(errors)} values',
                'x': 0.02, 'y': 0.98, 'xref': 'x domain', 'yref': 'y domain', 'xanchor': 'left', 'yanchor': 'top',
                'showarrow': False,
            }
        ],
        showlegend=False,
    )  # fmt: skip


def _line(x: tuple[float, float], y: tuple[float, float], suffix: str) -> dict[str, Any]:
    return {
        'type': 'line', 'xref': f'x{suffix}', 'yref': f'y{suffix}', 'x0': x[0], 'x1': x[1], 'y0': y[0], 'y1': y[1],
        'line': {'color': '@soft', 'width': 1}, 'layer': 'below',
    }  # fmt: skip


def _points(shown: Parity, y: FloatArray, suffix: str) -> dict[str, Any]:
    what = 'error' if suffix else 'prediction'
    return {
        'mode': 'markers', 'x': numbers(shown.labels), 'y': numbers(y), 'xaxis': f'x{suffix}', 'yaxis': f'y{suffix}',
        'marker': {'color': '@c0', 'size': 5, 'opacity': 0.6},
        'hovertemplate': f'label %{{x}} {text(shown.unit)}<br>{what} %{{y}}<extra></extra>',
    }  # fmt: skip


def _cells(found: Density, unit: str, suffix: str) -> dict[str, Any]:
    """Return the occupied cells; each row and column of the grid is named so that all cells have one size."""
    x, y, counts = found.occupied
    fill_x = np.concatenate([found.x, np.full(len(found.y), found.x[0])])
    fill_y = np.concatenate([np.full(len(found.x), found.y[0]), found.y])
    none = [None] * len(fill_x)
    highest = max(float(counts.max()), 2.0)
    return {
        'type': 'heatmap',
        'x': numbers(np.concatenate([fill_x, x])),
        'y': numbers(np.concatenate([fill_y, y])),
        'z': [*none, *(int(count) for count in counts)],
        'zmin': 1.0,
        'zmax': highest,
        'colorscale': _logarithmic_scale(highest),
        'showscale': False,
        'hoverongaps': False,
        'xaxis': f'x{suffix}',
        'yaxis': f'y{suffix}',
        'hovertemplate': f'label %{{x:.3g}} {text(unit)}<br>{"error" if suffix else "prediction"} %{{y:.3g}}<br>'
        '%{z} values<extra></extra>',
    }  # fmt: skip


def _logarithmic_scale(highest: float) -> list[list[Any]]:
    """Return a scale from one to the highest count whose colours go with the logarithm."""
    counts = np.geomspace(1.0, highest, _STOPS)
    return [
        [round(float((count - 1.0) / (highest - 1.0)), 6), colour]
        for count, colour in zip(counts, sequence_colours(_STOPS), strict=True)
    ]
