"""Which nodes descend from a run of the VASP stand-in."""

from __future__ import annotations

from collections.abc import Collection

from aiida import orm
from aiida.common.links import LinkType

_BACK = [LinkType.CREATE, LinkType.INPUT_CALC, LinkType.RETURN, LinkType.INPUT_WORK]
_BATCH = 500
_MARKS = ('extras.emulated', 'attributes.emulated', 'attributes.options.emulated')


def is_emulated(nodes: Collection[orm.Node]) -> bool:
    """Return whether one of the nodes, or anything that it was made of, comes from the stand-in.

    The marks are the extra ``emulated`` of a node, the key of this name in the ``misc`` or ``results`` of a job, and
    the option of this name of a potential; each is enough.

    Parameters
    ----------
    nodes : collection of aiida.orm.Node
        Stored nodes.
    """
    from aiida.tools.graph.graph_traversers import traverse_graph

    starts = [int(node.pk) for node in nodes if node.pk is not None]
    if not starts:
        return False
    found = sorted(traverse_graph(starts, links_backward=_BACK)['nodes'] or starts)
    marked = {'or': [{mark: True} for mark in _MARKS]}
    for begin in range(0, len(found), _BATCH):
        own = {'id': {'in': found[begin : begin + _BATCH]}}
        if orm.QueryBuilder().append(orm.Node, filters={'and': [own, marked]}).limit(1).count():
            return True
        jobs = orm.QueryBuilder().append(orm.CalcJobNode, filters=own, tag='job')
        jobs.append(orm.Dict, with_incoming='job', filters={'attributes.emulated': True})
        if jobs.limit(1).count():
            return True
    return False
