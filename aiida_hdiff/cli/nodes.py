"""`aiida-hdiff potential|trajectory|dataset|state|diffusivity|arrhenius list|show|export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import fail, with_profile


def _load(entry_point: str, identifier: str) -> Any:
    from aiida import orm
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.plugins import DataFactory

    try:
        node = orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise fail(f'no node {identifier!r} in this profile: {error}') from error
    if not isinstance(node, DataFactory(entry_point)):
        raise fail(f'node {identifier} is a {type(node).__name__}, not of the type {entry_point}.')
    return node


def _summary(node: Any) -> str:
    attributes = node.base.attributes.all
    if 'pair_style' in attributes:
        return f'{attributes["pair_style"] or attributes["architecture"]}  {node.sha256[:12]}'
    if 'references' in attributes:
        return f'{node.n_frames} frames of {" ".join(node.elements)} by {", ".join(node.references) or "?"}'
    if 'n_frames' in attributes:
        composition = ''.join(f'{symbol}{count}' for symbol, count in attributes['composition'].items())
        return f'{attributes["n_frames"]} frames of {composition}'
    if 'n_atoms' in attributes:
        return f'{attributes["n_atoms"]} atoms at step {attributes["step"]}'
    return str(node)


def _emulated(node: Any) -> str:
    """Return the label of what descends from the VASP stand-in, or an empty text."""
    from aiida_hdiff.report.collect_emulated import is_emulated
    from aiida_hdiff.report.text import EMULATED

    return f'  ({EMULATED})' if is_emulated([node]) else ''


def _export(node: Any, output: Path) -> list[Path]:
    """Write a node in the format of the file name; return what was written."""
    if hasattr(node, 'file_names'):
        output.mkdir(parents=True, exist_ok=True)
        for name in node.file_names:
            (output / name).write_bytes(node.base.repository.get_object_content(name, mode='rb'))
        return [output / name for name in node.file_names]
    if 'references' in node.base.attributes.all and (output.suffix in ('.extxyz', '.xyz') or 'ML_AB' in output.name):
        node.export(output, fileformat='ml_ab' if 'ML_AB' in output.name else 'extxyz', overwrite=True)
    elif hasattr(node, 'to_ase') and output.suffix != '.h5':
        from ase.io import write

        write(output, node.to_ase())
    elif hasattr(node, 'reader'):
        with node.open(mode='rb') as source:
            output.write_bytes(source.read())
    else:
        output.write_text(json.dumps(node.base.attributes.all, indent=2) + '\n', encoding='utf-8')
    return [output]


def _group(name: str, entry_point: str, what: str, default_output: str) -> click.Group:
    @click.group(name, help=f'List, show or export {what}.')
    def group() -> None:
        pass

    @group.command('list')
    @with_profile
    def list_() -> None:
        """List the nodes of this profile."""
        from aiida import orm
        from aiida.plugins import DataFactory

        from aiida_hdiff.report.collect_emulated import emulated_nodes

        emulated = emulated_nodes()
        query = orm.QueryBuilder().append(DataFactory(entry_point), tag='n').order_by({'n': 'id'})
        for (node,) in query.iterall():
            mark = '  EMULATED' if node.pk in emulated else ''
            click.echo(f'{node.pk:>7}  {node.ctime:%Y-%m-%d %H:%M}  {node.label:<28}  {_summary(node)}{mark}')

    @group.command('show')
    @click.argument('node')
    @with_profile
    def show(node: str) -> None:
        """Show the attributes of one node, by PK or UUID."""
        found = _load(entry_point, node)
        click.echo(f'{type(found).__name__} {found.pk} ({found.uuid}) {found.label}{_emulated(found)}')
        click.echo(json.dumps(found.base.attributes.all, indent=2))

    @group.command('export')
    @click.argument('node')
    @click.option('-o', '--output', type=click.Path(path_type=Path), default=Path(default_output), show_default=True)
    @with_profile
    def export(node: str, output: Path) -> None:
        """Write one node to a file; the ending chooses the format where there are several."""
        from ase.io.formats import UnknownFileTypeError

        found = _load(entry_point, node)
        try:
            written = _export(found, output)
        except (OSError, ValueError, KeyError, UnknownFileTypeError) as error:
            raise fail(f'{output} cannot be written: {error}') from error
        for path in written:
            click.echo(f'wrote {path}{_emulated(found)}')

    return group


potential = _group('potential', 'hdiff.potential', 'potentials', 'potential')
dataset = _group('dataset', 'hdiff.dataset', 'labelled configurations', 'dataset.extxyz')
trajectory = _group('trajectory', 'hdiff.trajectory', 'trajectories', 'trajectory.extxyz')
state = _group('state', 'hdiff.md_state', 'states', 'state.extxyz')
diffusivity = _group('diffusivity', 'hdiff.diffusivity', 'diffusion coefficients', 'diffusivity.json')
arrhenius = _group('arrhenius', 'hdiff.arrhenius', 'Arrhenius parameters', 'arrhenius.json')
literature = _group('literature', 'hdiff.literature', 'published values', 'literature.json')
