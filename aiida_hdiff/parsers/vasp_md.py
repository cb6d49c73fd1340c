"""Parser of molecular dynamics with a machine-learned force field of VASP."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from aiida.engine import ExitCode
from ase.data import atomic_masses

from aiida_hdiff.calculations.md_job import md_parameters, start_arrays
from aiida_hdiff.calculations.vasp_md import job_steps
from aiida_hdiff.calculations.vasp_mlff import STDOUT
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.formats.ionic_step import VaspHeader
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.poscar import Contcar, read_contcar
from aiida_hdiff.formats.trajectory import TrajectoryWriter
from aiida_hdiff.formats.vasp_frames import (
    StepEnergies,
    iter_frames,
    nearest_images,
    next_structure,
    read_step_energies,
    steps_since,
)
from aiida_hdiff.formats.vasp_messages import OutcarEnd, RunMessages, read_outcar_end, scan_messages
from aiida_hdiff.formats.vasp_versions import version_problems
from aiida_hdiff.parsers.md_base import MDParserBase
from aiida_hdiff.parsers.vasp_mlff import SCHEDULER_ERROR

ENGINE = 'vasp'


class VaspMDParser(MDParserBase):
    """Turn XDATCAR, the energies and CONTCAR of a run, complete or not, into a trajectory and a state."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        if STDOUT not in self.retrieved.list_object_names():
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason=f'{STDOUT} is not there.')
        messages = self._messages()
        end, header = read_outcar_end(folder / 'OUTCAR'), _outcar_header(folder / 'OUTCAR')
        self._emulated = messages.emulated or (header is not None and header.emulated)
        parameters = md_parameters(self.node.inputs)
        energies = read_step_energies(folder)
        frames = _Frames(self.first_step(default=0))
        if energies is not None:
            self._store_trajectory(folder, energies, parameters, frames)
        state = self._final_state(parameters, energies, frames, end)
        self._report(header, messages, end, frames, energies, state)
        failure = self._failure(messages, end, header, energies, parameters)
        if state is not None:
            self._out('final_state' if failure is None or failure.status != 412 else 'failed_frame', state)
        if failure is not None:
            return failure
        if state is None:
            return self.exit_codes.ERROR_INTERRUPTED_EARLY
        return self._end(state.step, parameters, end)

    def _messages(self) -> RunMessages:
        """Return what VASP and the scheduler have printed."""
        lines: list[bytes] = []
        if SCHEDULER_ERROR in self.retrieved.list_object_names():
            lines = self.retrieved.get_object_content(SCHEDULER_ERROR, mode='rb').splitlines()[-1000:]
        with self.retrieved.open(STDOUT, 'rb') as stream:
            return scan_messages(chain(stream, lines))

    def _end(self, step: int, parameters: MDParameters, end: OutcarEnd) -> ExitCode | None:
        if step >= parameters.steps:
            return None
        if not end.finished:
            return self.exit_codes.ERROR_INTERRUPTED.format(step=step)
        first, steps = job_steps(parameters, self.first_step(default=0))
        if step == first + steps:
            return self.exit_codes.ERROR_UP_TO_A_FRAME.format(step=step)
        return self.exit_codes.ERROR_OUT_OF_WALLTIME.format(step=step, steps=parameters.steps)

    def _failure(
        self,
        messages: RunMessages,
        end: OutcarEnd,
        header: VaspHeader | None,
        energies: StepEnergies | None,
        parameters: MDParameters,
    ) -> ExitCode | None:
        codes = self.exit_codes
        if messages.species:
            return codes.ERROR_SPECIES_ORDER.format(reason=messages.species)
        refused = [problem for problem in self._version_problems(header) if problem.refused]
        if refused:
            return codes.ERROR_KNOWN_BAD_VERSION.format(reason=refused[0].message)
        if energies is None:
            if messages.errors:
                return codes.ERROR_VASP_FAILED.format(reason=messages.reason)
            if not messages.started and header is None:
                return codes.ERROR_OUTPUT_MISSING.format(reason=f'VASP did not start: see {STDOUT}.')
            return None
        potential, kinetic = energies.potential_energy, energies.kinetic_energy
        if not (np.all(np.isfinite(potential)) and np.all(np.isfinite(kinetic))):
            return codes.ERROR_NOT_A_NUMBER.format(reason=f'an energy in {energies.source}.')
        hottest = _temperature_K(kinetic.max(), self._degrees_of_freedom(parameters))
        limit = 5.0 * max(parameters.temperature_K, parameters.final_temperature_K) + 1000.0
        if hottest > limit:
            return codes.ERROR_EXPLODED.format(reason=f'the temperature rose to {hottest:.0f} K.')
        if messages.errors and not (end.finished or messages.killed or messages.stopped):
            return codes.ERROR_VASP_FAILED.format(reason=messages.reason)
        return None

    def _version_problems(self, header: VaspHeader | None) -> list[Any]:
        if header is None or self._emulated:
            return []
        from ase.geometry import cell_to_cellpar

        angles = tuple(cell_to_cellpar(self.node.inputs.structure.cell)[3:])
        machines = int((self.node.get_option('resources') or {}).get('num_machines', 1))
        return version_problems(header.version, 'run', angles_degrees=angles, n_machines=machines)

    def _report(
        self,
        header: VaspHeader | None,
        messages: RunMessages,
        end: OutcarEnd,
        frames: _Frames,
        energies: StepEnergies | None,
        state: MDState | None,
    ) -> None:
        last_step = -1 if state is None else state.step
        made = 0 if state is None else last_step - self.first_step(default=0)
        warnings = [problem.message for problem in self._version_problems(header)]
        warnings += [f'VASP: {text}' for text in messages.errors] if end.finished else []
        self.out_results(
            ENGINE,
            'EMULATOR' if self._emulated else (header.version if header is not None else None),
            last_step,
            frames.count,
            made / end.elapsed_s if end.elapsed_s and not self._emulated else None,
            emulated=self._emulated,
            energies_from=None if energies is None else energies.source,
            warnings=warnings,
        )
        if self._emulated:
            self.node.base.extras.set('emulated', True)
            for node in self.outputs.values():
                node.base.extras.set('emulated', True)

    def _out(self, name: str, node: Any) -> None:
        if self._emulated:
            node.base.extras.set('emulated', True)
        self.out(name, node)

    def _degrees_of_freedom(self, parameters: MDParameters) -> int:
        """Return 3 N for a Langevin thermostat, which moves the centre of mass too, and 3 N - 3 without one."""
        n_atoms = len(self.node.inputs.structure.sites)
        return 3 * n_atoms - (3 if parameters.ensemble == 'nve' else 0)

    def _start(self) -> dict[str, Any]:
        """Return what POSCAR held: positions (Å), cell (Å)."""
        if 'checkpoint' in self.node.inputs:
            checkpoint = self.node.inputs.checkpoint
            return {name: checkpoint.get_array(name) for name in ('numbers', 'positions', 'cell')}
        return start_arrays(self.node.inputs)

    def _store_trajectory(self, folder: Path, energies: StepEnergies, parameters: MDParameters, found: _Frames) -> None:
        """Write all frames of this job, and remember the last."""
        start = self._start()
        first, steps = job_steps(parameters, found.first_step)
        block = parameters.output_interval if first % parameters.output_interval == 0 else steps
        freedom = self._degrees_of_freedom(parameters)
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / MDTrajectory.DEFAULT_FILENAME
            with TrajectoryWriter(path, start['numbers'], timestep_fs=parameters.timestep_fs) as writer:
                for frames in iter_frames(
                    folder, energies, block=block, start_positions=start['positions'], start_cell=start['cell']
                ):
                    values = {
                        'potential_energy': frames.potential_energy,
                        'kinetic_energy': frames.kinetic_energy,
                        'temperature': _temperature_K(frames.kinetic_energy, freedom),
                        'pressure': np.full(len(frames.steps), np.nan),
                    }
                    writer.append(first + frames.steps, frames.positions, frames.cells, values)
                    found.count += len(frames.steps)
                    found.last_step, found.positions = int(frames.steps[-1]), frames.positions[-1]
            if found.count:
                self._out('trajectory', MDTrajectory(path))

    def _final_state(
        self, parameters: MDParameters, energies: StepEnergies | None, frames: _Frames, end: OutcarEnd
    ) -> MDState | None:
        """Return the state in CONTCAR with its step, if VASP got further than the start."""
        if energies is None or 'CONTCAR' not in self.retrieved.list_object_names():
            return None
        content = self.retrieved.get_object_content('CONTCAR', 'rb')
        contcar = _read_contcar(content)
        if contcar is None or contcar.velocities is None:
            if end.finished:
                raise ValueError('CONTCAR cannot be read or has no velocities, though VASP has finished.')
            return None
        start = self._start()
        numbers = start['numbers']
        if len(contcar.symbols) != len(numbers):
            raise ValueError(f'CONTCAR has {len(contcar.symbols)} atoms, the structure {len(numbers)}.')
        near = start['positions'] if frames.positions is None else frames.positions
        _, steps = job_steps(parameters, frames.first_step)
        step = max(frames.last_step, int(energies.steps[-1]))
        if not (end.finished and step + parameters.output_interval > steps and not end.stopped):
            ahead = steps_since(contcar, near, atomic_masses[numbers], parameters.timestep_fs)
            step = min(steps, max(step, frames.last_step + max(0, ahead - 1)))
        else:
            step = steps
        cell, positions = next_structure(contcar)
        positions = nearest_images(positions, cell, near)
        return MDState(
            numbers=numbers,
            positions=positions,
            velocities=contcar.velocities,
            lattice_velocities=contcar.lattice_velocities if parameters.ensemble == 'npt' else None,
            cell=cell,
            step=frames.first_step + step,
            checkpoint=content,
            engine=ENGINE,
        )


class _Frames:
    """What has been seen of the frames: their number, and the last of them."""

    def __init__(self, first_step: int) -> None:
        self.first_step = first_step
        self.count = 0
        self.last_step = 0
        self.positions: Any = None


def _temperature_K(kinetic_energy: Any, degrees_of_freedom: int) -> Any:
    return 2.0 * kinetic_energy / (degrees_of_freedom * BOLTZMANN_EV_PER_K)


def _outcar_header(path: Path) -> VaspHeader | None:
    try:
        return iter_outcar(path, allow_truncated=True).header if path.is_file() else None
    except ValueError:
        return None


def _read_contcar(content: bytes) -> Contcar | None:
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / 'CONTCAR'
        path.write_bytes(content)
        try:
            return read_contcar(path, allow_truncated=True)
        except ValueError:
            return None
