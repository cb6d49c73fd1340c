"""Whether a study converts its MACE models before it runs them, without running anything."""

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState


@pytest.fixture
def study(generate_workchain, study_inputs, generate_potential, fake_code):
    """Give a factory of studies with a MACE model and one of CHGNet; ``ps`` is the length of the NVE runs."""

    def factory(calculator='auto', ps=50.0, replicas=1, **changes):
        models = {'a': generate_potential('mace'), 'b': generate_potential('chgnet')}
        codes = {'engine': fake_code('hdiff.md')}
        inputs = study_inputs(potentials=models, codes=codes, replicas=orm.Int(replicas), **changes)
        settings = {**inputs['settings'].get_dict(), 'calculator': calculator}
        settings['analysis'] = {**settings['analysis'], 'window_ps': [0.05, 0.1]}
        for stage, time_ps in (('npt', 1.0), ('nvt', 1.0), ('nve', ps)):
            settings[stage] = {**settings[stage], 'time_ps': time_ps, 'output_interval_fs': 10.0}
        inputs['settings'] = orm.Dict(settings)
        process = generate_workchain('hdiff.diffusion', inputs)
        process.prepare_training()
        process.prepare_conversions()
        return process

    return factory


def end_conversion(process, status, **outputs):
    node = orm.CalcJobNode(
        process_type='aiida.calculations:hdiff.mace_convert', computer=process.inputs.codes.engine.computer
    )
    node.set_option('resources', {'num_machines': 1})
    node.base.links.add_incoming(process.node, LinkType.CALL_CALC, 'convert_a')
    node.store().set_process_state(ProcessState.FINISHED)
    for name, output in outputs.items():
        output.base.links.add_incoming(node, LinkType.CREATE, name)
        output.store()
    node.set_exit_status(status)
    node.set_exit_message(None if status == 0 else 'A package is missing where the job ran: symmetrix')


def runs(process):
    return sorted({label.partition('_')[0] for label in process.child_labels()})


def test_a_model_is_converted_once_and_runs_in_both_forms(study, generate_potential, monkeypatch):
    process = study(options={'max_wallclock_seconds': 60})
    assert process.child_labels() == ['convert_a']
    submitted = []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append((cls.__name__, inputs)))
    process.submit_child('convert_a')
    ((name, inputs),) = submitted
    assert name == 'MaceConvertCalculation'
    assert inputs['potential'].uuid == process.inputs.potentials.a.uuid
    assert inputs['dtype'].value == 'float64'
    assert inputs['metadata'] == {
        'call_link_label': 'convert_a', 'label': 'a conversion', 'options': {'max_wallclock_seconds': 60},
    }  # fmt: skip
    end_conversion(process, 0, potential=generate_potential('mace', cutoff_A=3.3))
    process.inspect_conversions()
    assert runs(process) == ['a', 'b']
    process.submit_child(process.child_labels()[0])
    assert submitted[-1][1]['potential'].cutoff_A == 3.3
    assert process.outputs['converted']['a'].uuid == submitted[-1][1]['potential'].uuid
    assert process.usable_potentials()['a'].cutoff_A == 3.4


def test_a_model_that_cannot_be_converted_runs_as_it_is(study):
    process = study()
    end_conversion(process, 423)
    process.inspect_conversions()
    assert runs(process) == ['a', 'b']
    assert process.run_potentials()['a'].uuid == process.inputs.potentials.a.uuid
    assert 'converted' not in process.outputs


@pytest.mark.parametrize(
    ('changes', 'converts'),
    [
        ({'ps': 1.0}, False),
        ({'ps': 1.0, 'calculator': 'fast'}, True),
        ({'calculator': 'stock'}, False),
        ({'replicas': 10, 'ps': 1.0}, True),
    ],
)
def test_when_it_is_worthwhile(study, changes, converts):
    assert (study(**changes).conversion_labels() == ['convert_a']) is converts
