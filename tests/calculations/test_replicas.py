"""The mean diffusivity of replicas."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.replicas import combine_diffusivities
from aiida_hdiff.data.diffusivity import DiffusivityData


def replica(value, error, *, n_hops=100.0, length=100.0, **changes):
    return DiffusivityData(
        {
            'temperature_K': 800.0,
            'measured_temperature_K': 800.0,
            'temperature_error_K': 3.0,
            'drift_meV_per_atom_per_ns': 0.1,
            'status': 'resolved',
            'reason': '',
            'value_m2_s': value,
            'std_error_m2_s': error,
            'estimate_m2_s': value,
            'estimate_std_error_m2_s': error,
            'estimate_per_axis_m2_s': [value] * 3,
            'estimate_per_axis_std_error_m2_s': [2 * error] * 3,
            'basal_m2_s': None,
            'basal_std_error_m2_s': None,
            'c_axis_m2_s': None,
            'c_axis_std_error_m2_s': None,
            'walker_std_error_m2_s': error,
            'warnings': [],
            'n_hops': n_hops,
            'n_blocks': 20,
            'upper_bound_m2_s': 2 * value,
            'n_hydrogen': 4,
            'n_host': 108,
            'window_ps': [2.0, 4.0],
            'production_ps': length,
            **changes,
        }
    )


def test_the_mean_has_the_error_of_a_mean():
    nodes = {f'replica_{i}': replica(value, 1e-9).store() for i, value in enumerate((1e-8, 1.1e-8, 0.9e-8, 1e-8))}
    node = combine_diffusivities(**nodes)
    assert node.value_m2_s == pytest.approx(1e-8)
    assert node.std_error_m2_s == pytest.approx(0.5e-9)
    assert node['walker_std_error_m2_s'] == pytest.approx(0.5e-9)
    assert node['per_axis_std_error_m2_s'] == pytest.approx([1e-9] * 3)
    assert node['basal_m2_s'] is None
    assert (node['n_replicas'], node['n_hops'], node['n_blocks'], node['production_ps']) == (4, 400.0, 80, 400.0)
    assert node['temperature_error_K'] == pytest.approx(1.5)
    assert isinstance(node.creator, orm.CalcFunctionNode)


def test_lengths_are_weights_and_warnings_are_kept():
    node = combine_diffusivities(
        a=replica(1e-8, 1e-9, length=300.0, warnings=['collective']).store(),
        b=replica(2e-8, 1e-9, measured_temperature_K=840.0).store(),
    )
    assert node['measured_temperature_K'] == pytest.approx(810.0)
    assert node['warnings'][0] == 'a: collective'
    assert 'scatter more' in node['warnings'][1]
    assert node['estimate_m2_s'] == pytest.approx(1.25e-8)


def test_replicas_without_hops_give_a_bound():
    changes = {'status': 'not_resolved', 'value_m2_s': None, 'std_error_m2_s': None, 'n_hops': 2.0}
    nodes = {name: replica(1e-12, 1e-12, **changes).store() for name in 'ab'}
    for node in nodes.values():
        assert node.value_m2_s is None
    combined = combine_diffusivities(**nodes)
    assert not combined.is_resolved
    assert combined['upper_bound_m2_s'] > 1e-12
    assert np.isfinite(combined['estimate_m2_s'])
