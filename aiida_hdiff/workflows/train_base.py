"""What the trainings of all potentials share: jobs that go on where the last one stopped."""

from __future__ import annotations

from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ProcessHandlerReport, process_handler, while_

from aiida_hdiff.calculations.training_sets import define_failures
from aiida_hdiff.common.restart import HdiffRestartWorkChain

_JOB_LIMIT = 100
_EARLY_LIMIT = 3
_OUTPUTS = ('potential', 'curves', 'results')


class TrainStageWorkChain(HdiffRestartWorkChain):
    """Train a potential; after a wall time or a lost node the next job goes on with the next epoch."""

    _job_inputs: ClassVar[tuple[str, ...]]

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, help='`hdiff-engine` of an environment that can train.')
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs['max_iterations'].default = lambda: orm.Int(_JOB_LIMIT)
        spec.inputs['clean_workdir'].default = lambda: orm.Bool(True)
        spec.inputs['clean_workdir'].help = 'Remove the work directories of the jobs if the training succeeds.'
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.exit_code(403, 'ERROR_NO_PROGRESS', message='The jobs end before they get further than epoch {epoch}.')
        define_failures(spec)

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs = AttributeDict({name: self.inputs[name] for name in self._job_inputs if name in self.inputs})
        self.ctx.inputs.metadata = AttributeDict({'options': dict(self.inputs.get('options', None) or {})})
        self.ctx.epoch = self.ctx.attempts_without_progress = 0

    @process_handler(priority=500, exit_codes=None)
    def handle_interrupted(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Go on where a job ran out of wall time or was killed (400-402); three times at most without a new epoch."""
        if node.exit_status not in (400, 401, 402):
            return None
        epoch = self.epochs_done(node)
        if epoch > self.ctx.epoch:
            self.ctx.epoch, self.ctx.attempts_without_progress = epoch, 0
        else:
            self.ctx.attempts_without_progress += 1
            if self.ctx.attempts_without_progress > _EARLY_LIMIT:
                return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(epoch=self.ctx.epoch))
        if 'checkpoint' in node.outputs:
            self.ctx.inputs.checkpoint = node.outputs.checkpoint
        self.report_error_handled(node, f'go on after epoch {self.ctx.epoch}')
        return ProcessHandlerReport(True)

    def epochs_done(self, node: orm.CalcJobNode) -> int:
        """Return the epochs that a stopped job and those before it have done."""
        raise NotImplementedError

    @process_handler(priority=400, exit_codes=None)
    def handle_failed_run(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """End with the exit code of a training that failed for good (411-426)."""
        codes = {code.status: code for code in self.exit_codes.values() if 410 < code.status < 430}
        if node.exit_status not in codes:
            return None
        for name in ('curves', 'results'):
            if name in node.outputs:
                self.out(name, node.outputs[name])
        _, _, reason = (node.exit_message or '').partition(': ')
        return ProcessHandlerReport(True, codes[node.exit_status].format(reason=reason))

    def results(self) -> Any:
        """Attach the outputs of the last job, if all epochs are done."""
        return super().results() if self.ctx.is_finished else self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED

    def get_outputs(self, node: orm.CalcJobNode) -> dict[str, orm.Node]:
        """Return the outputs of the last job, which the subclasses declare instead of exposing them."""
        return {name: node.outputs[name] for name in _OUTPUTS if name in node.outputs}
