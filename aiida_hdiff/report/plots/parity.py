"""Predictions against labels, a figure for each potential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_hdiff.report.density import MAX_POINTS, density, limits_of
from aiida_hdiff.report.extras import require
from aiida_hdiff.report.models import Parity
from aiida_hdiff.report.plots.style import COLUMN_IN, INK, house_style, mark_emulated, new_figure, plain
from aiida_hdiff.report.study import PotentialResult
from aiida_hdiff.report.text import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS = 64
_PANEL_IN = 1.62


def parity_figure(potential: PotentialResult, *, emulated: bool = False) -> Figure | None:
    """Draw the predictions of one potential against the labels of its test set; ``None`` where there are none.

    More than 400 points are drawn as the logarithm of their number in the cells of a grid: no point is left out.

    Parameters
    ----------
    potential : PotentialResult
        The potential.
    emulated : bool
        Whether anything in its study was made with the VASP stand-in, which the figure then says.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    shown = potential.model.parity if potential.model is not None else ()
    if not shown:
        return None
    with house_style():
        rows = (len(shown) + 1) // 2
        figure, grid = new_figure(COLUMN_IN, 0.35 + _PANEL_IN * rows, rows, 2)
        panels = [axes for row in grid for axes in row]
        images = [_draw(axes, one) for axes, one in zip(panels, shown, strict=False)]
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        highest = max((float(image.get_array().max()) for image in images if image is not None), default=None)
        if highest is not None:
            norm = require('matplotlib.colors').LogNorm(1.0, max(highest, 10.0))
            drawn = [image for image in images if image is not None]
            for image in drawn:
                image.set_norm(norm)
            bar = figure.colorbar(drawn[0], ax=panels, location='bottom', aspect=40, pad=0.02, shrink=0.8)
            bar.set_label('points in a cell', fontsize=7.0)
            bar.outline.set_visible(False)
        title = f'{plain(potential.label)}, test set'
        if emulated:
            mark_emulated(figure)
            panels[0].set_title(title, loc='left')
        else:
            figure.suptitle(title, fontsize=8.5)
        return figure


def _draw(axes: Axes, shown: Parity) -> Any:
    """Draw one quantity; return the image of the counts, or ``None`` where the points are drawn."""
    limits = limits_of(shown.labels, shown.predictions)
    axes.plot(limits, limits, color='#777777', linewidth=0.7, zorder=1)
    image = None
    if len(shown.labels) <= MAX_POINTS:
        axes.plot(
            shown.labels, shown.predictions, linestyle='none', marker='o', markersize=2.2, alpha=0.6,
            color='#0072B2', markeredgewidth=0.0, zorder=2,
        )  # fmt: skip
    else:
        found = density(shown.labels, shown.predictions, (_CELLS, _CELLS), (limits, limits))
        counts = require('numpy').ma.masked_equal(found.counts.T, 0.0)
        image = axes.pcolormesh(found.x_edges, found.y_edges, counts, cmap='viridis_r', zorder=2, rasterized=True)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect('equal')
    locator = require('matplotlib.ticker').MaxNLocator
    axes.xaxis.set_major_locator(locator(4))
    axes.yaxis.set_major_locator(locator(4))
    axes.tick_params(labelsize=6.5)
    axes.text(0.05, 0.94, plain(shown.name), transform=axes.transAxes, va='top', weight='bold', fontsize=7.0, color=INK)
    axes.text(
        0.95, 0.06, f'RMSE {digits(shown.rmse)}\n{shown.unit}', transform=axes.transAxes, va='bottom', ha='right',
        fontsize=6.5,
    )  # fmt: skip
    axes.set_xlabel(f'label ({shown.unit})', fontsize=7.0)
    axes.set_ylabel(f'prediction ({shown.unit})', fontsize=7.0)
    return image
