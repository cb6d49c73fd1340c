"""POTCARs of an uploaded family of aiida-vasp."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from aiida import orm

from aiida_hdiff.common.calcjob import require_package


def potcars_from_family(
    structure: orm.StructureData, family: str, mapping: Mapping[str, str] | None = None
) -> dict[str, orm.Data]:
    """Return the POTCAR nodes of a family by kind of a structure; they hold hashes and titles, not the potentials.

    Parameters
    ----------
    structure
        Its kinds are what POTCARs are needed for.
    family
        Label of the family, see ``aiida-vasp potcar listfamilies``.
    mapping
        Names in the family by element, where they differ from the element.

    Raises
    ------
    ImportError
        If aiida-vasp is not installed.
    ValueError
        If the family or a POTCAR in it does not exist, or the mapping names other elements; the message says which
        there are.
    """
    require_package('aiida_vasp', 'vasp')
    from aiida_vasp.data.potcar import PotcarData

    group = PotcarData.get_potcar_group(family)
    if group is None:
        known = sorted(group.label for group in PotcarData.get_potcar_groups())
        listed = f'uploaded are {", ".join(known)}' if known else 'none is uploaded'
        raise ValueError(
            f'POTCAR family {family!r} does not exist, {listed}: upload it with `aiida-vasp potcar uploadfamily`.'
        )
    nodes = {node.full_name: node for node in group.nodes}
    symbols = {kind.name: kind.symbol for kind in structure.kinds}
    unknown = sorted(set(mapping or {}) - set(symbols.values()))
    if unknown:
        raise ValueError(f'`mapping` names {unknown[0]}, which the structure does not have: leave it out.')
    found: dict[str, orm.Data] = {}
    for kind, symbol in symbols.items():
        name = (mapping or {}).get(symbol, symbol)
        if name not in nodes:
            same = sorted(key for key, node in nodes.items() if node.element == symbol)
            near = same or get_close_matches(name, nodes, n=3)
            hint = f'it has {", ".join(near)}; name one in `mapping`' if near else 'upload it'
            raise ValueError(f'POTCAR family {family!r} has no {name!r} for {symbol}: {hint}.')
        found[kind] = nodes[name]
    return found
