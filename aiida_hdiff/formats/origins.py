"""Where a frame comes from and at which temperature, read from its origin and group: the only place that parses them.

Labelled frames have no array of temperatures. The texts that the package writes are ``mg16h_600K:1500`` (frames of a
trajectory), ``train_300K/iteration_02 step 40 310.2 K`` (training on the fly), ``step 40 310.2 K`` and ``ML_AB:7``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_hdiff.formats.configurations import Configurations
    from aiida_hdiff.formats.labelled import LabelledFrames

NOMINAL = ('config_type', 'run')
"""Sources of a temperature that a run was meant to have; that of the ``origin`` is of one moment."""

_KELVIN = re.compile(r'(?<![A-Za-z0-9.])(\d+(?:\.\d+)?) ?K(?![A-Za-z0-9])')
_MOMENT = re.compile(r',?\s+(\d+(?:\.\d+)?) ?K$')
_STEP = re.compile(r'(?P<run>.*?)(?:^|[\s:,/])step (?P<step>\d+)$')
_NUMBER = re.compile(r'(?P<run>.+):(?P<step>\d+)$')
_JOB = re.compile(r'(?P<stage>[^/ ]+)/\S+$')
_UNPLACED = re.compile(r'(?P<run>.*?) ?ML_ABN \d+$')


@dataclass(frozen=True)
class FrameOrigin:
    """What the texts of a frame tell.

    Attributes
    ----------
    run
        Name of the trajectory, stage of a training or file; the whole origin if it has no number.
    step
        Step in the run, or number of the frame in a file; ``None`` if not told.
    temperature_K
        ``None`` if not told.
    temperature_from
        ``config_type`` or ``run``: the temperature that the run was meant to have; ``origin``: that of the moment.
    """

    run: str
    step: int | None
    temperature_K: float | None
    temperature_from: str | None


def parse_origin(origin: str, config_type: str = '') -> FrameOrigin:
    """Return what the origin and the group of a frame tell; texts of any other form have neither step nor temperature.

    The temperature that a run was meant to have goes before that of the moment: in a cell of 20 atoms the latter
    scatters by a fifth. Texts with several temperatures, such as ``ramp 300 K to 673 K``, tell none.

    Examples
    --------
    >>> parse_origin('mg16h_600K:1500')
    FrameOrigin(run='mg16h_600K', step=1500, temperature_K=600.0, temperature_from='run')
    >>> parse_origin('ramp/iteration_02 step 40 310.2 K')
    FrameOrigin(run='ramp', step=40, temperature_K=310.2, temperature_from='origin')
    """
    text = origin.strip()
    found = _MOMENT.search(text)
    moment = float(found[1]) if found else None
    place = text[: found.start()] if found else text
    match = _STEP.fullmatch(place) or _NUMBER.fullmatch(place)
    if match is not None:
        run, step = match['run'].rstrip(' :,'), int(match['step'])
    else:
        unplaced = _UNPLACED.fullmatch(place)
        run, step = (unplaced['run'] if unplaced else place), None
    job = _JOB.fullmatch(run)
    run = job['stage'] if job else run
    for value, source in ((_single(config_type), NOMINAL[0]), (_single(run), NOMINAL[1]), (moment, 'origin')):
        if value is not None:
            return FrameOrigin(run, step, value, source)
    return FrameOrigin(run, step, None, None)


def with_temperature(origin: str, temperature_K: float) -> str:
    """Return an origin that tells the temperature of the moment, as `parse_origin` reads it."""
    return f'{origin} {temperature_K:.1f} K'


def _single(text: str) -> float | None:
    values = {float(value) for value in _KELVIN.findall(text.replace('_', ' '))}
    return values.pop() if len(values) == 1 else None


def parse_origins(frames: LabelledFrames | Configurations) -> tuple[FrameOrigin, ...]:
    """Return what the texts of each frame tell."""
    return tuple(map(parse_origin, frames.origins, frames.config_types))


def formulas(frames: LabelledFrames | Configurations) -> tuple[str, ...]:
    """Return the composition of each frame by Hill's order, such as ``HMg16``."""
    from ase.symbols import Symbols

    known: dict[bytes, str] = {}
    names = []
    for begin, end in zip(frames.offsets[:-1], frames.offsets[1:], strict=True):
        numbers = np.sort(frames.numbers[begin:end])
        key = numbers.tobytes()
        if key not in known:
            known[key] = str(Symbols(numbers).get_chemical_formula(mode='hill'))
        names.append(known[key])
    return tuple(names)


@dataclass(frozen=True, eq=False)
class Places:
    """The runs that the frames of a set come from, and where in them.

    Attributes
    ----------
    runs
        Number of the run of each frame, shape (n_frames,); a run is a name with one composition.
    names
        Name of each run.
    steps
        Step of each frame in its run, shape (n_frames,); -1 where not told.
    """

    runs: NDArray[np.int64]
    names: tuple[str, ...]
    steps: NDArray[np.int64]


def places(origins: Sequence[FrameOrigin], compositions: Sequence[str]) -> Places:
    """Return the runs of frames: those of one name with one composition, as dynamics keeps the atoms."""
    keys = [(one.run, composition) for one, composition in zip(origins, compositions, strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    uses = Counter(run for run, _ in numbers)
    return Places(
        runs=np.array([numbers[key] for key in keys], dtype=np.int64),
        names=tuple(f'{run} ({composition})' if uses[run] > 1 else run for run, composition in numbers),
        steps=np.array([-1 if one.step is None else one.step for one in origins], dtype=np.int64),
    )
