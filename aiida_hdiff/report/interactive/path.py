"""The path of one hydrogen atom in three dimensions."""

from __future__ import annotations

from typing import Any

from aiida_hdiff.report.details import HydrogenPath
from aiida_hdiff.report.interactive.panel import Figure, Panel, Variant, numbers, panels, runs
from aiida_hdiff.report.interactive.scene import host_traces, points, scene_figure
from aiida_hdiff.report.study import Study

_CAPTION = (
    'The hydrogen atom that moved furthest, relative to the host; each point is a mean over a small piece of the run, '
    'so that vibrations are gone and jumps remain. Colour is time. Grey: host atoms near the path, with periodic '
    'images. Drag to turn; the buttons zoom and move.'
)


# Plasma without its palest yellow.
_SCALE = [[0, '#0d0887'], [0.2, '#5c01a6'], [0.4, '#9c179e'], [0.6, '#cc4778'], [0.8, '#ed7953'], [1, '#fdb32f']]


def path_panels(study: Study) -> list[Panel]:
    """Return the path of one hydrogen atom, a variant per potential and temperature."""
    variants = [
        Variant(potential.label, f'{item.temperature_K:g} K', _figure(item.details.path))
        for potential, item in runs(study, first_replica_only=True)
        if item.details.path is not None
    ]
    return panels('path', 'The path of one hydrogen atom', _CAPTION, variants, height=520, is_3d=True)


def _figure(path: HydrogenPath) -> Figure:
    times = numbers(path.times_ps)
    line: dict[str, Any] = {
        'type': 'scatter3d',
        'mode': 'lines+markers',
        'name': 'H',
        'showlegend': False,
        **points(path.positions_A),
        'line': {'color': times, 'colorscale': _SCALE, 'width': 6},
        'marker': {
            'color': times,
            'colorscale': _SCALE,
            'size': 2.5,
            'colorbar': {'title': {'text': 'time (ps)', 'side': 'right'}, 'thickness': 12, 'len': 0.7, 'x': 0.98},
        },
        'hovertemplate': '%{marker.color:.3g} ps<br>(%{x:.2f}, %{y:.2f}, %{z:.2f}) Å<extra></extra>',
    }
    ends: dict[str, Any] = {
        'type': 'scatter3d',
        'mode': 'markers+text',
        'name': 'start and end',
        **points(path.positions_A[[0, -1]]),
        'marker': {'symbol': ['circle', 'diamond'], 'size': 7, 'color': ['@c0', '@c1'], 'line': {'width': 0}},
        'text': ['start', 'end'],
        'textposition': 'top center',
        'textfont': {'color': '@ink'},
        'hovertemplate': '%{text}<extra></extra>',
        'showlegend': False,
    }
    result = scene_figure([*host_traces(path.host_positions_A, path.host_symbols, path.bonds), line, ends])
    summary = f'H, atom {path.atom}: {path.displacement_A:.1f} Å from start to end in {path.times_ps[-1]:.3g} ps'
    place = {'xref': 'paper', 'yref': 'paper', 'x': 0, 'y': 1, 'showarrow': False, 'xanchor': 'left', 'yanchor': 'top'}
    result['layout']['annotations'] = [{'text': summary, **place}]
    return result
