"""One training of a MACE model, continued until all its epochs are done."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ProcessHandlerReport, process_handler, while_

from aiida_hdiff.calculations.mace_train import (
    MaceTrainCalculation,
    define_failures,
    define_mace_training,
    training_error,
)
from aiida_hdiff.common.restart import HdiffRestartWorkChain
from aiida_hdiff.engine.mace_state import last_resume_file, resume_epoch

_JOB_LIMIT = 100
_EARLY_LIMIT = 3
_JOB_INPUTS = ('code', 'train', 'valid', 'test', 'foundation', 'replay', 'config', 'settings', 'seed', 'checkpoint')


class MaceTrainStageWorkChain(HdiffRestartWorkChain):
    """Train a MACE model; after a wall time or a lost node the next job goes on with the next epoch."""

    _process_class = MaceTrainCalculation

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, help='`hdiff-engine` of an environment with mace.')
        define_mace_training(spec)
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs['max_iterations'].default = lambda: orm.Int(_JOB_LIMIT)
        spec.inputs['clean_workdir'].default = lambda: orm.Bool(True)
        spec.inputs['clean_workdir'].help = 'Remove the work directories of the jobs if the training succeeds.'
        spec.inputs.validator = lambda value, _: training_error(value)
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
        self.ctx.inputs = AttributeDict({name: self.inputs[name] for name in _JOB_INPUTS if name in self.inputs})
        self.ctx.inputs.metadata = AttributeDict({'options': dict(self.inputs.get('options', None) or {})})
        self.ctx.epoch = _epoch(self.inputs.checkpoint) if 'checkpoint' in self.inputs else 0
        self.ctx.attempts_without_progress = 0

    @process_handler(priority=500, exit_codes=None)
    def handle_interrupted(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Go on where a job ran out of wall time or was killed (400, 401)."""
        if node.exit_status not in (400, 401):
            return None
        self.ctx.epoch = _epoch(node.outputs.checkpoint)
        self.ctx.inputs.checkpoint = node.outputs.checkpoint
        self.ctx.attempts_without_progress = 0
        self.report_error_handled(node, f'go on with epoch {self.ctx.epoch}')
        return ProcessHandlerReport(True)

    @process_handler(priority=490, exit_codes=None)
    def handle_interrupted_early(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Try again, three times at most, where a job was stopped within its first epoch (402)."""
        if node.exit_status != 402:
            return None
        self.ctx.attempts_without_progress += 1
        if self.ctx.attempts_without_progress > _EARLY_LIMIT:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(epoch=self.ctx.epoch))
        self.report_error_handled(node, f'try epoch {self.ctx.epoch} again')
        return ProcessHandlerReport(True)

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
        """Return the outputs of the last job that are outputs of the training."""
        return {name: node.outputs[name] for name in ('potential', 'curves', 'results') if name in node.outputs}


def _epoch(checkpoint: orm.FolderData) -> int:
    name = last_resume_file(checkpoint.base.repository.list_object_names())
    return 0 if name is None else resume_epoch(name) or 0
