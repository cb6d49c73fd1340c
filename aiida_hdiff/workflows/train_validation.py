"""What is wrong with the training plan of a study, found before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_hdiff.workflows.codes import codes_error
from aiida_hdiff.workflows.train import OWN_INPUTS, SETS, TrainWorkChain, codes_of_teacher, train_error
from aiida_hdiff.workflows.train_plan import TRAINED_ON_A_SET, entry_error, teachers_error
from aiida_hdiff.workflows.train_stages import architecture_of
from aiida_hdiff.workflows.training_phase import (
    MD,
    architecture_in_study,
    only_judged,
    plan_of,
    previewed_sets,
    teachers_of,
    train_inputs,
)
from aiida_hdiff.workflows.validation import cell_error

_OF_ENTRY = ('kind', 'architecture', MD, *OWN_INPUTS)
_MACE_CUTOFF_A = 5.0
"""The default of mace for its option `r_max`."""


def plan_error(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the training plan among the inputs of a study, or ``None``.

    The data set is split as it will be, so that everything that a training refuses is found here.
    """
    training, plan, given = value['training'], plan_of(value), value.get('potentials') or {}
    if not plan:
        return '`training.plan` is empty: give the potentials to train or to judge, or leave `training` out.'
    both = sorted(set(plan) & set(given))
    if both:
        return f'potential {both[0]!r} is in `potentials` and in `training.plan`: leave it out of one.'
    for label, entry in plan.items():
        error = _entry_form_error(entry)
        if error:
            return f'potential {label!r}: {error}'
    if not given and only_judged(plan) == set(plan):
        return f'`{MD}` is false for all potentials: leave it out for at least one, which runs molecular dynamics.'
    teachers = teachers_of(plan)
    error = teachers_error(teachers, [*given, *plan]) or _sets_form_error(training)
    if error:
        return error
    try:
        sets = previewed_sets(training)
    except ValueError as problem:
        return f'`training.split` of `training.dataset`: {problem}'
    for label, entry in plan.items():
        teacher = teachers.get(label)
        later = frozenset({'teacher'} if teacher is not None and teacher not in given else ())
        inputs = train_inputs(value, label, sets, None if later or teacher is None else given[teacher])
        error = train_error(inputs, later=later)
        if not error and label not in only_judged(plan):
            error = _cell_error(value, label, entry)
        if later and not error:
            codes = value.get('codes') or {}
            architecture = architecture_in_study(str(teacher), plan, given)
            wanted = codes_of_teacher(architecture, codes, 'label_settings' in entry)
            error = codes_error(wanted, codes, value.get('options'))
        if error:
            return f'potential {label!r}: {error}'
    return None


def _entry_form_error(entry: Any) -> str | None:
    """Return what is wrong with the names and types of the inputs of one potential."""
    if not isinstance(entry, Mapping) or 'kind' not in entry:
        return '`kind` is missing.'
    ports = TrainWorkChain.spec().inputs
    for name, node in entry.items():
        if name not in _OF_ENTRY:
            return f'unknown input `{name}`: known are {", ".join(_OF_ENTRY)}.'
        if name == 'teacher':
            if not isinstance(getattr(node, 'value', None), str):
                return f'`teacher` is {node}: give the label of another potential.'
            continue
        if name == MD:
            if not isinstance(node, orm.Bool):
                return f'`{MD}` is {node}: give true or false.'
            continue
        problem = ports[name].validate(node)
        if problem is not None:
            return f'`{name}`: {problem.message}'
    given = [name for name in entry if name not in ('kind', 'architecture', 'seed', MD)]
    return entry_error(entry['kind'].value, given, architecture_of(entry))


def _sets_form_error(training: Mapping[str, Any]) -> str | None:
    parts = [name for name in SETS if name in training]
    if 'dataset' in training and parts:
        return f'`training.dataset` and `training.{parts[0]}` are both given: give one set to split, or its parts.'
    if 'split' in training and 'dataset' not in training:
        return '`training.split` is given without `training.dataset`: there is nothing to split; leave it out.'
    if 'dataset' in training and 'split' not in training:
        return '`training.split` is missing: give how to split `training.dataset`, at least `seed`.'
    needing = [label for label, entry in training['plan'].items() if entry['kind'].value in TRAINED_ON_A_SET]
    if needing and 'dataset' not in training and 'train' not in training:
        return f'`training.dataset` is missing, on which {needing[0]!r} is to be trained.'
    return None


def _cell_error(value: Mapping[str, Any], label: str, entry: Mapping[str, Any]) -> str | None:
    """Return that the cell is too small for the potential that will come out, as far as its cutoff is known."""
    structure, settings = value['structure'], value['settings'].get_dict()
    if 'potential' in entry:
        reach = entry['potential'].interaction_range_A(structure.get_ase().get_chemical_symbols())
    elif 'foundation' in entry:
        reach = entry['foundation'].cutoff_A
    elif architecture_of(entry) == 'mace':
        config = entry['config'].get_dict() if 'config' in entry else {}
        reach = float(config.get('r_max', _MACE_CUTOFF_A))
    else:
        reach = None
    return cell_error(structure, label, reach, settings)
