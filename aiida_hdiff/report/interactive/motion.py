"""How hydrogen atoms move and meet: pairs against time, van Hove function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aiida_hdiff.report.details import PairSeries, VanHove
from aiida_hdiff.report.interactive.panel import (
    Figure,
    Panel,
    Variant,
    axis,
    figure,
    numbers,
    panels,
    runs,
    sequence_colours,
    thinned,
)
from aiida_hdiff.report.study import Study, run_name
from aiida_hdiff.report.text import measurement

MAX_LAGS = 8
_SHOWN_A = 10.0

_PAIR_CAPTION = (
    'Number of pairs of hydrogen atoms closer than the cut-off, averaged over short windows. The dashed line is the '
    'mean of the run, the dotted one the number expected of hydrogen placed at random.'
)
_VAN_HOVE_CAPTION = (
    'Probability that a hydrogen atom is at the distance r from where it was, at several lag times: peaks at the '
    'distances between sites are jumps. α₂ tells how far the distribution is from a Gaussian one (0).'
)


def pair_panels(study: Study) -> list[Panel]:
    """Return the number of H-H pairs against time, a variant per run."""
    variants = [
        Variant(potential.label, run_name(potential, item), _pair_figure(item.details.pairs))
        for potential, item in runs(study)
        if item.details.pairs is not None
    ]
    return panels('pairs', 'H–H pairs', _PAIR_CAPTION, variants, height=360)


def _pair_figure(pairs: PairSeries) -> Figure:
    times, counts = thinned(pairs.times_ps, pairs.counts)
    ends = numbers([times[0], times[-1]])
    data: list[dict[str, Any]] = [
        {
            'name': f'closer than {pairs.cutoff_A:g} Å',
            'mode': 'lines',
            'x': numbers(times),
            'y': numbers(counts),
            'line': {'color': '@c0', 'width': 1.2},
            'hovertemplate': '%{x:.3g} ps<br>%{y:.3g} pairs<extra></extra>',
        }
    ]
    for name, value, dash in (
        (f'mean {measurement(pairs.mean, pairs.std_error, 2)}', pairs.mean, 'dash'),
        (f'at random {measurement(pairs.random, None, 2)}', pairs.random, 'dot'),
    ):
        if value is not None:
            line = {'color': '@ink' if dash == 'dash' else '@soft', 'width': 1.5, 'dash': dash}
            data.append(
                {'name': name, 'mode': 'lines', 'x': ends, 'y': [value, value], 'line': line, 'hoverinfo': 'skip'}
            )
    return figure(data, xaxis=axis('time (ps)'), yaxis=axis('H–H pairs', rangemode='tozero'))


def van_hove_panels(study: Study) -> list[Panel]:
    """Return the self part of the van Hove function, a variant per run."""
    variants = [
        Variant(potential.label, run_name(potential, item), _van_hove_figure(item.details.van_hove))
        for potential, item in runs(study)
        if item.details.van_hove is not None
    ]
    return panels('van_hove', 'Van Hove function, self part', _VAN_HOVE_CAPTION, variants, height=420)


def _van_hove_figure(found: VanHove) -> Figure:
    chosen = np.unique(np.linspace(0, len(found.lags_ps) - 1, MAX_LAGS).round().astype(int))
    data = []
    for index, colour in zip(chosen, sequence_colours(len(chosen)), strict=True):
        r, density = thinned(found.r_A, found.self_part[index])
        alpha = math.nan if found.non_gaussian is None else float(found.non_gaussian[index])
        remark = f', α₂ = {alpha:.2f}' if math.isfinite(alpha) else ''
        data.append(
            {
                'name': f'{found.lags_ps[index]:.3g} ps{remark}',
                'mode': 'lines',
                'x': numbers(r),
                'y': numbers(density),
                'line': {'color': colour, 'width': 1.8},
                'hovertemplate': '%{x:.2f} Å<br>%{y:.3g} Å⁻¹',
            }
        )
    shown = axis('r (Å)', range=[0, min(_SHOWN_A, float(found.r_A[-1]))])
    return figure(data, xaxis=shown, yaxis=axis('4πr² Gₛ(r, t) (Å⁻¹)', rangemode='tozero'))
