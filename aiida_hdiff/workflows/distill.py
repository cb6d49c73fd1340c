"""From a slow teacher to a fast student: fit, run hot, label where the student went, fit again."""

from __future__ import annotations

import contextlib
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, if_, while_

from aiida_hdiff.calculations import distill as steps
from aiida_hdiff.calculations import distill_plan as plans
from aiida_hdiff.calculations.close_contacts import close_contact_frames
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.sampling.distill_settings import DistillSettings
from aiida_hdiff.workflows.distill_children import DistillChildren, flew_apart, trajectory_of, why
from aiida_hdiff.workflows.distill_inputs import distill_error, label_settings_refusal


class DistillWorkChain(DistillChildren):
    """Teach a POD potential, run by LAMMPS at milliseconds a step, what a slower potential knows.

    The teacher runs the host at several temperatures, strains and contents of hydrogen; frames of these runs and
    generated close contacts are labelled and fitted. Each round the student runs hot with the most hydrogen, and what
    it met is labelled and fitted too, until no run fails and the force error of hydrogen is stable. It is accepted on
    that error on frames that were held out, the drift of its energy, and the energies of sites and barriers.

    With `label_settings` another method than the teacher labels, such as GPAW. With `dataset` and neither of them the
    student is fitted once and tried, without rounds.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='Host with hydrogen in it, as it will be run.')
        spec.input(
            'training_cell', valid_type=orm.StructureData, required=False,
            help='Smaller cell of the same crystal with hydrogen, for all frames; by default `structure`.',
        )  # fmt: skip
        spec.input('teacher', valid_type=PotentialData, required=False, help='Potential that moves and labels.')
        spec.input(
            'label_settings', valid_type=orm.Dict, serializer=orm.to_aiida_type, required=False,
            validator=_validate_label_settings,
            help='Of `hdiff.label`, where another method than the teacher labels, by `codes.label`.',
        )  # fmt: skip
        spec.input('dataset', valid_type=LabelledDataset, required=False, help='Labelled frames to begin with.')
        spec.input('test', valid_type=LabelledDataset, required=False, help='Held-out frames, with `dataset` alone.')
        spec.input(
            'settings', valid_type=orm.Dict, serializer=orm.to_aiida_type, default=lambda: orm.Dict({}),
            validator=_validate_settings, help='See `aiida_hdiff.sampling.distill_settings.DistillSettings`.',
        )  # fmt: skip
        spec.input(
            'seed', valid_type=orm.Int, serializer=orm.to_aiida_type, default=lambda: orm.Int(1),
            validator=_validate_seed, help='Of all random numbers.',
        )  # fmt: skip
        spec.input_namespace(
            'codes', valid_type=orm.AbstractCode, dynamic=True,
            help='`lammps` with `fitpod`; `engine`, or `mace` or `chgnet`, for the teacher; `label`.',
        )  # fmt: skip
        spec.input(
            'max_concurrent', valid_type=int, non_db=True, default=1, help='Jobs that run at a time.',
            validator=lambda value, _: None if value >= 1 else f'{value} is given: give a number of at least 1.',
        )  # fmt: skip
        spec.input(
            'clean_workdir', valid_type=orm.Bool, serializer=orm.to_aiida_type, default=lambda: orm.Bool(True),
            help='Remove the work directories of the fits if the workchain succeeds.',
        )  # fmt: skip
        spec.input('options', valid_type=dict, required=False, non_db=True, help='`metadata.options` of the jobs.')
        spec.inputs.validator = lambda value, _: distill_error(value)
        spec.outline(
            cls.setup,
            if_(cls.has_teacher)(
                cls.plan_teacher,
                cls.submit_throttled,
                cls.inspect_teacher,
                cls.submit_throttled,
                cls.inspect_labels,
            ).else_(cls.take_dataset),
            while_(cls.should_go_on)(
                cls.plan_fit,
                cls.submit_throttled,
                cls.inspect_fit,
                cls.plan_hot,
                cls.submit_throttled,
                cls.inspect_hot,
                if_(cls.should_try)(cls.plan_trial, cls.submit_throttled, cls.inspect_trial),
                cls.gather_frames,
                if_(cls.has_frames)(cls.submit_throttled, cls.inspect_labels),
            ),
            if_(cls.can_run_nve)(cls.plan_nve, cls.submit_throttled, cls.inspect_trial),
            cls.results,
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The student, for LAMMPS.')
        spec.output('dataset', valid_type=LabelledDataset, required=False, help='Frames of the last fit.')
        spec.output('test', valid_type=LabelledDataset, required=False, help='Frames that were held out.')
        spec.output('path', valid_type=LabelledDataset, required=False, help='Frames along paths, by the teacher.')
        spec.output('results', valid_type=orm.Dict, required=False, help='Verdict, errors, rounds, last fit.')
        spec.exit_code(431, 'ERROR_TEACHER_RUN_FAILED', message='A run of the teacher failed: {message}')
        spec.exit_code(432, 'ERROR_LABELS_FAILED', message='Frames could not be labelled: {message}')
        spec.exit_code(433, 'ERROR_FIT_FAILED', message='The fit failed: {message}')
        spec.exit_code(434, 'ERROR_STUDENT_RUN_FAILED', message='A run of the student could not be made: {message}')
        spec.exit_code(435, 'ERROR_NO_FRAMES', message='There is nothing to fit to: {message}')
        spec.exit_code(
            510, 'ERROR_NOT_STABLE',
            message='{failed} of {runs} hot runs of the student still fail in round {rounds}, the last: {message}',
        )  # fmt: skip
        spec.exit_code(
            511, 'ERROR_LOSES_ATOMS',
            message='Runs of the student fail in each of {rounds} rounds, the last by {message}. Allow more rounds or '
            'contacts, take the preset `default`, or lower the temperature.',
        )  # fmt: skip
        spec.exit_code(512, 'ERROR_NOT_ACCEPTED', message='The student is not accepted: {reasons}')

    def setup(self) -> None:
        """Begin without a student."""
        self.ctx.round = 0
        self.ctx.rounds = []
        self.ctx.batch = []
        self.ctx.frames = None
        self.ctx.plan = {}
        self.ctx.train = self.inputs.get('dataset', None)
        self.ctx.test = self.inputs.get('test', None)
        self.ctx.path = None
        self.ctx.paths = []
        self.ctx.fit = None
        self.ctx.hot = {}
        self.ctx.trial = ''
        self.ctx.n_labels = 0
        self.ctx.stable = False

    def plan_teacher(self) -> None:
        """Plan the runs of the teacher."""
        nodes = plans.plan_teacher_runs(
            self.cell, self.inputs.settings, self.inputs.seed, metadata={'call_link_label': 'plan_teacher_runs'}
        )
        self._plan(nodes)
        self.ctx.batch = [
            f'teacher_{name}' for name, node in sorted(nodes.items()) if isinstance(node, orm.StructureData)
        ]

    def inspect_teacher(self) -> ExitCode | None:
        """Gather the frames to label: of the runs, close contacts, and paths."""
        trajectories: dict[str, Any] = {}
        contents: dict[str, Any] = {}
        for label in self.ctx.batch:
            node, name = self.children()[label], label.partition('_')[2]
            if not node.is_finished_ok:
                return self.exit_codes.ERROR_TEACHER_RUN_FAILED.format(message=f'{label}: {why(node)}')
            trajectories[name] = node.outputs.trajectory
            if not name.startswith('test_'):
                contents.setdefault(name.partition('_')[0], node.inputs.structure)
        parts = {}
        if self.settings.n_contacts:
            parts['contacts'] = close_contact_frames(
                self._planned('contact_settings'), **contents, metadata={'call_link_label': 'close_contacts'}
            )
        path = plans.path_frames(self.cell, self.inputs.settings, metadata={'call_link_label': 'path_frames'})
        if path:
            parts['path'] = path['frames']
            groups = path['frames'].base.attributes.get('config_types')
            self.ctx.paths = [name.removeprefix(plans.PATH) for name in groups]
        self.ctx.frames = steps.gather_start_frames(
            **parts, **trajectories, metadata={'call_link_label': 'gather_start_frames'}
        )
        if 'label_settings' not in self.inputs:
            settings = plans.teacher_label_settings(
                self.inputs.teacher, self.inputs.settings, metadata={'call_link_label': 'label_settings'}
            )
            self._plan({'label_settings': settings})
        self.ctx.batch = ['label_00']
        return None

    def inspect_labels(self) -> ExitCode | None:
        """Add the labelled frames to those that are fitted to."""
        (label,) = self.ctx.batch
        node, number = self.children()[label], label.partition('_')[2]
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_LABELS_FAILED.format(message=why(node))
        parts = {'labels': node.outputs.dataset}
        if self.ctx.train is not None:
            parts['previous'] = self.ctx.train
        self.ctx.n_labels += node.outputs.dataset.n_frames
        sets = steps.training_frames(
            self.inputs.settings, **parts, metadata={'call_link_label': f'training_frames_{number}'}
        )
        if 'train' not in sets:
            return self.exit_codes.ERROR_NO_FRAMES.format(
                message=f'all frames have forces above {self.settings.max_force_eV_A} eV/Å.'
            )
        self.ctx.train = sets['train']
        if self.ctx.rounds:
            self.ctx.rounds[-1]['n_added'] = sets['record'].get_dict()['n_added']
        for name in ('test', 'path'):
            if name in sets:
                self.ctx[name] = sets[name]
                self.out(name, sets[name])
        return None

    def take_dataset(self) -> None:
        """Begin with the frames that are given."""
        self.report(f'no teacher: fit to {self.inputs.dataset.n_frames} frames once')

    def should_go_on(self) -> bool:
        """Whether to fit again."""
        return not self.ctx.rounds or (not self.ctx.stable and len(self.ctx.rounds) < self._max_rounds())

    def _max_rounds(self) -> int:
        return self.settings.max_rounds if self.has_teacher() else 1

    def plan_fit(self) -> None:
        """Fit to the frames that there are."""
        self.ctx.round += 1
        if 'pod' not in self.ctx.plan:
            pod = plans.pod_settings(self.inputs.settings, metadata={'call_link_label': 'pod_settings'})
            self._plan({'pod': pod})
        self.ctx.batch = [f'fit_{self.ctx.round:02d}']

    def inspect_fit(self) -> ExitCode | None:
        """Keep the student."""
        node = self.children()[self.ctx.batch[0]]
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_FIT_FAILED.format(message=why(node))
        self.ctx.fit = node
        return None

    def plan_hot(self) -> None:
        """Plan the runs of the student."""
        number = self.ctx.round
        nodes = plans.plan_hot_runs(
            self.cell, self.inputs.settings, self.inputs.seed, orm.Int(number),
            metadata={'call_link_label': f'plan_hot_runs_{number:02d}'},
        )  # fmt: skip
        self._plan(nodes)
        self.ctx.batch = [f'hot_{number:02d}_{index}' for index in range(self.settings.hot_runs)]

    def inspect_hot(self) -> ExitCode | None:
        """Note which runs failed."""
        failed = {}
        for label in self.ctx.batch:
            node = self.children()[label]
            reason = flew_apart(node, self.settings.max_volume_change)
            if reason is not None:
                failed[label] = reason
            elif not node.is_finished_ok:
                return self.exit_codes.ERROR_STUDENT_RUN_FAILED.format(message=f'{label}: {why(node)}')
        self.ctx.hot = {label: label in failed for label in self.ctx.batch}
        self._note_round(list(failed.values()))
        return None

    def _note_round(self, failures: list[str]) -> None:
        training = self.ctx.fit.outputs.results
        judged_on = 'test' if 'test' in training['splits'] else 'train'
        errors = training['splits'][judged_on]
        rmse = errors['force_rmse_meV_A_by_element'].get('H')
        before = self.ctx.rounds[-1]['force_rmse_H_meV_A'] if self.ctx.rounds else None
        settled = before is not None and abs(rmse - before) <= self.settings.rmse_tolerance * before
        self.ctx.stable = settled and not failures
        self.ctx.rounds.append(
            {
                'round': self.ctx.round,
                'n_train': training['n_frames']['train'],
                'n_runs': self.settings.hot_runs,
                'n_failed': len(failures),
                'failures': failures,
                'errors_on': judged_on,
                'force_rmse_meV_A': errors['force_rmse_meV_A'],
                'force_rmse_H_meV_A': rmse,
                'energy_rmse_meV_per_atom': errors['energy_rmse_meV_per_atom'],
                'fit_seconds': training['fit_seconds'],
                'n_added': 0,
            }
        )
        self.report(f'round {self.ctx.round}: {len(failures)} hot runs failed, force RMSE on H {rmse:.1f} meV/Å')

    def should_try(self) -> bool:
        """Whether the student is to run the structure itself: it is stable in its cell, or there is no next round."""
        last = self.ctx.round >= self._max_rounds()
        return bool(self.ctx.stable) or (last and not self.ctx.rounds[-1]['n_failed'])

    def plan_trial(self) -> None:
        """Run the structure itself hot: a larger cell has more chances for what a small one does not meet."""
        if not self.ctx.trial:
            nodes = plans.trial_parameters(
                self.inputs.settings, self.inputs.seed, metadata={'call_link_label': 'trial_parameters'}
            )
            self._plan(nodes)
        self.ctx.trial = f'trial_{self.ctx.round:02d}'
        self.ctx.batch = [self.ctx.trial]

    def gather_frames(self) -> None:
        """Gather the frames to label, if there is a next round; of the structure itself if all frames have its size."""
        self.ctx.frames = None
        if not self.has_teacher() or not self.should_go_on():
            return
        number, runs = self.ctx.round, dict(self.ctx.hot)
        if self.ctx.trial == f'trial_{number:02d}' and 'training_cell' not in self.inputs:
            runs[self.ctx.trial] = True
        found = {label: trajectory_of(self.children()[label]) for label in runs}
        names = {label: f'hot_{label.rpartition("_")[2]}' if label != self.ctx.trial else 'trial' for label in runs}
        gathered = steps.gather_hot_frames(
            self.inputs.settings, orm.List([names[label] for label in runs if runs[label]]), orm.Int(number),
            **{names[label]: one for label, one in found.items() if one is not None},
            metadata={'call_link_label': f'gather_hot_frames_{number:02d}'},
        )  # fmt: skip
        self.ctx.frames = gathered.get('frames')
        self.ctx.batch = [f'label_{number:02d}']

    def has_frames(self) -> bool:
        """Whether there are frames to label for another round."""
        return self.ctx.frames is not None

    def can_run_nve(self) -> bool:
        """Whether the student has run the structure itself, and can go on from there."""
        return bool(self.ctx.trial) and not self.ctx.rounds[-1]['n_failed']

    def plan_nve(self) -> None:
        """Go on at constant energy."""
        self.ctx.batch = ['nve']

    def inspect_trial(self) -> ExitCode | None:
        """Keep the run; one in which atoms are lost counts as a failed run of the last round."""
        (label,) = self.ctx.batch
        node = self.children()[label]
        reason = flew_apart(node, self.settings.max_volume_change)
        if reason is not None:
            last = self.ctx.rounds[-1]
            last['n_runs'], last['n_failed'] = last['n_runs'] + 1, last['n_failed'] + 1
            last['failures'] = [*last['failures'], f'{label}: {reason}']
            self.ctx.stable = False
            self.report(f'round {self.ctx.round}: {label} failed: {reason}')
        elif not node.is_finished_ok:
            return self.exit_codes.ERROR_STUDENT_RUN_FAILED.format(message=f'{label}: {why(node)}')
        return None

    def results(self) -> ExitCode | None:
        """Attach the student and the verdict."""
        fit, rounds = self.ctx.fit, list(self.ctx.rounds)
        parts: dict[str, Any] = {}
        if self.ctx.path is not None:
            parts = {'path': self.ctx.path, 'parity': fit.outputs.parity.valid}
        nve = self.children().get('nve')
        if nve is not None and nve.is_finished_ok:
            parts['trajectory'] = nve.outputs.trajectory
        judged = ['drift_meV_per_atom_per_ps']
        judged += ['force_rmse_H_meV_A'] if self.has_teacher() or self.ctx.test is not None else []
        judged += ['path_error_meV'] if self.ctx.paths else []
        record = orm.Dict(
            {
                'rounds': rounds,
                'n_labels': self.ctx.n_labels,
                'converged': bool(self.ctx.stable),
                'judged': judged,
                'paths': self.ctx.paths,
            }
        )
        verdict = steps.judge_student(
            self.inputs.settings, record, fit.outputs.results, **parts, metadata={'call_link_label': 'judge_student'}
        )
        self.out('results', verdict)
        self.out('potential', fit.outputs.potential)
        self.out('dataset', fit.inputs.train)
        last = rounds[-1]
        if last['n_failed']:
            message = last['failures'][-1]
            if all(one['n_failed'] for one in rounds) and len(rounds) > 1:
                return self.exit_codes.ERROR_LOSES_ATOMS.format(rounds=len(rounds), message=message)
            return self.exit_codes.ERROR_NOT_STABLE.format(
                failed=last['n_failed'], runs=last['n_runs'], rounds=len(rounds), message=message
            )
        if not verdict['passed']:
            return self.exit_codes.ERROR_NOT_ACCEPTED.format(reasons='; '.join(verdict['reasons']))
        return None

    def on_terminated(self) -> None:
        """Remove the work directories of the fits after a success; keep them for inspection after a failure."""
        super().on_terminated()
        if self.node.is_finished_ok and self.inputs.clean_workdir.value:
            for node in self.children().values():
                if isinstance(node, orm.CalcJobNode) and 'remote_folder' in node.outputs:
                    with contextlib.suppress(OSError, KeyError):
                        node.outputs.remote_folder._clean()


def _validate_settings(value: orm.Dict | None, _port: Any) -> str | None:
    try:
        DistillSettings.from_dict(value.get_dict() if value is not None else {})
    except (ValueError, TypeError) as error:
        return str(error)
    return None


def _validate_label_settings(value: orm.Dict | None, _port: Any) -> str | None:
    return None if value is None else label_settings_refusal(value.get_dict())


def _validate_seed(value: orm.Int | None, _port: Any) -> str | None:
    return None if value is None or value.value >= 0 else f'{value.value} is given: give a whole number of at least 0.'
