"""How the potentials learned: on the fly against time, from a data set against epochs."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_hdiff.report.interactive.panel import (
    COLOURS,
    Figure,
    Panel,
    Variant,
    axis,
    figure,
    numbers,
    panels,
    short_log_axis,
    text,
    thinned,
)
from aiida_hdiff.report.learning import LearningHistory, envelope
from aiida_hdiff.report.learning_curves import LearningCurve, LearningCurves
from aiida_hdiff.report.study import Study

_MEV = 1000.0
_GAP = 0.08
_SPLITS = {'train': ('training set', 'dash'), 'valid': ('validation set', 'solid'), 'replay': ('replay set', 'dot')}
_LEARNING_CAPTION = (
    'Above: the largest Bayesian error of a force at every step (band: lowest to highest), the threshold beyond which '
    'the reference was called, and the error on the training set. Below: calls of the reference, summed. Shaded: every '
    'second stage, with its temperature.'
)
_CURVES_CAPTION = (
    'Errors after each epoch; epoch 0 is before the training. The vertical line marks the epoch whose model was kept.'
)


def learning_panels(study: Study) -> list[Panel]:
    """Return the trainings on the fly and the learning curves, a variant per training."""
    histories, curves = [], []
    for label, training in study.trainings:
        if isinstance(training, LearningHistory):
            histories.append(Variant(label, training.title, _history_figure(training)))
        else:
            curves.append(Variant(label, training.title, _curves_figure(training)))
    return [
        *panels('learning', 'Learning on the fly', _LEARNING_CAPTION, histories, height=560),
        *panels('learning_curves', 'Learning curves', _CURVES_CAPTION, curves, height=560),
    ]


def _history_figure(history: LearningHistory) -> Figure:
    times, low, high = envelope(history.times_ps, _MEV * history.bayesian_error_eV_A)
    band: dict[str, Any] = {'x': numbers(times), 'mode': 'lines', 'line': {'color': COLOURS[0], 'width': 1}}
    data: list[dict[str, Any]] = [
        {**band, 'y': numbers(low), 'showlegend': False, 'hoverinfo': 'skip'},
        {
            **band,
            'y': numbers(high),
            'name': 'largest Bayesian error of a force',
            'fill': 'tonexty',
            'hovertemplate': '%{x:.4g} ps<br>%{y:.3g} meV/Å<extra></extra>',
        },
    ]
    threshold_ps, threshold = thinned(history.times_ps, _MEV * history.threshold_eV_A)
    data.append(_trace('threshold', threshold_ps, threshold, {'color': COLOURS[1], 'width': 1.5}))
    if len(history.rmse_times_ps):
        rmse = _trace('RMSE on the training set', history.rmse_times_ps, _MEV * history.rmse_force_eV_A,
                      {'color': COLOURS[2], 'width': 1.5, 'dash': 'dash'})  # fmt: skip
        data.append(rmse)
    calls = np.sort(history.call_times_ps)
    end = max([*(span.end_ps for span in history.spans), *history.times_ps[-1:], *calls[-1:]], default=0.0)
    name = 'calls of the reference potential' if history.emulated else 'calls of density functional theory'
    counts = np.append(np.arange(1.0, len(calls) + 1.0), float(len(calls)))
    line = {'color': '@ink', 'width': 1.5, 'shape': 'hv'}
    step = {'name': name, 'mode': 'lines', 'yaxis': 'y2', 'line': line, 'y': numbers(counts, 9)}
    step['x'] = numbers(np.append(calls, end), 6)
    data.append({**step, 'hovertemplate': '%{x:.4g} ps<br>%{y} calls<extra></extra>'})
    return figure(
        data,
        xaxis=axis('time (ps)', anchor='y2', domain=[0, 1]),
        yaxis=axis('error (meV/Å)', domain=[0.45, 1], rangemode='tozero'),
        yaxis2=axis('calls', domain=[0, 0.37], rangemode='tozero'),
        shapes=[
            {
                'type': 'rect', 'xref': 'x', 'yref': 'paper', 'layer': 'below', 'x0': span.start_ps,
                'x1': span.end_ps, 'y0': 0, 'y1': 1, 'fillcolor': '@soft', 'opacity': 0.15 * (index % 2),
                'line': {'width': 0}, 'label': {'text': text(span.label), 'textposition': 'top center',
                                                'font': {'size': 10}},
            }
            for index, span in enumerate(history.spans)
        ],
    )  # fmt: skip


def _trace(name: str, x: Any, y: Any, line: dict[str, Any]) -> dict[str, Any]:
    """Return an error in meV/Å against time."""
    hover = '%{x:.4g} ps<br>%{y:.3g} meV/Å<extra></extra>'
    return {'name': name, 'mode': 'lines', 'x': numbers(x), 'y': numbers(y), 'line': line, 'hovertemplate': hover}


def _curves_figure(training: LearningCurves) -> Figure:
    rows = list(dict.fromkeys((curve.quantity, curve.measure, curve.unit) for curve in training.curves))
    height = (1.0 + _GAP) / len(rows)
    layout: dict[str, Any] = {'xaxis': axis('epoch', anchor=_axis_name('y', len(rows) - 1), domain=[0, 1])}
    for number, (quantity, measure, unit) in enumerate(rows):
        top = 1.0 - number * height
        title = f'{quantity} {measure}<br>({unit})'
        name = _axis_name('yaxis', number)
        layout[name] = short_log_axis(title, domain=[max(top - height + _GAP, 0.0), top])
    places = {row: _axis_name('y', number) for number, row in enumerate(rows)}
    shown: set[str] = set()
    data = []
    for curve in training.curves:
        place = places[curve.quantity, curve.measure, curve.unit]
        data.append(_curve(curve, place, show=curve.split not in shown))
        shown.add(curve.split)
    if training.best_epoch is not None:
        line = {'color': '@soft', 'width': 1, 'dash': 'dash'}
        where = {'x0': training.best_epoch, 'x1': training.best_epoch, 'y0': 0, 'y1': 1}
        layout['shapes'] = [{'type': 'line', 'xref': 'x', 'yref': 'paper', 'line': line, **where}]
    return figure(data, **layout)


def _axis_name(stem: str, number: int) -> str:
    return stem if number == 0 else f'{stem}{number + 1}'


def _curve(curve: LearningCurve, place: str, *, show: bool) -> dict[str, Any]:
    name, dash = _SPLITS[curve.split]
    x, y = thinned(curve.epochs, curve.errors)
    colour = COLOURS[list(_SPLITS).index(curve.split)]
    return {
        'name': name,
        'legendgroup': name,
        'showlegend': show,
        'mode': 'lines+markers' if len(x) < 60 else 'lines',
        'x': numbers(x, 6),
        'y': numbers(y),
        'yaxis': place,
        'line': {'color': colour, 'width': 2, 'dash': dash},
        'marker': {'size': 5},
        'hovertemplate': f'epoch %{{x}}<br>%{{y:.3g}} {curve.unit}',
    }
