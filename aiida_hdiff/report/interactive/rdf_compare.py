"""Radial distribution functions of all potentials in one figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_hdiff.report.interactive.panel import COLOURS, Panel, Variant, axis, figure, numbers, panels, text
from aiida_hdiff.report.study import RDFCurve, Study, pair_order, shared_curves

_POINTS = 160
_DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot')
_CAPTION = (
    'Every potential at one temperature; lines differ in colour and in dashes. Potentials that agree in D but not here '
    'agree by chance.'
)


def rdf_compare_panels(study: Study) -> list[Panel]:
    """Return the radial distribution functions, all potentials in each: a variant per pair and temperature."""
    shared = shared_curves(study)
    numbers_of = {id(one): number for number, one in enumerate(study.potentials)}
    variants = []
    for pair, kelvin in sorted(shared, key=lambda key: (pair_order(key[0]), key[1])):
        data = [_trace(curve, one.label, numbers_of[id(one)]) for one, curve in shared[pair, kelvin]]
        layout = {'xaxis': axis('r (Å)', rangemode='tozero'), 'yaxis': axis('g(r)', rangemode='tozero')}
        variants.append(Variant(pair, f'{pair}, {kelvin:g} K', figure(data, **layout)))
    return panels('rdf_compare', 'Radial distribution functions of all potentials', _CAPTION, variants, height=430)


def _trace(curve: RDFCurve, label: str, number: int) -> dict[str, Any]:
    r = np.linspace(curve.r_A[0], curve.r_A[-1], min(_POINTS, len(curve.r_A)))
    return {
        'name': text(label),
        'mode': 'lines',
        'x0': round(float(r[0]), 6),
        'dx': round(float(r[1] - r[0]), 8) if len(r) > 1 else 1.0,
        'y': numbers(np.interp(r, curve.r_A, curve.g), 3),
        'line': {'color': COLOURS[number % len(COLOURS)], 'width': 2, 'dash': _DASHES[number % len(_DASHES)]},
        'hovertemplate': '%{x:.2f} Å<br>g = %{y:.3g}',
    }
