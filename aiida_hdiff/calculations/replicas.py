"""Calcfunction that combines the diffusivities of several replicas."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_hdiff.analysis.replicas import combine_replicas
from aiida_hdiff.data.diffusivity import DiffusivityData

_SAME = ('temperature_K', 'window_ps', 'n_hydrogen', 'n_host')
_AVERAGED = ('measured_temperature_K', 'basal_m2_s', 'c_axis_m2_s', 'estimate_per_axis_m2_s')
_ERRORS = (
    'temperature_error_K',
    'basal_std_error_m2_s',
    'c_axis_std_error_m2_s',
    'walker_std_error_m2_s',
    'estimate_per_axis_std_error_m2_s',
)


@calcfunction
def combine_diffusivities(**replicas: DiffusivityData) -> DiffusivityData:
    """Return the mean diffusivity of replicas of one run, weighted by their lengths.

    Temperatures and D per axis are averaged with the same weights; a quantity that one replica lacks is left out.
    """
    nodes = [replicas[name] for name in sorted(replicas)]
    lengths = np.array([node['production_ps'] for node in nodes])
    weights = lengths / lengths.sum()
    result = combine_replicas(
        [node['estimate_m2_s'] for node in nodes],
        [node['estimate_std_error_m2_s'] for node in nodes],
        [node['n_hops'] for node in nodes],
        lengths,
    )
    resolved = result.status == 'resolved'
    averages = {key: _combine(nodes, key, weights) for key in _AVERAGED}
    errors = {key: _combine(nodes, key, weights, is_error=True) for key in _ERRORS}
    warnings = [f'{name}: {text}' for name, node in sorted(replicas.items()) for text in node['warnings']]
    if result.inflated:
        warnings.append('the replicas scatter more than their errors allow; the error of D is enlarged')
    node = DiffusivityData(
        {key: nodes[0][key] for key in _SAME}
        | averages
        | errors
        | {
            'drift_meV_per_atom_per_ns': max((node['drift_meV_per_atom_per_ns'] for node in nodes), key=abs),
            'status': result.status,
            'reason': result.reason,
            'value_m2_s': result.value if resolved else None,
            'std_error_m2_s': result.std_error if resolved else None,
            'interval_m2_s': list(result.interval),
            'interval_kind': result.interval_kind,
            'per_axis_m2_s': averages['estimate_per_axis_m2_s'] if resolved else None,
            'per_axis_std_error_m2_s': errors['estimate_per_axis_std_error_m2_s'] if resolved else None,
            'upper_bound_m2_s': result.upper_bound,
            'estimate_m2_s': result.value,
            'estimate_std_error_m2_s': result.std_error,
            'replica_std_error_m2_s': result.scatter_std_error if np.isfinite(result.scatter_std_error) else None,
            'n_replicas': len(nodes),
            'n_hops': result.n_hops,
            'n_blocks': sum(node['n_blocks'] for node in nodes),
            'production_ps': float(lengths.sum()),
            'warnings': warnings,
        }
    )
    node.label = f'D({node["temperature_K"]:.0f} K), {len(nodes)} replicas'
    return node


def _combine(nodes: list[DiffusivityData], key: str, weights: NDArray[np.float64], *, is_error: bool = False) -> Any:
    """Return the weighted mean of a quantity, or the error of that mean; ``None`` if a node lacks it."""
    values = [node[key] for node in nodes]
    if any(value is None for value in values):
        return None
    array = np.asarray(values, dtype=np.float64)
    return (np.sqrt((weights**2) @ array**2) if is_error else weights @ array).tolist()
