"""What a study will cost, and how long its runs must be for a given error, before anything is submitted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_hdiff.analysis.planning import expected_relative_error, required_production_ps
from aiida_hdiff.calculations.stages import STAGES, stage_settings
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K, FS_PER_PS
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.diffusion import run_label
from aiida_hdiff.workflows.train_plan import DISTILLED
from aiida_hdiff.workflows.train_stages import architecture_of
from aiida_hdiff.workflows.training_phase import only_judged, plan_of

NODES_PER_RUN = 53
NODES_PER_STUDY = 15
BYTES_STORED = 7
BYTES_TEMPORARY = 24
SECONDS_PER_ATOM_STEP = {
    'lammps': 1.35e-6, 'pod': 3.5e-5, 'chgnet': 1.3e-3, 'mace': 1.2e-2, 'emt': 1e-5, 'lennard_jones': 1e-5, 'eam': 1e-5,
    'vasp-mlff': 2e-4,
}  # fmt: skip
"""Rough cost of one atom for one step on one core, by architecture; `lammps` is EAM. VASP's is a guess."""

OVERHEAD_S = 5.0
DEFAULT_JUMP_A = 2.5
PILOT_WINDOWS = 10
SPEEDS_TO_LOOK_AT = 20
MIN_STEPS_FOR_SPEED = 500


@dataclass(frozen=True)
class RunPlan:
    """What to expect of one potential at one temperature.

    Attributes
    ----------
    potential
        Label of the potential.
    temperature_K
        Target temperature in K.
    guess_m2_s
        Guess of D in m²/s.
    production_ps
        Length of the NVE run as the settings have it, before extensions, in ps; all replicas together.
    expected_error
        Relative standard error of D to expect of it.
    required_ps
        Length for the relative error that is aimed at.
    seconds
        Wall time of a run of that length with the stages before it on one core, from the measured speed.
    """

    potential: str
    temperature_K: float
    guess_m2_s: float
    production_ps: float
    expected_error: float
    required_ps: float
    seconds: float


def study_plan(builder: Any) -> dict[str, Any]:
    """Return what a study will cost before it runs: jobs, nodes, molecular dynamics time and steps, and disk.

    The node count is of the regular course, without retries or continued jobs.
    """
    settings = builder.settings.get_dict()
    potentials = _potentials(builder)
    runs = len(potentials) * len(builder.temperatures.get_list()) * builder.replicas.value
    steps = {stage: stage_settings(settings, stage, 300.0, 1)['steps'] for stage in STAGES}
    frames = sum(
        stage_settings(settings, stage, 300.0, 1)['steps']
        // stage_settings(settings, stage, 300.0, 1)['output_interval']
        for stage in STAGES
    )
    n_atoms = len(builder.structure.sites)
    return {
        'trainings': len(_plan(builder)),
        'runs': runs,
        'jobs': len(STAGES) * runs,
        'nodes': runs * NODES_PER_RUN + NODES_PER_STUDY + len(potentials),
        'steps_per_run': sum(steps.values()),
        'simulated_ps': runs * sum(settings[stage]['time_ps'] for stage in STAGES),
        'atom_steps': runs * sum(steps.values()) * n_atoms,
        'disk_MB': runs * frames * n_atoms * (BYTES_STORED + BYTES_TEMPORARY) / 1e6,
    }


def plan_seconds(builder: Any) -> float:
    """Return an estimate of the wall time (s) of a study with one core per concurrent run, without extensions.

    Speeds are those of earlier jobs with the same potential where there are any, else rough ones by architecture.
    """
    plan = study_plan(builder)
    speeds = study_speeds(builder)
    steps = plan['runs'] / len(speeds) * plan['steps_per_run']
    busy = sum(steps / steps_per_s for steps_per_s, _ in speeds.values())
    return float((busy + OVERHEAD_S * plan['jobs']) / min(builder.max_concurrent, plan['runs']))


def speed(potential: PotentialData, n_atoms: int) -> tuple[float, bool]:
    """Return the steps per second of a potential for a number of atoms, and whether jobs of this profile tell it.

    The speed is taken to be inverse to the number of atoms.
    """
    query = orm.QueryBuilder()
    query.append(PotentialData, filters={'uuid': potential.uuid}, tag='potential')
    query.append(orm.CalcJobNode, with_incoming='potential', tag='job')
    query.append(
        orm.Dict,
        with_incoming='job',
        edge_filters={'label': 'results'},
        filters={'attributes.steps_per_s': {'>': 0.0}, 'attributes.last_step': {'>=': MIN_STEPS_FOR_SPEED}},
        project='attributes.steps_per_s',
    )
    query.append(orm.Node, with_incoming='job', edge_filters={'label': 'trajectory'}, project=['attributes.n_atoms'])
    query.order_by({'job': {'ctime': 'desc'}}).limit(SPEEDS_TO_LOOK_AT)
    measured = [steps_per_s * atoms / n_atoms for steps_per_s, atoms in query.all()]
    if measured:
        return statistics.median(measured), True
    pod = str(potential.base.attributes.get('pair_style')).startswith('pod')
    return _rough_speed('pod' if pod else potential.architecture, n_atoms), False


def _rough_speed(architecture: str, n_atoms: int) -> float:
    return 1.0 / (SECONDS_PER_ATOM_STEP[architecture] * n_atoms)


def study_speeds(builder: Any) -> dict[str, tuple[float, bool]]:
    """Return the speeds of all potentials of a study by label, see :func:`speed`.

    A potential that is yet to be trained is taken to be as fast as what it starts from, or as its architecture.
    """
    n_atoms = len(builder.structure.sites)
    return {
        label: speed(found, n_atoms) if isinstance(found, PotentialData) else (_rough_speed(found, n_atoms), False)
        for label, found in _potentials(builder).items()
    }


def _potentials(builder: Any) -> dict[str, PotentialData | str]:
    """Return the potentials of a study by label, of those that are yet to be trained the foundation or architecture."""
    found: dict[str, PotentialData | str] = dict(getattr(builder, 'potentials', None) or {})
    plan = _plan(builder)
    for label, entry in plan.items():
        if label not in only_judged(plan):
            named = 'pod' if entry['kind'].value == DISTILLED else architecture_of(entry)
            found[label] = entry.get('potential') or entry.get('foundation') or named
    return found


def _plan(builder: Any) -> dict[str, Any]:
    return plan_of({'training': getattr(builder, 'training', None) or {}})


def run_plans(builder: Any, guess: Callable[[str, float], float], relative_error: float) -> list[RunPlan]:
    """Return what to expect of every potential and temperature of a study.

    Parameters
    ----------
    builder
        Builder of a DiffusionWorkChain.
    guess
        D in m²/s of a potential (label) at a temperature in K.
    relative_error
        Relative standard error of D that is aimed at.

    Raises
    ------
    ValueError
        If a guess or the error is not positive.
    """
    settings = builder.settings.get_dict()
    symbols = builder.structure.get_ase().get_chemical_symbols()
    n_hydrogen, replicas = symbols.count('H'), builder.replicas.value
    window_ps, jump_A = settings['analysis']['window_ps'][1], settings['analysis']['jump_length_A'] or DEFAULT_JUMP_A
    production_ps = settings['nve']['time_ps'] * replicas
    before_ps = replicas * (settings['npt']['time_ps'] + settings['nvt']['time_ps'])
    plans = []
    for label, (steps_per_s, _) in study_speeds(builder).items():
        for temperature in builder.temperatures.get_list():
            value = guess(label, float(temperature))
            required = required_production_ps(value, n_hydrogen, relative_error, window_ps, jump_A)
            steps = (required + before_ps) * FS_PER_PS / settings['timestep_fs']
            plans.append(
                RunPlan(
                    potential=label,
                    temperature_K=float(temperature),
                    guess_m2_s=value,
                    production_ps=production_ps,
                    expected_error=expected_relative_error(value, n_hydrogen, production_ps, window_ps, jump_A),
                    required_ps=required,
                    seconds=steps / steps_per_s,
                )
            )
    return plans


def arrhenius_law(activation_energy_eV: float, prefactor_m2_s: float) -> Callable[[str, float], float]:
    """Return the guess D0 exp(-Ea / kT) for all potentials."""

    def guess(_label: str, temperature_K: float) -> float:
        return prefactor_m2_s * math.exp(-activation_energy_eV / (BOLTZMANN_EV_PER_K * temperature_K))

    return guess


def pilot_guess(study: orm.WorkChainNode) -> Callable[[str, float], float]:
    """Return a guess of D from an earlier study: by its Arrhenius fit, else by its run at this very temperature.

    Where a run did not resolve D, the estimate of at least one hop counts.

    Raises
    ------
    ValueError
        By the guess, if the study tells nothing of the potential at the temperature.
    """
    fits = study.outputs.arrhenius if 'arrhenius' in study.outputs else {}
    runs: dict[str, DiffusivityData] = dict(study.outputs.diffusivities) if 'diffusivities' in study.outputs else {}

    def guess(label: str, temperature_K: float) -> float:
        if label in fits:
            fit = fits[label]
            return arrhenius_law(fit.activation_energy_eV, fit.prefactor_m2_s)(label, temperature_K)
        node = runs.get(run_label(label, temperature_K, 0))
        if node is None or node['n_hops'] < 1:
            raise ValueError(
                f'study {study.pk} does not tell D of {label!r} at {temperature_K:g} K: run the pilot longer or '
                'hotter, or give Ea and D0.'
            )
        return float(node['estimate_m2_s'])

    return guess


def pilot_overrides(pilot_ps: float, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that shorten a study to a pilot with NVE runs of ``pilot_ps``."""
    low, high = settings['analysis']['window_ps']
    end = min(high, pilot_ps / PILOT_WINDOWS)
    start = min(low, end / 4)
    interval_fs = min(settings['nve']['output_interval_fs'], (end - start) * FS_PER_PS / 4)
    stages = {stage: {'time_ps': min(settings[stage]['time_ps'], pilot_ps / 4)} for stage in ('npt', 'nvt')}
    return {
        **stages,
        'nve': {'time_ps': pilot_ps, 'output_interval_fs': interval_fs},
        'analysis': {'window_ps': [start, end]},
        'gate': {'temperature_tolerance_K': 1e4},
        'convergence': {'relative_error': None},
    }


def total_seconds(plans: Sequence[RunPlan], max_concurrent: int) -> float:
    """Return the wall time (s) of all runs, so many at a time."""
    longest = max(plan.seconds for plan in plans)
    return max(longest, sum(plan.seconds for plan in plans) / max_concurrent)
