"""Temperature and energy against time in the NVE runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.plots.style import (
    COLUMN_IN,
    house_style,
    labelled,
    new_figure,
    plain,
    temperature_colours,
    temperature_legend,
    thinned,
)
from aiida_hdiff.report.study import StageSeries, Study, TemperatureResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STAGE = 'nve'
_BLOCKS = 20


@labelled
def nve_figure(study: Study) -> Figure | None:
    """Draw temperature and total energy against time in the NVE runs, a column per potential.

    The dashed lines are the requested temperatures. Thin lines are the values
    themselves, thick ones means over a twentieth of the run. The energy is relative to its first mean; its
    slope is the drift.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    matplotlib.figure.Figure or None
        ``None`` where no time series is known.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    runs = [(one.label, [run for item in one.temperatures for run in _nve_runs(item)]) for one in study.potentials]
    runs = [(label, items) for label, items in runs if items]
    if not runs:
        return None
    with_energy = any(series.energy_eV_per_atom is not None for _, items in runs for _, series in items)
    with house_style():
        rows = 2 if with_energy else 1
        figure, grid = new_figure(
            COLUMN_IN * (1.0 if len(runs) == 1 else 0.75 * len(runs)),
            0.65 + 1.55 * rows,
            rows,
            len(runs),
            sharex='col',
            sharey='row',
        )
        colours = temperature_colours([item.temperature_K for _, items in runs for item, _ in items])
        for column, (label, items) in enumerate(runs):
            if len(runs) > 1:
                grid[0][column].set_title(plain(label))
            for item, series in items:
                colour = colours[item.temperature_K]
                _draw(grid[0][column], series.times_ps, series.temperature_K, colour)
                grid[0][column].axhline(item.temperature_K, color='#333333', linewidth=0.6, linestyle='--')
                if series.energy_eV_per_atom is not None:
                    energy = series.energy_eV_per_atom
                    start = np.mean(energy[: max(len(energy) // _BLOCKS, 1)])
                    _draw(grid[1][column], series.times_ps, 1000.0 * (energy - start), colour)
            grid[-1][column].set_xlabel('time (ps)')
        grid[0][0].set_ylabel(r'$T$ (K)')
        if with_energy:
            grid[1][0].set_ylabel('energy change\n(meV/atom)')
            _widen(grid[1][0])
        temperature_legend(figure, colours, columns=5)
        return figure


def _nve_runs(item: TemperatureResult) -> list[tuple[TemperatureResult, StageSeries]]:
    """Return the NVE time series of one result."""
    return [(item, series) for series in item.series if series.stage == _STAGE and len(series.times_ps) > 0]


def _draw(axes: Axes, times: FloatArray, values: FloatArray, colour: Any) -> None:
    """Draw a series faintly, and its means over twentieths of the run."""
    axes.plot(*thinned(times, values), color=colour, linewidth=0.4, alpha=0.3, zorder=1)
    if len(times) < 2 * _BLOCKS:
        return
    middle = [float(np.mean(block)) for block in np.array_split(times, _BLOCKS)]
    means = [float(np.mean(block)) for block in np.array_split(values, _BLOCKS)]
    axes.plot(middle, means, color=colour, linewidth=1.2, zorder=3)


def _widen(axes: Axes, span_meV: float = 0.2) -> None:
    """Widen an energy axis to a span in meV, so that noise below it does not look like drift."""
    low, high = axes.get_ylim()
    if high - low < span_meV:
        middle = (low + high) / 2.0
        axes.set_ylim(middle - span_meV / 2, middle + span_meV / 2)
