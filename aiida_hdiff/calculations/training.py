"""Calcfunctions of VASP's on-the-fly training: the tags of each job, and what its jobs have found, joined."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.calculations.chunks import chunk_incar, random_seed
from aiida_hdiff.calculations.vasp_inputs import SETTINGS_EXTRA, settings_hash_of_ml_ab
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import MLAB, LabelledFrames, merge_ml_ab, ml_ab_from_labelled, read_ml_ab, write_ml_ab

TRAINING_SET_FILE = 'ML_AB'
STEP = 'step'
"""Ending of the names of arrays that count steps."""
THRESHOLD = 'threshold'
EMULATED = 'emulated'
"""Extra of nodes that a stand-in has made in the place of VASP."""
ERRORS = ('rmse_energy', 'rmse_force', 'rmse_stress')


@calcfunction
def chunk_parameters(parameters: orm.Dict, stage: orm.Dict, seed: orm.Int, chunk: orm.Dict) -> orm.Dict:
    """Return the INCAR tags of one job of a training stage.

    ``chunk`` holds what `chunk_incar` takes, and ``first_step`` and ``attempt``, from which with the seed of the study
    and the name of the stage the random numbers follow.
    """
    values = chunk.get_dict()
    numbers = random_seed(seed.value, stage['name'], values['first_step'], values['attempt'])
    return orm.Dict(chunk_incar(parameters.get_dict(), stage.get_dict(), values, numbers))


@calcfunction
def collect_stage(stage: orm.Dict, record: orm.Dict, **outputs: orm.Data) -> dict[str, orm.Data]:
    """Join what the jobs of a stage have found, those that failed too: no labelled frame is lost.

    Parameters
    ----------
    stage
        How the stage runs; its ``name`` becomes the group of the frames.
    record
        ``jobs``: for each job its ``name``, which is the label of its call link, ``status``, ``message``,
        ``first_step``, ``attempt`` and ``action``; and ``n_configurations``, ``n_local_configurations`` and
        ``threshold_eV_A`` with which the next stage goes on.
    **outputs
        ``dataset_<job>``, ``learning_<job>`` and ``misc_<job>``, as far as there are any.

    Returns
    -------
    dict
        ``statistics``; ``dataset`` and ``learning`` if there are frames and steps. The origin of a frame reads
        ``<stage>/<job> step <n> <T> K``: the labels of the call links that lead to its calculation, and where in it.
    """
    name, jobs = stage['name'], record['jobs']
    found = {
        kind: {job['name']: outputs[f'{kind}_{job["name"]}'] for job in jobs if f'{kind}_{job["name"]}' in outputs}
        for kind in ('dataset', 'learning', 'misc')
    }
    results: dict[str, orm.Data] = {}
    parts = []
    for job, dataset in found['dataset'].items():
        frames = dataset.frames()
        origins = tuple(f'{name}/{job} {origin}' for origin in frames.origins)
        parts.append(replace(frames, origins=origins, config_types=(name,) * len(frames)))
    if parts:
        results['dataset'] = LabelledDataset(LabelledFrames.concatenate(parts))
        results['dataset'].label = f'{results["dataset"].n_frames} frames of {name}'
    tables = [_arrays(node) for node in found['learning'].values()]
    if tables:
        results['learning'] = _array_data(_joined(tables))
    misc = {job: node.get_dict() for job, node in found['misc'].items()}
    statistics = _stage_statistics(stage.get_dict(), record.get_dict(), misc, found['dataset'], tables)
    results['statistics'] = orm.Dict(statistics)
    return _marked(results, statistics['emulated'])


@calcfunction
def collect_training(stages: orm.List, **outputs: orm.Data) -> dict[str, orm.Data]:
    """Join the statistics and the learning of all stages.

    Parameters
    ----------
    stages
        Names of the stages in their order.
    **outputs
        ``statistics_<stage>`` and ``learning_<stage>``.

    Returns
    -------
    dict
        ``statistics``, and ``learning``, in which the steps go on from stage to stage.
    """
    statistics = {name: outputs[f'statistics_{name}'].get_dict() for name in stages if f'statistics_{name}' in outputs}
    offset, tables, spans = 0, [], []
    for name, values in statistics.items():
        if f'learning_{name}' in outputs:
            tables.append(_shifted(_arrays(outputs[f'learning_{name}']), offset))
        if values['mode'] == 'train':
            spans.append({'stage': name, 'first_step': offset, 'steps': values['steps']})
            offset += values['steps']
    totals = ('n_jobs', 'n_failed_jobs', 'n_steps_run', 'n_dft_steps', 'n_ml_steps', 'n_frames')
    summary = {
        'stages': list(statistics.values()),
        'spans': spans,
        **{key: sum(values[key] for values in statistics.values()) for key in totals},
        'versions': sorted({version for values in statistics.values() for version in values['versions']}),
        'emulated': any(values['emulated'] for values in statistics.values()),
    }
    results: dict[str, orm.Data] = {'statistics': orm.Dict(summary)}
    if tables:
        learning = _array_data(_joined(tables))
        learning.base.attributes.set_many({'spans': spans, 'emulated': summary['emulated']})
        results['learning'] = learning
    return _marked(results, summary['emulated'])


@calcfunction
def merge_training_sets(**ml_abs: orm.SinglefileData) -> dict[str, orm.Data]:
    """Merge the ML_AB files of parallel branches into one for `ML_MODE = select`, in the order of their names.

    Returns
    -------
    dict
        ``ml_ab``, and ``record``: number of configurations of each branch, of the merged file, and of those that
        several branches have in common.
    """
    sources: dict[str, MLAB] = {}
    for name in sorted(ml_abs):
        with ml_abs[name].open(mode='rb') as stream:
            sources[name] = read_ml_ab(stream)
    merged = merge_ml_ab(list(sources.values()), drop_ctifor=True)
    levels = {settings_hash_of_ml_ab(node) for node in ml_abs.values()}
    record = {
        'n_configurations': {name: len(source) for name, source in sources.items()},
        'n_merged': len(merged.ml_ab),
        'n_in_common': len(merged.duplicates),
    }
    return {'ml_ab': _training_set_file(merged.ml_ab, levels), 'record': orm.Dict(record)}


@calcfunction
def training_set_from_dataset(dataset: LabelledDataset, structure: orm.StructureData) -> orm.SinglefileData:
    """Write labelled frames as a ML_AB file for `ML_MODE = select`, elements in the order of ``structure``.

    Frames whose SCF did not converge are left out.
    """
    frames = dataset.frames()
    ml_ab = ml_ab_from_labelled(frames.select(frames.scf_converged != 0), drop_ctifor=True)
    elements = list(dict.fromkeys(structure.get_ase().get_chemical_symbols()))
    return _training_set_file(MLAB.from_frames(ml_ab.frames, elements=elements), set(dataset.references))


def _training_set_file(ml_ab: MLAB, levels: set[Any]) -> orm.SinglefileData:
    """Return a file; if all its labels have one known level of theory, an extra tells it."""
    stream = io.StringIO()
    write_ml_ab(ml_ab, stream)
    node = orm.SinglefileData(io.BytesIO(stream.getvalue().encode()), filename=TRAINING_SET_FILE)
    node.label = f'{len(ml_ab)} configurations'
    if len(levels) == 1 and None not in levels:
        node.base.extras.set(SETTINGS_EXTRA, levels.pop())
    return node


def _marked(results: dict[str, orm.Data], emulated: bool) -> dict[str, orm.Data]:
    """Mark what a stand-in has made in the place of VASP."""
    if emulated:
        for node in results.values():
            node.base.extras.set(EMULATED, True)
    return results


def _arrays(node: orm.ArrayData) -> dict[str, np.ndarray[Any, Any]]:
    return {name: node.get_array(name) for name in node.get_arraynames()}


def _array_data(arrays: Mapping[str, np.ndarray[Any, Any]]) -> orm.ArrayData:
    node = orm.ArrayData()
    for name in sorted(arrays):
        node.set_array(name, arrays[name])
    return node


def _joined(tables: Iterable[Mapping[str, np.ndarray[Any, Any]]]) -> dict[str, np.ndarray[Any, Any]]:
    parts: dict[str, list[np.ndarray[Any, Any]]] = {}
    for table in tables:
        for name, array in table.items():
            parts.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _shifted(table: Mapping[str, np.ndarray[Any, Any]], offset: int) -> dict[str, np.ndarray[Any, Any]]:
    return {name: array + offset if name.endswith(STEP) else array for name, array in table.items()}


def _stage_statistics(
    stage: Mapping[str, Any],
    record: Mapping[str, Any],
    misc: Mapping[str, Mapping[str, Any]],
    datasets: Mapping[str, LabelledDataset],
    tables: list[dict[str, np.ndarray[Any, Any]]],
) -> dict[str, Any]:
    rows = []
    for job in record['jobs']:
        values, dataset = misc.get(job['name'], {}), datasets.get(job['name'])
        row = {key: values.get(key) for key in ('last_step', 'n_dft_steps', 'n_ml_steps', 'n_configurations')}
        rows.append({**job, **row, 'n_frames': 0 if dataset is None else dataset.n_frames})
    return {
        'name': stage['name'],
        'mode': stage['mode'],
        'steps': stage['steps'],
        'start_K': stage['start_K'],
        'end_K': stage['end_K'],
        'jobs': rows,
        'n_jobs': len(rows),
        'n_failed_jobs': sum(row['status'] != 0 for row in rows),
        'n_steps_run': sum((row['n_dft_steps'] or 0) + (row['n_ml_steps'] or 0) for row in rows),
        'n_dft_steps': sum(row['n_dft_steps'] or 0 for row in rows),
        'n_ml_steps': sum(row['n_ml_steps'] or 0 for row in rows),
        'n_frames': sum(row['n_frames'] for row in rows),
        **{key: record[key] for key in ('n_configurations', 'n_local_configurations', 'threshold_eV_A')},
        **_learning_summary(_joined(tables)),
        'versions': sorted({str(values['version']) for values in misc.values() if values.get('version')}),
        'emulated': any(bool(values.get('emulated')) for values in misc.values()),
    }


def _learning_summary(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Return the first and last threshold and the last errors on the training set."""
    threshold = arrays.get(THRESHOLD, np.empty(0))
    summary: dict[str, Any] = {
        'threshold_first_eV_A': float(threshold[0]) if len(threshold) else None,
        'threshold_last_eV_A': float(threshold[-1]) if len(threshold) else None,
    }
    for name in ERRORS:
        values = arrays.get(name, np.empty(0))
        summary[name] = float(values[-1]) if len(values) else None
    return summary


_JOB = re.compile(r'(?P<stage>[^/ ]+)/(?P<job>\S+) (?P<place>.*)')


def frame_origin(origin: str) -> tuple[str, str, str]:
    """Return the stage, the job and the place in it of the origin of a frame of a training.

    Raises
    ------
    ValueError
        If the text is no such origin.
    """
    match = _JOB.fullmatch(origin)
    if match is None:
        raise ValueError(f'{origin!r} is no origin of an on-the-fly training, such as `ramp/iteration_01 step 3`.')
    return match['stage'], match['job'], match['place']
