"""One published value of the diffusion coefficient of hydrogen in a metal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

SAME_TEMPERATURE = 0.01
"""Relative difference up to which a temperature counts as that of a published point."""

MAX_CORRELATION = 0.98
"""Largest correlation of ln D0 and Ea that is assumed where only their errors are published."""

Origin = Literal['experiment', 'compilation', 'calculation']
Transport = Literal['tracer', 'chemical', 'dilute']


@dataclass(frozen=True)
class LiteratureValue:
    """A published D0 and Ea, or a published D at one temperature.

    Attributes
    ----------
    key : str
        Short unique name: lower-case letters and digits, with hyphens between.
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

    def coefficient_at(self, temperature_K: float) -> float | None:
        """Return D (m²/s) from the law, else from a point within 1 % of this temperature (K), else ``None``.

        Raises
        ------
        ValueError
            If the temperature is not positive.
        """
        if self.has_coefficient or not temperature_K > 0:
            return self.coefficient(temperature_K)
        if self.point is not None and abs(temperature_K - self.point[0]) <= SAME_TEMPERATURE * self.point[0]:
            return self.point[1]
        return None

    def log_error(self, temperature_K: float) -> float | None:
        """Return the standard error of ln D that follows from the published errors.

        D0 and Ea of one fit are strongly correlated, and papers print their errors but not the correlation. So the
        correlation is assumed that makes D most certain in the middle (in 1/T) of the measured range, but at most
        0.98. Without a range they count as independent.

        Parameters
        ----------
        temperature_K : float
            Temperature in K.

        Returns
        -------
        float or None
            Standard error of ln D; ``None`` unless the errors of both D0 and Ea are known.

        Raises
        ------
        ValueError
            If the temperature is not positive.
        """
        if not temperature_K > 0:
            msg = f'the temperature must be positive, not {temperature_K} K'
            raise ValueError(msg)
        energy_error, prefactor_error = self.activation_energy_error_eV, self.prefactor_error_m2_s
        if energy_error is None or prefactor_error is None or self.prefactor_m2_s is None:
            return None
        constant = prefactor_error / self.prefactor_m2_s
        slope = energy_error / (BOLTZMANN_EV_PER_K * temperature_K)
        correlation = 0.0
        if self.temperature_range_K is not None:
            middle = 0.5 * sum(1.0 / kelvin for kelvin in self.temperature_range_K)
            correlation = min(energy_error * middle / (BOLTZMANN_EV_PER_K * constant), MAX_CORRELATION)
        return math.sqrt(constant**2 + slope**2 - 2.0 * correlation * constant * slope)

    def covers(self, temperature_K: float) -> bool:
        """Tell whether a temperature in K lies inside the measured range."""
        if self.temperature_range_K is None:
            return False
        low, high = self.temperature_range_K
        return low <= temperature_K <= high
