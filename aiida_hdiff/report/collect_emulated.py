"""Which nodes descend from a run of the VASP stand-in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

_LINKS = [LinkType.CREATE, LinkType.INPUT_CALC, LinkType.RETURN, LinkType.INPUT_WORK]
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
    found = sorted(traverse_graph(starts, links_backward=_LINKS)['nodes'] or starts)
    batches = (found[begin : begin + _BATCH] for begin in range(0, len(found), _BATCH))
    return any(query.limit(1).count() for batch in batches for query in _marked({'id': {'in': batch}}))


def emulated_nodes() -> set[int]:
    """Return the PKs of all nodes of the profile that :func:`is_emulated` tells to be emulated.

    For lists of many nodes: it takes one query where the stand-in has never run, and one walk through the graph where
    it has.
    """
    from aiida.tools.graph.graph_traversers import traverse_graph

    starts = {int(pk) for query in _marked({}) for pk in query.all(flat=True)}
    return set(traverse_graph(sorted(starts), links_forward=_LINKS)['nodes'] or ()) if starts else set()


def _marked(filters: dict[str, Any]) -> tuple[orm.QueryBuilder, orm.QueryBuilder]:
    """Return queries for the PKs of marked nodes, and of jobs with an output that is."""
    marked = {'or': [{mark: True} for mark in _MARKS]}
    own = orm.QueryBuilder().append(orm.Node, filters={'and': [filters, marked]} if filters else marked, project='id')
    jobs = orm.QueryBuilder().append(orm.CalcJobNode, filters=filters, tag='job', project='id')
    return own, jobs.append(orm.Dict, with_incoming='job', filters={'attributes.emulated': True})
