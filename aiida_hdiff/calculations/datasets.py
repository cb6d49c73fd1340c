"""Calcfunctions that choose configurations to label, and import, join and filter data sets."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.formats import (
    LabelledFrames,
    check_labels,
    labelled_from_ml_ab,
    read_extxyz,
    read_ml_ab,
)
from aiida_hdiff.formats.configurations import Configurations, structure_keys
from aiida_hdiff.formats.labelled_checks import MAX_FORCE_ERROR_EV_A


def checked_settings(settings: orm.Dict, **defaults: Any) -> dict[str, Any]:
    """Return the settings with defaults, after a check of the keys.

    Raises
    ------
    ValueError
        An unknown key; the message has the nearest that is known.
    """
    for key in settings.get_dict():
        if key not in defaults:
            near = get_close_matches(key, defaults, n=1)
            hint = f'did you mean `{near[0]}`?' if near else f'known are {", ".join(defaults)}.'
            raise ValueError(f'unknown setting `{key}`: {hint}')
    return {**defaults, **settings.get_dict()}


def _whole(settings: dict[str, Any], key: str, least: int) -> int:
    value = settings[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f'`{key}` is {value!r}: give a whole number of at least {least}.')
    return value


def _chosen(n_frames: int, settings: dict[str, Any], rng: np.random.Generator, name: str) -> list[int]:
    """Return the indices of the frames that the settings choose from ``n_frames``."""
    ways = [key for key in ('indices', 'stride', 'n_random') if settings[key] is not None]
    if len(ways) != 1:
        raise ValueError(f'give exactly one of `indices`, `stride` and `n_random`, not {", ".join(ways) or "none"}.')
    start = _whole(settings, 'start', 0)
    if ways == ['stride']:
        return list(range(start, n_frames, _whole(settings, 'stride', 1)))
    if ways == ['n_random']:
        wanted, there = _whole(settings, 'n_random', 1), n_frames - start
        if wanted > there:
            raise ValueError(
                f'`n_random` is {wanted}, but {name} has {max(there, 0)} frames from {start} on: reduce it.'
            )
        return sorted((start + rng.choice(there, size=wanted, replace=False)).tolist())
    indices = settings['indices']
    indices = indices.get(name) if isinstance(indices, dict) else indices
    if not isinstance(indices, list) or not all(isinstance(i, int) and -n_frames <= i < n_frames for i in indices):
        raise ValueError(
            f'`indices` of {name} are {indices!r}: give a list of numbers from 0 to {n_frames - 1}, or such a list for '
            'each name.'
        )
    return [index % n_frames for index in indices]


_CHOICE: dict[str, Any] = {'indices': None, 'stride': None, 'n_random': None, 'seed': None, 'start': 0}


def _generator(settings: dict[str, Any]) -> np.random.Generator:
    if settings['n_random'] is not None and settings['seed'] is None:
        raise ValueError('`seed` is missing: random frames need one, such as 1.')
    return np.random.default_rng(0 if settings['seed'] is None else _whole(settings, 'seed', 0))


@calcfunction
def frames_from_trajectories(settings: orm.Dict, **trajectories: MDTrajectory) -> ConfigurationsData:
    """Choose frames of trajectories, to be labelled.

    Settings: exactly one of ``indices`` (a list, or a list for each name), ``stride`` or ``n_random`` of each
    trajectory (with ``seed``); ``start``, the first frame; ``config_type``. Positions are wrapped into the cell. The
    origin of a frame is the name of its trajectory here and its step: ``mg16h_700K:1500``.
    """
    values = checked_settings(settings, **_CHOICE, config_type='')
    rng = _generator(values)
    images, origins = [], []
    for name in sorted(trajectories):
        with trajectories[name].reader() as reader:
            for index in _chosen(len(reader), values, rng, name):
                from ase import Atoms

                positions = reader.positions(frames=slice(index, index + 1))[0]
                atoms = Atoms(numbers=reader.numbers, positions=positions, cell=reader.cells[index], pbc=True)
                atoms.wrap()
                images.append(atoms)
                origins.append(f'{name}:{int(reader.steps[index])}')
    node = ConfigurationsData(Configurations.from_ase(images, origins, [values['config_type']] * len(images)))
    node.label = f'{len(images)} frames'
    return node


@calcfunction
def frames_from_structures(settings: orm.Dict, **structures: orm.StructureData) -> ConfigurationsData:
    """Gather structures, to be labelled; the origin of a frame is the name of its structure here.

    Settings: ``config_type``.
    """
    values, names = checked_settings(settings, config_type=''), sorted(structures)
    images = [structures[name].get_ase() for name in names]
    node = ConfigurationsData(Configurations.from_ase(images, names, [values['config_type']] * len(names)))
    node.label = f'{len(images)} frames'
    return node


@calcfunction
def frames_from_dataset(dataset: LabelledDataset, settings: orm.Dict) -> ConfigurationsData:
    """Choose frames of a data set, to be labelled with other settings; settings as in `frames_from_trajectories`."""
    values = checked_settings(settings, **_CHOICE)
    chosen = _chosen(dataset.n_frames, values, _generator(values), 'the data set')
    node = ConfigurationsData(Configurations.from_labelled(dataset.frames()).select(chosen))
    node.label = f'{len(chosen)} frames'
    return node


@calcfunction
def import_extxyz(file: orm.SinglefileData, settings: orm.Dict) -> LabelledDataset:
    """Read an extended xyz file.

    Settings: ``prefix`` of the names of the labels, such as ``REF_``; ``reference``, ``origin`` and ``config_type`` of
    the frames that do not tell theirs. An origin gets the number of the frame: ``file:0``.
    """
    values = checked_settings(settings, prefix='', reference='', origin='', config_type='')
    with file.as_path() as path:
        frames = read_extxyz(path, prefix=values['prefix'])
    return _named(frames, values, values['origin'] or file.filename)


@calcfunction
def import_ml_ab(file: orm.SinglefileData, settings: orm.Dict) -> LabelledDataset:
    """Read a ML_AB or ML_ABN file of VASP.

    Settings: ``reference``, the method and settings, which the file does not tell; ``origin``, to which the number of
    the configuration is added; ``config_type``, by default the system name; ``symbols`` of types that are not elements;
    ``allow_truncated``, to take the complete configurations of a file that ends too early.
    """
    values = checked_settings(settings, reference='', origin='', config_type=None, symbols=None, allow_truncated=False)
    with file.open(mode='rb') as stream:
        ml_ab = read_ml_ab(stream, allow_truncated=bool(values['allow_truncated']))
    frames = labelled_from_ml_ab(
        ml_ab,
        origins=values['origin'] or file.filename,
        reference=values['reference'],
        config_type=values['config_type'],
        symbols=values['symbols'],
    )
    node = labelled_node(LabelledDataset(frames))
    if any(frame.name.startswith('EMULATED') for frame in ml_ab):  # The VASP stand-in has written it.
        node.base.extras.set('emulated', True)
    return node


def _named(frames: LabelledFrames, values: dict[str, Any], origin: str) -> LabelledDataset:
    from dataclasses import replace

    origins = tuple(found or f'{origin}:{index}' for index, found in enumerate(frames.origins))
    texts = {
        f'{key}s': tuple(found or values[key] for found in getattr(frames, f'{key}s'))
        for key in ('reference', 'config_type')
    }
    return labelled_node(LabelledDataset(replace(frames, origins=origins, **texts)))


def labelled_node(node: LabelledDataset) -> LabelledDataset:
    """Return the node with a label that says what it has."""
    node.label = f'{node.n_frames} frames of {" ".join(node.elements)}'
    return node


@calcfunction
def merge_datasets(settings: orm.Dict, **datasets: LabelledDataset) -> dict[str, orm.Data]:
    """Join data sets in the order of their names.

    Labels of different settings are refused: their energies differ by more than what is to be learned. Of frames with
    equal structures the first is kept.

    Settings: ``allow_mixed_references``; ``keep_duplicates``.

    Returns
    -------
    dict
        ``dataset``, and ``decisions``: number of frames of each source, and each duplicate with the frame kept.
    """
    values = checked_settings(settings, allow_mixed_references=False, keep_duplicates=False)
    if not datasets:
        raise ValueError('no data sets: give at least one.')
    names = sorted(datasets)
    references = sorted({reference for name in names for reference in datasets[name].references})
    if len(references) > 1 and not values['allow_mixed_references']:
        level = {one: next(name for name in names if one in datasets[name].references) for one in references}
        found = ', '.join(f'{one!r} (in {name})' for one, name in level.items())
        raise ValueError(
            f'the labels have different references: {found}. Label again with one of them, or set '
            '`allow_mixed_references: true` if they are the same.'
        )
    parts = [datasets[name].frames() for name in names]
    places = [(name, index) for name, part in zip(names, parts, strict=True) for index in range(len(part))]
    joined = LabelledFrames.concatenate(parts)
    first: dict[str, int] = {}
    kept, duplicates = [], []
    for place, key in enumerate(structure_keys(joined)):
        earlier = first.setdefault(key, place)
        if earlier == place or values['keep_duplicates']:
            kept.append(place)
        else:
            duplicates.append({'left_out': list(places[place]), 'kept': list(places[earlier])})
    decisions = {
        'n_frames': {name: len(part) for name, part in zip(names, parts, strict=True)},
        'n_kept': len(kept),
        'references': references,
        'duplicates': duplicates,
    }
    return {'dataset': labelled_node(LabelledDataset(joined.select(kept))), 'decisions': orm.Dict(decisions)}


@calcfunction
def filter_dataset(dataset: LabelledDataset, settings: orm.Dict) -> dict[str, orm.Data]:
    """Leave out frames with unphysical or unconverged labels, see `aiida_hdiff.formats.check_labels`.

    Settings: ``max_force_error_eV_A`` (from the net force), ``max_force_eV_A``, ``keep_unconverged``.

    Returns
    -------
    dict
        ``dataset``, and ``decisions``: the settings, and for each frame whether it is kept, its force error and largest
        force; the reasons against those left out.
    """
    values = checked_settings(
        settings, max_force_error_eV_A=MAX_FORCE_ERROR_EV_A, max_force_eV_A=None, keep_unconverged=False
    )
    frames = dataset.frames()
    decisions = check_labels(frames, **values)
    kept = [one.kept for one in decisions]
    if not any(kept):
        reasons = sorted({reason for one in decisions for reason in one.reasons})
        raise ValueError(f'no frame is left of {len(frames)} ({", ".join(reasons)}): relax the settings.')
    record = {
        'settings': values,
        'n_frames': len(frames),
        'n_kept': sum(kept),
        'kept': kept,
        'force_error_eV_A': [one.force_error_eV_A for one in decisions],
        'largest_force_eV_A': [one.largest_force_eV_A for one in decisions],
        'left_out': [
            {'frame': one.index, 'origin': one.origin, 'reasons': list(one.reasons)}
            for one in decisions
            if not one.kept
        ],
    }
    return {'dataset': labelled_node(LabelledDataset(frames.select(kept))), 'decisions': orm.Dict(record)}
