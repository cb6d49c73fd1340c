"""`aiida-hdiff show`, `report` and `plot`."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_hdiff.cli.session import fail, load_study, with_profile


@click.command()
@click.argument('study')
@click.option('--json', 'as_json', is_flag=True, help='Print results.json instead of a table.')
@with_profile
def show(study: str, as_json: bool) -> None:
    """Show the results of the study with this PK or UUID."""
    import json

    from aiida_hdiff.report.collect import collect_study
    from aiida_hdiff.report.results import results_json
    from aiida_hdiff.report.table import results_table

    collected = collect_study(load_study(study))
    click.echo(json.dumps(results_json(collected), indent=2) if as_json else results_table(collected))


@click.command()
@click.argument('study')
@click.option('-o', '--output', type=click.Path(path_type=Path), default=Path('report.html'), show_default=True)
@with_profile
def report(study: str, output: Path) -> None:
    """Write the self-contained HTML report of the study with this PK or UUID."""
    from aiida_hdiff.report.collect import collect_study
    from aiida_hdiff.report.html import render_html

    node = load_study(study)
    try:
        output.write_text(render_html(collect_study(node)), encoding='utf-8')
    except (OSError, ImportError) as error:
        raise fail(str(error)) from error
    click.echo(f'wrote {output}')


@click.command()
@click.argument('study')
@click.option('-o', '--output', type=click.Path(path_type=Path), default=Path('figures'), show_default=True)
@with_profile
def plot(study: str, output: Path) -> None:
    """Write the figures of the study with this PK or UUID into a folder."""
    from aiida_hdiff.report.collect import collect_study
    from aiida_hdiff.report.figures import save_figures

    node = load_study(study)
    try:
        for path in save_figures(collect_study(node), output):
            click.echo(f'wrote {path}')
    except (OSError, ImportError) as error:
        raise fail(str(error)) from error
