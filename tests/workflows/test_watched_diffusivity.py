"""A committee that watches over the stages of a diffusivity and of a study."""

import json

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.calculations.stages import stage_settings
from aiida_hdiff.engine.parameters import parameters_error
from aiida_hdiff.workflows.settings import DiffusionProtocols

OVERRIDES = {'timestep_fs': 0.5, 'committee': {'interval_fs': 7.0, 'threshold_eV_A': 0.2, 'action': 'stop'}}


@pytest.fixture
def member(generate_potential):
    def factory(epsilon_eV):
        content = json.dumps({'epsilon_eV': epsilon_eV, 'sigma_A': 1.5, 'cutoff_A': 3.0}).encode()
        return generate_potential('lennard_jones', files=[content], cutoff_A=3.0)

    return factory


def settings(**changes):
    return orm.Dict(DiffusionProtocols.get_protocol_settings('demo', {**OVERRIDES, **changes}))


def test_stages_with_and_without_a_committee():
    values = settings().get_dict()
    watched = stage_settings(values, 'nve', 300.0, 1, committee=True)
    assert watched['committee'] == {
        'every_steps': 14, 'threshold_eV_A': 0.2, 'calibration_factor': 1.0, 'action': 'stop', 'max_frames': 100,
    }  # fmt: skip
    assert parameters_error(watched) is None
    assert stage_settings(values, 'nve', 300.0, 1, committee=True, timestep_fs=0.25)['committee']['every_steps'] == 28
    assert 'committee' not in stage_settings(values, 'nve', 300.0, 1)


@pytest.fixture
def diffusivity(fake_code, generate_structure, member):
    def factory(**changes):
        values = {
            'structure': generate_structure(),
            'potential': member(0.1),
            'code': fake_code('hdiff.md'),
            'temperature': orm.Float(300.0),
            'settings': settings(),
            'seed': orm.Int(1),
            'committee': {'second': member(0.2)},
        }
        return {**values, **changes}

    return factory


def test_committees_of_a_diffusivity(diffusivity, error_of, member, generate_potential):
    assert error_of('hdiff.diffusivity', diffusivity()) is None
    message = error_of('hdiff.diffusivity', diffusivity(committee={'second': member(0.1)}))
    assert '`committee.second`: it is the same potential as `potential`' in message
    message = error_of('hdiff.diffusivity', diffusivity(settings=settings(committee={'action': 'halt'})))
    assert "`committee.action` is 'halt'" in message


def test_the_stages_get_the_committee(diffusivity, generate_workchain, monkeypatch):
    process = generate_workchain('hdiff.diffusivity', diffusivity())
    submitted = []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append(inputs))
    process.setup()
    process._submit_stage('npt', None)
    (inputs,) = submitted
    assert set(inputs['committee']) == {'second'}
    assert inputs['parameters']['committee']['every_steps'] == 14


def test_committees_of_a_study(study_inputs, fake_code, error_of, member):
    inputs = {'potentials': {'lj': member(0.1)}, 'codes': {'engine': fake_code('hdiff.md')}, 'settings': settings()}
    assert error_of('hdiff.diffusion', study_inputs(**inputs, committees={'lj': {'second': member(0.2)}})) is None
    message = error_of('hdiff.diffusion', study_inputs(**inputs, committees={'mace': {'second': member(0.2)}}))
    assert "`committees.mace` is given, but `potentials` has no 'mace'" in message
    message = error_of('hdiff.diffusion', study_inputs(**inputs, committees={'lj': {'second': member(0.1)}}))
    assert '`committees.lj`: `committee.second`: it is the same potential' in message


def test_the_runs_of_a_study_get_the_committee_of_their_potential(
    generate_workchain, study_inputs, fake_code, member, monkeypatch
):
    process = generate_workchain(
        'hdiff.diffusion',
        study_inputs(
            potentials={'lj': member(0.1), 'other': member(0.3)},
            codes={'engine': fake_code('hdiff.md')},
            settings=settings(),
            committees={'lj': {'second': member(0.2)}},
        ),
    )
    submitted = []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append(inputs))
    process.submit_child('lj_800K_0')
    process.submit_child('other_800K_0')
    assert set(submitted[0]['committee']) == {'second'}
    assert 'committee' not in submitted[1]


def test_uncertain_stages_are_kept_and_named(
    diffusivity, generate_workchain, generate_calc_job_node, generate_configurations
):
    process = generate_workchain('hdiff.diffusivity', diffusivity())
    process.setup()
    frames = generate_configurations()
    stage = orm.WorkChainNode(process_type='aiida.workflows:hdiff.md_stage')
    stage.base.links.add_incoming(process.node, LinkType.CALL_WORK, 'nvt_2')
    stage.store()
    frames.store().base.links.add_incoming(stage, LinkType.RETURN, 'uncertain_frames')
    stage.set_exit_status(730)
    process.ctx.stage = stage
    assert process._ended_stage() is stage
    assert process.ctx.uncertain == ['nvt_2']
    assert process.outputs['uncertain_frames']['nvt_2'].pk == frames.pk
