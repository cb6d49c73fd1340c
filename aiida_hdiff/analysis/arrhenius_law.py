"""An Arrhenius law and what it predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_hdiff.analysis._arrays import FloatArray
from aiida_hdiff.common.rich import RichResult
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K


@dataclass(frozen=True)
class ArrheniusLaw(RichResult):
    """D = D0 exp(-Ea / kT) with the covariance of its parameters.

    Attributes
    ----------
    activation_energy_eV
        Ea in eV.
    prefactor_m2_s
        D0 in m²/s.
    covariance
        Covariance of (ln D0, Ea), shape (2, 2); units 1, eV and eV².
    temperature_range_K
        Lowest and highest temperature of the coefficients behind the law in K.
    """

    activation_energy_eV: float
    prefactor_m2_s: float
    covariance: FloatArray
    temperature_range_K: tuple[float, float]

    def predict(self, temperature_K: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return D and its standard error in m²/s at temperatures in K of any shape.

        Raises
        ------
        ValueError
            A temperature is not positive.
        """
        gradient = self._gradient(temperature_K)
        value = self.prefactor_m2_s * np.exp(self.activation_energy_eV * gradient[..., 1])
        return value, value * self.log_error(temperature_K)

    def log_error(self, temperature_K: ArrayLike) -> FloatArray:
        """Return the standard error of ln D at temperatures in K of any shape.

        Raises
        ------
        ValueError
            A temperature is not positive.
        """
        gradient = self._gradient(temperature_K)
        variance = np.einsum('...i,ij,...j->...', gradient, self.covariance, gradient)
        error: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        return error

    def interval(self, temperature_K: ArrayLike, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the pointwise confidence band of D in m²/s at temperatures in K of any shape.

        The band is symmetric in ln D, with normal quantiles, since the errors of the fit are absolute.

        Raises
        ------
        ValueError
            A temperature is not positive, or the level not between 0 and 1.
        """
        from scipy.special import ndtri

        if not 0.0 < level < 1.0:
            raise ValueError(f'level must lie between 0 and 1, not {level}')
        value, _ = self.predict(temperature_K)
        factor = np.exp(float(ndtri(0.5 + 0.5 * level)) * self.log_error(temperature_K))
        return value / factor, value * factor

    def is_extrapolated(self, temperature_K: ArrayLike) -> NDArray[np.bool_]:
        """Tell which temperatures in K lie outside those behind the law."""
        temperatures = np.asarray(temperature_K, dtype=np.float64)
        low, high = self.temperature_range_K
        return (temperatures < low) | (temperatures > high)

    def _gradient(self, temperature_K: ArrayLike) -> FloatArray:
        """Return the derivatives of ln D with respect to ln D0 and Ea, shape (..., 2)."""
        temperatures = np.asarray(temperature_K, dtype=np.float64)
        if not np.all(temperatures > 0.0):
            raise ValueError('temperatures must be positive')
        return np.stack(np.broadcast_arrays(1.0, -1.0 / (BOLTZMANN_EV_PER_K * temperatures)), axis=-1)
