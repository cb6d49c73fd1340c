"""Calcfunction that compares computed with published diffusion coefficients."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeAlias

from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.literature import LiteratureData
from aiida_hdiff.literature import LiteratureValue, compare_coefficient, compare_energy, comparison_temperature

Computed: TypeAlias = ArrheniusData | DiffusivityData


@calcfunction
def compare_with_literature(settings: orm.Dict, **nodes: Computed | LiteratureData) -> orm.Dict:
    """Compare Arrhenius laws and diffusivities of any number of potentials with published values.

    The nodes are given by label: :class:`~aiida_hdiff.data.literature.LiteratureData` are what is compared with,
    :class:`~aiida_hdiff.data.arrhenius.ArrheniusData` and :class:`~aiida_hdiff.data.diffusivity.DiffusivityData`
    what is compared. Keys of ``settings``: ``default_factor`` and ``default_energy_error_eV``, the standard errors
    of a published D (as a factor) and Ea (eV) that has none.

    The result has the settings and the list ``comparisons``, one entry per pair: ``computed`` (label),
    ``literature`` (label), ``key``, ``coefficient`` and ``energy`` (the fields of
    :class:`~aiida_hdiff.literature.CoefficientComparison` and :class:`~aiida_hdiff.literature.EnergyComparison`, or
    ``None``) and ``reason`` (why a coefficient is not compared, else empty). A law is compared at the middle of the
    temperatures that both cover, a diffusivity at its measured temperature.
    """
    options = settings.get_dict()
    published = {label: node.published for label, node in sorted(nodes.items()) if isinstance(node, LiteratureData)}
    computed = {label: node for label, node in sorted(nodes.items()) if not isinstance(node, LiteratureData)}
    if not published or not computed:
        raise ValueError('a comparison needs at least one computed and one published node, given by label')
    rows = [
        {'computed': label, 'literature': name, 'key': value.key, **_compare(node, value, options)}
        for label, node in computed.items()
        for name, value in published.items()
    ]
    result = orm.Dict({**options, 'comparisons': rows})
    result.label = 'Comparison with published values'
    return result


def _compare(node: Computed, value: LiteratureValue, options: dict[str, Any]) -> dict[str, Any]:
    """Compare one node with one value."""
    if isinstance(node, DiffusivityData):
        return {'energy': None, **_compare_diffusivity(node, value, options['default_factor'])}
    law = node.law
    energy = coefficient = None
    if value.activation_energy_eV is not None:
        energy = compare_energy(
            value,
            law.activation_energy_eV,
            node.activation_energy_error_eV,
            default_error_eV=options['default_energy_error_eV'],
        )
    temperature = comparison_temperature(value, *law.temperature_range_K)
    if temperature is not None:
        coefficient = compare_coefficient(
            value,
            temperature,
            float(law.predict(temperature)[0]),
            float(law.log_error(temperature)),
            computed_range_K=law.temperature_range_K,
            default_factor=options['default_factor'],
        )
    return {
        'energy': energy and asdict(energy),
        'coefficient': coefficient and asdict(coefficient),
        'reason': '' if coefficient else 'only an activation energy is published',
    }


def _compare_diffusivity(node: DiffusivityData, value: LiteratureValue, default_factor: float) -> dict[str, Any]:
    """Compare D at one temperature with one value."""
    temperature, computed, error = node['measured_temperature_K'], node.value_m2_s, node.std_error_m2_s
    if computed is None or error is None:
        return {'coefficient': None, 'reason': 'not resolved'}
    if value.coefficient_at(temperature) is None:
        return {'coefficient': None, 'reason': f'no D is published at {temperature:.0f} K'}
    comparison = compare_coefficient(
        value,
        temperature,
        computed,
        error / computed,
        computed_range_K=(temperature, temperature),
        default_factor=default_factor,
    )
    return {'coefficient': asdict(comparison), 'reason': ''}
