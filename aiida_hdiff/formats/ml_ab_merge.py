"""Merging of ML_AB files, as parallel branches of on-the-fly training leave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aiida_hdiff.formats.ml_ab import MLAB, MLABFrame

Origin = tuple[int, int]


@dataclass(frozen=True)
class MergedMLAB:
    """Merged training sets, and what became of each frame.

    Attributes
    ----------
    ml_ab
        The merged set.
    origins
        For each of its frames the indices of the source and of the frame in it, from 0.
    duplicates
        Frames left out because an earlier source has the same: pairs of the origin left out and the origin kept.
    """

    ml_ab: MLAB
    origins: tuple[Origin, ...]
    duplicates: tuple[tuple[Origin, Origin], ...]


def merge_ml_ab(
    sources: Sequence[MLAB],
    *,
    drop_ctifor: bool = False,
    masses: Mapping[str, float] | None = None,
    reference_energies: Mapping[str, float] | None = None,
) -> MergedMLAB:
    """Merge training sets into one for `ML_MODE = select`.

    VASP's rules are kept: frames are numbered anew, types are joined by name, equal compositions follow one another,
    and basis sets become the dummy ``1 1``. Branches that were continued from a common file all contain its frames:
    frames whose atoms, cell and labels are also in an earlier source are left out.

    Parameters
    ----------
    sources
        What `read_ml_ab` has returned, in order of precedence.
    drop_ctifor
        Drop the thresholds where some sources have none; VASP wants them in all frames or in none.
    masses, reference_energies
        Values in u and eV by symbol, where the sources differ.

    Returns
    -------
    MergedMLAB
        The set, and the origin of each frame.

    Raises
    ------
    ValueError
        No sources; masses or reference energies differ between sources and are not given; some sources have
        CTIFOR and others have not.
    """
    if not sources:
        raise ValueError('no training sets to merge: give at least one')
    kept: list[tuple[Origin, MLABFrame]] = []
    duplicates: list[tuple[Origin, Origin]] = []
    known: dict[bytes, Origin] = {}
    for i, source in enumerate(sources):
        keys = [_identity(frame) for frame in source]
        for j, (key, frame) in enumerate(zip(keys, source, strict=True)):
            if key in known:
                duplicates.append(((i, j), known[key]))
            else:
                kept.append(((i, j), frame))
        for j, key in enumerate(keys):
            known.setdefault(key, (i, j))
    with_ctifor = [source[0].ctifor is not None for source in sources]
    if any(with_ctifor) and not all(with_ctifor):
        if not drop_ctifor:
            raise ValueError(
                f'source {with_ctifor.index(False)} has no CTIFOR but others have: VASP wants it in all configurations '
                'or in none: set drop_ctifor=True'
            )
        kept = [(origin, replace(frame, ctifor=None)) for origin, frame in kept]
    compositions = list(dict.fromkeys((frame.elements, frame.counts) for _, frame in kept))
    rank = {composition: place for place, composition in enumerate(compositions)}
    ordered = sorted(kept, key=lambda item: rank[item[1].elements, item[1].counts])
    layouts = {source.float_layout for source in sources}
    ml_ab = MLAB.from_frames(
        [frame for _, frame in ordered],
        elements=list(dict.fromkeys(element for source in sources for element in source.elements)),
        masses=_common('masses', [source.masses.tolist() for source in sources], sources, masses),
        reference_energies=_common(
            'reference_energies',
            [source.reference_energies.tolist() for source in sources],
            sources,
            reference_energies,
        ),
        float_layout=layouts.pop() if len(layouts) == 1 else None,
    )
    return MergedMLAB(ml_ab, tuple(origin for origin, _ in ordered), tuple(duplicates))


def _identity(frame: MLABFrame) -> bytes:
    """Return atoms, cell and labels as one key."""
    parts: Iterable[np.ndarray] = (frame.cell, frame.positions, np.array(frame.energy), frame.forces, frame.stress_kbar)
    return f'{frame.elements} {frame.counts} '.encode() + b''.join(part.tobytes() for part in parts)


def _common(
    what: str, values: Sequence[list[float]], sources: Sequence[MLAB], given: Mapping[str, float] | None
) -> dict[str, float]:
    """Return a property by element, on which all sources must agree unless it is given."""
    found: dict[str, float] = {}
    for i, (source, numbers) in enumerate(zip(sources, values, strict=True)):
        for element, number in zip(source.elements, numbers, strict=True):
            if found.setdefault(element, number) != number and element not in (given or {}):
                raise ValueError(
                    f'{what} of {element} differ: {number} in source {i}, {found[element]} before: state the right one '
                    f'by {what}={{{element!r}: ...}}'
                )
    return found | dict(given or {})
