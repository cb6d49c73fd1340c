"""Bayesian error, threshold and calls of the density functional calculation against the time of a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.figures import figure_bytes
from aiida_hdiff.report.learning import LearningHistory
from aiida_hdiff.report.plots.style import COLOURS, INK, PAGE_IN, house_style, mark_emulated, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEV = 1000.0
_SHADE = '#F1F3F5'
_BINS = 600
_NARROW = 0.06
_ROOM_FOR_LEGEND = 1.2


def learning_figure(history: LearningHistory) -> Figure:
    """Draw the Bayesian error and its threshold above the number of calls, against time.

    Parameters
    ----------
    history : LearningHistory
        The training.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; if the training was emulated, it says so.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    with house_style():
        figure, ((errors,), (calls,)) = new_figure(PAGE_IN, 3.9, 2, 1, sharex=True)
        _draw_spans(errors, calls, history)
        times, low, high = envelope(history.times_ps, MEV * history.bayesian_error_eV_A)
        errors.fill_between(
            times, low, high, color=COLOURS[0], linewidth=0.6, label='largest Bayesian error of a force'
        )
        errors.plot(history.times_ps, MEV * history.threshold_eV_A, color=COLOURS[1], label='threshold (ML_CTIFOR)')
        if len(history.rmse_times_ps):
            errors.plot(
                history.rmse_times_ps, MEV * history.rmse_force_eV_A, color=COLOURS[2], linestyle='--',
                label='RMSE of the forces on the training set',
            )  # fmt: skip
        errors.set_ylabel('meV/Å')
        errors.set_ylim(0.0, _ROOM_FOR_LEGEND * errors.get_ylim()[1])
        errors.legend(loc='upper left', ncols=3)
        made = np.sort(history.call_times_ps)
        calls.step(np.append(made, _end(history)), np.append(np.arange(1, len(made) + 1), len(made)), where='post',
                   color=INK)  # fmt: skip
        calls.plot(made, np.zeros_like(made), '|', color=COLOURS[1], markersize=5.0, clip_on=False)
        calls.set_ylim(bottom=0.0)
        calls.set_ylabel('calls of DFT' if not history.emulated else 'calls of the\nreference potential')
        calls.set_xlabel('time (ps)')
        calls.set_xlim(0.0, _end(history))
        if history.emulated:
            mark_emulated(figure)
        return figure


def save_learning_figure(history: LearningHistory, path: Path) -> Path:
    """Write the figure as PNG, SVG or PDF by the ending of the path.

    Raises
    ------
    ValueError
        If the ending is another one.
    """
    kind = path.suffix.removeprefix('.')
    if kind not in ('png', 'svg', 'pdf'):
        raise ValueError(f'{path.name!r} does not end in .png, .svg or .pdf: give one of them.')
    path.write_bytes(figure_bytes(learning_figure(history), kind))
    return path


def envelope(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return times with the lowest and highest value about each, so that no peak is lost by thinning.

    Parameters
    ----------
    times, values : ndarray
        Shape (n,), times in any order.

    Returns
    -------
    tuple of ndarray
        Times, lowest and highest values, at most 600 of each.
    """
    order = np.argsort(times, kind='stable')
    parts = [part for part in np.array_split(order, min(_BINS, max(1, len(order)))) if len(part)]
    middle = np.array([times[part].mean() for part in parts])
    return middle, np.array([values[part].min() for part in parts]), np.array([values[part].max() for part in parts])


def _end(history: LearningHistory) -> float:
    ends = [span.end_ps for span in history.spans]
    return float(max([*ends, *history.times_ps[-1:].tolist(), 1e-6]))


def _draw_spans(errors: Axes, calls: Axes, history: LearningHistory) -> None:
    whole = _end(history)
    for index, span in enumerate(history.spans):
        for axes in (errors, calls):
            if index % 2:
                axes.axvspan(span.start_ps, span.end_ps, color=_SHADE, linewidth=0.0, zorder=0)
        if span.end_ps - span.start_ps > _NARROW * whole:
            middle = (span.start_ps + span.end_ps) / 2
            errors.annotate(
                span.label, (middle, 1.0), xycoords=('data', 'axes fraction'), xytext=(0, 2), ha='center',
                textcoords='offset points', fontsize=7.0,
            )  # fmt: skip
