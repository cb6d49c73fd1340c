"""One training of a MACE model, continued until all its epochs are done."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_hdiff.calculations.mace_train import MaceTrainCalculation, define_mace_training, training_error
from aiida_hdiff.engine.mace_state import last_resume_file, resume_epoch
from aiida_hdiff.workflows.train_base import TrainStageWorkChain


class MaceTrainStageWorkChain(TrainStageWorkChain):
    """Train a MACE model; after a wall time or a lost node the next job goes on with the next epoch."""

    _process_class = MaceTrainCalculation
    _job_inputs = (
        'code', 'train', 'valid', 'test', 'foundation', 'replay', 'config', 'settings', 'seed', 'checkpoint',
    )  # fmt: skip

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports of this training."""
        super().define(spec)
        define_mace_training(spec)
        spec.inputs.validator = lambda value, _: training_error(value)

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        if 'checkpoint' in self.inputs:
            self.ctx.epoch = _epoch(self.inputs.checkpoint)

    def epochs_done(self, node: orm.CalcJobNode) -> int:
        """Return the epochs that a stopped job and those before it have done."""
        return _epoch(node.outputs.checkpoint) if 'checkpoint' in node.outputs else 0


def _epoch(checkpoint: orm.FolderData) -> int:
    name = last_resume_file(checkpoint.base.repository.list_object_names())
    return 0 if name is None else resume_epoch(name) or 0
