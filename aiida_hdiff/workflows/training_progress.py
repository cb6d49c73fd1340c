"""How far a training on the fly is, read from the graph and from the folders of the running jobs."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_hdiff.workflows.progress import (
    RunProgress,
    called_processes,
    last_oszicar_step,
    remote_text,
    study_progress,
)
from aiida_hdiff.workflows.train_progress import EPOCH_TRAININGS, epoch_progress, judged_progress
from aiida_hdiff.workflows.training import stage_groups, stage_settings

DIFFUSION = 'aiida.workflows:hdiff.diffusion'
TRAINING = 'aiida.workflows:hdiff.on_the_fly'
TRAINED_DIFFUSION = 'aiida.workflows:hdiff.trained_diffusion'
JUDGED_TRAINING = 'aiida.workflows:hdiff.train'
FOLLOWED = (DIFFUSION, TRAINING, TRAINED_DIFFUSION, JUDGED_TRAINING, *EPOCH_TRAININGS)
"""Processes whose progress can be shown."""


def process_progress(node: orm.WorkChainNode) -> list[RunProgress]:
    """Return the progress of a diffusion study, a training, or both in one."""
    if node.process_type == TRAINING:
        return training_progress(node)
    if node.process_type in EPOCH_TRAININGS:
        return epoch_progress(node)
    if node.process_type == JUDGED_TRAINING:
        return [judged_progress(node)]
    if node.process_type != TRAINED_DIFFUSION:
        return study_progress(node)
    children = called_processes(node)
    if 'training' not in children:
        return [RunProgress('training', 'waiting', '', 0, 1)]
    rows = training_progress(children['training'])
    return rows + study_progress(children['diffusion']) if 'diffusion' in children else rows


def training_progress(node: orm.WorkChainNode) -> list[RunProgress]:
    """Return the progress of every stage of an OnTheFlyWorkChain."""
    settings, children = node.inputs.settings.get_dict(), called_processes(node)
    rows = []
    for group in stage_groups(settings, from_dataset='dataset' in node.inputs):
        for name in group:
            steps = stage_settings(settings, name)['steps']
            rows.append(_stage_progress(name, children.get(name), steps))
    return rows


def _stage_progress(name: str, stage: Any, steps: int) -> RunProgress:
    if stage is None:
        return RunProgress(name, 'waiting', '', 0, steps)
    jobs = [child for child in called_processes(stage).values() if isinstance(child, orm.CalcJobNode)]
    jobs.sort(key=lambda job: int(job.pk or 0))
    if stage.is_terminated:
        statistics = stage.outputs.statistics.get_dict() if 'statistics' in stage.outputs else {}
        found = f'{statistics.get("n_frames", 0)} frames, {statistics.get("n_dft_steps", 0)} DFT steps'
        if stage.is_finished_ok:
            return RunProgress(name, 'finished', found, steps, steps)
        reason = stage.exit_message or stage.process_state.value
        return RunProgress(name, 'failed', f'{reason}; {found}', steps, steps)
    if not jobs:
        return RunProgress(name, 'running', 'starting', 0, steps)
    done = min(steps, training_job_step(jobs[-1]))
    return RunProgress(name, 'running', f'job {len(jobs)} {done}/{steps}', done, steps)


def training_job_step(job: orm.CalcJobNode) -> int:
    """Return the step of the stage that a job has reached, from its results or its OSZICAR while it runs."""
    first = int(job.inputs.first_step.value) if 'first_step' in job.inputs else 0
    if job.is_finished and 'misc' in job.outputs:
        return int(job.outputs.misc['last_step'])
    workdir = job.get_remote_workdir()
    return first if workdir is None else first + last_oszicar_step(remote_text(job, f'{workdir}/OSZICAR'))
