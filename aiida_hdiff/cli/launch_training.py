"""`aiida-hdiff launch-training` and `plot-training`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import busy_database, fail, load_study, require_writable, with_profile


@click.command('launch-training')
@click.argument('training', type=click.Path(path_type=Path))
@click.option('--dry-run', is_flag=True, help='Print stages, jobs and steps; submit nothing.')
@click.option('--run', 'run_here', is_flag=True, help='Run in this process instead of the daemon.')
@with_profile
def launch_training(training: Path, dry_run: bool, run_here: bool) -> None:
    """Launch the training of a VASP force field on the fly from a YAML file.

    With a section `diffusion` in the file, the diffusion study with that force field follows.
    """
    from aiida_hdiff.cli.launch import read_study, submit_builder, validate_builder
    from aiida_hdiff.workflows.training_study import training_builder

    content, folder = read_study(training)
    require_writable()
    try:
        with busy_database():
            builder = training_builder(content, folder)
            validate_builder(builder)
    except ValueError as error:
        raise fail(str(error)) from error
    _plan(builder)
    if dry_run:
        click.echo('dry run: nothing was submitted')
        return
    if run_here:
        from aiida_hdiff.cli.progress import run_study

        node = run_study(builder)
        click.echo(f'training {node.pk} ended with status {node.exit_status}. See `aiida-hdiff status {node.pk}`.')
        return
    submit_builder(builder, 'training')


def _plan(builder: Any) -> None:
    from aiida_hdiff.workflows.training import planned_jobs, stage_settings

    inputs = builder.training if 'training' in builder else builder
    settings = inputs.settings.get_dict()
    for name, jobs in planned_jobs(settings, from_dataset='dataset' in inputs).items():
        steps = stage_settings(settings, name)['steps']
        click.echo(f'{name:<12} {steps} step{"s" * (steps > 1)} in {jobs} job{"s" * (jobs > 1)}')
    if 'training' in builder:
        temperatures = builder.diffusion.temperatures.get_list()
        click.echo(f'then molecular dynamics at {", ".join(f"{kelvin:g}" for kelvin in temperatures)} K')


@click.command('plot-training')
@click.argument('training')
@click.option(
    '-o', '--output', type=click.Path(path_type=Path), default=Path('learning.png'), show_default=True,
    help='Figure to write: .png, .svg or .pdf.',
)  # fmt: skip
@with_profile
def plot_training(training: str, output: Path) -> None:
    """Write the figure of the training with this PK or UUID.

    It shows Bayesian error, threshold and calls of the density functional calculation against time.
    """
    from aiida_hdiff.report.learning import TRAINED_DIFFUSION, TRAINING, collect_learning
    from aiida_hdiff.report.plots.learning import save_learning_figure

    node = load_study(training, (TRAINING, TRAINED_DIFFUSION))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        click.echo(f'wrote {save_learning_figure(collect_learning(node), output)}')
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from error
