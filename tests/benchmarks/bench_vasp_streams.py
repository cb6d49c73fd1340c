"""Rate and memory of streaming vasprun.xml and OUTCAR of long runs with a force field trained on the fly.

Run `OMP_NUM_THREADS=1 python tests/benchmarks/bench_vasp_streams.py [MB] [n_atoms]` in the root of the repository. The
files have steps of DFT among those of the force field, 1 to 50, in the layout of VASP 6.3 without parts that the
readers pass over (density of states, eigenvalues). `record_run` reads vasprun.xml and writes the trajectory file. ASE
reads the same vasprun.xml, cut to 20 MB because it holds all of it, and only its steps of DFT. Every reader runs in a
process of its own, which reports its peak memory.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.formats.vasp_writer import outcar_header, outcar_step, random_steps, vasprun_header, vasprun_step

RECORD = """
import os, tempfile
from aiida_hdiff.formats.vasp_run import VaspRun
from aiida_hdiff.formats.vasp_trajectory import record_run
run = VaspRun(os.path.dirname(path))
numbers = [{'Mg': 12, 'H': 1}[symbol] for symbol in run.header.symbols]
with tempfile.TemporaryFile() as target:
    record_run(run, target, numbers, timestep_fs=1.0, degrees_of_freedom=3 * len(numbers))
n = run.n_steps
"""
READERS = {
    'iter_vasprun': 'from aiida_hdiff.formats.vasprun import iter_vasprun as r; n = sum(1 for _ in r(path))',
    'iter_outcar': 'from aiida_hdiff.formats.outcar import iter_outcar as r; n = sum(1 for _ in r(path))',
    'record_run': RECORD,
    'ASE vasp-xml': 'from ase.io import read; n = len(read(path, index=":", format="vasp-xml"))',
}


def make(folder, size, n_atoms):
    steps = random_steps('d' + 50 * 'm', n_atoms)
    for step in steps:
        step.cell = steps[0].cell
        step.positions = steps[0].positions + 0.1 * (step.positions - steps[0].positions)
    symbols, counts = ['Mg'] * (n_atoms - 8) + ['H'] * 8, (n_atoms - 8, 8)
    small, large, outcar = folder / 'small.xml', folder / 'vasprun.xml', folder / 'OUTCAR'
    cycle = ''.join(vasprun_step(step) for step in steps)
    for path, limit in ((small, min(size, 20e6)), (large, size)):
        with path.open('w') as stream:
            stream.write(vasprun_header(steps[0], symbols))
            stream.writelines(cycle for _ in range(round(limit / len(cycle))))
            stream.write('</modeling>\n')
    rest = ''.join(outcar_step(step, 0) for step in steps[1:])
    with outcar.open('w') as stream:
        stream.write(outcar_header(steps[0], ('Mg', 'H'), counts))
        for cycle in range(round(size / len(rest))):
            stream.write(outcar_step(steps[0], 51 * cycle + 1) + rest)
        stream.write(' General timing and accounting informations for this job:\n')
    return {'iter_vasprun': large, 'iter_outcar': outcar, 'record_run': large, 'ASE vasp-xml': small}


def measure(name, path):
    begin = time.process_time()
    exec(READERS[name], scope := {'path': str(path)})
    seconds = time.process_time() - begin
    size = path.stat().st_size / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'{name:14} {size:8.0f} {scope["n"]:8} {seconds:8.1f} {size / seconds:8.1f} {memory:10.0f}')


def main(megabytes=300.0, n_atoms=136):
    with tempfile.TemporaryDirectory() as folder:
        files = make(Path(folder), megabytes * 1e6, n_atoms)
        print(f'{"reader":14} {"MB":>8} {"steps":>8} {"CPU s":>8} {"MB/s":>8} {"peak MiB":>10}', flush=True)
        for name, path in files.items():
            subprocess.run([sys.executable, __file__, 'read', name, str(path)], check=True)


if __name__ == '__main__':
    if sys.argv[1:2] == ['read']:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*(float(sys.argv[1]),) if len(sys.argv) > 1 else (), *(int(word) for word in sys.argv[2:3]))
