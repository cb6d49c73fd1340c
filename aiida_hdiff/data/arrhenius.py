"""The Arrhenius parameters of a diffusion coefficient."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm

from aiida_hdiff.analysis import ArrheniusLaw
from aiida_hdiff.common.rich import html_table

_REQUIRED = ('activation_energy_eV', 'activation_energy_error_eV', 'prefactor_m2_s', 'covariance')


class ArrheniusData(orm.Dict):
    """Ea (eV) and D0 (m²/s) with the covariance of (ln D0, Ea), and the temperatures used and left out.

    The attributes are flat: ``attributes.activation_energy_eV``, ``attributes.prefactor_m2_s``,
    ``attributes.n_temperatures``, ``attributes.missing`` (list of temperature and reason),
    ``attributes.upper_bounds`` (one-sided points of the fit) and ``attributes.curvature`` (its tests).
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

    @property
    def law(self) -> ArrheniusLaw:
        """The law, which predicts D at any temperature.

        Raises
        ------
        ValueError
            If the node does not tell the temperatures behind the law.
        """
        temperatures = self.base.attributes.get('temperatures_K', None)
        if not temperatures:
            raise ValueError(f'{self} does not tell its `temperatures_K`: give a node of arrhenius_from_diffusivities.')
        return ArrheniusLaw(
            activation_energy_eV=self.activation_energy_eV,
            prefactor_m2_s=self.prefactor_m2_s,
            covariance=np.array(self.base.attributes.get('covariance'), dtype=np.float64),
            temperature_range_K=(min(temperatures), max(temperatures)),
        )

    def __str__(self) -> str:
        return (
            f'Ea = {self.activation_energy_eV:.3f} ± {self.activation_energy_error_eV:.3f} eV, '
            f'D0 = {self.prefactor_m2_s:.2e} m²/s'
        )

    def _repr_html_(self) -> str:
        return html_table(f'ArrheniusData {self.uuid[:8]}', self.get_dict())
