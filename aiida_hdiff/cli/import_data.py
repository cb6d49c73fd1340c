"""`aiida-hdiff import-mlab` and `import-vasp`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import busy_database, fail, require_writable, with_profile

MEGABYTE = 1e6
SHOWN_FRAMES = 10


@click.command('import-mlab')
@click.argument('files', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('--label', help='Label of the data set.')
@click.option('--reference', default='', help='Method and settings of the labels, such as PBE-600eV: one text for all.')
@click.option('--keep-duplicates', is_flag=True, help='Keep frames with equal structures in several files.')
@click.option('--allow-truncated', is_flag=True, help='Take the complete frames of a file that ends too early.')
@with_profile
def import_mlab(
    files: tuple[Path, ...], label: str | None, reference: str, keep_duplicates: bool, allow_truncated: bool
) -> None:
    """Make one data set of ML_AB or ML_ABN files of VASP.

    All files are read before anything is stored.
    """
    from aiida import orm

    from aiida_hdiff.calculations.datasets import import_ml_ab, merge_datasets

    require_writable()
    _check_training_sets(files, allow_truncated)
    settings = {'reference': reference, 'allow_truncated': allow_truncated}
    parts: dict[str, Any] = {}
    try:
        with busy_database():
            for number, path in enumerate(files):
                node = orm.SinglefileData(path.absolute(), filename=path.name)
                own = orm.Dict({**settings, 'origin': _origin(path, number, len(files))})
                parts[f'file_{number:03d}'] = import_ml_ab(node, own)
            dataset = next(iter(parts.values()))
            if len(parts) > 1:
                merged: Any = merge_datasets(orm.Dict({'keep_duplicates': keep_duplicates}), **parts)
                dataset = merged['dataset']
                left_out = len(merged['decisions']['duplicates'])
                if left_out:
                    click.echo(f'{left_out} frames are in several files and were taken once')
    except ValueError as error:
        raise fail(str(error)) from error
    if label:
        dataset.label = label
    _summarise(dataset)


def _origin(path: Path, number: int, n_files: int) -> str:
    return path.name if n_files == 1 else f'{path.name}-{number + 1}'


def _check_training_sets(files: tuple[Path, ...], allow_truncated: bool) -> None:
    """Read all files; a file that cannot be read ends the command with its name and line."""
    from aiida_hdiff.formats import read_ml_ab

    for number, path in enumerate(files, 1):
        if not path.is_file():
            raise fail(f'{path} is no file: give ML_AB or ML_ABN files. Nothing was stored.')
        click.echo(f'[{number}/{len(files)}] {path.name}, {path.stat().st_size / MEGABYTE:.1f} MB: ', nl=False)
        try:
            found = read_ml_ab(path, allow_truncated=allow_truncated)
        except (ValueError, OSError) as error:
            click.echo('cannot be read')
            raise fail(f'{error}. Nothing was stored.') from error
        click.echo(f'{len(found)} configurations of {" ".join(found.elements)}')


def _summarise(dataset: Any) -> None:
    from aiida_hdiff.formats import check_labels
    from aiida_hdiff.report.collect_emulated import is_emulated
    from aiida_hdiff.report.text import EMULATED

    if is_emulated([dataset]):
        click.echo(EMULATED)
    frames = dataset.frames()
    flagged = [decision for decision in check_labels(frames) if not decision.kept]
    click.echo(
        f'data set {dataset.pk}: {dataset.n_frames} frames of {" ".join(dataset.elements)}, '
        f'reference {", ".join(dataset.references) or "not given"}'
    )
    if not flagged:
        click.echo('no frame is flagged')
        return
    click.echo(f'{len(flagged)} frames are flagged; `filter_dataset` leaves them out:')
    for decision in flagged[:SHOWN_FRAMES]:
        click.echo(
            f'  {decision.origin}: {", ".join(decision.reasons)} (force error {decision.force_error_eV_A:.3f} eV/Å)'
        )
    if len(flagged) > SHOWN_FRAMES:
        click.echo(f'  and {len(flagged) - SHOWN_FRAMES} more')


@click.command('import-vasp')
@click.argument('folders', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('--family', help='POTCAR family in which the potentials of the runs are.  [default: all uploaded]')
@click.option('--computer', default='localhost', show_default=True, help='Computer that the jobs are assigned to.')
@click.option('--label', help='Label of the jobs.')
@click.option('--analyse', is_flag=True, help='Also compute the diffusivity of hydrogen in every run.')
@click.option('--window-ps', nargs=2, type=float, help='Fit window of --analyse.  [default: that of the protocols]')
@with_profile
def import_vasp(
    folders: tuple[Path, ...],
    family: str | None,
    computer: str,
    label: str | None,
    analyse: bool,
    window_ps: tuple[float, float] | None,
) -> None:
    """Take finished VASP runs with a force field, or of molecular dynamics, into the graph as if AiiDA had run them.

    All folders are checked before anything is stored. POTCARs are found among those that are uploaded, by title.
    """
    from aiida_hdiff.cli.progress import quiet_console
    from aiida_hdiff.workflows.imported import check_run, import_run

    require_writable()
    quiet_console()
    where = _computer(computer)
    try:
        for folder in folders:
            check_run(folder, where, family)
    except (ValueError, ImportError) as error:
        raise fail(f'{str(error).rstrip(".")}. Nothing was stored.') from error
    nodes = []
    for number, folder in enumerate(folders, 1):
        click.echo(f'[{number}/{len(folders)}] {folder.name}: ', nl=False)
        try:
            with busy_database():
                node = import_run(folder, where, family)
        except ValueError as error:
            click.echo('failed')
            raise fail(str(error)) from error
        node.label = label or folder.resolve().name
        nodes.append(node)
        _describe(node)
    if analyse:
        _analyse(nodes, window_ps)


def _computer(label: str) -> Any:
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        return orm.load_computer(label)
    except NotExistent as error:
        raise fail(
            f'computer {label!r} is not set up: run `aiida-hdiff setup`, or name another with --computer.'
        ) from error


def _describe(node: Any) -> None:
    from aiida_hdiff.report.text import EMULATED

    outputs = {link.link_label: link.node for link in node.base.links.get_outgoing().all()}
    if 'misc' not in outputs:
        click.echo(f'job {node.pk} ended with status {node.exit_status}: {node.exit_message}')
        return
    misc = outputs['misc'].get_dict()
    click.echo(
        f'job {node.pk}, {misc["n_steps"]} steps, {misc["n_dft_steps"]} of DFT, ML_MODE {misc["mode"]}, '
        f'version {misc["version"] or "unknown"}'
    )
    if misc['emulated']:
        click.echo(f'  {EMULATED}')
    for name in ('trajectory', 'dataset', 'learning', 'force_field', 'final_state'):
        if name in outputs:
            frames = f', {outputs[name].n_frames} frames' if hasattr(outputs[name], 'n_frames') else ''
            click.echo(f'  {name} {outputs[name].pk}{frames}')
    if node.exit_status:
        click.echo(f'  status {node.exit_status}: {node.exit_message}')
    for warning in misc['warnings']:
        click.echo(f'  warning: {warning}')


def _analyse(nodes: list[Any], window_ps: tuple[float, float] | None) -> None:
    from aiida_hdiff.workflows.imported import arrhenius_of_runs, diffusivity_of_run

    found = []
    for node in nodes:
        try:
            with busy_database():
                result = diffusivity_of_run(node, window_ps)['diffusivity']
        except ValueError as error:
            raise fail(f'{node.label}: {str(error).rstrip(".")}. The imported jobs stay.') from error
        found.append(result)
        click.echo(f'{node.label}: diffusivity {result.pk}: {result}')
    if len({result['temperature_K'] for result in found if result.is_resolved}) > 1:
        fit = arrhenius_of_runs(found)
        click.echo(f'Arrhenius fit {fit.pk}: {fit}')
        found = [fit]
    click.echo(f'See `aiida-hdiff report {found[0].pk}`.')
