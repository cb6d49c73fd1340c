"""The Arrhenius plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.extras import require
from aiida_hdiff.report.plots.style import COLOURS, COLUMN_IN, INK, MARKERS, house_style, labelled, new_figure, plain
from aiida_hdiff.report.study import PotentialResult, Study
from aiida_hdiff.report.text import measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LITERATURE = 5
"""Published values drawn at most; all of them are in the table."""

_GREYS = ('#000000', '#6b6b6b', '#9a9a9a', '#4a6a8a', '#8a6a4a')
_BAND = 1.96
_DASHES: tuple[Any, ...] = ('-', (0, (6, 2)), (0, (4, 1.5, 1, 1.5)))
"""Of the first six potentials, the next six, ...: with colour and marker no two look alike."""


@labelled
def arrhenius_figure(study: Study) -> Figure:
    """Draw D against 1000/T with the fits and the published values.

    Error bars are standard errors, bands 95 % intervals of the fit, arrows upper bounds. Published laws are
    solid inside their measured range and dashed outside.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    with house_style():
        shown = [value for value in study.literature if value.has_coefficient or value.point][:MAX_LITERATURE]
        entries = len(study.potentials) + len(shown)
        figure, grid = new_figure(COLUMN_IN, 2.75 + 0.16 * entries)
        axes = grid[0][0]
        axes.set_yscale('log')
        kelvin = _temperature_axis(study)
        for number, potential in enumerate(study.potentials):
            if potential.has_fit or potential.temperatures:
                _draw_potential(axes, potential, kelvin, number)
        for value, colour in zip(shown, _GREYS, strict=False):
            _draw_literature(axes, value, kelvin, colour)
        _decorate(axes, kelvin)
        if entries:
            handles, labels = axes.get_legend_handles_labels()
            first = sorted(zip(handles, labels, strict=True), key=lambda entry: hasattr(entry[0], 'get_linestyle'))
            figure.legend(*zip(*first, strict=True), loc='outside lower left', ncols=1, labelspacing=0.35)
        return figure


def _temperature_axis(study: Study) -> FloatArray:
    """Return the temperatures of the abscissa in K, evenly spaced in 1/T, with a margin."""
    used = [item.plot_temperature_K for one in study.potentials for item in one.temperatures] or [
        300.0,
        1000.0,
    ]
    low, high = 1.0 / max(used), 1.0 / min(used)
    margin = 0.07 * (high - low) or 0.1 * low
    axis: FloatArray = 1.0 / np.linspace(low - min(margin, 0.5 * low), high + margin, 200)
    return axis


def _draw_potential(axes: Axes, potential: PotentialResult, kelvin: FloatArray, number: int) -> None:
    """Draw the points, the upper bounds and the fit of one potential."""
    colour, dash = COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)]
    marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
    label = plain(potential.label)
    if potential.has_fit:
        value, log_error = np.array([potential.predict(float(item)) for item in kelvin]).T
        energy = measurement(potential.activation_energy_eV, potential.activation_energy_error_eV)
        label += rf': $E_\mathrm{{a}}$ = {energy} eV'
        axes.plot(1000.0 / kelvin, value, color=colour, linestyle=dash, linewidth=1.1, zorder=3)
        spread = np.exp(_BAND * log_error)
        axes.fill_between(
            1000.0 / kelvin, value / spread, value * spread, color=colour, alpha=0.18, linewidth=0, zorder=2
        )
    resolved = [item for item in potential.temperatures if item.status == 'resolved' and item.value_m2_s]
    x, y, lower, upper, x_error = [], [], [], [], []
    for item in resolved:
        d = item.value_m2_s or math.nan
        error = _finite(item.std_error_m2_s)
        x.append(1000.0 / item.plot_temperature_K)
        y.append(d)
        lower.append(min(error, 0.9 * d))
        upper.append(error)
        x_error.append(1000.0 * _finite(item.temperature_error_K) / item.plot_temperature_K**2)
    axes.errorbar(
        x,
        y,
        yerr=[lower, upper],
        xerr=x_error,
        fmt=marker,
        color=colour,
        markerfacecolor='white',
        markeredgewidth=1.1,
        elinewidth=0.9,
        linestyle='none',
        zorder=4,
        label=label,
    )
    for item in potential.temperatures:
        bound = _finite(item.upper_bound_m2_s)
        if item.status == 'not_resolved' and bound > 0.0:
            _draw_bound(axes, 1000.0 / item.plot_temperature_K, bound, colour)


def _finite(value: float | None) -> float:
    """Return a value, or 0 where it is unknown or not finite."""
    return value if value is not None and math.isfinite(value) else 0.0


def _draw_bound(axes: Axes, x: float, bound: float, colour: str) -> None:
    """Draw an upper bound as a bar with an arrow that points down."""
    axes.plot([x], [bound], marker='_', markersize=8, markeredgewidth=1.3, color=colour, zorder=4)
    axes.annotate(
        '',
        xy=(x, bound),
        xytext=(0.0, -15.0),
        textcoords='offset points',
        arrowprops={'arrowstyle': '<-', 'color': colour, 'linewidth': 1.1, 'shrinkA': 0.0, 'shrinkB': 0.0},
        zorder=4,
    )


def _draw_literature(axes: Axes, value: LiteratureValue, kelvin: FloatArray, colour: str) -> None:
    """Draw one published law or point."""
    isotope = '' if value.isotope == 'H' else f' ({value.isotope})'
    label = plain(value.citation + isotope)
    if not value.has_coefficient:
        if value.point is not None:
            temperature, d = value.point
            axes.plot([1000.0 / temperature], [d], marker='x', linestyle='none', color=colour, label=label, zorder=3)
        return
    law = np.array([value.coefficient(float(item)) for item in kelvin])
    inside = np.array([value.covers(float(item)) for item in kelvin])
    axes.plot(1000.0 / kelvin, law, color=colour, linestyle=(0, (2.5, 2.0)), linewidth=0.9, zorder=1)
    axes.plot(1000.0 / kelvin, np.where(inside, law, np.nan), color=colour, linewidth=1.2, zorder=1, label=label)


def _decorate(axes: Axes, kelvin: FloatArray) -> None:
    """Label the axes and add the temperature axis on top."""
    axes.set_xlim(float(1000.0 / kelvin.max()), float(1000.0 / kelvin.min()))
    low, high = axes.get_ylim()
    axes.set_ylim(10.0 ** math.floor(math.log10(low) + 0.05), 10.0 ** math.ceil(math.log10(high) - 0.05))
    axes.yaxis.set_minor_formatter(require('matplotlib.ticker').NullFormatter())
    axes.set_xlabel(r'1000/$T$ (K$^{-1}$)')
    axes.set_ylabel(r'$D$ (m$^2$ s$^{-1}$)')
    axes.grid(visible=True, which='major', color='#e4e4e4', linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(which='both', right=True)
    top = axes.secondary_xaxis('top', functions=(_kelvin_from_x, _kelvin_from_x))
    top.set_xlabel(r'$T$ (K)', color=INK)
    top.set_xticks(_round_temperatures(float(kelvin.min()), float(kelvin.max())))
    top.minorticks_off()


def _kelvin_from_x(x: npt.ArrayLike) -> npt.ArrayLike:
    """Turn 1000/T into T and back."""
    with np.errstate(divide='ignore'):
        return 1000.0 / np.asarray(x, dtype=np.float64)


def _round_temperatures(low: float, high: float) -> list[float]:
    """Return round temperatures in K that are well apart on a 1/T axis."""
    width = 1.0 / low - 1.0 / high
    for step in (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0):
        ticks = np.arange(math.ceil(low / step) * step, high + 0.5, step)
        if len(ticks) < 2:
            return [float(tick) for tick in ticks]
        if np.min(-np.diff(1.0 / ticks)) > 0.11 * width:
            return [float(tick) for tick in ticks]
    return []
