"""Root mean square errors of all potentials as bars."""

from __future__ import annotations

import math
from typing import Any

from aiida_hdiff.report.interactive.panel import (
    COLOURS,
    KEEP_APART,
    Panel,
    Variant,
    axis,
    figure,
    panels,
    text,
)
from aiida_hdiff.report.models import LOG_SPREAD, QUANTITIES, SET_NAMES, Quantity, SetErrors, known_sets, spread
from aiida_hdiff.report.study import PotentialResult, Study
from aiida_hdiff.report.text import digits

GREY = '@l2'
_LABEL_LENGTH = 22
_ROW_PX, _GAP_PX, _AROUND_PX = 30, 62, 124
_ROOM = '\u2003'
"""Between the end of a bar, where marks may be, and its number."""
_MARKS = {'held_out': 'diamond', 'valid': 'circle', 'path': 'square', 'train': 'x'}
_CAPTION = (
    'Bars are errors on the test set, circles and crosses those on the validation and training sets; for a distilled '
    'potential diamonds are those on frames that were held out, squares those on paths, against its teacher. '
    'Energies are compared after a constant for each element is removed. Axes are logarithmic where the errors differ '
    'by more than a factor of 20. Potentials that failed their check are grey.'
)


def error_panels(study: Study) -> list[Panel]:
    """Return the errors of energy, forces and stress, all potentials in each."""
    entries = [
        (one, GREY if one.model.left_out else COLOURS[number % len(COLOURS)])
        for number, one in enumerate(study.potentials)
        if one.model is not None and one.model.errors
    ]
    shown = [quantity for quantity in QUANTITIES if any(_value(one, quantity, name) is not None
                                                        for one, _ in entries for name in SET_NAMES)]  # fmt: skip
    if not shown:
        return []
    names = [_name(one, number) for number, (one, _) in enumerate(entries)]
    layout: dict[str, Any] = {'margin': {'l': 64, 'r': 16, 't': 16, 'b': 52}, 'bargap': 0.25}
    data: list[dict[str, Any]] = []
    inner = len(shown) * _ROW_PX * len(entries) + (len(shown) - 1) * _GAP_PX
    share, step = _ROW_PX * len(entries) / inner, (_ROW_PX * len(entries) + _GAP_PX) / inner
    for number, quantity in enumerate(shown):
        suffix = '' if number == 0 else str(number + 1)
        top = 1.0 - number * step
        data += _traces(entries, names, quantity, suffix, first=number == 0)
        layout[f'xaxis{suffix}'] = _x_axis([one for one, _ in entries], quantity, suffix)
        layout[f'yaxis{suffix}'] = {
            'type': 'category', 'categoryarray': names, 'autorange': 'reversed', 'automargin': True, 'showgrid': False,
            'domain': [round(max(top - share, 0.0), 4), round(top, 4)], 'anchor': f'x{suffix}', 'ticks': '',
        }  # fmt: skip
    variant = Variant('', '', figure(data, **layout))
    return panels('errors', 'Root mean square errors of the potentials', _CAPTION, [variant], height=inner + _AROUND_PX)


def _name(potential: PotentialResult, number: int) -> str:
    """Return the label on the axis."""
    failed = ' (failed)' if potential.model is not None and potential.model.left_out else ''
    return f'{text(potential.label[:_LABEL_LENGTH])}{failed}{KEEP_APART * number}'


def _value(potential: PotentialResult, quantity: Quantity, name: str) -> float | None:
    errors = potential.model.errors if potential.model else {}
    value: float | None = getattr(errors[name], quantity.name) if name in errors else None
    return value


def _x_axis(potentials: list[PotentialResult], quantity: Quantity, suffix: str) -> dict[str, Any]:
    found = [_value(one, quantity, name) for one in potentials for name in SET_NAMES]
    values = [value for value in found if value is not None and value > 0.0]
    title, anchor = f'{quantity.title} ({quantity.unit})', f'y{suffix}'
    if spread(values) > LOG_SPREAD:
        low, high = math.log10(0.5 * min(values)), math.log10(3.0 * max(values))
        options = {'type': 'log', 'dtick': 1, 'tickangle': 0, 'minor': {'ticks': 'outside', 'dtick': 'D1'}}
        return axis(title, anchor=anchor, range=[round(low, 3), round(high, 3)], **options)
    return axis(title, anchor=anchor, range=[0.0, float(f'{1.2 * max(values, default=1.0):.4g}')])


def _traces(
    entries: list[tuple[PotentialResult, str]], names: list[str], quantity: Quantity, suffix: str, *, first: bool
) -> list[dict[str, Any]]:
    """Return the bars of the test set and the marks of the others."""
    traces: list[dict[str, Any]] = []
    for name in known_sets([one.model for one, _ in entries]):
        values = [_value(one, quantity, name) for one, _ in entries]
        common: dict[str, Any] = {
            'name': f'{SET_NAMES[name]} set',
            'legendgroup': name,
            'showlegend': first,
            'y': names,
            'x': [None if value is None else float(f'{value:.4g}') for value in values],
            'customdata': [_hover(one, quantity, name) for one, _ in entries],
            'hovertemplate': '%{customdata}<extra></extra>',
            'xaxis': f'x{suffix}',
            'yaxis': f'y{suffix}',
        }
        if name in _MARKS:
            mark = {'symbol': _MARKS[name], 'size': 8, 'color': '@card', 'line': {'width': 1.5, 'color': '@ink'}}
            traces.append({**common, 'type': 'scatter', 'mode': 'markers', 'marker': mark})
        else:
            traces.append(
                {
                    **common,
                    'type': 'bar',
                    'orientation': 'h',
                    'text': ['' if value is None else f'{_ROOM}{digits(value)}' for value in values],
                    'textposition': 'outside',
                    'textfont': {'color': '@ink'},
                    'cliponaxis': False,
                    'marker': {'color': [colour for _, colour in entries]},
                }
            )
    return traces


def _hover(potential: PotentialResult, quantity: Quantity, name: str) -> str:
    value = _value(potential, quantity, name)
    if potential.model is None or value is None:
        return ''
    errors = potential.model.errors[name]
    frames = '' if errors.n_frames is None else f', {errors.n_frames} frames'
    lines = [
        text(potential.label),
        f'{SET_NAMES[name]} set{frames}',
        f'{digits(value, 4)} {quantity.unit}{_note(errors, quantity)}',
    ]
    if quantity.name == 'force_meV_A':
        lines += [f'on {text(element)}: {digits(one)}' for element, one in errors.force_by_element_meV_A.items()]
    return '<br>'.join(lines)


def _note(errors: SetErrors, quantity: Quantity) -> str:
    if not quantity.name.startswith('best_energy') or errors.energy_meV_per_atom is None:
        return ''
    if errors.energy_shifted_meV_per_atom is None:
        return ', as predicted'
    return f'<br>as predicted: {digits(errors.energy_meV_per_atom, 4)}'
