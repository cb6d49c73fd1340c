"""From a diffusivity or an Arrhenius fit that belongs to no study, as of imported runs, to what a report shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.common.links import LinkType

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.literature import load_literature
from aiida_hdiff.report.collect import fit_values, temperature_result
from aiida_hdiff.report.collect_emulated import is_emulated
from aiida_hdiff.report.collect_learning import trainings_of
from aiida_hdiff.report.collect_provenance import ancestor_graph
from aiida_hdiff.report.collect_tools import tools_of
from aiida_hdiff.report.study import PotentialResult, Provenance, Study

_POTENTIAL_PORTS = ('force_field', 'potential')


def is_result(identifier: str) -> bool:
    """Return whether there is a diffusivity or an Arrhenius fit with this PK or UUID."""
    try:
        return isinstance(orm.load_node(identifier), (DiffusivityData, ArrheniusData))
    except (NotExistent, MultipleObjectsError, ValueError):
        return False


def collect_result(identifier: str) -> Study:
    """Return what a report shows of a single diffusivity, or of an Arrhenius fit and the diffusivities that entered it.

    Parameters
    ----------
    identifier : str
        PK or UUID.

    Raises
    ------
    ValueError
        If the node was not made by `diffusivity_from_trajectory` or `arrhenius_from_diffusivities`.
    """
    node: Any = orm.load_node(identifier)
    fit = node if isinstance(node, ArrheniusData) else None
    found: list[DiffusivityData] = [node] if fit is None else _inputs_of_creator(fit, DiffusivityData)
    if not found:
        raise ValueError(f'node {identifier} was made by no calculation of this plugin: there is nothing to report.')
    found.sort(key=lambda one: (one['temperature_K'], one.pk))
    job = _job(found[0])
    structure = job.inputs.structure if job is not None else None
    composition = dict(Counter(structure.get_site_kindnames())) if structure is not None else {}
    host = next((symbol for symbol in composition if symbol != 'H'), 'host')
    label = structure.get_formula() if structure is not None else node.label
    potential = _potential(job)
    title = f'D at {found[0]["temperature_K"]:g} K{"" if fit is None else " and Ea"}'
    return Study(
        title=node.label or title,
        label=label,
        system=f'H in {host} ({label})',
        host=host,
        composition=composition,
        created=node.ctime.strftime('%Y-%m-%d %H:%M UTC'),
        warnings=_IMPORTED if job is not None and job.is_imported else (),
        potentials=(
            PotentialResult(
                label=(potential.label or 'force field') if potential is not None else 'VASP',
                architecture=potential.architecture
                if potential is not None
                else 'on the fly, or without a force field',
                sha256=None if potential is None else potential.sha256,
                node_uuid=None if potential is None else potential.uuid,
                temperatures=tuple(_temperatures(found)),
                emulated=is_emulated([node]),
                trainings=() if potential is None else trainings_of(potential),
                **({} if fit is None else fit_values(fit)),
            ),
        ),
        literature=tuple(value for value in load_literature(host) if value.isotope == 'H'),
        provenance=Provenance(
            graphs=(ancestor_graph(found[0], fit, title),), tools=() if potential is None else tools_of([potential])
        ),
    )


_IMPORTED = (
    'The runs were not made by this program but imported from their folders: how they were prepared is not recorded.',
)


def _inputs_of_creator(node: orm.Data, kind: type) -> list[Any]:
    creator = node.creator
    if creator is None:
        return []
    return list(creator.base.links.get_incoming(node_class=kind, link_type=LinkType.INPUT_CALC).all_nodes())


def _temperatures(found: list[DiffusivityData]) -> list[Any]:
    """Return one result per diffusivity; several at one temperature count as replicas."""
    seen: Counter[float] = Counter()
    results = []
    for node in found:
        creator = node.creator
        if creator is None:
            raise ValueError(f'diffusivity {node.pk} was made by no calculation: there is nothing to report.')
        inputs = {link.link_label: link.node for link in creator.base.links.get_incoming().all()}
        beside = {link.link_label: link.node for link in creator.base.links.get_outgoing().all()}
        if 'msd' not in beside or 'trajectory' not in inputs:
            raise ValueError(f'diffusivity {node.pk} was not made of one trajectory: report the study that made it.')
        kelvin = float(node['temperature_K'])
        outputs = {**beside, 'trajectory': inputs['trajectory']}
        results.append(temperature_result(outputs, kelvin, replica=seen[kelvin], process_uuid=creator.uuid))
        seen[kelvin] += 1
    return results


def _job(node: DiffusivityData) -> Any:
    """Return the job that ran the trajectory of a diffusivity, or ``None``."""
    trajectories = [one for one in _inputs_of_creator(node, MDTrajectory) if one.creator is not None]
    job = trajectories[0].creator if trajectories else None
    return job if isinstance(job, orm.CalcJobNode) and 'structure' in job.inputs else None


def _potential(job: Any) -> PotentialData | None:
    inputs = {} if job is None else {link.link_label: link.node for link in job.base.links.get_incoming().all()}
    return next((inputs[name] for name in _POTENTIAL_PORTS if isinstance(inputs.get(name), PotentialData)), None)
