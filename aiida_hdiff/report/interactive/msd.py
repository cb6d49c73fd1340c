"""Mean squared displacement of hydrogen, and D for other fit windows."""

from __future__ import annotations

from typing import Any

from aiida_hdiff.report.interactive.panel import (
    Panel,
    Variant,
    axis,
    figure,
    log_axis,
    numbers,
    panels,
    short_log_axis,
    temperature_colours,
    thinned,
)
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult, run_name
from aiida_hdiff.report.text import scientific

_MSD_CAPTION = (
    'Mean over all hydrogen atoms and time origins. D is fitted in the shaded window; the dashed line has the slope of '
    'diffusion. Dotted curves are not resolved.'
)
_WINDOW_CAPTION = (
    'D of other fit windows over the D reported, against the start of the window, with standard errors. Where the '
    'points leave 1 by more than their errors, hydrogen does not diffuse yet at those times.'
)


def msd_panels(study: Study) -> list[Panel]:
    """Return the mean squared displacement and the scan of the fit window, a variant per potential."""
    curves, windows = [], []
    for potential in study.potentials:
        colours = temperature_colours(item.temperature_K for item in potential.temperatures)
        if data := [
            _curve(potential, item, colours[item.temperature_K])
            for item in potential.temperatures
            if item.msd is not None
        ]:
            layout = {'xaxis': log_axis('lag time (ps)'), 'yaxis': log_axis('MSD of H (Å²)')}
            data.append(_slope(potential))
            curves.append(Variant('', potential.label, figure(data, **layout, shapes=_windows(potential))))
        if data := [
            _scan(potential, item, colours[item.temperature_K])
            for item in potential.temperatures
            if item.details.windows is not None and item.value_m2_s
        ]:
            layout = {'xaxis': short_log_axis('start of the window (ps)'), 'yaxis': axis('D(window) / D')}
            line = {'type': 'line', 'xref': 'paper', 'x0': 0, 'x1': 1, 'y0': 1, 'y1': 1, 'line': _dashed()}
            windows.append(Variant('', potential.label, figure(data, **layout, shapes=[line])))
    return [
        *panels('msd', 'Mean squared displacement', _MSD_CAPTION, curves, height=460),
        *panels('window', 'Does D depend on the fit window?', _WINDOW_CAPTION, windows, height=400),
    ]


def _dashed() -> dict[str, Any]:
    return {'color': '@soft', 'width': 1, 'dash': 'dash'}


def _curve(potential: PotentialResult, item: TemperatureResult, colour: str) -> dict[str, Any]:
    assert item.msd is not None
    positive = (item.msd.lag_times_ps > 0.0) & (item.msd.msd_A2 > 0.0)
    lags, msd = thinned(item.msd.lag_times_ps[positive], item.msd.msd_A2[positive], logarithmic=True)
    return {
        'name': run_name(potential, item),
        'mode': 'lines',
        'x': numbers(lags),
        'y': numbers(msd),
        'line': {'color': colour, 'width': 2, 'dash': 'solid' if item.status == 'resolved' else 'dot'},
        'hovertemplate': '%{x:.3g} ps<br>%{y:.3g} Å²',
    }


def _slope(potential: PotentialResult) -> dict[str, Any]:
    """Return a short line of slope one above the highest curve."""
    highest = (1.0, 0.0)
    for item in potential.temperatures:
        if item.msd is not None and len(item.msd.msd_A2):
            start = item.window_ps[0] if item.window_ps else float(item.msd.lag_times_ps[-1]) / 10.0
            index = min(int(item.msd.lag_times_ps.searchsorted(start)), len(item.msd.msd_A2) - 1)
            highest = max(highest, (start, float(item.msd.msd_A2[index])), key=lambda entry: entry[1])
    start, level = highest
    return {
        'name': '∝ t',
        'mode': 'lines',
        'x': numbers([start, 5.0 * start]),
        'y': numbers([2.2 * level, 11.0 * level]),
        'line': _dashed(),
        'hoverinfo': 'skip',
    }


def _windows(potential: PotentialResult) -> list[dict[str, Any]]:
    found = sorted({item.window_ps for item in potential.temperatures if item.msd is not None and item.window_ps})
    return [
        {
            'type': 'rect',
            'yref': 'paper',
            'x0': start,
            'x1': end,
            'y0': 0,
            'y1': 1,
            'line': {'width': 0},
            'fillcolor': '@c0',
            'opacity': 0.1 / len(found) + 0.03,
            'layer': 'below',
            'label': {'text': 'fit window', 'textposition': 'bottom center', 'font': {'size': 11}}
            if number == 0
            else {},
        }
        for number, (start, end) in enumerate(found)
    ]


def _scan(potential: PotentialResult, item: TemperatureResult, colour: str) -> dict[str, Any]:
    scan, value = item.details.windows, item.value_m2_s
    assert scan is not None
    assert value is not None
    return {
        'name': run_name(potential, item),
        'mode': 'lines+markers',
        'x': numbers(scan.start_ps),
        'y': numbers(scan.value_m2_s / value),
        'error_y': {'type': 'data', 'array': numbers(scan.std_error_m2_s / value, 3), 'color': colour, 'thickness': 1},
        'line': {'color': colour, 'width': 1},
        'marker': {'color': colour, 'size': 7},
        'text': [
            f'{start:.3g}–{end:.3g} ps<br>D = {scientific(d, error)} m²/s'
            for start, end, d, error in zip(
                scan.start_ps, scan.end_ps, scan.value_m2_s, scan.std_error_m2_s, strict=True
            )
        ],
        'hovertemplate': '%{text}',
    }
