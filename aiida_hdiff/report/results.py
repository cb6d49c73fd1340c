"""``results.json`` and the plain-text table of a study."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from aiida_hdiff import __version__
from aiida_hdiff.literature import LiteratureValue
from aiida_hdiff.report.compare import Comparison, compare
from aiida_hdiff.report.results_model import model_json
from aiida_hdiff.report.study import PotentialResult, Study, TemperatureResult
from aiida_hdiff.report.table import results_table
from aiida_hdiff.report.text import EMULATED

__all__ = ['SCHEMA_VERSION', 'results_json', 'results_schema', 'results_table']

SCHEMA_VERSION = 1


def results_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 7) of ``results.json``."""
    text = resources.files('aiida_hdiff.report').joinpath('results.schema.json').read_text(encoding='utf-8')
    schema: dict[str, Any] = json.loads(text)
    return schema


def results_json(study: Study) -> dict[str, Any]:
    """Return the content of ``results.json``.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    dict
        Only JSON types; quantities that are unknown or not finite are ``None``.
    """
    provenance = study.provenance
    content = {
        'schema_version': SCHEMA_VERSION,
        'aiida_hdiff_version': __version__,
        'title': study.title,
        'label': study.label,
        'system': study.system,
        'host': study.host,
        'composition': study.composition,
        'n_atoms': study.n_atoms,
        'protocol': study.protocol,
        'created': study.created,
        'settings': study.settings,
        'is_demonstration': study.is_demonstration,
        'demonstration_text': study.demonstration_text,
        'emulated': study.emulated,
        'emulated_text': EMULATED if study.emulated else '',
        'warnings': study.warnings,
        'potentials': [_potential(potential, study.literature) for potential in study.potentials],
        'literature': [_literature(value) for value in study.literature],
        'provenance': {
            'workchain_uuid': provenance.workchain_uuid,
            'workchain_pk': provenance.workchain_pk,
            'node_counts': provenance.node_counts,
            'software_versions': provenance.software_versions,
        },
    }
    clean: dict[str, Any] = _clean(content)
    return clean


def _clean(value: Any) -> Any:
    """Reduce to JSON types, numbers that are not finite to ``None``."""
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _potential(potential: PotentialResult, literature: Sequence[LiteratureValue]) -> dict[str, Any]:
    """Return one entry of ``potentials``."""
    return {
        'label': potential.label,
        'architecture': potential.architecture,
        'emulated': potential.emulated,
        'sha256': potential.sha256,
        'node_uuid': potential.node_uuid,
        'arrhenius_uuid': potential.arrhenius_uuid,
        'activation_energy_eV': potential.activation_energy_eV,
        'activation_energy_error_eV': potential.activation_energy_error_eV,
        'prefactor_m2_s': potential.prefactor_m2_s,
        'log_prefactor_error': potential.log_prefactor_error,
        'covariance': potential.covariance,
        'chi2': potential.chi2,
        'dof': potential.dof,
        'inflated': potential.inflated,
        'missing': [{'temperature_K': kelvin, 'reason': reason} for kelvin, reason in potential.missing],
        'temperatures': [_temperature(result) for result in potential.temperatures],
        'comparison': [_comparison(row) for row in compare(potential, literature)],
        'model': model_json(potential.model),
    }


def _temperature(result: TemperatureResult) -> dict[str, Any]:
    """Return one entry of ``temperatures``."""
    return {
        'temperature_K': result.temperature_K,
        'replica': result.replica,
        'status': result.status,
        'reason': result.reason,
        'measured_temperature_K': result.measured_temperature_K,
        'temperature_error_K': result.temperature_error_K,
        'value_m2_s': result.value_m2_s,
        'std_error_m2_s': result.std_error_m2_s,
        'interval_m2_s': result.interval_m2_s,
        'upper_bound_m2_s': result.upper_bound_m2_s,
        'n_hops': result.n_hops,
        'window_ps': result.window_ps,
        'drift_meV_per_atom_per_ns': result.drift_meV_per_atom_per_ns,
        'production_ps': result.production_ps,
        'mean_volume_A3': result.mean_volume_A3,
        'lattice': result.lattice,
        'node_uuid': result.node_uuid,
        'process_uuid': result.process_uuid,
    }


def _literature(value: LiteratureValue) -> dict[str, Any]:
    """Return one entry of ``literature``."""
    return {
        'key': value.key,
        'host': value.host,
        'phase': value.phase,
        'isotope': value.isotope,
        'origin': value.origin,
        'kind': value.kind,
        'transport': value.transport,
        'prefactor_m2_s': value.prefactor_m2_s,
        'activation_energy_eV': value.activation_energy_eV,
        'temperature_range_K': value.temperature_range_K,
        'point': value.point,
        'citation': value.citation,
        'reference': value.reference,
        'doi': value.doi,
    }


def _comparison(row: Comparison) -> dict[str, Any]:
    """Return one entry of the ``comparison`` of a potential."""
    return {
        'literature_key': row.value.key,
        'energy_difference_eV': row.energy_difference_eV,
        'energy_distance_sigma': row.energy_distance_sigma,
        'prefactor_ratio': row.prefactor_ratio,
        'temperature_K': row.temperature_K,
        'coefficient_ratio': row.coefficient_ratio,
        'extrapolated': row.extrapolated,
    }
