"""What configurations are labelled with: a calculator, its parameters, and the digest that names this reference."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

_GPAW = (
    'mode xc kpts occupations convergence setups basis mixer eigensolver poissonsolver symmetry nbands spinpol charge '
    'magmoms hund maxiter h gpts txt'
).split()
CALCULATORS: dict[str, tuple[str, ...]] = {
    'gpaw': tuple(_GPAW),
    'chgnet': ('model_name', 'device'),
    'mace': ('dtype', 'head', 'device'),
    'emt': ('asap_cutoff',),
    'lennard_jones': ('sigma', 'epsilon', 'rc', 'ro', 'smooth'),
    'eam': (),
    'lammps': ('commands', 'elements'),
}
"""Calculators by name, and the parameters that each knows."""
WITHOUT_EFFECT = {'gpaw': ('maxiter', 'txt'), 'chgnet': ('device',), 'mace': ('device',)}
"""Parameters that change no label of a frame that converges, and so are not in the digest."""
WITH_POTENTIAL = ('chgnet', 'eam', 'lammps', 'mace')
"""Calculators that take a potential; the parameters of `lammps` are written from it."""
_CLASS = re.compile(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*')


@dataclass(frozen=True)
class LabelSettings:
    """Settings of a labelling job.

    Attributes
    ----------
    calculator
        One of :data:`CALCULATORS`, or ``module:Class`` of any ASE calculator where ``allow_any_calculator`` is set.
    parameters
        Keyword arguments of the calculator.
    stress
        Label the stress of periodic frames, too.
    force_consistent_energy
        Take the free energy, whose gradient the forces are, where the calculator tells it; otherwise the energy
        extrapolated to zero smearing.
    reuse_calculator
        Start each frame from the electronic structure of the last; otherwise each frame has a new calculator.
    max_failures
        More failed frames than this end the job.
    allow_any_calculator
        Import a class that is not on the list: it may run any code of the compute machine.
    """

    calculator: str
    parameters: dict[str, Any] = field(default_factory=dict)
    stress: bool = True
    force_consistent_energy: bool = True
    reuse_calculator: bool = True
    max_failures: int = 10
    allow_any_calculator: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSettings:
        """Build from a mapping.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or a value is out of range; the message says what to give instead.
        """
        error = label_settings_error(values)
        if error:
            raise ValueError(error)
        return cls(**values)

    def reference(self, model_sha256: str | None = None) -> str:
        """Return the name of the reference level: calculator and digest of all that changes a label.

        Parameters
        ----------
        model_sha256
            Of the model file, if there is one.
        """
        ignored = WITHOUT_EFFECT.get(self.calculator, ())
        content = {
            'calculator': self.calculator,
            'parameters': {key: value for key, value in self.parameters.items() if key not in ignored},
            'force_consistent_energy': self.force_consistent_energy,
            'model': model_sha256,
        }
        text = json.dumps(_plain(content), sort_keys=True, separators=(',', ':'))
        return f'{self.calculator}-{hashlib.sha256(text.encode()).hexdigest()[:16]}'


def _plain(value: Any) -> Any:
    """Return a value in which 340 and 340.0, lists and tuples are the same."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _did_you_mean(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key, known, n=1)
    return f'did you mean `{near[0]}`?' if near else f'known are {", ".join(known) or "none"}.'


def label_settings_error(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a mapping of settings, or ``None``."""
    known = tuple(field.name for field in fields(LabelSettings))
    for key in values:
        if key not in known:
            return f'unknown setting `{key}`: {_did_you_mean(key, known)}'
    for key in ('stress', 'force_consistent_energy', 'reuse_calculator', 'allow_any_calculator'):
        if not isinstance(values.get(key, True), bool):
            return f'`{key}` is {values[key]!r}: give true or false.'
    limit = values.get('max_failures', 0)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        return f'`max_failures` is {limit!r}: give a whole number of at least 0.'
    parameters = values.get('parameters', {})
    if not isinstance(parameters, Mapping):
        return f'`parameters` is {parameters!r}: give a mapping of the keyword arguments of the calculator.'
    try:
        json.dumps(_plain(parameters), allow_nan=False)
    except (TypeError, ValueError) as error:
        return f'`parameters` cannot be written as JSON ({error}): give numbers, texts, lists and mappings.'
    calculator = values.get('calculator')
    if calculator is None:
        return f'setting `calculator` is missing: give one of {", ".join(CALCULATORS)}.'
    if calculator not in CALCULATORS:
        return _class_error(calculator, values.get('allow_any_calculator', False))
    for key in parameters:
        if key not in CALCULATORS[calculator]:
            return f'{calculator} has no parameter `{key}`: {_did_you_mean(key, CALCULATORS[calculator])}'
    return _gpaw_error(parameters, values.get('stress', True)) if calculator == 'gpaw' else None


def _class_error(calculator: Any, allowed: bool) -> str | None:
    if not isinstance(calculator, str) or not _CLASS.fullmatch(calculator):
        return (
            f'`calculator` is {calculator!r}: give one of {", ".join(CALCULATORS)}, or `module:Class` of an ASE '
            'calculator.'
        )
    if not allowed:
        return (
            f'`calculator` is {calculator!r}, which is not one of {", ".join(CALCULATORS)}: a class of any module is '
            'only imported with `allow_any_calculator: true`.'
        )
    return None


def _gpaw_error(parameters: Mapping[str, Any], stress: bool) -> str | None:
    mode = parameters.get('mode')
    if not isinstance(mode, Mapping) or mode.get('name') not in ('pw', 'lcao', 'fd'):
        return f'`parameters.mode` is {mode!r}: give for example {{"name": "pw", "ecut": 340}}.'
    ecut = mode.get('ecut')
    if mode['name'] == 'pw' and (isinstance(ecut, bool) or not isinstance(ecut, (int, float)) or not ecut > 0):
        return f'`parameters.mode.ecut` is {ecut!r}: give the cutoff of the plane waves in eV, such as 340.'
    if mode['name'] != 'pw' and stress:
        return f'`stress` is true, but mode {mode["name"]!r} of GPAW gives no stress: set `stress: false`.'
    if 'kpts' not in parameters:
        return '`parameters.kpts` is missing: give for example {"size": [4, 4, 4], "gamma": false}.'
    txt = parameters.get('txt', '-')
    if txt is not None and (not isinstance(txt, str) or '/' in txt or txt.startswith('..')):
        return f'`parameters.txt` is {txt!r}: give a file name without folders, "-" for the output of the job, or null.'
    return None
