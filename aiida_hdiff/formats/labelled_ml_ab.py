"""Labelled configurations from and to VASP's ML_AB files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_frame import LabelledFrame
from aiida_hdiff.formats.ml_ab import MLAB, NAME_LENGTH, MLABFrame

Floats = NDArray[np.float64]

EV_PER_ANGSTROM3_IN_KBAR = 10.0 * EV_PER_ANGSTROM3_IN_GPA
_VASP_TO_VOIGT = [0, 1, 2, 4, 5, 3]
"""XX YY ZZ XY YZ ZX to xx yy zz yz xz xy."""
_VOIGT_TO_VASP = [0, 1, 2, 5, 3, 4]


def stress_from_kbar(stress_kbar: Floats) -> Floats:
    """Return the stress in eV/Å³ with ASE's sign and order (xx yy zz yz xz xy) of VASP's XX YY ZZ XY YZ ZX in kbar."""
    return -stress_kbar[..., _VASP_TO_VOIGT] / EV_PER_ANGSTROM3_IN_KBAR


def stress_to_kbar(stress: Floats) -> Floats:
    """Return VASP's XX YY ZZ XY YZ ZX in kbar, the inverse of `stress_from_kbar`."""
    return -stress[..., _VOIGT_TO_VASP] * EV_PER_ANGSTROM3_IN_KBAR


def labelled_from_ml_ab(
    frames: Iterable[MLABFrame],
    *,
    origins: str | Sequence[str] = 'ML_AB',
    reference: str = '',
    config_type: str | None = None,
    symbols: Mapping[str, str] | None = None,
) -> LabelledFrames:
    """Return the configurations of a ML_AB file with ASE's units and signs.

    Energies are VASP's free energies; positions and forces are taken over bit by bit.

    Parameters
    ----------
    frames
        What `read_ml_ab` has returned.
    origins
        Origin of each frame, or one text to which the number of the configuration is added: ``ML_AB:1``.
    reference
        Method and settings of the calculations, which the file does not tell.
    config_type
        Group of the frames, by default the system name of each.
    symbols
        Elements of types that VASP names otherwise, such as ``{'D': 'H'}``.

    Raises
    ------
    ValueError
        A type is not an element, or another number of origins.
    """
    from ase.data import atomic_numbers

    frames = list(frames)
    if isinstance(origins, str):
        origins = [f'{origins}:{number}' for number in range(1, len(frames) + 1)]
    if len(origins) != len(frames):
        raise ValueError(f'{len(origins)} origins for {len(frames)} frames: give one for each')
    known = {**atomic_numbers, **{name: atomic_numbers.get(symbol, 0) for name, symbol in (symbols or {}).items()}}
    labelled = []
    for number, (frame, origin) in enumerate(zip(frames, origins, strict=True), 1):
        unknown = [element for element in frame.elements if known.get(element, 0) == 0]
        if unknown:
            raise ValueError(
                f'configuration {number} has the type {unknown[0]!r}, which is not an element: name it in symbols, '
                f'such as symbols={{{unknown[0]!r}: "H"}}'
            )
        labelled.append(
            LabelledFrame(
                numbers=np.repeat([known[element] for element in frame.elements], frame.counts),
                positions=frame.positions,
                cell=frame.cell,
                energy=frame.energy,
                forces=frame.forces,
                stress=stress_from_kbar(frame.stress_kbar),
                origin=origin,
                reference=reference,
                config_type=frame.name.encode('utf-8', 'replace').decode() if config_type is None else config_type,
                ctifor=frame.ctifor,
            )
        )
    return LabelledFrames.from_frames(labelled)


def ml_ab_from_labelled(frames: LabelledFrames, *, drop_ctifor: bool = False, float_layout: str | None = None) -> MLAB:
    """Return labelled configurations as a ML_AB file for `ML_MODE = select`.

    Atoms are sorted by element and frames by composition, in the order of first appearance; nothing else moves. The
    config type becomes the system name, cut to 40 characters.

    Parameters
    ----------
    frames
        With stresses, and periodic in all directions.
    drop_ctifor
        Leave out thresholds that only some frames have.
    float_layout
        See `MLAB`.

    Raises
    ------
    ValueError
        A frame has no stress or is not periodic, or only some have a threshold.
    """
    from ase.data import chemical_symbols

    with_ctifor = ~np.isnan(frames.ctifors)
    if with_ctifor.any() and not with_ctifor.all() and not drop_ctifor:
        raise ValueError(
            f'frame {np.argmin(with_ctifor)} has no ctifor but others have: VASP wants it in all configurations or in '
            'none: set drop_ctifor=True'
        )
    kinds, first = np.unique(frames.numbers, return_index=True)
    rank = np.zeros(119, dtype=np.int64)
    rank[kinds[np.argsort(first)]] = np.arange(len(kinds))
    converted = []
    for index, frame in enumerate(frames):
        if frame.stress is None or not all(frame.pbc):
            lack = 'no stress' if frame.stress is None else 'open boundaries'
            raise ValueError(f'frame {index} has {lack}, which a ML_AB file cannot say: leave it out')
        order = np.argsort(rank[frame.numbers], kind='stable')
        numbers, counts = np.unique(rank[frame.numbers], return_counts=True)
        ranked = kinds[np.argsort(first)]
        name = frame.config_type.encode()[:NAME_LENGTH].decode(errors='ignore')
        converted.append(
            MLABFrame(
                name=' '.join(name.splitlines()),
                elements=tuple(chemical_symbols[ranked[number]] for number in numbers),
                counts=tuple(counts.tolist()),
                cell=frame.cell,
                positions=frame.positions[order],
                energy=frame.energy,
                forces=frame.forces[order],
                stress_kbar=stress_to_kbar(frame.stress),
                ctifor=frame.ctifor if with_ctifor.all() else None,
            )
        )
    compositions = list(dict.fromkeys((frame.elements, frame.counts) for frame in converted))
    place = {composition: i for i, composition in enumerate(compositions)}
    converted.sort(key=lambda frame: place[frame.elements, frame.counts])
    return MLAB.from_frames(converted, float_layout=float_layout)
