"""What DiffusionWorkChain and DiffusivityWorkChain decide, without running anything."""

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.workflows.diffusion import run_label


def measured(kelvin, status='resolved'):
    value = 1e-6 * np.exp(-0.4 / (BOLTZMANN_EV_PER_K * kelvin))
    resolved = status == 'resolved'
    return DiffusivityData(
        {
            'temperature_K': kelvin,
            'measured_temperature_K': kelvin,
            'temperature_error_K': 0.0,
            'value_m2_s': value if resolved else None,
            'std_error_m2_s': 0.05 * value if resolved else None,
            'status': status,
            'reason': None if resolved else 'few hops',
            'n_hops': 100.0,
            'upper_bound_m2_s': value,
        }
    )


@pytest.fixture
def study(generate_workchain, study_inputs):
    """Give a study with children that have ended: a diffusivity, or an exit status with a message."""

    def factory(children, **changes):
        temperatures = orm.List([800, 900.0, 1000])
        process = generate_workchain('hdiff.diffusion', study_inputs(temperatures=temperatures, **changes))
        for label, result in children.items():
            child = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusivity')
            child.base.links.add_incoming(process.node, LinkType.CALL_WORK, label)
            child.store()
            child.set_process_state(ProcessState.FINISHED)
            if isinstance(result, DiffusivityData):
                result.store()
                result.base.links.add_incoming(child, LinkType.RETURN, 'diffusivity')
                child.set_exit_status(0)
            else:
                child.set_exit_status(result[0])
                child.set_exit_message(result[1])
        return process

    return factory


@pytest.mark.parametrize(
    ('kelvin', 'label'),
    [(800, 'eam_800K_0'), (800.0, 'eam_800K_0'), (672.5, 'eam_672p5K_0'), (1e6, 'eam_1000000K_0')],
)
def test_run_labels(kelvin, label):
    assert run_label('eam', kelvin, 0) == label


def test_near_temperatures_have_different_labels():
    assert run_label('eam', 1000.001, 0) != run_label('eam', 1000.002, 0)


def test_runs_are_ordered_by_temperature_and_replica(study, generate_potential):
    process = study({}, potentials={'a': generate_potential(), 'b': generate_potential()}, replicas=orm.Int(2))
    assert process.child_labels() == [
        f'{name}_{kelvin}K_{replica}' for kelvin in (800, 900, 1000) for replica in (0, 1) for name in ('a', 'b')
    ]
    assert process.throttle_limit() == 2


def test_children_get_their_own_inputs(study, monkeypatch):
    process = study({}, options={'max_wallclock_seconds': 60})
    submitted = []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append((cls.__name__, inputs)))
    process.submit_child('lj_900K_0')
    ((name, inputs),) = submitted
    assert name == 'DiffusivityWorkChain'
    assert inputs['temperature'].value == 900.0
    assert inputs['metadata']['call_link_label'] == 'lj_900K_0'
    assert inputs['options'] == {'max_wallclock_seconds': 60}
    assert inputs['replica'].value == 0


def test_the_throttle_starts_what_is_missing_and_no_more_than_the_limit(study, monkeypatch):
    process = study({'lj_800K_0': measured(800.0)})
    started = []

    def submit(label):
        node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusivity')
        node.base.links.add_incoming(process.node, LinkType.CALL_WORK, label)
        node.store().set_process_state(ProcessState.RUNNING)
        started.append(label)
        return node

    monkeypatch.setattr(process, 'submit_child', submit)
    process.submit_throttled()
    assert started == ['lj_900K_0', 'lj_1000K_0']
    process.submit_throttled()
    assert len(started) == 2


def test_fit_of_a_complete_study(study):
    labels = {f'lj_{kelvin}K_0': measured(float(kelvin)) for kelvin in (800, 900, 1000)}
    process = study(labels)
    process.fit()
    assert process.results() is None
    outputs = process.outputs
    assert set(outputs['diffusivities']) == set(labels)
    assert outputs['arrhenius']['lj'].activation_energy_eV == pytest.approx(0.4, abs=1e-6)
    assert outputs['arrhenius']['lj']['missing'] == []


def test_fit_without_the_runs_that_failed(study):
    process = study(
        {
            'lj_800K_0': measured(800.0),
            'lj_900K_0': (433, 'The NVE stage failed: exploded'),
            'lj_1000K_0': measured(1000.0),
        }
    )
    process.fit()
    code = process.results()
    assert code.status == 710
    assert code.message == (
        'Finished, but without lj_900K_0 (The NVE stage failed: exploded): the Arrhenius fits leave them out.'
    )
    assert process.outputs['arrhenius']['lj']['missing'] == [
        {'label': 'lj_900K_0', 'temperature_K': 900.0, 'reason': 'The NVE stage failed: exploded'}
    ]


def test_too_few_resolved_temperatures(study):
    process = study(
        {
            'lj_800K_0': measured(800.0, 'not_resolved'),
            'lj_900K_0': measured(900.0, 'not_resolved'),
            'lj_1000K_0': measured(1000.0),
        }
    )
    process.fit()
    code = process.results()
    assert (code.status, code.message) == (510, 'Fewer than two temperatures gave a resolved diffusivity for lj.')
    assert len(process.outputs['diffusivities']) == 3
    assert 'arrhenius' not in process.outputs


@pytest.fixture
def run(generate_workchain, study_inputs, generate_calc_job_node, generate_trajectory):
    """Give a diffusivity before its NVE run is inspected, and a way to end that run."""
    from tests.calculations.test_stages import nve

    def factory():
        values = study_inputs(overrides={'gate': {'temperature_tolerance_K': 5.0}})
        inputs = {
            'structure': values['structure'],
            'potential': values['potentials']['lj'],
            'code': values['codes']['lammps'],
            'temperature': orm.Float(800.0),
            'settings': values['settings'],
            'seed': values['seed'],
        }
        process = generate_workchain('hdiff.diffusivity', inputs)
        process.setup()
        return process

    def end(process, *, status=0, **trajectory):
        child = orm.WorkChainNode(process_type='aiida.workflows:hdiff.md_stage').store()
        child.set_process_state(ProcessState.FINISHED)
        child.set_exit_status(status)
        child.set_exit_message('what the stage said')
        if status == 0:
            node = nve(generate_trajectory, **trajectory).store()
            node.base.links.add_incoming(child, LinkType.RETURN, 'trajectory')
        process.ctx.stage = child

    return factory, end


def test_a_good_nve_run_is_accepted(run):
    factory, end = run
    process = factory()
    assert process.should_run_nve()
    end(process)
    assert process.inspect_nve() is None
    assert not process.should_run_nve()


def test_a_run_that_drifts_is_repeated_once_with_half_the_step(run):
    factory, end = run
    process = factory()
    end(process, drift=10.0)
    assert process.inspect_nve() is None
    assert process.should_run_nve()
    assert (process.ctx.halved, process.ctx.timestep_fs, process.ctx.attempt) == (True, 0.5, 1)
    end(process, drift=10.0)
    code = process.inspect_nve()
    assert code.status == 502
    assert 'drifts by 10' in code.message


def test_a_run_at_another_temperature_is_repeated_once(run):
    factory, end = run
    process = factory()
    end(process, mean=850.0)
    assert process.inspect_nve() is None
    assert (process.ctx.reequilibrated, process.ctx.halved, process.should_run_nve()) == (True, False, True)
    end(process, mean=850.0)
    code = process.inspect_nve()
    assert code.status == 501
    assert code.message == 'The mean NVE temperature stays {:.1f} K where 800.0 K was asked.'.format(
        process.ctx.check['mean_temperature_K']
    )


def test_both_remedies_may_be_needed(run):
    factory, end = run
    process = factory()
    end(process, drift=10.0)
    process.inspect_nve()
    end(process, mean=850.0)
    assert process.inspect_nve() is None
    end(process)
    assert process.inspect_nve() is None
    assert not process.should_run_nve()
    assert process.ctx.attempt == 3


@pytest.mark.parametrize(('inspect', 'status'), [('inspect_npt', 431), ('inspect_nvt', 432), ('inspect_nve', 433)])
def test_a_failed_stage_ends_the_run_with_its_message(run, inspect, status):
    factory, end = run
    process = factory()
    end(process, status=412)
    code = getattr(process, inspect)()
    assert code.status == status
    assert code.message.endswith('stage failed: what the stage said')


@pytest.mark.parametrize(('stretch', 'refused'), [(1.05, False), (1.2, True), (0.8, True)])
def test_an_npt_stage_that_changes_the_volume_too_much_ends_the_run(
    run, generate_trajectory, generate_state, stretch, refused
):
    factory, _ = run
    process = factory()
    atoms = process.inputs.structure.get_ase()
    atoms.set_cell(stretch * atoms.cell.array, scale_atoms=True)
    positions, cells = (np.repeat(one[None], 4, axis=0) for one in (atoms.positions, atoms.cell.array))
    trajectory = generate_trajectory(positions, numbers=atoms.numbers, cells=cells)
    state = generate_state(atoms=atoms)
    stage = orm.WorkChainNode(process_type='aiida.workflows:hdiff.md_stage').store()
    stage.set_process_state(ProcessState.FINISHED)
    stage.set_exit_status(0)
    for name, node in (('trajectory', trajectory), ('final_state', state)):
        node.store().base.links.add_incoming(stage, LinkType.RETURN, name)
    process.ctx.stage = stage
    code = process.inspect_npt()
    assert (code is not None) is refused
    if refused:
        assert code.status == 431
        assert (
            f'the volume has changed by {100 * (stretch**3 - 1):+.0f} %, more than `gate.max_volume_change`'
            in code.message
        )


def test_repeated_stages_have_other_seeds_and_labels(run, monkeypatch):
    factory, _ = run
    process = factory()
    submitted = []
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append(inputs))
    process._submit_stage('nvt', None)
    process.ctx.attempt, process.ctx.halved, process.ctx.timestep_fs = 1, True, 0.5
    process._submit_stage('nvt', None)
    first, second = (inputs['parameters'].get_dict() for inputs in submitted)
    assert first['seed'] != second['seed']
    assert (first['timestep_fs'], second['timestep_fs']) == (1.0, 0.5)
    assert [inputs['metadata']['call_link_label'] for inputs in submitted] == ['nvt', 'nvt_2']


def test_a_run_whose_error_is_above_the_target_counts_with_a_warning(study):
    labels = {f'lj_{kelvin}K_0': measured(float(kelvin)) for kelvin in (800, 900, 1000)}
    process = study(labels)
    process.children()['lj_900K_0'].set_exit_status(503)
    process.fit()
    code = process.results()
    assert (code.status, code.message.split(' for ')[1]) == (711, 'lj_900K_0; the fits use what there is.')
    assert process.outputs['arrhenius']['lj']['n_temperatures'] == 3


def test_a_run_whose_committee_was_uncertain_counts_with_a_warning(study):
    labels = {f'lj_{kelvin}K_0': measured(float(kelvin)) for kelvin in (800, 900, 1000)}
    process = study(labels)
    process.children()['lj_900K_0'].set_exit_status(730)
    process.fit()
    code = process.results()
    assert (code.status, code.message) == (730, 'Finished, but committees were uncertain in lj_900K_0.')
    assert process.outputs['arrhenius']['lj']['n_temperatures'] == 3


def test_a_child_that_ended_in_an_exception_is_started_once_more(study, monkeypatch):
    process = study({'lj_800K_0': (1, 'x'), 'lj_900K_0': measured(900.0), 'lj_1000K_0': measured(1000.0)})
    started = []

    def submit(label):
        node = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusivity')
        node.base.links.add_incoming(process.node, LinkType.CALL_WORK, label)
        node.store().set_process_state(ProcessState.EXCEPTED)
        started.append(label)
        return node

    monkeypatch.setattr(process, 'submit_child', submit)
    process.submit_throttled()
    assert started == []
    process.children()['lj_800K_0'].set_process_state(ProcessState.EXCEPTED)
    for _ in range(3):
        process.submit_throttled()
    assert started == ['lj_800K_0']


def test_a_stage_that_ended_in_an_exception_is_run_once_more(run, monkeypatch):
    factory, end = run
    process = factory()
    submitted = []
    child = orm.WorkChainNode(process_type='aiida.workflows:hdiff.md_stage').store()

    def submit(cls, **inputs):
        submitted.append(inputs['metadata']['call_link_label'])
        return child

    monkeypatch.setattr(process, 'submit', submit)
    process.run_npt()
    end(process)
    assert process.rerun_excepted_stage() is None
    process.ctx.stage.set_process_state(ProcessState.EXCEPTED)
    assert process.rerun_excepted_stage()['stage'].pk == child.pk
    assert submitted == ['npt', 'npt']


@pytest.fixture
def converging(run, monkeypatch):
    """Give a diffusivity of 400 ps with a relative error of 5 %, and a target."""

    def factory(**convergence):
        process = run[0]()
        settings = process.ctx.settings
        process.ctx.settings = {**settings, 'convergence': {**settings['convergence'], **convergence}}
        process.ctx.diffusivity, process.ctx.production_ps = measured(800.0), 400.0
        return process

    return factory


@pytest.mark.parametrize(
    ('convergence', 'goal'),
    [
        ({}, None),
        ({'relative_error': 0.06}, None),
        ({'relative_error': 0.03}, 1200.0),
        ({'relative_error': 0.03, 'max_production_ps': 1000.0}, 1000.0),
        ({'relative_error': 0.03, 'max_production_ps': 400.0}, None),
        ({'relative_error': 0.03, 'max_production_ps': 799.0, 'strategy': 'replicas'}, None),
        ({'relative_error': 0.03, 'max_production_ps': 800.0, 'strategy': 'replicas'}, 800.0),
    ],
)
def test_a_run_goes_on_while_its_error_is_above_the_target(converging, convergence, goal):
    process = converging(**convergence)
    assert process.should_continue() == (goal is not None)
    assert process.ctx.next_production_ps == goal


def test_an_extension_that_fails_keeps_the_estimate(converging, run):
    process = converging(relative_error=0.01)
    assert process.should_continue()
    run[1](process, status=412)
    process.inspect_extension()
    assert process.ctx.stopped == 'the extension failed: what the stage said'
    assert not process.should_continue()
    assert process.ctx.production_ps == 400.0


def test_an_extension_that_drifts_keeps_the_estimate(converging, run):
    process = converging(relative_error=0.01)
    assert process.should_continue()
    run[1](process)
    process.ctx.trajectory = process.ctx.stage.outputs.trajectory
    run[1](process, drift=10.0)
    process._check = lambda extensions: {'drift_accepted': False, 'drift_meV_per_atom_per_ns': 12.0}
    process.inspect_extension()
    assert 'drifts by 12' in process.ctx.stopped
    assert process.ctx.extensions == {}


def test_added_replicas_share_no_seed_with_those_of_the_study(converging, monkeypatch):
    process = converging(relative_error=0.01, max_production_ps=4000.0, strategy='replicas', replicas_at_once=3)
    submitted = []
    child = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusivity').store()
    monkeypatch.setattr(process, 'submit', lambda cls, **inputs: submitted.append(inputs) or child)
    assert process.should_continue()
    process.run_replicas()
    assert [inputs['replica'].value for inputs in submitted] == [1000, 2000]
    assert all(inputs['settings']['convergence']['relative_error'] is None for inputs in submitted)


def test_a_study_is_compared_with_published_values_and_potentials_with_each_other(study, generate_potential):
    from aiida_hdiff.data.literature import LiteratureData
    from aiida_hdiff.literature import load_literature

    values = [value for value in load_literature('Ni') if value.isotope == 'H'][:2]
    literature = {value.key.replace('-', '_'): LiteratureData.get_or_create(value) for value in values}
    labels = {f'{name}_{kelvin}K_0': measured(float(kelvin)) for name in 'ab' for kelvin in (800, 900, 1000)}
    potentials = {'a': generate_potential(), 'b': generate_potential()}
    process = study(labels, potentials=potentials, literature=literature)
    process.fit()
    process.compare()
    rows = process.outputs['comparison']['comparisons']
    assert {row['computed'] for row in rows} == {'a', 'b', *labels}
    assert {row['literature'] for row in rows} == set(literature)
    assert process.outputs['comparison']['default_factor'] == 2.0
    assert 'arrhenius_comparison' in process.outputs
