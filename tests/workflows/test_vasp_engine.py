"""VASP as an engine of the workchains: what is passed on, chosen and refused, without running anything."""

from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from tests.conftest import PARAMETERS, nickel_hydride
from tests.vasp_fixtures import POTCAR_FAMILY, fake_force_field, upload_fake_potcars

pytest.importorskip('aiida_vasp')

STAGE = {key: value for key, value in PARAMETERS.items() if key != 'checkpoint_interval'}
OVERRIDES = {'allow_small_cell': True}


@pytest.fixture
def force_field():
    from aiida_hdiff.data.potential import PotentialData

    return lambda **kwargs: PotentialData.from_vasp_mlff(fake_force_field(**kwargs))


@pytest.fixture
def vasp_stage_inputs(stage_inputs, fake_code, force_field, fake_potcars):
    def factory(plugin='hdiff.vasp_mlff', **changes):
        values = {
            'code': fake_code(plugin), 'potential': force_field(), 'potcars': fake_potcars(),
            'parameters': orm.Dict(STAGE), **changes,
        }  # fmt: skip
        return stage_inputs(**{key: value for key, value in values.items() if value is not ...})

    return factory


@pytest.fixture
def vasp_study_inputs(study_inputs, fake_code, force_field, fake_potcars):
    def factory(**changes):
        values = {
            'potentials': {'mlff': force_field()}, 'codes': {'vasp': fake_code('hdiff.vasp_mlff')},
            'potcars': fake_potcars(), 'overrides': OVERRIDES, **changes,
        }  # fmt: skip
        return study_inputs(**{key: value for key, value in values.items() if value is not ...})

    return factory


@pytest.mark.parametrize('plugin', ['hdiff.vasp_md', 'hdiff.vasp_mlff', 'vasp.vasp'])
def test_a_stage_runs_the_job_of_the_potential_whatever_the_code_is_for(generate_workchain, vasp_stage_inputs, plugin):
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh([1, 1, 1])
    process = generate_workchain('hdiff.md_stage', vasp_stage_inputs(plugin, kpoints=kpoints))
    process.setup()
    assert process.process_class.__name__ == 'VaspMDCalculation'
    assert set(process.ctx.inputs.potcars) == {'Ni', 'H'}
    assert process.ctx.inputs.kpoints.pk == kpoints.pk


def test_other_engines_get_no_potcars(generate_workchain, stage_inputs, fake_potcars):
    process = generate_workchain('hdiff.md_stage', stage_inputs(potcars=fake_potcars()))
    process.setup()
    assert process.process_class.__name__ == 'LammpsMDCalculation'
    assert 'potcars' not in process.ctx.inputs


def test_what_a_stage_refuses(error_of, vasp_stage_inputs, fake_code, force_field, generate_structure):
    assert error_of('hdiff.md_stage', vasp_stage_inputs()) is None
    mixed = nickel_hydride(2, 2)[[*range(1, 33), 33, 0]]
    for changes, message in (
        (
            {'code': fake_code('hdiff.md')},
            'which cannot run a vasp-mlff potential: give a code whose default plugin is',
        ),
        ({'potcars': ...}, '`potcars` has no POTCAR for Ni of `structure` (given: none): give one for each kind'),
        ({'potential': force_field(lfast=False)}, 'ML_LFAST = .FALSE., so that every step is as slow as in training'),
        ({'structure': generate_structure(atoms=mixed)}, 'sort the sites by element'),
        ({'parameters': orm.Dict({**STAGE, 'thermostat': 'nose_hoover'})}, "`thermostat` is 'nose_hoover'"),
    ):
        assert message in error_of('hdiff.md_stage', vasp_stage_inputs(**changes))


def test_a_job_that_ran_up_to_a_frame_is_continued(
    generate_workchain, vasp_stage_inputs, generate_calc_job_node, generate_state, generate_trajectory
):
    process = generate_workchain('hdiff.md_stage', vasp_stage_inputs())
    process.setup()
    process.ctx.iteration = 1
    outputs = {
        'results': orm.Dict({'last_step': 60}),
        'final_state': generate_state(step=60, checkpoint=b'x'),
        'trajectory': generate_trajectory(np.zeros((1, 33, 3)), steps=[60], numbers=[28] * 32 + [1]),
    }
    node = generate_calc_job_node('hdiff.vasp_md', exit_status=404, exit_message='', outputs=outputs)
    report = process.handle_interrupted(node)
    assert (report.do_break, report.exit_code.status) == (True, 0)
    assert process.ctx.inputs.checkpoint.step == 60
    assert len(process.ctx.segments) == 1


def test_failures_of_vasp_have_codes_of_the_stage():
    from aiida.plugins import CalculationFactory, WorkflowFactory

    stage = {code.status for code in WorkflowFactory('hdiff.md_stage').exit_codes.values()}
    training_only = {413, 414, 415}
    job = {code.status for code in CalculationFactory('hdiff.vasp_md').exit_codes.values() if 410 <= code.status < 430}
    assert job - training_only <= stage


def test_what_a_study_refuses(error_of, vasp_study_inputs, fake_code, force_field, generate_potential):
    assert error_of('hdiff.diffusion', vasp_study_inputs()) is None
    both = {'mlff': force_field(), 'lj': generate_potential()}
    codes = {'vasp': fake_code('hdiff.vasp_md'), 'lammps': fake_code()}
    assert error_of('hdiff.diffusion', vasp_study_inputs(potentials=both, codes=codes)) is None
    for changes, message in (
        (
            {'codes': {'engine': fake_code('hdiff.md')}},
            "`codes.vasp` is missing, which runs potential 'mlff' (vasp-mlff)",
        ),
        (
            {'codes': {'vasp': fake_code('hdiff.md')}},
            "`codes.vasp` is set up for 'hdiff.md': give one whose default plugin is 'hdiff.vasp_md'",
        ),
        ({'potcars': ...}, '`potcars` has no POTCAR for Ni of `structure`'),
        ({'potentials': {'mlff': force_field(lfast=False)}}, 'ML_LFAST = .FALSE.'),
        ({'potentials': {'mlff': force_field(types=('Ni', 'Al'))}}, "potential 'mlff' lacks H of the structure"),
        ({'overrides': {}}, 'is smaller than twice the cutoff of potential'),
    ):
        assert message in error_of('hdiff.diffusion', vasp_study_inputs(**changes))


@pytest.fixture
def submitted(monkeypatch):
    """Collect what a workchain submits."""
    found = []

    def submit(_self, process, **inputs):
        found.append((process.__name__, inputs))
        return orm.WorkChainNode()

    monkeypatch.setattr('aiida.engine.WorkChain.submit', submit)
    return found


def test_the_potcars_go_down_to_the_stages(generate_workchain, vasp_study_inputs, submitted):
    process = generate_workchain('hdiff.diffusion', vasp_study_inputs())
    process.submit_child(process.child_labels()[0])
    name, inputs = submitted[-1]
    assert name == 'DiffusivityWorkChain'
    assert set(inputs['potcars']) == {'Ni', 'H'}
    inputs.pop('metadata')
    diffusivity = generate_workchain('hdiff.diffusivity', inputs)
    diffusivity.setup()
    diffusivity.run_npt()
    name, inputs = submitted[-1]
    assert name == 'MDStageWorkChain'
    assert set(inputs['potcars']) == {'Ni', 'H'}
    diffusivity._submit_replica('replica_1')
    assert set(submitted[-1][1]['potcars']) == {'Ni', 'H'}


def test_no_potcars_go_to_other_potentials(
    generate_workchain, vasp_study_inputs, submitted, fake_code, generate_potential
):
    inputs = vasp_study_inputs(potentials={'lj': generate_potential()}, codes={'lammps': fake_code()})
    process = generate_workchain('hdiff.diffusion', inputs)
    process.submit_child(process.child_labels()[0])
    assert 'potcars' not in submitted[-1][1]


STUDY = {
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [2, 2, 2]},
    'hydrogen': {'n_hydrogen': 1, 'seed': 1},
    'potentials': {'mlff': {'architecture': 'vasp-mlff', 'file': 'ML_FFN'}},
    'potcars': {'family': POTCAR_FAMILY},
    'temperatures_K': [800, 1000],
    'protocol': 'fast',
    'settings': OVERRIDES,
}


@pytest.fixture
def build(fake_code, monkeypatch, tmp_path, aiida_profile):
    """Give a function that makes the builder of a study of a force field beside it."""
    from aiida_hdiff.workflows.study import study_builder

    (tmp_path / 'ML_FFN').write_bytes(fake_force_field())
    upload_fake_potcars(tmp_path / 'potcars', ('Ni', 'Ni_pv', 'H'))
    codes = {'vasp': fake_code('hdiff.vasp_mlff').full_label}
    monkeypatch.setattr('aiida_hdiff.workflows.study.DEFAULT_CODES', codes)
    return lambda **changes: study_builder({**STUDY, **changes}, tmp_path)


def test_a_study_file_names_the_family(build):
    builder = build()
    assert {kind: node.full_name for kind, node in builder.potcars.items()} == {'Ni': 'Ni', 'H': 'H'}
    assert builder.potentials['mlff'].options['lfast'] is True
    assert list(builder.codes) == ['vasp']
    builder = build(potcars={'family': POTCAR_FAMILY, 'mapping': {'Ni': 'Ni_pv'}})
    assert builder.potcars['Ni'].full_name == 'Ni_pv'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'potcars': {'family': 'PBE.54'}}, "POTCAR family 'PBE.54' does not exist, uploaded are fake-pbe"),
        ({'potcars': {'family': POTCAR_FAMILY, 'mapping': {'Mg': 'Mg'}}}, '`mapping` names Mg, which the structure'),
        (
            {'potcars': {'family': POTCAR_FAMILY, 'mapping': {'Ni': 'Ni_GW'}}},
            "has no 'Ni_GW' for Ni: it has Ni, Ni_pv; name one in `mapping`",
        ),
        ({'potcars': {'famly': POTCAR_FAMILY}}, 'unknown key `famly` in potcars. Did you mean `family`?'),
        ({'codes': {'vasp': 'vasp@cluster'}}, "code 'vasp@cluster' is not set up: set it up with `verdi code create"),
    ],
)
def test_studies_that_cannot_be_built(build, changes, message):
    with pytest.raises(ValueError) as caught:
        build(**changes)
    assert message in str(caught.value)


def test_a_study_without_potcars_is_refused(build, tmp_path):
    from aiida_hdiff.workflows.study import study_builder

    study = {key: value for key, value in STUDY.items() if key != 'potcars'}
    with pytest.raises(ValueError, match='`potcars` is missing: a force field'):
        study_builder(study, Path(tmp_path))
