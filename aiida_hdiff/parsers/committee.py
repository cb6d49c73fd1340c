"""What a committee has recorded in the checkpoint of a molecular dynamics job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.engine.committee import FRAMES, PREFIX, RECORD
from aiida_hdiff.engine.committee_settings import CommitteeSettings
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.formats.configurations import Configurations

CONFIG_TYPE = 'uncertain'
MAX_LISTED = 100


@dataclass(frozen=True)
class CommitteeRecord:
    """The comparisons of a committee.

    Attributes
    ----------
    arrays
        Those of :data:`aiida_hdiff.engine.committee.RECORD`.
    frames
        Configurations of which it was uncertain, or ``None``.
    results
        Numbers for the results of the job.
    """

    arrays: Mapping[str, Any]
    frames: Configurations | None
    results: Mapping[str, Any]

    def nodes(self) -> dict[str, orm.ArrayData]:
        """Return the outputs: ``deviations`` and, if there are any, ``uncertain_frames``."""
        nodes: dict[str, orm.ArrayData] = {'deviations': orm.ArrayData()}
        for name, values in self.arrays.items():
            nodes['deviations'].set_array(name, values)
        nodes['deviations'].label = 'committee'
        if self.frames is not None:
            nodes['uncertain_frames'] = ConfigurationsData(self.frames)
            nodes['uncertain_frames'].label = f'{len(self.frames)} uncertain frames'
        return nodes


def read_committee_record(path: Path, parameters: MDParameters) -> CommitteeRecord | None:
    """Return the record in a checkpoint of the engine, or ``None`` if no committee was there.

    Raises
    ------
    KeyError, ValueError
        If the file is not a checkpoint with a complete record.
    """
    settings = parameters.committee
    if settings is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[f'{PREFIX}{name}'] for name in RECORD}
        kept = {name: found[f'{PREFIX}{name}'] for name in FRAMES}
        numbers = found['numbers']
    results = {**_summary(arrays, settings), 'n_frames_kept': len(kept['frame_steps'])}
    return CommitteeRecord(arrays, _configurations(numbers, kept, parameters), results)


def _summary(arrays: Mapping[str, Any], settings: CommitteeSettings) -> dict[str, Any]:
    steps, deviations, of_hydrogen = arrays['steps'], arrays['deviations'], arrays['hydrogen_deviations']
    flagged = steps[settings.calibration_factor * deviations > settings.threshold_eV_A]
    largest = int(deviations.argmax()) if len(steps) else None
    hydrogen = None if largest is None or np.isnan(of_hydrogen).all() else int(np.nanargmax(of_hydrogen))
    return {
        **settings.as_dict(),
        'n_compared': len(steps),
        'n_flagged': len(flagged),
        'flagged_steps': flagged[:MAX_LISTED].tolist(),
        'largest_deviation_eV_A': None if largest is None else float(deviations[largest]),
        'largest_deviation_step': None if largest is None else int(steps[largest]),
        'largest_deviation_atom': None if largest is None else int(arrays['atoms'][largest]),
        'largest_hydrogen_deviation_eV_A': None if hydrogen is None else float(of_hydrogen[hydrogen]),
        'largest_hydrogen_deviation_step': None if hydrogen is None else int(steps[hydrogen]),
    }


def _configurations(numbers: Any, kept: Mapping[str, Any], parameters: MDParameters) -> Configurations | None:
    from ase import Atoms

    if not len(kept['frame_steps']):
        return None
    # A ramp has no temperature that its frames were meant to have.
    nominal = '' if parameters.temperature_end_K is not None else f'_{parameters.temperature_K:g}K'
    images = []
    for positions, cell in zip(kept['frame_positions'], kept['frame_cells'], strict=True):
        images.append(Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True))
        images[-1].wrap()
    origins = [f'{parameters.ensemble}{nominal}:{step}' for step in kept['frame_steps']]
    return Configurations.from_ase(images, origins, [CONFIG_TYPE] * len(images))
