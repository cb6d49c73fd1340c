"""The results as a plain-text table for the terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from aiida_hdiff.report.compare import Comparison, compare, published_label
from aiida_hdiff.report.comparison import comparison_table
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult, run_name
from aiida_hdiff.report.text import EMULATED, MISSING, STATUS_TEXT, measurement, plural, ratio, scientific

_WIDTH = 100
_COLUMNS = 4
"""Potentials side by side; more go below."""


def results_table(study: Study) -> str:
    """Return the results as text, at most about 100 characters wide.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    str
        Lines with D at every temperature, Ea and D0 of every potential, and the published values.
    """
    lines = [EMULATED] * study.emulated + [study.title]
    facts = [study.system, plural(study.n_atoms, 'atom') if study.n_atoms else '']
    facts.append(f'protocol {study.protocol}' if study.protocol else '')
    lines.append(', '.join(fact for fact in facts if fact))
    if study.is_demonstration:
        lines += _wrapped('DEMONSTRATION: ', study.demonstration_text or 'not for use as a result.')
    for warning in study.warnings:
        lines += _wrapped('Warning: ', warning)
    lines += _side_by_side(study)
    for potential in study.potentials:
        kind = f'{potential.architecture}, EMULATED' if potential.emulated else potential.architecture
        lines += ['', f'{potential.label} ({kind})']
        lines += _temperature_lines(potential)
        lines += _warning_lines(potential)
        lines += _fit_lines(potential)
        lines += _comparison_lines(compare(potential, study.literature))
    if not study.potentials:
        lines += ['', 'No potential has given a result.']
    return '\n'.join(lines) + '\n'


def coefficient_text(result: TemperatureResult, *, plain: bool = False) -> str:
    """Return D of one temperature, or what is known instead.

    Parameters
    ----------
    result : TemperatureResult
        The result.
    plain : bool
        Write ``e-09`` instead of ``× 10⁻⁹``.

    Returns
    -------
    str
        D with its error in m²/s, ``not resolved, D < ...``, or a dash.
    """
    if result.status == 'resolved':
        return scientific(result.value_m2_s, result.std_error_m2_s, plain=plain)
    if result.status == 'not_resolved':
        bound = scientific(result.upper_bound_m2_s, plain=plain)
        return 'not resolved' if bound == MISSING else f'not resolved, D < {bound}'
    return MISSING


def fit_notes(potential: PotentialResult) -> list[str]:
    """Return what to say about the quality of the Arrhenius fit and what it leaves out.

    Parameters
    ----------
    potential : PotentialResult
        The potential.

    Returns
    -------
    list of str
        Sentences without a full stop.
    """
    notes = []
    if (model := potential.model) is not None and model.left_out:
        assert model.gate is not None
        return [f'Left out of the molecular dynamics: {"; ".join(model.gate.reasons) or "it did not pass its check"}']
    if not potential.has_fit:
        resolved = {result.temperature_K for result in potential.temperatures if result.status == 'resolved'}
        notes.append(f'No Arrhenius fit: D is resolved at {plural(len(resolved), "temperature")}')
    elif potential.chi2 is not None and potential.dof is not None:
        quality = f'χ² = {potential.chi2:.1f} for {plural(potential.dof, "degree")} of freedom'
        if potential.dof <= 1:
            quality += ': too few results to judge the fit'
        if potential.inflated:
            quality += '; the errors include the factor √(χ²/degrees of freedom)'
        notes.append(quality)
    if potential.missing:
        missing = '; '.join(f'{kelvin:g} K ({reason})' for kelvin, reason in potential.missing)
        notes.append(f'Not in the fit: {missing}')
    return notes


def site_rows(study: Study) -> list[tuple[str, list[list[str]]]]:
    """Return what is known of jumps and of collective diffusion, as text.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    list
        Per potential its label and rows: run, jumps, mean length in Å, D of uncorrelated jumps in m²/s,
        correlation factor, collective D in m²/s, Haven ratio.
    """
    found = []
    for potential in study.potentials:
        rows = []
        for result in potential.temperatures:
            sites, collective = result.details.sites, result.details.collective
            if sites is None and collective is None:
                continue
            row = [run_name(potential, result), *[MISSING] * 6]
            if sites is not None:
                row[1] = MISSING if sites.n_jumps is None else str(sites.n_jumps)
                row[2] = measurement(sites.mean_jump_length_A, None, 2)
                row[3] = scientific(sites.jump_diffusivity_m2_s, sites.jump_diffusivity_std_error_m2_s)
                row[4] = measurement(sites.correlation_factor, sites.correlation_factor_std_error, 2)
            if collective is not None:
                row[5] = scientific(collective.value_m2_s, collective.std_error_m2_s)
                row[6] = measurement(collective.haven_ratio, collective.haven_ratio_std_error, 2)
            rows.append(row)
        if rows:
            found.append((potential.label, rows))
    return found


def _fit_lines(potential: PotentialResult) -> list[str]:
    """Return Ea and D0 with the notes on the fit."""
    sentences = fit_notes(potential)
    if potential.has_fit:
        energy = measurement(potential.activation_energy_eV, potential.activation_energy_error_eV)
        text = f'Ea = {energy} eV, D0 = {scientific(potential.prefactor_m2_s, plain=True)} m²/s'
        factor = prefactor_factor(potential)
        sentences.insert(0, f'{text} ({factor})' if factor else text)
    return [line for sentence in sentences for line in _wrapped('  ', sentence)]


def prefactor_factor(potential: PotentialResult) -> str:
    """Return the standard error of ln D0 as a factor, or an empty text."""
    error = potential.log_prefactor_error
    if error is None or not math.isfinite(error):
        return ''
    return f'1σ: a factor of {math.exp(error):.2f}'


def _temperature_lines(potential: PotentialResult) -> list[str]:
    """Return the table of temperatures."""
    replicas = potential.n_replicas > 1
    header = ['T/K', *(['replica'] if replicas else []), '<T>/K', 'D/(m²/s)', 'hops', 'status']
    rows = []
    for result in potential.temperatures:
        status = STATUS_TEXT[result.status]
        rows.append(
            [
                f'{result.temperature_K:g}',
                *([str(result.replica + 1)] if replicas else []),
                measurement(result.measured_temperature_K, result.temperature_error_K, 0),
                coefficient_text(result, plain=True),
                MISSING if result.n_hops is None else f'{result.n_hops:.0f}',
                f'{status}: {result.reason}' if result.reason else status,
            ]
        )
    return _aligned(header, rows) if rows else ['  no temperature was simulated']


def _warning_lines(potential: PotentialResult) -> list[str]:
    """Return what is doubtful about single runs, such as a host that melts."""
    return [
        line
        for result in potential.temperatures
        for warning in result.details.warnings
        for line in _wrapped(f'  Warning, {run_name(potential, result)}: ', warning)
    ]


def _side_by_side(study: Study) -> list[str]:
    """Return all potentials side by side, where more than the molecular dynamics is known of them."""
    table = comparison_table(study, plain=True) if any(one.model for one in study.potentials) else None
    if table is None:
        return []
    heads = [f'{column.label}{" (left out)" if column.left_out else ""}' for column in table.columns]
    lines = ['', 'All potentials']
    for first in range(0, len(heads), _COLUMNS):
        part = slice(first, first + _COLUMNS)
        lines += ['', *_aligned(['', *heads[part]], [[name, *cells[part]] for name, cells in table.rows])]
    for label, reason in table.reasons:
        lines += _wrapped('  ', f'{label} is left out of the molecular dynamics: {reason}')
    return lines


def _comparison_lines(rows: Sequence[Comparison]) -> list[str]:
    """Return the table of published values."""
    if not rows:
        return []
    header = ['published', 'Ea/eV', 'D0/(m²/s)', 'ΔEa/eV', '|ΔEa|/σ', 'D/D(published)']
    body = []
    for row in rows:
        value = row.value
        body.append(
            [
                published_label(value),
                measurement(value.activation_energy_eV, value.activation_energy_error_eV),
                scientific(value.prefactor_m2_s, plain=True),
                MISSING if row.energy_difference_eV is None else f'{row.energy_difference_eV:+.3f}',
                MISSING if row.energy_distance_sigma is None else f'{row.energy_distance_sigma:.1f}',
                coefficient_ratio_text(row),
            ]
        )
    note = []
    if any(row.extrapolated for row in rows):
        note.append('  * outside the computed or the published temperature range')
    return _aligned(header, body) + note


def coefficient_ratio_text(row: Comparison) -> str:
    """Return the ratio of the coefficients and the temperature it is taken at."""
    if row.coefficient_ratio is None or row.temperature_K is None:
        return MISSING
    star = '*' if row.extrapolated else ''
    return f'{ratio(row.coefficient_ratio)} at {row.temperature_K:g} K{star}'


def _aligned(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return rows as aligned columns, indented by two."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = ['  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    lines.insert(1, '  ' + '  '.join('-' * width for width in widths))
    return [line.rstrip() for line in lines]


def _wrapped(prefix: str, text: str) -> list[str]:
    """Return a wrapped paragraph."""
    return textwrap.wrap(prefix + text, _WIDTH, subsequent_indent='    ', break_long_words=False)
