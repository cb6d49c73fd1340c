"""What is wrong with the inputs of the `label` workchain, found before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_hdiff.calculations.label import model_digest, potential_error
from aiida_hdiff.calculations.label_batches import configurations
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.model_trust import calculator_error, trust_error
from aiida_hdiff.engine.label_settings import LabelSettings, label_settings_error
from aiida_hdiff.formats.configurations import structure_keys
from aiida_hdiff.formats.incar import settings_of_reference

BACK_ENDS = {
    'hdiff.label': 'engine',
    'hdiff.md': 'engine',
    'hdiff.vasp_label': 'vasp',
    'hdiff.vasp_mlff': 'vasp',
    'hdiff.vasp_md': 'vasp',
    'vasp.vasp': 'vasp',
}
"""What a code labels with, by the plugin it is set up for."""


def label_back_end(code: orm.AbstractCode) -> str | None:
    """Return what a code labels with, ``engine`` or ``vasp``, or ``None``; a `hdiff-engine` for LAMMPS labels, too."""
    if code.default_calc_job_plugin == 'hdiff.lammps_md' and code.get_executable().name.startswith('hdiff-engine'):
        return 'engine'
    return BACK_ENDS.get(code.default_calc_job_plugin or '')


def label_inputs_error(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the inputs as a whole, or ``None``."""
    code, frames = value.get('code'), value.get('frames')
    if code is None or frames is None:
        return None
    back_end = label_back_end(code)
    if back_end is None:
        return (
            f'`code` {code.label!r} is set up for {code.default_calc_job_plugin!r}: give a code whose default plugin '
            f'is one of {", ".join(BACK_ENDS)}.'
        )
    error = (_vasp_error if back_end == 'vasp' else _engine_error)(value)
    if error:
        return error
    reference = label_reference_of(value)
    return _reference_error(value, reference) or _previous_error(value)


def label_reference_of(value: Mapping[str, Any]) -> str:
    """Return the reference level of the labels that valid inputs would give."""
    if label_back_end(value['code']) == 'vasp':
        from aiida_hdiff.calculations.vasp_inputs import settings_hash

        vasp = value['vasp']
        return settings_hash(vasp['parameters'].get_dict(), vasp['potcars'], vasp['kpoints'])
    potential = value.get('potential')
    settings = LabelSettings.from_dict(value['settings'].get_dict())
    return settings.reference(model_digest(potential))


def _engine_error(value: Mapping[str, Any]) -> str | None:
    if value.get('vasp'):
        return '`vasp` is given, but `code` is `hdiff-engine`: give `settings`, or a code of VASP.'
    if value.get('settings') is None:
        return '`settings` is missing: give the calculator, for example {"calculator": "gpaw", "parameters": {...}}.'
    error = label_settings_error(value['settings'].get_dict())
    if error:
        return f'`settings`: {error}'
    settings = LabelSettings.from_dict(value['settings'].get_dict())
    return (
        potential_error(settings, value.get('potential'), value['frames'].elements)
        or calculator_error(settings.calculator)
        or trust_error(value.get('potential'), value.get('options'))
    )


def _vasp_error(value: Mapping[str, Any]) -> str | None:
    for name in ('settings', 'potential', 'batch_size'):
        if value.get(name) is not None:
            return f'`{name}` is given, but it belongs to `hdiff-engine` and `code` is VASP: leave it out.'
    try:
        from aiida_hdiff.calculations.vasp_label import static_incar_error
    except ImportError as error:
        return str(error)
    vasp = value.get('vasp') or {}
    for name in ('parameters', 'kpoints', 'potcars'):
        if not vasp.get(name):
            return f'`vasp.{name}` is missing: give that of the training stages.'
    error = static_incar_error(vasp['parameters'].get_dict())
    if error:
        return f'`vasp.parameters`: {error}'
    frames = value['frames']
    for symbol in frames.elements:
        potcar = vasp['potcars'].get(symbol)
        if potcar is None:
            return f'`vasp.potcars` has no POTCAR for {symbol} of `frames`: give one for each element.'
        if getattr(potcar, 'element', None) != symbol:
            found = getattr(potcar, 'element', type(potcar).__name__)
            return f'`vasp.potcars.{symbol}` is the POTCAR of {found}: give that of {symbol}.'
    structures = configurations(frames)
    if not structures.pbc.all():
        index = int(structures.pbc.all(axis=1).argmin())
        return f'frame {index} of `frames` is not periodic in all three directions: VASP needs it to be.'
    return None


def _reference_error(value: Mapping[str, Any], reference: str) -> str | None:
    for name, remedy in (
        ('training', 'give the settings of the training stages'),
        ('previous', 'leave it out, or give its settings'),
    ):
        dataset: LabelledDataset | None = value.get(name)
        if dataset is not None and list(map(settings_of_reference, dataset.references)) != [reference]:
            found = ', '.join(one or 'unknown settings' for one in dataset.references)
            return (
                f'`{name}` was labelled with {found}, but these settings are {reference}: labels of different '
                f'settings cannot be mixed; {remedy}.'
            )
    return None


def _previous_error(value: Mapping[str, Any]) -> str | None:
    if value.get('previous') is None:
        return None
    wanted = structure_keys(configurations(value['frames']))
    known = set(structure_keys(value['previous'].frames()))
    if not known.intersection(wanted):
        return '`previous` has none of `frames`: leave it out.'
    if known.issuperset(wanted):
        return '`previous` has all of `frames`: there is nothing left to label.'
    return None
