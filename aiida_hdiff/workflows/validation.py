"""What is wrong with a study, found before anything is submitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.analysis import in_sphere_radius_A
from aiida_hdiff.calculations.md_job import structure_error
from aiida_hdiff.calculations.stages import STAGES, stage_settings
from aiida_hdiff.common.protocols import unknown_key_error
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.parameters import parameters_error
from aiida_hdiff.workflows.settings import settings_template

WINDOW_FRACTION = 10
"""The production run is at least this many times the end of the fit window."""


def temperatures_error(temperatures: Sequence[Any]) -> str | None:
    """Return what is wrong with the temperatures of an Arrhenius fit, or ``None``."""
    for value in temperatures:
        if not _is_number(value) or not value > 0:
            return f'`temperatures_K` holds {value!r}: give positive numbers in K.'
    repeated = sorted({value for value in temperatures if list(temperatures).count(value) > 1})
    if repeated:
        return f'`temperatures_K` holds {repeated[0]} K twice: give each once, and `replicas` for repeats.'
    if len(temperatures) < 2:
        return f'`temperatures_K` holds {list(temperatures)}: an Arrhenius fit needs at least two temperatures.'
    return None


def settings_error(settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the settings of a study by themselves, or ``None``."""
    template = settings_template()
    error = unknown_key_error(settings, template, 'settings.')
    if error:
        return error
    for key, value in template.items():
        inner = value if isinstance(value, Mapping) else {}
        missing = [key] if key not in settings else [f'{key}.{name}' for name in inner if name not in settings[key]]
        if missing:
            return f'`settings.{missing[0]}` is missing: start from a protocol, which sets all.'
    error = _values_error(settings, template, 'settings')
    if error:
        return error
    for stage in STAGES:
        if settings[stage]['output_interval_fs'] > settings[stage]['time_ps'] * FS_PER_PS:
            return (
                f'`settings.{stage}.output_interval_fs` ({settings[stage]["output_interval_fs"]} fs) is longer than '
                f'the run ({settings[stage]["time_ps"]} ps): reduce it.'
            )
    for stage in STAGES:
        error = parameters_error(stage_settings(dict(settings), stage, 300.0, 1, committee=True))
        if error:
            return f'`settings.{stage}`: {error}'
    for stage in ('npt', 'nvt'):
        fraction = settings[stage]['average_fraction']
        if not 0 < fraction <= 1:
            return f'`settings.{stage}.average_fraction` is {fraction!r}: give a number above 0 and at most 1.'
    return _convergence_error(settings) or _window_error(settings) or _analysis_error(settings['analysis'])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _values_error(settings: Mapping[str, Any], template: Mapping[str, Any], where: str) -> str | None:
    """Return the first value that is no number, or not positive, where the default is one."""
    for key, default in template.items():
        value, name = settings[key], f'{where}.{key}'
        if isinstance(default, Mapping):
            error = _values_error(value, default, name)
            if error:
                return error
        elif isinstance(default, bool):
            if not isinstance(value, bool):
                return f'`{name}` is {value!r}: give true or false.'
        elif isinstance(default, (str, list)) or (value is None and (default is None or key in _OPTIONAL)):
            continue
        elif not _is_number(value):
            return f'`{name}` is {value!r}: give a number.'
        elif key not in _ANY_SIGN and not value > 0:
            return f'`{name}` is {value!r}: give a positive number.'
        elif isinstance(default, int) and not isinstance(value, int):
            return f'`{name}` is {value!r}: give a whole number.'
    return None


_ANY_SIGN = ('pressure_GPa',)
_OPTIONAL = ('checkpoint_interval_ps', 'relative_error')


def _convergence_error(settings: Mapping[str, Any]) -> str | None:
    convergence = settings['convergence']
    target, budget = convergence['relative_error'], convergence['max_production_ps']
    if target is not None and not target < 1:
        return f'`settings.convergence.relative_error` is {target!r}: give a fraction of D, for example 0.1, or null.'
    if convergence['strategy'] not in ('extend', 'replicas'):
        return f'`settings.convergence.strategy` is {convergence["strategy"]!r}: give extend or replicas.'
    if target is not None and budget < settings['nve']['time_ps']:
        return (
            f'`settings.convergence.max_production_ps` ({budget} ps) is less than `settings.nve.time_ps` '
            f'({settings["nve"]["time_ps"]} ps): it is the length of the run with all its extensions.'
        )
    return None


_LIMITS = {
    'rdf_r_max_A': (1.0, 30.0),
    'core_fraction': (0.01, 0.5),
    'pair_cutoff_A': (0.5, 10.0),
    'h2_bond_A': (0.5, 1.5),
    'clustering_factor': (1.0, 100.0),
    'lindemann_limit': (0.1, 0.5),
    'shell_change_limit': (0.02, 0.5),
}


def _analysis_error(analysis: Mapping[str, Any]) -> str | None:
    for key, (low, high) in _LIMITS.items():
        if analysis[key] is not None and not low <= analysis[key] <= high:
            return f'`settings.analysis.{key}` is {analysis[key]!r}: give a number from {low:g} to {high:g}.'
    kinds = analysis['site_kinds']
    if kinds is not None and not (isinstance(kinds, list) and kinds and all(isinstance(kind, str) for kind in kinds)):
        return f'`settings.analysis.site_kinds` is {kinds!r}: give null for all, or a list such as [octahedral].'
    lags = analysis['van_hove_lags_ps']
    if not isinstance(lags, list) or not lags or not all(_is_number(lag) and lag > 0 for lag in lags):
        return f'`settings.analysis.van_hove_lags_ps` is {lags!r}: give a list of positive times in ps.'
    return None


def _window_error(settings: Mapping[str, Any]) -> str | None:
    window, nve = settings['analysis']['window_ps'], settings['nve']
    if not isinstance(window, list) or len(window) != 2 or not all(map(_is_number, window)):
        return f'`settings.analysis.window_ps` is {window!r}: give two increasing positive times in ps.'
    if not 0 < window[0] < window[1]:
        return f'`settings.analysis.window_ps` is {window!r}: give two increasing positive times in ps.'
    if nve['time_ps'] < WINDOW_FRACTION * window[1]:
        return (
            f'`settings.nve.time_ps` ({nve["time_ps"]} ps) is too short for the fit window up to {window[1]} ps: run '
            f'at least {WINDOW_FRACTION * window[1]:g} ps, or shorten `settings.analysis.window_ps`.'
        )
    if nve['output_interval_fs'] > (window[1] - window[0]) * FS_PER_PS / 4:
        return (
            f'`settings.nve.output_interval_fs` ({nve["output_interval_fs"]} fs) leaves too few frames in the window '
            f'{window[0]:g}-{window[1]:g} ps: give at most {(window[1] - window[0]) * FS_PER_PS / 4:g} fs.'
        )
    return None


def system_error(
    structure: orm.StructureData, potentials: Mapping[str, PotentialData], settings: Mapping[str, Any]
) -> str | None:
    """Return why the structure, the potentials and the settings do not fit each other, or ``None``."""
    error = structure_error(structure)
    if error:
        return error
    symbols = structure.get_ase().get_chemical_symbols()
    for label, potential in potentials.items():
        missing = potential.missing_elements(symbols)
        if missing:
            return (
                f'potential {label!r} lacks {", ".join(missing)} of the structure (it covers '
                f'{", ".join(potential.elements[:12])}): give a potential of all elements.'
            )
        error = cell_error(structure, label, potential.interaction_range_A(symbols), settings)
        if error:
            return error
    return None


def cell_error(
    structure: orm.StructureData, label: str, reach_A: float | None, settings: Mapping[str, Any]
) -> str | None:
    """Return that the cell is too small for the cutoff (Å) of a potential, unless that is allowed, or ``None``."""
    radius = in_sphere_radius_A(structure.cell)
    if reach_A is None or reach_A <= radius or settings['allow_small_cell']:
        return None
    return (
        f'the cell of `structure` (smallest height {2 * radius:.2f} Å) is smaller than twice the cutoff of potential '
        f'{label!r} ({reach_A:.2f} Å): take a larger supercell, or accept that atoms interact with two images of a '
        'neighbour by `allow_small_cell: true` in the settings.'
    )


def vasp_error(
    inputs: Mapping[str, Any], potential: PotentialData, settings: Mapping[str, Any], temperature_K: float
) -> str | None:
    """Return why VASP cannot run the stages of a study with a potential, or ``None``.

    Parameters
    ----------
    inputs
        With ``structure`` and ``potcars``.
    potential
        The potential; nothing is said if it is not one of VASP.
    settings, temperature_K
        What the stages are made of.
    """
    from aiida_hdiff.workflows.md_stage import vasp_inputs_error

    stages = [stage_settings(dict(settings), stage, temperature_K, 1) for stage in STAGES]
    return vasp_inputs_error(inputs, potential, stages)


def options_error(options: Mapping[str, Any], code: orm.AbstractCode) -> str | None:
    """Return what is wrong with the `metadata.options` of the jobs of a code, or ``None``."""
    inputs: Any = CalculationFactory(code.default_calc_job_plugin).spec().inputs
    port = inputs['metadata']['options']
    error = unknown_key_error(options, dict.fromkeys(port), 'options.')
    if error:
        return error
    values = port.pre_process(dict(options))
    problem = port.validate(values)
    if problem:
        return f'`options`: {problem.message}'
    try:
        resources = dict(values['resources'])
        scheduler = code.computer.get_scheduler()
        scheduler.preprocess_resources(resources, code.computer.get_default_mpiprocs_per_machine())
        scheduler.validate_resources(**resources)
    except (TypeError, ValueError) as reason:
        return f'`options.resources` is {options["resources"]!r}: {reason}'
    return None


def code_error(code: orm.AbstractCode) -> str | None:
    """Return why a code cannot be run, or ``None``: not there, or not executable, on a local computer."""
    import os

    if not isinstance(code, orm.InstalledCode) or code.computer.transport_type != 'core.local':
        return None
    path = str(code.filepath_executable)
    if path.startswith('/') and not os.access(path, os.X_OK):
        problem = 'is not executable' if os.path.exists(path) else 'does not exist'  # noqa: PTH110
        return f'the executable of code {code.full_label!r} {problem}: run `aiida-hdiff setup` to set it up again.'
    return None
