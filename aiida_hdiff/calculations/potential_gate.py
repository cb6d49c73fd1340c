"""Calcfunctions that judge a potential before its molecular dynamics, and set potentials side by side afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis.gate import GateLimits, drift_verdict, error_reasons, errors_of
from aiida_hdiff.calculations.training import EMULATED, ERRORS
from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA, FS_PER_PS
from aiida_hdiff.data.arrhenius import ArrheniusData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.formats.labelled_ml_ab import EV_PER_ANGSTROM3_IN_KBAR

_GPA_PER_KBAR = EV_PER_ANGSTROM3_IN_GPA / EV_PER_ANGSTROM3_IN_KBAR
_MILLI = 1000.0


@calcfunction
def smoke_parameters(gate: orm.Dict, seed: orm.Int) -> orm.Dict:
    """Return the settings of the short NVE run of a gate, see `aiida_hdiff.analysis.gate.GateLimits`."""
    limits = GateLimits(**gate.get_dict())
    interval = limits.smoke_interval
    return orm.Dict(
        {
            'ensemble': 'nve',
            'temperature_K': limits.smoke_temperature_K,
            'steps': limits.smoke_steps - limits.smoke_steps % interval,
            'timestep_fs': limits.smoke_timestep_fs,
            'output_interval': interval,
            'seed': seed.value % (2**31 - 1) + 1,
        }
    )


@calcfunction
def judge_potential(
    gate: orm.Dict,
    evaluation: orm.Dict | None = None,
    trajectory: MDTrajectory | None = None,
    failure: orm.Str | None = None,
) -> orm.Dict:
    """Return whether a potential passes its gate.

    Parameters
    ----------
    gate
        The limits, see `aiida_hdiff.analysis.gate.GateLimits`.
    evaluation
        Errors on the test set, if there is one.
    trajectory
        The short NVE run, if there was one.
    failure
        Why the short run did not get to its end.

    Returns
    -------
    Dict
        ``passed``, ``reasons`` (why not), ``limits``, and ``values``: the errors under the names of their limits,
        ``drift_meV_per_atom_per_ps`` and its standard error, as far as they are known, and ``mean_temperature_K``.
    """
    limits = GateLimits(**gate.get_dict())
    values: dict[str, float | None] = {}
    reasons: list[str] = []
    if evaluation is not None:
        values |= errors_of(evaluation.get_dict())
        reasons += error_reasons(evaluation.get_dict(), limits)
    if failure is not None:
        reasons.append(f'the smoke run failed: {failure.value}')
    if trajectory is not None:
        with trajectory.reader() as reader:
            total = reader.observable('potential_energy') + reader.observable('kinetic_energy')
            times_ps, n_atoms = reader.times_fs / FS_PER_PS, len(reader.numbers)
            values['mean_temperature_K'] = float(np.mean(reader.observable('temperature')))
        found, drifting = drift_verdict(times_ps, total, n_atoms, limits)
        values |= found
        reasons += drifting
    node = orm.Dict({'passed': not reasons, 'reasons': reasons, 'limits': limits.as_dict(), 'values': values})
    node.label = 'gate: ' + ('passed' if not reasons else 'not passed')
    return node


@calcfunction
def regression_errors(statistics: orm.Dict) -> orm.Dict:
    """Return the errors of a force field of VASP on its own training set in the form of `hdiff.evaluate`.

    Parameters
    ----------
    statistics
        Output of `hdiff.on_the_fly`; the last stage is the refit.
    """
    last = statistics['stages'][-1]
    energy, force, stress = (last[name] for name in ERRORS)
    keys = {
        'energy_meV_per_atom': None if energy is None else energy * _MILLI,
        'energy_meV_per_atom_without_element_offsets': None if energy is None else energy * _MILLI,
        'force_meV_A': None if force is None else force * _MILLI,
        'stress_GPa': None if stress is None else stress * _GPA_PER_KBAR,
    }
    summary = {name: None if value is None else {'rmse': value} for name, value in keys.items()}
    node = orm.Dict({**summary, 'of': 'training set', 'n_frames': last['n_configurations']})
    node.label = 'errors on the training set'
    if statistics.get_dict().get(EMULATED):
        node.base.extras.set(EMULATED, True)
    return node


@calcfunction
def compare_potentials(
    settings: orm.Dict, comparison: orm.Dict | None = None, **nodes: orm.Dict | DiffusivityData | ArrheniusData
) -> orm.Dict:
    """Return the table of the potentials of a study.

    Parameters
    ----------
    settings
        ``potentials``: for each, in order, ``label``, ``kind``, ``architecture``, ``failure`` (why it could not be
        trained or judged, or ``None``) and ``runs``, the labels of its diffusivities.
    comparison
        Output of `compare_with_literature`.
    **nodes
        ``evaluation_<label>``, ``gate_<label>``, ``arrhenius_<label>`` and ``diffusivity_<run label>``, as far as
        there are any.

    Returns
    -------
    Dict
        ``potentials``, a list with for each ``label``, ``kind``, ``architecture``; ``failure``; ``passed`` (``None``
        where there was no gate) and ``reasons``; ``rmse`` with ``energy_meV_per_atom`` (as predicted),
        ``energy_meV_per_atom_without_element_offsets``, ``force_meV_A`` and ``stress_GPa``, each ``None`` where
        unknown, and ``rmse_of`` (``test set`` or ``training set``); ``activation_energy_eV``,
        ``activation_energy_error_eV``, ``prefactor_m2_s``, ``log_prefactor_error``, ``None`` without a fit; ``energy``,
        the list of what was published beside it (``literature``, ``published_eV``, ``difference_eV``,
        ``sigma_distance``); and ``diffusivities``, a list with ``run``, ``temperature_K``, ``measured_temperature_K``,
        ``status``, ``value_m2_s``, ``std_error_m2_s``, ``upper_bound_m2_s`` and ``published``: a list with
        ``literature`` (label), ``key``, ``published_m2_s``, ``log_ratio``, ``relative_deviation`` and
        ``sigma_distance``, at the measured temperature.
    """
    rows = comparison['comparisons'] if comparison is not None else []
    table = [_potential_row(one, nodes, rows) for one in settings['potentials']]
    node = orm.Dict({'potentials': table, 'literature': sorted({row['literature'] for row in rows})})
    node.label = 'Comparison of potentials'
    return node


def _potential_row(one: dict[str, Any], nodes: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    label = one['label']
    gate, evaluation = nodes.get(f'gate_{label}'), nodes.get(f'evaluation_{label}')
    errors = {} if evaluation is None else evaluation.get_dict()
    law = nodes.get(f'arrhenius_{label}')
    fit = {} if law is None else law.get_dict()
    names = ('energy_meV_per_atom', 'energy_meV_per_atom_without_element_offsets', 'force_meV_A', 'stress_GPa')
    return {
        **{key: one[key] for key in ('label', 'kind', 'architecture', 'failure')},
        'passed': None if gate is None else gate['passed'],
        'reasons': [] if gate is None else gate['reasons'],
        'rmse': {name: (errors.get(name) or {}).get('rmse') for name in names},
        'rmse_of': None if evaluation is None else errors.get('of', 'test set'),
        **{
            key: fit.get(key)
            for key in (
                'activation_energy_eV', 'activation_energy_error_eV', 'prefactor_m2_s', 'log_prefactor_error',
            )
        },
        'energy': [
            {'literature': row['literature'], 'key': row['key']}
            | {key: row['energy'][key] for key in ('published_eV', 'difference_eV', 'sigma_distance')}
            for row in rows
            if row['computed'] == label and row['energy'] is not None
        ],
        'diffusivities': [
            _diffusivity_row(run, nodes[f'diffusivity_{run}'], rows)
            for run in one['runs']
            if f'diffusivity_{run}' in nodes
        ],
    }  # fmt: skip


def _diffusivity_row(run: str, node: DiffusivityData, rows: list[dict[str, Any]]) -> dict[str, Any]:
    keys = ('temperature_K', 'measured_temperature_K', 'status', 'value_m2_s', 'std_error_m2_s', 'upper_bound_m2_s')
    compared = ('published_m2_s', 'log_ratio', 'relative_deviation', 'sigma_distance')
    return {
        'run': run,
        **{key: node[key] for key in keys},
        'published': [
            {'literature': row['literature'], 'key': row['key'], **{key: row['coefficient'][key] for key in compared}}
            for row in rows
            if row['computed'] == run and row['coefficient'] is not None
        ],
    }
