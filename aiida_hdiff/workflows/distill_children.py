"""The children of the `distill` workchain: runs of teacher and student, labels, and fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations.distill_plan import PARAMETERS
from aiida_hdiff.common.throttle import ThrottledWorkChain
from aiida_hdiff.sampling.distill_settings import DistillSettings
from aiida_hdiff.sampling.hot_frames import n_before_expansion
from aiida_hdiff.workflows.codes import code_key
from aiida_hdiff.workflows.distill_inputs import labelling_key
from aiida_hdiff.workflows.label import LabelWorkChain
from aiida_hdiff.workflows.md_stage import MDStageWorkChain

FAILED_RUN = (410, 411, 412)
"""Exit statuses of runs in which atoms were lost, energies were no numbers, or the temperature exploded."""


class DistillChildren(ThrottledWorkChain):
    """Start children by labels: ``teacher_h4_600K``, ``label_01``, ``fit_01``, ``hot_01_0``, ``trial_02``, ``nve``."""

    @property
    def settings(self) -> DistillSettings:
        """What the student is taught with."""
        return DistillSettings.from_dict(self.inputs.settings.get_dict())

    @property
    def cell(self) -> orm.StructureData:
        """The cell of all frames."""
        return self.inputs.get('training_cell', None) or self.inputs.structure

    def has_teacher(self) -> bool:
        """Whether there is something that labels."""
        return 'teacher' in self.inputs

    def throttle_limit(self) -> int:
        """Return how many children run at a time."""
        return int(self.inputs.max_concurrent)

    def child_labels(self) -> list[str]:
        """Return the children of the step at hand."""
        return list(self.ctx.batch)

    def submit_child(self, label: str) -> orm.ProcessNode:
        """Submit one child."""
        kind = label.partition('_')[0]
        process, inputs = {'fit': self._fit, 'label': self._labels}.get(kind, self._md)(label)
        metadata = {**inputs.pop('metadata', {}), 'call_link_label': label, 'label': label.replace('_', ' ')}
        return self.submit(process, metadata=metadata, **inputs)

    def _options(self) -> dict[str, Any]:
        return {'options': dict(self.inputs.options)} if self.inputs.get('options', None) else {}

    def _md(self, label: str) -> tuple[Any, dict[str, Any]]:
        """Return the inputs of a run, of the teacher if it is planned before the first fit."""
        kind, _, name = label.partition('_')
        name = name.partition('_')[2] if kind == 'hot' else name
        potential = self.inputs.teacher if kind == 'teacher' else self.ctx.fit.outputs.potential
        inputs: dict[str, Any] = {
            'code': self.inputs.codes[code_key(potential.architecture, self.inputs.codes)],
            'potential': potential,
            **self._options(),
        }
        if kind in ('trial', 'nve'):
            state = {'state': self.children()[self.ctx.trial].outputs.final_state} if kind == 'nve' else {}
            parameters = self._planned(PARAMETERS + kind)
            return MDStageWorkChain, {**inputs, **state, 'structure': self.inputs.structure, 'parameters': parameters}
        key = f'hot_{name}' if kind == 'hot' else name
        return MDStageWorkChain, {
            **inputs,
            'structure': self._planned(key),
            'parameters': self._planned(PARAMETERS + key),
        }

    def _planned(self, key: str) -> Any:
        return orm.load_node(self.ctx.plan[key])

    def _plan(self, nodes: dict[str, orm.Node]) -> None:
        self.ctx.plan = {**self.ctx.plan, **{key: node.uuid for key, node in nodes.items()}}

    def _labels(self, label: str) -> tuple[Any, dict[str, Any]]:
        inputs: dict[str, Any] = {
            'frames': self.ctx.frames,
            'code': self.inputs.codes[labelling_key(self.inputs)],
            'max_concurrent': self.inputs.max_concurrent,
            'max_failures': orm.Int(self.settings.max_label_failures),
            **self._options(),
        }
        if 'label_settings' in self.inputs:
            return LabelWorkChain, {**inputs, 'settings': self.inputs.label_settings}
        inputs['settings'] = self._planned('label_settings')
        if self.inputs.teacher.architecture != 'emt':
            inputs['potential'] = self.inputs.teacher
        return LabelWorkChain, inputs

    def _fit(self, label: str) -> tuple[Any, dict[str, Any]]:
        inputs = {'code': self.inputs.codes['lammps'], 'train': self.ctx.train, 'settings': self._planned('pod')}
        sets = {'test': self.ctx.test, 'valid': self.ctx.path}
        inputs |= {name: one for name, one in sets.items() if one is not None}
        metadata = self._options()
        return CalculationFactory('hdiff.pod_train'), {**inputs, 'metadata': metadata}


def flew_apart(node: orm.WorkChainNode, max_volume_change: float) -> str | None:
    """Return why a run counts as failed: its atoms flew apart, or its cell grew or shrank too much; else ``None``."""
    if node.exit_status in FAILED_RUN:
        return why(node)
    trajectory = trajectory_of(node) if node.is_finished_ok else None
    if trajectory is None:
        return None
    with trajectory.reader() as reader:
        volumes = np.abs(np.linalg.det(reader.cells))
    whole = n_before_expansion(volumes, max_volume_change) == len(volumes)
    return None if whole else f'The volume has changed by more than {100.0 * max_volume_change:g} %.'


def why(node: orm.ProcessNode) -> str:
    """Return what a process that has failed says."""
    return node.exit_message or f'process {node.process_state.value}'


def trajectory_of(stage: orm.WorkChainNode) -> Any:
    """Return the frames of a run, also of one that failed, or ``None``."""
    if 'trajectory' in stage.outputs:
        return stage.outputs.trajectory
    jobs = sorted((node for node in stage.called if isinstance(node, orm.CalcJobNode)), key=lambda node: int(node.pk))
    return jobs[-1].outputs.trajectory if jobs and 'trajectory' in jobs[-1].outputs else None
