"""Make the outputs in ``fixtures`` with real runs: ``python -m tests.parsers.generate_fixtures [NAME ...]``."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses

from aiida_hdiff.calculations import lammps_script as script
from aiida_hdiff.calculations import md as engine_files
from aiida_hdiff.calculations.engine_job import STATUS_FILE
from aiida_hdiff.engine.parameters import MDParameters
from aiida_hdiff.formats.frame_stream import HEADER_BYTES, frame_dtype
from aiida_hdiff.formats.lammps import data_file, restricted_triclinic
from tests.parsers.cases import (
    ENGINE,
    FIXTURES,
    LAMMPS,
    LENNARD_JONES,
    PAIR,
    arrays_of,
    atoms_of,
    last_checkpoint,
    parameters_of,
)

BIN = Path(sys.executable).parent


def keep(source: Path, target: Path, patterns: list[str]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            shutil.copy(path, target / path.name)


def lammps_run(name: str, case: dict[str, Any]) -> None:
    parameters = MDParameters.from_dict(parameters_of(case))
    atoms = atoms_of('lammps_md', hydrogen_at=case.get('hydrogen_at', 0.5))
    pair = case.get('pair', PAIR)
    commands = [f'pair_style {pair["pair_style"]}', *(f'pair_coeff {line}' for line in pair['pair_coeff'])]
    step, restart = last_checkpoint(FIXTURES / 'lammps_md' / case['from']) if 'from' in case else (None, None)
    species = list(dict.fromkeys(atoms.numbers.tolist()))
    masses = [atomic_masses[number] for number in species]
    text = script.lammps_script(
        parameters,
        commands,
        masses,
        has_velocities=False,
        checkpoint_step=step,
        max_seconds=case.get('max_seconds', 1000),
    )
    if 'kill_at' in case:
        # `shell` runs a child of LAMMPS, which kills its parent, as the out-of-memory killer would.
        text = text.replace(f'run {parameters.steps} upto', f'run {case["kill_at"]} upto')
        text = text.replace('write_dump', 'shell "kill -9 $PPID"\nwrite_dump', 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if restart is not None:
            content = restart.read_bytes()
            (folder / script.RESTART_FILE).write_bytes(content[:200] if case.get('corrupt_restart') else content)
        cell, rotation = restricted_triclinic(atoms.cell.array)
        types = [species.index(number) + 1 for number in atoms.numbers]
        (folder / script.DATA_FILE).write_text(data_file(types, masses, cell, atoms.positions @ rotation, None))
        (folder / 'potential.0').write_text('not a potential\n' * 10)
        (folder / 'input.in').write_text(text)
        command = (
            ['no-such-program'] if case.get('not_started') else [str(BIN / 'lmp'), '-in', 'input.in', '-log', 'none']
        )
        with (folder / 'lammps.out').open('w') as stdout:
            try:
                subprocess.run(command, cwd=folder, stdout=stdout, stderr=subprocess.STDOUT, check=False)
            except FileNotFoundError:
                pass
        patterns = ['lammps.out', script.TRAJECTORY_FILE, script.SERIES_FILE, script.CHECKPOINT_DUMP]
        keep(folder, FIXTURES / 'lammps_md' / name, [*patterns, script.CHECKPOINT_RESTARTS, 'final.*'])


def engine_run(name: str, case: dict[str, Any]) -> None:
    atoms = atoms_of('md', hydrogen_at=case.get('hydrogen_at', 0.5))
    potential = {'architecture': 'lennard_jones', 'file': 'potential.0', 'options': {}, **case.get('potential', {})}
    settings = {
        'parameters': parameters_of(case),
        'potential': potential,
        'start': engine_files.START_FILE,
        'checkpoint': None,
        'threads': 1,
        'max_seconds': case.get('max_seconds', 1000),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / engine_files.START_FILE, pbc=[True] * 3, **arrays_of(atoms))
        (folder / engine_files.INPUT_FILE).write_text(json.dumps(settings))
        (folder / 'potential.0').write_bytes(case.get('content', LENNARD_JONES))
        with (folder / 'engine.out').open('w') as stdout:
            process = subprocess.Popen(
                [str(BIN / 'hdiff-engine'), 'md', engine_files.INPUT_FILE],
                cwd=folder, stdout=stdout, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if 'signal' in case:
                wait_for_frames(process, folder, len(atoms), parameters_of(case), 8)
                process.send_signal(signal.Signals(case['signal']))
            process.wait()
        patterns = ['engine.out', STATUS_FILE, engine_files.FRAMES_FILE]
        keep(folder, FIXTURES / 'md' / name, [*patterns, '*checkpoint.npz', 'final.npz', 'exploded.npz'])


def wait_for_frames(process: Any, folder: Path, n_atoms: int, parameters: dict[str, Any], number: int) -> None:
    size = HEADER_BYTES + number * frame_dtype(n_atoms, velocities=parameters.get('velocities', False)).itemsize
    path = folder / engine_files.FRAMES_FILE
    while not path.is_file() or path.stat().st_size < size:
        if process.poll() is not None:
            raise RuntimeError(f'the engine ended with {process.returncode} before it was to be stopped')
        time.sleep(0.002)


def main() -> None:
    wanted = sys.argv[1:] or [*LAMMPS, *ENGINE]
    for cases, run in ((LAMMPS, lammps_run), (ENGINE, engine_run)):
        for name, case in cases.items():
            if name in wanted:
                run(name, case)


if __name__ == '__main__':
    main()
