"""Calcfunctions that make structures: host crystals by name, and hydrogen in them."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.sampling import host_structure, insert_interstitials


@calcfunction
def create_host(parameters: orm.Dict) -> orm.StructureData:
    """Return a host crystal by name.

    Keys of ``parameters``: ``host`` (symbol), ``lattice`` (fcc, bcc, hcp; optional where the symbol has one),
    ``a_A`` and ``c_A`` (optional, Å), ``supercell`` (three whole numbers).
    """
    values = parameters.get_dict()
    atoms = host_structure(values['host'], values.get('lattice'), a_A=values.get('a_A'), c_A=values.get('c_A')) * tuple(
        values.get('supercell', (1, 1, 1))
    )
    node = orm.StructureData(ase=atoms)
    node.label = atoms.get_chemical_formula()
    return node


@calcfunction
def create_supercell(structure: orm.StructureData, supercell: orm.List) -> orm.StructureData:
    """Return a structure repeated along its cell vectors."""
    atoms = structure.get_ase() * tuple(supercell.get_list())
    node = orm.StructureData(ase=atoms)
    node.label = atoms.get_chemical_formula()
    return node


@calcfunction
def insert_hydrogen(structure: orm.StructureData, parameters: orm.Dict) -> orm.StructureData:
    """Return a structure with hydrogen at interstitial sites.

    Keys of ``parameters``: those of :func:`aiida_hdiff.sampling.insert_interstitials`.
    """
    atoms = insert_interstitials(structure.get_ase(), **parameters.get_dict())
    node = orm.StructureData(ase=atoms)
    node.label = atoms.get_chemical_formula()
    return node
