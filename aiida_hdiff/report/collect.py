"""From the nodes of a study to what a report shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from aiida import orm

from aiida_hdiff.literature import load_literature
from aiida_hdiff.report.study import (
    MSDCurve,
    PotentialResult,
    Provenance,
    RDFCurve,
    StageSeries,
    Study,
    TemperatureResult,
)
from aiida_hdiff.workflows.diffusion import run_label

SERIES_POINTS = 400


def collect_study(node: orm.WorkChainNode) -> Study:
    """Return what a report shows of a DiffusionWorkChain, finished or not."""
    structure = node.inputs.structure
    composition = dict(Counter(structure.get_site_kindnames()))
    host = next((symbol for symbol in composition if symbol != 'H'), 'host')
    potentials = tuple(
        _potential(node, label, potential) for label, potential in sorted(node.inputs.potentials.items())
    )
    settings = node.inputs.settings.get_dict()
    demonstration = bool(settings['allow_small_cell'])
    return Study(
        title=node.label or structure.get_formula(),
        label=structure.get_formula(),
        system=f'H in {host} ({structure.get_formula()})',
        host=host,
        composition=composition,
        protocol=node.description.removeprefix('protocol: '),
        created=node.ctime.strftime('%Y-%m-%d %H:%M UTC'),
        settings=_settings(settings, node),
        is_demonstration=demonstration,
        demonstration_text=DEMONSTRATION_TEXT if demonstration else '',
        warnings=_warnings(node),
        potentials=potentials,
        literature=tuple(value for value in load_literature(host) if value.isotope == 'H'),
        provenance=Provenance(
            workchain_uuid=node.uuid,
            workchain_pk=node.pk,
            node_counts=_node_counts(node),
            software_versions=_versions(node),
        ),
    )


DEMONSTRATION_TEXT = (
    'The cell is smaller than twice the range of the potential, or the runs are too short for a production value. '
    'This study shows that the whole way works; do not quote its numbers.'
)


def _settings(settings: dict[str, Any], node: orm.WorkChainNode) -> dict[str, str]:
    lengths = ', '.join(f'{stage.upper()} {settings[stage]["time_ps"]:g} ps' for stage in ('npt', 'nvt', 'nve'))
    low, high = settings['analysis']['window_ps']
    return {
        'Time step': f'{settings["timestep_fs"]:g} fs',
        'Stages': lengths,
        'Barostat and thermostat': f'{settings["npt"]["barostat"]}, {settings["npt"]["thermostat"]}',
        'Fit window of the MSD': f'{low:g}-{high:g} ps',
        'Seed': str(node.inputs.seed.value),
        'Replicas': str(node.inputs.replicas.value),
    }


def _warnings(node: orm.WorkChainNode) -> tuple[str, ...]:
    if not node.is_terminated:
        return ('The study is still running: this report shows what has come out so far.',)
    return (node.exit_message,) if node.exit_status and node.exit_message else ()


def _potential(node: orm.WorkChainNode, label: str, potential: Any) -> PotentialResult:
    runs = {link.link_label: link.node for link in node.base.links.get_outgoing(node_class=orm.WorkChainNode).all()}
    temperatures, curves = [], []
    for temperature in node.inputs.temperatures.get_list():
        for replica in range(node.inputs.replicas.value):
            run = runs.get(run_label(label, temperature, replica))
            temperatures.append(_temperature(float(temperature), replica, run))
            if run is not None and run.is_finished_ok and replica == 0:
                curves += _rdf(run.outputs.rdf, float(temperature))
    fit = _arrhenius(node, label)
    return PotentialResult(
        label=potential.label or label,
        architecture=potential.base.attributes.get('pair_style') or potential.architecture,
        sha256=potential.sha256,
        node_uuid=potential.uuid,
        temperatures=tuple(temperatures),
        rdf=tuple(curves),
        **fit,
    )


def _arrhenius(node: orm.WorkChainNode, label: str) -> dict[str, Any]:
    outputs = node.outputs.arrhenius if 'arrhenius' in node.outputs else {}
    if label not in outputs:
        return {}
    fit = outputs[label]
    (aa, ab), (ba, bb) = fit['covariance']
    return {
        'arrhenius_uuid': fit.uuid,
        'activation_energy_eV': fit.activation_energy_eV,
        'activation_energy_error_eV': fit.activation_energy_error_eV,
        'prefactor_m2_s': fit.prefactor_m2_s,
        'log_prefactor_error': fit['log_prefactor_error'],
        'covariance': ((aa, ab), (ba, bb)),
        'chi2': fit['chi2'],
        'dof': fit['degrees_of_freedom'],
        'inflated': fit['inflated'],
        'missing': tuple((entry['temperature_K'], entry['reason']) for entry in fit['missing']),
    }


def _temperature(temperature_K: float, replica: int, run: Any) -> TemperatureResult:
    if run is None or not run.is_finished_ok:
        reason = 'not run' if run is None else (run.exit_message or f'process {run.process_state.value}')
        return TemperatureResult(
            temperature_K=temperature_K,
            status='failed',
            reason=reason,
            replica=replica,
            process_uuid=None if run is None else run.uuid,
        )
    node, msd = run.outputs.diffusivity, run.outputs.msd
    interval = node['interval_m2_s']
    trajectory = run.outputs.trajectory
    with trajectory.reader() as reader:
        cell = reader.cells[0]
        series = _series(reader)
    return TemperatureResult(
        temperature_K=temperature_K,
        status=node['status'],
        reason=node['reason'],
        measured_temperature_K=node['measured_temperature_K'],
        temperature_error_K=node['temperature_error_K'],
        value_m2_s=node['value_m2_s'],
        std_error_m2_s=node['std_error_m2_s'],
        interval_m2_s=(interval[0], interval[1]) if interval else None,
        upper_bound_m2_s=node['upper_bound_m2_s'] if node['status'] != 'resolved' else None,
        n_hops=node['n_hops'],
        window_ps=(node['window_ps'][0], node['window_ps'][1]),
        drift_meV_per_atom_per_ns=node['drift_meV_per_atom_per_ns'],
        production_ps=node['production_ps'],
        mean_volume_A3=float(np.linalg.det(cell)),
        lattice={name: float(length) for name, length in zip('abc', np.linalg.norm(cell, axis=1), strict=True)},
        replica=replica,
        node_uuid=node.uuid,
        process_uuid=run.uuid,
        msd=MSDCurve(msd.get_array('lag_times_ps'), msd.get_array('msd_A2'), msd.get_array('msd_per_axis_A2')),
        series=(series,),
    )


def _series(reader: Any) -> StageSeries:
    stride = max(1, len(reader) // SERIES_POINTS)
    total = reader.observable('potential_energy') + reader.observable('kinetic_energy')
    return StageSeries(
        stage='nve',
        times_ps=reader.times_fs[::stride] / 1000.0,
        temperature_K=reader.observable('temperature')[::stride],
        energy_eV_per_atom=total[::stride] / len(reader.numbers),
    )


def _rdf(node: orm.ArrayData, temperature_K: float) -> list[RDFCurve]:
    r = node.get_array('r_A')
    names = sorted(name for name in node.get_arraynames() if name.startswith('g_'))
    return [RDFCurve(name[2:].replace('_', '-'), r, node.get_array(name), temperature_K) for name in names]


def _node_counts(node: orm.WorkChainNode) -> dict[str, int]:
    from aiida.common.links import LinkType
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
    first = query.first()
    if first:
        named[str(first[0])] = first[1]
    return {name: str(value) for name, value in named.items() if value}
