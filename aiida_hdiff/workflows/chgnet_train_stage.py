"""One fine-tuning of CHGNet, continued until all its epochs are done."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_hdiff.calculations.chgnet_train import ChgnetTrainCalculation, define_chgnet_training, training_error
from aiida_hdiff.workflows.train_base import TrainStageWorkChain


class ChgnetTrainStageWorkChain(TrainStageWorkChain):
    """Fine-tune CHGNet; after a wall time or a lost node the next job goes on with the next epoch."""

    _process_class = ChgnetTrainCalculation
    _job_inputs = ('code', 'foundation', 'train', 'valid', 'test', 'magmoms', 'settings', 'seed', 'checkpoint')

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the ports of this training."""
        super().define(spec)
        define_chgnet_training(spec)
        spec.inputs.validator = lambda value, _: training_error(value)

    def epochs_done(self, node: orm.CalcJobNode) -> int:
        """Return the epochs that a stopped job and those before it have done."""
        return int(node.outputs.results['epochs']) if 'results' in node.outputs else 0
