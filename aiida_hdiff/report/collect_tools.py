"""Which programs and methods took part in making the potentials of a study."""

from __future__ import annotations

from collections.abc import Collection

from aiida import orm
from aiida.common.links import LinkType

_BACK = [LinkType.CREATE, LinkType.INPUT_CALC]
TOOLS: dict[str, tuple[str, ...]] = {
    'hdiff.chgnet_train': ('chgnet',),
    'hdiff.direct_sample': ('direct',),
    'hdiff.lammps_md': ('lammps',),
    'hdiff.mace_train': ('mace',),
    'hdiff.md': ('ase',),
    'hdiff.pod_train': ('pod',),
    'hdiff.vasp_label': ('vasp',),
    'hdiff.vasp_md': ('vasp',),
    'hdiff.vasp_mlff': ('vasp', 'vasp-mlff'),
}
"""By the entry point of the process that used them."""
_LABEL = 'hdiff.label'


def tools_of(nodes: Collection[orm.Data]) -> tuple[str, ...]:
    """Return programs and methods in the history of data, by the names of `citations.TOOL_KEYS`.

    Parameters
    ----------
    nodes : collection of aiida.orm.Data
        Stored nodes, as the potentials of a study.
    """
    from aiida.tools.graph.graph_traversers import traverse_graph

    starts = [int(node.pk) for node in nodes if node.pk is not None]
    if not starts:
        return ()
    found = sorted(traverse_graph(starts, links_backward=_BACK)['nodes'] or starts)
    filters = {'id': {'in': found}}
    processes = orm.QueryBuilder().append(orm.CalculationNode, filters=filters, project='process_type').distinct()
    names = {(kind or '').rpartition(':')[2] for kind in processes.all(flat=True)}
    tools = {tool for name in names for tool in TOOLS.get(name, ())}
    if _LABEL in names:
        labels = {**filters, 'process_type': {'like': f'%:{_LABEL}'}}
        query = orm.QueryBuilder().append(orm.CalcJobNode, filters=labels, tag='job')
        query.append(orm.Dict, with_outgoing='job', edge_filters={'label': 'settings'}, project='attributes.calculator')
        tools |= {str(calculator).lower() for calculator in query.all(flat=True)}
    return tuple(sorted(tools))
