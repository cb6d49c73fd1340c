"""The gate of a potential before long molecular dynamics: limits of its errors and of the drift of its energy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis.energy import energy_drift

MEV_PER_ATOM_NS_IN_PS = 1e-3
_NUMBERS = ('smoke_temperature_K', 'smoke_timestep_fs')
_MAX_TIMESTEP_FS = 2.0
_MIN_FRAMES = 10


@dataclass(frozen=True)
class GateLimits:
    """What a potential must keep to.

    Attributes
    ----------
    energy_rmse_meV_per_atom
        Largest root mean square error of the energy, after a constant for each element is removed; ``None`` for any.
    force_rmse_meV_A
        Of the components of the forces.
    stress_rmse_GPa
        Of the components of the stress.
    smoke_time_ps
        Length of a short NVE run; 0 for none.
    smoke_temperature_K, smoke_timestep_fs
        Of its initial velocities, and its time step.
    smoke_max_drift_meV_per_atom_per_ps
        Largest drift of its total energy; twice the standard error of the drift is granted on top.
    """

    energy_rmse_meV_per_atom: float | None = 10.0
    force_rmse_meV_A: float | None = 150.0
    stress_rmse_GPa: float | None = None
    smoke_time_ps: float = 1.0
    smoke_temperature_K: float = 600.0
    smoke_timestep_fs: float = 0.5
    smoke_max_drift_meV_per_atom_per_ps: float = 1.0

    @property
    def limits_errors(self) -> bool:
        """Whether there is a limit for an error on a test set."""
        return any(getattr(self, name) is not None for name in RMSE_OF)

    @property
    def smoke_steps(self) -> int:
        """Number of steps of the short run."""
        return round(self.smoke_time_ps * 1000.0 / self.smoke_timestep_fs)

    @property
    def smoke_interval(self) -> int:
        """Steps between its stored frames: a hundred of them, if it is long enough."""
        return max(1, self.smoke_steps // 100)

    def as_dict(self) -> dict[str, Any]:
        """Return the limits in terms of JSON."""
        return asdict(self)


RMSE_OF = {
    'energy_rmse_meV_per_atom': ('energy_meV_per_atom_without_element_offsets', 'energy RMSE', 'meV/atom'),
    'force_rmse_meV_A': ('force_meV_A', 'force RMSE', 'meV/Å'),
    'stress_rmse_GPa': ('stress_GPa', 'stress RMSE', 'GPa'),
}
"""Of each limit of an error: its key in a summary of errors, its name and its unit."""


def gate_error(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the limits of a gate, or ``None``."""
    known = [one.name for one in fields(GateLimits)]
    for name, value in values.items():
        if name not in known:
            return f'unknown limit `{name}`: known are {", ".join(known)}.'
        if name in RMSE_OF and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return f'`{name}` is {value!r}: give a number.'
        if value < 0 or (value == 0 and name != 'smoke_time_ps'):
            return f'`{name}` is {value!r}: give a positive number.'
    limits = GateLimits(**values)
    if limits.smoke_timestep_fs > _MAX_TIMESTEP_FS:
        return f'`smoke_timestep_fs` is {limits.smoke_timestep_fs!r}: with hydrogen give at most {_MAX_TIMESTEP_FS:g}.'
    if limits.smoke_time_ps and limits.smoke_steps < _MIN_FRAMES:
        return (
            f'`smoke_time_ps` is {limits.smoke_time_ps!r}, which is {limits.smoke_steps} steps: give at least '
            f'{_MIN_FRAMES}, or 0 for no run.'
        )
    return None


def errors_of(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the root mean square errors that are limited from a summary by `error_summary`, by name of the limit."""
    return {name: (summary.get(key) or {}).get('rmse') for name, (key, _, _) in RMSE_OF.items()}


def error_reasons(summary: Mapping[str, Any], limits: GateLimits) -> list[str]:
    """Return why the errors of a potential on its test set are not accepted.

    Parameters
    ----------
    summary
        As `aiida_hdiff.analysis.error_summary.error_summary` gives it.
    limits
        The limits.
    """
    reasons = []
    for name, value in errors_of(summary).items():
        limit, (_, what, unit) = getattr(limits, name), RMSE_OF[name]
        if limit is None:
            continue
        if value is None:
            reasons.append(f'{what} is not known, and {limit:g} {unit} is the limit')
        elif not value <= limit:
            reasons.append(f'{what} {value:.4g} {unit} is above the limit {limit:g} {unit}')
    return reasons


def drift_verdict(
    times_ps: ArrayLike, total_energies_eV: ArrayLike, n_atoms: int, limits: GateLimits
) -> tuple[dict[str, float], list[str]]:
    """Return drift of the short run and its standard error in meV/atom/ps, and why it is not accepted.

    Parameters
    ----------
    times_ps, total_energies_eV
        Times in ps and total energies of the cell in eV, shape (n_frames,).
    n_atoms
        Number of atoms.
    limits
        The limits.
    """
    if not np.all(np.isfinite(np.asarray(total_energies_eV, dtype=float))):
        return {}, ['the energy of the smoke run is not a number']
    found = energy_drift(times_ps, total_energies_eV, n_atoms)
    drift = found.slope_meV_per_atom_ns * MEV_PER_ATOM_NS_IN_PS
    error = found.std_error_meV_per_atom_ns * MEV_PER_ATOM_NS_IN_PS
    limit = limits.smoke_max_drift_meV_per_atom_per_ps
    values = {'drift_meV_per_atom_per_ps': drift, 'drift_error_meV_per_atom_per_ps': error}
    if abs(drift) <= limit + 2.0 * error:
        return values, []
    return values, [f'the energy of the smoke run drifts by {drift:.3g} meV/atom/ps, the limit is {limit:g}']
