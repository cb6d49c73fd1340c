"""Inputs and outputs of `fitpod`, which fits proper orthogonal descriptor potentials in LAMMPS.

Formats: https://docs.lammps.org/fitpod_command.html, https://docs.lammps.org/pair_pod.html.
Method: Nguyen and Rohskopf, J. Comput. Phys. 480, 112030 (2023); Nguyen, Phys. Rev. B 107, 144103 (2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.labelled_frame import LabelledFrame

BASENAME = 'pod'
COEFFICIENTS_FILE = f'{BASENAME}_coefficients.pod'
ERRORS_FILE = f'{BASENAME}_training_errors.pod'
DIGITS = 16
"""Digits of the coefficients."""

PRESETS: dict[str, dict[str, Any]] = {
    'small': {
        'rcut_A': 5.0, 'threebody_radial': 3, 'threebody_angular': 2, 'fourbody_radial': 0, 'fourbody_angular': 0,
    },
    'default': {},
    'large': {
        'twobody_radial': 8, 'threebody_radial': 7, 'threebody_angular': 5, 'fourbody_radial': 5,
        'fourbody_angular': 4,
    },
}  # fmt: skip
"""What differs from the defaults of `PodSettings`; for two elements 80, 304 and 726 coefficients."""
_COUNTS = (
    'bessel_degree', 'inverse_degree', 'twobody_radial', 'threebody_radial', 'threebody_angular', 'fourbody_radial',
    'fourbody_angular',
)  # fmt: skip
_MAX_ANGULAR = {'threebody_angular': 12, 'fourbody_angular': 6}


@dataclass(frozen=True)
class PodSettings:
    """Descriptors and weights of a fit.

    Attributes
    ----------
    preset
        One of :data:`PRESETS`, whose values the others replace.
    elements
        Symbols that the potential is to cover; by default those of the training set.
    rin_A, rcut_A
        Inner and outer cutoff (Å).
    bessel_degree, inverse_degree
        Of the radial functions from which the descriptors are built.
    twobody_radial, threebody_radial, fourbody_radial
        Numbers of radial functions; 0 leaves the term out.
    threebody_angular, fourbody_angular
        Angular degrees.
    energy_weight, force_weight
        Weights of the energies per atom and of the forces in the least squares.
    regularisation
        Of the normal equations.
    """

    preset: str = 'default'
    elements: tuple[str, ...] | None = None
    rin_A: float = 0.8
    rcut_A: float = 5.5
    bessel_degree: int = 4
    inverse_degree: int = 8
    twobody_radial: int = 6
    threebody_radial: int = 5
    threebody_angular: int = 4
    fourbody_radial: int = 4
    fourbody_angular: int = 2
    energy_weight: float = 100.0
    force_weight: float = 1.0
    regularisation: float = 1e-12

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PodSettings:
        """Build from a mapping; what it lacks is that of the preset.

        Raises
        ------
        ValueError
            If a key is unknown or a value is out of range; the message says what to give instead.
        """
        known = [one.name for one in fields(cls)]
        for key in values:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f'did you mean `{near[0]}`?' if near else f'known are {", ".join(known)}.'
                raise ValueError(f'unknown setting `{key}`: {hint}')
        preset = values.get('preset', 'default')
        if preset not in PRESETS:
            raise ValueError(f'`preset` is {preset!r}: choose one of {", ".join(PRESETS)}.')
        settings = cls(**{**PRESETS[preset], **values})
        if settings.elements is not None:
            settings = replace(settings, elements=tuple(settings.elements))
        _check(settings)
        return settings

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        values = asdict(self)
        return {**values, 'elements': None if self.elements is None else list(self.elements)}


def _check(settings: PodSettings) -> None:
    for key in _COUNTS:
        value = getattr(settings, key)
        least = 1 if key in ('bessel_degree', 'inverse_degree', 'twobody_radial') else 0
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f'`{key}` is {value!r}: give a whole number of at least {least}.')
        if value > _MAX_ANGULAR.get(key, value):
            raise ValueError(f'`{key}` is {value}: LAMMPS has at most {_MAX_ANGULAR[key]}.')
    for key in ('rin_A', 'rcut_A', 'energy_weight', 'force_weight', 'regularisation'):
        value = getattr(settings, key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < np.inf:
            raise ValueError(f'`{key}` is {value!r}: give a positive number.')
    if not settings.rin_A < settings.rcut_A:
        raise ValueError(f'`rcut_A` is {settings.rcut_A}: give more than `rin_A`, {settings.rin_A}.')
    for more, fewer in (('twobody', 'threebody'), ('threebody', 'fourbody')):
        if getattr(settings, f'{fewer}_radial') > getattr(settings, f'{more}_radial'):
            raise ValueError(
                f'`{fewer}_radial` is {getattr(settings, f"{fewer}_radial")}: LAMMPS wants at most `{more}_radial`, '
                f'{getattr(settings, f"{more}_radial")}.'
            )
    if settings.fourbody_angular > settings.threebody_angular:
        raise ValueError(
            f'`fourbody_angular` is {settings.fourbody_angular}: LAMMPS wants at most `threebody_angular`, '
            f'{settings.threebody_angular}.'
        )


def param_file(settings: PodSettings, elements: Sequence[str]) -> str:
    """Return the file of descriptors, a part of the potential, too; ``elements`` are in the order of its species."""
    rows: list[tuple[str, Any]] = [
        ('species', ' '.join(elements)),
        ('pbc', '1 1 1'),
        ('rin', settings.rin_A),
        ('rcut', settings.rcut_A),
        ('bessel_polynomial_degree', settings.bessel_degree),
        ('inverse_polynomial_degree', settings.inverse_degree),
        ('onebody', 1),
        ('twobody_number_radial_basis_functions', settings.twobody_radial),
    ]
    for order, radial, angular in (
        ('three', settings.threebody_radial, settings.threebody_angular),
        ('four', settings.fourbody_radial, settings.fourbody_angular),
        ('five', 0, 0),
        ('six', 0, 0),
        ('seven', 0, 0),
    ):
        rows.append((f'{order}body_number_radial_basis_functions', radial))
        rows.append((f'{order}body_angular_degree', angular))
    return ''.join(f'{key} {value}\n' for key, value in rows)


def data_file(settings: PodSettings, folder: str) -> str:
    """Return the file of weights, for a training set that is in a folder."""
    rows: list[tuple[str, Any]] = [
        ('file_format', 'extxyz'),
        ('file_extension', 'xyz'),
        ('path_to_training_data_set', f'"{folder}"'),
        ('fitting_weight_energy', f'{settings.energy_weight:.10g}'),
        ('fitting_weight_force', f'{settings.force_weight:.10g}'),
        ('fitting_regularization_parameter', f'{settings.regularisation:.10g}'),
        ('error_analysis_for_training_data_set', 1),
        ('basename_for_output_files', BASENAME),
        ('precision_for_pod_coefficients', DIGITS),
    ]
    return ''.join(f'{key} {value}\n' for key, value in rows)


def wrapped(frames: Iterable[LabelledFrame]) -> Iterator[LabelledFrame]:
    """Yield frames with all atoms inside the cell, and only what `fitpod` fits to: energies and forces.

    Of atoms outside the cell `fitpod` would miss neighbours without a word.
    """
    from ase.geometry import wrap_positions

    for frame in frames:
        positions = wrap_positions(frame.positions, frame.cell, pbc=frame.pbc, eps=0.0)
        yield LabelledFrame(
            numbers=frame.numbers,
            positions=positions,
            cell=frame.cell,
            pbc=frame.pbc,
            energy=frame.energy,
            forces=frame.forces,
        )


def read_species(param: bytes, elements: Sequence[str] | None = None) -> list[str]:
    """Return the species of a file of descriptors in its order, which is that of the atom types.

    Parameters
    ----------
    param
        Content of the file.
    elements
        What it is said to cover.

    Raises
    ------
    ValueError
        If the file has no species, or others.
    """
    rows = [line.split() for line in param.decode('utf-8', 'replace').splitlines()]
    found = next((row[1:] for row in rows if row[:1] == ['species']), [])
    if not found:
        raise ValueError('the first file of a POD potential has no line `species`: give the parameters, then the rest.')
    if elements is not None and set(elements) != set(found):
        raise ValueError(f'`elements` is {", ".join(elements)}, but the potential is of {", ".join(found)}.')
    return found


def read_coefficients(text: str) -> NDArray[np.float64]:
    """Return the coefficients of a potential, shape (n,); not-a-number where `fitpod` wrote none.

    Raises
    ------
    ValueError
        If the file is not one of coefficients, or is cut short.
    """
    words = text.split()
    if len(words) < 4 or words[0] != 'model_coefficients:' or not words[1].isdigit():
        raise ValueError(f'{COEFFICIENTS_FILE} is not a file of coefficients')
    values = np.array(words[4:], dtype=np.float64)
    if len(values) != int(words[1]):
        raise ValueError(f'{COEFFICIENTS_FILE} has {len(values)} of {words[1]} coefficients')
    return values


def read_fit_errors(text: str) -> dict[str, float]:
    """Return what `fitpod` says of its errors on the training set: RMSE in meV/atom and meV/Å.

    Raises
    ------
    ValueError
        If the table has no last row.
    """
    rows = [line.split() for line in text.splitlines() if line.startswith('All files')]
    if not rows or len(rows[-1]) < 8:
        raise ValueError(f'{ERRORS_FILE} has no row of all files')
    energy, force = float(rows[-1][5]), float(rows[-1][7])
    return {'energy_rmse_meV_per_atom': 1000.0 * energy, 'force_rmse_meV_A': 1000.0 * force}
