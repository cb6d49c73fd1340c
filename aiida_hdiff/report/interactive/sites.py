"""Occupation of the sites, residence times, and the network of jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aiida_hdiff.report.details import SiteNetwork
from aiida_hdiff.report.interactive.panel import (
    COLOURS,
    MARKERS,
    Figure,
    Panel,
    Variant,
    axis,
    figure,
    numbers,
    panels,
    runs,
    short_log_axis,
    text,
)
from aiida_hdiff.report.interactive.scene import host_traces, points, scene_figure, segments
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult, run_name
from aiida_hdiff.report.text import measurement, plural

_OCCUPATION = 'Fraction of the time that hydrogen spends on each kind of site, with standard errors.'
_RESIDENCE = 'Mean time on a site between two jumps (points) and mean rate of each kind of jump per hydrogen atom.'
_NETWORK = (
    'Sites that hydrogen visited, coloured by kind and larger the longer it stayed; lines are jumps between them, '
    'thicker where they were many. Grey: mean positions of the host. Drag to turn.'
)

Run = tuple[TemperatureResult, SiteNetwork]


def site_panels(study: Study) -> list[Panel]:
    """Return occupation, residence times and the jump network."""
    occupation: list[Variant] = []
    residence: list[Variant] = []
    for potential in study.potentials:
        found = _runs(potential)
        for variants, make in ((occupation, _occupation), (residence, _residence)):
            if data := make(potential, found):
                variants.append(Variant('', potential.label, data))
    network = [
        Variant(potential.label, run_name(potential, item), _network(item.details.sites))
        for potential, item in runs(study, first_replica_only=True)
        if item.details.sites is not None and len(item.details.sites.positions_A)
    ]
    return [
        *panels('occupation', 'Where hydrogen sits', _OCCUPATION, occupation, height=360),
        *panels('residence', 'Residence times and jump rates', _RESIDENCE, residence, height=420),
        *panels('network', 'The network of jumps', _NETWORK, network, height=520, is_3d=True),
    ]


def _runs(potential: PotentialResult) -> list[Run]:
    return [(item, item.details.sites) for item in potential.temperatures if item.details.sites is not None]


def _occupation(potential: PotentialResult, found: list[Run]) -> Figure | None:
    kinds = list(dict.fromkeys(kind for _, sites in found for kind in sites.occupation))
    columns = [run_name(potential, item) for item, _ in found]
    data = []
    for number, kind in enumerate(kinds):
        values = [sites.occupation.get(kind, (0.0, None)) for _, sites in found]
        data.append(
            {
                'type': 'bar',
                'name': text(kind),
                'x': columns,
                'y': numbers([value for value, _ in values]),
                'error_y': {
                    'type': 'data',
                    'array': numbers([error or 0.0 for _, error in values], 3),
                    'color': '@ink',
                },
                'marker': {'color': COLOURS[number % len(COLOURS)]},
                'text': [measurement(value, error) for value, error in values],
                'textposition': 'none',
                'hovertemplate': '%{x}: %{text}',
            }
        )
    layout = {'barmode': 'group', 'xaxis': axis('', type='category'), 'yaxis': axis('fraction of the time')}
    return figure(data, **layout) if data else None


def _residence(_potential: PotentialResult, found: list[Run]) -> Figure | None:
    data: list[dict[str, Any]] = []

    def add(names: list[str], value: Callable[[SiteNetwork, str], Any], unit: str, yaxis: str, dash: str) -> None:
        for number, name in enumerate(names):
            entries = [(item, entry) for item, sites in found if (entry := value(sites, name)) and entry[0] > 0.0]
            if not entries:
                continue
            colour = COLOURS[(len(data)) % len(COLOURS)]
            data.append(
                {
                    'name': f'{"time on" if yaxis == "y" else "rate"} {text(name)}',
                    'mode': 'lines+markers',
                    'x': numbers([1000.0 / item.plot_temperature_K for item, _ in entries], 6),
                    'y': numbers([entry[0] for _, entry in entries]),
                    'error_y': {
                        'type': 'data',
                        'array': numbers([entry[1] or 0.0 for _, entry in entries], 3),
                        'color': colour,
                    },
                    'yaxis': yaxis,
                    'line': {'color': colour, 'width': 1.5, 'dash': dash},
                    'marker': {'color': colour, 'size': 8, 'symbol': MARKERS[number % len(MARKERS)]},
                    'text': [f'{item.plot_temperature_K:.0f} K<br>{entry[0]:.3g} {unit}' for item, entry in entries],
                    'hovertemplate': '%{text}',
                }
            )

    add(_names(found, 'residence_times_ps'), lambda sites, name: sites.residence_times_ps.get(name), 'ps', 'y', 'solid')
    add(_names(found, 'jump_rates_per_ps'), lambda sites, name: sites.jump_rates_per_ps.get(name), 'ps⁻¹', 'y2', 'dot')
    if not data:
        return None
    return figure(
        data,
        xaxis=axis('1000/T (K⁻¹)', anchor='y2'),
        yaxis=short_log_axis('residence (ps)', domain=[0.55, 1]),
        yaxis2=short_log_axis('rate (ps⁻¹)', domain=[0, 0.45]),
    )


def _names(found: list[Run], field: str) -> list[str]:
    return list(dict.fromkeys(name for _, sites in found for name in getattr(sites, field)))


def _network(sites: SiteNetwork) -> Figure:
    from ase.data import chemical_symbols

    symbols = tuple(chemical_symbols[number] for number in sites.host_numbers)
    data = host_traces(sites.host_positions_A, symbols, np.empty((0, 2), dtype=int), size=4)
    data += _jump_traces(sites)
    jumps = np.bincount(sites.edges.ravel(), np.repeat(sites.edge_counts, 2), len(sites.positions_A))
    weights = jumps if sites.site_occupation is None else sites.site_occupation
    top = float(weights.max()) or 1.0
    for number, kind in enumerate(sites.kind_names):
        chosen = sites.kinds == number
        if chosen.any():
            data.append(
                {
                    'type': 'scatter3d',
                    'mode': 'markers',
                    'name': f'{text(kind)} sites',
                    **points(sites.positions_A[chosen]),
                    'marker': {
                        'color': COLOURS[number % len(COLOURS)],
                        'size': numbers(3.0 + 7.0 * np.sqrt(weights[chosen] / top), 3),
                        'opacity': 0.9,
                        'line': {'width': 0},
                    },
                    'text': [f'{count:.0f} jumps from or to this site' for count in jumps[chosen]],
                    'hovertemplate': '%{text}<extra></extra>',
                }
            )
    return scene_figure(data)


def _jump_traces(sites: SiteNetwork) -> list[dict[str, Any]]:
    """Return the jumps in up to three classes of frequency, each to the nearest image of the other site."""
    if not len(sites.edges):
        return []
    starts = sites.positions_A[sites.edges[:, 0]]
    fractional = (sites.positions_A[sites.edges[:, 1]] - starts) @ np.linalg.inv(sites.cell_A)
    ends = starts + (fractional - np.round(fractional)) @ sites.cell_A
    limits = np.unique(np.quantile(sites.edge_counts, [0.0, 0.5, 0.85]))
    traces = []
    for number, low in enumerate(limits):
        high = limits[number + 1] if number + 1 < len(limits) else np.inf
        chosen = (sites.edge_counts >= low) & (sites.edge_counts < high)
        if chosen.any():
            most = sites.edge_counts[chosen].max()
            traces.append(
                {
                    'type': 'scatter3d',
                    'mode': 'lines',
                    'name': plural(int(low), 'jump') if most == low else f'{low:.0f}–{most:.0f} jumps',
                    **segments(starts[chosen], ends[chosen]),
                    'line': {'color': '@c4', 'width': 1.5 + 2.5 * number},
                    'hoverinfo': 'skip',
                }
            )
    return traces
