"""`aiida-hdiff show`, `report` and `plot`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import fail, load_profile, load_study, require_aiida

_WORK_CHAIN = 'aiida.workflows:hdiff.diffusion'

_WHICH = click.option(
    '--study',
    'which',
    help='PK or UUID of the study in an archive that holds several.  [default: the newest]',
)


@click.command()
@click.argument('study')
@click.option('--json', 'as_json', is_flag=True, help='Print results.json instead of a table.')
@_WHICH
def show(study: str, as_json: bool, which: str | None) -> None:
    """Show the results of the study with this PK or UUID, or in this archive."""
    import json

    from aiida_hdiff.report.results import results_json
    from aiida_hdiff.report.table import results_table

    collected = _collect(study, which)
    click.echo(json.dumps(results_json(collected), indent=2) if as_json else results_table(collected))


@click.command()
@click.argument('study')
@click.option(
    '-o', '--output', type=click.Path(path_type=Path), default=Path('report.html'), show_default=True,
    help='Page to write; it needs no other file and no network.',
)  # fmt: skip
@click.option('--figures', type=click.Path(path_type=Path), help='Also write PDF, SVG and PNG figures there.')
@click.option('--data', type=click.Path(path_type=Path), help='Also write the numbers of the figures there, as CSV.')
@_WHICH
def report(study: str, output: Path, figures: Path | None, data: Path | None, which: str | None) -> None:
    """Write the interactive report of the study with this PK or UUID, or in this archive.

    An archive (study.aiida) is read where it is, without importing it.
    """
    from aiida_hdiff.report.figures import save_figures
    from aiida_hdiff.report.html import render_html
    from aiida_hdiff.report.tables import save_tables

    collected = _collect(study, which)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(render_html(collected), encoding='utf-8')
        click.echo(f'wrote {output} ({output.stat().st_size / 1e6:.1f} MB)')
        for folder, save in ((figures, save_figures), (data, save_tables)):
            if folder is not None:
                click.echo(f'wrote {len(save(collected, folder))} files to {folder}')
    except (OSError, ImportError) as error:
        raise fail(str(error)) from error


@click.command()
@click.argument('study')
@click.option('-o', '--output', type=click.Path(path_type=Path), default=Path('figures'), show_default=True)
@_WHICH
def plot(study: str, output: Path, which: str | None) -> None:
    """Write the figures of the study with this PK or UUID, or in this archive, into a folder."""
    from aiida_hdiff.report.figures import save_figures

    collected = _collect(study, which)
    try:
        for path in save_figures(collected, output):
            click.echo(f'wrote {path}')
    except (OSError, ImportError) as error:
        raise fail(str(error)) from error


def _collect(study: str, which: str | None) -> Any:
    """Return what a report shows of a study in the profile or in an archive."""
    path = Path(study)
    if path.suffix == '.aiida' or path.is_file():
        require_aiida()
        from aiida_hdiff.report.collect import collect_study

        with _archive(path):
            return collect_study(_study_in_archive(path, which))
    if which is not None:
        raise fail('--study chooses a study in an archive: give the archive as STUDY.')
    load_profile()
    from aiida_hdiff.report.collect import collect_study
    from aiida_hdiff.report.collect_result import collect_result, is_result

    if is_result(study):
        return collect_result(study)
    return collect_study(load_study(study))


@contextmanager
def _archive(path: Path) -> Iterator[None]:
    """Open an archive as a profile that cannot be written; afterwards the profile of before is loaded again.

    Raises
    ------
    click.ClickException
        If it cannot be opened.
    """
    from aiida.common.exceptions import CorruptStorage, IncompatibleStorageSchema, UnreachableStorage
    from aiida.manage import get_manager
    from aiida.storage.sqlite_zip.backend import SqliteZipBackend

    if not path.is_file():
        raise fail(f'archive {path.name!r} does not exist.')
    manager = get_manager()
    before = manager.get_profile()
    try:
        try:
            manager.load_profile(SqliteZipBackend.create_profile(path.absolute()), allow_switch=True)
            manager.get_profile_storage()
        except IncompatibleStorageSchema as error:
            raise fail(f'archive {path.name!r} is old: run `verdi archive migrate {path}` first.') from error
        except (CorruptStorage, UnreachableStorage, OSError, ValueError) as error:
            raise fail(f'archive {path.name!r} cannot be opened: {error}') from error
        yield
    finally:
        if before is not None:
            manager.load_profile(before, allow_switch=True)
        else:
            manager.unload_profile()


def _study_in_archive(path: Path, which: str | None) -> Any:
    """Return the study of an archive: the one asked for, else the newest.

    Raises
    ------
    click.ClickException
        If there is none.
    """
    from aiida import orm

    if which is not None:
        return load_study(which)
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': _WORK_CHAIN}, tag='study')
    found = query.order_by({'study': {'ctime': 'desc'}}).all(flat=True)
    if not found:
        raise fail(f'archive {path.name!r} holds no study (DiffusionWorkChain).')
    if len(found) > 1:
        others = ', '.join(f'{node.pk} ({node.uuid})' for node in found[1:])
        click.echo(f'{path.name} holds {len(found)} studies: this is the newest, {found[0].pk}; --study takes {others}')
    return found[0]
