"""One table of all potentials: how they were made, how good they are, what they give, what they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.compare import mean_coefficient, published_label
from aiida_hdiff.report.models import SET_NAMES, SETS, SPLITS, ModelRecord, SetErrors
from aiida_hdiff.report.study import PotentialResult, Study
from aiida_hdiff.report.text import MISSING, digits, measurement, scientific


@dataclass(frozen=True)
class Column:
    """The head of a column: a potential, or the published value."""

    label: str
    left_out: bool = False


@dataclass(frozen=True)
class ComparisonTable:
    """Potentials side by side; a row is a quantity.

    Attributes
    ----------
    columns : tuple of Column
        Potentials, then the first published value where there is one.
    rows : tuple
        Name of the quantity and a cell for each column.
    reasons : tuple
        Label of each potential that was left out, and why.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    reasons: tuple[tuple[str, str], ...]


def comparison_table(study: Study, *, plain: bool = False) -> ComparisonTable | None:
    """Return all potentials of a study side by side.

    Parameters
    ----------
    study : Study
        The study.
    plain : bool
        Write ``e-09`` instead of ``× 10⁻⁹``.

    Returns
    -------
    ComparisonTable or None
        ``None`` for a single potential of which only the molecular dynamics is known. Rows without a value are left
        out.
    """
    potentials = study.potentials
    if len(potentials) < 2 and not any(one.model for one in potentials):
        return None
    models = [one.model or ModelRecord(key='') for one in potentials]
    value = study.literature[0] if study.literature else None
    rows: list[tuple[str, list[str]]] = [
        ('kind', [model.kind_text or MISSING for model in models]),
        ('architecture', [_architecture(one) for one in potentials]),
        ('frames: ' + ' / '.join(SET_NAMES[name] for name in SPLITS), [_frames(model) for model in models]),
        *_error_rows(models),
        ('check before the MD', [_verdict(model) for model in models]),
    ]
    results: list[tuple[str, list[str], str]] = [
        ('Ea (eV)', [_energy(one) for one in potentials], _published_energy(value)),
        (
            'D0 (m²/s)',
            [scientific(one.prefactor_m2_s, plain=plain) for one in potentials],
            scientific(value.prefactor_m2_s if value else None, plain=plain),
        ),
    ]
    results += [
        (
            f'D at {kelvin:g} K (m²/s)',
            [_coefficient(one, kelvin, plain) for one in potentials],
            _published_coefficient(value, kelvin, plain),
        )
        for kelvin in temperatures(study)
    ]
    costs = [
        ('time of the training', [_duration(model.training.seconds if model.training else None) for model in models]),
        ('speed of the MD (steps/s)', [digits(model.steps_per_s) for model in models]),
    ]
    all_rows = [*((name, cells, MISSING) for name, cells in rows), *results, *((n, c, MISSING) for n, c in costs)]
    columns = [Column(one.label, model.left_out) for one, model in zip(potentials, models, strict=True)]
    return ComparisonTable(
        tuple([*columns, Column(published_label(value))] if value else columns),
        tuple(
            (name, tuple([*cells, published] if value else cells))
            for name, cells, published in all_rows
            if any(cell != MISSING for cell in cells)
        ),
        tuple((one.label, reason) for one in potentials for reason in left_out_reasons(one)),
    )


def left_out_reasons(potential: PotentialResult) -> tuple[str, ...]:
    """Return why a potential ran no long molecular dynamics; empty if it did or may."""
    if potential.model is None or potential.model.gate is None or potential.model.gate.passed:
        return ()
    return potential.model.gate.reasons or ('it did not pass the check before the molecular dynamics',)


def temperatures(study: Study) -> list[float]:
    """Return the requested temperatures of all potentials in K."""
    return sorted({item.temperature_K for one in study.potentials for item in one.temperatures})


def _error_rows(models: list[ModelRecord]) -> list[tuple[str, list[str]]]:
    """Return a row per kind of error and set."""
    elements = dict.fromkeys(
        element for model in models for errors in model.errors.values() for element in errors.force_by_element_meV_A
    )
    rows = []
    for name in SETS:
        found = [model.errors.get(name, SetErrors()) for model in models]
        of = f', {SET_NAMES[name]} set'
        rows.append((f'RMSE energy (meV/atom){of}', [digits(one.best_energy_meV_per_atom) for one in found]))
        rows.append((f'RMSE force (meV/Å){of}', [digits(one.force_meV_A) for one in found]))
        rows += [
            (
                f'RMSE force on {element} (meV/Å){of}',
                [digits(one.force_by_element_meV_A.get(element)) for one in found],
            )
            for element in elements
        ]
        rows.append((f'RMSE stress (GPa){of}', [digits(one.stress_GPa) for one in found]))
    return rows


def _architecture(potential: PotentialResult) -> str:
    return f'{potential.architecture or MISSING}{", EMULATED" if potential.emulated else ""}'


def _frames(model: ModelRecord) -> str:
    trained = model.training.n_frames if model.training else {}
    sizes = {name: trained.get(name, model.errors[name].n_frames if name in model.errors else None) for name in SPLITS}
    if all(size is None for size in sizes.values()):
        return MISSING
    return ' / '.join(MISSING if sizes[name] is None else str(sizes[name]) for name in SPLITS)


def _verdict(model: ModelRecord) -> str:
    if model.gate is None:
        return MISSING
    return 'passed' if model.gate.passed else 'failed'


def _energy(potential: PotentialResult) -> str:
    return measurement(potential.activation_energy_eV, potential.activation_energy_error_eV)


def _coefficient(potential: PotentialResult, temperature_K: float, plain: bool) -> str:
    found = mean_coefficient(potential, temperature_K)
    if found is None:
        return MISSING
    text = scientific(found.value_m2_s, found.std_error_m2_s, plain=plain)
    return f'< {text}' if found.is_bound else text


def _published_energy(value: LiteratureValue | None) -> str:
    return MISSING if value is None else measurement(value.activation_energy_eV, value.activation_energy_error_eV)


def _published_coefficient(value: LiteratureValue | None, temperature_K: float, plain: bool) -> str:
    """Return the published D, with a star outside the range where it was measured."""
    published = None if value is None else value.coefficient_at(temperature_K)
    if value is None or published is None:
        return MISSING
    outside = value.has_coefficient and not value.covers(temperature_K)
    return scientific(published, plain=plain) + ('*' if outside else '')


def _duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 120.0:
        return f'{seconds:.0f} s'
    return f'{seconds / 60.0:.0f} min' if seconds < 7200.0 else f'{seconds / 3600.0:.1f} h'
