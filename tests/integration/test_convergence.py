"""Runs that extend themselves, with real LAMMPS."""

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_hdiff.workflows.diffusivity import DiffusivityWorkChain

pytestmark = pytest.mark.integration


@pytest.fixture
def run(code, eam_potential, nickel_hydrogen):
    def factory(**convergence):
        builder = DiffusivityWorkChain.get_builder_from_protocol(
            nickel_hydrogen(),
            eam_potential,
            code('lmp'),
            1400.0,
            protocol='fast',
            overrides={
                'npt': {'time_ps': 2.0},
                'nvt': {'time_ps': 4.0},
                'nve': {'time_ps': 40.0},
                'analysis': {'window_ps': [0.5, 3.0]},
                'gate': {'temperature_tolerance_K': 120.0},
                'convergence': convergence,
            },
        )
        return run_get_node(builder)

    return factory


def called(node, word):
    return sorted(link.link_label for link in node.base.links.get_outgoing().all() if word in link.link_label)


def test_an_extension_continues_the_run_until_the_budget_ends(run):
    """One extension of the same run, without gap; the best estimate is kept although the target is not reached."""
    outputs, node = run(relative_error=0.01, max_production_ps=90.0)
    assert node.exit_status == 503, node.exit_message
    assert 'the target 0.01' in node.exit_message
    assert called(node, 'nve_extension') == ['nve_extension_1']
    assert called(node, 'diffusivity')[:2] == ['diffusivity', 'diffusivity']
    diffusivity = outputs['diffusivity']
    assert diffusivity['production_ps'] == pytest.approx(90.0, rel=1e-3)
    assert diffusivity.is_resolved
    first, second = outputs['trajectory'], outputs['extensions']['extension_001']
    assert second.base.attributes.get('first_step') - first.base.attributes.get('last_step') == 20
    assert second.base.attributes.get('last_step') == 90000
    before = next(
        link.node
        for process in node.called
        if process.process_label == 'diffusivity_from_trajectory'
        for link in process.base.links.get_outgoing(link_label_filter='diffusivity').all()
        if link.node.uuid != diffusivity.uuid
    )
    assert before['production_ps'] == pytest.approx(40.0, rel=1e-3)
    assert diffusivity.relative_error < before['estimate_std_error_m2_s'] / before['estimate_m2_s']
    energies = []
    for trajectory in (first, second):
        with trajectory.reader() as reader:
            energies.append((reader.observable('potential_energy') + reader.observable('kinetic_energy')).mean())
    assert energies[1] == pytest.approx(energies[0], abs=0.02)


def test_a_target_that_is_reached_ends_the_run(run):
    outputs, node = run(relative_error=0.9, max_production_ps=400.0)
    assert node.is_finished_ok, node.exit_message
    assert not called(node, 'extension')
    assert outputs['diffusivity'].relative_error <= 0.9


def test_replicas_are_added_and_combined(run):
    """Replicas differ in their seeds; D is their mean, and its error smaller than that of one run."""
    outputs, node = run(relative_error=0.01, max_production_ps=120.0, strategy='replicas', replicas_at_once=2)
    assert node.exit_status == 503, node.exit_message
    replicas = called(node, 'replica_')
    assert replicas == ['replica_1', 'replica_2']
    diffusivity = outputs['diffusivity']
    assert diffusivity['n_replicas'] == 3
    assert diffusivity['production_ps'] == pytest.approx(120.0, rel=1e-3)
    inputs = diffusivity.creator.inputs
    values = [inputs[name]['estimate_m2_s'] for name in inputs]
    assert len(set(values)) == 3
    assert diffusivity['estimate_m2_s'] == pytest.approx(sum(values) / 3)
    assert isinstance(diffusivity.creator, orm.CalcFunctionNode)
