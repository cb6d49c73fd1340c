"""Elements, ranges and completeness of EAM potential files in the setfl format (LAMMPS ``eam/alloy``, ``eam/fs``).

Format: https://docs.lammps.org/pair_eam.html.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEGLIGIBLE = 1e-10


@dataclass(frozen=True)
class SetflHeader:
    """What a setfl file covers.

    Attributes
    ----------
    elements
        Chemical symbols.
    cutoff_A
        Cutoff of the tables (Å).
    ranges_A
        Distance (Å) beyond which the pair term and both densities are zero, by symbols joined with a hyphen.
    """

    elements: tuple[str, ...]
    cutoff_A: float
    ranges_A: dict[str, float]


def read_setfl(content: bytes, *, finnis_sinclair: bool = False) -> SetflHeader:
    """Read a setfl file and check that its tables are complete.

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
        rho_text, _, r_text, spacing_text, cutoff_text = lines[4].split()[:5]
        n_rho, n_r = int(rho_text), int(r_text)
        spacing, cutoff = (float(text.replace('D', 'E')) for text in (spacing_text, cutoff_text))
    except (IndexError, ValueError) as error:
        raise ValueError('not a setfl file: lines 4 and 5 hold no elements, table sizes and cutoff.') from error
    if len(elements) != n_elements:
        raise ValueError(f'not a setfl file: line 4 announces {n_elements} elements and names {len(elements)}.')
    words = ' '.join(lines[5:]).split()
    n_densities = n_elements if finnis_sinclair else 1
    per_element = 4 + n_rho + n_densities * n_r
    expected = n_elements * per_element + n_elements * (n_elements + 1) // 2 * n_r
    if len(words) < expected:
        raise ValueError(f'the setfl file is truncated: {len(words)} of {expected} values are there.')
    tables = np.array([word.replace('D', 'E') if _is_number(word) else 'nan' for word in words[:expected]], dtype=float)
    for i in range(n_elements):
        values = tables[i * per_element : (i + 1) * per_element]
        # Atomic number, mass and lattice constant; the name of the lattice; the tables.
        if not np.isfinite(np.delete(values, 3)).all():
            raise ValueError('the setfl file is corrupt: a table holds something that is not a number.')
    densities = [
        _range(tables[i * per_element + 4 + n_rho : (i + 1) * per_element].reshape(n_densities, n_r), spacing)
        for i in range(n_elements)
    ]
    pair_tables = tables[n_elements * per_element :].reshape(-1, n_r)
    if not np.isfinite(pair_tables).all():
        raise ValueError('the setfl file is corrupt: a table holds something that is not a number.')
    ranges = {}
    row = 0
    for i in range(n_elements):
        for j in range(i + 1):
            reach = max(densities[i], densities[j], _range(pair_tables[row : row + 1], spacing))
            ranges['-'.join(sorted((elements[i], elements[j])))] = round(min(reach, cutoff), 6)
            row += 1
    return SetflHeader(tuple(elements), cutoff, ranges)


def _is_number(word: str) -> bool:
    return word[-1].isdigit() or word[-1] == '.'


def _range(tables: NDArray[np.float64], spacing: float) -> float:
    reached = np.nonzero(np.abs(tables).max(axis=0) > NEGLIGIBLE)[0]
    return float((reached[-1] + 1) * spacing) if len(reached) else 0.0
