"""One published value of the diffusion coefficient of hydrogen in a metal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

Origin = Literal['experiment', 'compilation', 'calculation']
Transport = Literal['tracer', 'chemical', 'dilute']


@dataclass(frozen=True)
class LiteratureValue:
    """A published D0 and Ea, or a published D at one temperature.

    Attributes
    ----------
    key : str
        Short unique name.
    host, phase, isotope : str
        Chemical symbol of the host, its phase, and the isotope (H, D or T).
    origin : str
        ``experiment``, ``compilation`` or ``calculation``.
    kind : str
        The method, for example ``permeation``.
    transport : str
        ``tracer``, ``chemical`` or ``dilute`` (where the two are equal).
    citation : str
        Authors and year.
    reference : str
        Authors, journal, volume, page and year.
    doi : str or None
        Digital object identifier without the resolver's address.
    prefactor_m2_s, prefactor_error_m2_s : float or None
        D0 and its standard error in m²/s.
    activation_energy_eV, activation_energy_error_eV : float or None
        Ea and its standard error in eV.
    temperature_range_K : tuple of float or None
        Lowest and highest measured temperature; ``None`` where it is not known.
    point : tuple of float or None
        A published (temperature in K, D in m²/s).
    recommended : bool
        Whether this is the value to compare with first.
    note : str
        What to know before comparing.
    """

    key: str
    host: str
    phase: str
    isotope: str
    origin: Origin
    kind: str
    transport: Transport
    citation: str
    reference: str
    doi: str | None = None
    prefactor_m2_s: float | None = None
    prefactor_error_m2_s: float | None = None
    activation_energy_eV: float | None = None
    activation_energy_error_eV: float | None = None
    temperature_range_K: tuple[float, float] | None = None
    point: tuple[float, float] | None = None
    recommended: bool = False
    note: str = ''

    @property
    def has_coefficient(self) -> bool:
        """Whether :meth:`coefficient` can be evaluated at any temperature."""
        return self.activation_energy_eV is not None and (self.prefactor_m2_s is not None or self.point is not None)

    def coefficient(self, temperature_K: float) -> float:
        """Return D from the published Arrhenius law.

        Without a published D0 the law is anchored at the published point.

        Parameters
        ----------
        temperature_K : float
            Temperature in K.

        Returns
        -------
        float
            Diffusion coefficient in m²/s.

        Raises
        ------
        ValueError
            If the temperature is not positive, or if no complete Arrhenius law was published.
        """
        if not temperature_K > 0:
            msg = f'the temperature must be positive, not {temperature_K} K'
            raise ValueError(msg)
        energy = self.activation_energy_eV
        if energy is not None and self.prefactor_m2_s is not None:
            return self.prefactor_m2_s * math.exp(-energy / (BOLTZMANN_EV_PER_K * temperature_K))
        if energy is not None and self.point is not None:
            anchor_K, value = self.point
            return value * math.exp(-energy / BOLTZMANN_EV_PER_K * (1.0 / temperature_K - 1.0 / anchor_K))
        msg = f'{self.key}: no prefactor D0 is known, so D cannot be computed at {temperature_K} K'
        raise ValueError(msg)

    def covers(self, temperature_K: float) -> bool:
        """Tell whether a temperature in K lies inside the measured range."""
        if self.temperature_range_K is None:
            return False
        low, high = self.temperature_range_K
        return low <= temperature_K <= high
