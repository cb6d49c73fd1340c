"""The same potential in LAMMPS (`hdiff-engine lammps`) and in the ASE engine (`hdiff-engine md`): volume and CPU time.

    export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
    python tests/benchmarks/bench_lammps_external.py volume --potential emt --steps 10000 --seeds 3
    python tests/benchmarks/bench_lammps_external.py volume --potential chgnet --steps 4000 --seeds 3
    python tests/benchmarks/bench_lammps_external.py speed --potential chgnet

One thread. Both engines take turns, each run in a process of its own. The runs are NpT at 600 K and no pressure, with a
Langevin thermostat of 100 fs, a barostat of 200 fs and a time step of 1 fs; their first tenth is left out.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses
from bench_md_speed import hydride

from aiida_hdiff.analysis.blocking import mean_with_error
from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.engine.lammps_external import CALLBACK_COMMANDS
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.formats.frame_stream import read_frame_stream
from aiida_hdiff.formats.lammps import data_file, read_dump, restricted_triclinic

ENGINES = {'lammps': 'lammps', 'ase': 'md'}
DISCARDED = 0.1


def small_cell(potential: str) -> Atoms:
    """Return the cell of which the volume is compared: Mg16H for CHGNet, Cu16 for EMT."""
    if potential == 'emt':
        return bulk('Cu', 'fcc', a=3.66).repeat((2, 2, 4))
    host = bulk('Mg', 'hcp', a=3.24, c=5.26).repeat(2)
    return host + Atoms('H', positions=[host.positions[0] + np.array([0, 0, 0.625 * 5.26])])


def run(folder: Path, engine: str, potential: str, atoms: Atoms, parameters: MDParameters) -> float:
    """Run a stage and return its CPU seconds."""
    job = {
        'parameters': parameters.as_dict(), 'threads': 1, 'max_seconds': None,
        'potential': {'architecture': potential, 'file': None, 'options': {}},
    }  # fmt: skip
    if engine == 'lammps':
        cell, rotation = restricted_triclinic(atoms.cell.array)
        elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
        masses = [atomic_masses[atoms.numbers[atoms.symbols == one][0]] for one in elements]
        types = [elements.index(symbol) + 1 for symbol in atoms.symbols]
        (folder / script.DATA_FILE).write_text(data_file(types, masses, cell, atoms.positions @ rotation, None))
        commands = script.lammps_script(parameters, CALLBACK_COMMANDS, masses, has_velocities=False)
        (folder / 'input.in').write_text(commands)
        job |= {'script': 'input.in', 'elements': elements}
    else:
        arrays = {'numbers': atoms.numbers, 'positions': atoms.positions, 'cell': atoms.cell.array, 'pbc': atoms.pbc}
        np.savez(folder / 'start.npz', **arrays)
        job |= {'start': 'start.npz', 'checkpoint': None}
    (folder / 'job.json').write_text(json.dumps(job))
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [Path(sys.executable).parent / 'hdiff-engine', ENGINES[engine], 'job.json']
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime


def volumes_of(folder: Path, engine: str) -> np.ndarray:
    """Return the volume of each frame (Å³)."""
    if engine == 'ase':
        return np.linalg.det(read_frame_stream(folder / 'frames.bin')['cell'])
    return np.concatenate([np.linalg.det(frames.cells) for frames in read_dump(folder / script.TRAJECTORY_FILE)])


def stage(steps: int, seed: int) -> MDParameters:
    """Return the settings of a run."""
    return MDParameters(
        ensemble='npt', temperature_K=600.0, steps=steps, timestep_fs=1.0, output_interval=min(steps, 10), seed=seed,
        thermostat_time_fs=100.0, barostat_time_fs=200.0,
    )  # fmt: skip


def compare_volumes(potential: str, steps: int, seeds: int) -> None:
    """Print the mean volume by both engines."""
    atoms, found = small_cell(potential), {engine: [] for engine in ENGINES}
    for seed in range(1, seeds + 1):
        for engine in ENGINES:
            with tempfile.TemporaryDirectory() as scratch:
                run(Path(scratch), engine, potential, atoms, stage(steps, seed))
                volumes = volumes_of(Path(scratch), engine) / len(atoms)
            found[engine].append(mean_with_error(volumes[int(DISCARDED * len(volumes)) :]))
    print(f'{atoms.get_chemical_formula()} by {potential}, {seeds} runs of {steps} fs each')
    means = {}
    for engine, values in found.items():
        mean, error = np.mean([one[0] for one in values]), np.sqrt(sum(one[1] ** 2 for one in values)) / seeds
        means[engine] = (mean, error)
        print(
            f'{engine:8} {mean:8.4f} +- {error:.4f} Å³ per atom   runs: {" ".join(f"{one[0]:.3f}" for one in values)}'
        )
    difference = means['lammps'][0] - means['ase'][0]
    print(f'difference {difference:.4f} +- {np.hypot(means["lammps"][1], means["ase"][1]):.4f} Å³ per atom')


def compare_speed(potential: str, steps: int, rounds: int) -> None:
    """Print the CPU time of a step; the start of the program is in both runs of a pair, whose difference is taken."""
    atoms = hydride()
    atoms.numbers[atoms.numbers == 2] = 12
    found = {engine: [] for engine in ENGINES}
    for seed in range(1, rounds + 1):
        for engine, values in found.items():
            seconds = []
            for count in (1, steps + 1):
                with tempfile.TemporaryDirectory() as scratch:
                    seconds.append(run(Path(scratch), engine, potential, atoms, stage(count, seed)))
            values.append(1e3 * (seconds[1] - seconds[0]) / steps)
    ms = {engine: float(np.median(values)) for engine, values in found.items()}
    print(
        f'{len(atoms)} atoms by {potential}: LAMMPS {ms["lammps"]:.1f} ms, ASE engine {ms["ase"]:.1f} ms per step, '
        f'ratio {ms["lammps"] / ms["ase"]:.2f}'
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('volume', 'speed'))
    parser.add_argument('--potential', choices=('chgnet', 'emt'), default='chgnet')
    parser.add_argument('--steps', type=int, default=None)
    parser.add_argument('--seeds', type=int, default=3)
    given = parser.parse_args()
    if given.what == 'volume':
        compare_volumes(given.potential, given.steps or 4000, given.seeds)
    else:
        compare_speed(given.potential, given.steps or 40, given.seeds)


if __name__ == '__main__':
    main()
