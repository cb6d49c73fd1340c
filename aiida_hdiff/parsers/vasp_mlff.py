"""Parser of VASP runs with a machine-learned force field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode

from aiida_hdiff.calculations import vasp_mlff as files
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.formats.incar import normalised, number
from aiida_hdiff.formats.poscar import Contcar, read_contcar
from aiida_hdiff.formats.vasp_messages import RunMessages, read_outcar_end, scan_messages
from aiida_hdiff.formats.vasp_run import VaspRun
from aiida_hdiff.formats.vasp_trajectory import RecordedRun, record_run
from aiida_hdiff.formats.vasp_versions import version_problems
from aiida_hdiff.parsers.md_base import MDParserBase
from aiida_hdiff.parsers.vasp_report import STATE_WARNINGS, RunReport, misc, run_mode, whole_number
from aiida_hdiff.parsers.vasp_training import REFIT_MODES, read_training

LANGEVIN = 3
"""MDALGO of the thermostat that moves the centre of mass too."""
SCHEDULER_ERROR = '_scheduler-stderr.txt'


class VaspMlffParser(MDParserBase):
    """Save all that a run has left, finished or not; every branch ends in an exit code."""

    def parse_folder(self, folder: Path) -> ExitCode | None:
        """Parse the files of the job in ``folder``."""
        incar = normalised(self.incar())
        mode = run_mode(incar)
        interval = whole_number(incar.get('ML_OUTBLOCK')) if mode == 'run' else 1
        run = VaspRun(folder, interval=interval, frame_interval=whole_number(incar.get('NBLOCK')) or 1)
        report = RunReport(
            mode, run, self._messages(), read_outcar_end(folder / 'OUTCAR'), whole_number(incar.get('NSW')) or 0
        )
        if run.header is None and not run.has('XDATCAR'):
            return self._not_begun(report)
        problem = self._other_atoms(run)
        if problem:
            return self.exit_codes.ERROR_SPECIES_ORDER.format(reason=problem)
        unreadable = ''
        if report.moves:
            try:
                report.recorded = self._record(report, incar)
            except ValueError as error:
                unreadable = str(error)
        report.training = read_training(self.inputs, folder, report.run, report.recorded, mode)
        report.warnings += [*run.warnings, *report.training.warnings]
        refused = self._version_problem(report) if 'ML_MODE' in incar else ''
        self._attach(report)
        if refused:
            return self.exit_codes.ERROR_KNOWN_BAD_VERSION.format(reason=refused)
        if unreadable:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(reason=unreadable)
        return self._exit_code(report, incar)

    @cached_property
    def inputs(self) -> Mapping[str, Any]:
        """Input nodes by port."""
        return dict(self.node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested())

    def incar(self) -> dict[str, Any]:
        """Return the tags of INCAR."""
        return dict(self.inputs['parameters'].get_dict())

    def _messages(self) -> RunMessages:
        names = self.retrieved.list_object_names()
        lines: list[bytes] = []
        if SCHEDULER_ERROR in names:
            lines = self.retrieved.get_object_content(SCHEDULER_ERROR, mode='rb').splitlines()[-1000:]
        name = self.node.get_option('output_filename') or files.STDOUT
        if name not in names:
            return scan_messages(lines)
        with self.retrieved.open(name, 'rb') as stream:
            return scan_messages(line for source in (stream, lines) for line in source)

    def _not_begun(self, report: RunReport) -> ExitCode:
        messages, codes = report.messages, self.exit_codes
        if messages.species:
            return codes.ERROR_SPECIES_ORDER.format(reason=messages.species)
        if messages.errors:
            return codes.ERROR_VASP_FAILED.format(reason=messages.reason)
        if messages.started or messages.killed:
            return codes.ERROR_INTERRUPTED_EARLY
        if report.run.warnings:
            return codes.ERROR_OUTPUT_UNREADABLE.format(reason=report.run.warnings[0])
        return codes.ERROR_OUTPUT_MISSING.format(reason=f'VASP did not start: see {files.STDOUT}.')

    def _other_atoms(self, run: VaspRun) -> str:
        symbols = self.inputs['structure'].get_ase().get_chemical_symbols()
        if run.header is None or list(run.header.symbols) == symbols:
            return ''
        found, expected = (' '.join(dict.fromkeys(names)) for names in (run.header.symbols, symbols))
        return (
            f'the output has {len(run.header.symbols)} atoms of {found}, `structure` has {len(symbols)} of {expected}.'
        )

    def _record(self, report: RunReport, incar: dict[str, Any]) -> RecordedRun:
        run, inputs = report.run, self.inputs
        atoms = inputs['structure'].get_ase()
        cell, positions = atoms.cell.array, atoms.positions
        if 'state' in inputs:
            cell, positions = (inputs['state'].get_array(name) for name in ('cell', 'positions'))
        timestep_fs = number(incar.get('POTIM'))
        if timestep_fs is None:
            timestep_fs = number(run.header.parameters.get('POTIM')) if run.header is not None else None
        if timestep_fs is None:
            raise ValueError('no time step in `parameters` and in the output: give POTIM.')
        degrees = 3 * len(atoms) - (0 if whole_number(incar.get('MDALGO')) == LANGEVIN else 3)
        with TemporaryDirectory() as scratch:
            target = Path(scratch) / MDTrajectory.DEFAULT_FILENAME
            recorded = record_run(
                run,
                target,
                atoms.numbers,
                timestep_fs=timestep_fs,
                degrees_of_freedom=max(1, degrees),
                first_step=self.first_step(default=0),
                start=(cell, positions),
                contcar=self._contcar(Path(scratch), timestep_fs, report.warnings),
                ended=report.end.finished,
                n_requested=report.n_requested,
            )
            if len(recorded.steps):
                self.out('trajectory', MDTrajectory(target))
        return recorded

    def first_step(self, *, default: int) -> int:
        """Return the step of the stage at which the run begins."""
        return int(self.inputs['first_step'].value) if 'first_step' in self.inputs else default

    def _contcar(self, scratch: Path, timestep_fs: float, warnings: list[str]) -> Contcar | None:
        if 'CONTCAR' not in self.retrieved.list_object_names():
            return None
        path = scratch / 'CONTCAR'
        path.write_bytes(self.retrieved.get_object_content('CONTCAR', mode='rb'))
        try:
            return read_contcar(path, timestep_fs=timestep_fs)
        except ValueError as error:
            if path.stat().st_size:
                warnings.append(str(error))
            return None

    def _version_problem(self, report: RunReport) -> str:
        if report.run.header is None or report.emulated:
            return ''
        cell = self.inputs['structure'].get_ase().cell
        problems = version_problems(
            report.run.header.version,
            report.mode,
            angles_degrees=tuple(float(angle) for angle in cell.angles()),
            n_machines=int((self.node.get_option('resources') or {}).get('num_machines', 1)),
        )
        report.warnings += [problem.message for problem in problems]
        return next((problem.message for problem in problems if problem.refused), '')

    def _attach(self, report: RunReport) -> None:
        """Attach all outputs but the trajectory."""
        recorded = report.recorded
        if recorded is not None and len(recorded.steps):
            sources = orm.ArrayData({'step': recorded.steps, 'dft': recorded.dft})
            self.out('sources', sources)
        if recorded is not None and recorded.state is not None:
            state = recorded.state
            self.out(
                'final_state',
                MDState(
                    numbers=self.inputs['structure'].get_ase().numbers,
                    positions=state.positions,
                    cell=state.cell,
                    velocities=state.velocities,
                    lattice_velocities=state.lattice_velocities,
                    step=state.step,
                ),
            )
            if state.source != 'CONTCAR':
                report.warnings.append(STATE_WARNINGS[state.source])
        for name, node in report.training.nodes.items():
            self.out(name, node)
        self.out('misc', orm.Dict(misc(report, self.first_step(default=0))))
        if report.emulated:
            for node in (self.node, *self.outputs.values()):
                node.base.extras.set('emulated', True)

    def _exit_code(self, report: RunReport, incar: dict[str, Any]) -> ExitCode | None:
        codes, run, messages = self.exit_codes, report.run, report.messages
        first_step = self.first_step(default=0)
        state = None if report.recorded is None else report.recorded.state
        step = first_step if state is None else state.step
        if messages.species:
            return codes.ERROR_SPECIES_ORDER.format(reason=messages.species)
        if run.first_failed_step is not None:
            return codes.ERROR_SCF_FAILED.format(step=first_step + run.first_failed_step - 1)
        if report.finished:
            return self._missing_force_field(report)
        limit = messages.limit or report.training.full(whole_number(incar.get('ML_MCONF')))
        if limit:
            code = codes.ERROR_ML_MB_REACHED if limit == 'ML_MB' else codes.ERROR_ML_MCONF_REACHED
            return code.format(limit=whole_number(incar.get(limit)), step=step)
        if messages.errors and not (messages.killed or messages.stopped or report.end.stopped):
            return codes.ERROR_VASP_FAILED.format(reason=messages.reason)
        if state is None or (state.step <= first_step and not run.n_steps):
            return codes.ERROR_INTERRUPTED_EARLY
        if report.ended:
            return codes.ERROR_OUT_OF_WALLTIME.format(step=step, steps=first_step + report.n_requested)
        return codes.ERROR_INTERRUPTED.format(step=step)

    def _missing_force_field(self, report: RunReport) -> ExitCode | None:
        if report.mode in REFIT_MODES and 'force_field' not in report.training.nodes:
            reason = f'there is no usable {files.ML_FFN}: {" ".join(report.training.warnings)}'.strip()
            return self.exit_codes.ERROR_OUTPUT_MISSING.format(reason=reason)
        return None
