"""No process takes a model that could run code, unless the user of the profile says so."""

import json

import pytest
from aiida import orm
from aiida.common.exceptions import InputValidationError
from aiida.common.links import LinkType
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_hdiff.calculations.model_safety import require_trust
from aiida_hdiff.data.model_trust import OPTION, trust_key, trust_potential, trusted_options
from aiida_hdiff.data.potential import PotentialData
from tests.model_files import hostile_model

REFUSED = 'is not loaded: it names `os.system`'
MD = {
    'seed': 1,
    'ensemble': 'nve',
    'temperature_K': 300.0,
    'timestep_fs': 1.0,
    'steps': 10,
    'output_interval': 5,
    'checkpoint_interval': 5,
}


@pytest.fixture(autouse=True)
def nothing_runs(aiida_profile_clean, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / 'code_was_run').exists()


@pytest.fixture
def hostile():
    return PotentialData(architecture='mace', elements=['Ni', 'H', 'Cu'], files=[hostile_model()], cutoff_A=3.0).store()


def error_of(process, values):
    """Return what submitting would say."""
    port = process.spec().inputs
    error = port.validate(port.pre_process(dict(values)))
    return None if error is None else error.message


@pytest.fixture
def md_inputs(fake_code, generate_structure, hostile):
    def factory(**changes):
        return {
            'code': fake_code('hdiff.md'),
            'structure': generate_structure(),
            'potential': hostile,
            'parameters': orm.Dict(MD),
            **changes,
        }

    return factory


def test_md_job(md_inputs, hostile, generate_calc_job):
    job = CalculationFactory('hdiff.md')
    assert REFUSED in error_of(job, md_inputs())

    def given():
        return {'metadata': {'options': {OPTION: [trust_key(hostile)]}}}

    assert 'nobody has trusted it in this profile' in error_of(job, md_inputs(**given()))
    trust_potential(hostile)
    assert 'but not by the job' in error_of(job, md_inputs())
    assert error_of(job, md_inputs(**given())) is None
    folder, _ = generate_calc_job('hdiff.md', md_inputs(**given()))
    assert json.loads((folder / 'md.json').read_text())['potential']['trusted'] is True


def test_harmless_models_are_scanned_where_they_run(md_inputs, generate_potential, generate_calc_job):
    """The option alone does not switch off the scan of the engine."""
    node = generate_potential('mace', elements=('Ni', 'H'))
    trust_potential(node)
    folder, _ = generate_calc_job(
        'hdiff.md', md_inputs(potential=node, metadata={'options': {OPTION: [trust_key(node)]}})
    )
    assert 'trusted' not in json.loads((folder / 'md.json').read_text())['potential']


def test_label_job(fake_code, generate_configurations, hostile, generate_calc_job):
    values = {
        'code': fake_code('hdiff.label'),
        'frames': generate_configurations(),
        'settings': orm.Dict({'calculator': 'mace'}),
        'potential': hostile,
    }
    job, workchain = CalculationFactory('hdiff.label'), WorkflowFactory('hdiff.label')
    assert REFUSED in error_of(job, values)
    assert REFUSED in error_of(workchain, values)
    options = trusted_options([hostile], trust=True)
    assert error_of(workchain, {**values, 'options': dict(options)}) is None
    folder, _ = generate_calc_job('hdiff.label', {**values, 'metadata': {'options': dict(options)}})
    assert json.loads((folder / 'label.json').read_text())['trusted'] is True


def test_workchains(md_inputs, fake_code, generate_structure, hostile):
    stage = WorkflowFactory('hdiff.md_stage')
    assert REFUSED in error_of(stage, md_inputs())
    diffusion = WorkflowFactory('hdiff.diffusion')
    builder = diffusion.get_builder_from_protocol(
        generate_structure(3, 4), {'bad': hostile}, {'engine': fake_code('hdiff.md')}, [800.0, 1000.0]
    )
    assert REFUSED in error_of(diffusion, builder._inputs(prune=True))
    options = trusted_options([hostile], trust=True)
    assert error_of(stage, md_inputs(options=options)) is None
    builder.options = options
    assert error_of(diffusion, builder._inputs(prune=True)) is None


def test_relaunch_of_a_job_of_a_stranger(md_inputs, hostile):
    """Its options name the model as trusted; here nobody has."""
    inputs = md_inputs()
    node = orm.CalcJobNode(computer=inputs['code'].computer, process_type='aiida.calculations:hdiff.md')
    options = {'resources': {'num_machines': 1}, OPTION: [trust_key(hostile)]}
    node.base.attributes.set('metadata_inputs', {'metadata': {'options': options}})
    for name, value in inputs.items():
        node.base.links.add_incoming(value if value.is_stored else value.store(), LinkType.INPUT_CALC, name)
    node.store()
    builder = node.get_builder_restart()
    assert builder.metadata.options[OPTION] == [trust_key(hostile)]
    from aiida.engine import run

    with pytest.raises(ValueError, match='nobody has trusted it in this profile'):
        run(builder)


def test_last_check_before_submission(hostile, generate_potential):
    with pytest.raises(InputValidationError, match='`os'):
        require_trust(hostile, {})
    assert require_trust(hostile, trusted_options([hostile], trust=True)) is True
    assert require_trust(generate_potential('mace'), {}) is False
    assert require_trust(None, {}) is False
