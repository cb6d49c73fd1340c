"""The committee of potentials that watches over a molecular dynamics job: its ports and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.data.model_trust import trust_error
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.calculators import ARCHITECTURES


def define_committee(spec: Any) -> None:
    """Declare the members and what they give."""
    spec.input_namespace(
        'committee',
        valid_type=PotentialData,
        dynamic=True,
        required=False,
        help='Further potentials of the same kind, whose forces are compared as `parameters.committee` says.',
    )
    spec.output(
        'deviations',
        valid_type=orm.ArrayData,
        required=False,
        help='Of every comparison of the committee: `steps`, `deviations`, the largest of an atom (eV/Å), `atoms`, '
        'which one, and `hydrogen_deviations`, the largest of a hydrogen atom.',
    )
    spec.output(
        'uncertain_frames',
        valid_type=ConfigurationsData,
        required=False,
        help='Configurations of which the committee is uncertain, ready to be labelled.',
    )
    spec.exit_code(530, 'ERROR_UNCERTAIN', message='Stopped by its committee: {reason}')
    spec.exit_code(
        730,
        'WARNING_UNCERTAIN',
        message='Finished, but the committee is uncertain at {n_flagged} of {n_compared} steps, first at {first}.',
    )


def committee_error(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the committee of a job or stage, or ``None``."""
    members, potential, parameters = dict(value.get('committee') or {}), value.get('potential'), value.get('parameters')
    if potential is None or parameters is None:
        return None
    settings = parameters.get_dict().get('committee')
    if not members:
        return settings and (
            '`parameters.committee` is given without members: give further potentials in `committee` of a stage with '
            '`hdiff-engine`, or leave it out.'
        )
    if settings is None:
        return (
            '`committee` is given without settings: give `every_steps` and `threshold_eV_A` in `parameters.committee`.'
        )
    if potential.architecture not in ARCHITECTURES:
        return (
            f'`committee` is given, but `potential` is of the architecture {potential.architecture!r}, which '
            f'`hdiff-engine` does not run: leave it out, or give one of {", ".join(ARCHITECTURES)}.'
        )
    if 'code' in value and value['code'].default_calc_job_plugin == 'hdiff.lammps_md':
        return (
            f'`committee` is given, but `code` {value["code"].label!r} runs in LAMMPS, where no committee watches: '
            'give a `hdiff-engine` whose default plugin is `hdiff.md`, or leave it out.'
        )
    options = value.get('options') or (value.get('metadata') or {}).get('options')
    identities = {'potential': _identity(potential)}
    for label, member in members.items():
        error = _member_error(member, potential, value.get('structure')) or trust_error(member, options)
        equal = next((other for other, found in identities.items() if found == _identity(member)), None)
        if equal is not None:
            error = f'it is the same potential as `{equal}`, from which it cannot deviate: give another.'
        if error:
            return f'`committee.{label}`: {error}'
        identities[f'committee.{label}'] = _identity(member)
    return None


def _member_error(member: PotentialData, potential: PotentialData, structure: Any) -> str | None:
    if member.architecture != potential.architecture:
        return f'it is of the architecture {member.architecture!r}: give one of {potential.architecture!r}.'
    missing = [] if structure is None else member.missing_elements(structure.get_ase().get_chemical_symbols())
    if missing:
        return f'it does not cover {", ".join(missing)} of `structure`: give one of all its elements.'
    return None


def _identity(potential: PotentialData) -> tuple[str, str]:
    """Return the digest of the model itself, which may have conversions beside it, and its options."""
    repository = potential.base.repository
    models = [repository.get_object_content(name, mode='rb') for name in potential.file_names[:1]]
    return hashlib.sha256(b''.join(models)).hexdigest(), repr(sorted(potential.options.items()))
