"""The numbers behind the figures as CSV files, one per figure, with units in the headers."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiida_hdiff.report.compare import deviations
from aiida_hdiff.report.interactive.arrhenius import temperature_axis
from aiida_hdiff.report.interactive.panel import runs
from aiida_hdiff.report.learning import LearningHistory
from aiida_hdiff.report.study import Study
from aiida_hdiff.report.tables_models import model_tables
from aiida_hdiff.report.text import EMULATED

Row = Sequence[Any]
_RUN = ('potential', 'temperature_K', 'replica')


def make_tables(study: Study) -> dict[str, list[Row]]:
    """Return the numbers behind every figure that the study has data for.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    dict
        Tables by name; the first row is the header, an empty cell stands for what is not known. If anything in the
        study was made with the VASP stand-in, a last column says so in every row.
    """
    tables: dict[str, list[Row]] = {
        **model_tables(study),
        'arrhenius': [(*_RUN, *_COEFFICIENT), *_coefficients(study)],
        'arrhenius_fit': [('potential', 'temperature_K', 'fit_m2_s', 'log_std_error'), *_fits(study)],
        'literature': [('key', 'temperature_K', 'published_m2_s', 'inside_range'), *_literature(study)],
        'deviation': [('potential', 'key', *_DEVIATION), *_deviations(study)],
        'msd': [(*_RUN, 'lag_time_ps', 'msd_A2', 'msd_x_A2', 'msd_y_A2', 'msd_z_A2'), *_msd(study)],
        'window': [(*_RUN, 'start_ps', 'end_ps', 'value_m2_s', 'std_error_m2_s'), *_windows(study)],
        'rdf': [('potential', 'temperature_K', 'pair', 'r_A', 'g', 'coordination'), *_rdf(study)],
        'pairs': [(*_RUN, 'cutoff_A', 'time_ps', 'pairs'), *_pairs(study)],
        'van_hove': [(*_RUN, 'lag_time_ps', 'r_A', 'van_hove_self_per_A'), *_van_hove(study)],
        'occupation': [(*_RUN, 'kind', 'fraction', 'fraction_std_error', *_RESIDENCE), *_occupation(study)],
        'jump_rates': [(*_RUN, 'kinds', 'rate_per_ps', 'std_error_per_ps', 'jumps'), *_rates(study)],
        'sites': [(*_RUN, 'site', 'kind', 'x_A', 'y_A', 'z_A', 'occupation'), *_sites(study)],
        'network': [(*_RUN, 'site_a', 'site_b', 'jumps'), *_edges(study)],
        'path': [(*_RUN, 'atom', 'time_ps', 'x_A', 'y_A', 'z_A'), *_paths(study)],
        'nve': [(*_RUN, 'time_ps', 'temperature_K', 'energy_eV_per_atom'), *_series(study)],
        'learning': [('training', 'time_ps', 'bayesian_error_eV_A', 'threshold_eV_A'), *_learning(study)],
        'learning_calls': [('training', 'time_ps'), *_learning_calls(study)],
        'learning_curves': [('training', 'split', 'error', 'unit', 'epoch', 'value'), *_learning_curves(study)],
    }
    found = {name: rows for name, rows in tables.items() if len(rows) > 1}
    if study.emulated:
        return {name: [(*rows[0], 'label'), *((*row, EMULATED) for row in rows[1:])] for name, rows in found.items()}
    return found


def save_tables(study: Study, directory: Path | str) -> list[Path]:
    """Write the numbers behind the figures as CSV.

    Parameters
    ----------
    study : Study
        The study.
    directory : pathlib.Path or str
        Where to write; made if it does not exist.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in make_tables(study).items():
        path = target / f'{name}.csv'
        with path.open('w', newline='', encoding='utf-8') as handle:
            csv.writer(handle).writerows([_cell(value) for value in row] for row in rows)
        paths.append(path)
    return paths


def _cell(value: Any) -> Any:
    if value is None:
        return ''
    return f'{float(value):.8g}' if isinstance(value, (float, np.floating)) else value


_COEFFICIENT = (
    'status', 'measured_temperature_K', 'temperature_error_K', 'value_m2_s', 'std_error_m2_s', 'upper_bound_m2_s',
    'n_hops',
)  # fmt: skip
_DEVIATION = ('temperature_K', 'measured_temperature_K', 'ratio', 'is_upper_bound', 'distance_sigma', 'extrapolated')
_RESIDENCE = ('residence_ps', 'residence_std_error_ps')


def _runs(study: Study) -> Iterator[tuple[Row, Any]]:
    for potential, result in runs(study):
        yield (potential.label, result.temperature_K, result.replica), result


def _coefficients(study: Study) -> Iterator[Row]:
    return ((*run, *(getattr(result, name) for name in _COEFFICIENT)) for run, result in _runs(study))


def _fits(study: Study) -> Iterator[Row]:
    for potential in study.potentials:
        if potential.has_fit:
            for kelvin in temperature_axis(study):
                yield (potential.label, kelvin, *potential.predict(float(kelvin)))


def _literature(study: Study) -> Iterator[Row]:
    for value in study.literature:
        if value.has_coefficient:
            for kelvin in map(float, temperature_axis(study)):
                yield value.key, kelvin, value.coefficient(kelvin), value.covers(kelvin)
        elif value.point is not None:
            yield value.key, *value.point, True


def _deviations(study: Study) -> Iterator[Row]:
    for potential in study.potentials:
        for value in study.literature:
            for one in deviations(potential, value):
                yield (
                    potential.label, value.key, one.temperature_K, one.measured_temperature_K, one.ratio,
                    one.is_bound, one.distance_sigma, one.extrapolated,
                )  # fmt: skip


def _msd(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (msd := result.msd) is not None:
            axes = msd.msd_per_axis_A2 if msd.msd_per_axis_A2 is not None else [(None,) * 3] * len(msd.msd_A2)
            for lag, total, per_axis in zip(msd.lag_times_ps, msd.msd_A2, axes, strict=True):
                yield (*run, lag, total, *per_axis)


def _windows(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (scan := result.details.windows) is not None:
            yield from _columns(run, scan.start_ps, scan.end_ps, scan.value_m2_s, scan.std_error_m2_s)


def _rdf(study: Study) -> Iterator[Row]:
    for potential in study.potentials:
        for curve in potential.rdf:
            coordination = curve.coordination if curve.coordination is not None else [None] * len(curve.r_A)
            yield from _columns((potential.label, curve.temperature_K, curve.pair), curve.r_A, curve.g, coordination)


def _pairs(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (pairs := result.details.pairs) is not None:
            yield from _columns((*run, pairs.cutoff_A), pairs.times_ps, pairs.counts)


def _van_hove(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (found := result.details.van_hove) is not None:
            for lag, density in zip(found.lags_ps, found.self_part, strict=True):
                yield from _columns((*run, lag), found.r_A, density)


def _occupation(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (sites := result.details.sites) is not None:
            for kind, value in sites.occupation.items():
                yield (*run, kind, *value, *(sites.residence_times_ps.get(kind) or (None, None)))


def _rates(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (sites := result.details.sites) is not None:
            for kinds, rate in sites.jump_rates_per_ps.items():
                yield (*run, kinds, *rate)


def _sites(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (sites := result.details.sites) is not None:
            occupation = sites.site_occupation if sites.site_occupation is not None else [None] * len(sites.kinds)
            for number, (kind, position, filled) in enumerate(
                zip(sites.kinds, sites.positions_A, occupation, strict=True)
            ):
                yield (*run, number, sites.kind_names[kind] if sites.kind_names else int(kind), *position, filled)


def _edges(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (sites := result.details.sites) is not None:
            for (first, second), count in zip(sites.edges, sites.edge_counts, strict=True):
                yield (*run, int(first), int(second), int(count))


def _paths(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        if (path := result.details.path) is not None:
            for time, position in zip(path.times_ps, path.positions_A, strict=True):
                yield (*run, path.atom, time, *position)


def _series(study: Study) -> Iterator[Row]:
    for run, result in _runs(study):
        for series in result.series:
            if series.stage == 'nve':
                energy = series.energy_eV_per_atom
                energies = energy if energy is not None else [None] * len(series.times_ps)
                yield from _columns(run, series.times_ps, series.temperature_K, energies)


def _learning(study: Study) -> Iterator[Row]:
    for _, one in study.trainings:
        if isinstance(one, LearningHistory):
            yield from _columns((one.title,), one.times_ps, one.bayesian_error_eV_A, one.threshold_eV_A)


def _learning_calls(study: Study) -> Iterator[Row]:
    for _, one in study.trainings:
        if isinstance(one, LearningHistory):
            yield from _columns((one.title,), one.call_times_ps)


def _learning_curves(study: Study) -> Iterator[Row]:
    for _, one in study.trainings:
        if not isinstance(one, LearningHistory):
            for curve in one.curves:
                first = (one.title, curve.split, f'{curve.quantity} {curve.measure}', curve.unit)
                yield from _columns(first, curve.epochs, curve.errors)


def _columns(first: Row, *columns: Iterable[Any]) -> Iterator[Row]:
    return ((*first, *values) for values in zip(*columns, strict=True))
