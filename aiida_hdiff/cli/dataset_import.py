"""`aiida-hdiff dataset import`: labelled configurations from files of ASE and VASP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.import_data import _summarise
from aiida_hdiff.cli.nodes import dataset
from aiida_hdiff.cli.session import busy_database, fail, require_writable, with_profile

FORMATS = ('extxyz', 'ase-db', 'ml-ab', 'vasp')


@dataset.command('import')
@click.argument('files', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('--format', 'kind', type=click.Choice(FORMATS), help='Format of all files.  [default: by their names]')
@click.option('--reference', help='Method and settings of labels whose file does not tell them, such as PBE-600eV.')
@click.option('--config-type', help='Group of the frames that tell none, such as "NVT 600 K".')
@click.option('--prefix', default='', help='Of the names of the labels in extended xyz, such as REF_.')
@click.option('--selection', default='', help='Rows of ASE databases, such as calculator=gpaw.')
@click.option('--skip-unlabelled', is_flag=True, help='Pass over rows of ASE databases without energy or forces.')
@click.option('--free-energy', is_flag=True, help='Take the free energy from ASE databases.')
@click.option('--allow-truncated', is_flag=True, help='Take the complete frames of files of VASP that end too early.')
@click.option('--keep-duplicates', is_flag=True, help='Keep frames with equal structures in several files.')
@click.option('--allow-mixed-references', is_flag=True, help='Join labels of different methods or settings.')
@click.option('--label', help='Label of the data set.')
@with_profile
def import_(files: tuple[Path, ...], kind: str | None, label: str | None, **options: Any) -> None:
    """Make one data set of files: extended xyz, databases of ASE, ML_AB, vasprun.xml, OUTCAR, or folders of VASP runs.

    Of VASP output only the steps of DFT are taken. Of an OUTCAR, which repeats the POTCARs, only its frames are stored.
    All files are read before anything is stored.
    """
    from aiida import orm

    from aiida_hdiff.calculations.datasets import merge_datasets
    from aiida_hdiff.formats.labelled_files import find_sources
    from aiida_hdiff.workflows.dataset_files import import_source

    require_writable()
    try:
        sources = find_sources(files, kind)
    except ValueError as error:
        raise fail(f'{str(error).rstrip(".")}. Nothing was stored.') from error
    _check(sources, options)
    flags = {key: options[key] for key in ('keep_duplicates', 'allow_mixed_references')}
    try:
        with busy_database():
            parts = {f'file_{number:03d}': import_source(source, options) for number, source in enumerate(sources)}
            node = next(iter(parts.values()))
            if len(parts) > 1:
                merged: dict[str, Any] = merge_datasets(orm.Dict(flags), **parts)
                node, left_out = merged['dataset'], len(merged['decisions']['duplicates'])
                if left_out:
                    click.echo(f'{left_out} frames are in several files and were taken once')
    except ValueError as error:
        raise fail(str(error)) from error
    if label:
        node.label = label
    _summarise(node)


def _check(sources: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Read all files; what cannot be read or does not belong together ends the command."""
    from aiida_hdiff.formats.labelled_files import read_source

    levels: dict[str, str] = {}
    for number, source in enumerate(sources, 1):
        size = source.path.stat().st_size / 1e6
        click.echo(f'[{number}/{len(sources)}] {source.name}, {source.kind}, {size:.1f} MB: ', nl=False)
        try:
            frames = read_source(source, options)
        except ValueError as error:
            click.echo('cannot be read')
            raise fail(f'{str(error).rstrip(".")}. Nothing was stored.') from error
        click.echo(f'{len(frames)} frames')
        for reference in set(frames.references):
            levels.setdefault(reference or options['reference'] or '', source.name)
    if len(levels) > 1 and not options['allow_mixed_references']:
        found = ', '.join(f'{level!r} (in {name})' for level, name in sorted(levels.items()))
        raise fail(
            f'the labels have different references: {found}. Import them apart, or give --allow-mixed-references '
            'if they are the same. Nothing was stored.'
        )
