"""Calcfunctions of the `distill` workchain: which frames teach the student, and the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from ase import Atoms

from aiida_hdiff.analysis.energy import energy_drift
from aiida_hdiff.analysis.path_energies import PathErrors, is_bracketed, path_errors
from aiida_hdiff.calculations.distill_plan import PATH, distill_settings
from aiida_hdiff.common.units import FS_PER_PS
from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.trajectory import MDTrajectory
from aiida_hdiff.formats import LabelledFrames, check_labels
from aiida_hdiff.formats.configurations import Configurations, structure_keys
from aiida_hdiff.sampling.distill_settings import DistillSettings
from aiida_hdiff.sampling.hot_frames import (
    chosen_frames,
    frame_with_nearest_hydrogen,
    n_before_expansion,
    nearest_distance_A,
)
from aiida_hdiff.sampling.site_paths import PATHS

TEST = 'held_out'
"""Group of the frames that are held out."""
LIMITS = ('max_force_rmse_H_meV_A', 'max_drift_meV_per_atom_per_ps', 'max_path_error_meV')


@calcfunction
def gather_start_frames(
    contacts: ConfigurationsData | None = None, path: ConfigurationsData | None = None, **trajectories: MDTrajectory
) -> ConfigurationsData:
    """Join what the teacher labels at first: frames of its runs, close contacts and paths.

    Frames of runs whose names begin with ``test_``, but the first, are of the group ``held_out``. The first frame of
    the others, the ideal crystal, ties down the energies at low temperature.
    """
    images, origins, groups = [], [], []
    for name in sorted(trajectories):
        found, steps = _images(trajectories[name])
        held_out = name.startswith('test_')
        first = 1 if held_out else 0
        images += found[first:]
        origins += [f'{name}:{step}' for step in steps[first:]]
        groups += [TEST if held_out else 'teacher_md'] * (len(found) - first)
    for node in (contacts, path):
        if node is not None:
            frames = node.frames()
            images += [frames.to_ase(index) for index in range(len(frames))]
            origins += frames.origins
            groups += frames.config_types
    return _configurations(images, origins, groups)


@calcfunction
def gather_hot_frames(
    settings: orm.Dict, failed: orm.List, round_number: orm.Int, **trajectories: MDTrajectory
) -> dict[str, orm.Data]:
    """Choose frames of runs of a student: spread over each run, and of those in ``failed`` the last before the end.

    The frame in which hydrogen atoms are nearest to each other is among them. A run ends where its volume has changed
    by more than ``max_volume_change``.

    Returns
    -------
    dict
        ``frames``, if there are any, and ``record`` with the number of frames that were too bad to be labelled.
    """
    chosen = distill_settings(settings)
    images, origins, groups, n_too_near = [], [], [], 0
    for name in sorted(trajectories):
        found, steps = _images(trajectories[name])
        found = found[: n_before_expansion([one.get_volume() for one in found], chosen.max_volume_change)]
        indices = set(chosen_frames(len(found), chosen.hot_frames, failed=name in failed.get_list()))
        nearest = frame_with_nearest_hydrogen(found, chosen.min_distance_A)
        for index in sorted(indices | ({nearest} if nearest else set())):
            if nearest_distance_A(found[index]) < chosen.min_distance_A:
                n_too_near += 1
                continue
            images.append(found[index])
            origins.append(f'round_{round_number.value}/{name}:{steps[index]}')
            groups.append('student_failed' if name in failed.get_list() else 'student_md')
    outputs: dict[str, orm.Data] = {'record': orm.Dict({'n_frames': len(images), 'n_too_near': n_too_near})}
    if images:
        outputs['frames'] = _configurations(images, origins, groups)
    return outputs


def _images(trajectory: MDTrajectory) -> tuple[list[Atoms], list[int]]:
    with trajectory.reader() as reader:
        images = []
        for positions, cell in zip(reader.positions(), reader.cells, strict=True):
            atoms = Atoms(numbers=reader.numbers, positions=positions, cell=cell, pbc=True)
            atoms.wrap()
            images.append(atoms)
        return images, [int(step) for step in reader.steps]


def _configurations(images: list[Atoms], origins: list[str], groups: list[str]) -> ConfigurationsData:
    node = ConfigurationsData(Configurations.from_ase(images, origins, groups))
    node.label = f'{len(images)} frames'
    return node


@calcfunction
def training_frames(
    settings: orm.Dict, labels: LabelledDataset | None = None, previous: LabelledDataset | None = None
) -> dict[str, orm.Data]:
    """Add labelled frames to those that were fitted to before.

    Frames with larger forces than ``max_force_eV_A``, and those that are there already, are left out; those that were
    held out and those along paths are put apart.

    Returns
    -------
    dict
        ``train``, ``test`` and ``path``, as far as there are such frames; ``record`` with numbers of frames.
    """
    chosen = distill_settings(settings)
    parts: dict[str, LabelledFrames] = {} if previous is None else {'previous': previous.frames()}
    outputs: dict[str, orm.Data] = {}
    record: dict[str, Any] = {'n_before': 0 if previous is None else previous.n_frames, 'left_out': []}
    if labels is not None:
        frames = labels.frames()
        groups = np.array([_group(one) for one in frames.config_types])
        for name in ('test', 'path'):
            if (groups == name).any():
                outputs[name] = _dataset(frames.select(groups == name), name)
        new = frames.select(groups == 'train')
        decisions = check_labels(new, max_force_error_eV_A=None, max_force_eV_A=chosen.max_force_eV_A)
        parts['new'] = new.select([one.kept for one in decisions])
        record['left_out'] = [
            {'origin': one.origin, 'largest_force_eV_A': one.largest_force_eV_A} for one in decisions if not one.kept
        ]
    joined = LabelledFrames.concatenate(list(parts.values()))
    if not len(joined):
        return {**outputs, 'record': orm.Dict({**record, 'n_added': 0, 'n_train': 0})}
    _, first = np.unique(structure_keys(joined), return_index=True)
    train = joined.select(np.sort(first))
    outputs['train'] = _dataset(train, 'train')
    outputs['record'] = orm.Dict({**record, 'n_added': len(train) - record['n_before'], 'n_train': len(train)})
    return outputs


def _group(config_type: str) -> str:
    if config_type == TEST:
        return 'test'
    return 'path' if config_type.startswith(PATH) else 'train'


def _dataset(frames: LabelledFrames, name: str) -> LabelledDataset:
    node = LabelledDataset(frames)
    node.label = f'{len(frames)} frames of {" ".join(node.elements)} ({name})'
    return node


@calcfunction
def judge_student(
    settings: orm.Dict,
    record: orm.Dict,
    training: orm.Dict,
    path: LabelledDataset | None = None,
    parity: orm.ArrayData | None = None,
    trajectory: MDTrajectory | None = None,
) -> orm.Dict:
    """Return whether a student is accepted.

    Parameters
    ----------
    settings
        With the limits, see `aiida_hdiff.sampling.distill_settings.DistillSettings`.
    record
        ``rounds``, what happened in each; ``judged``, the values that must be known, and ``paths``, those that there
        are; more is repeated in the verdict.
    training
        Results of the last fit.
    path, parity
        Energies along the paths: labels, and labels and predictions of the same frames.
    trajectory
        The run at constant energy.

    Returns
    -------
    Dict
        ``passed``, ``reasons`` (why not), ``values``, ``limits``, ``paths``, ``rounds``, and ``training``.
    """
    chosen = distill_settings(settings)
    values: dict[str, float | None] = {}
    held_out = training['splits'].get('test', {}).get('force_rmse_meV_A_by_element', {})
    values['force_rmse_H_meV_A'] = held_out.get('H')
    if trajectory is not None:
        with trajectory.reader() as reader:
            total = reader.observable('potential_energy') + reader.observable('kinetic_energy')
            drift = energy_drift(reader.times_fs / FS_PER_PS, total, len(reader.numbers))
        values['drift_meV_per_atom_per_ps'] = drift.slope_meV_per_atom_ns / FS_PER_PS
        values['drift_error_meV_per_atom_per_ps'] = drift.std_error_meV_per_atom_ns / FS_PER_PS
    paths: dict[str, PathErrors] = {}
    if path is not None and parity is not None:
        paths = _paths(path.frames(), parity.get_array('energies'), chosen.path_points)
    complete = set(paths) == set(record['paths'])
    values['path_error_meV'] = max((one.largest_meV for one in paths.values()), default=None) if complete else None
    rounds = record['rounds']
    reasons = _reasons(chosen, values, record['judged'])
    if rounds[-1]['n_failed']:
        reasons.insert(0, f'{rounds[-1]["n_failed"]} of {rounds[-1]["n_runs"]} hot runs of the last round failed')
    node = orm.Dict(
        {
            'passed': not reasons,
            'reasons': reasons,
            'values': values,
            'limits': {key: getattr(chosen, key) for key in LIMITS},
            **record.get_dict(),
            'paths': {name: one.as_dict() for name, one in paths.items()},
            'n_rounds': len(rounds),
            'training': training.get_dict(),
        }
    )
    node.label = 'student: ' + ('accepted' if not reasons else 'not accepted')
    return node


def _paths(frames: LabelledFrames, energies: np.ndarray[Any, Any], n_points: int) -> dict[str, PathErrors]:
    """Return the errors of the paths whose ends and highest points are known from those that have labels."""
    found = {}
    for name in PATHS:
        rows = {_number(frames.origins[row]): row for row, one in enumerate(frames.config_types) if one == PATH + name}
        points = sorted(rows)
        along = energies[[rows[point] for point in points]]
        if points and is_bracketed(points, along[:, 0], n_points):
            found[name] = path_errors(along[:, 0], along[:, 1])
    return found


def _number(origin: str) -> int:
    """Return the number of a point from its origin, such as ``T-O:3``."""
    return int(origin.rpartition(':')[2])


def _reasons(settings: DistillSettings, values: dict[str, float | None], judged: list[str]) -> list[str]:
    granted = 2.0 * (values.get('drift_error_meV_per_atom_per_ps') or 0.0)
    limits = {
        'force_rmse_H_meV_A': (settings.max_force_rmse_H_meV_A, 'the force RMSE on hydrogen', 'meV/Å'),
        'drift_meV_per_atom_per_ps': (settings.max_drift_meV_per_atom_per_ps + granted, 'the drift', 'meV/atom/ps'),
        'path_error_meV': (settings.max_path_error_meV, 'the error of site and barrier energies', 'meV'),
    }
    reasons = []
    for key, (limit, what, unit) in limits.items():
        value = values.get(key)
        if value is None and key in judged:
            reasons.append(f'{what} is not known')
        elif value is not None and not abs(value) <= limit:
            reasons.append(f'{what} is {value:.4g} {unit}, the limit {limit:.4g}')
    return reasons
