"""How a number came to be, drawn as SVG: a chain of processes and data, with what enters it at the side."""

from __future__ import annotations

import html
from collections import defaultdict

from aiida_hdiff.report.details import GraphNode, ProvenanceGraph

BOX = (286, 64)
"""Width and height of a box in pixels."""
_ROW, _GAP, _MARGIN, _LANE = 82, 120, 16, 7


def graph_svg(graph: ProvenanceGraph) -> str:
    """Return the graph as an SVG element.

    The longest chain runs down on the right, its other inputs stand on the left at the height of their first
    use. Each box carries the UUID of its node, as text and in ``data-uuid``.

    Parameters
    ----------
    graph : ProvenanceGraph
        The graph.

    Returns
    -------
    str
        Markup in which all text is escaped; colours come from the style sheet of the page.
    """
    places = _places(graph)
    width = 2 * (BOX[0] + _MARGIN) + _GAP
    height = max(y for _, y in places.values()) + BOX[1] + _MARGIN
    arrows = ''.join(_arrows(graph, places))
    boxes = ''.join(_box(node, *places[node.uuid]) for node in graph.nodes)
    return (
        f'<svg class="graph" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'aria-label="{html.escape(graph.title)}"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>'
        f'{arrows}{boxes}</svg>'
    )


def _ranks(graph: ProvenanceGraph) -> dict[str, int]:
    """Return the length of the longest way from any source to each node.

    Raises
    ------
    ValueError
        If the graph has a cycle.
    """
    ranks = {node.uuid: 0 for node in graph.nodes}
    for _ in range(len(ranks) + 1):
        changed = False
        for source, target, _label in graph.edges:
            if ranks[target] <= ranks[source]:
                ranks[target], changed = ranks[source] + 1, True
        if not changed:
            return ranks
    msg = f'the provenance graph {graph.title!r} has a cycle'
    raise ValueError(msg)


def _chain(graph: ProvenanceGraph, ranks: dict[str, int]) -> list[str]:
    """Return the longest chain, from its first node to the result."""
    before = defaultdict(list)
    for source, target, _ in graph.edges:
        before[target].append(source)
    here = max(ranks, key=lambda uuid: ranks[uuid])
    chain = [here]
    while before[here]:
        here = max(before[here], key=lambda uuid: ranks[uuid])
        chain.append(here)
    return chain[::-1]


def _places(graph: ProvenanceGraph) -> dict[str, tuple[int, int]]:
    """Return the upper left corner of each box."""
    ranks = _ranks(graph)
    chain = _chain(graph, ranks)
    first_use = {
        node.uuid: min((ranks[target] for source, target, _ in graph.edges if source == node.uuid), default=0)
        for node in graph.nodes
    }
    side = sorted((node.uuid for node in graph.nodes if node.uuid not in chain), key=lambda u: (first_use[u], ranks[u]))
    level = {uuid: number for number, uuid in enumerate(chain)}
    by_rank = {ranks[uuid]: number for uuid, number in level.items()}
    rows: dict[str, int] = {}
    following = 0
    for uuid in side:
        wanted = max(by_rank.get(first_use[uuid], 0) - 1, 0)
        rows[uuid] = max(wanted, following)
        following = rows[uuid] + 1
    places = {uuid: (_MARGIN, _MARGIN + row * _ROW) for uuid, row in rows.items()}
    places |= {uuid: (_MARGIN + BOX[0] + _GAP, _MARGIN + row * _ROW) for uuid, row in level.items()}
    return places


def _arrows(graph: ProvenanceGraph, places: dict[str, tuple[int, int]]) -> list[str]:
    """Return the arrows: straight down the chain, otherwise by a lane between the columns."""
    lanes: dict[str, int] = {}
    paths = []
    width, height = BOX
    for source, target, label in graph.edges:
        (sx, sy), (tx, ty) = places[source], places[target]
        if sx == tx and abs(ty - sy) == _ROW:
            down = ty > sy
            path = f'M{sx + width // 2} {sy + height if down else sy}V{ty if down else ty + height}'
        else:
            lane = lanes.setdefault(source, len(lanes))
            x = _MARGIN + width + 14 + (lane * _LANE) % (_GAP - 28)
            start = sx + width if sx < x else sx
            end = tx + width if tx < x else tx
            dy = 10 + (lane * 5) % (height - 20)
            path = f'M{start} {sy + height // 2}H{x}V{ty + dy}H{end}'
        title = html.escape(label.replace('_', ' '))
        paths.append(f'<path class="arrow lane{lanes.get(source, 0) % 6}" d="{path}"><title>{title}</title></path>')
    return paths


def _box(node: GraphNode, x: int, y: int) -> str:
    """Return one box with two lines and the UUID."""
    round_ = 4 if node.kind in {'data', 'result'} else 16
    label, note, uuid = (html.escape(value) for value in (_short(node.label), _short(node.note), node.uuid))
    return (
        f'<g class="box {html.escape(node.kind)}" data-uuid="{uuid}"><title>{html.escape(node.label)} '
        f'{html.escape(node.note)}</title><rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="{round_}"/>'
        f'<text class="label" x="{x + 12}" y="{y + 20}">{label}</text>'
        f'<text class="note" x="{x + 12}" y="{y + 37}">{note}</text>'
        f'<text class="uuid" x="{x + 12}" y="{y + 54}">{uuid}</text></g>'
    )


def _short(text: str, length: int = 42) -> str:
    return text if len(text) <= length else text[: length - 1] + '…'
