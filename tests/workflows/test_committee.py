"""CommitteeWorkChain without running anything: its inputs, which children it starts, and what comes of them."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.analysis.committee import force_deviations
from aiida_hdiff.calculations.committee import calibrate_committee


@pytest.fixture
def committee_inputs(fake_code, generate_dataset):
    """Give a factory of valid inputs."""

    def factory(training=None, **changes):
        mace = {
            'code': fake_code('hdiff.mace_train'),
            'train': generate_dataset(4),
            'valid': generate_dataset(2, seed=8),
            **(training or {}),
        }
        return {'mace': mace, 'seeds': orm.List([3, 1, 2]), **changes}

    return factory


@pytest.fixture
def committee(generate_workchain, committee_inputs):
    """Give a workchain, and the labels of the children that it would begin next."""

    def factory(**changes):
        return generate_workchain('hdiff.committee', committee_inputs(**changes))

    return factory


@pytest.fixture
def child(generate_calc_job_node, generate_potential):
    """Give a function that adds an ended child to a workchain."""

    def add(process, label, status=0, **outputs):
        kind = 'hdiff.mace_train' if label.startswith('train') else 'hdiff.evaluate'
        if kind == 'hdiff.mace_train' and not status:
            outputs['potential'] = generate_potential('mace')
        node = generate_calc_job_node(
            kind, exit_status=status, exit_message='so' if status else '', outputs=outputs, caller=(process.node, label)
        )
        return node

    return add


def parity(seed, labels=None, shift=0.0):
    """Return the comparison of a member with labels, on two frames of three atoms."""
    labels = np.random.default_rng(0).standard_normal((6, 3)) if labels is None else labels
    node = orm.ArrayData()
    forces = labels + 0.1 * np.random.default_rng(seed).standard_normal((6, 3)) + shift
    values = {
        'frames': np.arange(2),
        'numbers': np.array([29, 29, 1] * 2),
        'offsets': np.array([0, 3, 6]),
        'forces': np.stack([labels, forces], axis=-1),
    }
    for name, value in values.items():
        node.set_array(name, value)
    return node


@pytest.mark.parametrize(
    ('seeds', 'message'),
    [
        ([1], '`seeds` holds 1: a committee of one has no spread; give at least 2.'),
        ([], '`seeds` holds 0: a committee of one has no spread'),
        ([4, 5, 4], '`seeds` holds 4 twice, of which equal members would come: give different ones.'),
        ([1, 2.5], '`seeds` holds 2.5: give whole numbers from 1 to 2147483647'),
        ([0, 1], '`seeds` holds 0'),
        ([1, True], '`seeds` holds True'),
        ([1, 2**31], '`seeds` holds 2147483648'),
    ],
)
def test_seeds_that_are_refused(committee_inputs, error_of, seeds, message):
    assert message in error_of('hdiff.committee', committee_inputs(seeds=orm.List(seeds)))


def test_inputs_that_are_refused(committee_inputs, error_of, generate_dataset, generate_potential, fake_code):
    assert error_of('hdiff.committee', committee_inputs()) is None
    values = committee_inputs()
    del values['mace']
    assert 'one of `mace` and `chgnet`: none is given' in error_of('hdiff.committee', dict(values))
    chgnet = {
        'code': fake_code('hdiff.chgnet_train'),
        'foundation': generate_potential('chgnet', elements=('Cu', 'H')),
        'train': generate_dataset(4),
        'valid': generate_dataset(2, seed=8),
    }
    assert error_of('hdiff.committee', {**values, 'chgnet': chgnet}) is None
    assert 'both are given' in error_of('hdiff.committee', committee_inputs(chgnet=chgnet))
    single = committee_inputs(training={'train': generate_dataset(1)})
    assert '`mace`: `train` has 1 frame' in error_of('hdiff.committee', single)
    unknown = committee_inputs(training={'config': orm.Dict({'r_max_A': 4.0})})
    assert '`mace`: ' in error_of('hdiff.committee', unknown)
    assert 'a whole number of at least 1' in error_of('hdiff.committee', committee_inputs(max_concurrent=0))


def test_members_are_trained_and_then_evaluated(committee, child):
    process = committee()
    assert process.members() == {'member_0': 3, 'member_1': 1, 'member_2': 2}
    assert process.child_labels() == ['train_0', 'train_1', 'train_2']
    child(process, 'train_1')
    assert process.child_labels() == ['train_0', 'train_1', 'train_2', 'evaluate_1']
    child(process, 'train_0', 412)
    assert process.child_labels() == ['train_0', 'train_1', 'train_2', 'evaluate_1']


def test_no_more_is_begun_once_too_few_are_left(committee, child):
    process = committee()
    child(process, 'train_0')
    child(process, 'train_1', 423)
    assert 'train_2' in process.child_labels()
    child(process, 'evaluate_0', 414)
    assert process.child_labels() == ['train_0', 'train_1', 'evaluate_0']
    code = process.collect()
    assert code.status == 531
    assert code.message.startswith('0 of 3 members are left, a committee needs two: evaluate_0 <')
    assert 'train_1 <' in code.message
    assert set(process.outputs['members']) == {'member_0'}


def test_the_inputs_of_the_children(committee, child, monkeypatch):
    process, submitted = committee(training={'options': {'max_wallclock_seconds': 77}}), []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append((cls.__name__, inputs)))
    process.submit_child('train_1')
    trained = child(process, 'train_1').outputs.potential
    process.submit_child('evaluate_1')
    (stage, training), (job, evaluation) = submitted
    assert (stage, job) == ('MaceTrainStageWorkChain', 'EvaluateCalculation')
    assert training['seed'].value == 1
    assert training['options'] == evaluation['metadata']['options'] == {'max_wallclock_seconds': 77}
    assert training['valid'].pk == evaluation['dataset'].pk == process.inputs.mace.valid.pk
    assert evaluation['potential'].pk == trained.pk
    assert training['metadata']['call_link_label'] == 'train_1'
    assert evaluation['metadata']['call_link_label'] == 'evaluate_1'
    assert 'checkpoint' not in training


def test_a_lost_member_is_named(committee, child):
    process = committee()
    for index in range(3):
        child(process, f'train_{index}')
    child(process, 'evaluate_0', parity=parity(1))
    child(process, 'evaluate_1', 422)
    child(process, 'evaluate_2', parity=parity(2, shift=0.5))
    assert process.collect() is None
    code = process.calibrate()
    assert code.status == 731
    assert code.message.startswith('The committee is of 2 members, without member_1 (evaluate_1 <')
    results = process.outputs['results']
    assert [one['member'] for one in results['members']] == ['member_0', 'member_2']
    assert [one['seed'] for one in results['members']] == [3, 2]
    assert results['best'] == 'member_0'
    assert set(results['failed']) == {'member_1'}
    assert process.outputs['potential'].pk == process.children()['train_0'].outputs.potential.pk
    assert set(process.outputs['members']) == {'member_0', 'member_1', 'member_2'}


def test_equal_members(committee, child):
    process = committee(seeds=orm.List([1, 2]))
    for index in range(2):
        child(process, f'train_{index}')
        child(process, f'evaluate_{index}', parity=parity(1))
    process.collect()
    assert process.calibrate().status == 532
    assert process.outputs['results']['calibration'] is None


def test_calibration_of_members(aiida_profile):
    nodes = {f'member_{index}': parity(index + 1).store() for index in range(3)}
    record = orm.Dict({'seeds': {'member_0': 7, 'member_1': 8, 'member_2': 9}, 'failed': {}})
    outputs = calibrate_committee(record, **nodes)
    forces = np.stack([node.get_array('forces')[..., 1] for node in nodes.values()])
    deviations, results = outputs['deviations'], outputs['results']
    assert deviations.get_array('deviations') == pytest.approx(force_deviations(forces))
    labels = nodes['member_0'].get_array('forces')[..., 0]
    assert deviations.get_array('errors') == pytest.approx(np.linalg.norm(forces.mean(axis=0) - labels, axis=1))
    assert deviations.get_array('forces')[..., 1] == pytest.approx(forces.mean(axis=0))
    assert set(results['by_element']) == {'Cu', 'H'}
    assert (results['n_members'], results['n_frames'], results['n_atoms']) == (3, 2, 6)
    other = parity(5, labels=np.zeros((6, 3))).store()
    with pytest.raises(ValueError, match='member_1 and member_0 were evaluated on different frames'):
        calibrate_committee(record, member_0=nodes['member_0'], member_1=other)
