"""Kinds of frames whose shares a choice should keep: by temperature, composition, group, run or reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.origins import NOMINAL, FrameOrigin, formulas, parse_origins, places

KINDS = ('temperature', 'composition', 'config_type', 'run', 'reference')
BIN_K = 100.0


@dataclass(frozen=True, eq=False)
class Strata:
    """The kinds that the frames of a set belong to.

    Attributes
    ----------
    labels
        Name of each kind, in the order of first appearance, such as ``300 K, HMg16``.
    numbers
        Number of the kind of each frame, shape (n_frames,).
    """

    labels: tuple[str, ...]
    numbers: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of frames of each kind, shape (n_kinds,)."""
        return np.bincount(self.numbers, minlength=len(self.labels)).astype(np.int64)


def strata(frames: LabelledFrames, kinds: Sequence[str], *, bin_K: float = BIN_K) -> Strata:
    """Return the kinds of frames by one or several of `KINDS`; without any, all frames are of one.

    Temperatures are those that the runs were meant to have, if all frames tell it in their group or run; otherwise
    temperatures of the moment are binned too.

    Parameters
    ----------
    frames
        The set.
    kinds
        What to distinguish.
    bin_K
        Width of the bins of temperatures in K.

    Raises
    ------
    ValueError
        An unknown kind, a width that is not positive, or frames that tell no temperature.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f'{unknown[0]!r} is nothing to stratify by: give {", ".join(KINDS)}.')
    origins = parse_origins(frames)
    texts: dict[str, Sequence[str]] = {}
    for kind in dict.fromkeys(kinds):
        if kind == 'temperature':
            texts[kind] = temperature_labels(origins, frames.origins, bin_K)
        elif kind == 'composition':
            texts[kind] = formulas(frames)
        elif kind == 'run':
            found = places(origins, formulas(frames))
            texts[kind] = [found.names[run] for run in found.runs.tolist()]
        else:
            texts[kind] = frames.config_types if kind == 'config_type' else frames.references
    joined = [', '.join(words) for words in zip(*texts.values(), strict=True)] if texts else [''] * len(frames)
    order = {label: number for number, label in enumerate(dict.fromkeys(joined))}
    return Strata(tuple(order), np.array([order[label] for label in joined], dtype=np.int64))


def temperature_labels(origins: Sequence[FrameOrigin], texts: Sequence[str], bin_K: float = BIN_K) -> tuple[str, ...]:
    """Return the temperature of each frame as a text, such as ``300 K`` or ``300-400 K``.

    Raises
    ------
    ValueError
        See `strata`.
    """
    if not bin_K > 0.0:
        raise ValueError(f'the width of the bins of temperatures must be positive, not {bin_K!r} K.')
    without = [index for index, one in enumerate(origins) if one.temperature_K is None]
    if without:
        raise ValueError(
            f'{len(without)} of {len(origins)} frames tell no temperature, the first is frame {without[0]} with the '
            f'origin {texts[without[0]]!r}: give them a group such as "NVT 600 K", or stratify by something else.'
        )
    if all(one.temperature_from in NOMINAL for one in origins):
        return tuple(f'{one.temperature_K:g} K' for one in origins)
    lower = [floor((one.temperature_K or 0.0) / bin_K) * bin_K for one in origins]
    return tuple(f'{low:g}-{low + bin_K:g} K' for low in lower)
