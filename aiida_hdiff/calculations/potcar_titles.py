"""POTCARs of a run in the families of aiida-vasp, found by their titles; their contents are not looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiida import orm

HEAD_BYTES = 2**20

_TITLE = re.compile(rb'^\s*TITEL\s*=\s*(.+?)\s*$', re.MULTILINE)


def potcar_titles(folder: Path) -> list[str]:
    """Return the titles of the POTCARs of a run, in their order; nothing else of them is read.

    Raises
    ------
    ValueError
        If neither POTCAR nor OUTCAR has them.
    """
    for name in ('POTCAR', 'OUTCAR'):
        path = folder / name
        if path.is_file():
            with path.open('rb') as stream:
                found = _TITLE.findall(stream.read() if name == 'POTCAR' else stream.read(HEAD_BYTES))
            if found:
                return [' '.join(title.decode('ascii', errors='replace').split()) for title in found]
    raise ValueError('the titles of the POTCARs are neither in POTCAR nor in OUTCAR: put the POTCAR of the run there.')


def potcars_by_title(titles: Sequence[str], structure: orm.StructureData, family: str | None) -> dict[str, Any]:
    """Return the uploaded POTCARs with these titles by kind of the structure, without looking at any content.

    Raises
    ------
    ValueError
        If a title is not that of an uploaded POTCAR, or titles and species do not go together.
    """
    from aiida_vasp.data.potcar import PotcarData

    kinds = [kind.name for kind in structure.kinds]
    if len(titles) != len(kinds):
        raise ValueError(
            f'there are {len(titles)} POTCARs ({", ".join(titles)}) for the {len(kinds)} species {" ".join(kinds)} of '
            'POSCAR: give the POTCAR of this run.'
        )
    if family is not None and PotcarData.get_potcar_group(family) is None:
        known = ', '.join(sorted(group.label for group in PotcarData.get_potcar_groups())) or 'none'
        raise ValueError(f'POTCAR family {family!r} does not exist (uploaded: {known}): upload it, or name another.')
    found = {}
    for kind, title in zip(kinds, titles, strict=True):
        node = _potcar(title, family)
        if node.element != kind:
            raise ValueError(f'{title} is the POTCAR of {node.element}, but the species in its place is {kind}.')
        found[kind] = node
    return found


def _potcar(title: str, family: str | None) -> Any:
    from aiida_vasp.data.potcar import PotcarData

    query = orm.QueryBuilder()
    if family is not None:
        group = PotcarData.get_potcar_group(family)
        query.append(type(group), filters={'id': group.pk}, tag='family')
    relation = {} if family is None else {'with_group': 'family'}
    query.append(PotcarData, tag='potcar', **relation).order_by({'potcar': 'id'})
    same = [node for node in query.all(flat=True) if ' '.join(str(node.title).split()) == title]
    if len({node.sha512 for node in same}) > 1:
        labels = sorted({label for node in same for label in node.get_family_names()})
        raise ValueError(
            f'{len(same)} different POTCARs with the title {title!r} are uploaded, in the families '
            f'{", ".join(labels)}: choose one by --family.'
        )
    if same:
        return same[0]
    where = 'no uploaded POTCAR' if family is None else f'no POTCAR of family {family!r}'
    raise ValueError(
        f'{where} has the title {title!r}: upload the family that the run used with `aiida-vasp potcar uploadfamily '
        '--path FOLDER --name FAMILY --description TEXT`. POTCARs are never taken from the folder of a run.'
    )
