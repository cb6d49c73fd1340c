"""Calcfunctions that read labelled configurations from files of VASP and ASE."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.calculations.datasets import checked_settings, labelled_node
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.labelled_ase_db import read_ase_db
from aiida_hdiff.formats.vasp_labels import is_outcar, read_vasp_labels


@calcfunction
def import_vasprun(file: orm.SinglefileData, settings: orm.Dict) -> LabelledDataset:
    """Read the steps of DFT of a vasprun.xml, plain or gzipped.

    An OUTCAR is refused, as it repeats the POTCARs, which must not be stored: `aiida-hdiff dataset import` stores its
    frames alone.

    Settings: ``reference``, by default found from the file; ``origin``, which goes before the step; ``config_type``, by
    default the temperature of a run of dynamics; ``allow_truncated``, to take the complete steps of a killed run.
    """
    values = checked_settings(settings, reference=None, origin=None, config_type=None, allow_truncated=False)
    with file.as_path() as path:
        if is_outcar(path):
            raise ValueError(
                f'{file.filename} is an OUTCAR, which repeats the POTCARs: import it with `aiida-hdiff dataset import`.'
            )
        labels = read_vasp_labels(
            path,
            origin=values['origin'],
            reference=values['reference'],
            allow_truncated=bool(values['allow_truncated']),
        )
    frames = labels.frames
    if values['config_type'] is not None:
        frames = replace(frames, config_types=(str(values['config_type']),) * len(frames))
    node = labelled_node(LabelledDataset(frames))
    if labels.emulated:
        node.base.extras.set('emulated', True)
    return node


@calcfunction
def import_ase_db(file: orm.SinglefileData, settings: orm.Dict) -> LabelledDataset:
    """Read a database of ASE, a file that ends in .db or .json.

    Settings: ``selection`` of rows, such as ``calculator=gpaw``; ``energy`` or ``free_energy`` as ``energy``;
    ``skip_unlabelled``; ``reference``, ``origin`` and ``config_type`` of the rows that do not tell theirs. An origin
    gets the number of the row: ``set.db:3``.
    """
    values = checked_settings(
        settings, selection='', energy='energy', skip_unlabelled=False, reference='', origin=None, config_type=''
    )
    with file.as_path() as path:
        frames = read_ase_db(
            path,
            selection=values['selection'],
            energy=values['energy'],
            skip_unlabelled=bool(values['skip_unlabelled']),
            origin=values['origin'],
        )
    return labelled_node(LabelledDataset(_with_defaults(frames, values)))


def _with_defaults(frames: LabelledFrames, values: dict[str, Any]) -> LabelledFrames:
    return replace(
        frames,
        references=tuple(found or values['reference'] for found in frames.references),
        config_types=tuple(found or values['config_type'] for found in frames.config_types),
    )
