"""From the nodes of a study to what is known of its potentials: training, errors, verdict, speed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.report.collect_parity import parity
from aiida_hdiff.report.models import SETS, SPLITS, Gate, ModelRecord, SetErrors, Training
from aiida_hdiff.workflows.training_phase import OUTPUTS, only_judged, plan_of, training_label

_MEV_A3_IN_GPA = EV_PER_ANGSTROM3_IN_GPA / 1000.0
_OF_A_DISTILLATION = {'train': 'train', 'test': 'held_out', 'valid': 'path'}
"""What the sets of the fit of a distillation are."""


def collect_models(node: orm.WorkChainNode) -> dict[str, ModelRecord]:
    """Return what is known of the potentials of a study with a training plan by label, else an empty mapping."""
    plan = study_plan(node)
    if not plan:
        return {}
    outputs, chains, compared, speeds = _plan_outputs(node), _chains(node), _compared(node), _speeds(node)
    found, without = {}, only_judged(plan)
    for label in reported_labels(node):
        of_label = {namespace: nodes[label] for namespace, nodes in outputs.items() if label in nodes}
        chain, row = chains.get(label), compared.get(label, {})
        evaluation, gate = of_label.get('evaluations'), of_label.get('gates')
        kind = plan[label]['kind'].value if label in plan else 'given'
        training = of_label.get('trainings')
        found[label] = ModelRecord(
            key=label,
            kind=kind,
            errors=_errors(evaluation, training),
            gate=_gate(gate, row.get('failure'), chain),
            training=None if training is None else _training(training, chain),
            parity=parity(of_label['parity']) if 'parity' in of_label else (),
            steps_per_s=speeds.get(label),
            only_judged=label in without,
            evaluation_uuid=None if evaluation is None else evaluation.uuid,
            gate_uuid=None if gate is None else gate.uuid,
        )
    return found


def study_plan(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return the training plan of a study: by label the inputs of `hdiff.train`; empty where there is none."""
    return plan_of({'training': node.inputs.training} if 'training' in node.inputs else {})


def reported_potentials(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return the potentials of a study by label: those given, and those that it has trained, also if they failed."""
    given = dict(node.inputs.potentials) if 'potentials' in node.inputs else {}
    return {**given, **_plan_outputs(node)['potentials']}


def reported_labels(node: orm.WorkChainNode) -> list[str]:
    """Return the labels of all potentials of a study, also of those of the plan that do not exist yet."""
    return sorted({*reported_potentials(node), *study_plan(node)})


def potential_name(node: orm.WorkChainNode, label: str) -> str:
    """Return what a potential is called: as in the plan, else as its node, with its label where two have one name."""
    plan = study_plan(node)
    names = {key: key for key in plan}
    for key, one in reported_potentials(node).items():
        names.setdefault(key, one.label or key)
    return f'{names[label]} ({label})' if list(names.values()).count(names[label]) > 1 else names[label]


def _plan_outputs(node: orm.WorkChainNode) -> dict[str, dict[str, Any]]:
    """Return the outputs of a study that are given by label of the potential: namespace, label, node."""
    found: dict[str, dict[str, Any]] = {name: {} for name in OUTPUTS.values()}
    for link in node.base.links.get_outgoing(link_type=LinkType.RETURN).all():
        namespace, _, label = link.link_label.partition('__')
        if label and namespace in found:
            found[namespace][label] = link.node
    return found


def _chains(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return the last training of each potential of the plan."""
    links = node.base.links.get_outgoing(node_class=orm.WorkChainNode, link_type=LinkType.CALL_WORK).all()
    by_label = {link.link_label: link.node for link in sorted(links, key=lambda link: link.node.pk or 0)}
    return {label: by_label[name] for label in study_plan(node) if (name := training_label(label)) in by_label}


def _compared(node: orm.WorkChainNode) -> dict[str, Mapping[str, Any]]:
    """Return what the study itself says of each potential."""
    if 'potential_comparison' not in node.outputs:
        return {}
    return {row['label']: row for row in node.outputs.potential_comparison['potentials']}


def _gate(node: Any, failure: str | None, chain: Any) -> Gate | None:
    """Return the verdict; a potential that could not be trained, or be used afterwards, has not passed."""
    if node is not None and not node['passed']:
        return Gate(False, tuple(reason.rstrip('.') for reason in node['reasons']))
    if failure:
        return Gate(False, (failure.rstrip('.'),))
    if chain is not None and chain.is_terminated and not chain.is_finished_ok:
        return Gate(False, ((chain.exit_message or f'process {chain.process_state.value}').rstrip('.'),))
    return None if node is None else Gate(True)


def _errors(evaluation: Any, training: Any) -> dict[str, SetErrors]:
    """Return the errors by set; the evaluation of a study replaces what a training says of the same set."""
    results = _fit_results(training)
    sizes = results.get('n_frames') or {}
    found = {
        name: _errors_of_split(split, sizes.get(name))
        for name, split in (results.get('splits') or {}).items()
        if name in SETS
    }
    if evaluation is not None:
        values = evaluation.get_dict()
        found['train' if values.get('of') == 'training set' else 'test'] = _errors_of_evaluation(values)
    return {name: found[name] for name in SETS if name in found}


def _fit_results(training: Any) -> dict[str, Any]:
    """Return the results of a training; of a distillation those of its last fit, by what its sets are."""
    results: dict[str, Any] = {} if training is None else training.get_dict()
    if not isinstance(results.get('training'), dict):
        return results
    fit = results['training']
    of_sets = {key: {_OF_A_DISTILLATION[name]: one for name, one in fit[key].items()} for key in ('n_frames', 'splits')}
    return {**results, **fit, **of_sets}


def _errors_of_split(split: Mapping[str, Any], n_frames: int | None) -> SetErrors:
    stress = split.get('stress_rmse_meV_A3')
    return SetErrors(
        n_frames=n_frames,
        energy_meV_per_atom=split.get('energy_rmse_meV_per_atom'),
        energy_shifted_meV_per_atom=split.get('energy_shifted_rmse_meV_per_atom'),
        force_meV_A=split.get('force_rmse_meV_A'),
        stress_GPa=None if stress is None else stress * _MEV_A3_IN_GPA,
        force_by_element_meV_A=split.get('force_rmse_meV_A_by_element') or {},
    )


def _errors_of_evaluation(values: Mapping[str, Any]) -> SetErrors:
    by_element = values.get('by_element') or {}
    return SetErrors(
        n_frames=values.get('n_predicted', values.get('n_frames')),
        energy_meV_per_atom=_rmse(values, 'energy_meV_per_atom'),
        energy_shifted_meV_per_atom=_rmse(values, 'energy_meV_per_atom_without_element_offsets'),
        force_meV_A=_rmse(values, 'force_meV_A'),
        stress_GPa=_rmse(values, 'stress_GPa'),
        force_by_element_meV_A={
            element: rmse for element, one in by_element.items() if (rmse := _rmse(one, 'force_meV_A')) is not None
        },
    )


def _rmse(values: Mapping[str, Any], key: str) -> float | None:
    value = (values.get(key) or {}).get('rmse')
    return None if value is None else float(value)


def _training(node: orm.Dict, chain: Any) -> Training:
    """Return how a potential was trained, from the results of MACE, CHGNet, a distillation, or VASP."""
    results = _fit_results(node)
    inputs = {} if chain is None else {name: chain.inputs[name] for name in SPLITS if name in chain.inputs}
    sizes, versions = results.get('n_frames'), results.get('versions') or {}
    if not isinstance(versions, Mapping):
        versions = {'VASP stand-in' if results.get('emulated') else 'VASP': ', '.join(map(str, versions))}
    return Training(
        strategy=str(results.get('strategy') or ''),
        n_frames={name: one.n_frames for name, one in inputs.items()} | (sizes if isinstance(sizes, dict) else {}),
        datasets={name: _dataset_text(one) for name, one in inputs.items()},
        split=_split_text(inputs.get('train')),
        epochs=results.get('epochs'),
        best_epoch=results.get('best_epoch'),
        seed=None if chain is None else chain.inputs.seed.value,
        seconds=results.get('training_seconds', results.get('fit_seconds')),
        versions={name: str(value) for name, value in versions.items()},
        node_uuid=node.uuid,
    )


def _dataset_text(node: Any) -> str:
    levels = ', '.join(node.base.attributes.get('references', None) or ())
    return f'{node.label or "data set"}{f", labels {levels}" if levels else ""}'


def _split_text(train: Any) -> str:
    """Return how the training set was split off, in words."""
    creator = None if train is None else train.creator
    if creator is None or creator.process_label != 'split_dataset':
        return ''
    settings = creator.inputs.settings.get_dict()
    return f'split by {settings.get("by", "default")}, seed {settings["seed"]}'


def _speeds(node: orm.WorkChainNode) -> dict[str, float]:
    """Return the median steps per second of the molecular dynamics of each potential by its label."""
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'id': node.pk}, tag='study')
    query.append(orm.WorkChainNode, with_incoming='study', tag='run', edge_tag='call', edge_project='label')
    query.append(orm.WorkChainNode, with_incoming='run', tag='stage')
    query.append(orm.CalcJobNode, with_incoming='stage', tag='job')
    query.append(
        orm.Dict, with_incoming='job', tag='results', edge_filters={'label': 'results'},
        filters={'attributes.steps_per_s': {'>': 0.0}}, project='attributes.steps_per_s',
    )  # fmt: skip
    speeds: dict[str, list[float]] = {}
    for row in query.iterdict():
        label = row['call']['label'].rsplit('_', 2)[0]
        speeds.setdefault(label, []).append(float(row['results']['attributes.steps_per_s']))
    return {label: statistics.median(values) for label, values in speeds.items()}
