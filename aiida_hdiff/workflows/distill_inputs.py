"""What is wrong with the inputs of the `distill` workchain, found before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_hdiff.calculations.distill_plan import teacher_calculator
from aiida_hdiff.calculations.label import model_digest, potential_error
from aiida_hdiff.calculations.md_job import structure_error
from aiida_hdiff.data.model_trust import calculator_error, trust_error
from aiida_hdiff.engine.label_settings import LabelSettings, label_settings_error
from aiida_hdiff.sampling.distill_settings import DistillSettings
from aiida_hdiff.workflows.codes import code_key, codes_error, label_key


def labelling_key(value: Mapping[str, Any]) -> str:
    """Return the key of the code that labels."""
    codes = value['codes']
    return (
        label_key(codes)
        if 'label_settings' in value
        else code_key(value['teacher'].architecture, codes, evaluates=True)
    )


def distill_error(value: Mapping[str, Any]) -> str | None:
    """Return why a student cannot be taught with these inputs, or ``None``."""
    if any(name not in value for name in ('structure', 'settings', 'codes')):
        return None
    return (
        _structures_error(value)
        or _source_error(value)
        or _teacher_error(value)
        or _elements_error(value)
        or codes_error(_wanted_codes(value), value['codes'], value.get('options'))
    )


def _structures_error(value: Mapping[str, Any]) -> str | None:
    for name in ('structure', 'training_cell'):
        error = structure_error(value[name]) if value.get(name) is not None else None
        if error:
            return error if name == 'structure' else error.replace('`structure`', '`training_cell`')
    if value.get('training_cell') is None:
        return None
    kinds = [set(value[name].get_ase().symbols) for name in ('structure', 'training_cell')]
    if kinds[0] != kinds[1]:
        return (
            f'`training_cell` has {", ".join(sorted(kinds[1]))}, but `structure` {", ".join(sorted(kinds[0]))}: give '
            'cells of the same crystal.'
        )
    return None


def _source_error(value: Mapping[str, Any]) -> str | None:
    teacher, dataset, test = (value.get(name) for name in ('teacher', 'dataset', 'test'))
    if teacher is None and dataset is None:
        return '`teacher` is missing: give a potential that labels frames, or `dataset` to fit to once.'
    if teacher is None and value.get('label_settings') is not None:
        return '`label_settings` is given without `teacher`, which moves the atoms: give a potential that does.'
    if test is not None and teacher is not None:
        return '`test` is given, but frames of runs of `teacher` are held out: leave it out.'
    return None


def _teacher_error(value: Mapping[str, Any]) -> str | None:
    teacher = value.get('teacher')
    if teacher is None:
        return None
    missing = teacher.missing_elements(value['structure'].get_ase().get_chemical_symbols())
    if missing:
        return f'`teacher` does not cover {", ".join(missing)} of `structure`: give one of all its elements.'
    error = trust_error(teacher, value.get('options'))
    if error:
        return f'`teacher`: {error}'
    if value.get('label_settings') is not None:
        return None
    try:
        teacher_calculator(teacher)
    except ValueError as refusal:
        return str(refusal)
    return None


def label_settings_refusal(given: Mapping[str, Any]) -> str | None:
    """Return why frames cannot be labelled with these settings, beside a teacher that does not label, or ``None``."""
    error = label_settings_error(given)
    if error is None:
        settings = LabelSettings.from_dict(given)
        error = potential_error(settings, None, ()) or calculator_error(settings.calculator)
    return None if error is None else f'`label_settings`: {error}'


def _elements_error(value: Mapping[str, Any]) -> str | None:
    dataset = value.get('dataset')
    symbols = sorted(set(value['structure'].get_ase().get_chemical_symbols()))
    asked = DistillSettings.from_dict(value['settings'].get_dict()).pod.get('elements')
    if asked is not None and sorted(asked) != symbols and value.get('dataset') is None:
        return f'`settings.pod.elements` is {", ".join(asked)}, but `structure` has {", ".join(symbols)}: leave it out.'
    if dataset is None:
        return None
    missing = sorted(set(symbols) - set(dataset.elements))
    if missing and value.get('teacher') is None:
        return f'`dataset` has no {", ".join(missing)} of `structure`: give frames of all its elements.'
    if len(dataset.references) > 1:
        return (
            f'`dataset` has labels of {len(dataset.references)} levels ({", ".join(dataset.references)}), whose '
            'energies do not belong together: choose one with `filter_dataset`.'
        )
    return _level_error(value)


def _level_error(value: Mapping[str, Any]) -> str | None:
    """Return that the labels of a given set are not those that the teacher will add, or ``None``."""
    if value.get('teacher') is None:
        return None
    if value.get('label_settings') is not None:
        wanted = LabelSettings.from_dict(value['label_settings'].get_dict()).reference()
    else:
        settings = LabelSettings.from_dict(teacher_calculator(value['teacher']))
        model = None if value['teacher'].architecture == 'emt' else value['teacher']
        wanted = settings.reference(model_digest(model))
    found = value['dataset'].references
    if found == [wanted]:
        return None
    return (
        f'`dataset` was labelled with {found[0] or "unknown settings"}, but frames will be labelled with {wanted}: '
        'label it again by `hdiff.label` with the teacher, or leave one of them out.'
    )


def _wanted_codes(value: Mapping[str, Any]) -> dict[str, str]:
    wanted = {'lammps': 'fits and runs the student'}
    if value.get('teacher') is not None:
        architecture, codes = value['teacher'].architecture, value['codes']
        wanted.setdefault(code_key(architecture, codes), f'runs the teacher ({architecture})')
        wanted.setdefault(labelling_key(value), 'labels the frames')
    return wanted
