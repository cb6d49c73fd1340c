"""Radial distribution functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_hdiff.report.plots.style import (
    COLUMN_IN,
    PAGE_IN,
    house_style,
    labelled,
    new_figure,
    plain,
    temperature_colours,
    temperature_legend,
    thinned,
)
from aiida_hdiff.report.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_LABEL_LENGTH = 20


@labelled
def rdf_figure(study: Study) -> Figure | None:
    """Draw the radial distribution functions: a row per pair of elements, a column per potential.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    matplotlib.figure.Figure or None
        ``None`` where no radial distribution function is known.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    potentials = [one for one in study.potentials if one.rdf]
    if not potentials:
        return None
    pairs = list(dict.fromkeys(curve.pair for one in potentials for curve in one.rdf))
    with house_style():
        figure, grid = new_figure(
            COLUMN_IN if len(potentials) == 1 else min(0.75 * COLUMN_IN * len(potentials), PAGE_IN),
            0.6 + 1.35 * len(pairs),
            len(pairs),
            len(potentials),
            sharex=True,
            sharey='row',
        )
        colours = temperature_colours([curve.temperature_K for one in potentials for curve in one.rdf])
        for column, potential in enumerate(potentials):
            if len(potentials) > 1:
                grid[0][column].set_title(plain(potential.label[:_LABEL_LENGTH]))
            for curve in potential.rdf:
                axes = grid[pairs.index(curve.pair)][column]
                r, g = thinned(curve.r_A, curve.g)
                axes.plot(r, g, color=colours[curve.temperature_K], linewidth=1.0)
            grid[-1][column].set_xlabel(r'distance (Å)')
        for pair, row in zip(pairs, grid, strict=True):
            for axes in row:
                if not axes.lines:
                    axes.text(0.5, 0.5, 'no data', transform=axes.transAxes, ha='center', color='#777777')
                axes.axhline(1.0, color='#aaaaaa', linewidth=0.6, linestyle='--', zorder=0)
                axes.text(
                    0.97,
                    0.86,
                    plain(pair),
                    transform=axes.transAxes,
                    horizontalalignment='right',
                    weight='bold',
                )
                axes.set_xlim(left=0.0)
            row[0].set_ylim(bottom=0.0)
        for row in grid:
            row[0].set_ylabel(r'$g(r)$')
        temperature_legend(figure, colours, columns=5)
        return figure
