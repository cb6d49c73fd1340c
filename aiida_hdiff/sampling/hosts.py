"""Host crystals by name: close-packed and body-centred metals that dissolve hydrogen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

LATTICES = ('fcc', 'bcc', 'hcp')
_TABULATED = 'Ashcroft and Mermin, Solid State Physics (1976), room temperature, as in `ase.data`'


@dataclass(frozen=True)
class HostLattice:
    """Lattice constants of one host crystal.

    Attributes
    ----------
    symbol
        Chemical symbol of the metal.
    lattice
        ``fcc``, ``bcc`` or ``hcp``.
    a_A, c_A
        Lattice constants (Å) of the conventional cell; ``c_A`` only for ``hcp``.
    source
        Where the numbers are from.
    """

    symbol: str
    lattice: str
    a_A: float
    c_A: float | None
    source: str


HOSTS: tuple[HostLattice, ...] = (
    HostLattice('Mg', 'hcp', 3.2094, 5.2105, 'Straumanis, J. Appl. Phys. 20, 726 (1949), 25 °C'),
    HostLattice('Ti', 'hcp', 2.95, 4.685, _TABULATED),
    HostLattice('Zr', 'hcp', 3.23, 5.145, _TABULATED),
    HostLattice('Ni', 'fcc', 3.52, None, _TABULATED),
    HostLattice('Al', 'fcc', 4.05, None, _TABULATED),
    HostLattice('Pd', 'fcc', 3.89, None, _TABULATED),
    HostLattice('Cu', 'fcc', 3.61, None, _TABULATED),
    HostLattice('Ti', 'fcc', 4.454, None, 'Ti sublattice of cubic TiH2: Yakel, Acta Cryst. 11, 46 (1958)'),
    HostLattice('Fe', 'bcc', 2.87, None, _TABULATED),
    HostLattice('Nb', 'bcc', 3.30, None, _TABULATED),
    HostLattice('V', 'bcc', 3.02, None, _TABULATED),
    HostLattice('Ti', 'bcc', 3.3065, None, 'beta Ti at 900 °C: Wyckoff, Crystal Structures, vol. 1 (1963)'),
)
"""The known hosts; of a metal with several lattices, the one stable at room temperature comes first."""


def _find_host(symbol: str, lattice: str | None) -> HostLattice:
    for host in HOSTS:
        if host.symbol == symbol and lattice in (None, host.lattice):
            return host
    known = ', '.join(f'{host.lattice} {host.symbol}' for host in HOSTS)
    wanted = f'{lattice} {symbol}' if lattice else symbol
    raise ValueError(f'no host {wanted!r}: give `lattice` and the lattice constants, or one of {known}.')


def host_structure(
    symbol: str,
    lattice: str | None = None,
    *,
    a_A: float | None = None,
    c_A: float | None = None,
) -> Atoms:
    """Return the unit cell of a host crystal.

    Parameters
    ----------
    symbol
        Chemical symbol of the metal.
    lattice
        ``fcc``, ``bcc`` or ``hcp``; without it the first entry of :data:`HOSTS` for the metal.
    a_A, c_A
        Lattice constants (Å) that replace the tabulated ones. With ``lattice``, ``a_A`` and (for hcp) ``c_A``
        all given, any metal will do.

    Returns
    -------
    ase.Atoms
        The cubic cell (4 atoms fcc, 2 atoms bcc) or the hexagonal cell of 2 atoms (hcp), periodic.

    Raises
    ------
    ValueError
        If the host is not known, the lattice is not one of the three, or a lattice constant is not positive.
    """
    from ase.build import bulk

    if lattice is not None and lattice not in LATTICES:
        raise ValueError(f'`lattice` is {lattice!r}: choose one of {", ".join(LATTICES)}.')
    for name, value in (('a_A', a_A), ('c_A', c_A)):
        if value is not None and not value > 0:
            raise ValueError(f'`{name}` is {value!r}: give a positive length in Å.')
    if lattice is None or a_A is None or (lattice == 'hcp' and c_A is None):
        host = _find_host(symbol, lattice)
        lattice, a_A, c_A = host.lattice, a_A or host.a_A, c_A or host.c_A
    if lattice == 'hcp':
        return bulk(symbol, 'hcp', a=a_A, c=c_A)
    if c_A is not None:
        raise ValueError(f'`c_A` is given, but {lattice} is cubic: remove it.')
    return bulk(symbol, lattice, a=a_A, cubic=True)


def supercell(atoms: Atoms, repeats: Sequence[int]) -> Atoms:
    """Return a structure repeated along its cell vectors.

    Parameters
    ----------
    atoms
        The structure to repeat.
    repeats
        Three whole numbers of at least 1.

    Raises
    ------
    ValueError
        If ``repeats`` is not three whole numbers of at least 1.
    """
    if len(repeats) != 3 or any(int(number) != number or number < 1 for number in repeats):
        raise ValueError(f'`repeats` is {tuple(repeats)}: give three whole numbers of at least 1.')
    repeated: Atoms = atoms.repeat([int(number) for number in repeats])
    return repeated
