"""How far the training of a potential is, read from the graph and from the folder of the running job."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.engine_job import PROGRESS_FILE
from aiida_hdiff.workflows.progress import RunProgress, called_processes, remote_text


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
