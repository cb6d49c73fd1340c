"""`aiida-hdiff export` and `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import fail, load_study, require_writable, with_profile

COMPRESSION = 1
"""Trajectories and models are compressed already."""


def write_archive(node: Any, path: Path) -> None:
    """Write a node with all it called and all its ancestors into an archive, replacing one that is there."""
    from aiida.tools.archive import create_archive
    from aiida.tools.archive.exceptions import ArchiveExportError

    try:
        create_archive([node], filename=path, overwrite=True, compression=COMPRESSION, test_run=False)
    except (ArchiveExportError, OSError) as error:
        raise fail(f'the archive cannot be written: {error}') from error


@click.command()
@click.argument('study')
@click.option('-o', '--output', type=click.Path(path_type=Path), help='Archive to write.  [default: hdiff-PK.aiida]')
@with_profile
def export(study: str, output: Path | None) -> None:
    """Write the study with this PK or UUID, with its whole history, into one archive."""
    from aiida_hdiff.cli.progress import quiet_console

    node = load_study(study)
    path = output or Path(f'hdiff-{node.pk}.aiida')
    quiet_console()
    write_archive(node, path)
    click.echo(f'wrote {path} ({path.stat().st_size / 1e6:.1f} MB)')


@click.command('import')
@click.argument('archive', type=click.Path(path_type=Path))
@with_profile
def import_(archive: Path) -> None:
    """Import an archive into the profile."""
    from aiida.common.exceptions import CorruptStorage, IncompatibleStorageSchema
    from aiida.tools.archive import import_archive
    from aiida.tools.archive.exceptions import ArchiveImportError

    from aiida_hdiff.cli.progress import quiet_console

    if not archive.is_file():
        raise fail(f'archive {archive.name!r} does not exist.')
    require_writable()
    quiet_console()
    try:
        import_archive(archive)
    except (ArchiveImportError, CorruptStorage, IncompatibleStorageSchema, OSError, ValueError) as error:
        raise fail(f'archive {archive.name!r} cannot be imported: {error}') from error
    click.echo(f'imported {archive.name}')
