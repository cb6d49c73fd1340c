"""Root mean square errors of all potentials as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_hdiff.report.extras import require
from aiida_hdiff.report.models import LOG_SPREAD, QUANTITIES, SET_NAMES, known_sets, spread
from aiida_hdiff.report.plots.style import COLOURS, COLUMN_IN, INK, house_style, labelled, new_figure, plain
from aiida_hdiff.report.study import PotentialResult, Study
from aiida_hdiff.report.text import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = '#8C8C8C'
_MARKS = {'held_out': 'D', 'valid': 'o', 'path': 's', 'train': 'x'}
_ROW_IN, _PANEL_IN = 0.17, 0.5
_LABEL_LENGTH = 22


@labelled
def errors_figure(study: Study) -> Figure | None:
    """Draw the errors of energy, forces and stress of every potential, or return ``None`` where none are known.

    Bars are errors on the test set, circles and crosses those on the validation and training sets,
    diamonds and squares those of a distilled potential on held-out frames and on paths. Potentials that
    failed their check are grey; the axis is logarithmic where the errors differ by more than a factor of 20.
    """
    potentials = [one for one in study.potentials if one.model is not None and one.model.errors]
    shown = [quantity for quantity in QUANTITIES if any(_values(one, quantity.name) for one in potentials)]
    if not shown:
        return None
    colours = {id(one): COLOURS[number % len(COLOURS)] for number, one in enumerate(study.potentials)}
    with house_style():
        height = 0.35 + len(shown) * (_PANEL_IN + _ROW_IN * len(potentials))
        figure, grid = new_figure(COLUMN_IN, height, len(shown), 1)
        for (axes,), quantity in zip(grid, shown, strict=True):
            _draw(axes, potentials, quantity.name, colours)
            axes.set_xlabel(f'RMSE of the {quantity.title} ({quantity.unit})')
        _legend(figure, known_sets([one.model for one in potentials]))
        return figure


def _values(potential: PotentialResult, quantity: str) -> dict[str, float]:
    """Return the errors of one quantity by set."""
    errors = potential.model.errors if potential.model else {}
    values = {name: getattr(one, quantity) for name, one in errors.items()}
    return {name: value for name, value in values.items() if value is not None}


def _draw(axes: Axes, potentials: list[PotentialResult], quantity: str, colours: dict[int, str]) -> None:
    names, every = [], [value for one in potentials for value in _values(one, quantity).values()]
    logarithmic = spread(every) > LOG_SPREAD
    left = 0.5 * min(value for value in every if value > 0.0) if logarithmic else 0.0
    for place, potential in enumerate(potentials):
        values, failed = _values(potential, quantity), potential.model is not None and potential.model.left_out
        names.append(plain(potential.label[:_LABEL_LENGTH]) + (' (failed)' if failed else ''))
        if 'test' in values:
            axes.barh(
                place, max(values['test'] - left, 0.0), left=left, height=0.74, linewidth=0.0,
                color=GREY if failed else colours[id(potential)],
            )  # fmt: skip
        for name, mark in _MARKS.items():
            if name in values:
                axes.plot(
                    values[name], place, marker=mark, markersize=3.2, markeredgewidth=0.8, markerfacecolor='white',
                    markeredgecolor=INK, zorder=3,
                )  # fmt: skip
        if values:
            axes.annotate(
                digits(values.get('test', values.get('held_out'))), (max(values.values()), place), xytext=(4.0, 0.0),
                va='center', textcoords='offset points', fontsize=6.5, color=GREY if failed else INK,
            )  # fmt: skip
    if logarithmic:
        axes.set_xscale('log')
    axes.set_xlim(left, 2.5 * max(every) if logarithmic else 1.18 * max(every))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis='y', length=0)
    for label, potential in zip(axes.get_yticklabels(), potentials, strict=True):
        if potential.model is not None and potential.model.left_out:
            label.set_color(GREY)
    axes.spines[['top', 'right']].set_visible(False)


def _legend(figure: Figure, sets: list[str]) -> None:
    lines, patches = require('matplotlib.lines'), require('matplotlib.patches')
    handles = [patches.Patch(color='#555555', label='test set')] if 'test' in sets else []
    handles += [
        lines.Line2D(
            [], [], linestyle='none', marker=mark, markersize=3.6, markerfacecolor='white', markeredgecolor=INK,
            markeredgewidth=0.8, label=f'{SET_NAMES[name]} set',
        )
        for name, mark in _MARKS.items() if name in sets
    ]  # fmt: skip
    figure.legend(handles=handles, loc='outside lower center', ncols=3, handlelength=1.0, columnspacing=1.2)
