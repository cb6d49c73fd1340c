"""From the nodes of a study to what a report shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.trajectory import read_run
from aiida_hdiff.literature import LiteratureValue, load_literature
from aiida_hdiff.report.collect_details import path_from_reader, run_details
from aiida_hdiff.report.collect_emulated import is_emulated
from aiida_hdiff.report.collect_learning import trainings_of
from aiida_hdiff.report.collect_models import collect_models, potential_name, reported_labels, reported_potentials
from aiida_hdiff.report.collect_provenance import study_provenance
from aiida_hdiff.report.models import ModelRecord
from aiida_hdiff.report.study import (
    MSDCurve,
    PotentialResult,
    RDFCurve,
    StageSeries,
    Study,
    TemperatureResult,
)
from aiida_hdiff.report.text import plural
from aiida_hdiff.workflows.diffusion import run_label

SERIES_POINTS = 400


def collect_study(node: orm.WorkChainNode) -> Study:
    """Return what a report shows of a DiffusionWorkChain, finished or not."""
    structure = node.inputs.structure
    composition = dict(Counter(structure.get_site_kindnames()))
    host = next((symbol for symbol in composition if symbol != 'H'), 'host')
    found, models = reported_potentials(node), collect_models(node)
    potentials = tuple(_potential(node, label, found.get(label), models.get(label)) for label in reported_labels(node))
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
        literature=_published(node, host),
        provenance=study_provenance(node),
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


def _potential(node: orm.WorkChainNode, label: str, potential: Any, model: ModelRecord | None) -> PotentialResult:
    """Return what there is of one potential, which may not exist if its training failed or has not ended."""
    runs = {link.link_label: link.node for link in node.base.links.get_outgoing(node_class=orm.WorkChainNode).all()}
    temperatures, curves, results = [], [], []
    left_out = potential is None or (model is not None and (model.left_out or model.only_judged))
    for temperature in [] if left_out else node.inputs.temperatures.get_list():
        for replica in range(node.inputs.replicas.value):
            run = runs.get(run_label(label, temperature, replica))
            temperatures.append(_temperature(float(temperature), replica, run))
            outputs = {} if run is None else _outputs(run)
            results += [outputs[name] for name in ('diffusivity', 'trajectory') if name in outputs]
            if 'rdf' in outputs and replica == 0:
                curves += _rdf(outputs['rdf'], float(temperature))
    fit = _arrhenius(node, label)
    return PotentialResult(
        label=potential_name(node, label),
        **_identity(potential),
        temperatures=tuple(temperatures),
        rdf=tuple(curves),
        emulated=is_emulated([*([] if potential is None else [potential]), *results]),
        trainings=() if potential is None else trainings_of(potential),
        model=model,
        **fit,
    )


def _identity(potential: Any) -> dict[str, Any]:
    if potential is None:
        return {'architecture': ''}
    return {
        'architecture': potential.base.attributes.get('pair_style') or potential.architecture,
        'sha256': potential.sha256,
        'node_uuid': potential.uuid,
    }


def _arrhenius(node: orm.WorkChainNode, label: str) -> dict[str, Any]:
    outputs = node.outputs.arrhenius if 'arrhenius' in node.outputs else {}
    if label not in outputs:
        return {}
    fit = outputs[label]
    return {
        **fit_values(fit),
        'remarks': _remarks(node, label, fit.base.attributes.all),
    }


def fit_values(fit: ArrheniusData) -> dict[str, Any]:
    """Return the part of a `PotentialResult` that an Arrhenius fit tells."""
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


def _remarks(node: orm.WorkChainNode, label: str, fit: dict[str, Any]) -> tuple[str, ...]:
    """Return what the tests of a fit say: upper bounds used, curvature, agreement with the other potentials."""
    remarks = []
    used = sum(bool(bound.get('used')) for bound in fit.get('upper_bounds') or ())
    if used:
        remarks.append(f'{plural(used, "upper bound")} entered the fit as one-sided points')
    if text := (fit.get('curvature') or {}).get('text'):
        remarks.append(f'Curvature: {text}')
    if 'arrhenius_comparison' in node.outputs:
        comparison = node.outputs.arrhenius_comparison.get_dict()
        if label in comparison.get('labels', ()):
            remarks.append(f'One activation energy for all potentials: p = {comparison["energy_p"]:.2g}')
    return tuple(remarks)


def _published(node: orm.WorkChainNode, host: str) -> tuple[LiteratureValue, ...]:
    """Return the published values that the study was compared with, or for older studies those of the package."""
    if 'literature' in node.inputs:
        values = [value.published for _, value in sorted(node.inputs.literature.items())]
        return tuple(sorted(values, key=lambda value: not value.recommended))
    return tuple(value for value in load_literature(host) if value.isotope == 'H')


def _outputs(run: orm.WorkChainNode) -> dict[str, Any]:
    """Return the outputs of a run by link label; a run that has not converged keeps them."""
    return {link.link_label: link.node for link in run.base.links.get_outgoing(link_type=LinkType.RETURN).all()}


def _temperature(temperature_K: float, replica: int, run: Any) -> TemperatureResult:
    outputs = {} if run is None else _outputs(run)
    if 'diffusivity' not in outputs:
        reason = 'not run' if run is None else (run.exit_message or f'process {run.process_state.value}')
        return TemperatureResult(
            temperature_K=temperature_K,
            status='failed',
            reason=reason,
            replica=replica,
            process_uuid=None if run is None else run.uuid,
        )
    reason = '' if run.is_finished_ok else run.exit_message or ''
    return temperature_result(outputs, temperature_K, replica=replica, reason=reason, process_uuid=run.uuid)


def temperature_result(
    outputs: dict[str, Any],
    temperature_K: float,
    *,
    replica: int = 0,
    reason: str = '',
    process_uuid: str | None = None,
) -> TemperatureResult:
    """Return what a report shows of one diffusivity, from it and the nodes beside it by link label."""
    node, msd = outputs['diffusivity'].base.attributes.all, outputs['msd']
    interval = node.get('interval_m2_s')
    extensions = {name: node for name, node in outputs.items() if name.startswith('extensions__')}
    with read_run(outputs['trajectory'], extensions) as reader:
        cell = reader.cells[0]
        series = _series(reader)
        path = path_from_reader(reader)
    return TemperatureResult(
        temperature_K=temperature_K,
        status=node['status'],
        reason=node['reason'] or reason,
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
        node_uuid=outputs['diffusivity'].uuid,
        process_uuid=process_uuid,
        msd=MSDCurve(msd.get_array('lag_times_ps'), msd.get_array('msd_A2'), msd.get_array('msd_per_axis_A2')),
        series=(series,),
        details=run_details(outputs, path),
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
    arrays = {name: node.get_array(name) for name in node.get_arraynames()}
    pairs = sorted(name.removeprefix('g_') for name in arrays if name.startswith('g_'))
    return [
        RDFCurve(
            pair.replace('_', '-'),
            arrays['r_A'],
            arrays[f'g_{pair}'],
            temperature_K,
            arrays.get(f'coordination_{pair}'),
        )
        for pair in pairs
    ]
