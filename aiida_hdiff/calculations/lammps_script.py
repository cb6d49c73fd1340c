"""The LAMMPS script of one molecular dynamics stage."""

from __future__ import annotations

from collections.abc import Sequence

from aiida_hdiff.common.units import FS_PER_PS, GPA_IN_BAR
from aiida_hdiff.engine.parameters import MDParameters

DATA_FILE = 'start.data'
RESTART_FILE = 'start.restart'
TRAJECTORY_FILE = 'trajectory.bin'
SERIES_FILE = 'series.txt'
CHECKPOINT_DUMP = 'checkpoints.bin'
CHECKPOINT_RESTARTS = 'checkpoint.*.restart'
FINAL_DUMP = 'final.bin'
FINAL_RESTART = 'final.restart'
FINISHED_MARK = 'stopped at step'

LARGEST_SEED = 899_999_999

_VECTORS = 'xu yu zu vx vy vz'


def explosion_temperature_K(parameters: MDParameters) -> float:
    """Instantaneous temperature (K) above which a run counts as exploded."""
    return 5.0 * max(parameters.temperature_K, parameters.final_temperature_K) + 1000.0


def lammps_script(
    parameters: MDParameters,
    pair_commands: Sequence[str],
    masses: Sequence[float],
    *,
    has_velocities: bool,
    couple_ab: bool = False,
    checkpoint_step: int | None = None,
    max_seconds: int | None = None,
) -> str:
    """Return the input script of a stage, in LAMMPS's metal units.

    Parameters
    ----------
    parameters
        Settings of the stage.
    pair_commands
        ``pair_style`` and ``pair_coeff`` commands, or the commands that take the forces from `hdiff-engine`; any fix
        among them is then the first, as the pressure at the start needs.
    masses
        Mass (u) of each atom type.
    has_velocities
        Whether the data file holds velocities; otherwise they are drawn from the seed.
    couple_ab
        Keep the ratio of the first two cell lengths in a ``fixed_shape`` barostat.
    checkpoint_step
        Continue from the restart file of this step.
    max_seconds
        Stop cleanly after this wall time; without it LAMMPS does not look at the clock.
    """
    start = f'read_data {DATA_FILE}' if checkpoint_step is None else f'read_restart {RESTART_FILE}'
    lines = ['units metal', 'atom_style atomic', 'boundary p p p', start, *pair_commands]
    # After the potential, whose file may bring other masses: eam/alloy does.
    lines += [f'mass {kind} {mass:.10g}' for kind, mass in enumerate(masses, 1)]
    lines.append(f'timestep {parameters.timestep_fs / FS_PER_PS:.10g}')
    if checkpoint_step is None and not has_velocities:
        lines.append(
            f'velocity all create {parameters.temperature_K:.10g} {_seed(parameters.seed)} mom yes rot no dist gaussian'
        )
    lines += _integrator(parameters, couple_ab, checkpoint_step)
    lines += _output(parameters)
    if max_seconds is not None:
        hours, rest = divmod(max_seconds, 3600)
        lines.append(f'timer timeout {hours}:{rest // 60:02d}:{rest % 60:02d} every 100')
    lines += [
        f'run {parameters.steps} upto start 0 stop {parameters.steps}',
        f'write_dump all custom {FINAL_DUMP} {_VECTORS} modify sort id',
        f'write_restart {FINAL_RESTART}',
        f'print "hdiff: {FINISHED_MARK} $(step:%.0f)"',
    ]
    return '\n'.join(lines) + '\n'


def _integrator(parameters: MDParameters, couple_ab: bool, checkpoint_step: int | None) -> list[str]:
    first, last = parameters.temperature_K, parameters.final_temperature_K
    damping = parameters.thermostat_time_fs / FS_PER_PS
    temperature = f'{first:.10g} {last:.10g} {damping:.10g}'
    barostat = _barostat(parameters, couple_ab) if parameters.ensemble == 'npt' else ''
    if parameters.ensemble == 'nve':
        return ['fix integrate all nve']
    if parameters.thermostat == 'nose_hoover':
        style = 'npt' if barostat else 'nvt'
        return [f'fix integrate all {style} temp {temperature}{barostat}']
    integrator = f'fix integrate all nph{barostat}' if barostat else 'fix integrate all nve'
    # The restart file does not hold the state of the noise: a continued run draws new noise, not the same again.
    seed = _seed(parameters.seed + (checkpoint_step or 0))
    # Not `zero yes`: it takes the same mean force from all atoms, whatever their mass, which heats hydrogen by about
    # m(host)/(N m(H)). Removing the velocity of the centre of mass is the right projection.
    return [
        integrator,
        f'fix thermostat all langevin {temperature} {seed}',
        'fix centre all momentum 1 linear 1 1 1',
    ]


def _seed(seed: int) -> int:
    """Fold a seed into the range of LAMMPS's random number generator."""
    return seed % LARGEST_SEED + 1


def _barostat(parameters: MDParameters, couple_ab: bool) -> str:
    pressure = parameters.pressure_GPa * GPA_IN_BAR
    damping = parameters.barostat_time_fs / FS_PER_PS
    style = {'isotropic': 'iso', 'fixed_shape': 'aniso', 'full': 'tri'}[parameters.barostat]
    couple = ' couple xy' if couple_ab and parameters.barostat == 'fixed_shape' else ''
    return f' {style} {pressure:.10g} {pressure:.10g} {damping:.10g}{couple}'


def _output(parameters: MDParameters) -> list[str]:
    interval, checkpoint = parameters.output_interval, parameters.checkpoint_every
    columns = _VECTORS if parameters.velocities else 'xu yu zu'
    return [
        'variable kinetic equal ke',
        'variable temperature equal temp',
        f'fix series all ave/time {interval} 1 {interval} c_thermo_pe v_kinetic c_thermo_temp c_thermo_press '
        f'file {SERIES_FILE} format " %.16g"',
        f'fix spike all halt {interval} v_temperature > {explosion_temperature_K(parameters):.10g} '
        'error soft message yes',
        f'dump trajectory all custom {interval} {TRAJECTORY_FILE} {columns}',
        'dump_modify trajectory sort id',
        f'dump checkpoints all custom {checkpoint} {CHECKPOINT_DUMP} {_VECTORS}',
        'dump_modify checkpoints sort id',
        f'restart {checkpoint} {CHECKPOINT_RESTARTS}',
        'thermo_style custom step temp pe etotal press vol',
        f'thermo {max(interval, parameters.steps // 100)}',
        'thermo_modify flush yes',
    ]
