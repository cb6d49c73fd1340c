"""The training plan of a study file: its data sets, split and gate, and the potentials that have a `kind`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.structures import insert_hydrogen
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.dataset_files import dataset_from_spec
from aiida_hdiff.workflows.potentials import potential_from_spec
from aiida_hdiff.workflows.settings import TrainProtocols
from aiida_hdiff.workflows.train import SETS, codes_of_teacher, wanted_codes
from aiida_hdiff.workflows.train_plan import (
    FINE_TUNED,
    FROM_SCRATCH,
    INPUTS,
    TRAINED_ON_A_SET,
    UNTRAINED,
    VASP_MLFF,
)
from aiida_hdiff.workflows.training import OnTheFlyProtocols
from aiida_hdiff.workflows.training_phase import MD, architecture_in_study, teachers_of

_OF_TRAINING = (
    'kind', 'foundation', 'teacher', 'training_cell', 'label_settings', 'replay', 'config', 'settings', 'seed',
    'kpoints', MD,
)  # fmt: skip
_REFIT = {'ramp': {'time_ps': 0.0}, 'plateaus': {'temperatures_K': []}}
"""A force field of VASP is only fitted again to the frames, nothing is run with density functional theory."""


def is_planned(spec: Mapping[str, Any]) -> bool:
    """Whether a potential of a study file has a `kind`, and so is trained or judged."""
    return 'kind' in spec


def training_from_study(study: Mapping[str, Any], folder: Path, structure: orm.StructureData) -> dict[str, Any]:
    """Return the input namespace `training` of a study; nothing if no potential has a `kind`.

    Parameters
    ----------
    study
        The content of a study file.
    folder
        Where relative paths start.
    structure
        The structure of the study.

    Raises
    ------
    ValueError
        If something is missing or does not go together; the message names it.
    """
    section = study.get('training')
    planned = {label: spec for label, spec in study['potentials'].items() if is_planned(spec)}
    if not planned:
        if section is not None:
            raise ValueError('`training` is given, but no potential has a `kind`: give one, or leave `training` out.')
        return {}
    plan = {}
    for label, spec in planned.items():
        try:
            plan[label] = _entry(spec, folder, structure)
        except ValueError as problem:
            raise ValueError(f'potential {label!r}: {problem}') from problem
    section = section or {}
    training = {'plan': plan, **_sets(section, folder)}
    needing = [label for label, spec in planned.items() if spec['kind'] in TRAINED_ON_A_SET]
    if needing and 'dataset' not in training and 'train' not in training:
        raise ValueError(f'`training.dataset` is missing, on which {needing[0]!r} is to be trained.')
    gate = TrainProtocols.get_protocol_settings(study.get('protocol'), {'gate': section.get('gate', {})})['gate']
    training['gate'] = orm.Dict(gate)
    if 'dataset' in training:
        training['split'] = orm.Dict({'seed': study.get('seed', 1), **section.get('split', {})})
    elif 'split' in section:
        raise ValueError('`training.split` is given without `training.dataset`: there is nothing to split.')
    return training


def codes_of_plan(
    training: Mapping[str, Any], named: Mapping[str, Any], given: Mapping[str, PotentialData]
) -> set[str]:
    """Return the keys of the codes that a plan needs.

    Parameters
    ----------
    training
        The input namespace `training`.
    named
        Codes that the study file names, by key.
    given
        Potentials without a `kind`, by label.
    """
    plan = training.get('plan', {})
    tested = {'test': None} if {'dataset', 'test'} & set(training) else {}
    keys = {
        key
        for student, one in teachers_of(plan).items()
        if one in plan or one in given
        for key in codes_of_teacher(architecture_in_study(one, plan, given), named, 'label_settings' in plan[student])
    }
    for entry in plan.values():
        own = {name: node for name, node in entry.items() if name != 'teacher'}
        keys |= set(wanted_codes({**own, **tested, 'codes': named}))
    return keys


def potentials_of_plan(training: Mapping[str, Any]) -> list[PotentialData]:
    """Return the potentials that a plan starts from."""
    entries = training.get('plan', {}).values()
    return [entry[name] for entry in entries for name in ('potential', 'foundation') if name in entry]


def _sets(section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if 'dataset' in section and any(name in section for name in SETS):
        raise ValueError('`training.dataset` is given beside `train`, `valid` or `test`: give one or the other.')
    sets = {}
    for name in ('dataset', *SETS):
        if name in section:
            try:
                sets[name] = dataset_from_spec(section[name], folder)
            except ValueError as problem:
                raise ValueError(f'`training.{name}`: {problem}') from problem
    return sets


def _entry(spec: Mapping[str, Any], folder: Path, structure: orm.StructureData) -> dict[str, Any]:
    """Return the inputs of `hdiff.train` of one potential."""
    kind = spec['kind']
    entry: dict[str, Any] = {'kind': orm.Str(kind)}
    own = {key: spec[key] for key in spec if key not in _OF_TRAINING}
    if kind in UNTRAINED:
        entry['potential'] = potential_from_spec(own, folder)
    else:
        allowed = ('architecture',) if kind in (FROM_SCRATCH, FINE_TUNED) else ()
        for key in own:
            if key not in allowed:
                takes = ', '.join((*INPUTS[kind].needs, *INPUTS[kind].takes))
                raise ValueError(f'`{key}` is of no use for the kind {kind}, which takes {takes}: leave it out.')
    if 'foundation' in spec:
        entry['foundation'] = _foundation(spec, folder)
    if kind == FROM_SCRATCH and 'architecture' in spec:
        entry['architecture'] = orm.Str(spec['architecture'])
    if 'replay' in spec:
        try:
            entry['replay'] = dataset_from_spec(spec['replay'], folder)
        except ValueError as problem:
            raise ValueError(f'`replay`: {problem}') from problem
    if 'teacher' in spec:
        entry['teacher'] = orm.Str(spec['teacher'])
    if 'training_cell' in spec:
        entry['training_cell'] = _training_cell(spec['training_cell'], folder)
    if MD in spec:
        entry[MD] = orm.Bool(spec[MD])
    for key in ('config', 'settings', 'label_settings'):
        if key in spec:
            entry[key] = orm.Dict(dict(spec[key]))
    if 'seed' in spec:
        entry['seed'] = orm.Int(spec['seed'])
    if kind == VASP_MLFF:
        settings = OnTheFlyProtocols.get_protocol_settings(None, {**spec.get('settings', {}), **_REFIT})
        entry['settings'] = orm.Dict(settings)
        entry['kpoints'] = _kpoints(structure, spec.get('kpoints'), settings['kpoints_distance_per_A'])
    elif 'kpoints' in spec:
        raise ValueError(f'`kpoints` is of no use for the kind {kind}: leave it out.')
    return entry


def _training_cell(spec: Mapping[str, Any], folder: Path) -> orm.StructureData:
    from aiida_hdiff.workflows.study import structure_from_spec

    host = structure_from_spec(spec['structure'], folder)
    return insert_hydrogen(host, orm.Dict(dict(spec['hydrogen']))) if 'hydrogen' in spec else host


def _foundation(spec: Mapping[str, Any], folder: Path) -> PotentialData:
    try:
        foundation = potential_from_spec(spec['foundation'], folder)
    except ValueError as problem:
        raise ValueError(f'`foundation`: {problem}') from problem
    named = spec.get('architecture')
    if named is not None and named != foundation.architecture:
        raise ValueError(
            f'`architecture` is {named!r}, but `foundation` is of {foundation.architecture!r}: leave `architecture` '
            'out, or give another foundation.'
        )
    return foundation


def _kpoints(structure: orm.StructureData, mesh: list[int] | None, distance_per_A: float) -> orm.KpointsData:
    node = orm.KpointsData()
    node.set_cell_from_structure(structure)
    if mesh is None:
        node.set_kpoints_mesh_from_density(distance_per_A)
    else:
        node.set_kpoints_mesh(mesh)
    return node
