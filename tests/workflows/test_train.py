"""What TrainWorkChain dispatches, keeps and decides, without running anything."""

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_hdiff.workflows.train_stages import training_stage

LIMITS = {'energy_rmse_meV_per_atom': 10.0, 'force_rmse_meV_A': 100.0, 'smoke_time_ps': 0.1}
ERRORS = {'energy_meV_per_atom_without_element_offsets': {'rmse': 3.0}, 'force_meV_A': {'rmse': 60.0}}


@pytest.fixture
def train_inputs(fake_code, generate_structure, generate_dataset, generate_potential):
    """Give a factory of inputs for copper with hydrogen; a pretrained potential by default."""
    from ase.build import bulk

    def factory(**changes):
        atoms = bulk('Cu', 'fcc', a=3.61, cubic=True) * 2
        atoms.append('H')
        atoms.positions[-1] = [1.805, 0.0, 0.0]
        values = {
            'kind': orm.Str('pretrained'),
            'potential': generate_potential('emt', ('Cu', 'H')),
            'test': generate_dataset(3),
            'structure': generate_structure(atoms=atoms),
            'gate': orm.Dict(LIMITS),
            'codes': {'engine': fake_code('hdiff.md')},
        }
        return {key: value for key, value in {**values, **changes}.items() if value is not None}

    return factory


@pytest.fixture
def scratch_inputs(train_inputs, generate_dataset):
    """Give a factory of inputs of a training from scratch."""

    def factory(**changes):
        own = {'kind': orm.Str('from_scratch'), 'potential': None}
        sets = {'train': generate_dataset(5, seed=1), 'valid': generate_dataset(2, seed=2)}
        return train_inputs(**{**own, **sets, **changes})

    return factory


@pytest.fixture
def ended():
    """Give a factory of ended children with outputs."""

    def factory(status=0, message=None, state=ProcessState.FINISHED, **outputs):
        node = orm.WorkChainNode()
        node.store().set_process_state(state)
        if state is ProcessState.FINISHED:
            node.set_exit_status(status)
        if message:
            node.set_exit_message(message)
        for name, output in outputs.items():
            output.store().base.links.add_incoming(node, LinkType.RETURN, name)
        return node

    return factory


@pytest.fixture
def started(generate_workchain):
    """Give a function that builds a workchain after its set-up."""

    def factory(inputs):
        process = generate_workchain('hdiff.train', inputs)
        process.setup()
        return process

    return factory


def test_stages(scratch_inputs, generate_potential, fake_code):
    inputs = scratch_inputs(config=orm.Dict({'max_num_epochs': 2}), seed=orm.Int(4))
    stage = training_stage(inputs)
    assert stage.entry_point == 'hdiff.mace_train'
    assert set(stage.inputs) == {'code', 'train', 'valid', 'test', 'config', 'seed'}
    assert stage.error() is None
    own = {'mace': fake_code('hdiff.mace_train'), **inputs['codes']}
    assert training_stage({**inputs, 'codes': own}).inputs['code'].pk == own['mace'].pk
    tuned = {**inputs, 'kind': orm.Str('fine_tuned'), 'foundation': generate_potential('chgnet', ('Cu', 'H'))}
    assert training_stage(tuned).entry_point == 'hdiff.chgnet_train'
    student = training_stage({**inputs, 'kind': orm.Str('distilled'), 'teacher': generate_potential('emt')})
    assert student.entry_point == 'hdiff.distill'
    assert set(student.inputs) == {'teacher', 'structure', 'seed', 'codes'}
    refit = training_stage({**inputs, 'kind': orm.Str('vasp_mlff'), 'codes': {'vasp': fake_code('hdiff.vasp_mlff')}})
    assert refit.entry_point == 'hdiff.on_the_fly'
    assert refit.inputs['dataset'].uuid == inputs['train'].uuid


def test_a_pretrained_potential_is_judged(started, train_inputs, ended, generate_trajectory):
    process = started(train_inputs())
    assert not process.is_trained()
    assert process.is_evaluated()
    process.ctx.child = ended(results=orm.Dict(ERRORS), parity=orm.ArrayData())
    assert process.inspect_evaluation() is None
    assert process.is_run()
    process.ctx.child = ended(trajectory=generate_trajectory())
    assert process.inspect_smoke() is None
    assert process.judge() is None
    assert set(process.outputs) == {'potential', 'evaluation', 'parity', 'gate'}
    assert process.outputs['gate']['passed']


def test_what_is_above_the_limits_is_not_run(started, train_inputs, ended):
    process = started(train_inputs())
    process.ctx.child = ended(results=orm.Dict({**ERRORS, 'force_meV_A': {'rmse': 101.0}}))
    process.inspect_evaluation()
    assert not process.is_run()
    code = process.judge()
    assert (code.status, code.message) == (
        520, 'The potential does not pass its gate: force RMSE 101 meV/Å is above the limit 100 meV/Å',
    )  # fmt: skip
    assert not process.outputs['gate']['passed']
    assert process.outputs['potential'].architecture == 'emt'


def test_a_run_that_explodes_is_a_verdict_and_one_that_cannot_be_made_is_none(started, train_inputs, ended):
    process = started(train_inputs(test=None, gate=orm.Dict({**LIMITS, **dict.fromkeys(list(LIMITS)[:2])})))
    assert not process.is_evaluated()
    process.ctx.child = ended(420, 'The engine stopped with an error: why')
    code = process.inspect_smoke()
    assert (code.status, code.message) == (
        440, 'The short NVE run could not be made: The engine stopped with an error: why',
    )  # fmt: skip
    process.ctx.child = ended(412, 'The run exploded: step 3')
    assert process.inspect_smoke() is None
    assert process.judge().status == 520
    assert process.outputs['gate']['reasons'] == ['the smoke run failed: The run exploded: step 3']


def test_a_training_that_fails_keeps_what_there_is(started, scratch_inputs, ended):
    process = started(scratch_inputs())
    assert process.is_trained()
    process.ctx.child = ended(412, 'The training diverged: why', results=orm.Dict({'epochs': 3}))
    code = process.inspect_training()
    assert (code.status, code.message) == (438, 'The training failed: The training diverged: why')
    assert set(process.outputs) == {'training'}
    process.ctx.child = ended(state=ProcessState.KILLED)
    assert process.inspect_training().message == 'The training failed: process killed'


def test_an_evaluation_that_fails(started, train_inputs, ended):
    process = started(train_inputs())
    process.ctx.child = ended(414, 'The potential fails for frames')
    code = process.inspect_evaluation()
    assert (code.status, code.message) == (
        439, 'The potential could not be evaluated: The potential fails for frames',
    )  # fmt: skip


def test_children_that_end_in_an_exception_are_run_once_more(started, train_inputs, ended, monkeypatch):
    process = started(train_inputs())
    submitted = []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append(inputs) or ended())
    process.run_evaluation()
    process.ctx.child = ended(state=ProcessState.EXCEPTED)
    process.rerun_excepted()
    assert [inputs['metadata']['call_link_label'] for inputs in submitted] == ['evaluation', 'evaluation']
    process.ctx.child = ended()
    assert process.rerun_excepted() is None


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda: {'kind': orm.Str('other')}, "`kind` is 'other': choose one of"),
        (lambda: {'train': None}, '`train` is missing: a potential of the kind from_scratch is trained on'),
        (lambda: {'valid': None}, '`valid` is missing: a potential of the kind from_scratch'),
        (lambda: {'test': None}, '`test` is missing: the gate limits the errors on it'),
        (lambda: {'codes': {}}, '`codes.engine` is missing, which trains and runs mace'),
        (lambda: {'config': orm.Dict({'seed': 3})}, '`seed` is not set in `config`'),
        (lambda: {'gate': orm.Dict({'force': 1.0})}, '`gate`: unknown limit `force`'),
        (lambda: {'architecture': orm.Str('chgnet')}, "`architecture` is 'chgnet': only MACE is trained from scratch"),
    ],
)
def test_bad_inputs_are_refused(error_of, scratch_inputs, change, message):
    assert message in error_of('hdiff.train', scratch_inputs(**change()))


def test_elements_are_checked(error_of, scratch_inputs, train_inputs, generate_structure, generate_potential):
    nickel = generate_structure()
    assert '`train` has no Ni of `structure`' in error_of('hdiff.train', scratch_inputs(structure=nickel))
    assert error_of('hdiff.train', scratch_inputs()) is None
    hydrogen_free = generate_potential('emt', ('Cu',))
    assert '`potential` does not cover H' in error_of('hdiff.train', train_inputs(potential=hydrogen_free))
