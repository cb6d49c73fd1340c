"""From a trajectory to D and Ea with `aiida_hdiff.analysis` alone, without AiiDA.

The trajectory is a walk on the octahedral sites of fcc Ni: hops of length a/√2 to one of 12 neighbours at a total rate
Γ per atom, and a vibration about the site. Its exact diffusion coefficient is D = Γ a²/12.
"""

from __future__ import annotations

import numpy as np

from aiida_hdiff.analysis import diffusion_coefficient, fit_arrhenius
from aiida_hdiff.common.units import ANGSTROM2_PER_PS_IN_M2_PER_S, BOLTZMANN_EV_PER_K

LATTICE_CONSTANT_A = 3.52
ACTIVATION_ENERGY_EV = 0.42
ATTEMPT_RATE_PER_PS = 40.0
VIBRATION_A = 0.15
FRAME_INTERVAL_FS = 50.0


def hop_rate_per_ps(temperature_K: float) -> float:
    """Return the total hop rate of one atom."""
    return float(ATTEMPT_RATE_PER_PS * np.exp(-ACTIVATION_ENERGY_EV / (BOLTZMANN_EV_PER_K * temperature_K)))


def exact_coefficient(temperature_K: float) -> float:
    """Return D (m²/s) of the walk."""
    return hop_rate_per_ps(temperature_K) * LATTICE_CONSTANT_A**2 / 12.0 * ANGSTROM2_PER_PS_IN_M2_PER_S


def lattice_walk(
    temperature_K: float, rng: np.random.Generator, *, n_frames: int = 20_000, n_atoms: int = 8
) -> np.ndarray:
    """Return unwrapped positions (Å), shape (n_frames, n_atoms, 3)."""
    signs = np.array([(i, j) for i in (-1, 1) for j in (-1, 1)])
    neighbours = np.concatenate([np.insert(signs, axis, 0, axis=1) for axis in range(3)]) * LATTICE_CONSTANT_A / 2.0
    n_hops = rng.poisson(hop_rate_per_ps(temperature_K) * FRAME_INTERVAL_FS / 1000.0, size=(n_frames, n_atoms))
    steps = np.zeros((n_frames, n_atoms, 3))
    for hop in range(1, int(n_hops.max(initial=0)) + 1):
        hopping = n_hops >= hop
        steps[hopping] += neighbours[rng.integers(len(neighbours), size=np.count_nonzero(hopping))]
    return np.cumsum(steps, axis=0) + rng.normal(scale=VIBRATION_A, size=steps.shape)


def main() -> None:
    """Print D at four temperatures, and the Arrhenius parameters."""
    rng = np.random.default_rng(1)
    temperatures, results = [700.0, 850.0, 1000.0, 1200.0], []
    for temperature in temperatures:
        result = diffusion_coefficient(
            lattice_walk(temperature, rng),
            FRAME_INTERVAL_FS,
            window_ps=(2.0, 10.0),
            jump_length_A=LATTICE_CONSTANT_A / np.sqrt(2.0),
        )
        results.append(result)
        print(
            f'{temperature:6.0f} K  D = ({result.value:.3g} ± {result.std_error:.1g}) m²/s, '
            f'exact {exact_coefficient(temperature):.3g}, {result.n_hops:.0f} hops, {result.status}'
        )
    fit = fit_arrhenius(temperatures, [r.value for r in results], [r.std_error for r in results])
    print(
        f'Ea = ({fit.activation_energy_eV:.3f} ± {fit.activation_energy_error_eV:.3f}) eV, '
        f'exact {ACTIVATION_ENERGY_EV} eV'
    )
    cold, error = fit.predict(500.0)
    print(f'D(500 K) = ({cold:.2g} ± {error:.1g}) m²/s by extrapolation, exact {exact_coefficient(500.0):.2g}')


if __name__ == '__main__':
    main()
