"""Calcfunctions of the `label` workchain: frames into the inputs of jobs, and their labels into one data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.formats.configurations import Configurations, structure_keys

STRUCTURE_TOLERANCE_A = 1e-8
"""Attributes of nodes have 14 digits."""
_FRAME_NAME = re.compile(r'frame_(\d+)(_|$)')


def configurations(node: ConfigurationsData | LabelledDataset) -> Configurations:
    """Return the structures of a node, without the labels that it may have."""
    frames = node.frames()
    return frames if isinstance(frames, Configurations) else Configurations.from_labelled(frames)


def species_order(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order in which the atoms of a frame are written for VASP: by species, as they first occur."""
    kinds, first = np.unique(numbers, return_index=True)
    return np.argsort(first[np.searchsorted(kinds, numbers)], kind='stable')


@calcfunction
def split_frames(frames: orm.Data, batches: orm.Dict) -> dict[str, ConfigurationsData]:
    """Cut configurations into batches: ``batches`` has a list of indices for each name of an output."""
    structures = configurations(frames)
    return {name: ConfigurationsData(structures.select(indices)) for name, indices in batches.get_dict().items()}


@calcfunction
def frame_structures(frames: orm.Data, batches: orm.Dict) -> dict[str, orm.StructureData]:
    """Return single configurations with their atoms in `species_order`; ``batches`` as in `split_frames`."""
    structures, nodes = configurations(frames), {}
    for name, (index,) in batches.get_dict().items():
        atoms = structures.to_ase(index)
        nodes[name] = orm.StructureData(ase=atoms[species_order(atoms.numbers)])
        nodes[name].label = structures.origins[index][:255]
    return nodes


@calcfunction
def gather_labels(frames: orm.Data, record: orm.Dict, **parts: LabelledDataset) -> dict[str, orm.Data]:
    """Join the labels of jobs, in the order of the configurations, with their origins and groups.

    A part of one frame in `species_order` is named after the number of its frame: ``frame_00012``, or with something
    behind, ``frame_00012_2``. The structures in other parts tell which frames they have. ``record`` says which frames
    failed, and why.

    Returns
    -------
    dict
        ``dataset``, unless no frame has labels, and ``results``.

    Raises
    ------
    ValueError
        The parts have different references, or the structure of a part is not that of its configuration.
    """
    structures = configurations(frames)
    labels = _labels(structures, parts)
    chosen = LabelledFrames.from_frames(labels[index] for index in sorted(labels))
    references = sorted(set(chosen.references))
    if len(references) > 1:
        raise ValueError(f'the labels have different references: {", ".join(references)}.')
    results = {
        'n_frames': len(structures),
        'n_labelled': len(labels),
        'reference': references[0] if references else None,
        **record.get_dict(),
    }
    outputs: dict[str, orm.Data] = {'results': orm.Dict(results)}
    if labels:
        dataset = outputs['dataset'] = LabelledDataset(chosen)
        dataset.label = f'{dataset.n_frames} frames of {" ".join(dataset.elements)}'
    return outputs


def _labels(structures: Configurations, parts: Mapping[str, LabelledDataset]) -> dict[int, LabelledFrame]:
    """Return the labelled frames by index; where several parts have labels, those of the first."""
    keys: dict[str, list[int]] = {}
    for index, key in enumerate(structure_keys(structures)):
        keys.setdefault(key, []).append(index)
    labels: dict[int, LabelledFrame] = {}
    for name in sorted(parts):
        part, named = parts[name].frames(), _FRAME_NAME.match(name)
        if named:
            index = int(named[1])
            labels.setdefault(index, _unsorted(structures, index, part[0], name))
            continue
        for frame, key in zip(part, structure_keys(part), strict=True):
            for index in keys.get(key, ()):
                texts = {'origin': structures.origins[index], 'config_type': structures.config_types[index]}
                labels.setdefault(index, replace(frame, **texts))
    return labels


def _unsorted(structures: Configurations, index: int, labelled: LabelledFrame, name: str) -> LabelledFrame:
    """Return the labels of atoms in `species_order` with the atoms in the order of the configuration."""
    atoms = structures.to_ase(index)
    order = species_order(atoms.numbers)
    if not (
        np.array_equal(labelled.numbers, atoms.numbers[order])
        and np.allclose(labelled.positions, atoms.positions[order], rtol=0.0, atol=STRUCTURE_TOLERANCE_A)
        and np.allclose(labelled.cell, atoms.cell.array, rtol=0.0, atol=STRUCTURE_TOLERANCE_A)
    ):
        raise ValueError(f'{name} has the labels of another structure than configuration {index}.')
    forces = np.empty_like(labelled.forces)
    forces[order] = labelled.forces
    return replace(
        labelled,
        numbers=atoms.numbers.astype(np.int64),
        positions=atoms.positions,
        cell=atoms.cell.array,
        forces=forces,
        origin=structures.origins[index],
        config_type=structures.config_types[index],
    )
