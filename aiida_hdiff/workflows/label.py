"""Energies, forces and stresses of configurations, by an ASE calculator or by VASP, in as many jobs as it takes."""

from __future__ import annotations

import contextlib
from typing import Any

from aiida import orm
from aiida.engine import while_
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations.label_batches import configurations, frame_structures, gather_labels, split_frames
from aiida_hdiff.common.throttle import ThrottledWorkChain
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats.configurations import structure_keys
from aiida_hdiff.parsers.label import failure_text
from aiida_hdiff.workflows.label_inputs import label_back_end, label_inputs_error

MAX_ATTEMPTS = 3
"""Jobs that may stand still at a frame before it is given up."""
VASP_SCF_FAILED = 413
FATAL = (422, 423, 424, 426)
"""Exit statuses of jobs that another job would end with, too."""


class LabelWorkChain(ThrottledWorkChain):
    """Label configurations, a limited number of jobs at a time; what a job leaves undone the next round does.

    With `hdiff-engine` a job labels a batch of frames, with VASP one frame. A frame whose electronic structure does not
    converge is recorded in ``results`` and left out. A workchain that failed leaves what it has as ``dataset``, from
    which another goes on (``previous``).
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=(ConfigurationsData, LabelledDataset), help='Configurations to label.')
        spec.input('code', valid_type=orm.AbstractCode, help='`hdiff-engine`, or VASP.')
        spec.input(
            'settings', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False,
            help='Calculator of `hdiff-engine`, see `aiida_hdiff.engine.label_settings.LabelSettings`.',
        )  # fmt: skip
        spec.input(
            'potential', valid_type=PotentialData, required=False,
            help='Model of the calculators `chgnet`, `eam`, `lammps` and `mace`.',
        )  # fmt: skip
        spec.input_namespace('vasp', required=False, populate_defaults=False, help='Settings of VASP.')
        spec.input(
            'vasp.parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False,
            help='Flat INCAR, such as that of a training stage: tags of its dynamics are left out.',
        )  # fmt: skip
        spec.input('vasp.kpoints', valid_type=orm.KpointsData, required=False, help='As in the training stages.')
        spec.input_namespace(
            'vasp.potcars', dynamic=True, required=False, valid_type=orm.Data, help='POTCARs by element.'
        )
        spec.input(
            'training', valid_type=LabelledDataset, required=False,
            help='Data set that the labels must fit to: other settings than its are refused.',
        )  # fmt: skip
        spec.input(
            'previous', valid_type=LabelledDataset, required=False, help='Labels of some of the frames, to go on from.'
        )
        spec.input(
            'batch_size', valid_type=orm.Int, serializer=orm.to_aiida_type, required=False,
            validator=_validate_positive, help='Frames in a job of `hdiff-engine`; by default an equal share.',
        )  # fmt: skip
        spec.input(
            'max_concurrent', valid_type=int, non_db=True, default=1, validator=_validate_positive,
            help='Jobs that run at a time.',
        )  # fmt: skip
        spec.input(
            'max_failures', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(10),
            help='More failed frames than this end the workchain.',
        )  # fmt: skip
        spec.input(
            'clean_workdir', valid_type=orm.Bool, serializer=orm.to_aiida_type, default=lambda: orm.Bool(True),
            help='Remove the work directories of the jobs if the workchain succeeds.',
        )  # fmt: skip
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs.validator = lambda value, _: label_inputs_error(value)
        spec.outline(
            cls.setup,
            while_(cls.has_frames_left)(cls.prepare_round, cls.submit_throttled, cls.collect_round),
            cls.results,
        )
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='The frames that have labels.')
        spec.output('results', valid_type=orm.Dict, help='Counts, and the frames that failed with the reason.')
        spec.exit_code(
            413, 'ERROR_ALL_FRAMES_FAILED', message='No frame could be labelled; the first failed by {reason}'
        )
        spec.exit_code(414, 'ERROR_TOO_MANY_FAILURES', message='{failed} frames failed, the first by {reason}')
        spec.exit_code(422, 'ERROR_CALCULATOR_REFUSED', message='{message}')
        spec.exit_code(423, 'ERROR_PACKAGE_MISSING', message='{message}')
        spec.exit_code(424, 'ERROR_SETTINGS_REFUSED', message='{message}')
        spec.exit_code(426, 'ERROR_MODEL_NOT_TRUSTED', message='{message}')

    def setup(self) -> None:
        """Find the frames that have no labels yet."""
        structures = configurations(self.inputs.frames)
        known = set(structure_keys(self.inputs.previous.frames())) if 'previous' in self.inputs else set()
        self.ctx.todo = [index for index, key in enumerate(structure_keys(structures)) if key not in known]
        self.ctx.n_frames = len(structures)
        self.ctx.attempts = {}
        self.ctx.failures = {}
        self.ctx.round = 0
        self.ctx.batches = {}
        self.ctx.fatal = None

    def has_frames_left(self) -> bool:
        """Whether to go on."""
        return bool(self.ctx.todo) and self.ctx.fatal is None and not self._gives_up()

    def _gives_up(self) -> bool:
        return len(self.ctx.failures) > self.inputs.max_failures.value

    @property
    def _by_vasp(self) -> bool:
        return label_back_end(self.inputs.code) == 'vasp'

    def prepare_round(self) -> None:
        """Make the inputs of the jobs of this round."""
        self.ctx.round += 1
        todo, suffix = self.ctx.todo, '' if self.ctx.round == 1 else f'_{self.ctx.round}'
        if self._by_vasp:
            batches = {f'frame_{index:05d}{suffix}': [index] for index in todo}
        else:
            share = -(-len(todo) // self.inputs.max_concurrent)
            size = self.inputs.batch_size.value if 'batch_size' in self.inputs else share
            parts = [todo[start : start + size] for start in range(0, len(todo), size)]
            batches = {f'batch_{number:03d}{suffix}': part for number, part in enumerate(parts)}
        self.ctx.batches = batches
        whole = not self._by_vasp and len(batches) == 1 and len(todo) == self.ctx.n_frames
        if whole and isinstance(self.inputs.frames, ConfigurationsData):
            self.ctx.prepared = dict.fromkeys(batches, self.inputs.frames.uuid)
            return
        cut = frame_structures if self._by_vasp else split_frames
        nodes = cut(self.inputs.frames, orm.Dict(batches), metadata={'call_link_label': f'prepare{suffix}'})
        self.ctx.prepared = {name: node.uuid for name, node in nodes.items()}

    def child_labels(self) -> list[str]:
        """Return the names of the jobs of this round; only those started if too many frames have failed."""
        started, labels = self.children(), list(self.ctx.batches)
        failed = sum(self._n_failed(started[label]) for label in labels if label in started)
        if failed + len(self.ctx.failures) > self.inputs.max_failures.value:
            return [label for label in labels if label in started]
        return labels

    def _n_failed(self, node: orm.ProcessNode) -> int:
        if self._by_vasp:
            return int(node.exit_status == VASP_SCF_FAILED)
        return int(node.outputs.results['n_failed']) if 'results' in node.outputs else 0

    def throttle_limit(self) -> int:
        """Return how many jobs run at a time."""
        return int(self.inputs.max_concurrent)

    def submit_child(self, label: str) -> orm.ProcessNode:
        """Submit the job of one batch."""
        inputs = self.inputs
        metadata = {'call_link_label': label, 'label': label, 'options': dict(inputs.get('options', None) or {})}
        prepared = orm.load_node(self.ctx.prepared[label])
        if not self._by_vasp:
            names = ('code', 'settings', 'potential')
            given = {name: inputs[name] for name in names if name in inputs}
            return self.submit(CalculationFactory('hdiff.label'), frames=prepared, metadata=metadata, **given)
        return self.submit(
            CalculationFactory('hdiff.vasp_label'),
            code=inputs.code,
            structure=prepared,
            parameters=inputs.vasp.parameters,
            kpoints=inputs.vasp.kpoints,
            potential=dict(inputs.vasp.potcars),
            metadata=metadata,
        )

    def collect_round(self) -> None:
        """Note which frames have labels, which failed, and which are left for another round."""
        children, structures = self.children(), configurations(self.inputs.frames)
        keys, left = structure_keys(structures), []
        for label, indices in self.ctx.batches.items():
            node = children.get(label)
            done, failures = self._outcome(node, indices, keys)
            if node is not None and node.exit_status in FATAL:
                self.ctx.fatal = {'status': node.exit_status, 'message': node.exit_message}
            if node is not None and node.exit_status:
                self.report(f'{label} <{node.pk}> ended with status {node.exit_status}: {node.exit_message}')
            self.ctx.failures |= failures
            rest = [index for index in indices if index not in done and index not in failures]
            left += self._to_repeat(rest, node, progress=bool(done or failures))
        self.ctx.todo = sorted(left)
        if left and self.ctx.fatal is None and not self._gives_up():
            self.report(f'{len(left)} frames are left for another round')

    def _outcome(
        self, node: orm.ProcessNode | None, indices: list[int], keys: tuple[str, ...]
    ) -> tuple[set[int], dict[int, str]]:
        """Return the indices of the frames that a job has labelled, and the reasons of those that failed in it."""
        if node is None:
            return set(), {}
        if self._by_vasp:
            failed = {indices[0]: str(node.exit_message)} if node.exit_status == VASP_SCF_FAILED else {}
            return set(indices if 'dataset' in node.outputs else ()), failed
        labelled = set(structure_keys(node.outputs.dataset.frames())) if 'dataset' in node.outputs else set()
        failures = node.outputs.results['failures'] if 'results' in node.outputs else []
        return (
            {index for index in indices if keys[index] in labelled},
            {indices[one['frame']]: failure_text(one) for one in failures},
        )

    def _to_repeat(self, rest: list[int], node: orm.ProcessNode | None, *, progress: bool) -> list[int]:
        """Return the frames to try again; one tried too often is a failure."""
        if progress or node is None or not rest:
            return rest
        # The job stood still at its first frame; the others were not tried.
        first = rest[0]
        self.ctx.attempts[first] = self.ctx.attempts.get(first, 0) + 1
        if self.ctx.attempts[first] < MAX_ATTEMPTS:
            return rest
        self.ctx.failures[first] = node.exit_message or f'the job ended as {node.process_state.value}'
        return rest[1:]

    def _jobs(self) -> dict[str, orm.CalcJobNode]:
        return {label: node for label, node in self.children().items() if isinstance(node, orm.CalcJobNode)}

    def results(self) -> Any:
        """Join the labels, and say what is missing."""
        origins = configurations(self.inputs.frames).origins
        failures = [
            {'frame': index, 'origin': origins[index], 'reason': reason}
            for index, reason in sorted(self.ctx.failures.items())
        ]
        jobs = self._jobs()
        parts = {label: node.outputs.dataset for label, node in jobs.items() if 'dataset' in node.outputs}
        if 'previous' in self.inputs:
            parts['previous'] = self.inputs.previous
        emulated = any(part.base.extras.get('emulated', False) for part in parts.values())
        record = {
            'n_failed': len(failures),
            'failures': failures,
            'n_jobs': len(jobs),
            'n_rounds': self.ctx.round,
            'emulated': emulated,
        }
        outputs = gather_labels(self.inputs.frames, orm.Dict(record), **parts, metadata={'call_link_label': 'gather'})
        for name, node in outputs.items():
            if emulated:
                node.base.extras.set('emulated', True)
            self.out(name, node)
        if self.ctx.fatal is not None:
            codes = {code.status: code for code in self.exit_codes.values()}
            return codes[self.ctx.fatal['status']].format(message=self.ctx.fatal['message'])
        if self._gives_up():
            return self.exit_codes.ERROR_TOO_MANY_FAILURES.format(failed=len(failures), reason=failures[0]['reason'])
        if failures and 'dataset' not in outputs:
            return self.exit_codes.ERROR_ALL_FRAMES_FAILED.format(reason=failures[0]['reason'])
        return None

    def on_terminated(self) -> None:
        """Remove the work directories after a success; keep them for inspection after a failure."""
        super().on_terminated()
        if self.node.is_finished_ok and self.inputs.clean_workdir.value:
            for node in self._jobs().values():
                if 'remote_folder' in node.outputs:
                    with contextlib.suppress(OSError, KeyError):
                        node.outputs.remote_folder._clean()


def _validate_positive(value: Any, _port: Any) -> str | None:
    number = getattr(value, 'value', value)
    return None if value is None or number >= 1 else f'{number} is given: give a whole number of at least 1.'
