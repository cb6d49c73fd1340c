"""Calcfunctions that split data sets, make them smaller and say what they consist of."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff import sampling
from aiida_hdiff.calculations.datasets import checked_settings, labelled_node
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.sampling.dataset_split import BLOCKS, RANDOM, REASONS, FrameSplit, SplitSettings, split_frames
from aiida_hdiff.sampling.dataset_statistics import CONTACT_FRACTION, N_LISTED
from aiida_hdiff.sampling.splits import PARTS
from aiida_hdiff.sampling.strata import BIN_K, strata
from aiida_hdiff.sampling.subsample import Choice, subsample

SPLIT_DEFAULTS: dict[str, Any] = {
    **{one.name: one.default for one in fields(SplitSettings) if one.name not in ('seed', 'stratify')},
    'seed': None,
    'stratify': None,
    'timestep_fs': None,
}
_SUBSAMPLE_DEFAULTS: dict[str, Any] = {
    **{one.name: one.default for one in fields(Choice)},
    'seed': None,
    'stratify': None,
    'temperature_bin_K': BIN_K,
}


@calcfunction
def split_dataset(dataset: LabelledDataset, settings: orm.Dict) -> dict[str, orm.Data]:
    """Split a data set into parts to train on, to stop by and to test against.

    Settings: those of `aiida_hdiff.sampling.dataset_split.SplitSettings`, of which ``seed`` has no default;
    ``stratify`` is one word or a list; ``timestep_fs`` gives the distances in time of the record in fs too.

    Returns
    -------
    dict
        ``train`` and, as far as there are such parts, ``valid`` and ``test``; ``record``, an ArrayData with for each
        frame of the set its ``part`` (0 train, 1 valid, 2 test, -1 left out), ``reason`` (0 assigned, 1 not needed,
        2 too near in time, 3 step not told), ``block``, ``stratum`` and ``steps_to_train`` (-1 if there is no frame to
        train on in its run), and as attributes the settings, the sizes, the shares of the strata, and for each pair of
        parts the smallest distance in time between frames of one trajectory.
    """
    values = checked_settings(settings, **SPLIT_DEFAULTS)
    timestep_fs = values.pop('timestep_fs')
    if timestep_fs is not None and not (_is_number(timestep_fs) and timestep_fs > 0.0):
        raise ValueError(f'`timestep_fs` is {timestep_fs!r}: give the length of a step in fs.')
    chosen = SplitSettings(**{**values, 'seed': _seed(values), 'stratify': _kinds(values)})
    frames = dataset.frames()
    split = split_frames(frames, chosen)
    results: dict[str, orm.Data] = {}
    for name in split.wanted:
        results[name] = labelled_node(LabelledDataset(frames.select(split.indices(name))))
        results[name].label += f' ({name})'
    results['record'] = _record(split, chosen, settings.get_dict(), timestep_fs)
    return results


def _record(
    split: FrameSplit, chosen: SplitSettings, settings: dict[str, Any], timestep_fs: float | None
) -> orm.ArrayData:
    node = orm.ArrayData()
    arrays = {
        'part': split.parts.astype('<i1'),
        'reason': split.reasons.astype('<i1'),
        'block': split.groups.astype('<i8'),
        'stratum': split.strata.numbers.astype('<i8'),
        'steps_to_train': split.steps_to_train.astype('<i8'),
    }
    for name, array in arrays.items():
        node.set_array(name, array)
    summary = split.summary()
    for one in summary['nearness']:
        steps = one['smallest_distance_steps']
        one['smallest_distance_fs'] = None if steps is None or timestep_fs is None else steps * timestep_fs
    node.base.attributes.set_many(
        {
            **summary,
            'settings': settings,
            'parts': list(PARTS),
            'reasons': list(REASONS),
            'warnings': _split_warnings(split, chosen),
        }
    )
    node.label = ', '.join(f'{count} {name}' for name, count in summary['n_frames'].items())
    return node


def _split_warnings(split: FrameSplit, settings: SplitSettings) -> list[str]:
    found = []
    remedy = f'split by {BLOCKS}' if settings.by == RANDOM else 'set `gap_steps`'
    for one in split.nearness:
        if one.n_neighbours and not settings.gap_steps:
            found.append(
                f'{one.n_neighbours} pairs of neighbours of one trajectory are in {one.parts[0]} and '
                f'{one.parts[1]}, the nearest {one.smallest_distance_steps} steps apart (in {one.run or "the run"}): '
                f'errors on {one.parts[1]} are too small if such frames are alike; {remedy}'
            )
    for name, wanted in split.wanted.items():
        count = len(split.indices(name))
        if abs(count - wanted) > max(1, 0.2 * wanted):
            found.append(f'{name} has {count} frames, {wanted} were asked for: blocks stay whole and gaps are left out')
    return found


@calcfunction
def subsample_dataset(dataset: LabelledDataset, settings: orm.Dict) -> dict[str, orm.Data]:
    """Choose fewer frames of a data set.

    Settings: exactly one of ``n_random`` and ``fraction`` (with ``seed``, and ``stratify`` by the kinds of
    `aiida_hdiff.sampling.strata.strata` with ``temperature_bin_K``), and ``stride`` (every n-th frame in the order of
    the set, from ``start`` on).

    Returns
    -------
    dict
        ``dataset``, and ``record``: the settings, the ``indices`` of the frames that were chosen, and the number of
        frames of each stratum before and after.
    """
    values = checked_settings(settings, **_SUBSAMPLE_DEFAULTS)
    random = values['n_random'] is not None or values['fraction'] is not None
    kinds_of = _kinds(values)
    if kinds_of and not random:
        raise ValueError('`stratify` belongs to `n_random` and `fraction`: every n-th frame is taken whatever it is.')
    _check_whole(values, {'n_random': 1, 'stride': 1, 'start': 0})
    frames = dataset.frames()
    kinds = strata(frames, kinds_of, bin_K=values['temperature_bin_K'])
    choice = Choice(**{one.name: values[one.name] for one in fields(Choice)})
    chosen = subsample(kinds.numbers, choice, _seed(values) if random else 0)
    after = np.bincount(kinds.numbers[chosen], minlength=len(kinds.labels)).tolist()
    record = {
        'settings': settings.get_dict(),
        'n_frames': len(frames),
        'n_kept': len(chosen),
        'indices': chosen.tolist(),
        'strata': [
            {'kind': label, 'before': before, 'after': kept}
            for label, before, kept in zip(kinds.labels, kinds.counts.tolist(), after, strict=True)
        ],
    }
    return {'dataset': labelled_node(LabelledDataset(frames.select(chosen))), 'record': orm.Dict(record)}


@calcfunction
def dataset_statistics(dataset: LabelledDataset, settings: orm.Dict | None = None) -> orm.Dict:
    """Return the statistics of a data set, see `aiida_hdiff.sampling.dataset_statistics`.

    Settings: ``contact_fraction``, ``n_listed``.
    """
    values = checked_settings(
        orm.Dict({}) if settings is None else settings, contact_fraction=CONTACT_FRACTION, n_listed=N_LISTED
    )
    node = orm.Dict(sampling.dataset_statistics(dataset.frames(), **values))
    node.label = f'statistics of {dataset.n_frames} frames'
    return node


@calcfunction
def dataset_overlap(train: LabelledDataset, test: LabelledDataset) -> orm.Dict:
    """Say how much of a test set from elsewhere was trained on, see `aiida_hdiff.sampling.overlap`."""
    node = orm.Dict(sampling.overlap(train.frames(), test.frames()))
    node.label = f'{len(node["equal_structures"])} of {test.n_frames} frames in common'
    return node


def _seed(values: dict[str, Any]) -> int:
    if values['seed'] is None:
        raise ValueError('`seed` is missing: random frames need one, such as 1.')
    _check_whole(values, {'seed': 0})
    return int(values['seed'])


def _kinds(values: dict[str, Any]) -> tuple[str, ...]:
    given = values['stratify']
    words = [given] if isinstance(given, str) else given or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f'`stratify` is {given!r}: give a word such as temperature, or a list of words.')
    return tuple(words)


def _check_whole(values: dict[str, Any], least: dict[str, int]) -> None:
    for key, lowest in least.items():
        value = values[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < lowest):
            raise ValueError(f'`{key}` is {value!r}: give a whole number of at least {lowest}.')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
