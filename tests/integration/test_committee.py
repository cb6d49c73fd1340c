"""A committee of small MACE models through AiiDA: trained, calibrated, and watching over molecular dynamics."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_hdiff.analysis.committee import force_deviations
from tests.conftest import copper_frames
from tests.integration.test_label import ROOT, engine_with
from tests.integration.test_mace_train import SMALL

pytestmark = [pytest.mark.integration, pytest.mark.slow]

OPTIONS = {'environment_variables': {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}}
STAGE = {
    'ensemble': 'nvt',
    'temperature_K': 500.0,
    'steps': 12,
    'timestep_fs': 0.5,
    'output_interval': 2,
    'seed': 5,
    'checkpoint_interval': 4,
}


@pytest.fixture
def code(aiida_code_installed, aiida_profile):
    """Return the engine of an environment with mace."""
    engine = engine_with('mace')
    return aiida_code_installed(default_calc_job_plugin='hdiff.md', filepath_executable=engine)


@pytest.fixture
def watched(code):
    """Give a function that runs a stage with the members of a committee."""

    def run(members, **committee):
        return run_get_node(
            WorkflowFactory('hdiff.md_stage'),
            code=code,
            structure=orm.StructureData(ase=copper_frames(4, seed=8)[3]),
            potential=members['member_0'],
            committee={'second': members['member_1']},
            parameters=orm.Dict({**STAGE, 'committee': {'every_steps': 2, **committee}}),
            options=OPTIONS,
        )

    return run


def test_committee(code, watched, generate_dataset):
    training = {
        'code': code,
        'train': generate_dataset(6),
        'valid': generate_dataset(4, seed=8),
        'config': orm.Dict({**SMALL, 'max_num_epochs': 6}),
        'options': OPTIONS,
    }
    outputs, node = run_get_node(WorkflowFactory('hdiff.committee'), mace=training, seeds=orm.List([1, 2]))
    assert node.is_finished_ok, (node.exit_message, [child.exit_message for child in node.called])
    labels = {link.link_label for link in node.base.links.get_outgoing(node_class=orm.ProcessNode)}
    assert labels == {'train_0', 'train_1', 'evaluate_0', 'evaluate_1', 'calibrate'}
    results, members = outputs['results'].get_dict(), outputs['members']
    assert members['member_0'].sha256 != members['member_1'].sha256
    errors = {one['member']: one['force_rmse_meV_A'] for one in results['members']}
    assert results['best'] == min(errors, key=errors.get)
    assert outputs['potential'].uuid == members[results['best']].uuid
    calls = {link.link_label: link.node for link in node.base.links.get_outgoing(node_class=orm.ProcessNode)}
    parity = [calls[name].outputs.parity.get_array('forces') for name in ('evaluate_0', 'evaluate_1')]
    deviations = force_deviations([one[..., 1] for one in parity])
    assert outputs['deviations'].get_array('deviations') == pytest.approx(deviations)
    evaluated = calls['evaluate_0'].outputs.results['force_meV_A']['rmse']
    assert errors['member_0'] == pytest.approx(evaluated)
    slope = results['calibration']['slope']
    assert slope > 0
    assert set(results['by_element']) == {'H', 'Cu'}

    flagged, stage = watched(members, threshold_eV_A=1e-6, calibration_factor=slope)
    assert stage.exit_status == 730, stage.exit_message
    found = flagged['results']['committee']
    assert found['calibration_factor'] == slope
    assert found['n_flagged'] == found['n_compared'] == 7
    assert flagged['uncertain_frames'].n_frames == 7
    values = flagged['deviations'].get_array('deviations')

    # The stage starts from the last frame of the validation set, of which the evaluation knows the deviation, too.
    last = slice(*calls['evaluate_0'].outputs.parity.get_array('offsets')[-2:])
    assert values[0] == pytest.approx(deviations[last].max(), rel=1e-6)

    threshold = 0.5 * slope * float(np.sort(values)[-2:].sum())
    step = int(flagged['deviations'].get_array('steps')[np.argmax(slope * values > threshold)])
    stopped, stage = watched(members, threshold_eV_A=threshold, calibration_factor=slope, action='stop')
    assert stage.exit_status == 530, stage.exit_message
    assert stage.exit_message.startswith(f'Stopped by its committee: step {step}: ')
    assert stopped['uncertain_frames'].frames().origins == (f'nvt_500K:{step}',)
    assert stopped['final_state'].step == step
    with stopped['trajectory'].reader() as reader, flagged['trajectory'].reader() as whole:
        assert reader.steps.tolist() == list(range(0, step + 1, 2))
        assert reader.positions() == pytest.approx(whole.positions()[: len(reader)])
    assert stopped['deviations'].get_array('deviations') == pytest.approx(values[: step // 2 + 1], rel=1e-6)


def test_a_member_that_cannot_be_trained(code, generate_dataset):
    """All members have the same failure, so the committee ends before it has tried them all."""
    training = {
        'code': code,
        'train': generate_dataset(6),
        'valid': generate_dataset(4, seed=8),
        'config': orm.Dict({**SMALL, 'lr': 1e6, 'clip_grad': 1e12}),
        'options': OPTIONS,
    }
    _, node = run_get_node(
        WorkflowFactory('hdiff.committee'), mace=training, seeds=orm.List([1, 2, 3]), max_concurrent=1
    )
    assert node.exit_status == 531, node.exit_message
    assert '0 of 3 members are left' in node.exit_message
    assert len(node.called) == 2
