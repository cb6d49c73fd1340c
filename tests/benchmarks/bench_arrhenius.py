"""Print how well the errors of the Arrhenius fit and the probabilities of its tests are calibrated.

Usage: python tests/benchmarks/bench_arrhenius.py [REPEATS]
"""

import sys

import numpy as np
from scipy.special import gammaincinv

from aiida_hdiff.analysis import arrhenius_curvature, fit_arrhenius
from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K

EA, D0, SIGMA = 0.4, 1e-6, 0.08


def law(temperatures):
    return D0 * np.exp(-EA / (BOLTZMANN_EV_PER_K * temperatures))


def even(n, low=600.0, high=1200.0):
    return 1 / np.linspace(1 / high, 1 / low, n)


def coverage(rng, repeats):
    print('\nEa and D, errors of D 8 %: coverage of one standard error of Ea, and of the band 20 % beyond the cold end')
    print('temperatures  real/claimed error  Ea 68 %   Ea 95 %   D 68 %   D 95 %')
    for n in (2, 3, 5, 8):
        for factor in (1.0, 1.5):
            temperatures = even(n)
            cold = 0.8 * temperatures.min()
            hits = []
            for _ in range(repeats):
                d = law(temperatures) * np.exp(factor * SIGMA * rng.normal(size=n))
                fit = fit_arrhenius(temperatures, d, SIGMA * d)
                pull = abs(fit.activation_energy_eV - EA) / fit.activation_energy_error_eV
                pull_d = abs(np.log(fit.predict(cold)[0] / law(cold))) / fit.log_error(cold)
                hits.append((pull < 1, pull < 1.96, pull_d < 1, pull_d < 1.96))
            print(f'{n:12d}  {factor:18.1f}  ' + '  '.join(f'{100 * rate:6.1f}' for rate in np.mean(hits, axis=0)))


def bounds(rng, repeats):
    print('\nPoisson hops, resolved from ten: what becomes of the unresolved temperatures')
    print('expected hops               treatment        bias/scatter  scatter (meV)  claimed (meV)  Ea 68 %  Ea 95 %')
    for temperatures in (np.array([500.0, 600, 700, 850, 1000]), np.array([500.0, 550, 600, 850, 1000])):
        expected = 300 * np.exp(-EA / BOLTZMANN_EV_PER_K * (1 / temperatures - 1 / 1000.0))
        found = {'left out': [], 'bound as seen': [], 'bound of threshold': []}
        for _ in range(repeats):
            n = rng.poisson(expected)
            ok = n >= 10
            seen = n[~ok].astype(float)
            for name, hops in zip(found, (None, seen, np.full(seen.size, 9.0)), strict=True):
                options = {}
                if hops is not None:
                    options = {
                        'upper_bound_temperatures_K': temperatures[~ok],
                        'upper_bounds_m2_s': gammaincinv(hops + 1, 0.95) * 1e-11,
                        'upper_bound_hops': hops,
                    }
                fit = fit_arrhenius(temperatures[ok], n[ok] * 1e-11, np.sqrt(n[ok]) * 1e-11, **options)
                found[name].append((fit.activation_energy_eV - EA, fit.activation_energy_error_eV))
        for name, pairs in found.items():
            deviation, error = np.array(pairs).T
            inside = [100 * np.mean(np.abs(deviation) < z * error) for z in (1, 1.96)]
            print(
                f'{" ".join(f"{e:.0f}" for e in expected):26s}  {name:18s}  {deviation.mean() / deviation.std():10.2f}'
                f'  {1e3 * deviation.std():13.1f}  {1e3 * error.mean():13.1f}  {inside[0]:7.1f}  {inside[1]:7.1f}'
            )


def curvature(rng, repeats):
    print('\nTests for curvature: rates in % (straight lines: false alarms; bent by the given energy at 850 K: power)')
    print('temperatures  bend (eV)  real/claimed error  quadratic p<0.05  p<0.01  break p<0.05  p<0.01  any verdict')
    cases = [(n, 0.0, f) for n in (3, 5, 8) for f in (1.0, 1.5)] + [(6, 0.2, 1.0), (8, 0.1, 1.0), (8, 0.2, 1.0)]
    for n, bend, factor in cases:
        temperatures = even(n)
        x = 1 / (BOLTZMANN_EV_PER_K * temperatures)
        clean = law(temperatures) * np.exp(-bend * np.maximum(x - 1 / (BOLTZMANN_EV_PER_K * 850.0), 0.0))
        rows = []
        for _ in range(repeats):
            d = clean * np.exp(factor * SIGMA * rng.normal(size=n))
            result = arrhenius_curvature(temperatures, d, SIGMA * d)
            quadratic, broken = result.quadratic_p, 1.0 if result.broken_p is None else result.broken_p
            rows.append(
                (quadratic < 0.05, quadratic < 0.01, broken < 0.05, broken < 0.01, result.verdict != 'straight')
            )
        rates = 100 * np.mean(rows, axis=0)
        print(
            f'{n:12d}  {bend:9.1f}  {factor:18.1f}  {rates[0]:16.1f}  {rates[1]:6.1f}  {rates[2]:12.1f}  {rates[3]:6.1f}'
            f'  {rates[4]:11.1f}'
        )


if __name__ == '__main__':
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for part in (coverage, bounds, curvature):
        part(np.random.default_rng(0), number)
