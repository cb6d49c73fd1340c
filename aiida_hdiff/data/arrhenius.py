"""The Arrhenius parameters of a diffusion coefficient."""

from __future__ import annotations

from typing import Any

from aiida import orm

_REQUIRED = ('activation_energy_eV', 'activation_energy_error_eV', 'prefactor_m2_s', 'covariance')


class ArrheniusData(orm.Dict):
    """Ea (eV) and D0 (m²/s) with the covariance of (ln D0, Ea), and the temperatures used and left out.

    The attributes are flat: ``attributes.activation_energy_eV``, ``attributes.prefactor_m2_s``,
    ``attributes.n_temperatures``, ``attributes.missing`` (list of temperature and reason).
    """

    def __init__(self, dictionary: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Build from a dictionary of values.

        Raises
        ------
        ValueError
            If a required key is missing.
        """
        missing = [key for key in _REQUIRED if key not in (dictionary or {})]
        if missing:
            raise ValueError(f'Arrhenius parameters need {", ".join(missing)}.')
        super().__init__(dictionary, **kwargs)

    @property
    def activation_energy_eV(self) -> float:
        """Activation energy (eV)."""
        return float(self.base.attributes.get('activation_energy_eV'))

    @property
    def activation_energy_error_eV(self) -> float:
        """Standard error of the activation energy (eV)."""
        return float(self.base.attributes.get('activation_energy_error_eV'))

    @property
    def prefactor_m2_s(self) -> float:
        """Prefactor D0 (m²/s)."""
        return float(self.base.attributes.get('prefactor_m2_s'))

    def __str__(self) -> str:
        return (
            f'Ea = {self.activation_energy_eV:.3f} ± {self.activation_energy_error_eV:.3f} eV, '
            f'D0 = {self.prefactor_m2_s:.2e} m²/s'
        )
