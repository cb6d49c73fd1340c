"""How far a study is, read from the graph and from the folders of the running jobs."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.stages import STAGES, stage_settings
from aiida_hdiff.formats.lammps import read_screen_output

_TAIL_CHARACTERS = 40_000


@dataclass(frozen=True)
class RunProgress:
    """Progress of one diffusivity.

    Attributes
    ----------
    label
        Potential, temperature and replica.
    state
        ``waiting``, ``running``, ``finished`` or ``failed``.
    stage
        Stage that runs, or what came out.
    steps_done, steps_total
        Steps of all stages of the regular course, and of the extensions and replicas begun so far.
    """

    label: str
    state: str
    stage: str
    steps_done: int
    steps_total: int


def study_progress(node: orm.WorkChainNode) -> list[RunProgress]:
    """Return the progress of every training and every run of a DiffusionWorkChain."""
    from aiida_hdiff.workflows.diffusion import run_label
    from aiida_hdiff.workflows.train_progress import study_trainings
    from aiida_hdiff.workflows.training_phase import only_judged, plan_of

    trainings = study_trainings(node)
    labels = list(node.inputs.potentials) if 'potentials' in node.inputs else []
    plan = plan_of({'training': node.inputs.training} if 'training' in node.inputs else {})
    without = only_judged(plan)
    labels += [label for label, row in trainings.items() if row.state != 'failed' and label not in without]
    settings = node.inputs.settings.get_dict()
    totals = {stage: stage_settings(settings, stage, 300.0, 1)['steps'] for stage in STAGES}
    children = called_processes(node)
    rows = list(trainings.values())
    for temperature in node.inputs.temperatures.get_list():
        for replica in range(node.inputs.replicas.value):
            for potential in labels:
                label = run_label(potential, temperature, replica)
                rows.append(_run_progress(label, children.get(label), totals))
    return rows


def called_processes(node: orm.ProcessNode) -> dict[str, Any]:
    """Return the processes that a process has called, by call link label."""
    return {link.link_label: link.node for link in node.base.links.get_outgoing(node_class=orm.ProcessNode).all()}


def _run_progress(label: str, run: Any, totals: dict[str, int]) -> RunProgress:
    total = sum(totals.values())
    if run is None:
        return RunProgress(label, 'waiting', '', 0, total)
    if run.is_terminated:
        if 'diffusivity' in run.outputs:
            note = '' if run.is_finished_ok else ', not converged'
            return RunProgress(label, 'finished', f'{run.outputs.diffusivity}{note}', total, total)
        return RunProgress(label, 'failed', run.exit_message or run.process_state.value, total, total)
    done, current = 0, 'starting'
    for name, stage in sorted(called_processes(run).items(), key=lambda item: int(item[1].pk)):
        kind, _, repeat = name.partition('_')
        if not isinstance(stage, orm.WorkChainNode):
            continue
        if kind == 'replica':
            replica = _run_progress(name, stage, totals)
            done, total = done + replica.steps_done, total + replica.steps_total
            current = f'{name} {replica.stage}'
            continue
        if kind not in STAGES:
            continue
        if repeat.startswith('extension'):
            first, last = stage.inputs.checkpoint.step, stage.inputs.parameters['steps']
            steps = last if stage.is_terminated else max(first, _stage_steps(stage))
            done, total, current = done + steps - first, total + last - first, f'{name} {steps}/{last}'
            continue
        if repeat == '2' and kind == 'nvt':
            done = totals['npt']
        if stage.is_terminated:
            done, current = done + totals[kind], f'{name} done'
        else:
            steps = _stage_steps(stage)
            done, current = done + min(steps, totals[kind]), f'{name} {steps}/{totals[kind]}'
    return RunProgress(label, 'running', current, done, total)


def _stage_steps(stage: orm.WorkChainNode) -> int:
    """Return the steps done by the last job of a running stage."""
    jobs = sorted(
        (node for node in stage.called if isinstance(node, orm.CalcJobNode)), key=lambda node: int(node.pk or 0)
    )
    return job_steps(jobs[-1]) if jobs else 0


def job_steps(job: orm.CalcJobNode) -> int:
    """Return the steps that a job has done, from its results or from its folder while it runs; 0 if unknown."""
    if job.is_finished and 'results' in job.outputs:
        return int(job.outputs.results['last_step'])
    workdir = job.get_remote_workdir()
    if workdir is None:
        return 0
    start = int(job.inputs.checkpoint.step) if 'checkpoint' in job.inputs else 0
    if job.process_type.endswith('vasp_md'):
        return start + last_oszicar_step(remote_text(job, f'{workdir}/OSZICAR'))
    lammps = job.process_type.endswith('lammps_md')
    name = job.get_option('output_filename') if lammps else 'progress.json'
    text = remote_text(job, f'{workdir}/{name}')
    if not text:
        return start
    if lammps:
        return read_screen_output(text).last_step or 0
    try:
        return int(json.loads(text)['step'])
    except (ValueError, KeyError):
        return 0


def remote_text(job: orm.CalcJobNode, path: str) -> str:
    """Return the text of a file in the folder of a job, empty if it is not there."""
    if job.computer.transport_type == 'core.local':
        try:
            return Path(path).read_text()
        except OSError:
            return ''
    with tempfile.TemporaryDirectory() as scratch, job.get_authinfo().get_transport() as transport:
        target = Path(scratch) / 'file'
        try:
            transport.getfile(path, str(target))
        except OSError:
            return ''
        return target.read_text()


def last_oszicar_step(text: str) -> int:
    """Return the number of the last complete step of an OSZICAR, or of its end; 0 if there is none."""
    for line in reversed(text[-_TAIL_CHARACTERS:].splitlines()):
        number, equals, _ = line.strip().partition(' T=')
        if equals and number.strip().isdigit():
            return int(number)
    return 0
