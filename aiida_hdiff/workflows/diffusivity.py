"""The diffusion coefficient of one potential at one temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode, ToContext, if_, while_

from aiida_hdiff.calculations.diffusion import diffusivity_from_trajectory
from aiida_hdiff.calculations.md_committee import committee_error
from aiida_hdiff.calculations.sites import hydrogen_sites
from aiida_hdiff.calculations.stages import check_nve, stage_parameters, stage_settings
from aiida_hdiff.calculations.structure_analysis import (
    check_structure,
    hydrogen_correlations,
    radial_distributions,
)
from aiida_hdiff.calculations.trajectories import mean_energy_state, mean_volume_state
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.diffusivity import DiffusivityData
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.workflows.convergence import VASP_INPUTS, ConvergenceLoop
from aiida_hdiff.workflows.md_stage import (
    MDStageWorkChain,
    define_vasp_inputs,
    engine_error,
    engine_name,
    stage_finished,
)
from aiida_hdiff.workflows.validation import code_error, options_error, settings_error, system_error, vasp_error


class DiffusivityWorkChain(ConvergenceLoop):
    """NpT → mean volume → NVT → mean-energy frame → NVE → mean squared displacement → D.

    An NVE run whose mean temperature is off is repeated once after another equilibration; one that drifts is repeated
    once with half the time step. With `convergence.relative_error` in the settings, the run is extended, or further
    replicas are run, until the error of D is below it or `convergence.max_production_ps` is spent.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='Host crystal with hydrogen in it.')
        spec.input('potential', valid_type=PotentialData, help='Potential that moves the atoms.')
        spec.input('code', valid_type=orm.AbstractCode, help='Engine that moves the atoms.')
        spec.input(
            'temperature', valid_type=orm.Float, serializer=orm.to_aiida_type, validator=_validate_temperature,
            help='Target temperature (K).',
        )  # fmt: skip
        spec.input(
            'settings', valid_type=orm.Dict, serializer=orm.to_aiida_type,
            validator=lambda value, _: settings_error(value.get_dict()),
            help='Settings of the stages and the analysis, as a protocol gives them.',
        )  # fmt: skip
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of all random numbers.')
        spec.input(
            'replica', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(0),
            help='Number of the replica: runs that differ in it share no random numbers.',
        )  # fmt: skip
        define_vasp_inputs(spec)
        spec.input_namespace(
            'committee', valid_type=PotentialData, dynamic=True, required=False,
            help='Further potentials that watch over all stages, see `committee` of the settings.',
        )  # fmt: skip
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs.validator = cls._validate
        spec.outline(
            cls.setup,
            cls.run_npt,
            cls.rerun_excepted_stage,
            cls.inspect_npt,
            while_(cls.should_run_nve)(
                cls.run_nvt,
                cls.rerun_excepted_stage,
                cls.inspect_nvt,
                cls.run_nve,
                cls.rerun_excepted_stage,
                cls.inspect_nve,
            ),
            cls.analyse,
            while_(cls.should_continue)(
                if_(cls.adds_replicas)(
                    cls.run_replicas,
                    cls.inspect_replicas,
                ).else_(
                    cls.run_extension,
                    cls.rerun_excepted_stage,
                    cls.inspect_extension,
                ),
            ),
            cls.results,
        )
        spec.output('diffusivity', valid_type=DiffusivityData, help='D, its error, temperature and status.')
        spec.output('msd', valid_type=orm.ArrayData, help='Mean squared displacement of hydrogen.')
        spec.output('rdf', valid_type=orm.ArrayData, help='Partial radial distribution functions.')
        spec.output('sites', valid_type=orm.ArrayData, help='Interstitial sites, their occupation, jump rates.')
        spec.output('jumps', valid_type=orm.ArrayData, help='Jumps of hydrogen between sites.')
        spec.output('correlations', valid_type=orm.ArrayData, help='H-H pairs, van Hove, collective diffusion.')
        spec.output('structure_check', valid_type=orm.Dict, help='Warnings: H2, clustering, melting, phase change.')
        spec.output('trajectory', valid_type=MDTrajectory, help='The NVE run, before extensions.')
        spec.output_namespace(
            'extensions', valid_type=MDTrajectory, dynamic=True, help='The extensions of the NVE run, in order of name.'
        )
        spec.output('check', valid_type=orm.Dict, help='Mean temperature and drift of the NVE run.')
        spec.output('final_state', valid_type=MDState, help='State at the end of the NVE run.')
        spec.output_namespace(
            'uncertain_frames', valid_type=ConfigurationsData, dynamic=True,
            help='Configurations of which the committee is uncertain, by stage.',
        )  # fmt: skip
        spec.exit_code(431, 'ERROR_NPT_FAILED', message='The NpT stage failed: {message}')
        spec.exit_code(432, 'ERROR_NVT_FAILED', message='The NVT stage failed: {message}')
        spec.exit_code(433, 'ERROR_NVE_FAILED', message='The NVE stage failed: {message}')
        spec.exit_code(
            501,
            'ERROR_TEMPERATURE',
            message='The mean NVE temperature stays {mean:.1f} K where {target:.1f} K was asked.',
        )
        spec.exit_code(
            502, 'ERROR_DRIFT', message='The energy drifts by {drift:.3g} meV/atom/ns at half the time step.'
        )
        spec.exit_code(503, 'NOT_CONVERGED', message='D is kept, but its error is above the target: {reason}')
        spec.exit_code(730, 'WARNING_UNCERTAIN', message='Finished, but the committee was uncertain in {stages}.')

    @classmethod
    def _validate(cls, value: dict[str, Any], _port: Any) -> str | None:
        code, potential = value['code'], value['potential']
        return (
            engine_error(code, potential, value.get('options'))
            or code_error(code)
            or options_error(value.get('options') or {}, code)
            or trust_error(potential, value.get('options'))
            or _committee_error(value)
            or system_error(value['structure'], {'potential': potential}, value['settings'].get_dict())
            or vasp_error(value, potential, value['settings'].get_dict(), value['temperature'].value)
        )

    def setup(self) -> None:
        """Start with the time step of the settings."""
        self.ctx.settings = self.inputs.settings.get_dict()
        self.ctx.timestep_fs = self.ctx.settings['timestep_fs']
        self.ctx.attempt = 0
        self.ctx.reequilibrated = self.ctx.halved = self.ctx.accepted = False
        self.ctx.extensions, self.ctx.replicas, self.ctx.stopped = {}, [], ''
        self.ctx.uncertain = []

    def run_npt(self) -> ToContext:
        """Equilibrate the volume."""
        return ToContext(stage=self._submit_stage('npt', None))

    def rerun_excepted_stage(self) -> ToContext | None:
        """Run a stage once more that ended in an exception, as it may when a daemon worker dies."""
        if not self.ctx.stage.is_excepted:
            return None
        self.report(f'MDStageWorkChain<{self.ctx.stage.pk}> ended in an exception: run it once more')
        return ToContext(stage=self._submit_stage(**self.ctx.submitted))

    def inspect_npt(self) -> ExitCode | None:
        """Scale the last state to the mean volume."""
        stage = self._ended_stage()
        if not stage_finished(stage):
            return self.exit_codes.ERROR_NPT_FAILED.format(message=stage.exit_message)
        self.ctx.state = mean_volume_state(
            stage.outputs.trajectory,
            stage.outputs.final_state,
            self.inputs.settings,
            metadata={'call_link_label': 'mean_volume'},
        )
        volume = abs(float(np.linalg.det(self.ctx.state.get_array('cell'))))
        change = volume / self.inputs.structure.get_cell_volume() - 1.0
        limit = self.inputs.settings['gate']['max_volume_change']
        if abs(change) > limit:
            message = (
                f'the volume has changed by {100.0 * change:+.0f} %, more than `gate.max_volume_change` '
                f'({100.0 * limit:g} %): the potential does not hold the crystal together.'
            )
            return self.exit_codes.ERROR_NPT_FAILED.format(message=message)
        return None

    def should_run_nve(self) -> bool:
        """Whether no NVE run has been accepted yet."""
        return not self.ctx.accepted

    def run_nvt(self) -> ToContext:
        """Equilibrate at the mean volume."""
        return ToContext(stage=self._submit_stage('nvt', self.ctx.state))

    def inspect_nvt(self) -> ExitCode | None:
        """Choose the frame nearest the mean energy."""
        stage = self._ended_stage()
        if not stage_finished(stage):
            return self.exit_codes.ERROR_NVT_FAILED.format(message=stage.exit_message)
        # VASP stores no velocities with its frames: they are drawn with the seed of the stage.
        drawn = {'parameters': stage.inputs.parameters} if engine_name(self.inputs.potential) == 'vasp' else {}
        self.ctx.nve_start = mean_energy_state(
            stage.outputs.trajectory, self.inputs.settings, **drawn, metadata={'call_link_label': 'mean_energy'}
        )
        return None

    def run_nve(self) -> ToContext:
        """Produce."""
        return ToContext(stage=self._submit_stage('nve', self.ctx.nve_start))

    def inspect_nve(self) -> ExitCode | None:
        """Accept the run, or choose the remedy; each is tried once."""
        stage = self._ended_stage()
        if not stage_finished(stage):
            return self.exit_codes.ERROR_NVE_FAILED.format(message=stage.exit_message)
        self.ctx.trajectory, self.ctx.attempt = stage.outputs.trajectory, self.ctx.attempt + 1
        self.ctx.check = check = self._check({})
        if not check['drift_accepted']:
            drift = check['drift_meV_per_atom_per_ns']
            if self.ctx.halved:
                return self.exit_codes.ERROR_DRIFT.format(drift=drift)
            self.ctx.halved = True
            self.ctx.timestep_fs /= 2
            self.report(f'NVE energy drifts by {drift:.3g} meV/atom/ns: repeat with {self.ctx.timestep_fs} fs')
        elif not check['temperature_accepted']:
            mean, target = check['mean_temperature_K'], self.inputs.temperature.value
            if self.ctx.reequilibrated:
                return self.exit_codes.ERROR_TEMPERATURE.format(mean=mean, target=target)
            self.ctx.reequilibrated = True
            self.report(f'NVE ran at {mean:.1f} K instead of {target:.1f} K: equilibrate again')
        else:
            self.ctx.accepted = True
        return None

    def analyse(self) -> None:
        """From the NVE run to D."""
        self.ctx.final_state = self.ctx.stage.outputs.final_state
        self.ctx.production_ps = self.ctx.settings['nve']['time_ps']
        self._estimate()

    def results(self) -> ExitCode | None:
        """Analyse what else the run tells, and attach all outputs."""
        settings, trajectory, extensions = self.inputs.settings, self.ctx.trajectory, self.ctx.extensions
        diffusivity = self.ctx.own_diffusivity
        self.out('rdf', radial_distributions(trajectory, settings, **extensions, metadata={'call_link_label': 'rdf'}))
        self.out_many(
            hydrogen_sites(trajectory, diffusivity, settings, **extensions, metadata={'call_link_label': 'sites'})
        )
        self.out(
            'correlations',
            hydrogen_correlations(
                trajectory, diffusivity, settings, **extensions, metadata={'call_link_label': 'correlations'}
            ),
        )
        check = check_structure(trajectory, settings, **extensions, metadata={'call_link_label': 'check_structure'})
        self.out('structure_check', check)
        for warning in check['warnings']:
            self.report(f'warning: {warning["message"]}')
        self.out('diffusivity', self.ctx.diffusivity)
        self.out('msd', self.ctx.msd)
        self.out('trajectory', trajectory)
        for name, extension in extensions.items():
            self.out(f'extensions.{name}', extension)
        self.out('check', self.ctx.check)
        self.out('final_state', self.ctx.final_state)
        self.report(str(self.ctx.diffusivity))
        target, error = self.ctx.settings['convergence']['relative_error'], self.ctx.diffusivity.relative_error
        if target is None or (error is not None and error <= target):
            stages = ', '.join(self.ctx.uncertain)
            return self.exit_codes.WARNING_UNCERTAIN.format(stages=stages) if stages else None
        found = 'D is not resolved' if error is None else f'the relative error is {error:.3f}'
        reason = self.ctx.stopped or 'raise `convergence.max_production_ps`.'
        return self.exit_codes.NOT_CONVERGED.format(
            reason=f'{found} after {self.ctx.production_ps:g} ps, the target {target:g}; {reason}'
        )

    def _ended_stage(self) -> orm.ProcessNode:
        """Return the stage that has ended, after keeping the frames of which the committee was uncertain."""
        stage = self.ctx.stage
        if 'uncertain_frames' in stage.outputs:
            label = stage.base.links.get_incoming(link_type=LinkType.CALL_WORK).one().link_label
            self.ctx.uncertain = [*self.ctx.uncertain, label]
            self.out(f'uncertain_frames.{label}', stage.outputs.uncertain_frames)
        return stage

    def _check(self, extensions: Mapping[str, MDTrajectory]) -> orm.Dict:
        return check_nve(
            self.ctx.trajectory,
            self.inputs.temperature,
            self.inputs.settings,
            **extensions,
            metadata={'call_link_label': 'check_nve'},
        )

    def _estimate(self) -> None:
        outputs = diffusivity_from_trajectory(
            self.ctx.trajectory,
            self.inputs.temperature,
            self.ctx.check,
            self.inputs.settings,
            **self.ctx.extensions,
            metadata={'call_link_label': 'diffusivity'},
        )
        self.ctx.diffusivity = self.ctx.own_diffusivity = outputs['diffusivity']
        self.ctx.msd = outputs['msd']

    def _submit_stage(self, stage: str, state: MDState | None, *, time_ps: float | None = None) -> orm.ProcessNode:
        """Submit a stage; with ``time_ps`` extend the last NVE run, whose attempt counts, to this length."""
        self.ctx.submitted = {'stage': stage, 'state': state, 'time_ps': time_ps}
        attempt = self.ctx.attempt - (time_ps is not None)
        run: dict[str, Any] = {'replica': self.inputs.replica.value, 'attempt': attempt}
        if time_ps is not None:
            run['time_ps'] = time_ps
        if self.inputs.get('committee', None):
            run['committee'] = True
        if self.ctx.halved:
            run['timestep_fs'] = self.ctx.timestep_fs
        parameters = stage_parameters(
            self.inputs.settings,
            orm.Str(stage),
            self.inputs.temperature,
            self.inputs.seed,
            orm.Dict(run),
            metadata={'call_link_label': f'{stage}_parameters'},
        )
        label = stage if not attempt else f'{stage}_{attempt + 1}'
        if time_ps is not None:
            label = f'{stage}_extension_{len(self.ctx.extensions) + 1}'
        inputs: dict[str, Any] = {
            'code': self.inputs.code,
            'structure': self.inputs.structure,
            'potential': self.inputs.potential,
            'parameters': parameters,
            'metadata': {'call_link_label': label, 'label': f'{stage} {self.inputs.temperature.value:g} K'},
        }
        if state is not None:
            inputs['state'] = state
        if time_ps is not None:
            inputs['checkpoint'] = self.ctx.final_state
        names = ('options', 'committee', *VASP_INPUTS)
        inputs |= {name: self.inputs[name] for name in names if self.inputs.get(name, None)}
        return self.submit(MDStageWorkChain, **inputs)

    @classmethod
    def get_builder_from_protocol(
        cls,
        structure: orm.StructureData,
        potential: PotentialData,
        code: orm.AbstractCode,
        temperature_K: float,
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        seed: int = 1,
        options: dict[str, Any] | None = None,
        potcars: Mapping[str, orm.Data] | None = None,
    ) -> Any:
        """Return a builder with the settings of a protocol; a force field of VASP needs the POTCARs by kind.

        Raises
        ------
        ValueError
            If the protocol or a key of the overrides is unknown.
        """
        builder = cls.get_builder()
        builder.structure, builder.potential, builder.code = structure, potential, code
        builder.temperature, builder.seed = orm.Float(temperature_K), orm.Int(seed)
        builder.settings = orm.Dict(cls.get_protocol_settings(protocol, overrides))
        if options:
            builder.options = options
        if potcars:
            builder.potcars = dict(potcars)
        return builder


def _committee_error(value: Mapping[str, Any]) -> str | None:
    if not value.get('committee'):
        return None
    parameters = stage_settings(value['settings'].get_dict(), 'nve', value['temperature'].value, 1, committee=True)
    return committee_error({**value, 'parameters': orm.Dict(parameters)})


def _validate_temperature(value: orm.Float | None, _port: Any) -> str | None:
    if value is not None and not value.value > 0:
        return f'`temperature` is {value.value}: give a positive number in K.'
    return None
