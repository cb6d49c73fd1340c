"""Calcfunction that combines the diffusivities of several replicas."""

from __future__ import annotations

import numpy as np
from aiida.engine import calcfunction

from aiida_hdiff.analysis.replicas import combine_replicas
from aiida_hdiff.data.diffusivity import DiffusivityData


@calcfunction
def combine_diffusivities(**replicas: DiffusivityData) -> DiffusivityData:
    """Return the mean diffusivity of replicas of one run, weighted by their lengths.

    Temperatures are averaged with the same weights. Attributes of one run only, such as the window, are those of the
    first.
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
    axes = np.array([node['estimate_per_axis_m2_s'] for node in nodes])
    axis_errors = np.array([node['estimate_per_axis_std_error_m2_s'] for node in nodes])
    temperature_errors = np.array([node['temperature_error_K'] for node in nodes])
    drift = max((node['drift_meV_per_atom_per_ns'] for node in nodes), key=abs)
    node = DiffusivityData(
        nodes[0].get_dict()
        | {
            'measured_temperature_K': float(weights @ [node['measured_temperature_K'] for node in nodes]),
            'temperature_error_K': float(np.sqrt(np.sum((weights * temperature_errors) ** 2))),
            'drift_meV_per_atom_per_ns': drift,
            'status': result.status,
            'reason': result.reason,
            'value_m2_s': result.value if resolved else None,
            'std_error_m2_s': result.std_error if resolved else None,
            'interval_m2_s': list(result.interval) if resolved else None,
            'interval_kind': result.interval_kind,
            'upper_bound_m2_s': result.upper_bound,
            'estimate_m2_s': result.value,
            'estimate_std_error_m2_s': result.std_error,
            'estimate_per_axis_m2_s': (weights @ axes).tolist(),
            'estimate_per_axis_std_error_m2_s': np.sqrt((weights**2) @ axis_errors**2).tolist(),
            'per_axis_m2_s': (weights @ axes).tolist() if resolved else None,
            'per_axis_std_error_m2_s': np.sqrt((weights**2) @ axis_errors**2).tolist() if resolved else None,
            'replica_std_error_m2_s': result.scatter_std_error if np.isfinite(result.scatter_std_error) else None,
            'replicas_disagree': result.inflated,
            'n_replicas': len(nodes),
            'n_hops': result.n_hops,
            'production_ps': float(lengths.sum()),
        }
    )
    node.label = f'D({node["temperature_K"]:.0f} K), {len(nodes)} replicas'
    return node
