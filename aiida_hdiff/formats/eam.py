"""Header and completeness of EAM potential files in the setfl format (LAMMPS ``eam/alloy`` and ``eam/fs``).

Format: https://docs.lammps.org/pair_eam.html.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SetflHeader:
    """Elements and cutoff (Å) of a setfl file."""

    elements: tuple[str, ...]
    cutoff_A: float


def read_setfl(content: bytes, *, finnis_sinclair: bool = False) -> SetflHeader:
    """Read the header of a setfl file and check that its tables are complete.

    Parameters
    ----------
    content
        The whole file.
    finnis_sinclair
        The variant ``eam/fs``, with one density table per pair of elements.

    Raises
    ------
    ValueError
        If the file is empty, truncated or not in this format.
    """
    lines = content.decode('utf-8', errors='replace').splitlines()
    try:
        count, *elements = lines[3].split()
        n_elements = int(count)
        n_rho, _, n_r, _, cutoff = lines[4].split()[:5]
        rho_points, r_points, cutoff_A = int(n_rho), int(n_r), float(cutoff.replace('D', 'E'))
    except (IndexError, ValueError) as error:
        raise ValueError('not a setfl file: lines 4 and 5 hold no elements, table sizes and cutoff.') from error
    if len(elements) != n_elements:
        raise ValueError(f'not a setfl file: line 4 announces {n_elements} elements and names {len(elements)}.')
    densities = n_elements if finnis_sinclair else 1
    pairs = n_elements * (n_elements + 1) // 2
    expected = n_elements * (4 + rho_points + densities * r_points) + pairs * r_points
    found = sum(len(line.split()) for line in lines[5:])
    if found < expected:
        raise ValueError(f'the setfl file is truncated: {found} of at least {expected} values are there.')
    return SetflHeader(tuple(elements), cutoff_A)
