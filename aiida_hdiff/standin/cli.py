"""The executable ``hdiff-vasp-standin``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

THREADS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')
DESCRIPTION = """\
A labelled stand-in for VASP, to test and demonstrate workflows. It is NOT VASP and contains no DFT: a reference
potential takes the place of DFT, a Bayesian linear model that of VASP's force field. It reads INCAR, POSCAR, POTCAR,
KPOINTS, ICONST, ML_AB and ML_FF in the working directory and writes OUTCAR, vasprun.xml, OSZICAR, XDATCAR, CONTCAR,
REPORT, ML_LOGFILE, ML_ABN, ML_FFN and ML_REG, each marked as emulated where it has room for it.
Never quote its numbers as results of VASP.

environment:
  HDIFF_STANDIN_REFERENCE=<potential>   eam:<file of setfl format>, chgnet, chgnet:r2scan, emt or lj (argon)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run in the working directory and return the exit status: 0 after a regular end, 1 after an error."""
    for name in THREADS:
        os.environ.setdefault(name, '1')
    from aiida_hdiff.standin import VERSION, StandinError
    from aiida_hdiff.standin.faults import HELP

    parser = argparse.ArgumentParser(
        prog='hdiff-vasp-standin',
        description=DESCRIPTION,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'hdiff-vasp-standin {VERSION}')
    parser.parse_args(arguments)
    name = Path(sys.argv[0]).name.lower()
    if name.startswith('vasp'):
        print(f'hdiff-vasp-standin was called as {name!r}: it is not VASP, call it by its own name', file=sys.stderr)
        return 2
    try:
        from aiida_hdiff.standin.run import execute

        return execute(Path.cwd(), os.environ, sys.stdout)
    except ModuleNotFoundError as error:
        print(f'hdiff-vasp-standin: {error}: pip install "aiida-hdiff[vasp-standin]"', file=sys.stderr)
        return 2
    except StandinError as error:
        print(f' vasp.{VERSION} hdiff-vasp-standin (EMULATED: NOT VASP)\n ERROR: {error}')
        print(f'hdiff-vasp-standin: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
