"""The workchain that trains a potential of each kind, with its inputs and what of its outputs is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida.plugins import WorkflowFactory

from aiida_hdiff.workflows.codes import code_key
from aiida_hdiff.workflows.train_plan import DISTILLED, VASP_MLFF, entry_architecture

_OF_ENGINE = {'potential': 'potential', 'curves': 'curves', 'results': 'training'}
_OF_DISTILLING = {'potential': 'potential', 'results': 'training', 'dataset': 'dataset'}
_OF_REFIT = {'potential': 'potential', 'learning': 'curves', 'statistics': 'training'}
_SETS = ('train', 'valid', 'test')


@dataclass(frozen=True)
class TrainingStage:
    """A workchain that trains.

    Attributes
    ----------
    entry_point
        Of the workchain.
    inputs
        Its inputs, without metadata.
    outputs
        Its outputs, with the names that they get in `hdiff.train`.
    """

    entry_point: str
    inputs: dict[str, Any]
    outputs: dict[str, str]

    def error(self, *, partly: bool = False) -> str | None:
        """Return what the workchain would refuse, or ``None``; ``partly``: as far as single inputs tell."""
        port = WorkflowFactory(self.entry_point).spec().inputs
        if partly:
            problems = (port[name].validate(value) for name, value in self.inputs.items())
            problem = next((one for one in problems if one is not None), None)
        else:
            problem = port.validate(port.pre_process(dict(self.inputs)))
        return None if problem is None else str(problem.message)


def architecture_of(inputs: Mapping[str, Any]) -> str:
    """Return the architecture of the potential that comes out of the inputs of `hdiff.train`."""
    return entry_architecture(
        inputs['kind'].value,
        foundation=inputs['foundation'].architecture if 'foundation' in inputs else None,
        potential=inputs['potential'].architecture if 'potential' in inputs else None,
        named=inputs['architecture'].value if 'architecture' in inputs else None,
    )


def training_stage(inputs: Mapping[str, Any]) -> TrainingStage:
    """Return the workchain for the inputs of `hdiff.train`, of a kind that is trained."""
    kind, codes = inputs['kind'].value, inputs['codes']
    architecture = architecture_of(inputs)
    if kind == DISTILLED:
        names: tuple[str, ...] = (
            'teacher', 'structure', 'training_cell', 'label_settings', 'settings', 'seed', 'options', 'max_concurrent',
        )  # fmt: skip
        return TrainingStage('hdiff.distill', {**_chosen(inputs, names), 'codes': dict(codes)}, _OF_DISTILLING)
    if kind == VASP_MLFF:
        values = _chosen(inputs, ('structure', 'potcars', 'kpoints', 'settings', 'seed', 'options'))
        return TrainingStage(
            'hdiff.on_the_fly', {**values, 'code': codes['vasp'], 'dataset': inputs['train']}, _OF_REFIT
        )
    names = (*_SETS, 'foundation', 'replay', 'magmoms', 'config', 'settings', 'seed', 'options')
    code = codes[code_key(architecture, codes)]
    return TrainingStage(f'hdiff.{architecture}_train', {**_chosen(inputs, names), 'code': code}, _OF_ENGINE)


def _chosen(inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: inputs[name] for name in names if inputs.get(name, None) is not None}
