"""`aiida-hdiff status`."""

from __future__ import annotations

import click

from aiida_hdiff.cli.session import load_study, with_profile


@click.command()
@click.argument('study')
@click.option('--watch', is_flag=True, help='Keep the display up to date until the study ends.')
@with_profile
def status(study: str, watch: bool) -> None:
    """Show the progress of the study or training with this PK or UUID."""
    from aiida_hdiff.cli.progress import Display, watch_study
    from aiida_hdiff.workflows.training_progress import FOLLOWED, process_progress

    node = load_study(study, FOLLOWED)
    if watch:
        watch_study(node)
    else:
        rows = process_progress(node)
        width = max((len(row.label) for row in rows), default=0)
        for row in rows:
            click.echo(f'{row.label:<{width}} {row.state:<9} {row.steps_done:>10}/{row.steps_total}  {row.stage}')
        Display().show(rows)
    state = node.process_state.value if node.process_state else 'unknown'
    click.echo(f'study {node.pk}: {state}{f", {node.exit_message}" if node.exit_message else ""}')
