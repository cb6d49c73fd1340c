"""What the analysis gives beside D: fit windows, pairs, van Hove function, occupation, deviation from experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_hdiff.report.compare import Deviation, deviations
from aiida_hdiff.report.extras import require
from aiida_hdiff.report.plots.style import (
    COLOURS,
    COLUMN_IN,
    INK,
    house_style,
    labelled,
    new_figure,
    plain,
    temperature_colours,
    temperature_legend,
    thinned,
)
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult
from aiida_hdiff.report.text import ratio, scientific

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 2.5
_LABEL_LENGTH = 24
_DARK = 0.7
"""Decadic logarithm of the ratio from which on the colour is dark."""
_FEW, _MANY = 3, 6
"""Temperatures up to which coefficients are written out, and up to which they fit into the cells at all."""


@labelled
def window_figure(study: Study) -> Figure | None:
    """Draw D of other fit windows over the D reported, or return ``None`` without a scan."""
    found = [(one, item) for one, item in _runs(study) if item.details.windows is not None and item.value_m2_s]
    if not found:
        return None
    with house_style():
        figure, ((axes,),) = new_figure(COLUMN_IN, _HEIGHT)
        colours = temperature_colours([item.temperature_K for _, item in found])
        for _, item in found:
            scan, value = item.details.windows, item.value_m2_s or 1.0
            assert scan is not None
            axes.errorbar(
                scan.start_ps,
                scan.value_m2_s / value,
                yerr=scan.std_error_m2_s / value,
                color=colours[item.temperature_K],
                marker='o',
                markersize=3,
                linewidth=0.8,
            )
        axes.axhline(1.0, color='#777777', linewidth=0.7, linestyle='--', zorder=0)
        ticker = require('matplotlib.ticker')
        axes.set_xscale('log')
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel('start of the window (ps)')
        axes.set_ylabel(r'$D$(window) / $D$')
        temperature_legend(figure, colours)
        return figure


@labelled
def pairs_figure(study: Study) -> Figure | None:
    """Draw the number of H-H pairs against time, or return ``None`` where it is not known."""
    found = [(one, item) for one, item in _runs(study) if item.details.pairs is not None and item.replica == 0]
    if not found:
        return None
    with house_style():
        figure, ((axes,),) = new_figure(COLUMN_IN, _HEIGHT)
        colours = temperature_colours([item.temperature_K for _, item in found])
        for _, item in found:
            pairs = item.details.pairs
            assert pairs is not None
            colour = colours[item.temperature_K]
            axes.plot(*thinned(pairs.times_ps, pairs.counts), color=colour, linewidth=0.5, alpha=0.5)
            if pairs.mean is not None:
                axes.axhline(pairs.mean, color=colour, linewidth=1.2)
            if pairs.random is not None:
                axes.axhline(pairs.random, color='#777777', linewidth=0.7, linestyle=':')
        cutoff = next(item.details.pairs.cutoff_A for _, item in found if item.details.pairs is not None)
        axes.set_xlabel('time (ps)')
        axes.set_ylabel(f'H-H pairs closer than {cutoff:g} Å')
        axes.set_ylim(bottom=0.0)
        temperature_legend(figure, colours)
        return figure


@labelled
def van_hove_figure(study: Study) -> Figure | None:
    """Draw the self part of the van Hove function of the hottest run, or return ``None`` where it is not known."""
    found = [(one, item) for one, item in _runs(study) if item.details.van_hove is not None]
    if not found:
        return None
    potential, item = max(found, key=lambda entry: entry[1].temperature_K)
    van_hove = item.details.van_hove
    assert van_hove is not None
    with house_style():
        figure, ((axes,),) = new_figure(COLUMN_IN, _HEIGHT)
        chosen = np.unique(np.linspace(0, len(van_hove.lags_ps) - 1, 6).round().astype(int))
        colours = temperature_colours([float(number) for number in chosen])
        for number in chosen:
            label = f'{van_hove.lags_ps[number]:.3g} ps'
            axes.plot(van_hove.r_A, van_hove.self_part[number], color=colours[float(number)], label=label)
        axes.set_title(plain(f'{potential.label}, {item.temperature_K:g} K'))
        axes.set_xlabel(r'$r$ (Å)')
        axes.set_ylabel(r'$4\pi r^2 G_\mathrm{s}(r, t)$ (Å$^{-1}$)')
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        axes.legend()
        return figure


@labelled
def occupation_figure(study: Study) -> Figure | None:
    """Draw the fraction of the time on each kind of site, or return ``None`` where it is not known."""
    found = [(one, item) for one, item in _runs(study) if item.details.sites is not None]
    kinds = list(dict.fromkeys(kind for _, item in found for kind in item.details.sites.occupation))  # type: ignore[union-attr]
    if not kinds:
        return None
    with house_style():
        figure, ((axes,),) = new_figure(COLUMN_IN, _HEIGHT)
        for number, kind in enumerate(kinds):
            entries = [
                (item.plot_temperature_K, *item.details.sites.occupation[kind])
                for _, item in found
                if item.details.sites is not None and kind in item.details.sites.occupation
            ]
            kelvin, fraction, error = zip(*entries, strict=True)
            colour = COLOURS[number % len(COLOURS)]
            errors = [value or 0.0 for value in error]
            axes.errorbar(kelvin, fraction, yerr=errors, fmt='o', color=colour, label=plain(kind))
        axes.set_xlabel(r'$T$ (K)')
        axes.set_ylabel('fraction of the time')
        axes.set_ylim(-0.02, 1.02)
        axes.legend()
        return figure


@labelled
def deviation_figure(study: Study) -> Figure | None:
    """Draw D, and as colour its ratio to the published law that covers most, potentials against temperatures."""
    tables = [
        (value, [(one.label, found) for one in study.potentials if (found := deviations(one, value))])
        for value in study.literature
    ]
    value, rows = max(tables, key=lambda entry: sum(len(found) for _, found in entry[1]), default=(None, []))
    if value is None or not rows:
        return None
    temperatures = sorted({item.temperature_K for _, found in rows for item in found})
    field = np.full((len(rows), len(temperatures)), np.nan)
    with house_style():
        figure, ((axes,),) = new_figure(COLUMN_IN, 1.1 + 0.34 * len(rows))
        for row, (_, found) in enumerate(rows):
            for item in found:
                column = temperatures.index(item.temperature_K)
                field[row, column] = np.log10(item.ratio)
                words, size = _cell(item, len(temperatures))
                ink = 'white' if abs(field[row, column]) > _DARK else INK
                axes.text(column, row, words, ha='center', va='center', fontsize=size, linespacing=1.25, color=ink)
        colours = require('matplotlib.colors').LinearSegmentedColormap.from_list(
            'deviation', ['#2166ac', '#7fb2d6', '#f7f3ec', '#e8a06a', '#b2461f']
        )
        image = axes.imshow(field, cmap=colours, vmin=-1.0, vmax=1.0, aspect='auto')
        bar = figure.colorbar(image, ax=axes, ticks=[-1, -0.5, 0, 0.5, 1])
        bar.ax.set_yticklabels(['≤ 0.1', '0.3', '1', '3', '≥ 10'])
        axes.set_xticks(range(len(temperatures)), [f'{kelvin:g}' for kelvin in temperatures])
        axes.set_yticks(range(len(rows)), [plain(label[:_LABEL_LENGTH]) for label, _ in rows])
        axes.set_xlabel(r'requested $T$ (K)')
        axes.set_title(plain(f'D (m²/s), and over that of\n{value.citation[:_LABEL_LENGTH]}'), fontsize=7.5)
        axes.tick_params(length=0)
        return figure


def _cell(item: Deviation, n_columns: int) -> tuple[str, float]:
    """Return D and its ratio as text that fits into a cell, and the size of its letters."""
    bound, star = '< ' if item.is_bound else '', '*' if item.extrapolated else ''
    below = f'{bound}{ratio(item.ratio)}{star}'
    if n_columns > _MANY:
        return below, 6.0
    if n_columns > _FEW:
        mantissa, _, exponent = f'{item.value_m2_s:.1e}'.partition('e')
        return f'{bound}{mantissa}e{int(exponent)}\n{below}', 5.8
    return f'{bound}{scientific(item.value_m2_s)}\n{below}', 6.3


def _runs(study: Study) -> list[tuple[PotentialResult, TemperatureResult]]:
    return [(potential, item) for potential in study.potentials for item in potential.temperatures]
