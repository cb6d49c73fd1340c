"""Radial distribution functions of all potentials in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_hdiff.report.extras import require
from aiida_hdiff.report.plots.style import COLOURS, COLUMN_IN, house_style, labelled, new_figure, plain, thinned
from aiida_hdiff.report.study import Study, pair_order, shared_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_TEMPERATURES = 3
_DASHES: tuple[Any, ...] = ('-', (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (7, 2)))


@labelled
def rdf_compare_figure(study: Study) -> Figure | None:
    """Draw a row per pair of elements and a column per temperature, all potentials in each; lines differ in dashes too.

    Of many temperatures the lowest, a middle and the highest are shown. ``None`` unless two potentials share a pair at
    one temperature.
    """
    shared = shared_curves(study)
    if not shared:
        return None
    pairs = sorted({pair for pair, _ in shared}, key=pair_order)
    all_temperatures = sorted({kelvin for _, kelvin in shared})
    middle = all_temperatures[len(all_temperatures) // 2]
    kelvins = sorted({all_temperatures[0], middle, all_temperatures[-1]})
    numbers = {id(one): number for number, one in enumerate(study.potentials)}
    with house_style():
        width = COLUMN_IN if len(kelvins) < MAX_TEMPERATURES else 1.6 * COLUMN_IN
        figure, grid = new_figure(
            width, 0.75 + 1.3 * len(pairs), len(pairs), len(kelvins), sharex=True, sharey='row'
        )  # fmt: skip
        used: dict[int, dict[str, Any]] = {}
        for pair, row in zip(pairs, grid, strict=True):
            for kelvin, axes in zip(kelvins, row, strict=True):
                for potential, curve in shared.get((pair, kelvin), ()):
                    number = numbers[id(potential)]
                    r, g = thinned(curve.r_A, curve.g)
                    used[number] = {
                        'color': COLOURS[number % len(COLOURS)], 'linestyle': _DASHES[number % len(_DASHES)],
                        'linewidth': 1.0,
                    }  # fmt: skip
                    axes.plot(r, g, **used[number])
                axes.axhline(1.0, color='#aaaaaa', linewidth=0.6, zorder=0)
                axes.text(0.96, 0.9, plain(pair), transform=axes.transAxes, ha='right', va='top', weight='bold')
                axes.set_xlim(left=0.0)
            row[0].set_ylim(bottom=0.0)
            row[0].set_ylabel(r'$g(r)$')
        for kelvin, axes in zip(kelvins, grid[0], strict=True):
            axes.set_title(f'{kelvin:g} K')
        for axes in grid[-1]:
            axes.set_xlabel(r'$r$ (Å)')
        line = require('matplotlib.lines').Line2D
        handles = [
            line([], [], label=plain(study.potentials[number].label), **style) for number, style in sorted(used.items())
        ]
        columns = min(len(handles), 3 if width > COLUMN_IN else 2)
        figure.legend(handles=handles, loc='outside lower center', ncols=columns, columnspacing=1.2, handlelength=2.4)
        return figure
