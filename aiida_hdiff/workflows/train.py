"""One potential: from data sets, a foundation or a teacher to a potential that has passed its gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_hdiff.analysis.gate import GateLimits, error_reasons, gate_error
from aiida_hdiff.calculations.evaluate import evaluation_error
from aiida_hdiff.calculations.potential_gate import judge_potential, regression_errors, smoke_parameters
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.codes import code_key, codes_error, label_key
from aiida_hdiff.workflows.md_stage import MDStageWorkChain, define_vasp_inputs
from aiida_hdiff.workflows.settings import TrainProtocols
from aiida_hdiff.workflows.train_plan import DISTILLED, INPUTS, TRAINED_ON_A_SET, UNTRAINED, VASP_MLFF, entry_error
from aiida_hdiff.workflows.train_stages import architecture_of, training_stage

SETS = ('train', 'valid', 'test')
OWN_INPUTS = tuple(dict.fromkeys(name for kind in INPUTS.values() for name in (*kind.needs, *kind.takes)))
"""Inputs that differ from potential to potential of a plan; the others are those of the study."""

_EXPLODED = (410, 411, 412)


class TrainWorkChain(TrainProtocols, WorkChain):
    """Train → evaluate on the test set → short NVE run → verdict.

    Potentials of the kinds `pretrained` and `given` are not trained, but judged as the others. One whose errors are
    above the limits is not run. One that does not pass keeps all outputs, and the workchain ends with an exit code.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input(
            'kind', valid_type=orm.Str, serializer=orm.to_aiida_type,
            help='`pretrained`, `given`, `fine_tuned`, `from_scratch`, `distilled` or `vasp_mlff`.',
        )  # fmt: skip
        spec.input(
            'architecture', valid_type=orm.Str, serializer=orm.to_aiida_type, required=False,
            help='What is trained from scratch: `mace`.',
        )  # fmt: skip
        spec.input('train', valid_type=LabelledDataset, required=False, help='Frames to train on.')
        spec.input('valid', valid_type=LabelledDataset, required=False, help='Frames that choose the best epoch.')
        spec.input('test', valid_type=LabelledDataset, required=False, help='Frames for the limits of the gate.')
        spec.input('potential', valid_type=PotentialData, required=False, help='Pretrained or given potential.')
        spec.input('foundation', valid_type=PotentialData, required=False, help='Model to fine-tune.')
        spec.input('replay', valid_type=LabelledDataset, required=False, help='See `hdiff.mace_train`.')
        spec.input('magmoms', valid_type=orm.ArrayData, required=False, help='See `hdiff.chgnet_train`.')
        spec.input('teacher', valid_type=PotentialData, required=False, help='What labels the frames of a student.')
        spec.input('training_cell', valid_type=orm.StructureData, required=False, help='See `hdiff.distill`.')
        spec.input(
            'label_settings', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False,
            help='See `hdiff.distill`.',
        )  # fmt: skip
        spec.input('max_concurrent', valid_type=int, non_db=True, required=False, help='See `hdiff.distill`.')
        spec.input(
            'config', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False,
            help='Options of `mace_run_train`, see `hdiff.mace_train`.',
        )  # fmt: skip
        spec.input(
            'settings', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False,
            help='Of `hdiff.mace_train`, `hdiff.chgnet_train`, `hdiff.distill` or `hdiff.on_the_fly`.',
        )  # fmt: skip
        spec.input(
            'seed', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(1),
            help='Of the training and of the velocities of the short run.',
        )  # fmt: skip
        spec.input(
            'gate', valid_type=orm.Dict, serializer=orm.to_aiida_type, default=lambda: orm.Dict({}),
            validator=_validate_gate, help='Limits, see `aiida_hdiff.analysis.gate.GateLimits`.',
        )  # fmt: skip
        spec.input('structure', valid_type=orm.StructureData, help='Atoms of the short run, and of a student.')
        spec.input_namespace(
            'codes', valid_type=orm.AbstractCode, dynamic=True,
            help='`lammps`, `engine`, `vasp`; `mace` and `chgnet` where these have an environment of their own.',
        )  # fmt: skip
        define_vasp_inputs(spec)
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs.validator = lambda value, _: train_error(value)
        spec.outline(
            cls.setup,
            if_(cls.is_trained)(cls.run_training, cls.rerun_excepted, cls.inspect_training),
            if_(cls.is_evaluated)(cls.run_evaluation, cls.rerun_excepted, cls.inspect_evaluation),
            if_(cls.is_run)(cls.run_smoke, cls.rerun_excepted, cls.inspect_smoke),
            cls.judge,
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The potential.')
        spec.output('training', valid_type=orm.Dict, required=False, help='What the training tells.')
        spec.output('curves', valid_type=orm.ArrayData, required=False, help='Losses and errors by epoch.')
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='Frames of a student.')
        spec.output('evaluation', valid_type=orm.Dict, required=False, help='Errors on the test set.')
        spec.output('parity', valid_type=orm.ArrayData, required=False, help='Labels and predictions.')
        spec.output('gate', valid_type=orm.Dict, required=False, help='`passed`, `reasons`, `limits`, `values`.')
        spec.exit_code(438, 'ERROR_TRAINING_FAILED', message='The training failed: {message}')
        spec.exit_code(439, 'ERROR_EVALUATION_FAILED', message='The potential could not be evaluated: {message}')
        spec.exit_code(440, 'ERROR_SMOKE_RUN_FAILED', message='The short NVE run could not be made: {message}')
        spec.exit_code(520, 'ERROR_GATE', message='The potential does not pass its gate: {reasons}')

    def setup(self) -> None:
        """Begin with the potential that is given, if one is."""
        self.ctx.potential = self.inputs.get('potential', None)
        self.ctx.judged, self.ctx.failure = {}, ''
        if self.ctx.potential is not None:
            self.out('potential', self.ctx.potential)

    @property
    def limits(self) -> GateLimits:
        """The limits of the gate."""
        return GateLimits(**self.inputs.gate.get_dict())

    def is_trained(self) -> bool:
        """Whether there is something to train."""
        return self.inputs.kind.value not in UNTRAINED

    def run_training(self) -> ToContext:
        """Train."""
        return self._submit('training')

    def inspect_training(self) -> ExitCode | None:
        """Attach what the training gives, also one that has failed."""
        node, stage = self.ctx.child, training_stage(self.inputs)
        for name, own in stage.outputs.items():
            if name in node.outputs:
                self.out(own, node.outputs[name])
        if not node.is_finished_ok or 'potential' not in node.outputs:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(message=_why(node))
        error = trust_error(node.outputs.potential, self.inputs.get('options', None))
        if error:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(message=error)
        self.ctx.potential = node.outputs.potential
        if self.inputs.kind.value == VASP_MLFF:
            errors = regression_errors(node.outputs.statistics, metadata={'call_link_label': 'regression_errors'})
            self.ctx.judged['evaluation'] = errors
            self.out('evaluation', errors)
        return None

    def is_evaluated(self) -> bool:
        """Whether there is a test set, and the potential can be evaluated on it."""
        return 'test' in self.inputs and self.ctx.potential.architecture != 'vasp-mlff'

    def run_evaluation(self) -> ToContext:
        """Predict the test set."""
        return self._submit('evaluation')

    def inspect_evaluation(self) -> ExitCode | None:
        """Attach the errors."""
        node = self.ctx.child
        for name, own in (('results', 'evaluation'), ('parity', 'parity')):
            if name in node.outputs:
                self.out(own, node.outputs[name])
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(message=_why(node))
        self.ctx.judged['evaluation'] = node.outputs.results
        return None

    def is_run(self) -> bool:
        """Whether to run the potential: not if its errors are above the limits already."""
        evaluation = self.ctx.judged.get('evaluation')
        refused = evaluation is not None and error_reasons(evaluation.get_dict(), self.limits)
        return bool(self.limits.smoke_time_ps and not refused)

    def run_smoke(self) -> ToContext:
        """Run at constant energy for a short time."""
        self.ctx.parameters = smoke_parameters(
            self.inputs.gate, self.inputs.seed, metadata={'call_link_label': 'smoke_parameters'}
        )
        return self._submit('smoke_run')

    def inspect_smoke(self) -> ExitCode | None:
        """Keep the run, or why the atoms flew apart."""
        node = self.ctx.child
        if node.is_finished_ok:
            self.ctx.judged['trajectory'] = node.outputs.trajectory
        elif node.exit_status in _EXPLODED:
            self.ctx.failure = _why(node)
        else:
            return self.exit_codes.ERROR_SMOKE_RUN_FAILED.format(message=_why(node))
        return None

    def judge(self) -> ExitCode | None:
        """Say whether the potential passes."""
        failure = {'failure': orm.Str(self.ctx.failure)} if self.ctx.failure else {}
        gate = judge_potential(self.inputs.gate, **self.ctx.judged, **failure, metadata={'call_link_label': 'judge'})
        self.out('gate', gate)
        if gate['passed']:
            return None
        return self.exit_codes.ERROR_GATE.format(reasons='; '.join(gate['reasons']))

    def rerun_excepted(self) -> ToContext | None:
        """Run a child once more that ended in an exception, as it may when a daemon worker dies."""
        if not self.ctx.child.is_excepted:
            return None
        self.report(f'{self.ctx.submitted} <{self.ctx.child.pk}> ended in an exception: run it once more')
        return self._submit(self.ctx.submitted)

    def _submit(self, name: str) -> ToContext:
        self.ctx.submitted = name
        process, inputs = {'training': self._training, 'evaluation': self._evaluation, 'smoke_run': self._smoke}[name]()
        metadata = {**inputs.get('metadata', {}), 'call_link_label': name, 'label': self._label(name)}
        return ToContext(child=self.submit(process, **{**inputs, 'metadata': metadata}))

    def _label(self, name: str) -> str:
        return ' '.join(filter(None, (self.node.label, name.replace('_', ' '))))

    def _training(self) -> tuple[Any, dict[str, Any]]:
        stage = training_stage(self.inputs)
        return WorkflowFactory(stage.entry_point), stage.inputs

    def _evaluation(self) -> tuple[Any, dict[str, Any]]:
        potential, codes = self.ctx.potential, self.inputs.codes
        inputs: dict[str, Any] = {
            'code': codes[code_key(potential.architecture, codes, evaluates=True)],
            'dataset': self.inputs.test,
            'potential': potential,
        }
        if self.inputs.get('options', None):
            inputs['metadata'] = {'options': dict(self.inputs.options)}
        return CalculationFactory('hdiff.evaluate'), inputs

    def _smoke(self) -> tuple[Any, dict[str, Any]]:
        potential, codes = self.ctx.potential, self.inputs.codes
        inputs = {
            'code': codes[code_key(potential.architecture, codes)],
            'structure': self.inputs.structure,
            'potential': potential,
            'parameters': self.ctx.parameters,
        }
        names = ('options', 'potcars') if potential.architecture == 'vasp-mlff' else ('options',)
        inputs |= {name: self.inputs[name] for name in names if self.inputs.get(name, None)}
        return MDStageWorkChain, inputs

    @classmethod
    def get_builder_from_protocol(
        cls,
        kind: str,
        structure: orm.StructureData,
        codes: Mapping[str, orm.AbstractCode],
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> Any:
        """Return a builder with the limits of a protocol.

        Parameters
        ----------
        kind
            One of `aiida_hdiff.workflows.train_plan.KINDS`.
        structure
            Atoms of the short run, and of a student.
        codes
            By key, as far as they are needed.
        protocol, overrides
            Name of a protocol, and limits that replace its own, such as ``{'gate': {'force_rmse_meV_A': 50.0}}``.
        **inputs
            The other inputs, such as ``train``, ``valid``, ``test`` and ``foundation``.

        Raises
        ------
        ValueError
            If the protocol or a key of the overrides is unknown.
        """
        builder = cls.get_builder()
        builder.kind, builder.structure, builder.codes = orm.Str(kind), structure, dict(codes)
        builder.gate = orm.Dict(cls.get_protocol_settings(protocol, overrides)['gate'])
        for name, value in inputs.items():
            setattr(builder, name, value)
        return builder


def _why(node: orm.ProcessNode) -> str:
    return node.exit_message or f'process {node.process_state.value}'


def _validate_gate(value: orm.Dict | None, _port: Any) -> str | None:
    error = None if value is None else gate_error(value.get_dict())
    return None if error is None else f'`gate`: {error}'


def train_error(value: Mapping[str, Any], *, later: frozenset[str] = frozenset()) -> str | None:
    """Return why a potential cannot be trained and judged with these inputs, or ``None``.

    Parameters
    ----------
    value
        Inputs of `hdiff.train`.
    later
        Names of inputs that are there only when other potentials are trained.
    """
    kind = value['kind'].value
    given = [name for name in OWN_INPUTS if name in value and name != 'seed']
    error = entry_error(kind, [*given, *later], architecture_of(value))
    if error:
        return error
    for name in ('train', 'valid'):
        if kind in TRAINED_ON_A_SET and name not in value and (name, kind) != ('valid', VASP_MLFF):
            return f'`{name}` is missing: a potential of the kind {kind} is trained on a data set.'
    limits = GateLimits(**value['gate'].get_dict()) if 'gate' in value else GateLimits()
    if limits.limits_errors and 'test' not in value and kind not in (DISTILLED, VASP_MLFF):
        return '`test` is missing: the gate limits the errors on it; give it, or set these limits to null.'
    return (
        codes_error(wanted_codes(value), value.get('codes') or {}, value.get('options'))
        or _potential_error(value)
        or (None if kind in UNTRAINED else training_stage(value).error(partly=bool(later)))
    )


def wanted_codes(value: Mapping[str, Any]) -> dict[str, str]:
    """Return what each code that `hdiff.train` needs with these inputs is for, by key."""
    architecture, codes = architecture_of(value), value.get('codes') or {}
    wanted = {code_key(architecture, codes): f'runs potentials of the architecture {architecture}'}
    if value['kind'].value not in UNTRAINED and architecture in ('mace', 'chgnet'):
        wanted[code_key(architecture, codes)] = f'trains and runs {architecture}'
    if 'test' in value and architecture != 'vasp-mlff':
        key = code_key(architecture, codes, evaluates=True)
        wanted.setdefault(key, f'evaluates potentials of the architecture {architecture}')
    if 'teacher' in value:
        for key, purpose in codes_of_teacher(value['teacher'].architecture, codes, 'label_settings' in value).items():
            wanted.setdefault(key, purpose)
    return wanted


def codes_of_teacher(architecture: str, codes: Collection[str], labels_otherwise: bool = False) -> dict[str, str]:
    """Return what the codes that run a teacher and label its frames are for, by key.

    Parameters
    ----------
    architecture
        Of the teacher.
    codes
        Keys that there are.
    labels_otherwise
        Whether another method than the teacher labels.
    """
    runs = {code_key(architecture, codes): f'runs the teacher ({architecture})'}
    if labels_otherwise:
        return {**runs, label_key(codes): 'labels the frames of the student'}
    return {**runs, code_key(architecture, codes, evaluates=True): f'labels with the teacher ({architecture})'}


def _potential_error(value: Mapping[str, Any]) -> str | None:
    symbols = sorted(set(value['structure'].get_ase().get_chemical_symbols()))
    potential = value.get('potential')
    if value['kind'].value in TRAINED_ON_A_SET:
        missing = sorted(set(symbols) - set(value['train'].elements))
        if missing:
            return f'`train` has no {", ".join(missing)} of `structure`: give frames of all its elements.'
    for name in ('potential', 'teacher'):
        one = value.get(name)
        if one is not None:
            missing = one.missing_elements(symbols)
            if missing:
                return f'`{name}` does not cover {", ".join(missing)} of `structure`: give one of all its elements.'
            error = trust_error(one, value.get('options'))
            if error:
                return f'`{name}`: {error}'
    if potential is not None and 'test' in value and potential.architecture != 'vasp-mlff':
        return evaluation_error(potential, value['test'])
    return None
