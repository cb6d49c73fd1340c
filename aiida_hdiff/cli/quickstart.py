"""`aiida-hdiff quickstart`."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import fail, free_space_error, require_aiida

LAMMPS, ENGINE = 'lmp', 'hdiff-engine'
SYSTEMS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    'ni-h': {'eam': ('ni-h.yaml', (LAMMPS, ENGINE))},
    'mg-h': {'pod': ('mg-h.yaml', (LAMMPS, ENGINE)), 'chgnet': ('mg-h-chgnet.yaml', (ENGINE,))},
}
"""Study files and codes by system and potential; the first potential of a system is its default."""


@click.command()
@click.option(
    '--system', type=click.Choice(list(SYSTEMS)), default='ni-h', show_default=True,
    help='H in fcc Ni with an EAM potential, or H in hcp Mg with a POD potential trained on PBE, both in LAMMPS.',
)  # fmt: skip
@click.option(
    '--potential', type=click.Choice(sorted({name for one in SYSTEMS.values() for name in one})),
    help='chgnet for a short demonstration of H in Mg with CHGNet.  [default: that of the system]',
)  # fmt: skip
@click.option(
    '-o', '--output', type=click.Path(path_type=Path), default=Path('hdiff-quickstart'), show_default=True,
    help='Folder for the report, figures, results and archive.',
)  # fmt: skip
@click.option(
    '--seed', type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help='Seed of all random numbers.'
)
@click.pass_context
def quickstart(ctx: click.Context, system: str, potential: str | None, output: Path, seed: int) -> None:
    """From nothing to an Arrhenius plot in minutes, with every step in an AiiDA graph.

    Makes a profile of its own if there is none, sets up what it needs, runs a real study and writes report.html,
    figures, results.json and an archive. A second run is served from the cache.
    """
    import yaml

    require_aiida()
    from aiida_hdiff.cli import environment
    from aiida_hdiff.cli.progress import run_study
    from aiida_hdiff.cli.session import require_writable

    started = time.monotonic()
    known = SYSTEMS[system]
    if potential is not None and potential not in known:
        raise fail(f'--potential {potential} does not go with --system {system}: give {" or ".join(known)}.')
    name, codes = known[potential or next(iter(known))]
    content = yaml.safe_load((files('aiida_hdiff.cli') / 'systems' / name).read_text(encoding='utf-8'))
    content['seed'] = seed
    _prepare_output(output)
    profile, new = environment.ensure_profile(ctx.meta.get('aiida_hdiff.profile'))
    require_writable()
    click.echo(f'AiiDA profile {profile!r} ({"made now" if new else "found"}); no other profile is touched')
    for label in codes:
        environment.ensure_code(label)
    from aiida.manage.caching import enable_caching

    from aiida_hdiff.workflows.plan import plan_seconds, study_plan
    from aiida_hdiff.workflows.study import study_builder

    try:
        builder = study_builder(content, Path.cwd())
    except ValueError as error:
        raise fail(str(error)) from error
    plan = study_plan(builder)
    from aiida.manage.configuration import get_config

    for folder in (get_config().dirpath, output):
        error = free_space_error(folder, plan['disk_MB'] * 1e6)
        if error:
            raise fail(error)
    click.echo(
        f'{content["title"]}: {plan["jobs"]} jobs, {plan["simulated_ps"]:g} ps of molecular dynamics, ', nl=False
    )
    click.echo(f'roughly {max(1, round(plan_seconds(builder) / 60))} min on two idle cores')
    with _caching(enable_caching):
        node = run_study(builder)
    _write(node, output)
    click.echo(f'study {node.pk} done in {time.monotonic() - started:.0f} s, written to {output}/:')
    click.echo('  report.html  figures/  results.json  study.aiida')
    click.echo(f'walk the graph: verdi -p {profile} process show {node.pk}')
    if not node.is_finished_ok:
        click.echo(f'note: {node.exit_message}')
    if node.exit_status is None or (node.exit_status != 0 and not _has_results(node)):
        ctx.exit(1)


def _has_results(node: Any) -> bool:
    return 'diffusivities' in node.outputs


def _caching(enable_caching: Any) -> Any:
    from contextlib import ExitStack

    from aiida_hdiff.cli.environment import CACHED

    stack = ExitStack()
    for identifier in CACHED:
        stack.enter_context(enable_caching(identifier=identifier))
    return stack


def _prepare_output(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / '.writable'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise fail(f'--output {output} cannot be written: {error.strerror}. Give another folder.') from error


def _write(node: Any, output: Path) -> None:
    from aiida_hdiff.cli.archive import write_archive
    from aiida_hdiff.cli.progress import quiet_console
    from aiida_hdiff.report.collect import collect_study
    from aiida_hdiff.report.figures import save_figures
    from aiida_hdiff.report.html import render_html
    from aiida_hdiff.report.results import results_json
    from aiida_hdiff.report.table import results_table

    study = collect_study(node)
    click.echo('\n' + results_table(study) + '\n')
    (output / 'results.json').write_text(json.dumps(results_json(study), indent=2) + '\n', encoding='utf-8')
    try:
        save_figures(study, output / 'figures', ('msd', 'rdf'))
        (output / 'report.html').write_text(render_html(study), encoding='utf-8')
    except ImportError as error:
        raise fail(f'{error} The results are in results.json and in study {node.pk}.') from error
    quiet_console()
    write_archive(node, output / 'study.aiida')
