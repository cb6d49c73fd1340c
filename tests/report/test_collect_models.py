"""From the nodes of a study with a training plan to its report; evaluations are of real labels by EMT."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.analysis.error_summary import error_summary
from aiida_hdiff.analysis.errors import Predictions
from aiida_hdiff.calculations.splits import split_dataset
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.parsers.evaluate import parity_arrays
from aiida_hdiff.report import collect_models, collect_provenance
from aiida_hdiff.report.collect import collect_study
from aiida_hdiff.report.collect_parity import parity
from aiida_hdiff.report.html import render_html
from aiida_hdiff.workflows.diffusion import DiffusionWorkChain
from tests.data.test_results import ARRHENIUS, DIFFUSIVITY

REASON = 'force RMSE 310 meV/Å is above the limit 150 meV/Å'

MORE = {'log_prefactor_error': 0.2, 'chi2': 0.0, 'degrees_of_freedom': 0, 'inflated': False, 'missing': []}
FIT = {**ARRHENIUS, **MORE}


def predictions(dataset, scale, seed=4):
    """Return predictions that are off the labels: 2 eV for each copper atom, and noise."""
    frames, rng = dataset.frames(), np.random.default_rng(seed)
    n_copper = np.add.reduceat(frames.numbers == 29, frames.offsets[:-1], dtype=np.int64)
    return Predictions(
        frames=frames,
        energies=frames.energies + 2.0 * n_copper + scale * 0.01 * rng.normal(size=len(frames)),
        forces=frames.forces + scale * rng.normal(0.0, 0.1, frames.forces.shape),
        stresses=np.full((len(frames), 6), np.nan),
    )


def process(kind, process_type, inputs, outputs, caller=None, label='', **state):
    """Return a stored process with its links."""
    work = issubclass(kind, orm.WorkChainNode)
    node = kind(process_type=process_type, label=label)
    for name, one in inputs.items():
        incoming = LinkType.INPUT_WORK if work else LinkType.INPUT_CALC
        node.base.links.add_incoming(one if one.is_stored else one.store(), incoming, name)
    if caller is not None:
        called = LinkType.CALL_WORK if work else LinkType.CALL_CALC
        node.base.links.add_incoming(caller[0], called, caller[1])
    node.set_process_state('finished')
    node.set_exit_status(state.get('exit_status', 0))
    if 'message' in state:
        node.set_exit_message(state['message'])
    node.store()
    for name, one in outputs.items():
        if work:
            one.store()
        one.base.links.add_incoming(node, LinkType.RETURN if work else LinkType.CREATE, name)
        one.store()
    return node


@pytest.fixture
def study(aiida_profile, generate_structure, generate_dataset):
    """Return a study in which one potential was fine-tuned, one failed its gate, and one could not be trained."""
    whole = generate_dataset(24).store()
    parts = split_dataset(whole, orm.Dict({'by': 'random', 'seed': 3, 'valid': 4, 'test': 6}))
    model = PotentialData(architecture='mace', elements=['Ni', 'H'], files=[b'a model'])
    given = PotentialData(architecture='emt', elements=['Ni', 'H'])
    results = orm.Dict(
        {
            'strategy': 'naive_fine_tuning', 'epochs': 60, 'best_epoch': 57, 'training_seconds': 812.0, 'seconds': 900.0,
            'n_frames': {'train': 14, 'valid': 4, 'test': 6}, 'versions': {'mace-torch': '0.3.16'},
            'splits': {
                'train': {'energy_rmse_meV_per_atom': 1.0, 'force_rmse_meV_A': 20.0, 'stress_rmse_meV_A3': 10.0},
                'test': {'force_rmse_meV_A': 999.0},
            },
        }
    )  # fmt: skip
    process(orm.CalcJobNode, 'aiida.calculations:hdiff.mace_train', {'train': parts['train']},
            {'potential': model, 'results': results})  # fmt: skip
    good = predictions(parts['test'], 1.0)
    evaluation, arrays = (
        orm.Dict({**error_summary(good), 'n_predicted': 6}).store(),
        parity_arrays(good, range(6)).store(),
    )
    bad = orm.Dict(error_summary(predictions(parts['test'], 3.0))).store()
    passed = orm.Dict({'passed': True, 'reasons': []}).store()
    failed = orm.Dict({'passed': False, 'reasons': [REASON]}).store()
    plan = {'ft': 'fine_tuned', 'mp': 'pretrained', 'broken': 'from_scratch'}
    settings = orm.Dict(DiffusionWorkChain.get_protocol_settings('demo'))
    compared = orm.Dict(
        {
            'potentials': [
                {'label': 'ft', 'failure': None},
                {'label': 'mp', 'failure': f'The potential does not pass its gate: {REASON}'},
                {'label': 'broken', 'failure': 'The training failed: loss is not a number.'},
            ]
        }
    )
    node = process(
        orm.WorkChainNode, 'aiida.workflows:hdiff.diffusion',
        {
            'structure': generate_structure(), 'settings': settings, 'seed': orm.Int(5), 'replicas': orm.Int(1),
            'temperatures': orm.List([900, 1200]), 'potentials__emt': given,
            **{f'training__plan__{label}__kind': orm.Str(kind) for label, kind in plan.items()},
        },
        {
            'potentials__ft': model, 'potentials__mp': given, 'evaluations__ft': evaluation, 'evaluations__mp': bad,
            'parity__ft': arrays, 'trainings__ft': results, 'gates__ft': passed, 'gates__mp': failed,
            'arrhenius__ft': ArrheniusData(FIT), 'potential_comparison': compared,
        },
        exit_status=713, message='Finished, but without the potentials mp, broken',
    )  # fmt: skip
    for label, kind in plan.items():
        inputs = {'kind': orm.Str(kind), 'seed': orm.Int(7)}
        inputs |= {name: parts[name] for name in ('train', 'valid', 'test')} if label != 'mp' else {}
        status = {'exit_status': 438, 'message': 'The training failed: NaN.'} if label == 'broken' else {}
        process(orm.WorkChainNode, 'aiida.workflows:hdiff.train', inputs, {}, (node, f'train_{label}'), **status)
    return node


def test_a_plan_is_collected(study):
    collected = collect_study(study)
    potentials = {one.model.key: one for one in collected.potentials}
    assert list(potentials) == ['broken', 'emt', 'ft', 'mp']
    assert [one.label for one in potentials.values()] == ['broken', 'emt', 'ft', 'mp']
    fine, training = potentials['ft'].model, potentials['ft'].model.training
    assert (fine.kind, fine.gate.passed, fine.left_out) == ('fine_tuned', True, False)
    assert list(fine.errors) == ['test', 'train']
    assert fine.errors['test'].n_frames == 6
    # 2 eV for each copper atom is a constant of an element: only the noise is left.
    assert fine.errors['test'].energy_meV_per_atom > 1000.0
    assert fine.errors['test'].best_energy_meV_per_atom < 10.0
    assert fine.errors['test'].force_meV_A == pytest.approx(100.0, rel=0.2)
    assert set(fine.errors['test'].force_by_element_meV_A) == {'Cu', 'H'}
    assert fine.errors['train'].stress_GPa == pytest.approx(1.602, abs=1e-3)
    assert (training.seconds, training.seed, training.epochs, training.best_epoch) == (812.0, 7, 60, 57)
    assert training.n_frames == {'train': 14, 'valid': 4, 'test': 6}
    assert training.split == 'split by random, seed 3'
    assert training.datasets['train'].endswith(', labels emt')
    assert potentials['ft'].activation_energy_eV == ARRHENIUS['activation_energy_eV']
    assert len(potentials['ft'].temperatures) == 2
    check_those_left_out(collected, potentials)


def check_those_left_out(collected, potentials):
    assert potentials['mp'].model.gate.reasons == (REASON,)
    assert potentials['broken'].model.gate.reasons == ('The training failed: loss is not a number',)
    assert potentials['broken'].node_uuid is None
    assert potentials['mp'].temperatures == potentials['broken'].temperatures == ()
    assert potentials['emt'].model.gate is None
    assert len(potentials['emt'].temperatures) == 2
    html = render_html(collected)
    assert f'ran no long molecular dynamics: {REASON}.' in html
    assert 'potentials mp, broken' in html


def test_trainings_by_vasp_and_of_students(aiida_profile):
    """VASP counts the frames it has made and lists its versions; a student keeps the results of its last fit."""
    statistics = {'n_frames': 900, 'versions': ['6.4.2'], 'emulated': False, 'stages': []}
    found = collect_models._training(orm.Dict(statistics), None)
    assert (found.n_frames, found.versions, found.seconds) == ({}, {'VASP': '6.4.2'}, None)
    found = collect_models._training(orm.Dict({**statistics, 'emulated': True}), None)
    assert list(found.versions) == ['VASP stand-in']
    fit = {
        'n_frames': {'train': 80, 'valid': 5, 'test': 20}, 'fit_seconds': 61.0, 'versions': {'lammps': '22 Jul 2025'},
        'splits': {
            name: {'force_rmse_meV_A': 50.0, 'force_rmse_meV_A_by_element': {'H': 70.0}}
            for name in ('train', 'valid', 'test')
        },
    }  # fmt: skip
    verdict = orm.Dict({'passed': True, 'rounds': [], 'training': fit})
    found = collect_models._training(verdict, None)
    assert (found.n_frames, found.seconds) == ({'train': 80, 'path': 5, 'held_out': 20}, 61.0)
    errors = collect_models._errors(None, verdict)
    assert list(errors) == ['held_out', 'path', 'train']
    assert (errors['held_out'].n_frames, errors['held_out'].force_by_element_meV_A) == (20, {'H': 70.0})
    evaluation = orm.Dict({'force_meV_A': {'rmse': 30.0}, 'n_frames': 9})
    errors = collect_models._errors(evaluation, verdict)
    assert (errors['test'].force_meV_A, errors['held_out'].force_meV_A) == (30.0, 50.0)
    regression = orm.Dict({'force_meV_A': {'rmse': 30.0}, 'of': 'training set', 'n_frames': 900})
    (errors,) = collect_models._errors(regression, orm.Dict(statistics)).items()
    assert (errors[0], errors[1].force_meV_A, errors[1].n_frames) == ('train', 30.0, 900)


def test_parity_is_that_of_the_labels(generate_dataset):
    dataset = generate_dataset(8)
    found = predictions(dataset, 1.0)
    quantities = {one.name: one for one in parity(parity_arrays(found, range(8)))}
    assert list(quantities) == ['energy', 'forces on H', 'forces on Cu']
    hydrogen = dataset.frames().numbers == 1
    np.testing.assert_allclose(quantities['forces on H'].labels, dataset.frames().forces[hydrogen].ravel())
    np.testing.assert_allclose(quantities['forces on H'].predictions, found.forces[hydrogen].ravel())
    summary = error_summary(found)
    expected = summary['energy_meV_per_atom_without_element_offsets']['rmse']
    assert quantities['energy'].rmse == pytest.approx(expected)
    assert quantities['forces on Cu'].rmse == pytest.approx(summary['by_element']['Cu']['force_meV_A']['rmse'] / 1000.0)
    assert abs(quantities['energy'].labels.mean()) < 1e-6
    stressed = replace(found, stresses=found.frames.stresses + 0.001)
    (stress,) = [one for one in parity(parity_arrays(stressed, range(8))) if one.name == 'stress']
    assert stress.rmse == pytest.approx(0.1602, abs=1e-4)


def test_a_study_without_a_plan_has_no_models(aiida_profile, generate_structure):
    potentials = {f'potentials__{label}': PotentialData(architecture='emt', elements=['Ni', 'H']) for label in 'ab'}
    for node in potentials.values():
        node.label = 'EMT'
    node = process(
        orm.WorkChainNode, 'aiida.workflows:hdiff.diffusion',
        {
            'structure': generate_structure(), 'temperatures': orm.List([900, 1200]), 'replicas': orm.Int(1),
            'settings': orm.Dict(DiffusionWorkChain.get_protocol_settings('demo')), 'seed': orm.Int(5), **potentials,
        },
        {},
    )  # fmt: skip
    found = collect_study(node).potentials
    assert [one.model for one in found] == [None, None]
    assert [one.label for one in found] == ['EMT (a)', 'EMT (b)']
    assert [len(one.temperatures) for one in found] == [2, 2]


def test_the_graph_leads_over_the_training_to_the_labels(aiida_profile, generate_dataset, monkeypatch):
    monkeypatch.setattr(collect_provenance, 'MAX_INPUTS', 4)
    merged, result = LabelledDataset(generate_dataset(2).frames()), DiffusivityData(DIFFUSIVITY)
    model = PotentialData(architecture='mace', elements=['Ni', 'H'], files=[b'a model'])
    many = {f'job_{number:03d}': orm.Dict({'number': number}) for number in range(6)}
    process(orm.CalcFunctionNode, 'collect', many, {'dataset': merged})
    process(
        orm.CalcJobNode, 'aiida.calculations:hdiff.mace_train',
        {'train': merged, 'settings': orm.Dict({'e0s': 'average'})},
        {'potential': model, 'results': orm.Dict({'strategy': 'naive_fine_tuning'})}, label='ft training',
    )  # fmt: skip
    record = orm.Dict({'n_frames': 3})
    process(orm.CalcFunctionNode, 'analyse', {'potential': model, 'record': record}, {'diffusivity': result})
    graph = collect_provenance.ancestor_graph(result, None, 'D')
    assert graph.left_out == 6 - collect_provenance.SHOWN_OF_MANY
    boxes = {node.label: node.note for node in graph.nodes}
    assert boxes['Training (MACE)'] == 'ft training, naive fine tuning'
    assert boxes['train'] == 'LabelledDataset, 2 frames'
    assert boxes['settings'] == 'e0s: average'
    assert boxes['record'] == 'n_frames: 3'
    assert len(graph.nodes) == 8 + collect_provenance.SHOWN_OF_MANY
