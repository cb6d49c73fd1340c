"""One stage of molecular dynamics in one ensemble, continued until all its steps are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, CalcJob, ProcessHandlerReport, process_handler, while_
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations.md_committee import define_committee
from aiida_hdiff.calculations.md_job import lammps_code_error, validate_md_inputs
from aiida_hdiff.calculations.trajectories import concatenate_trajectories
from aiida_hdiff.common.calcjob import require_package
from aiida_hdiff.common.restart import HdiffRestartWorkChain
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.engine.lammps_external import BY_CALLBACK
from aiida_hdiff.engine.parameters import parameters_error

LAMMPS_JOB = 'hdiff.lammps_md'
CODE_PLUGINS = {
    LAMMPS_JOB: 'lammps',
    'hdiff.md': 'engine',
    'hdiff.chgnet_train': 'engine',
    'hdiff.evaluate': 'engine',
    'hdiff.label': 'engine',
    'hdiff.mace_train': 'engine',
    'hdiff.vasp_md': 'vasp',
    'hdiff.vasp_mlff': 'vasp',
    'vasp.vasp': 'vasp',
}
"""Engine of a code, by its default plugin; the first plugin of an engine is the job that a stage runs."""

_SEGMENT_LIMIT = 200
UNCERTAIN = (530, 730)
"""Exit statuses of a job that its committee stopped, and of one that it did not."""


class MDStageWorkChain(HdiffRestartWorkChain):
    """Run one stage with the engine of its code; after a wall time or a lost node continue from the checkpoint."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, validator=_validate_code, help='Engine that moves the atoms.')
        spec.input('structure', valid_type=orm.StructureData, help='Atoms, and where they start without a state.')
        spec.input('potential', valid_type=PotentialData, help='Potential that moves the atoms.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=lambda value, _: parameters_error(value.get_dict()),
            help='Settings of the stage, see `aiida_hdiff.engine.parameters.MDParameters`.',
        )
        spec.input('state', valid_type=MDState, required=False, help='Positions, velocities and cell to start from.')
        spec.input(
            'checkpoint', valid_type=MDState, required=False,
            help='Final state of a shorter run of this stage: only the further steps are run and stored.',
        )  # fmt: skip
        define_vasp_inputs(spec)
        define_committee(spec)
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs['max_iterations'].default = lambda: orm.Int(_SEGMENT_LIMIT)
        spec.inputs['clean_workdir'].default = lambda: orm.Bool(True)
        spec.inputs['clean_workdir'].help = 'Remove the work directories of the jobs if the stage succeeds.'
        spec.inputs.validator = lambda value, _: (
            validate_md_inputs(value)
            or engine_error(value['code'], value['potential'], value.get('options'))
            or vasp_inputs_error(value, value['potential'], [value['parameters'].get_dict()])
            or _checkpoint_error(value)
        )
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.output('trajectory', valid_type=MDTrajectory, help='All frames of the stage.')
        spec.output('final_state', valid_type=MDState, help='State after the last step.')
        spec.output('results', valid_type=orm.Dict, help='How the last job went.')
        spec.output('failed_frame', valid_type=MDState, required=False, help='The frame at which the run exploded.')
        spec.exit_code(403, 'ERROR_NO_PROGRESS', message='The jobs end before they get further than step {step}.')
        spec.exit_code(410, 'ERROR_LOST_ATOMS', message='{message}')
        spec.exit_code(411, 'ERROR_NOT_A_NUMBER', message='{message}')
        spec.exit_code(412, 'ERROR_EXPLODED', message='{message}')
        spec.exit_code(420, 'ERROR_ENGINE_FAILED', message='{message}')
        spec.exit_code(421, 'ERROR_UNKNOWN_STYLE', message='{message}')
        spec.exit_code(422, 'ERROR_POTENTIAL_REFUSED', message='{message}')
        spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='{message}')
        spec.exit_code(424, 'ERROR_SPECIES_ORDER', message='{message}')
        spec.exit_code(425, 'ERROR_KNOWN_BAD_VERSION', message='{message}')
        spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='{message}')

    _process_class = CalcJob

    @property
    def process_class(self) -> Any:
        """The calculation job of the engine that runs the potential."""
        if self.inputs is None or 'code' not in self.inputs:
            return super().process_class
        return CalculationFactory(stage_plugin(self.inputs.code, self.inputs.potential))

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.segments = []
        self.ctx.last_step = self.inputs.checkpoint.step if 'checkpoint' in self.inputs else 0
        names = ('code', 'structure', 'potential', 'parameters', 'state', 'checkpoint')
        self.ctx.inputs = AttributeDict({name: self.inputs[name] for name in names if name in self.inputs})
        if self.inputs.get('committee', None):
            self.ctx.inputs.committee = dict(self.inputs.committee)
        if engine_name(self.inputs.potential) == 'vasp':
            self.ctx.inputs |= {name: self.inputs[name] for name in ('potcars', 'kpoints') if name in self.inputs}
        self.ctx.inputs.metadata = AttributeDict({'options': dict(self.inputs.get('options', None) or {})})

    @process_handler(priority=500, exit_codes=None)
    def handle_interrupted(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a job that ran out of wall time, was killed, or ran up to a stored frame only (400, 401, 404)."""
        if node.exit_status not in (400, 401, 404):
            return None
        state = node.outputs.final_state
        if state.step <= self.ctx.last_step:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(step=self.ctx.last_step))
        self.ctx.last_step = state.step
        if 'trajectory' in node.outputs:
            self.ctx.segments.append(node.outputs.trajectory)
        self.ctx.inputs.checkpoint = state
        self.ctx.attempts_without_progress = 0
        self.report_error_handled(node, f'continue from step {state.step}')
        return ProcessHandlerReport(True)

    @process_handler(priority=490, exit_codes=None)
    def handle_interrupted_early(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Start again, three times at most, where a job was stopped before its first checkpoint (402)."""
        if node.exit_status != 402:
            return None
        self.ctx.attempts_without_progress = self.ctx.get('attempts_without_progress', 0) + 1
        if self.ctx.attempts_without_progress > 3:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(step=self.ctx.last_step))
        self.report_error_handled(node, f'start again from step {self.ctx.last_step}')
        return ProcessHandlerReport(True)

    @process_handler(priority=400, exit_codes=None)
    def handle_failed_run(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """End with the exit code of a run that failed for good (410-425), keeping the offending frame."""
        codes = {code.status: code for code in self.exit_codes.values() if 410 <= code.status < 430}
        if node.exit_status not in codes:
            return None
        if 'failed_frame' in node.outputs:
            self.out('failed_frame', node.outputs.failed_frame)
        return ProcessHandlerReport(True, codes[node.exit_status].format(message=node.exit_message))

    @process_handler(priority=450, exit_codes=None)
    def handle_uncertain(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Pass the outputs on, with the exit code, if the committee is uncertain (530, 730)."""
        codes = {code.status: code for code in self.exit_codes.values() if code.status in UNCERTAIN}
        if node.exit_status not in codes:
            return None
        self.ctx.is_finished = True
        self.results()
        return ProcessHandlerReport(True, codes[node.exit_status]._replace(message=node.exit_message))

    def results(self) -> Any:
        """Attach the outputs of the last job, with the frames of all segments."""
        node = self.ctx.children[self.ctx.iteration - 1]
        if not self.ctx.is_finished:
            return self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED
        segments = list(self.ctx.segments)
        if 'trajectory' in node.outputs:
            segments.append(node.outputs.trajectory)
        if len(segments) > 1:
            names = {f'segment_{index:03d}': segment for index, segment in enumerate(segments)}
            trajectory = concatenate_trajectories(
                **names, metadata={'call_link_label': 'concatenate', 'label': 'concatenate'}
            )
        elif segments:
            (trajectory,) = segments
        if segments:
            self.out('trajectory', trajectory)
        for name in ('final_state', 'results', 'deviations', 'uncertain_frames'):
            if name in node.outputs:
                self.out(name, node.outputs[name])
        return None

    def on_terminated(self) -> None:
        """Remove the work directories after a success; keep them for inspection after a failure."""
        if stage_finished(self.node):
            super().on_terminated()
        else:
            super(BaseRestartWorkChain, self).on_terminated()


def stage_finished(node: orm.ProcessNode) -> bool:
    """Return whether a stage has done all its steps, be its committee certain of them or not."""
    return node.is_finished_ok or node.exit_status == max(UNCERTAIN)


def engine_name(potential: PotentialData) -> str:
    """Return the engine that runs a potential: ``lammps``, ``vasp`` or ``engine``, which is `hdiff-engine`."""
    return engine_of(potential.architecture)


def engine_of(architecture: str) -> str:
    """Return the engine that runs potentials of an architecture."""
    return {'lammps': 'lammps', 'vasp-mlff': 'vasp'}.get(architecture, 'engine')


def job_plugin(engine: str) -> str:
    """Return the entry point of the job of an engine."""
    return next(plugin for plugin, name in CODE_PLUGINS.items() if name == engine)


def stage_plugin(code: orm.AbstractCode, potential: PotentialData) -> str:
    """Return the entry point of the job that runs a potential with a code.

    The default plugin of a `hdiff-engine` chooses between ASE and, for CHGNet and MACE, LAMMPS.
    """
    return LAMMPS_JOB if by_callback(code, potential.architecture) else job_plugin(engine_name(potential))


def by_callback(code: orm.AbstractCode, architecture: str) -> bool:
    """Return whether a code runs potentials of an architecture in LAMMPS with the forces of `hdiff-engine`."""
    return architecture in BY_CALLBACK and code.default_calc_job_plugin == LAMMPS_JOB


def engine_error(
    code: orm.AbstractCode, potential: PotentialData, options: Mapping[str, Any] | None = None
) -> str | None:
    """Return that an engine cannot run a potential, or ``None``."""
    engine = engine_name(potential)
    needed = job_plugin(engine)
    if CODE_PLUGINS.get(code.default_calc_job_plugin or '') == engine or by_callback(code, potential.architecture):
        runs_lammps = stage_plugin(code, potential) == LAMMPS_JOB
        return lammps_code_error(code, potential.architecture, options) if runs_lammps else None
    return (
        f'`code` {code.label!r} is set up for {code.default_calc_job_plugin!r}, which cannot run a '
        f'{potential.architecture} potential: give a code whose default plugin is {needed!r}.'
    )


def define_vasp_inputs(spec: Any) -> None:
    """Declare what a force field of VASP needs beside it; other potentials do without."""
    spec.input_namespace(
        'potcars', valid_type=orm.Data, dynamic=True, required=False,
        help='POTCARs by kind of `structure`, for a force field of VASP.',
    )  # fmt: skip
    spec.input(
        'kpoints', valid_type=orm.KpointsData, required=False,
        help='K-points that VASP reads and a force field does not use; the Γ point by default.',
    )  # fmt: skip


def vasp_inputs_error(
    value: Mapping[str, Any], potential: PotentialData, stages: Sequence[Mapping[str, Any]]
) -> str | None:
    """Return why VASP cannot run the stages of a potential, or ``None``; for another potential, what it does not take.

    Parameters
    ----------
    value
        Inputs with ``structure`` and, for VASP, ``potcars``.
    potential
        The potential.
    stages
        Settings of the stages, see `aiida_hdiff.engine.parameters.MDParameters`.
    """
    if engine_name(potential) != 'vasp':
        return None
    require_package('aiida_vasp', 'vasp')
    from aiida_hdiff.calculations.vasp_md import vasp_stage_error

    for stage in stages:
        error = vasp_stage_error(value['structure'], potential, value.get('potcars') or {}, dict(stage))
        if error:
            return error
    return None


def _checkpoint_error(value: dict[str, Any]) -> str | None:
    checkpoint = value.get('checkpoint')
    if checkpoint is None:
        return None
    in_lammps = stage_plugin(value['code'], value['potential']) == LAMMPS_JOB
    if checkpoint.engine is not None and (checkpoint.engine == 'lammps') != in_lammps:
        return (
            f'`checkpoint` was written by {checkpoint.engine}, from which `code` {value["code"].label!r} cannot '
            'continue: give a code of the same engine, or the checkpoint as `state`.'
        )
    if checkpoint.step < value['parameters']['steps']:
        return None
    return (
        f'`checkpoint` is of step {checkpoint.step}, but `parameters.steps` is {value["parameters"]["steps"]}: '
        'give more steps than the checkpoint has.'
    )


def _validate_code(value: orm.AbstractCode | None, _port: Any) -> str | None:
    if value is None or value.default_calc_job_plugin in CODE_PLUGINS:
        return None
    return (
        f'`code` {value.label!r} is set up for {value.default_calc_job_plugin!r}: give a code whose default plugin is '
        f'one of {", ".join(CODE_PLUGINS)} (`aiida-hdiff setup` makes them).'
    )
