"""`aiida-hdiff launch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import busy_database, fail, free_space_error, require_writable, with_profile


@click.command()
@click.argument('study', required=False, type=click.Path(path_type=Path))
@click.option('--host', help='Host metal by symbol, instead of a study file.')
@click.option('--lattice', type=click.Choice(['fcc', 'bcc', 'hcp']), help='Lattice of the host.')
@click.option('--supercell', nargs=3, type=int, default=(3, 3, 3), show_default=True, help='Repeats of the cell.')
@click.option('--n-hydrogen', type=int, help='Number of hydrogen atoms.')
@click.option('--ratio', type=float, help='Hydrogen atoms per host atom.')
@click.option('--sites', default='octahedral', show_default=True, help='octahedral, tetrahedral, mixed or random.')
@click.option('--pair-style', help='LAMMPS pair style of the potential.')
@click.option('--file', 'files', multiple=True, help='Potential file; again for more.')
@click.option('--architecture', type=click.Choice(['chgnet', 'mace', 'emt', 'lennard_jones']))
@click.option('--element', 'elements', multiple=True, help='Element of the potential, if its file does not tell.')
@click.option(
    '-T', '--temperature', 'temperatures', multiple=True, type=float, help='Temperature in K; again for more.'
)
@click.option('--protocol', help='demo, fast, moderate, precise or paper.')
@click.option('--seed', type=int, help='Seed of all random numbers.')
@click.option('--replicas', type=int, help='Independent runs per temperature.')
@click.option('--max-concurrent', type=int, help='Runs at a time.')
@click.option('--dry-run', is_flag=True, help='Print jobs, node count and cost; submit nothing.')
@click.option('--run', 'run_here', is_flag=True, help='Run in this process instead of the daemon.')
@click.option('--trust', is_flag=True, help='Load model files that could run code: you know who made them.')
@with_profile
def launch(study: Path | None, dry_run: bool, run_here: bool, trust: bool, **flags: Any) -> None:
    """Launch a study: from a YAML file, or from flags.

    Everything in it is checked before anything is submitted.
    """
    from aiida_hdiff.workflows.plan import plan_seconds, study_plan
    from aiida_hdiff.workflows.study import study_builder

    content, folder = read_study(study) if study else (_from_flags(flags), Path.cwd())
    require_writable()
    try:
        with busy_database():
            builder = study_builder(content, folder, trust=trust)
            validate_builder(builder)
    except ValueError as error:
        raise fail(str(error)) from error
    plan = study_plan(builder)
    if plan['trainings']:
        click.echo(f'{plan["trainings"]} potentials to train or to judge first, not counted below')
    click.echo(
        f'{plan["runs"]} runs of {plan["steps_per_run"]} steps: {plan["jobs"]} jobs, about {plan["nodes"]} nodes, '
        f'{plan["simulated_ps"]:g} ps, roughly {plan_seconds(builder) / 60:.0f} min with {builder.max_concurrent} at a '
        f'time, {plan["disk_MB"]:.0f} MB of disk'
    )
    if dry_run:
        click.echo('dry run: nothing was submitted')
        return
    _check_space(plan['disk_MB'] * 1e6)
    if run_here:
        from aiida_hdiff.cli.progress import run_study

        node = run_study(builder)
        click.echo(f'study {node.pk} ended with status {node.exit_status}. See `aiida-hdiff show {node.pk}`.')
        return
    submit_builder(builder)


def submit_builder(builder: Any, what: str = 'study') -> None:
    """Submit to the daemon.

    Raises
    ------
    click.ClickException
        If it is not running.
    """
    from aiida.engine import submit
    from aiida.engine.daemon.client import get_daemon_client

    if not get_daemon_client().is_daemon_running:
        raise fail('the daemon is not running: start it with `verdi daemon start 2`, or add `--run` to run here.')
    with busy_database():
        node = submit(builder)
    click.echo(f'submitted {what} {node.pk}: follow it with `aiida-hdiff status {node.pk} --watch`')


def validate_builder(builder: Any) -> None:
    """Run the validators of the workchain, as submitting would.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    error = builder.process_class.spec().inputs.validate(builder._inputs(prune=True))
    if error is not None:
        raise ValueError(str(error.message))


def _check_space(needed_bytes: float) -> None:
    from aiida.manage.configuration import get_config

    error = free_space_error(get_config().dirpath, needed_bytes)
    if error:
        raise fail(error)


def read_study(path: Path) -> tuple[Any, Path]:
    """Return the content of a study file and its folder."""
    import yaml

    if not path.is_file():
        raise fail(f'study file {path.name!r} does not exist.')
    try:
        return yaml.safe_load(path.read_text(encoding='utf-8')), path.resolve().parent
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise fail(f'study file {path.name!r} is not YAML: {error}') from error


def _from_flags(flags: dict[str, Any]) -> dict[str, Any]:
    if not flags['host']:
        raise fail('give a study file, or --host, a potential and temperatures: see `aiida-hdiff launch --help`.')
    structure = {'host': flags['host'], 'supercell': list(flags['supercell'])}
    if flags['lattice']:
        structure['lattice'] = flags['lattice']
    hydrogen = {key: flags[key] for key in ('n_hydrogen', 'ratio') if flags[key] is not None}
    potential: dict[str, Any] = {}
    if flags['pair_style']:
        potential = {'pair_style': flags['pair_style'], 'files': list(flags['files'])}
    elif flags['architecture']:
        potential = {'architecture': flags['architecture']}
        if flags['files']:
            potential['file'] = flags['files'][0]
    if flags['elements']:
        potential['elements'] = list(flags['elements'])
    optional = ('protocol', 'seed', 'replicas', 'max_concurrent')
    return {
        'structure': structure,
        'hydrogen': {**hydrogen, 'sites': flags['sites'], 'seed': 1 if flags['seed'] is None else flags['seed']},
        'potentials': {'potential': potential},
        'temperatures_K': list(flags['temperatures']),
        **{key: flags[key] for key in optional if flags[key] is not None},
    }
