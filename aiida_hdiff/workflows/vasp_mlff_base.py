"""One stage of VASP's on-the-fly training, as a series of short jobs that survives what stops them."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
from aiida import orm
from aiida.common import AttributeDict
from aiida.common.links import LinkType
from aiida.engine import BaseRestartWorkChain, CalcJob, ExitCode, ProcessHandlerReport, process_handler, while_
from aiida.manage.caching import disable_caching
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations.chunks import next_chunk
from aiida_hdiff.calculations.training import THRESHOLD, chunk_parameters, collect_stage
from aiida_hdiff.common.calcjob import require_package
from aiida_hdiff.common.restart import HdiffRestartWorkChain
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.workflows.training_validation import PLUGIN, validate_code, validate_stage, validate_stage_inputs

NEW_TRAINING_SET_FILE = 'ML_ABN'
_JOB_LIMIT = 500
_LIMITS = {414: 'max_configurations', 415: 'max_local_configurations'}
_PASSED_ON = ('code', 'structure', 'kpoints', 'constraint', 'settings')


class VaspMlffBaseWorkChain(HdiffRestartWorkChain):
    """Ramp, train at a temperature, select or refit: jobs of some thousand steps, each from where the last one ended.

    A job that runs out of wall time or is killed is continued with the remaining steps at the temperature that the
    ramp has there. One whose SCF does not converge is continued with other random numbers in shorter jobs, first from
    where it failed, then from where it began; the settings of the density functional calculation never change. Where
    the training set outgrows ML_MCONF or ML_MB, they are enlarged. Whatever happens, all labelled frames come out.
    """

    _process_class = CalcJob

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, validator=validate_code, help='VASP.')
        spec.input('structure', valid_type=orm.StructureData, help='Atoms; their cell is that of the whole study.')
        spec.input('kpoints', valid_type=orm.KpointsData, help='k-points of the density functional calculation.')
        spec.input_namespace('potcars', valid_type=orm.Data, dynamic=True, help='PotcarData by kind.')
        spec.input(
            'parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type,
            help='INCAR tags of the stage, without those of a single job, as `stage_incar` gives them.',
        )  # fmt: skip
        spec.input(
            'stage', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=validate_stage,
            help='Steps, temperatures and limits of the stage, as `stage_settings` gives them.',
        )  # fmt: skip
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of all random numbers.')
        spec.input('state', valid_type=MDState, required=False, help='Positions, velocities and cell to start from.')
        spec.input('ml_ab', valid_type=orm.SinglefileData, required=False, help='Training set to continue from.')
        spec.input('ml_ab_folder', valid_type=orm.RemoteData, required=False, help='Job whose ML_ABN to continue from.')
        spec.input(
            'n_configurations', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(0),
            help='Number of configurations in the training set to continue from.',
        )  # fmt: skip
        spec.input(
            'n_local_configurations', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(0),
            help='Largest number of local reference configurations of an element in it.',
        )  # fmt: skip
        spec.input(
            'threshold', valid_type=orm.Float, serializer=orm.to_aiida_type, required=False,
            help='ML_CTIFOR (eV/Å) of the first job, instead of that of `stage`.',
        )  # fmt: skip
        spec.input(
            'constraint', valid_type=orm.Str, serializer=orm.to_aiida_type, required=False,
            help='What holds the shape of the cell at constant pressure, see `aiida_hdiff.formats.iconst`.',
        )  # fmt: skip
        spec.input(
            'store_ml_ab', valid_type=orm.Bool, serializer=orm.to_aiida_type, default=lambda: orm.Bool(False),
            help='Whether to store the ML_ABN of the last job as a node.',
        )  # fmt: skip
        spec.input('settings', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False, help='Of the jobs.')
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs['max_iterations'].default = lambda: orm.Int(_JOB_LIMIT)
        spec.inputs.validator = validate_stage_inputs
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.prepare_job, cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='All new labelled frames.')
        spec.output('learning', valid_type=orm.ArrayData, required=False, help='Bayesian errors, thresholds, status.')
        spec.output('statistics', valid_type=orm.Dict, required=False, help='Steps, calls, frames, errors, each job.')
        spec.output('final_state', valid_type=MDState, required=False, help='State after the last step.')
        spec.output('ml_ab_folder', valid_type=orm.RemoteData, required=False, help='Job with the last training set.')
        spec.output('ml_ab', valid_type=orm.SinglefileData, required=False, help='The last training set.')
        spec.output('force_field', valid_type=PotentialData, required=False, help='The refitted force field.')
        spec.output_namespace('trajectories', valid_type=MDTrajectory, dynamic=True, help='Trajectory of each job.')
        spec.exit_code(403, 'ERROR_NO_PROGRESS', message='The jobs end before they get further than step {step}.')
        spec.exit_code(413, 'ERROR_SCF_FAILED', message='The SCF failed {count} times from step {step} on: {message}')
        spec.exit_code(420, 'ERROR_VASP_FAILED', message='{message}')
        spec.exit_code(424, 'ERROR_SPECIES_ORDER', message='{message}')
        spec.exit_code(425, 'ERROR_BAD_VERSION', message='{message}')

    @property
    def process_class(self) -> Any:
        """The calculation job, imported when it is needed: it needs aiida-vasp."""
        require_package('aiida_vasp', 'vasp')
        return CalculationFactory(PLUGIN)

    def setup(self) -> None:
        """Begin at step 0 with the training set that is given."""
        super().setup()
        stage = self.inputs.stage.get_dict()
        self.ctx.stage, self.ctx.jobs, self.ctx.records = stage, [], []
        self.ctx.limits = {name: stage[name] for name in _LIMITS.values()}
        self.ctx.chunk_steps, self.ctx.attempt = stage['chunk_steps'], 0
        self.ctx.early_failures = self.ctx.scf_failures = 0
        self.ctx.without_cache = False
        self.ctx.position, self.ctx.state = 0, self.inputs.get('state', None)
        self.ctx.training_set = {name: self.inputs[name] for name in ('ml_ab', 'ml_ab_folder') if name in self.inputs}
        self.ctx.n_configurations = self.inputs.n_configurations.value
        self.ctx.n_local = self.inputs.n_local_configurations.value
        self.ctx.threshold = self.inputs.threshold.value if 'threshold' in self.inputs else stage['threshold_eV_A']
        self._remember_good_start()

    def prepare_job(self) -> None:
        """Set the inputs of the next job: what remains, from the last state and training set."""
        stage = self.ctx.stage
        chunk = next_chunk(
            self.ctx.position,
            steps=stage['steps'],
            chunk_steps=self.ctx.chunk_steps,
            start_K=stage['start_K'],
            end_K=stage['end_K'],
        )
        spare = stage['spare_configurations']
        limits = {
            'max_configurations': max(self.ctx.limits['max_configurations'], self.ctx.n_configurations + spare),
            'max_local_configurations': max(self.ctx.limits['max_local_configurations'], self.ctx.n_local + spare),
        }
        self.ctx.chunk = {
            'first_step': chunk.first_step,
            'steps': chunk.steps,
            'start_K': chunk.start_K,
            'end_K': chunk.end_K,
            'attempt': self.ctx.attempt,
            'threshold_eV_A': self.ctx.threshold,
            **limits,
        }
        inputs: dict[str, Any] = {name: self.inputs[name] for name in _PASSED_ON if name in self.inputs}
        inputs |= {
            'potential': dict(self.inputs.potcars),
            'parameters': chunk_parameters(
                self.inputs.parameters,
                self.inputs.stage,
                self.inputs.seed,
                orm.Dict(self.ctx.chunk),
                metadata={'call_link_label': f'parameters_{self.ctx.iteration + 1:02d}'},
            ),
            'first_step': orm.Int(chunk.first_step),
            **self.ctx.training_set,
            'metadata': {'options': dict(self.inputs.get('options', None) or {})},
        }
        if self.ctx.training_set:
            inputs['n_configurations'] = orm.Int(self.ctx.n_configurations)
        if self.ctx.state is not None:
            inputs['state'] = self.ctx.state
        if self.inputs.store_ml_ab.value and chunk.last_step == stage['steps']:
            inputs['store_ml_ab'] = orm.Bool(True)
        self.ctx.inputs = AttributeDict(inputs)

    def run_process(self) -> Any:
        """Submit the job; not from the cache if the files that the next one needs were gone."""
        context: Any = nullcontext()
        if self.ctx.without_cache:
            context = disable_caching(identifier=f'aiida.calculations:{PLUGIN}')
        with context:
            return super().run_process()

    def inspect_process(self) -> Any:
        """Record the job and call the handlers; attach the frames found so far if they give up."""
        node = self.ctx.children[self.ctx.iteration - 1]
        record = {
            'name': f'iteration_{self.ctx.iteration:02d}',
            'status': node.exit_status,
            'message': node.exit_message or '',
            'first_step': self.ctx.chunk['first_step'],
            'attempt': self.ctx.attempt,
            'action': '',
        }
        self.ctx.jobs, self.ctx.records = [*self.ctx.jobs, node], [*self.ctx.records, record]
        result = super().inspect_process()
        if isinstance(result, ExitCode) and result.status:
            self.collect()
        return result

    @process_handler(priority=600, exit_codes=None)
    def handle_finished(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Go on with the next job after one that has done all its steps (0, or 705 with a warning)."""
        if node.exit_status not in (0, 705):
            return None
        if self._is_useless_cache(node):
            self.ctx.without_cache = True
            self._handled(node, 'its files are gone since it was run: run it again without the cache')
            return ProcessHandlerReport(True)
        self._take(node)
        self.ctx.position = self.ctx.chunk['first_step'] + self.ctx.chunk['steps']
        self.ctx.without_cache, self.ctx.attempt = False, 0
        self.ctx.early_failures = self.ctx.scf_failures = 0
        self.ctx.chunk_steps = self.ctx.stage['chunk_steps']
        self._remember_good_start()
        if self._is_complete():
            self.ctx.is_finished = True
        self.report(f'{self.ctx.position} of {self.ctx.stage["steps"]} steps, {self.ctx.n_configurations} frames')
        return ProcessHandlerReport(True)

    @process_handler(priority=500, exit_codes=None)
    def handle_interrupted(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a job that ran out of wall time or was killed (400, 401), or start it again (402)."""
        if node.exit_status not in (400, 401, 402):
            return None
        if self._take(node):
            self.ctx.early_failures = 0
            self._remember_good_start()
            return self._continue(node, f'continue from step {self.ctx.position}')
        self.ctx.early_failures += 1
        if self.ctx.early_failures > self.ctx.stage['early_retries']:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(step=self.ctx.position))
        return self._continue(node, f'start again from step {self.ctx.position}')

    @process_handler(priority=490, exit_codes=None)
    def handle_scf_failed(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue after an SCF that did not converge (413), with other random numbers and shorter jobs.

        First from the last state before the failure; if that fails too, from where a job last ended well.
        """
        if node.exit_status != 413:
            return None
        self.ctx.scf_failures += 1
        if self.ctx.scf_failures > self.ctx.stage['scf_retries']:
            code = self.exit_codes.ERROR_SCF_FAILED
            position = self.ctx.good['position']
            return ProcessHandlerReport(
                True, code.format(count=self.ctx.scf_failures, step=position, message=node.exit_message)
            )
        if self.ctx.scf_failures > 1 or not self._take(node):
            self._go_back()
        self.ctx.attempt += 1
        self.ctx.chunk_steps = max(1, self.ctx.chunk_steps // 2)
        return self._continue(
            node,
            f'continue from step {self.ctx.position} with other random numbers, {self.ctx.chunk_steps} steps a job',
        )

    @process_handler(priority=480, exit_codes=None)
    def handle_limit_reached(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Enlarge ML_MCONF (414) or ML_MB (415), and continue."""
        if node.exit_status not in _LIMITS:
            return None
        name = _LIMITS[node.exit_status]
        value = math.ceil(self.ctx.stage['growth'] * self.ctx.chunk[name])
        self.ctx.limits = {**self.ctx.limits, name: value}
        if self._take(node):
            self.ctx.early_failures = 0
            self._remember_good_start()
        else:
            self.ctx.early_failures += 1
        if self.ctx.early_failures > self.ctx.stage['early_retries']:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(step=self.ctx.position))
        return self._continue(node, f'set {name} to {value} and continue from step {self.ctx.position}')

    @process_handler(priority=400, exit_codes=None)
    def handle_failed_run(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """End with the exit code of a job that no repetition would mend (420, 424, 425)."""
        codes = {code.status: code for code in self.exit_codes.values() if code.status in (420, 424, 425)}
        if node.exit_status not in codes:
            return None
        return ProcessHandlerReport(True, codes[node.exit_status].format(message=node.exit_message))

    def _continue(self, node: orm.CalcJobNode, action: str) -> ProcessHandlerReport:
        """Go on with the next job, or end the stage if its last step is done."""
        if self._is_complete():
            self.ctx.is_finished = True
            action = 'all steps are done'
        self._handled(node, action)
        return ProcessHandlerReport(True)

    def _handled(self, node: orm.CalcJobNode, action: str) -> None:
        self.ctx.records = [*self.ctx.records[:-1], {**self.ctx.records[-1], 'action': action}]
        self.report_error_handled(node, action)

    def _is_complete(self) -> bool:
        return bool(self.ctx.position >= self.ctx.stage['steps'])

    def _take(self, node: orm.CalcJobNode) -> bool:
        """Go on from the state and the training set of a job; return whether it got any further."""
        before, outputs = self.ctx.position, outputs_of(node)
        state = outputs.get('final_state')
        if state is not None and state.step > before:
            self.ctx.state, self.ctx.position = state, state.step
        self._take_training_set(node, outputs)
        learning = outputs.get('learning')
        if self.ctx.stage['adaptive'] and learning is not None and THRESHOLD in learning.get_arraynames():
            threshold = learning.get_array(THRESHOLD)
            threshold = threshold[np.isfinite(threshold) & (threshold > 0)]
            if len(threshold):
                self.ctx.threshold = float(threshold[-1])
        return bool(self.ctx.position > before)

    def _take_training_set(self, node: orm.CalcJobNode, outputs: dict[str, Any]) -> None:
        """Hand on ML_ABN, unless it is not there, not complete, or holds a label of an SCF that did not converge."""
        misc = outputs['misc'].get_dict() if 'misc' in outputs else {}
        count, dataset = misc.get('n_configurations'), outputs.get('dataset')
        # The frames of ML_ABN come first in the data set.
        converged = () if dataset is None else dataset.get_array('scf_converged')
        n_new = -1 if count is None else count - self.ctx.n_configurations
        if not 0 <= n_new <= len(converged) or 0 in converged[:n_new] or 'remote_folder' not in outputs:
            if self.ctx.stage['mode'] == 'train':
                self.report(f'the training set of {node.process_label}<{node.pk}> is not handed on')
            return
        self.ctx.training_set = {'ml_ab_folder': outputs['remote_folder']}
        self.ctx.n_configurations = count
        self.ctx.n_local = max((misc.get('n_local_configurations') or {'': 0}).values())

    def _remember_good_start(self) -> None:
        names = ('position', 'state', 'training_set', 'n_configurations', 'n_local', 'threshold')
        self.ctx.good = AttributeDict({name: self.ctx[name] for name in names})

    def _go_back(self) -> None:
        for name, value in self.ctx.good.items():
            self.ctx[name] = value

    def _is_useless_cache(self, node: orm.CalcJobNode) -> bool:
        """Whether a job comes from the cache and the remote file that the next one needs is no longer there."""
        needed = self.ctx.stage['mode'] != 'refit' and not self.ctx.without_cache
        if not (needed and node.base.caching.is_created_from_cache):
            return False
        try:
            return NEW_TRAINING_SET_FILE not in node.outputs.remote_folder.listdir()
        except OSError:
            return True

    def collect(self) -> None:
        """Attach the frames, the learning and the statistics of all jobs so far."""
        found = {record['name']: outputs_of(node) for record, node in zip(self.ctx.records, self.ctx.jobs, strict=True)}
        outputs = {
            f'{kind}_{name}': nodes[kind]
            for name, nodes in found.items()
            for kind in ('dataset', 'learning', 'misc')
            if kind in nodes
        }
        record = {
            'jobs': self.ctx.records,
            'n_configurations': self.ctx.n_configurations,
            'n_local_configurations': self.ctx.n_local,
            'threshold_eV_A': self.ctx.threshold,
        }
        collected = collect_stage(
            self.inputs.stage, orm.Dict(record), **outputs, metadata={'call_link_label': 'collect'}
        )
        self.out_many(collected)
        for name, nodes in found.items():
            if 'trajectory' in nodes:
                self.out(f'trajectories.{name}', nodes['trajectory'])

    def results(self) -> Any:
        """Attach all outputs."""
        self.collect()
        if not self.ctx.is_finished:
            return self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED
        if self.ctx.state is not None and self.ctx.stage['mode'] == 'train':
            self.out('final_state', self.ctx.state)
        if 'ml_ab_folder' in self.ctx.training_set:
            self.out('ml_ab_folder', self.ctx.training_set['ml_ab_folder'])
        outputs = outputs_of(self.ctx.jobs[-1])
        if 'force_field' in outputs:
            self.out('force_field', outputs['force_field'])
        handed_on = self.ctx.training_set.get('ml_ab_folder')
        if 'ml_ab' in outputs and handed_on is not None and handed_on.pk == outputs['remote_folder'].pk:
            self.out('ml_ab', outputs['ml_ab'])
        return None

    def on_terminated(self) -> None:
        """Remove the work directories after a success; keep them for inspection after a failure."""
        if self.node.is_finished_ok:
            super().on_terminated()
        else:
            super(BaseRestartWorkChain, self).on_terminated()


def outputs_of(node: orm.CalcJobNode) -> dict[str, Any]:
    """Return the outputs of a job by label, by one query."""
    links = node.base.links.get_outgoing(link_type=LinkType.CREATE)
    return {link.link_label: link.node for link in links.all()}
