"""Same energy, same prefactor, same law."""

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from aiida_hdiff.analysis import ArrheniusLaw, compare_arrhenius, fit_arrhenius
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

TEMPERATURES = np.array([600.0, 700.0, 850.0, 1050.0])
SIGMA = np.array([0.12, 0.08, 0.05, 0.03])


def sample(rng, energy=0.4, d0=1e-6, temperatures=TEMPERATURES, sigma=SIGMA):
    d = d0 * np.exp(-energy / (BOLTZMANN_EV_PER_K * temperatures) + sigma * rng.normal(size=len(sigma)))
    return temperatures, d, sigma * d


def law_of(points):
    result = fit_arrhenius(*points)
    scale = result.chi2 / result.degrees_of_freedom if result.inflated else 1.0
    return ArrheniusLaw(
        result.activation_energy_eV, result.prefactor_m2_s, result.covariance / scale, result.temperature_range_K
    )


def test_chi2_are_those_of_fits_to_all_points_together(rng):
    data = [sample(rng, energy, d0) for energy, d0 in ((0.40, 1e-6), (0.42, 1.5e-6), (0.38, 1e-6))]
    result = compare_arrhenius({name: law_of(points) for name, points in zip('abc', data, strict=True)})

    def rest(design):
        y = np.concatenate([np.log(d) for _, d, _ in data])
        weight = np.concatenate([d / e for _, d, e in data])
        solution, *_ = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)
        return np.sum(((y - design @ solution) * weight) ** 2), solution

    x = np.concatenate([-1 / (BOLTZMANN_EV_PER_K * t) for t, _, _ in data])
    group = np.kron(np.eye(3), np.ones((4, 1)))
    free, _ = rest(np.hstack([group, group * x[:, None]]))
    shared, solution = rest(np.hstack([group, x[:, None]]))
    single, _ = rest(np.stack([np.ones(12), x], axis=1))
    assert result.energy_chi2 == pytest.approx(shared - free, rel=1e-6)
    assert result.prefactor_chi2 == pytest.approx(single - shared, rel=1e-6)
    assert result.law_chi2 == pytest.approx(single - free, rel=1e-6)
    assert result.shared_energy_eV == pytest.approx(solution[3], rel=1e-8)
    np.testing.assert_allclose(result.prefactors_m2_s, np.exp(solution[:3]), rtol=1e-6)
    assert result.energy_p == pytest.approx(chi2.sf(shared - free, 2), rel=1e-6)
    assert result.law_p == pytest.approx(chi2.sf(single - free, 4), rel=1e-6)


def test_probabilities_are_uniform_where_the_hypothesis_holds(rng):
    results = [compare_arrhenius({name: law_of(sample(rng)) for name in 'abc'}) for _ in range(400)]
    for p in ('energy_p', 'prefactor_p', 'law_p'):
        assert kstest([getattr(one, p) for one in results], 'uniform').pvalue > 1e-3, p
    alarms = np.mean([min(pair.adjusted_p for pair in one.pairs) < 0.1 for one in results])
    assert alarms < 0.1 + 3 * 0.015


def test_finds_a_different_energy_and_names_the_pair(rng):
    result = compare_arrhenius({
        'dft': law_of(sample(rng)), 'mace': law_of(sample(rng)), 'chgnet': law_of(sample(rng, 0.25))
    })  # fmt: skip
    assert result.energy_p < 1e-4
    by_labels = {pair.labels: pair for pair in result.pairs}
    assert list(by_labels) == [('dft', 'mace'), ('dft', 'chgnet'), ('mace', 'chgnet')]
    assert by_labels['dft', 'chgnet'].adjusted_p < 1e-3 < by_labels['dft', 'mace'].adjusted_p
    assert by_labels['dft', 'chgnet'].difference_eV == pytest.approx(0.15, abs=0.1)
    assert all(pair.adjusted_p >= pair.p for pair in result.pairs)


def test_finds_a_different_prefactor_at_one_energy(rng):
    result = compare_arrhenius({'a': law_of(sample(rng)), 'b': law_of(sample(rng, d0=2e-6))})
    assert result.energy_p > 0.01
    assert result.prefactor_p < 1e-6
    assert result.prefactors_m2_s[1] / result.prefactors_m2_s[0] == pytest.approx(2.0, rel=0.3)


def test_the_shared_energy_is_calibrated(rng):
    pulls, log_pulls = [], []
    for _ in range(400):
        result = compare_arrhenius({'a': law_of(sample(rng)), 'b': law_of(sample(rng, d0=3e-6))})
        pulls.append((result.shared_energy_eV - 0.4) / result.shared_energy_error_eV)
        log_pulls.append(np.log(result.prefactors_m2_s[1] / 3e-6) / result.log_prefactor_errors[1])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)
    assert np.std(log_pulls) == pytest.approx(1.0, abs=0.12)


def test_refuses(rng):
    one = law_of(sample(rng))
    with pytest.raises(ValueError, match='at least two Arrhenius laws, not 1'):
        compare_arrhenius({'a': one})
    flat = ArrheniusLaw(0.4, 1e-6, np.zeros((2, 2)), (600.0, 900.0))
    with pytest.raises(ValueError, match="covariance of 'b' is not positive definite"):
        compare_arrhenius({'a': one, 'b': flat})
