"""What in a potential could run code, and which of those the user of this profile vouches for.

Trust is a setting of the storage of the profile. It is no node, extra or group, so no archive carries it: what a
stranger has trusted means nothing here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.fast_mace import plain_data_error
from aiida_hdiff.engine.label_settings import CALCULATORS
from aiida_hdiff.engine.model_scan import PICKLED, scan_model

OPTION = 'trusted_models'
"""The option of a job that names what it may load unscanned; it is an attribute of the job's node."""
CODE_WORDS = ('python', 'mliappy', 'unified')
"""Words in the commands of a LAMMPS pair style with which it imports Python or opens a pickle."""
_SETTING = 'hdiff|trusted_model|'
_CALCULATOR = 'hdiff|trusted_calculator|'
_SPECIAL = '\n\r\\&"\'$'


def trust_key(potential: PotentialData) -> str:
    """Return the digest under which a potential is trusted: of the files themselves, and of the LAMMPS commands.

    It is computed from the content, because the attribute ``sha256`` of a node from an archive may say anything.
    """
    digest = potential.content_sha256()
    if potential.architecture != 'lammps':
        return digest
    commands = [potential.base.attributes.get('pair_style'), potential.base.attributes.get('pair_coeff')]
    return hashlib.sha256(json.dumps([digest, commands]).encode()).hexdigest()


def code_in_potential(potential: PotentialData) -> str | None:
    """Return what in a potential could run code where it is used, or ``None``.

    Files of CHGNet and MACE are scanned, the commands of a LAMMPS pair style read; nothing is imported or run.
    """
    if potential.architecture == 'lammps':
        return _code_in_commands(potential)
    if potential.architecture not in PICKLED:
        return None
    for name in potential.file_names:
        content = potential.base.repository.get_object_content(name, mode='rb')
        if name == potential.converted_file:
            error = plain_data_error(content)
            if error:
                return f'the converted model of potential {_name(potential)} is more than data: {error}.'
            continue
        result = scan_model(content, potential.architecture)
        if not result.is_safe:
            return result.message(f'the {potential.architecture} model of potential {_name(potential)}')
    return None


def _code_in_commands(potential: PotentialData) -> str | None:
    attributes = potential.base.attributes
    for line in (attributes.get('pair_style'), *attributes.get('pair_coeff')):
        found = next((character for character in _SPECIAL if character in line), None)
        if found is not None:
            return (
                f'the LAMMPS commands of potential {_name(potential)} have {found!r} in {line[:60]!r}, with which they '
                'could run other commands: give them without it, or, if you know who made them and trust them, allow '
                'them with --trust.'
            )
        word = next((word for word in line.split() if word in CODE_WORDS), None)
        if word is not None:
            return (
                f'the LAMMPS commands of potential {_name(potential)} have `{word}`, which runs Python code or opens a '
                'pickle: take a pair style without it, or, if you know who made it and trust them, allow it with '
                '--trust.'
            )
    return None


def _name(potential: PotentialData) -> str:
    return str(potential.pk) if potential.is_stored else potential.label or 'that is not stored'


def trust_potential(potential: PotentialData, note: str = '') -> str:
    """Record in this profile that the user vouches for a potential; return its key.

    Parameters
    ----------
    potential
        The potential.
    note
        Why, or where it is from.
    """
    key = trust_key(potential)
    _record(_SETTING + key, note)
    return key


def revoke_trust(potential: PotentialData) -> None:
    """Take back what :func:`trust_potential` recorded."""
    _storage().set_global_variable(_SETTING + trust_key(potential), None)


def trust_record(potential: PotentialData) -> dict[str, str] | None:
    """Return when and why the user of this profile trusted a potential, or ``None``."""
    return _recorded(_SETTING + trust_key(potential))


def trust_calculator(calculator: str, note: str = '') -> None:
    """Record in this profile that labelling jobs may import a calculator class, ``module:Class``."""
    _record(_CALCULATOR + calculator, note)


def calculator_error(calculator: str) -> str | None:
    """Return why a labelling job must not import a calculator, or ``None``.

    Parameters
    ----------
    calculator
        Name of a known calculator, or ``module:Class``, which runs whatever code is there.
    """
    if calculator in CALCULATORS or _recorded(_CALCULATOR + calculator) is not None:
        return None
    return (
        f'`settings.calculator` is {calculator!r}, and importing a class runs its code: if you want that, allow it '
        f'in this profile with `aiida-hdiff potential trust-calculator {calculator}`.'
    )


def _record(key: str, note: str) -> None:
    value = json.dumps({'time': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'note': note})
    _storage().set_global_variable(key, value, description='Trusted by the user of this profile')


def _recorded(key: str) -> dict[str, str] | None:
    try:
        value = _storage().get_global_variable(key)
    except (KeyError, NotImplementedError):
        return None
    return dict(json.loads(value)) if isinstance(value, str) else None


def _storage() -> Any:
    from aiida.manage import get_manager

    return get_manager().get_profile_storage()


def trusted_options(potentials: Iterable[PotentialData], *, trust: bool = False) -> dict[str, list[str]]:
    """Return the options of jobs that may load those of the potentials that need trust and have it in this profile.

    Parameters
    ----------
    potentials
        What the jobs use.
    trust
        The user vouches for all of them: record it for those that need it.
    """
    potentials = list(potentials)
    for one in potentials if trust else ():
        if code_in_potential(one):
            trust_potential(one)
    keys = [trust_key(one) for one in potentials if code_in_potential(one) and trust_record(one)]
    return {OPTION: sorted(set(keys))} if keys else {}


def is_trusted(potential: PotentialData, options: Mapping[str, Any] | None) -> bool:
    """Whether the options of a job name a potential and the user of this profile trusts it; both are needed."""
    return trust_key(potential) in ((options or {}).get(OPTION) or ()) and trust_record(potential) is not None


def trust_error(potential: PotentialData | None, options: Mapping[str, Any] | None) -> str | None:
    """Return why a job must not use a potential, or ``None``.

    Parameters
    ----------
    potential
        The potential, if there is one.
    options
        ``metadata.options`` of the job, in which :data:`OPTION` lists the keys of trusted potentials.
    """
    found = None if potential is None else code_in_potential(potential)
    if potential is None or found is None or is_trusted(potential, options):
        return None
    key = trust_key(potential)
    if key in ((options or {}).get(OPTION) or ()):
        return (
            f'{found} The option `{OPTION}` names it, but nobody has trusted it in this profile: trust given '
            'elsewhere, as in an archive, does not count.'
        )
    if trust_record(potential) is not None:
        return f'{found} It is trusted in this profile, but not by the job: give `options.{OPTION}: [{key}]`.'
    return found
