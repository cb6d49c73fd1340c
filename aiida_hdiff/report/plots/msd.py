"""Mean squared displacement of hydrogen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
from aiida_hdiff.report.study import PotentialResult, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_COLUMNS = 2


@labelled
def msd_figure(study: Study) -> Figure | None:
    """Draw the mean squared displacement against the lag time, one panel per potential.

    The fit window is shaded; the grey line has the slope of diffusion. Replicas share the colour of their
    temperature.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    matplotlib.figure.Figure or None
        ``None`` where no mean squared displacement is known.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    potentials = [one for one in study.potentials if any(item.msd is not None for item in one.temperatures)]
    if not potentials:
        return None
    with house_style():
        columns = min(len(potentials), _MAX_COLUMNS)
        rows = -(-len(potentials) // columns)
        figure, grid = new_figure(COLUMN_IN * columns, 2.6 * rows + 0.35, rows, columns, sharex=True, sharey=True)
        panels = [axes for row in grid for axes in row]
        colours = temperature_colours(
            [item.temperature_K for one in potentials for item in one.temperatures if item.msd is not None]
        )
        for axes, potential in zip(panels, potentials, strict=False):
            _draw_panel(axes, potential, colours)
            if len(potentials) > 1:
                axes.set_title(plain(potential.label))
        for axes in panels[len(potentials) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel(r'MSD of H (Å$^2$)')
        for axes in panels[max(len(potentials) - columns, 0) : len(potentials)]:
            axes.set_xlabel(r'lag time (ps)')
            axes.tick_params(labelbottom=True)
        temperature_legend(figure, colours, columns=5 * columns)
        return figure


def _draw_panel(axes: Axes, potential: PotentialResult, colours: dict[float, Any]) -> None:
    """Draw all curves of one potential."""
    axes.set_xscale('log')
    axes.set_yscale('log')
    windows = {item.window_ps for item in potential.temperatures if item.msd is not None and item.window_ps}
    for start, end in sorted(windows):
        axes.axvspan(start, end, color='#0072B2', alpha=0.10 / len(windows) + 0.02, linewidth=0, zorder=0)
    highest: tuple[float, float] | None = None
    for item in potential.temperatures:
        if item.msd is None:
            continue
        positive = (item.msd.lag_times_ps > 0.0) & (item.msd.msd_A2 > 0.0)
        lags, msd = thinned(item.msd.lag_times_ps[positive], item.msd.msd_A2[positive], logarithmic=True)
        if len(lags) == 0:
            continue
        resolved = item.status == 'resolved'
        axes.plot(
            lags,
            msd,
            color=colours[item.temperature_K],
            linewidth=1.3 if resolved else 0.9,
            linestyle='-' if resolved else (0, (1.2, 1.2)),
            alpha=0.95 if item.replica == 0 else 0.6,
            zorder=2,
        )
        reference = item.window_ps[0] if item.window_ps else float(lags[len(lags) // 2])
        level = float(np.interp(reference, lags, msd))
        if highest is None or level > highest[1]:
            highest = (reference, level)
    if highest is not None:
        _draw_slope(axes, *highest)
    if windows:
        start, end = sorted(windows)[0]
        axes.text(
            np.sqrt(start * end),
            0.03,
            'fit window' if len(windows) == 1 else 'fit windows',
            transform=axes.get_xaxis_transform(),
            horizontalalignment='center',
            fontsize=6.5,
            color='#2a5b7c',
        )


def _draw_slope(axes: Axes, lag_ps: float, msd_A2: float) -> None:
    """Draw a short line of slope one above the highest curve."""
    x = np.array([lag_ps, 5.0 * lag_ps])
    y = 2.2 * msd_A2 * x / lag_ps
    axes.plot(x, y, color='#777777', linewidth=0.8, linestyle='--', zorder=1)
    axes.annotate(
        r'$\propto t$',
        (x[0], y[0]),
        xytext=(2.0, 6.0),
        textcoords='offset points',
        fontsize=7,
        color='#555555',
        horizontalalignment='right',
    )
