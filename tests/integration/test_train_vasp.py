"""A force field of VASP, fitted to labelled frames and judged, on the stand-in, which is not VASP."""

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_hdiff.workflows.train import TrainWorkChain
from aiida_hdiff.workflows.training import OnTheFlyProtocols
from tests.integration.test_on_the_fly import jobs_of, training  # noqa: F401

pytestmark = pytest.mark.integration


def test_a_refit_is_judged_by_its_regression(training):  # noqa: F811
    short = {'ramp': {'time_ps': 0.06}, 'plateaus': {'temperatures_K': []}}
    results, node = training(overrides=short)
    assert node.is_finished_ok, node.exit_message
    inputs = {
        'kind': 'vasp_mlff',
        'train': results['dataset'],
        'structure': node.inputs.structure,
        'settings': orm.Dict(OnTheFlyProtocols.get_protocol_settings('demo', {**short, 'ramp': {'time_ps': 0.0}})),
        'kpoints': node.inputs.kpoints,
        'potcars': dict(node.inputs.potcars),
        'codes': {'vasp': node.inputs.code},
        'gate': {'smoke_time_ps': 0.02, 'smoke_max_drift_meV_per_atom_per_ps': 100.0, 'energy_rmse_meV_per_atom': 50.0},
        'options': {'environment_variables': jobs_of(node)[0].get_option('environment_variables')},
    }
    outputs, node = run_get_node(TrainWorkChain, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert outputs['potential'].architecture == 'vasp-mlff'
    assert [stage['name'] for stage in outputs['training']['stages']] == ['start', 'refit']
    evaluation = outputs['evaluation']
    assert evaluation['of'] == 'training set'
    assert evaluation.base.extras.get('emulated')
    refit = outputs['training']['stages'][-1]
    assert evaluation['force_meV_A']['rmse'] == pytest.approx(1000.0 * refit['rmse_force'])
    assert evaluation['n_frames'] == results['dataset'].n_frames
    assert 'drift_meV_per_atom_per_ps' in outputs['gate']['values']
    refused, node = run_get_node(TrainWorkChain, **{**inputs, 'gate': {'force_rmse_meV_A': 1e-3}})
    assert node.exit_status == 520
    assert not refused['gate']['passed']
    assert 'smoke_run' not in [child.label for child in node.called]
