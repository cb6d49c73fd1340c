"""A committee: one training with several seeds, and how far its spread tells its errors."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.plugins import CalculationFactory

from aiida_hdiff.analysis.committee import MIN_MEMBERS
from aiida_hdiff.calculations import chgnet_train, mace_train
from aiida_hdiff.calculations.committee import calibrate_committee
from aiida_hdiff.common.throttle import ThrottledWorkChain
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.chgnet_train_stage import ChgnetTrainStageWorkChain
from aiida_hdiff.workflows.mace_train_stage import MaceTrainStageWorkChain

STAGES = {
    'mace': (MaceTrainStageWorkChain, mace_train.training_error),
    'chgnet': (ChgnetTrainStageWorkChain, chgnet_train.training_error),
}
"""The trainings that a committee can be made of, and what tells what is wrong with their inputs."""
MAX_SEED = 2**31 - 1


class CommitteeWorkChain(ThrottledWorkChain):
    """Train potentials that differ in the seed only; calibrate their deviation on the validation set.

    A member whose training or evaluation fails is left out, as long as two are left.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        for kind, (stage, _) in STAGES.items():
            spec.expose_inputs(
                stage,
                namespace=kind,
                exclude=('seed', 'checkpoint', 'metadata'),
                namespace_options={
                    'required': False,
                    'populate_defaults': False,
                    'validator': None,
                    'help': f'Inputs of `hdiff.{kind}_train`, without the seed.',
                },
            )
        spec.input(
            'seeds', valid_type=orm.List, serializer=orm.to_aiida_type, validator=_validate_seeds,
            help='Seed of the training of each member; at least two, all different.',
        )  # fmt: skip
        spec.input(
            'max_concurrent', valid_type=int, non_db=True, default=2,
            validator=lambda value, _: None if value >= 1 else f'{value} is given: give a whole number of at least 1.',
            help='Jobs that run at a time.',
        )  # fmt: skip
        spec.inputs.validator = lambda value, _: committee_inputs_error(value)
        spec.outline(cls.submit_throttled, cls.collect, cls.calibrate)
        spec.output_namespace('members', valid_type=PotentialData, dynamic=True, help='The trained potentials.')
        spec.output(
            'potential', valid_type=PotentialData, required=False,
            help='The member with the smallest error of the forces on the validation set.',
        )  # fmt: skip
        spec.output(
            'results', valid_type=orm.Dict, required=False,
            help='Calibration on the validation set, as a whole and by element; errors of the members.',
        )  # fmt: skip
        spec.output(
            'deviations', valid_type=orm.ArrayData, required=False,
            help='`deviations` and `errors` of all atoms (eV/Å), `forces` (atoms, 3, 2), labels and means.',
        )  # fmt: skip
        spec.exit_code(
            531,
            'ERROR_TOO_FEW_MEMBERS',
            message='{n_left} of {n_members} members are left, a committee needs two: {failed}',
        )
        spec.exit_code(
            532,
            'ERROR_EQUAL_MEMBERS',
            message='The members predict equal forces: their training has left them as they were.',
        )
        spec.exit_code(731, 'WARNING_MEMBERS_FAILED', message='The committee is of {n_left} members, without {failed}')

    @property
    def kind(self) -> str:
        """What is trained."""
        return next(kind for kind in STAGES if self.inputs.get(kind, None))

    def members(self) -> dict[str, int]:
        """Return the seeds of the members by their names."""
        return {f'member_{index}': seed for index, seed in enumerate(self.inputs.seeds.get_list())}

    def child_labels(self) -> list[str]:
        """Return the trainings, and the evaluations of what is trained; none are begun if too many have failed."""
        started, members = self.children(), self.members()
        labels = [_training(name) for name in members]
        labels += [_evaluation(name) for name in members if _succeeded(started.get(_training(name)), 'potential')]
        if len(members) - len(self._failures()) < MIN_MEMBERS:
            return [label for label in labels if label in started]
        return labels

    def throttle_limit(self) -> int:
        """Return how many jobs run at a time."""
        return int(self.inputs.max_concurrent)

    def submit_child(self, label: str) -> orm.ProcessNode:
        """Submit the training of a member, or its evaluation on the validation set."""
        name = next(name for name in self.members() if label in (_training(name), _evaluation(name)))
        metadata: dict[str, Any] = {'call_link_label': label, 'label': f'{self.kind} {label.replace("_", " ")}'}
        stage, own = STAGES[self.kind][0], self.inputs[self.kind]
        if label == _training(name):
            inputs = self.exposed_inputs(stage, namespace=self.kind, agglomerate=False)
            return self.submit(stage, **inputs, seed=orm.Int(self.members()[name]), metadata=metadata)
        metadata['options'] = dict(own.get('options', None) or {})
        potential = self.children()[_training(name)].outputs.potential
        evaluate = CalculationFactory('hdiff.evaluate')
        return self.submit(evaluate, code=own.code, dataset=own.valid, potential=potential, metadata=metadata)

    def _failures(self) -> dict[str, str]:
        """Return why members are lost, by their names; of those that are not lost or not done yet nothing."""
        started, failures = self.children(), {}
        for name in self.members():
            for label, output in ((_training(name), 'potential'), (_evaluation(name), 'parity')):
                node = started.get(label)
                if node is not None and node.is_terminated and not _succeeded(node, output):
                    reason = node.exit_message or f'process {node.process_state.value}'
                    failures[name] = f'{label} <{node.pk}>: {reason}'
        return failures

    def collect(self) -> ExitCode | None:
        """Attach the members that are trained, and say which are lost."""
        children, failures = self.children(), self._failures()
        for name in self.members():
            node = children.get(_training(name))
            if _succeeded(node, 'potential'):
                self.out(f'members.{name}', node.outputs.potential)
        for name, reason in failures.items():
            self.report(f'{name} (seed {self.members()[name]}) is lost: {reason}')
        self.ctx.evaluated = [name for name in self.members() if _succeeded(children.get(_evaluation(name)), 'parity')]
        self.ctx.failed = failures
        if len(self.ctx.evaluated) < MIN_MEMBERS:
            return self.exit_codes.ERROR_TOO_FEW_MEMBERS.format(
                n_left=len(self.ctx.evaluated), n_members=len(self.members()), failed='; '.join(failures.values())
            )
        return None

    def calibrate(self) -> ExitCode | None:
        """Compare deviation and error, and choose the best member."""
        children, seeds = self.children(), self.members()
        record = {'seeds': {name: seeds[name] for name in self.ctx.evaluated}, 'failed': self.ctx.failed}
        outputs = calibrate_committee(
            orm.Dict(record),
            **{name: children[_evaluation(name)].outputs.parity for name in self.ctx.evaluated},
            metadata={'call_link_label': 'calibrate', 'label': 'calibrate'},
        )
        self.out_many(outputs)
        results: Any = outputs['results']
        self.out('potential', children[_training(results['best'])].outputs.potential)
        calibration = results['calibration']
        if calibration is None:
            return self.exit_codes.ERROR_EQUAL_MEMBERS
        self.report(
            f'{results["n_members"]} members: error = {calibration["slope"]:.3g} × deviation; RMSE of their mean '
            f'{results["force_rmse_meV_A"]:.4g} meV/Å'
        )
        if self.ctx.failed:
            lost = ', '.join(f'{name} ({reason})' for name, reason in self.ctx.failed.items())
            return self.exit_codes.WARNING_MEMBERS_FAILED.format(n_left=results['n_members'], failed=lost)
        return None

    def on_terminated(self) -> None:
        """Remove the work directories of the evaluations that succeeded; those of a training are its own."""
        super().on_terminated()
        if not self.inputs[self.kind].clean_workdir.value:
            return
        for node in self.children().values():
            if isinstance(node, orm.CalcJobNode) and node.is_finished_ok and 'remote_folder' in node.outputs:
                with contextlib.suppress(OSError, KeyError):
                    node.outputs.remote_folder._clean()


def _training(name: str) -> str:
    return name.replace('member', 'train')


def _evaluation(name: str) -> str:
    return name.replace('member', 'evaluate')


def _succeeded(node: orm.ProcessNode | None, output: str) -> bool:
    return node is not None and node.is_finished_ok and output in node.outputs


def _validate_seeds(value: orm.List | None, _port: Any) -> str | None:
    if value is None:
        return None
    seeds = value.get_list()
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 1 <= seed <= MAX_SEED:
            return f'`seeds` holds {seed!r}: give whole numbers from 1 to {MAX_SEED}.'
    repeated = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if repeated is not None:
        return f'`seeds` holds {repeated} twice, of which equal members would come: give different ones.'
    if len(seeds) < MIN_MEMBERS:
        return f'`seeds` holds {len(seeds)}: a committee of one has no spread; give at least {MIN_MEMBERS}.'
    return None


def committee_inputs_error(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the inputs of `hdiff.committee` as a whole, or ``None``."""
    given = [kind for kind in STAGES if value.get(kind)]
    if len(given) != 1:
        found = 'both are' if given else 'none is'
        return (
            f'give the inputs of the training in one of {" and ".join(f"`{kind}`" for kind in STAGES)}: {found} given.'
        )
    (kind,) = given
    error = STAGES[kind][1]({**value[kind], 'seed': orm.Int(value['seeds'].get_list()[0])})
    return None if error is None else f'`{kind}`: {error}'
