"""CPU time of one step of molecular dynamics of Mg128H8 by the fast and the stock calculators, and their NVE drift.

    export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
    python tests/benchmarks/bench_md_speed.py chgnet
    python tests/benchmarks/bench_md_speed.py mace --irreps "128x0e" "128x0e + 128x1o"
    python tests/benchmarks/bench_md_speed.py nve --architecture mace --model trained.model

One thread; fast and stock calculators take turns within one run, so that the ratios hold on a busy machine. The MACE
models of the second line have random weights: their forces mean nothing, their cost does. The kernels for a model are
compiled once, which takes minutes, and kept in the folder that SYMMETRIX_JIT_CACHE names.
"""

import argparse
import tempfile
import warnings
from pathlib import Path
from time import process_time

import numpy as np
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.fast_mace import convert
from aiida_hdiff.engine.implementations import calculator_record, differences
from aiida_hdiff.engine.integrators import Integrator
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.model_load import load_mace_model
from aiida_hdiff.engine.system import System


def hydride(repeat: int = 4, n_hydrogen: int = 8, displacement_A: float = 0.1, seed: int = 1) -> Atoms:
    """Return magnesium with hydrogen far apart on tetrahedral sites, displaced at random."""
    atoms = bulk('Mg', 'hcp', a=3.21, c=5.21).repeat(repeat)
    sites = Atoms(
        numbers=[2] * len(atoms), positions=atoms.positions + np.array([0, 0, 0.625 * 5.21]), cell=atoms.cell, pbc=True
    )
    distances, chosen = sites.get_all_distances(mic=True), [0]
    while len(chosen) < n_hydrogen:
        chosen.append(int(np.argmax(distances[chosen].min(axis=0))))
    atoms += Atoms(numbers=[1] * n_hydrogen, positions=sites.positions[chosen])
    atoms.wrap()
    atoms.positions += displacement_A * np.random.default_rng(seed).standard_normal(atoms.positions.shape)
    return atoms


def step_ms(calculator, atoms, steps, *, stress, seed):
    """Return the CPU milliseconds of each of some steps of 0.01 Å."""
    rng, copy, found = np.random.default_rng(seed), atoms.copy(), []
    copy.calc = calculator
    for _ in range(steps):
        copy.positions += 0.01 * rng.standard_normal(copy.positions.shape)
        begun = process_time()
        if stress:
            copy.get_stress()
        copy.get_forces()
        found.append(1e3 * (process_time() - begun))
    return found


def compare(title, potential, atoms, *, stress, rounds):
    """Print the time of both calculators of a potential, and how they differ."""
    stock = build_calculator(Potential(**{**vars(potential), 'implementation': 'stock'}), with_stress=stress, threads=1)
    fast = build_calculator(Potential(**{**vars(potential), 'implementation': 'fast'}), with_stress=stress, threads=1)
    times = {'fast': [], 'stock': []}
    for turn in range(rounds + 1):
        for name, calculator, steps in (('stock', stock, 2), ('fast', fast, 6)):
            found = step_ms(calculator, atoms, steps, stress=stress, seed=turn)
            times[name] += found if turn else []
    results = []
    for calculator in (fast, stock):
        copy = atoms.copy()
        copy.calc = calculator
        copy.get_forces()
        results.append(
            {name: calculator.results[name] for name in ('energy', 'forces', 'stress')}
            if stress
            else {name: calculator.results[name] for name in ('energy', 'forces')}
        )
    ms = {name: float(np.median(found)) for name, found in times.items()}
    variant = calculator_record(fast).get('variant', '')
    print(
        f'{title:34s} {ms["stock"]:8.1f} {ms["fast"]:8.1f} {ms["stock"] / ms["fast"]:6.2f}  '
        f'{differences(*results)["forces_eV_A"]:8.1e}  {variant}',
        flush=True,
    )


def random_mace(irreps: str, path: Path, *, channels_cutoff_A: float = 6.0, seed: int = 1) -> None:
    """Write a MACE of the architecture of the foundation models, with random weights."""
    import mace  # noqa: F401  (lets e3nn load its constants)
    import torch
    from e3nn import o3
    from mace import modules

    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float64)
    model = modules.ScaleShiftMACE(
        r_max=channels_cutoff_A,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=modules.interaction_classes['RealAgnosticResidualInteractionBlock'],
        interaction_cls_first=modules.interaction_classes['RealAgnosticInteractionBlock'],
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps(irreps),
        MLP_irreps=o3.Irreps('16x0e'),
        gate=torch.nn.functional.silu,
        atomic_energies=np.array([-3.4, -1.7]),
        avg_num_neighbors=40.0,
        atomic_numbers=[1, 12],
        correlation=3,
        radial_type='bessel',
        atomic_inter_scale=0.5,
        atomic_inter_shift=0.1,
    )
    torch.save(model, path)


def converted(model: Path, folder: Path, dtype: str) -> Potential:
    """Return a MACE model with what it was converted to."""
    target = folder / f'{model.name}.json'
    if not target.exists():
        convert(load_mace_model(model, trusted=True), target, head=None)
    return Potential('mace', str(model), {'dtype': dtype}, trusted=True, converted=str(target))


def drift(potential, atoms, implementation, *, steps, timestep_fs=0.5, temperature_K=600.0):
    """Return drift (µeV/atom/ps) and fluctuation (µeV/atom) of the total energy in NVE, and the final positions."""
    calculator = build_calculator(
        Potential(**{**vars(potential), 'implementation': implementation}), with_stress=False, threads=1
    )
    copy = atoms.copy()
    copy.calc = calculator
    system = System(copy, with_stress=False)
    system.draw_velocities(temperature_K, np.random.default_rng(3))
    system.evaluate()
    integrator, energies = Integrator(system, timestep_fs), []
    for _ in range(steps):
        integrator.step(0.0)
        energies.append((system.potential_energy + system.kinetic_energy) / len(atoms) * 1e6)
    times_ps = 1e-3 * timestep_fs * np.arange(steps)
    slope, offset = np.polyfit(times_ps, energies, 1)
    return slope, float(np.std(np.array(energies) - slope * times_ps - offset)), system.positions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('chgnet', 'mace', 'nve'))
    parser.add_argument('--irreps', nargs='+', default=['128x0e'])
    parser.add_argument('--dtypes', nargs='+', default=['float64', 'float32'])
    parser.add_argument('--architecture', default='chgnet')
    parser.add_argument('--model', type=Path, help='a MACE model file, instead of random ones')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--steps', type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.what == 'nve':
            atoms = hydride(2, 2, 0.02)
            potential = Potential('chgnet', None, {})
            if options.architecture == 'mace':
                potential = converted(options.model, folder, options.dtypes[0])
            positions = {}
            for name in ('stock', 'fast'):
                slope, spread, positions[name] = drift(potential, atoms, name, steps=options.steps)
                print(
                    f'{options.architecture} {name}: drift {slope:.2f} µeV/atom/ps, fluctuation {spread:.2f} µeV/atom'
                )
            print(
                f'largest difference of the positions at the end: {np.abs(positions["stock"] - positions["fast"]).max():.1e} Å'
            )
            return
        atoms = hydride()
        print(
            f'{len(atoms)} atoms; CPU ms per step of one thread\n{"":34s} {"stock":>8s} {"fast":>8s} {"ratio":>6s}  dF eV/Å'
        )
        if options.what == 'chgnet':
            for stress in (False, True):
                title = f'CHGNet 0.3.0, {"with" if stress else "without"} stress'
                compare(title, Potential('chgnet', None, {}), atoms, stress=stress, rounds=options.rounds)
            return
        for number, irreps in enumerate(options.irreps):
            model = options.model or folder / f'{number}.model'
            if options.model is None:
                random_mace(irreps, model)
            for dtype in options.dtypes:
                compare(
                    f'MACE {irreps}, {dtype}',
                    converted(model, folder, dtype),
                    atoms,
                    stress=True,
                    rounds=options.rounds,
                )


if __name__ == '__main__':
    main()
