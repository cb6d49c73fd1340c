"""`aiida-hdiff dataset import`: labelled configurations from files of ASE and VASP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.import_data import _summarise
from aiida_hdiff.cli.nodes import dataset
from aiida_hdiff.cli.session import busy_database, fail, require_writable, with_profile

EXTXYZ, ASE_DB, ML_AB, VASP = FORMATS = ('extxyz', 'ase-db', 'ml-ab', 'vasp')


@dataclass(frozen=True)
class Source:
    """One file to import.

    Attributes
    ----------
    path
        Of the file; in a folder given instead, its vasprun.xml or OUTCAR.
    kind
        One of `FORMATS`.
    name
        What the origins of its frames begin with.
    """

    path: Path
    kind: str
    name: str


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

    require_writable()
    sources = _sources(files, kind)
    _check(sources, options)
    flags = {key: options[key] for key in ('keep_duplicates', 'allow_mixed_references')}
    try:
        with busy_database():
            parts = {f'file_{number:03d}': _imported(source, options) for number, source in enumerate(sources)}
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


def _sources(files: Sequence[Path], kind: str | None) -> list[Source]:
    from aiida_hdiff.formats.vasp_labels import find_vasp_output

    found: list[Source] = []
    for given in files:
        path, name = given, given.name
        if given.is_dir():
            try:
                path, name = find_vasp_output(given), given.resolve().name
            except ValueError as error:
                raise fail(f'{error} Nothing was stored.') from error
        elif not given.is_file():
            raise fail(f'{given} is no file. Nothing was stored.')
        if any(one.name == name for one in found):
            name = f'{name}-{len(found) + 1}'
        found.append(Source(path, kind or _kind(path), name))
    return found


def _kind(path: Path) -> str:
    name = path.name
    if 'ML_AB' in name:
        return ML_AB
    if 'OUTCAR' in name or 'vasprun' in name:
        return VASP
    for kind, endings in ((EXTXYZ, ('.xyz', '.extxyz')), (ASE_DB, ('.db', '.json'))):
        if path.suffix in endings:
            return kind
    raise fail(f'the format of {name} is not clear from its name: give --format. Nothing was stored.')


def _check(sources: Sequence[Source], options: Mapping[str, Any]) -> None:
    """Read all files; what cannot be read or does not belong together ends the command."""
    levels: dict[str, str] = {}
    for number, source in enumerate(sources, 1):
        size = source.path.stat().st_size / 1e6
        click.echo(f'[{number}/{len(sources)}] {source.name}, {source.kind}, {size:.1f} MB: ', nl=False)
        try:
            frames = _read(source, options)
        except (ValueError, OSError) as error:
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


def _read(source: Source, options: Mapping[str, Any]) -> Any:
    from aiida_hdiff.formats import labelled_from_ml_ab, read_extxyz, read_ml_ab
    from aiida_hdiff.formats.labelled_ase_db import read_ase_db

    truncated = options['allow_truncated']
    if source.kind == EXTXYZ:
        return read_extxyz(source.path, prefix=options['prefix'])
    if source.kind == ASE_DB:
        return read_ase_db(source.path, **_database_options(options))
    if source.kind == ML_AB:
        return labelled_from_ml_ab(read_ml_ab(source.path, allow_truncated=truncated))
    return _vasp_labels(source, options).frames


def _vasp_labels(source: Source, options: Mapping[str, Any]) -> Any:
    from aiida_hdiff.formats.vasp_labels import read_vasp_labels

    return read_vasp_labels(
        source.path,
        origin=source.name,
        reference=options['reference'],
        allow_truncated=options['allow_truncated'],
    )


def _database_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'selection': options['selection'],
        'energy': 'free_energy' if options['free_energy'] else 'energy',
        'skip_unlabelled': options['skip_unlabelled'],
    }


def _imported(source: Source, options: Mapping[str, Any]) -> Any:
    """Store a file, or what may be stored of it, and run the calcfunction that reads it."""
    from aiida import orm

    from aiida_hdiff.calculations.datasets import import_extxyz, import_ml_ab
    from aiida_hdiff.calculations.imports import import_ase_db, import_vasprun
    from aiida_hdiff.formats.vasp_labels import is_outcar

    common = {key: options[key] for key in ('reference', 'config_type') if options[key] is not None}
    own: dict[str, Any] = {**common, 'origin': source.name}
    if source.kind == VASP and is_outcar(source.path):
        return _import_outcar(source, options, orm.Dict(own))
    if source.kind == VASP:
        own['allow_truncated'] = options['allow_truncated']
        return import_vasprun(_packed(source.path), orm.Dict(own))
    file = orm.SinglefileData(source.path.absolute(), filename=source.path.name)
    if source.kind == EXTXYZ:
        return import_extxyz(file, orm.Dict({**own, 'prefix': options['prefix']}))
    if source.kind == ASE_DB:
        return import_ase_db(file, orm.Dict({**own, **_database_options(options)}))
    return import_ml_ab(file, orm.Dict({**own, 'allow_truncated': options['allow_truncated']}))


def _import_outcar(source: Source, options: Mapping[str, Any], settings: Any) -> Any:
    """Store the frames of an OUTCAR as extended xyz, and nothing else of it."""
    import io

    from aiida import orm

    from aiida_hdiff.calculations.datasets import import_extxyz
    from aiida_hdiff.formats import write_extxyz

    labels, stream = _vasp_labels(source, options), io.StringIO()
    write_extxyz(labels.frames, stream)
    name = source.path.name.removesuffix('.gz')
    file = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()), filename=f'{name}.extxyz')
    if labels.emulated:
        file.base.extras.set('emulated', True)
    return import_extxyz(file, settings)


def _packed(path: Path) -> Any:
    import gzip
    import io

    from aiida import orm

    content, name = path.read_bytes(), path.name
    if not content.startswith(b'\x1f\x8b'):
        content, name = gzip.compress(content, mtime=0), f'{name}.gz'
    return orm.SinglefileData(io.BytesIO(content), filename=name)
