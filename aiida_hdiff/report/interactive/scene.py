"""What the three-dimensional views share."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.interactive.panel import Figure, figure, numbers, text


def points(positions_A: FloatArray) -> dict[str, list[float | None]]:
    """Return coordinates for a trace."""
    return {name: numbers(positions_A[:, column].round(2), 6) for column, name in enumerate('xyz')}


def segments(starts_A: FloatArray, ends_A: FloatArray) -> dict[str, list[float | None]]:
    """Return coordinates of separate straight lines for one trace."""
    gaps = np.full_like(starts_A, np.nan)
    return points(np.stack([starts_A, ends_A, gaps], axis=1).reshape(-1, 3))


def host_traces(positions_A: FloatArray, symbols: tuple[str, ...], bonds: Any, size: float = 5) -> list[dict[str, Any]]:
    """Return the host atoms, one trace per element, and lines between neighbours."""
    traces: list[dict[str, Any]] = []
    if len(bonds):
        traces.append(
            {
                'type': 'scatter3d',
                'mode': 'lines',
                'name': 'neighbours',
                **segments(positions_A[bonds[:, 0]], positions_A[bonds[:, 1]]),
                'line': {'color': '@l2', 'width': 2},
                'opacity': 0.6,
                'hoverinfo': 'skip',
                'showlegend': False,
            }
        )
    for number, symbol in enumerate(dict.fromkeys(symbols)):
        chosen = np.array([one == symbol for one in symbols])
        traces.append(
            {
                'type': 'scatter3d',
                'mode': 'markers',
                'name': f'{text(symbol)} (mean positions)',
                **points(positions_A[chosen]),
                'marker': {'color': f'@l{2 + number % 3}', 'size': size, 'opacity': 0.55, 'line': {'width': 0}},
                'hovertemplate': '(%{x:.2f}, %{y:.2f}, %{z:.2f}) Å',
            }
        )
    return traces


def scene_figure(data: list[dict[str, Any]]) -> Figure:
    """Return a figure with one three-dimensional scene in true proportions."""
    axes = {
        f'{name}axis': {'title': {'text': f'{name} (Å)'}, 'showbackground': False, 'showspikes': False}
        for name in 'xyz'
    }
    camera = {'eye': {'x': 1.0, 'y': 0.85, 'z': 0.6}, 'projection': {'type': 'orthographic'}}
    return figure(
        data,
        scene={**axes, 'aspectmode': 'data', 'camera': camera, 'dragmode': 'orbit'},
        margin={'l': 0, 'r': 0, 't': 0, 'b': 0},
        legend={'orientation': 'h', 'x': 0, 'y': 0, 'yanchor': 'bottom'},
    )
