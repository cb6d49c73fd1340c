"""The trainings in the history of a potential."""

from __future__ import annotations

from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.report.learning import TRAINING, LearningHistory, collect_learning
from aiida_hdiff.report.learning_curves import TRAINERS, LearningCurves, collect_curves

_BACK = [LinkType.CREATE, LinkType.INPUT_CALC]
_RETURNED = ('potential', 'dataset')


def trainings_of(potential: orm.Data) -> tuple[LearningHistory | LearningCurves, ...]:
    """Return how a potential learned, and what it was made of: trainings of VASP on the fly, of MACE and of CHGNet.

    Parameters
    ----------
    potential : aiida.orm.Data
        Stored; its own training counts, and those of which the data came that it was trained on.

    Returns
    -------
    tuple
        In the order in which they were done; trainings that left no history are not among them.
    """
    from aiida.tools.graph.graph_traversers import traverse_graph

    if potential.pk is None:
        return ()
    found = sorted(traverse_graph([int(potential.pk)], links_backward=_BACK)['nodes'] or ())
    jobs = orm.QueryBuilder()
    jobs.append(orm.CalcJobNode, filters={'process_type': {'in': list(TRAINERS)}}, tag='job', project='*')
    jobs.append(PotentialData, with_incoming='job', filters={'id': {'in': found}}).distinct()
    chains = orm.QueryBuilder()
    chains.append(orm.WorkChainNode, filters={'process_type': TRAINING}, tag='chain', project='*')
    chains.append(
        orm.Data, with_incoming='chain', filters={'id': {'in': found}},
        edge_filters={'type': LinkType.RETURN.value, 'label': {'in': list(_RETURNED)}},
    ).distinct()  # fmt: skip
    nodes = {node.pk: node for query in (jobs, chains) for node in query.all(flat=True)}
    trainings: list[LearningHistory | LearningCurves] = []
    for _, node in sorted(nodes.items()):
        try:
            trainings.append(collect_learning(node) if node.process_type == TRAINING else collect_curves(node))
        except ValueError:
            continue
    return tuple(trainings)
