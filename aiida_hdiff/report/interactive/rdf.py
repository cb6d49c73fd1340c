"""Radial distribution functions with running coordination numbers."""

from __future__ import annotations

from typing import Any

from aiida_hdiff.report.interactive.panel import (
    Panel,
    Variant,
    axis,
    figure,
    numbers,
    panels,
    temperature_colours,
    thinned,
)
from aiida_hdiff.report.study import RDFCurve, Study, pair_order

_CAPTION = (
    'g(r) (lines, left) and the running coordination number (dotted, right): atoms of the second kind within r of one '
    'of the first. Peaks of the host that are lost mean that it melted or transformed.'
)


def rdf_panels(study: Study) -> list[Panel]:
    """Return the radial distribution functions, a variant per potential and pair of elements."""
    variants = []
    for potential in study.potentials:
        colours = temperature_colours(curve.temperature_K for curve in potential.rdf)
        for pair in sorted({curve.pair for curve in potential.rdf}, key=pair_order):
            data: list[dict[str, Any]] = []
            for curve in potential.rdf:
                if curve.pair == pair:
                    data += _traces(curve, colours[curve.temperature_K])
            layout = {
                'xaxis': axis('r (Å)', rangemode='tozero'),
                'yaxis': axis('g(r)', rangemode='tozero'),
                'yaxis2': axis(
                    'coordination number',
                    overlaying='y',
                    side='right',
                    range=[0, _top(potential.rdf, pair)],
                    tickmode='auto',
                    showgrid=False,
                    zeroline=False,
                ),
                'margin': {'l': 56, 'r': 56, 't': 16, 'b': 52},
            }
            variants.append(Variant(potential.label, pair, figure(data, **layout)))
    return panels('rdf', 'Radial distribution functions', _CAPTION, variants, height=430)


def _top(curves: tuple[RDFCurve, ...], pair: str) -> float:
    """Return where the axis of the coordination number ends: at most 16, the first shells of a metal."""
    highest = [float(one.coordination.max()) for one in curves if one.pair == pair and one.coordination is not None]
    return min(16.0, 1.05 * max(highest, default=1.0)) or 1.0


def _traces(curve: RDFCurve, colour: str) -> list[dict[str, Any]]:
    name = f'{curve.temperature_K:g} K'
    r, g = thinned(curve.r_A, curve.g)
    traces: list[dict[str, Any]] = [
        {
            'name': name,
            'legendgroup': name,
            'mode': 'lines',
            'x': numbers(r),
            'y': numbers(g),
            'line': {'color': colour, 'width': 2},
            'hovertemplate': '%{x:.2f} Å<br>g = %{y:.3g}',
        }
    ]
    if curve.coordination is not None:
        r, coordination = thinned(curve.r_A, curve.coordination)
        traces.append(
            {
                'name': name,
                'legendgroup': name,
                'showlegend': False,
                'mode': 'lines',
                'x': numbers(r),
                'y': numbers(coordination),
                'yaxis': 'y2',
                'line': {'color': colour, 'width': 1.2, 'dash': 'dot'},
                'hovertemplate': '%{y:.2f} neighbours within %{x:.2f} Å',
            }
        )
    return traces
