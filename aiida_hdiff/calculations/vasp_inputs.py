"""What is wrong with the inputs of a VASP job beside its INCAR, and what identifies its level of theory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from aiida import orm

from aiida_hdiff.formats.incar import SETTINGS_PREFIX, dft_settings_hash

SETTINGS_EXTRA = 'hdiff_dft_settings'
"""Extra of a node with an ML_AB from elsewhere: the identity of the level of theory of its labels, if it is known."""


def species_of(structure: orm.StructureData) -> list[str]:
    """Return the chemical symbols of the groups of sites with one kind, in order."""
    symbols = {kind.name: kind.symbol for kind in structure.kinds}
    return [symbols[name] for name, _ in groupby(structure.get_site_kindnames())]


def species_error(structure: orm.StructureData) -> str | None:
    """Return why the sites cannot be written as POSCAR of a force-field run, or ``None``."""
    if structure.has_vacancies or structure.is_alloy:
        return '`structure` has sites with several elements or vacancies: give one element per site.'
    if not all(structure.pbc):
        return '`structure` is not periodic in all three directions: VASP needs it to be.'
    found = species_of(structure)
    for symbol in found:
        if found.count(symbol) > 1:
            return (
                f'the species of `structure` are in the order {" ".join(found[:12])}, with {symbol} in '
                f'{found.count(symbol)} places: sort the sites by element, each once, as VASP force fields need it.'
            )
    return None


def potcars_error(structure: orm.StructureData, potcars: Mapping[str, Any], name: str = 'potential') -> str | None:
    """Return which kind of a structure lacks its POTCAR or has that of another element, or ``None``."""
    for kind in structure.kinds:
        potcar = potcars.get(kind.name)
        if potcar is None:
            given = ', '.join(potcars) or 'none'
            return f'`{name}` has no POTCAR for {kind.name} of `structure` (given: {given}): give one for each kind.'
        if potcar.element != kind.symbol:
            return f'`{name}.{kind.name}` is the POTCAR of {potcar.element}, but {kind.name} is {kind.symbol}.'
    unused = sorted(set(potcars) - {kind.name for kind in structure.kinds})
    if unused:
        return f'`{name}.{unused[0]}` belongs to no kind of `structure`: leave it out.'
    return None


def kpoints_settings(kpoints: orm.KpointsData) -> dict[str, Any]:
    """Return k-points as plain values: a mesh with its offset, or a list of points."""
    try:
        mesh, offset = kpoints.get_kpoints_mesh()
    except AttributeError:
        return {'points': [[round(float(x), 9) for x in point] for point in kpoints.get_kpoints()]}
    return {'mesh': [int(n) for n in mesh], 'offset': [round(float(x), 9) for x in offset]}


def settings_hash(incar: Mapping[str, Any], potcars: Mapping[str, Any], kpoints: orm.KpointsData) -> str:
    """Return the identity of the level of theory of a job, see `aiida_hdiff.formats.incar.dft_settings_hash`."""
    titles = {str(potcar.title) for potcar in potcars.values()}
    return dft_settings_hash(incar, sorted(titles), kpoints_settings(kpoints))


def settings_hash_of_job(node: orm.CalcJobNode) -> str | None:
    """Return the identity of the level of theory of a VASP job in the graph, or ``None`` if it has no such inputs."""
    inputs = node.base.links.get_incoming().nested()
    parameters, kpoints, potcars = (inputs.get(name) for name in ('parameters', 'kpoints', 'potential'))
    if not isinstance(parameters, orm.Dict) or not isinstance(kpoints, orm.KpointsData):
        return None
    if not isinstance(potcars, Mapping) or not potcars:
        return None
    return settings_hash(parameters.get_dict(), potcars, kpoints)


def settings_hash_of_ml_ab(node: orm.Data) -> str | None:
    """Return the identity of the level of theory behind an ML_AB, as file or folder, or ``None`` if it is unknown."""
    known = node.base.extras.get(SETTINGS_EXTRA, None)
    if isinstance(known, str) and known.startswith(SETTINGS_PREFIX):
        return known
    creator = node.creator
    return settings_hash_of_job(creator) if isinstance(creator, orm.CalcJobNode) else None


def ml_ab_settings_error(
    node: orm.Data, incar: Mapping[str, Any], potcars: Mapping[str, Any], kpoints: orm.KpointsData, name: str
) -> str | None:
    """Return that the labels of an ML_AB are of another level of theory than the run that continues it, or ``None``."""
    earlier = settings_hash_of_ml_ab(node)
    now = settings_hash(incar, potcars, kpoints)
    if earlier is None or earlier == now:
        return None
    detail = ''
    if isinstance(node.creator, orm.CalcJobNode):
        detail = _difference(node.creator, incar, potcars, kpoints)
    return (
        f'`{name}` was made with other DFT settings ({earlier}) than this run ({now}){detail}: labels of two levels of '
        'theory cannot be mixed; give the same INCAR, POTCARs and k-points.'
    )


def _difference(
    creator: orm.CalcJobNode, incar: Mapping[str, Any], potcars: Mapping[str, Any], kpoints: orm.KpointsData
) -> str:
    from aiida_hdiff.formats.incar import electronic_settings

    inputs = creator.base.links.get_incoming().nested()
    before, after = electronic_settings(inputs['parameters'].get_dict()), electronic_settings(incar)
    for tag in sorted(set(before) | set(after)):
        if before.get(tag) != after.get(tag):
            return f': {tag} was {before.get(tag, "not set")}, now {after.get(tag, "not set")}'
    if kpoints_settings(inputs['kpoints']) != kpoints_settings(kpoints):
        return ': the k-points differ'
    titles = [sorted({node.title for node in nodes.values()}) for nodes in (inputs['potential'], potcars)]
    return f': the POTCARs were {", ".join(titles[0])}, now {", ".join(titles[1])}' if titles[0] != titles[1] else ''
