"""The Arrhenius plot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.compare import published_label
from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.interactive.panel import (
    COLOURS,
    GREYS,
    MARKERS,
    Panel,
    Variant,
    axis,
    figure,
    log_axis,
    numbers,
    panels,
    text,
)
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult, run_name
from aiida_hdiff.report.table import coefficient_text
from aiida_hdiff.report.text import measurement, scientific

SHOWN_LITERATURE = 5
"""Published values drawn from the start; the others wait in the legend."""
_BAND = 1.96
_ARROW = 0.45
_DASHES = ('solid', 'longdash', 'dashdot')
"""Of the first six potentials, the next six, ...: with colour and marker no two look alike."""

_CAPTION = (
    'Error bars are standard errors, bands 95 % intervals of the fit, arrows 95 % upper bounds. Published laws are '
    'solid inside their measured range and dotted outside. Click in the legend to hide a curve.'
)


def arrhenius_panels(study: Study) -> list[Panel]:
    """Return D against 1000/T with fits, confidence bands, upper bounds and published values."""
    kelvin = temperature_axis(study)
    data = [_temperature_trace(kelvin)]
    for number, potential in enumerate(study.potentials):
        if potential.has_fit or potential.temperatures:
            data += _potential_traces(potential, kelvin, number)
    published = [value for value in study.literature if value.has_coefficient or value.point]
    for number, value in enumerate(published):
        data += _literature_traces(value, kelvin, number)
    if len(data) == 1:
        return []
    ticks = _round_temperatures(float(kelvin.min()), float(kelvin.max()))
    layout = {
        'xaxis': axis('1000/T (K⁻¹)', range=[1000.0 / float(kelvin.max()), 1000.0 / float(kelvin.min())]),
        'xaxis2': axis(
            'T (K)',
            overlaying='x',
            side='top',
            matches='x',
            tickvals=numbers([1000.0 / tick for tick in ticks], 6),
            ticktext=[f'{tick:g}' for tick in ticks],
            showgrid=False,
        ),
        'yaxis': log_axis('D (m² s⁻¹)'),
        'margin': {'l': 64, 'r': 16, 't': 48, 'b': 52},
    }
    entries = len(study.potentials) * 2 + min(len(published), 8)
    return panels(
        'arrhenius', 'Arrhenius plot', _CAPTION, [Variant('', '', figure(data, **layout))], height=440 + 12 * entries
    )


def temperature_axis(study: Study) -> FloatArray:
    """Return the temperatures of the abscissa in K, evenly spaced in 1/T, with a margin."""
    used = [item.plot_temperature_K for one in study.potentials for item in one.temperatures] or [300.0, 1000.0]
    low, high = 1.0 / max(used), 1.0 / min(used)
    margin = 0.08 * (high - low) or 0.1 * low
    kelvin: FloatArray = 1.0 / np.linspace(low - min(margin, 0.5 * low), high + margin, 80)
    return kelvin


def _temperature_trace(kelvin: FloatArray) -> dict[str, Any]:
    """Return the invisible trace that the upper axis needs."""
    ends = numbers(1000.0 / kelvin[[0, -1]], 6)
    return {'x': ends, 'y': [None, None], 'xaxis': 'x2', 'showlegend': False, 'hoverinfo': 'skip', 'mode': 'lines'}


def _potential_traces(potential: PotentialResult, kelvin: FloatArray, number: int) -> list[dict[str, Any]]:
    colour, round_ = COLOURS[number % len(COLOURS)], number // len(COLOURS)
    marker, dash = MARKERS[(number + round_) % len(MARKERS)], _DASHES[round_ % len(_DASHES)]
    group = {'legendgroup': f'potential {number}', 'line': {'color': colour, 'width': 2, 'dash': dash}}
    traces = _fit_traces(potential, kelvin, group, colour) if potential.has_fit else []
    resolved = [item for item in potential.temperatures if item.status == 'resolved' and item.value_m2_s]
    traces.append(
        {
            **group,
            'name': text(potential.label),
            'mode': 'markers',
            'x': numbers([1000.0 / item.plot_temperature_K for item in resolved], 6),
            'y': numbers([item.value_m2_s or math.nan for item in resolved]),
            'error_y': _error([item.std_error_m2_s for item in resolved], colour),
            'error_x': _error(
                [1000.0 * (item.temperature_error_K or 0.0) / item.plot_temperature_K**2 for item in resolved], colour
            ),
            'marker': {'color': '@paper', 'symbol': marker, 'size': 9, 'line': {'color': colour, 'width': 2}},
            'text': [_point_text(potential, item) for item in resolved],
            'hovertemplate': '%{text}',
        }
    )
    bounds = [item for item in potential.temperatures if item.status == 'not_resolved' and _finite(item)]
    if bounds:
        traces.append(_bound_trace(potential, bounds, group, colour))
    return traces


def _finite(item: TemperatureResult) -> bool:
    return item.upper_bound_m2_s is not None and 0.0 < item.upper_bound_m2_s < math.inf


def _error(values: list[float | None], colour: str) -> dict[str, Any]:
    return {'type': 'data', 'array': numbers([value or 0.0 for value in values], 3), 'color': colour, 'thickness': 1.5}


def _point_text(potential: PotentialResult, item: TemperatureResult) -> str:
    measured = measurement(item.measured_temperature_K, item.temperature_error_K, 0)
    hops = '' if item.n_hops is None else f'<br>{item.n_hops:.0f} hops'
    return f'{run_name(potential, item)}, measured {measured} K<br>D = {coefficient_text(item)} m²/s{hops}'


def _fit_traces(
    potential: PotentialResult, kelvin: FloatArray, group: dict[str, Any], colour: str
) -> list[dict[str, Any]]:
    value, log_error = np.array([potential.predict(float(item)) for item in kelvin]).T
    x, spread = 1000.0 / kelvin, np.exp(_BAND * log_error)
    band = {
        **group,
        'x': numbers(np.concatenate([x, x[::-1]]), 6),
        'y': numbers(np.concatenate([value * spread, (value / spread)[::-1]])),
        'fill': 'toself',
        'fillcolor': colour,
        'opacity': 0.18,
        'line': {'width': 0},
        'mode': 'lines',
        'hoverinfo': 'skip',
        'showlegend': False,
    }
    energy = measurement(potential.activation_energy_eV, potential.activation_energy_error_eV)
    line = {
        **group,
        'name': f'{text(potential.label)}: Eₐ = {energy} eV',
        'mode': 'lines',
        'x': numbers(x, 6),
        'y': numbers(value),
        'text': [
            f'{item:.0f} K<br>D = {scientific(d)} m²/s, 1σ: ×{math.exp(s):.2f}'
            for item, d, s in zip(kelvin, value, log_error, strict=True)
        ],
        'hovertemplate': '%{text}',
    }
    return [band, line]


def _bound_trace(
    potential: PotentialResult, bounds: list[TemperatureResult], group: dict[str, Any], colour: str
) -> dict[str, Any]:
    """Return bars with an arrow that points down."""
    x, y, symbols, words = [], [], [], []
    for item in bounds:
        place, bound = 1000.0 / item.plot_temperature_K, item.upper_bound_m2_s or math.nan
        hover = f'{run_name(potential, item)}<br>not resolved, D &lt; {scientific(bound)} m²/s (95 %)'
        x += [place, place, math.nan]
        y += [bound, _ARROW * bound, math.nan]
        symbols += ['line-ew-open', 'triangle-down', 'circle']
        words += [hover, hover, '']
    return {
        **group,
        'name': f'{text(potential.label)}: upper bound',
        'mode': 'lines+markers',
        'x': numbers(x, 6),
        'y': numbers(y),
        'marker': {'symbol': symbols, 'size': 10, 'color': colour, 'line': {'color': colour, 'width': 2}},
        'text': words,
        'hovertemplate': '%{text}',
    }


def _literature_traces(value: LiteratureValue, kelvin: FloatArray, number: int) -> list[dict[str, Any]]:
    colour = GREYS[number % len(GREYS)]
    common = {
        'legendgroup': f'literature {number}',
        'name': text(published_label(value)),
        'visible': True if number < SHOWN_LITERATURE else 'legendonly',
        'hovertemplate': '%{text}',
    }
    if not value.has_coefficient:
        temperature, d = value.point or (math.nan, math.nan)
        hover = f'{temperature:g} K<br>D = {scientific(d)} m²/s'
        marker = {'symbol': 'x', 'size': 9, 'color': colour}
        point = {'x': numbers([1000.0 / temperature], 6), 'y': numbers([d]), 'text': [hover], 'marker': marker}
        return [{**common, **point, 'mode': 'markers'}]
    law = np.array([value.coefficient(float(item)) for item in kelvin])
    inside = np.array([value.covers(float(item)) for item in kelvin])
    words = [f'{item:.0f} K<br>D = {scientific(d)} m²/s' for item, d in zip(kelvin, law, strict=True)]
    x = numbers(1000.0 / kelvin, 6)
    outside = {
        **common,
        'x': x,
        'y': numbers(law),
        'mode': 'lines',
        'line': {'color': colour, 'width': 1.2, 'dash': 'dot'},
        'text': words,
        'showlegend': not inside.any(),
    }
    if not inside.any():
        return [outside]
    solid = {**outside, 'y': numbers(np.where(inside, law, np.nan)), 'line': {'color': colour, 'width': 2}}
    return [outside, {**solid, 'showlegend': True}]


def _round_temperatures(low: float, high: float) -> list[float]:
    """Return round temperatures in K that are well apart on a 1/T axis."""
    width = 1.0 / low - 1.0 / high
    for step in (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0):
        ticks = np.arange(math.ceil(low / step) * step, high + 0.5, step)
        if len(ticks) < 2 or np.min(-np.diff(1.0 / ticks)) > 0.11 * width:
            return [float(tick) for tick in ticks]
    return []
