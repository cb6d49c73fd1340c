"""From a crystal with hydrogen to D(T) by VASP alone: training on the fly, then molecular dynamics with it."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain

from aiida_hdiff.workflows.diffusion import LABEL, RESERVED_LABELS, DiffusionWorkChain
from aiida_hdiff.workflows.on_the_fly import OnTheFlyWorkChain

_FROM_TRAINING = ('structure', 'potentials', 'codes', 'potcars', 'kpoints')


class TrainedDiffusionWorkChain(WorkChain):
    """Train a force field on the fly and run the diffusion study with it, in one launch."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.expose_inputs(OnTheFlyWorkChain, namespace='training')
        spec.expose_inputs(
            DiffusionWorkChain, namespace='diffusion', exclude=_FROM_TRAINING, namespace_options={'validator': None}
        )
        spec.input(
            'label', valid_type=orm.Str, serializer=orm.to_aiida_type, default=lambda: orm.Str('vasp_mlff'),
            validator=_validate_label, help='Label of the force field in the diffusion study.',
        )  # fmt: skip
        spec.outline(cls.run_training, cls.inspect_training, cls.run_diffusion, cls.inspect_diffusion)
        spec.expose_outputs(OnTheFlyWorkChain, namespace='training')
        spec.expose_outputs(DiffusionWorkChain, namespace='diffusion')
        spec.exit_code(436, 'ERROR_TRAINING_FAILED', message='The training failed: {message}')
        spec.exit_code(437, 'ERROR_DIFFUSION_FAILED', message='The diffusion study failed: {message}')
        spec.exit_code(712, 'WARNING_DIFFUSION', message='Finished, but the diffusion study says: {message}')

    def run_training(self) -> ToContext:
        """Train the force field."""
        inputs = self.exposed_inputs(OnTheFlyWorkChain, 'training')
        inputs['metadata'] = {**inputs.get('metadata', {}), 'call_link_label': 'training'}
        return ToContext(training=self.submit(OnTheFlyWorkChain, **inputs))

    def inspect_training(self) -> ExitCode | None:
        """Attach what the training has found; without a force field end here."""
        node = self.ctx.training
        self.out_many(self.exposed_outputs(node, OnTheFlyWorkChain, 'training'))
        if not node.is_finished_ok:
            message = node.exit_message or node.process_state.value
            return self.exit_codes.ERROR_TRAINING_FAILED.format(message=message)
        return None

    def run_diffusion(self) -> ToContext:
        """Run the force field at all temperatures."""
        inputs = self.exposed_inputs(DiffusionWorkChain, 'diffusion')
        training = self.inputs.training
        inputs |= {
            'structure': training.structure,
            'potentials': {self.inputs.label.value: self.ctx.training.outputs.potential},
            'codes': {'vasp': training.code},
            'potcars': dict(training.potcars),
            'kpoints': training.kpoints,
            'metadata': {**inputs.get('metadata', {}), 'call_link_label': 'diffusion'},
        }
        return ToContext(diffusion=self.submit(DiffusionWorkChain, **inputs))

    def inspect_diffusion(self) -> ExitCode | None:
        """Attach D, Ea and D0."""
        node = self.ctx.diffusion
        self.out_many(self.exposed_outputs(node, DiffusionWorkChain, 'diffusion'))
        if node.is_finished_ok:
            return None
        message = node.exit_message or node.process_state.value
        warns = node.exit_status is not None and node.exit_status >= 700
        code = self.exit_codes.WARNING_DIFFUSION if warns else self.exit_codes.ERROR_DIFFUSION_FAILED
        return code.format(message=message)


def _validate_label(value: orm.Str | None, _port: Any) -> str | None:
    if value is None or (LABEL.fullmatch(value.value) and value.value not in RESERVED_LABELS):
        return None
    return f'`label` {value.value!r} cannot be used: give letters, digits and single underscores between them.'
