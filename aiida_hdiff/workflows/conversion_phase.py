"""The phase of a study between trainings and molecular dynamics: MACE models are converted for faster kernels."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations.stages import STAGES, stage_settings
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.codes import code_key
from aiida_hdiff.workflows.training_phase import TrainingPhase

WORTHWHILE_STEPS = 20_000
"""A conversion takes one to five minutes; it is done for models that make at least so many steps in the study."""


class ConversionPhase(TrainingPhase):
    """A workchain that converts its MACE models once, before it runs them; a model that cannot be runs as it is."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare what comes out."""
        super().define(spec)
        spec.output_namespace(
            'converted', valid_type=PotentialData, dynamic=True, help='MACE models in both forms, by potential.'
        )

    def prepare_conversions(self) -> None:
        """List the models to convert."""
        settings = self.inputs.settings.get_dict()
        steps = sum(int(stage_settings(settings, stage, 300.0, 1)['steps']) for stage in STAGES)
        steps *= len(self.inputs.temperatures.get_list()) * self.inputs.replicas.value
        wanted = settings['calculator'] == 'fast' or (settings['calculator'] == 'auto' and steps >= WORTHWHILE_STEPS)
        found = self.run_potentials().items() if wanted else ()
        self.ctx.conversions = {conversion_label(label): label for label, one in found if is_convertible(one)}

    def conversion_labels(self) -> list[str]:
        """Return the labels of the conversions that run now; none before and after this phase."""
        return list(self.ctx.get('conversions', {}))

    def submit_conversion(self, label: str) -> orm.ProcessNode:
        """Submit the conversion with a call link label."""
        name = self.ctx.conversions[label]
        potential = self.run_potentials()[name]
        inputs = {
            'code': self.inputs.codes[code_key(potential.architecture, self.inputs.codes)],
            'potential': potential,
            'structure': self.inputs.structure,
            'dtype': orm.Str(potential.options.get('dtype', 'float64')),
        }
        metadata: dict[str, Any] = {'call_link_label': label, 'label': f'{name} conversion'}
        if self.inputs.get('options', None):
            metadata['options'] = dict(self.inputs.options)
        return self.submit(CalculationFactory('hdiff.mace_convert'), **inputs, metadata=metadata)

    def inspect_conversions(self) -> None:
        """Take the converted models; say which run by mace-torch, and why."""
        children, converted = self.children(), {}
        for child_label, name in self.ctx.conversions.items():
            child = children[child_label]
            if child.is_finished_ok:
                converted[name] = child.outputs.potential.uuid
                self.out(f'converted.{name}', child.outputs.potential)
            else:
                reason = child.exit_message or f'process {child.process_state.value}'
                self.report(f'{name} runs by mace-torch: {reason}')
        self.ctx.conversions, self.ctx.converted = {}, converted

    def run_potentials(self) -> dict[str, PotentialData]:
        """Return the potentials that run molecular dynamics, those that were converted in both forms."""
        converted = self.ctx.get('converted', {})
        return {
            label: orm.load_node(converted[label]) if label in converted else one
            for label, one in super().run_potentials().items()
        }


def conversion_label(label: str) -> str:
    """Return the call link label of the conversion of a potential."""
    return f'convert_{label}'


def is_convertible(potential: PotentialData) -> bool:
    """Return whether a potential is a MACE model in one form only, for a CPU."""
    return (
        potential.architecture == 'mace'
        and potential.converted_file is None
        and potential.options.get('device', 'cpu') == 'cpu'
    )
