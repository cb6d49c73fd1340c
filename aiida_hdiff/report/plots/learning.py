"""How the potentials learned: Bayesian error and calls against time, errors against epochs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiida_hdiff.report.learning import LearningHistory, envelope
from aiida_hdiff.report.learning_curves import LearningCurves
from aiida_hdiff.report.plots.style import (
    COLOURS,
    COLUMN_IN,
    INK,
    KINDS,
    PAGE_IN,
    figure_bytes,
    house_style,
    mark_emulated,
    new_figure,
    plain,
)
from aiida_hdiff.report.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEV = 1000.0
_SHADE = '#F1F3F5'
_NARROW = 0.06
_ROOM_FOR_LEGEND = 1.2
_ROW_IN = 1.5
_SPLITS = {'train': ('training set', '--'), 'valid': ('validation set', '-'), 'replay': ('replay set', ':')}


def learning_figures(study: Study, names: Collection[str] | None = None) -> dict[str, Figure]:
    """Draw every training of a study.

    Parameters
    ----------
    study : Study
        The study.
    names : collection of str, optional
        Which of ``learning`` and ``learning_curves``; by default both.

    Returns
    -------
    dict
        Figures by name, with a number from the second of a kind on.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    found: dict[str, list[Figure]] = {'learning': [], 'learning_curves': []}
    for _, training in study.trainings:
        if isinstance(training, LearningHistory):
            if names is None or 'learning' in names:
                found['learning'].append(learning_figure(training))
        elif names is None or 'learning_curves' in names:
            found['learning_curves'].append(curves_figure(training, emulated=study.emulated))
    return {
        f'{name}_{number}' if number > 1 else name: figure
        for name, figures in found.items()
        for number, figure in enumerate(figures, 1)
    }


def curves_figure(training: LearningCurves, *, emulated: bool = False) -> Figure:
    """Draw the errors of a training against its epochs, one panel per quantity.

    Parameters
    ----------
    training : LearningCurves
        The training.
    emulated : bool
        Whether the figure says that the VASP stand-in took part.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    rows = list(dict.fromkeys((curve.quantity, curve.measure, curve.unit) for curve in training.curves))
    with house_style():
        figure, grid = new_figure(COLUMN_IN, _ROW_IN * len(rows) + 0.4, len(rows), 1, sharex=True)
        for (quantity, measure, unit), (axes,) in zip(rows, grid, strict=True):
            for curve in training.curves:
                if (curve.quantity, curve.measure, curve.unit) == (quantity, measure, unit):
                    label, style = _SPLITS[curve.split]
                    colour = COLOURS[list(_SPLITS).index(curve.split)]
                    axes.plot(curve.epochs, curve.errors, color=colour, linestyle=style, label=label)
            if training.best_epoch is not None:
                axes.axvline(training.best_epoch, color='#777777', linewidth=0.7, linestyle='--', zorder=0)
            axes.set_yscale('log')
            axes.set_ylabel(f'{quantity} {measure} ({unit})')
        grid[0][0].legend()
        grid[0][0].set_title(plain(training.title))
        grid[-1][0].set_xlabel('epoch')
        if emulated:
            mark_emulated(figure)
        return figure


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
    if kind not in KINDS:
        raise ValueError(f'{path.name!r} does not end in .png, .svg or .pdf: give one of them.')
    path.write_bytes(figure_bytes(learning_figure(history), kind))
    return path


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
