"""The first phase of a study with a training plan: its potentials, trained and judged, teachers before students."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.analysis.gate import gate_error
from aiida_hdiff.calculations.potential_gate import compare_potentials
from aiida_hdiff.calculations.splits import split_dataset
from aiida_hdiff.common.throttle import ThrottledWorkChain
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.train import SETS, TrainWorkChain, train_error, wanted_codes
from aiida_hdiff.workflows.train_plan import DISTILLED, GIVEN, TRAINED_ON_A_SET, training_levels
from aiida_hdiff.workflows.train_stages import architecture_of
from aiida_hdiff.workflows.validation import system_error, vasp_error

MD = 'md'
"""Name of the input of an entry that says whether the potential runs molecular dynamics in the study."""
OUTPUTS = {
    'potential': 'potentials',
    'evaluation': 'evaluations',
    'parity': 'parity',
    'training': 'trainings',
    'curves': 'curves',
    'gate': 'gates',
}
"""Namespaces of the study by output of `hdiff.train`."""


class TrainingPhase(ThrottledWorkChain):
    """A workchain that first trains and judges the potentials of a plan, a limited number at a time."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare the plan and what comes out of it."""
        super().define(spec)
        spec.input_namespace(
            'training', required=False, populate_defaults=False,
            help='Potentials to train and judge before the molecular dynamics.',
        )  # fmt: skip
        spec.input_namespace(
            'training.plan', dynamic=True, valid_type=orm.Data,
            help='By label the inputs of `hdiff.train` that are of one potential: `kind`, `foundation`, `config` ... '
            '`teacher` is the label of another potential; with `md` false it is only trained and judged.',
        )  # fmt: skip
        spec.input('training.dataset', valid_type=LabelledDataset, required=False, help='Frames to split.')
        spec.input('training.split', valid_type=orm.Dict, required=False, help='Settings of `split_dataset`.')
        for name in SETS:
            spec.input(f'training.{name}', valid_type=LabelledDataset, required=False, help='Instead of `dataset`.')
        spec.input(
            'training.gate', valid_type=orm.Dict, required=False, validator=_validate_gate,
            help='What a potential must keep to, see `aiida_hdiff.analysis.gate.GateLimits`.',
        )  # fmt: skip
        types = (PotentialData, orm.Dict, orm.ArrayData, orm.Dict, orm.ArrayData, orm.Dict)
        for (source, name), kind in zip(OUTPUTS.items(), types, strict=True):
            spec.output_namespace(
                name, valid_type=kind, dynamic=True, help=f'`{source}` of `hdiff.train` by potential of the plan.'
            )

        spec.output(
            'potential_comparison', valid_type=orm.Dict, required=False,
            help='Errors, verdict, Ea, D0 and D of each potential, see `compare_potentials`.',
        )  # fmt: skip

    def prepare_training(self) -> None:
        """Split the data set, and begin with the potentials that wait for none."""
        training = self.inputs.get('training', None) or {}
        self.ctx.level, self.ctx.sets, self.ctx.unusable = 0, {}, {}
        if 'dataset' in training:
            parts: Any = split_dataset(training['dataset'], training['split'], metadata={'call_link_label': 'split'})
            self.ctx.sets = {name: parts[name] for name in SETS if name in parts}
        else:
            self.ctx.sets = {name: training[name] for name in SETS if name in training}

    def has_trainings(self) -> bool:
        """Whether potentials are left to train."""
        return bool(self.ctx.level < len(self._levels()))

    def training_labels(self) -> list[str]:
        """Return the labels of the trainings that run now; none before and after this phase."""
        level, levels = self.ctx.get('level', None), self._levels()
        if level is None or level >= len(levels):
            return []
        ready = [label for label in levels[level] if label not in self.ctx.unusable]
        return [training_label(label) for label in ready if self._teacher_missing(label) is None]

    def submit_training(self, label: str) -> orm.ProcessNode:
        """Submit the training with a call link label."""
        name = next(name for name in self._plan() if training_label(name) == label)
        metadata = {'call_link_label': label, 'label': name}
        return self.submit(TrainWorkChain, **self._train_inputs(name), metadata=metadata)

    def _train_inputs(self, label: str) -> dict[str, Any]:
        teacher = self._teachers().get(label)
        potential = None if teacher is None else self.usable_potentials()[teacher]
        return train_inputs(self.inputs, label, self.ctx.sets, potential)

    def inspect_trainings(self) -> None:
        """Attach what has come out, and go on with the students of those that passed."""
        children = self.children()
        for label in self._levels()[self.ctx.level]:
            child = children.get(training_label(label))
            if child is not None:
                for name, namespace in OUTPUTS.items():
                    if name in child.outputs:
                        self.out(f'{namespace}.{label}', child.outputs[name])
                self._note(label, self._usage_error(label, child) if child.is_finished_ok else None)
            if label in self.left_out():
                self.report(f'{label} is left out: {self.left_out()[label]}')
        self.ctx.level += 1
        for label in self._levels()[self.ctx.level] if self.has_trainings() else ():
            if self._teacher_missing(label) is None:
                self._note(label, train_error(self._train_inputs(label)))

    def _note(self, label: str, error: str | None) -> None:
        if error:
            self.ctx.unusable = {**self.ctx.unusable, label: error}

    def usable_potentials(self) -> dict[str, PotentialData]:
        """Return the potentials without a plan, and those of the plan that have passed so far."""
        unusable = self.ctx.get('unusable', {})
        found = study_potentials(self.node)
        return {label: potential for label, potential in found.items() if label not in unusable}

    def run_potentials(self) -> dict[str, PotentialData]:
        """Return the usable potentials that run molecular dynamics: all but those with `md` false."""
        without = only_judged(self._plan())
        return {label: one for label, one in self.usable_potentials().items() if label not in without}

    def left_out(self) -> dict[str, str]:
        """Return why potentials of the plan that were trained or could not be are not used, by label."""
        children, usable, found = self.children(), self.usable_potentials(), {}
        for label in self._plan():
            child = children.get(training_label(label))
            if label in usable:
                continue
            if label in self.ctx.unusable:
                found[label] = self.ctx.unusable[label]
            elif child is None:
                found[label] = f'its teacher {self._teacher_missing(label)} cannot be used'
            else:
                found[label] = child.exit_message or f'process {child.process_state.value}'
        return found

    def compare_potentials(
        self, runs: Mapping[str, Sequence[str]], arrhenius: Mapping[str, Any], diffusivities: Mapping[str, Any]
    ) -> None:
        """Attach the table of the potentials of a study with a plan.

        Parameters
        ----------
        runs
            Labels of the runs by label of the potential.
        arrhenius, diffusivities
            Nodes by label of the potential, and by label of the run.
        """
        plan, left_out = self._plan(), self.left_out()
        if not plan:
            return
        rows = [
            {
                'label': label,
                'kind': plan[label]['kind'].value if label in plan else GIVEN,
                'architecture': architecture_of(plan[label]) if label in plan else potential.architecture,
                'failure': left_out.get(label),
                'runs': list(runs.get(label, ())),
            }
            for label, potential in {**self.usable_potentials(), **plan}.items()
        ]
        found = {
            'evaluation': self.outputs.get('evaluations', {}),
            'gate': self.outputs.get('gates', {}),
            'arrhenius': arrhenius,
            'diffusivity': diffusivities,
        }
        nodes = {f'{kind}_{label}': node for kind, by_label in found.items() for label, node in by_label.items()}
        if 'comparison' in self.outputs:
            nodes['comparison'] = self.outputs['comparison']
        table = compare_potentials(
            orm.Dict({'potentials': rows}), **nodes, metadata={'call_link_label': 'compare_potentials'}
        )
        self.out('potential_comparison', table)

    def _usage_error(self, label: str, child: orm.ProcessNode) -> str | None:
        if label in only_judged(self._plan()):
            return None
        potential = child.outputs.potential
        settings, temperature = self.inputs.settings.get_dict(), self.inputs.temperatures.get_list()[0]
        return (
            system_error(self.inputs.structure, {label: potential}, settings)
            or trust_error(potential, self.inputs.get('options', None))
            or vasp_error(self.inputs, potential, settings, temperature)
        )

    def _plan(self) -> dict[str, Any]:
        return plan_of(self.inputs)

    def _teachers(self) -> dict[str, str]:
        return teachers_of(self._plan())

    def _levels(self) -> list[list[str]]:
        plan = self._plan()
        return training_levels(list(plan), teachers_of(plan))

    def _teacher_missing(self, label: str) -> str | None:
        teacher = self._teachers().get(label)
        return None if teacher is None or teacher in self.usable_potentials() else teacher


def training_label(label: str) -> str:
    """Return the call link label of the training of a potential."""
    return f'train_{label}'


def plan_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan among the inputs of a study: by label the inputs of `hdiff.train` of its own."""
    return dict((inputs.get('training', None) or {}).get('plan', None) or {})


def teachers_of(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the label of the teacher by label of the student."""
    return {label: entry['teacher'].value for label, entry in plan.items() if 'teacher' in entry}


def only_judged(plan: Mapping[str, Any]) -> set[str]:
    """Return the labels of the potentials of a plan that run no molecular dynamics, such as teachers of students."""
    return {label for label, entry in plan.items() if MD in entry and not entry[MD].value}


def architecture_in_study(label: str, plan: Mapping[str, Any], given: Mapping[str, PotentialData]) -> str:
    """Return the architecture of a potential of the plan, also of one that is yet to be trained, or of a given one."""
    return architecture_of(plan[label]) if label in plan else given[label].architecture


def train_inputs(
    inputs: Mapping[str, Any], label: str, sets: Mapping[str, LabelledDataset], teacher: PotentialData | None
) -> dict[str, Any]:
    """Return the inputs of `hdiff.train` for a potential of a plan.

    Parameters
    ----------
    inputs
        Those of the study.
    label
        Of the potential.
    sets
        Frames to train on, to validate and to test.
    teacher
        The potential that its teacher is, if there is one already.
    """
    entry = dict(plan_of(inputs)[label])
    entry.pop('teacher', None)
    entry.pop(MD, None)
    if teacher is not None:
        entry['teacher'] = teacher
    names = SETS if entry['kind'].value in TRAINED_ON_A_SET else ('test',)
    training = inputs['training']
    values: dict[str, Any] = {
        'structure': inputs['structure'],
        'seed': inputs['seed'],
        **{name: sets[name] for name in names if name in sets},
        **({'gate': training['gate']} if 'gate' in training else {}),
        **({'options': inputs['options']} if inputs.get('options', None) else {}),
        **entry,
    }
    if entry['kind'].value == DISTILLED:
        students = sum(one['kind'].value == DISTILLED for one in plan_of(inputs).values())
        values['max_concurrent'] = max(1, inputs.get('max_concurrent', 1) // students)
    if architecture_of(values) == 'vasp-mlff' and inputs.get('potcars', None):
        values['potcars'] = dict(inputs['potcars'])
    codes = inputs.get('codes', None) or {}
    wanted = wanted_codes({**values, 'codes': codes})
    return {**values, 'codes': {key: codes[key] for key in wanted if key in codes}}


def study_potentials(node: orm.WorkChainNode) -> dict[str, PotentialData]:
    """Return the potentials with which a study runs molecular dynamics: those given, and those trained that passed."""
    inputs = node.base.links.get_incoming(link_type=LinkType.INPUT_WORK).nested()
    plan, given = plan_of(inputs), dict(inputs.get('potentials', {}))
    links = node.base.links.get_outgoing(node_class=orm.WorkChainNode).all()
    trainings = {link.link_label: link.node for link in sorted(links, key=lambda link: int(link.node.pk))}
    for label in plan:
        training = trainings.get(training_label(label))
        if training is not None and training.is_finished_ok:
            given[label] = training.outputs.potential
    return given


def previewed_sets(training: Mapping[str, Any]) -> dict[str, LabelledDataset]:
    """Return the sets of a plan; those that are yet to be split as nodes that are not stored.

    Raises
    ------
    ValueError
        If the data set cannot be split like this.
    """
    if 'dataset' not in training:
        return {name: training[name] for name in SETS if name in training}
    settings = training['split'].get_dict() if 'split' in training else {}
    return _split(training['dataset'], json.dumps(settings, sort_keys=True))


@lru_cache(maxsize=4)
def _split(dataset: LabelledDataset, settings: str) -> dict[str, LabelledDataset]:
    without_provenance = cast(Any, split_dataset).__wrapped__
    parts = without_provenance(dataset, orm.Dict(json.loads(settings)))
    return {name: parts[name] for name in SETS if name in parts}


def _validate_gate(value: orm.Dict | None, _port: Any) -> str | None:
    error = None if value is None else gate_error(value.get_dict())
    return None if error is None else f'`training.gate`: {error}'
