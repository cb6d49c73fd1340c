"""Temperature and energy against time in the NVE runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_hdiff.report.details import FloatArray
from aiida_hdiff.report.interactive.panel import (
    Panel,
    Variant,
    axis,
    figure,
    numbers,
    panels,
    temperature_colours,
    thinned,
)
from aiida_hdiff.report.study import StageSeries, Study, run_name

_BLOCKS = 20
_CAPTION = (
    'Temperature (above) and total energy relative to its start (below) in the production runs: values faint, means '
    'over a twentieth of the run bold. Dashed: the requested temperature. The slope of the energy is the drift.'
)


def nve_panels(study: Study) -> list[Panel]:
    """Return temperature and energy of the NVE runs, a variant per potential."""
    variants = []
    for potential in study.potentials:
        colours = temperature_colours(item.temperature_K for item in potential.temperatures)
        data, requested = [], set()
        for item in potential.temperatures:
            for series in item.series:
                if series.stage == 'nve' and len(series.times_ps):
                    data += _traces(run_name(potential, item), series, colours[item.temperature_K])
                    requested.add(item.temperature_K)
        if data:
            layout = {
                'xaxis': axis('time (ps)', anchor='y2', domain=[0, 1]),
                'yaxis': axis('T (K)', domain=[0.55, 1]),
                'yaxis2': axis('energy change (meV/atom)', domain=[0, 0.45]),
                'shapes': [_requested(kelvin) for kelvin in sorted(requested)],
            }
            variants.append(Variant('', potential.label, figure(data, **layout)))
    return panels('nve', 'Temperature and energy', _CAPTION, variants, height=560)


def _requested(kelvin: float) -> dict[str, Any]:
    line = {'color': '@soft', 'width': 1, 'dash': 'dash'}
    return {'type': 'line', 'xref': 'paper', 'x0': 0, 'x1': 1, 'y0': kelvin, 'y1': kelvin, 'line': line}


def _traces(name: str, series: StageSeries, colour: str) -> list[dict[str, Any]]:
    traces = _pair(name, series.times_ps, series.temperature_K, colour, 'y', 'K', show=True)
    if series.energy_eV_per_atom is not None:
        energy = series.energy_eV_per_atom
        start = np.mean(energy[: max(len(energy) // _BLOCKS, 1)])
        traces += _pair(name, series.times_ps, 1000.0 * (energy - start), colour, 'y2', 'meV/atom', show=False)
    return traces


def _pair(
    name: str, times: FloatArray, values: FloatArray, colour: str, yaxis: str, unit: str, *, show: bool
) -> list[dict[str, Any]]:
    """Return the values faintly, and their means over twentieths of the run."""
    common: dict[str, Any] = {'name': name, 'legendgroup': name, 'mode': 'lines', 'yaxis': yaxis}
    x, y = thinned(times, values)
    faint = {
        **common,
        'x': numbers(x),
        'y': numbers(y, 5),
        'line': {'color': colour, 'width': 1},
        'opacity': 0.3,
        'hoverinfo': 'skip',
        'showlegend': False,
    }
    count = min(_BLOCKS, len(times))
    bold = {
        **common,
        'x': numbers([float(np.mean(block)) for block in np.array_split(times, count)]),
        'y': numbers([float(np.mean(block)) for block in np.array_split(values, count)], 5),
        'line': {'color': colour, 'width': 2.5},
        'hovertemplate': f'%{{x:.3g}} ps<br>%{{y:.4g}} {unit}',
        'showlegend': show,
    }
    return [faint, bold]
