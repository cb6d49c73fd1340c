"""Calcfunctions from D(T) to the Arrhenius parameters, and what follows from them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import arrhenius_curvature, fit_arrhenius, resolution_limit
from aiida_hdiff.analysis import compare_arrhenius as compare_laws
from aiida_hdiff.analysis.resolution import MIN_HOPS
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData


@calcfunction
def arrhenius_from_diffusivities(missing: orm.Dict, **diffusivities: DiffusivityData) -> ArrheniusData:
    """Return the Arrhenius parameters of the diffusivities, at their measured temperatures.

    Resolved ones are points of the fit; of the others, those with fewer than ten hops are one-sided points, listed
    in ``upper_bounds`` with the bound that was used. ``missing`` maps labels of runs that gave no diffusivity to the
    reason; unresolved ones are added to it, whether or not their bound was used.
    """
    nodes = dict(sorted(diffusivities.items()))
    resolved = [node for node in nodes.values() if node.is_resolved]
    points = {
        'temperatures_K': [node['measured_temperature_K'] for node in resolved],
        'coefficients_m2_s': [node['value_m2_s'] for node in resolved],
        'std_errors_m2_s': [node['std_error_m2_s'] for node in resolved],
        'temperature_errors_K': [node['temperature_error_K'] for node in resolved],
    }
    bounds = [_upper_bound(label, node) for label, node in nodes.items() if not node.is_resolved]
    used = [bound for bound in bounds if bound['used']]
    fit = fit_arrhenius(
        **points,
        upper_bound_temperatures_K=[bound['measured_temperature_K'] for bound in used],
        upper_bounds_m2_s=[bound['limit_m2_s'] for bound in used],
        upper_bound_hops=[MIN_HOPS - 1.0] * len(used),
    )
    left_out = [
        {'label': label, 'temperature_K': entry['temperature_K'], 'reason': entry['reason']}
        for label, entry in sorted(missing.get_dict().items())
    ]
    left_out += [
        {'label': label, 'temperature_K': node['temperature_K'], 'reason': node['reason'] or 'not resolved'}
        for label, node in nodes.items()
        if not node.is_resolved
    ]
    node = ArrheniusData(
        {
            'activation_energy_eV': fit.activation_energy_eV,
            'activation_energy_error_eV': fit.activation_energy_error_eV,
            'prefactor_m2_s': fit.prefactor_m2_s,
            'log_prefactor_error': fit.log_prefactor_error,
            'covariance': np.asarray(fit.covariance).tolist(),
            'chi2': fit.chi2,
            'degrees_of_freedom': fit.degrees_of_freedom,
            'inflated': fit.inflated,
            'n_temperatures': len(resolved),
            'temperatures_K': points['temperatures_K'],
            'missing': left_out,
            'upper_bounds': bounds,
            'curvature': asdict(arrhenius_curvature(**points)),
        }
    )
    node.label = 'Arrhenius fit'
    return node


def _upper_bound(label: str, node: DiffusivityData) -> dict[str, Any]:
    """Describe an unresolved diffusivity as a one-sided point, used if it stands for a small number of hops."""
    bound, hops = node['upper_bound_m2_s'], node['n_hops']
    used = 0.0 <= hops < MIN_HOPS and bound > 0.0
    return {
        'label': label,
        'measured_temperature_K': node['measured_temperature_K'],
        'upper_bound_m2_s': bound,
        'n_hops': hops,
        'used': used,
        'limit_m2_s': resolution_limit(bound, hops) if used else None,
    }


@calcfunction
def predict_diffusivity(arrhenius: ArrheniusData, temperature: orm.Float) -> orm.Dict:
    """Return D at a temperature (K) by the Arrhenius law: a Dict, since nothing was simulated there.

    Keys: ``temperature_K``, ``value_m2_s``, ``std_error_m2_s``, ``log_std_error`` (of ln D), ``interval_68_m2_s``,
    ``interval_95_m2_s``, ``extrapolated``, ``temperature_range_K``.
    """
    law, kelvin = arrhenius.law, temperature.value
    value, error = law.predict(kelvin)
    node = orm.Dict(
        {
            'temperature_K': kelvin,
            'value_m2_s': float(value),
            'std_error_m2_s': float(error),
            'log_std_error': float(law.log_error(kelvin)),
            'interval_68_m2_s': [float(bound) for bound in law.interval(kelvin, 0.6827)],
            'interval_95_m2_s': [float(bound) for bound in law.interval(kelvin, 0.95)],
            'extrapolated': bool(law.is_extrapolated(kelvin)),
            'temperature_range_K': list(law.temperature_range_K),
        }
    )
    node.label = f'D({kelvin:g} K) by the Arrhenius law'
    return node


@calcfunction
def compare_arrhenius(**laws: ArrheniusData) -> orm.Dict:
    """Return the shared-slope comparison of the Arrhenius laws of several potentials, given by label.

    Keys are those of :class:`~aiida_hdiff.analysis.ArrheniusComparison`.
    """
    node = orm.Dict(_plain(asdict(compare_laws({label: node.law for label, node in sorted(laws.items())}))))
    node.label = 'Comparison of Arrhenius laws'
    return node


def _plain(value: Any) -> Any:
    """Return nested tuples as lists, as the database keeps them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
