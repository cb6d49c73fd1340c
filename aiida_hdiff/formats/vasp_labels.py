"""Labelled configurations from the output of VASP: the steps of DFT, never those of a force field."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from aiida_hdiff.formats.incar import dft_settings_hash, label_reference, number
from aiida_hdiff.formats.ionic_step import StepStream, VaspHeader
from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_frame import LabelledFrame
from aiida_hdiff.formats.origins import with_temperature
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.vasprun import iter_vasprun

OUTPUTS = ('vasprun.xml', 'vasprun.xml.gz', 'OUTCAR', 'OUTCAR.gz')
LANGEVIN = 3.0


def find_vasp_output(folder: Path) -> Path:
    """Return the output in a folder: vasprun.xml, which has all digits, or else OUTCAR.

    Raises
    ------
    ValueError
        If there is none.
    """
    for name in OUTPUTS:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f'{folder.name or folder} has neither vasprun.xml nor OUTCAR: give the folder in which VASP ran.')


def is_outcar(path: Path) -> bool:
    """Return whether a file is an OUTCAR by its name."""
    return 'OUTCAR' in path.name


@dataclass(frozen=True, eq=False)
class VaspLabels:
    """Labels from one file.

    Attributes
    ----------
    frames
        The steps of DFT.
    emulated
        Whether the file says that a stand-in has written it and not VASP.
    """

    frames: LabelledFrames
    emulated: bool


def read_vasp_labels(
    path: str | Path, *, origin: str | None = None, reference: str | None = None, allow_truncated: bool = False
) -> VaspLabels:
    """Read the steps of DFT of a vasprun.xml or OUTCAR, plain or gzipped.

    The energy is the free energy, to which the forces belong. The origin of a frame is ``vasprun.xml:step 5 310.2 K``,
    its group ``MD 300 K`` where the temperature of the run does not change.

    Parameters
    ----------
    path
        The file; an OUTCAR by its name.
    origin
        Goes before the step, by default the name of the file.
    reference
        Method and settings of the labels; by default found from vasprun.xml, see `level_of_theory`, and unknown of an
        OUTCAR.
    allow_truncated
        Take the complete steps of a file that ends too early.

    Raises
    ------
    ValueError
        The file is damaged or truncated, or has no step of DFT with a structure and forces.
    """
    path = Path(path)
    outcar = is_outcar(path)
    stream = (iter_outcar if outcar else iter_vasprun)(path, allow_truncated=allow_truncated)
    if reference is None:
        level = '' if outcar else level_of_theory(path, stream.header)
        reference = label_reference(level, emulated=stream.header.emulated)
    frames = _frames(stream, path.name if origin is None else origin, reference)
    if not frames:
        raise ValueError(
            f'{path.name} has no step of DFT with a structure and forces: it is of a run with a force field alone, or '
            'ended before its first step.'
        )
    return VaspLabels(LabelledFrames.from_frames(frames), stream.header.emulated)


def _frames(stream: StepStream, origin: str, reference: str) -> list[LabelledFrame]:
    tags = {**stream.header.parameters, **stream.header.incar}
    symbols = stream.header.symbols
    freedom = 3 * len(symbols) - (0 if number(tags.get('MDALGO')) == LANGEVIN else 3)
    group = _group(tags)
    found = []
    for step in stream:
        if step.source != 'dft' or step.positions is None or step.cell is None or step.forces is None:
            continue
        place = f'{origin}:step {step.step}'
        kelvin = step.temperature_K(freedom) if freedom else None
        moving = number(tags.get('IBRION')) == 0.0 and kelvin is not None
        text = with_temperature(place, kelvin) if moving and kelvin is not None else place
        found.append(replace(step.to_labelled(symbols, origin=text, reference=reference), config_type=group))
    return found


def _group(tags: Mapping[str, Any]) -> str:
    begin, end = number(tags.get('TEBEG')), number(tags.get('TEEND'))
    same = begin is not None and begin > 0.0 and (end is None or end in (begin, -1.0))
    return f'MD {begin:g} K' if same and number(tags.get('IBRION')) == 0.0 else ''


def level_of_theory(path: Path, header: VaspHeader) -> str:
    """Return the identity of the level of theory of a vasprun.xml, or an empty text if it is incomplete.

    It is that of our own VASP jobs with the same tags, POTCARs and k-points, see `dft_settings_hash`.
    """
    with path.open('rb') as probe:
        zipped = probe.read(2) == b'\x1f\x8b'
    titles: list[str] = []
    kpoints: dict[str, Any] | None = None
    with gzip.open(path, 'rb') if zipped else path.open('rb') as stream:
        try:
            for _, element in ElementTree.iterparse(stream, events=('end',)):
                if element.tag == 'kpoints':
                    kpoints = _kpoints(element)
                elif element.tag == 'array' and element.get('name') == 'atomtypes':
                    titles = [' '.join((row[-1].text or '').split()) for row in element.iter('rc') if len(row) > 4]
                elif element.tag == 'atominfo':
                    break
        except (ElementTree.ParseError, ValueError, EOFError, OSError):
            return ''
    if not titles or not all(titles) or kpoints is None or not header.incar:
        return ''
    return dft_settings_hash(header.incar, sorted(set(titles)), kpoints)


def _kpoints(element: ElementTree.Element) -> dict[str, Any] | None:
    generation = element.find('generation')
    divisions = None if generation is None else generation.find("v[@name='divisions']")
    if generation is not None and divisions is not None:
        mesh = [int(word) for word in (divisions.text or '').split()]
        shift = generation.find("v[@name='usershift']")
        user = [float(word) for word in ((shift.text if shift is not None else None) or '0 0 0').split()]
        half = generation.get('param', '').lower().startswith('m')
        offset = [own + (0.5 if half and n % 2 == 0 else 0.0) for own, n in zip(user, mesh, strict=True)]
        return {'mesh': mesh, 'offset': offset}
    points = element.find("varray[@name='kpointlist']")
    rows = [] if points is None else [row.text or '' for row in points]
    return {'points': [[round(float(word), 9) for word in row.split()] for row in rows]} if rows else None
