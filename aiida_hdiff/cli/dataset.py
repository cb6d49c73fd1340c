"""`aiida-hdiff dataset import|split|subsample|statistics`, beside `list`, `show` and `export`."""

from __future__ import annotations

import json
from typing import Any

import click

from aiida_hdiff.cli import dataset_import  # noqa: F401
from aiida_hdiff.cli.nodes import _load, dataset
from aiida_hdiff.cli.session import busy_database, fail, require_writable, with_profile

__all__ = ['dataset']

KINDS = ('temperature', 'composition', 'config_type', 'run', 'reference')
SHOWN = 10


class Size(click.ParamType):
    """A fraction with a decimal point or a number of frames."""

    name = 'fraction or number'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | int:
        """Return the value as float or int."""
        text = str(value)
        try:
            return int(text) if text.lstrip('-').isdigit() else float(text)
        except ValueError:
            self.fail(f'{text!r} is no number: give a fraction such as 0.1 or a number of frames.', param, ctx)


def _stratify(function: Any) -> Any:
    return click.option(
        '--stratify', multiple=True, type=click.Choice(KINDS), help='Keep the shares of these kinds; may be repeated.'
    )(
        click.option(
            '--temperature-bin', 'temperature_bin_K', type=float, default=100.0, show_default=True, help='In K.'
        )(function)
    )


@dataset.command('split')
@click.argument('node')
@click.option('--test', type=Size(), default='0.1', show_default=True, help='Fraction or number of frames; 0 for none.')
@click.option('--valid', type=Size(), default='0.1', show_default=True, help='To stop the training by; 0 for none.')
@click.option('--train', type=Size(), help='Frames to train on.  [default: all that are left]')
@click.option('--by', type=click.Choice(['random', 'blocks']), default='random', show_default=True)
@click.option('--seed', type=int, default=1, show_default=True)
@_stratify
@click.option('--blocks-per-run', type=int, help='Blocks of each trajectory.  [default: 10]')
@click.option('--block-steps', type=int, help='Length of a block in steps instead.')
@click.option('--gap-steps', type=int, default=0, help='Leave out frames to train on nearer than this to other parts.')
@click.option(
    '--unplaced',
    type=click.Choice(['refuse', 'alone', 'leave_out']),
    default='refuse',
    show_default=True,
    help='With blocks: what to do with frames whose step is not told.',
)
@click.option('--timestep-fs', type=float, help='Length of a step, to have distances in fs too.')
@with_profile
def split(node: str, **options: Any) -> None:
    """Split a data set into parts to train on, to stop by and to test against."""
    from aiida import orm

    from aiida_hdiff.calculations.splits import split_dataset

    require_writable()
    found = _load('hdiff.dataset', node)
    settings = {key: value for key, value in options.items() if value is not None}
    settings['stratify'] = list(options['stratify'])
    results = _run(split_dataset, found, orm.Dict(settings))
    record = results['record'].base.attributes.all
    for name, count in record['n_frames'].items():
        click.echo(f'{name:<6} data set {results[name].pk}: {count} frames ({count / found.n_frames:.1%})')
    left_out = ', '.join(f'{count} {reason}' for reason, count in record['left_out'].items() if count)
    if left_out:
        click.echo(f'left out: {left_out}')
    if options['stratify']:
        for row in record['strata']:
            click.echo(f'  {row["kind"]}: ' + ', '.join(f'{row[name]} {name}' for name in record['n_frames']))
    for one in record['nearness']:
        steps = one['smallest_distance_steps']
        distance = 'no trajectory in common' if steps is None else f'{steps} steps apart at least'
        time = '' if one['smallest_distance_fs'] is None else f' ({one["smallest_distance_fs"]:g} fs)'
        click.echo(f'{one["parts"][0]} and {one["parts"][1]}: {distance}{time}')
    for warning in record['warnings']:
        click.echo(f'warning: {warning}')
    click.echo(f'record {results["record"].pk}')


@dataset.command('subsample')
@click.argument('node')
@click.option('--n-random', type=int, help='Number of frames drawn at random.')
@click.option('--fraction', type=float, help='Share of the frames drawn at random.')
@click.option('--stride', type=int, help='Take every n-th frame.')
@click.option('--start', type=int, default=0, help='First frame of --stride.')
@click.option('--seed', type=int, default=1, show_default=True)
@_stratify
@with_profile
def subsample(node: str, **options: Any) -> None:
    """Make a smaller data set."""
    from aiida import orm

    from aiida_hdiff.calculations.splits import subsample_dataset

    require_writable()
    found = _load('hdiff.dataset', node)
    settings = {key: value for key, value in options.items() if value is not None}
    settings['stratify'] = list(options['stratify'])
    results = _run(subsample_dataset, found, orm.Dict(settings))
    click.echo(f'data set {results["dataset"].pk}: {results["dataset"].n_frames} of {found.n_frames} frames')
    if options['stratify']:
        for row in results['record']['strata']:
            click.echo(f'  {row["kind"]}: {row["after"]} of {row["before"]}')
    click.echo(f'record {results["record"].pk}')


@dataset.command('statistics')
@click.argument('node')
@click.option('--json', 'as_json', is_flag=True, help='Print all numbers as JSON.')
@with_profile
def statistics(node: str, as_json: bool) -> None:
    """Say what a data set consists of and what may be wrong with it."""
    from aiida_hdiff.calculations.splits import dataset_statistics

    require_writable()
    result = _run(dataset_statistics, _load('hdiff.dataset', node))
    found = result.get_dict()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    elements = ' '.join(f'{symbol}{count}' for symbol, count in found['elements'].items())
    click.echo(f'{found["n_frames"]} frames, {found["n_atoms"]} atoms: {elements}')
    for name, one in _first(found['compositions']):
        energy = one['energy_eV_per_atom']
        click.echo(
            f'  {name}: {one["n_frames"]} frames, {energy["mean"]:.4f} eV/atom, '
            f'spread {1e3 * energy["std"]:.1f} meV/atom'
        )
    for symbol, one in found['forces_eV_A'].items():
        click.echo(f'forces on {symbol}: rms {one["rms_component"]:.3f}, largest {one["max_length"]:.2f} eV/Å')
    stress = found['stress_GPa']
    if stress is not None:
        pressure = stress['pressure']
        click.echo(f'pressure: {pressure["mean"]:.2f} ± {pressure["std"]:.2f} GPa in {stress["n_frames"]} frames')
    temperatures = found['temperatures_K']
    if temperatures['all'] is not None:
        span = f'{temperatures["all"]["min"]:g} to {temperatures["all"]["max"]:g} K'
        click.echo(f'temperature: {span} in {temperatures["n_frames"]} frames')
    runs = found['runs']
    click.echo(f'{runs["n"]} trajectories or sources; {runs["n_frames_without_step"]} frames tell no step')
    for key, what in (('config_types', 'group'), ('references', 'reference')):
        for name, count in _first(found[key]):
            click.echo(f'{what} {name or "(none)"}: {count} frames')
    for pair, one in _first(found['contacts']['shortest_A']):
        click.echo(f'shortest {pair}: {one["distance_A"]:.3f} Å in frame {one["frame"]}')
    for warning in found['warnings']:
        click.echo(f'warning: {warning}')
    click.echo(f'statistics {result.pk}')


def _first(table: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(table.items())[:SHOWN]


def _run(function: Any, *inputs: Any) -> Any:
    try:
        with busy_database():
            return function(*inputs)
    except ValueError as error:
        raise fail(str(error)) from error
