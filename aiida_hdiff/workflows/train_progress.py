"""How far the training of a potential is, read from the graph and from the folder of the running job."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.engine_job import PROGRESS_FILE
from aiida_hdiff.workflows.progress import RunProgress, called_processes, remote_text
from aiida_hdiff.workflows.training_phase import plan_of, training_label

DISTILLATION = 'aiida.workflows:hdiff.distill'
EPOCH_TRAININGS = ('aiida.workflows:hdiff.mace_train', 'aiida.workflows:hdiff.chgnet_train')
"""Trainings whose jobs tell their epoch."""


def epoch_progress(node: orm.WorkChainNode) -> list[RunProgress]:
    """Return the progress of a training by its last job: epochs done, loss, time left.

    Parameters
    ----------
    node
        A workchain whose jobs write ``progress.json`` with ``step``, ``steps``, ``loss`` and ``steps_per_s``, in
        epochs.
    """
    jobs = [child for child in called_processes(node).values() if isinstance(child, orm.CalcJobNode)]
    jobs.sort(key=lambda job: int(job.pk or 0))
    label = node.label or 'training'
    if node.is_terminated:
        results = node.outputs.results.get_dict() if 'results' in node.outputs else {}
        total = int(results.get('epochs_wanted') or 1)
        if node.is_finished_ok:
            return [RunProgress(label, 'finished', _test_errors(results), total, total)]
        reason = node.exit_message or node.process_state.value
        return [RunProgress(label, 'failed', reason, min(int(results.get('epochs') or 0), total), total)]
    if not jobs:
        return [RunProgress(label, 'waiting', '', 0, 1)]
    found = _job_progress(jobs[-1])
    done, total = int(found.get('step', 0)), max(1, int(found.get('steps', 1)))
    return [RunProgress(label, 'running', f'job {len(jobs)} {epoch_text(found)}', done, total)]


def study_trainings(node: orm.WorkChainNode) -> dict[str, RunProgress]:
    """Return the progress of the trainings of a study by label of the potential; empty if it has no plan."""
    plan = plan_of({'training': node.inputs.training} if 'training' in node.inputs else {})
    children, names = called_processes(node), {label: training_label(label) for label in plan}
    runs = [label for label, child in children.items() if isinstance(child, orm.WorkChainNode)]
    over = node.is_terminated or not set(runs) <= set(names.values())
    return {
        label: judged_progress(children[name])
        if name in children
        else RunProgress(name, 'failed' if over else 'waiting', 'not trained' if over else '', 0, 1)
        for label, name in names.items()
    }


def judged_progress(node: orm.WorkChainNode) -> RunProgress:
    """Return the progress of a TrainWorkChain: its epochs while it trains, else what it does, or what came out."""
    children, label = called_processes(node), training_label(node.label or 'training')
    if node.is_terminated:
        state = 'finished' if node.is_finished_ok else 'failed'
        text = node.exit_message or ('passed its gate' if node.is_finished_ok else node.process_state.value)
        return RunProgress(label, state, text, 1, 1)
    last = max(children.values(), key=lambda child: int(child.pk or 0), default=None)
    training = children.get('training')
    if last is None or training is None or not isinstance(training, orm.WorkChainNode):
        return RunProgress(label, 'running', 'starting' if last is None else _words(children, last), 0, 1)
    if training.is_terminated:
        return RunProgress(label, 'running', _words(children, last), 1, 1)
    if training.process_type == DISTILLATION:
        return RunProgress(label, 'running', distillation_text(training), 0, 1)
    if training.process_type not in EPOCH_TRAININGS:
        return RunProgress(label, 'running', training.process_label or 'training', 0, 1)
    (row,) = epoch_progress(training)
    return RunProgress(label, 'running', row.stage, row.steps_done, row.steps_total)


def distillation_text(node: orm.WorkChainNode) -> str:
    """Return what a distillation does: its last child by its label, and how many frames have labels by now."""
    children = {
        name: child
        for name, child in called_processes(node).items()
        if isinstance(child, (orm.CalcJobNode, orm.WorkChainNode))
    }
    last = max(children.values(), key=lambda child: int(child.pk or 0), default=None)
    if last is None:
        return 'starting'
    text = _words(children, last)
    jobs = [job for job in last.called if isinstance(job, orm.CalcJobNode)] if text.startswith('label') else []
    found = [one for one in map(_job_progress, jobs) if one]
    if not found:
        return text
    return f'{text}, {sum(one["step"] for one in found)}/{sum(one["steps"] for one in found)} frames'


def _words(children: dict[str, Any], last: orm.ProcessNode) -> str:
    return next(label for label, child in children.items() if child.pk == last.pk).replace('_', ' ')


def epoch_text(progress: dict[str, Any]) -> str:
    """Return the content of ``progress.json`` in words."""
    if not progress:
        return 'starting'
    text = f'epoch {progress["step"]}/{progress["steps"]}'
    if progress.get('loss') is not None:
        text += f', loss {progress["loss"]:.4g}'
    speed = progress.get('steps_per_s') or 0.0
    if speed > 0:
        seconds = (progress['steps'] - progress['step']) / speed
        text += f', {seconds / 60:.0f} min left' if seconds >= 120 else f', {seconds:.0f} s left'
    return text


def _job_progress(job: orm.CalcJobNode) -> dict[str, Any]:
    workdir = job.get_remote_workdir()
    try:
        return {} if workdir is None else dict(json.loads(remote_text(job, f'{workdir}/{PROGRESS_FILE}')))
    except ValueError:
        return {}


def _test_errors(results: dict[str, Any]) -> str:
    splits = results.get('splits') or {}
    name = 'test' if 'test' in splits else 'valid'
    errors = splits.get(name) or {}
    if 'force_rmse_meV_A' not in errors:
        return ''
    return f'{name}: {errors["energy_rmse_meV_per_atom"]:.1f} meV/atom, {errors["force_rmse_meV_A"]:.0f} meV/Å'
