"""Where the numbers of a study come from: its nodes, codes and the ancestors of one result."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.report.collect_models import potential_name, reported_labels, reported_potentials
from aiida_hdiff.report.collect_tools import tools_of
from aiida_hdiff.report.details import GraphNode, ProvenanceGraph
from aiida_hdiff.report.study import Provenance

HIDDEN = {'stage_parameters'}
"""Bookkeeping that would hide the rest of a graph: it and what only it needs are left out."""
MAX_OTHERS = 12
_FEW = 4
"""Settings that fit into a box."""
MAX_INPUTS, SHOWN_OF_MANY = 24, 2
"""Of a process with more inputs, as one that joins the labels of many jobs, so many are drawn with their history."""
_BACK = (LinkType.CREATE, LinkType.INPUT_CALC)
_JOBS = {
    'hdiff.lammps_md': 'Molecular dynamics (LAMMPS)',
    'hdiff.md': 'Molecular dynamics (ASE)',
    'hdiff.vasp_md': 'Molecular dynamics (VASP)',
    'hdiff.vasp_mlff': 'VASP force field',
    'hdiff.mace_train': 'Training (MACE)',
    'hdiff.chgnet_train': 'Training (CHGNet)',
    'hdiff.pod_train': 'Training (POD)',
    'hdiff.label': 'Labels (ASE)',
    'hdiff.vasp_label': 'Labels (VASP)',
    'hdiff.evaluate': 'Predictions',
}


def study_provenance(node: orm.WorkChainNode) -> Provenance:
    """Return the provenance of a study, with one graph per potential that has a result."""
    return Provenance(
        workchain_uuid=node.uuid,
        workchain_pk=node.pk,
        node_counts=_node_counts(node),
        software_versions=_versions(node),
        tools=tools_of(list(reported_potentials(node).values())),
        graphs=tuple(graph for label in reported_labels(node) if (graph := _potential_graph(node, label)) is not None),
    )


def _potential_graph(study: orm.WorkChainNode, label: str) -> ProvenanceGraph | None:
    """Return how D at one temperature and, where there is one, the activation energy of a potential came to be."""
    fits = study.outputs.arrhenius if 'arrhenius' in study.outputs else {}
    found = study.outputs.diffusivities if 'diffusivities' in study.outputs else {}
    results = [value for key, value in found.items() if key.rsplit('_', 2)[0] == label]
    if not results:
        return None
    best = min(results, key=_relative_error)
    fit = fits[label] if label in fits else None
    title = f'D at {best["temperature_K"]:g} K{"" if fit is None else " and Ea"} with {potential_name(study, label)}'
    return ancestor_graph(best, fit, title)


def _relative_error(node: DiffusivityData) -> float:
    return (node.std_error_m2_s or 0.0) / node.value_m2_s if node.is_resolved and node.value_m2_s else float('inf')


def ancestor_graph(result: DiffusivityData, fit: ArrheniusData | None, title: str) -> ProvenanceGraph:
    """Return the ancestors of a result, and the fit that it entered.

    Parameters
    ----------
    result : DiffusivityData
        The result whose whole history is drawn.
    fit : ArrheniusData or None
        The fit; its other inputs are drawn without their history.
    title : str
        Which number it is.

    Returns
    -------
    ProvenanceGraph
        Processes and data; `HIDDEN` calculations are left out.
    """
    nodes: dict[str, orm.Node] = {result.uuid: result}
    edges: list[tuple[str, str, str]] = []
    left_out = 0
    todo: list[orm.Node] = [result]
    while todo:
        target = todo.pop()
        links = _sorted(target.base.links.get_incoming(link_type=_BACK))
        if len(links) > MAX_INPUTS:
            left_out += len(links) - SHOWN_OF_MANY
            links = links[:SHOWN_OF_MANY]
        for link in links:
            if _is_hidden(link.node):
                left_out += 1
                continue
            edges.append((link.node.uuid, target.uuid, link.link_label))
            if link.node.uuid not in nodes:
                nodes[link.node.uuid] = link.node
                todo.append(link.node)
    if fit is not None:
        left_out += _add_fit(fit, nodes, edges)
    boxes = tuple(_box(node, edges) for node in nodes.values())
    return ProvenanceGraph(title, boxes, tuple(edges), left_out)


def _add_fit(fit: ArrheniusData, nodes: dict[str, orm.Node], edges: list[tuple[str, str, str]]) -> int:
    """Add a fit with the results that entered it; return how many are left out."""
    links = fit.base.links.get_incoming(link_type=LinkType.CREATE).all()
    nodes[fit.uuid] = fit
    left_out = 0
    for link in links:
        calculation = link.node
        nodes[calculation.uuid] = calculation
        edges.append((calculation.uuid, fit.uuid, link.link_label))
        for number, source in enumerate(_sorted(calculation.base.links.get_incoming(link_type=LinkType.INPUT_CALC))):
            if source.node.uuid not in nodes and number >= MAX_OTHERS:
                left_out += 1
                continue
            nodes[source.node.uuid] = source.node
            edges.append((source.node.uuid, calculation.uuid, source.link_label))
    return left_out


def _sorted(links: Any) -> list[Any]:
    """Return links by label: the order in which a database gives them is not always the same."""
    return sorted(links.all(), key=lambda link: (link.link_label, link.node.uuid))


def _is_hidden(node: orm.Node) -> bool:
    """Tell whether a node is bookkeeping or was made by it."""
    if getattr(node, 'process_label', None) in HIDDEN:
        return True
    creator = node.creator if isinstance(node, orm.Data) else None
    return creator is not None and creator.process_label in HIDDEN


def _box(node: orm.Node, edges: list[tuple[str, str, str]]) -> GraphNode:
    if isinstance(node, orm.CalcJobNode):
        caller = node.caller
        stage = (caller.label if caller else '') or node.label
        plugin = (node.process_type or '').rpartition(':')[2]
        return GraphNode(node.uuid, _JOBS.get(plugin, node.process_label or plugin), 'job', stage + _strategy(node))
    if isinstance(node, orm.CalcFunctionNode):
        return GraphNode(node.uuid, (node.process_label or 'calculation').replace('_', ' '), 'calculation')
    if isinstance(node, (DiffusivityData, ArrheniusData)):
        return GraphNode(node.uuid, node.label or type(node).__name__, 'result', str(node))
    link = next((label for source, _, label in edges if source == node.uuid), '')
    return GraphNode(node.uuid, link.replace('_', ' ') or 'data', 'data', _data_note(node))


def _strategy(job: orm.CalcJobNode) -> str:
    """Return how a training was done."""
    found = job.base.links.get_outgoing(node_class=orm.Dict, link_label_filter='results').all_nodes()
    strategy = found[0].base.attributes.get('strategy', None) if found else None
    return f', {strategy.replace("_", " ")}' if strategy else ''


def _data_note(node: Any) -> str:
    name = type(node).__name__
    if isinstance(node, (orm.Float, orm.Int, orm.Str)):
        return f'{name} {node.value}'
    if isinstance(node, orm.StructureData):
        return f'{name} {node.label or node.get_formula()}'
    if not isinstance(node, orm.Dict) and 'n_frames' in node.base.attributes.all:
        return f'{name}, {node.n_frames} frames'
    if isinstance(node, orm.Dict) and not node.label and len(content := node.get_dict()) <= _FEW:
        return ', '.join(f'{key}: {value}' for key, value in content.items() if not isinstance(value, (dict, list)))
    return f'{name} {node.label}'.strip()


def _node_counts(node: orm.Node) -> dict[str, int]:
    from aiida.tools.graph.graph_traversers import traverse_graph

    forward = [LinkType.CALL_CALC, LinkType.CALL_WORK, LinkType.CREATE]
    found = traverse_graph([int(node.pk or 0)], links_forward=forward)['nodes']
    query = orm.QueryBuilder().append(orm.Node, filters={'id': {'in': list(found)}}, project='node_type')
    return dict(sorted(Counter(kind.split('.')[-2] for (kind,) in query.iterall()).items()))


def _versions(node: orm.WorkChainNode) -> dict[str, str]:
    versions = dict(node.base.attributes.get('version', {}))
    named = {'aiida-core': versions.get('core'), 'aiida-hdiff': versions.get('plugin')}
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'id': node.pk}, tag='study')
    query.append(orm.WorkChainNode, with_incoming='study', tag='run').append(
        orm.WorkChainNode, with_incoming='run', tag='stage'
    ).append(orm.CalcJobNode, with_incoming='stage', tag='job')
    query.append(
        orm.Dict, with_incoming='job', edge_filters={'label': 'results'},
        project=['attributes.engine', 'attributes.engine_version'],
    )  # fmt: skip
    for engine, version in sorted({(str(engine), str(version)) for engine, version in query.iterall() if engine}):
        named[engine] = f'{named[engine]}, {version}' if engine in named else version
    return {name: str(value) for name, value in named.items() if value and value != 'None'}
