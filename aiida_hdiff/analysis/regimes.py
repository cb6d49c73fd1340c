"""Is an Arrhenius plot straight? A quadratic term, and two regimes with a break."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from aiida_hdiff.analysis._arrays import FloatArray
from aiida_hdiff.analysis.arrhenius import ArrheniusPoints, arrhenius_points, fit_arrhenius
from aiida_hdiff.common.rich import RichResult
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

LEVEL = 0.01
"""Probability below which a straight line is given up."""
DOUBT = 0.2
"""Probability of the scatter below which the errors themselves are doubted."""
STEPS_PER_GAP = 64

Verdict = Literal['straight', 'curved', 'two regimes', 'not testable']


@dataclass(frozen=True)
class TwoRegimes:
    """Two straight lines that meet.

    Attributes
    ----------
    break_temperature_K, break_temperature_error_K
        Temperature of the break and its standard error in K.
    cold_energy_eV, cold_energy_error_eV, hot_energy_eV, hot_energy_error_eV
        Ea below and above the break and their standard errors in eV; the uncertainty of the break is in them.
    """

    break_temperature_K: float
    break_temperature_error_K: float
    cold_energy_eV: float
    cold_energy_error_eV: float
    hot_energy_eV: float
    hot_energy_error_eV: float


@dataclass(frozen=True)
class CurvatureResult(RichResult):
    """Result of the tests for curvature.

    Attributes
    ----------
    verdict
        'straight' (nothing significant), 'curved' (a smooth bend), 'two regimes', or 'not testable'.
    text
        The verdict in words, with what could not be tested.
    n_temperatures
        Number of different temperatures.
    quadratic_p, broken_p
        Probability of so much apparent curvature on a straight line, for a quadratic term and for a break;
        None where there are too few temperatures.
    quadratic_scaled, broken_scaled
        Whether the errors were doubted and their scale was taken from the scatter.
    regimes
        The best pair of lines; None with fewer than five temperatures.
    """

    verdict: Verdict
    text: str
    n_temperatures: int
    quadratic_p: float | None
    broken_p: float | None
    quadratic_scaled: bool
    broken_scaled: bool
    regimes: TwoRegimes | None


def arrhenius_curvature(
    temperatures_K: ArrayLike,
    coefficients_m2_s: ArrayLike,
    std_errors_m2_s: ArrayLike,
    *,
    temperature_errors_K: ArrayLike | None = None,
) -> CurvatureResult:
    """Test whether ln D against 1/T is straight.

    Both alternatives are tested by the drop of chi2 against the straight line. For a quadratic term it is chi2
    distributed with one degree of freedom. For two lines that meet at an unknown break, the largest drop over all
    breaks from the second to the last but one temperature is not: its probability is bounded by the formula of
    tubes, P = P(abs(z) > c) + (L / pi) exp(-c²/2), with L the length of the path of the normalised hinge function
    (Davies, Biometrika 74, 33 (1987), doi:10.1093/biomet/74.1.33). The errors count as absolute unless the scatter
    around the alternative itself contradicts them (p < 0.2); then only the direction of the residuals is used,
    which for the quadratic term is the F test. A verdict needs p < 0.01; where both alternatives pass, the one with
    the lower Bayesian information criterion is named. Upper bounds take no part.

    Parameters
    ----------
    temperatures_K, coefficients_m2_s, std_errors_m2_s, temperature_errors_K
        As for `fit_arrhenius`.

    Raises
    ------
    ValueError
        As `fit_arrhenius`.
    """
    points = arrhenius_points(temperatures_K, coefficients_m2_s, std_errors_m2_s, temperature_errors_K)
    line = fit_arrhenius(temperatures_K, coefficients_m2_s, std_errors_m2_s, temperature_errors_K=temperature_errors_K)
    n_temperatures = int(np.unique(points.temperatures_K).size)
    if n_temperatures < 3:
        text = f'{n_temperatures} temperatures always lie on a straight line: give at least three to test it'
        return CurvatureResult('not testable', text, n_temperatures, None, None, False, False, None)
    sigma = points.effective_sigma(line.activation_energy_eV)
    plot = _Plot(points, sigma)
    quadratic = plot.test(plot.directions(plot.x[:, None] ** 2))
    if n_temperatures < 5:
        found = quadratic.p < LEVEL
        text = (
            f'{"curved" if found else "no curvature at the 1 % level"} (p = {quadratic.p:.2g}); '
            f'two regimes cannot be told from {n_temperatures} temperatures: give at least five'
        )
        verdict: Verdict = 'curved' if found else 'straight'
        return CurvatureResult(verdict, text, n_temperatures, quadratic.p, None, quadratic.scaled, False, None)
    breaks = plot.breaks()
    broken = plot.test(plot.directions(np.maximum(plot.x[:, None] - breaks, 0.0)), dof_of_break=1)
    regimes = plot.two_regimes(float(breaks[broken.best]), broken)
    n = points.log_d.size
    prefers_break = broken.p < LEVEL and (quadratic.p >= LEVEL or broken.drop - np.log(n) > quadratic.drop)
    probabilities = f'p = {quadratic.p:.2g} for a quadratic term, {broken.p:.2g} for a break'
    if prefers_break:
        verdict = 'two regimes'
        text = (
            f'two regimes: Ea = {regimes.cold_energy_eV:.3f} ± {regimes.cold_energy_error_eV:.3f} eV below and '
            f'{regimes.hot_energy_eV:.3f} ± {regimes.hot_energy_error_eV:.3f} eV above '
            f'{regimes.break_temperature_K:.0f} ± {regimes.break_temperature_error_K:.0f} K ({probabilities})'
        )
    elif quadratic.p < LEVEL:
        verdict, text = 'curved', f'curved without a clear break ({probabilities})'
    else:
        verdict, text = 'straight', f'no curvature at the 1 % level ({probabilities})'
    return CurvatureResult(
        verdict, text, n_temperatures, quadratic.p, broken.p, quadratic.scaled, broken.scaled, regimes
    )


@dataclass(frozen=True)
class _Test:
    """Drop of chi2, which direction gave it, its probability, and the variance scale that was used."""

    drop: float
    best: int
    p: float
    scaled: bool
    scale: float


class _Plot:
    """The residuals of the straight line, in units of their errors, and alternatives to it."""

    def __init__(self, points: ArrheniusPoints, sigma: FloatArray) -> None:
        self.x = -points.design[:, 1]
        self.y, self.sigma = points.log_d, sigma
        self.basis = np.linalg.qr(points.design / sigma[:, None])[0]
        self.residual = self._off_line(points.log_d / sigma)
        self.chi2 = float(self.residual @ self.residual)

    def _off_line(self, vectors: FloatArray) -> FloatArray:
        """Return what of the vectors (in columns) the straight line cannot describe."""
        rest: FloatArray = vectors - self.basis @ (self.basis.T @ vectors)
        return rest

    def directions(self, functions: FloatArray) -> FloatArray:
        """Return the normalised effect of functions of x, shape (n_points, n_functions)."""
        rest = self._off_line(functions / self.sigma[:, None])
        normalised: FloatArray = rest / np.linalg.norm(rest, axis=0)
        return normalised

    def breaks(self) -> FloatArray:
        """Return a fine grid of breaks from the second to the last but one temperature, as 1/kT in 1/eV."""
        x = np.unique(self.x)[1:-1]
        gaps = [np.linspace(a, b, STEPS_PER_GAP, endpoint=False) for a, b in itertools.pairwise(x)]
        return np.concatenate(gaps)

    def test(self, directions: FloatArray, dof_of_break: int = 0) -> _Test:
        """Test the largest drop of chi2 over a path of directions."""
        from scipy.special import betainc, chdtrc, erfc

        drops = (self.residual @ directions) ** 2
        best = int(np.argmax(drops))
        drop = float(drops[best])
        cosines = np.sum(directions[:, 1:] * directions[:, :-1], axis=0)
        tube = float(np.arccos(np.clip(cosines, -1.0, 1.0)).sum()) / np.pi
        dimensions = self.x.size - 2
        freedom = dimensions - 1 - dof_of_break
        rest = self.chi2 - drop
        scaled = freedom >= 1 and float(chdtrc(freedom, rest)) < DOUBT
        if scaled:
            share = drop / self.chi2
            p = 1.0 - float(betainc(0.5, 0.5 * (dimensions - 1), share))
            p += tube * (1.0 - share) ** (0.5 * (dimensions - 2))
        else:
            p = float(erfc(np.sqrt(0.5 * drop))) + tube * float(np.exp(-0.5 * drop))
        return _Test(drop, best, min(p, 1.0), scaled, rest / freedom if scaled else 1.0)

    def two_regimes(self, start: float, test: _Test) -> TwoRegimes:
        """Fit two lines that meet at 1/kT = start; the covariance lets the break move."""
        slopes = np.stack([np.ones_like(self.x), -self.x, -np.maximum(self.x - start, 0.0)], axis=1)
        _, hot, extra = np.linalg.lstsq(slopes / self.sigma[:, None], self.y / self.sigma, rcond=None)[0]
        jacobian = np.column_stack([slopes, extra * (self.x > start)]) / self.sigma[:, None]
        covariance = np.linalg.inv(jacobian.T @ jacobian) * test.scale
        kelvin = 1.0 / (BOLTZMANN_EV_PER_K * start)
        return TwoRegimes(
            break_temperature_K=kelvin,
            break_temperature_error_K=float(kelvin * np.sqrt(covariance[3, 3]) / start),
            cold_energy_eV=float(hot + extra),
            cold_energy_error_eV=float(np.sqrt(covariance[1, 1] + covariance[2, 2] + 2.0 * covariance[1, 2])),
            hot_energy_eV=float(hot),
            hot_energy_error_eV=float(np.sqrt(covariance[1, 1])),
        )
