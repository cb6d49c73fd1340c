"""CPU time of reading and writing ML_AB files, in one run on one machine.

Run `OMP_NUM_THREADS=1 python tests/benchmarks/bench_ml_ab.py [megabytes] [n_atoms]`, with pymlff
(https://github.com/utf/pymlff) on the path for comparison. The numbers have as many digits as the
compiler prints, which is what costs time. On a shared machine trust only the ratios.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aiida_hdiff.formats import MLAB, MLABFrame, read_ml_ab, write_ml_ab
from aiida_hdiff.formats.fortran_floats import LAYOUTS, parse_floats


def random_set(megabytes, n_atoms, layout):
    """Return frames of H in Mg whose numbers are what a compiler has printed of others."""
    rng = np.random.default_rng(1)
    printer = next((one for one in LAYOUTS if one.name == layout), None)

    def numbers(scale, *shape):
        values = scale * rng.normal(size=shape)
        return parse_floats(printer.format(values.reshape(-1, 1))).reshape(shape) if printer else values

    def frame():
        return MLABFrame(
            name='H in Mg',
            elements=('Mg', 'H'),
            counts=(n_atoms - n_atoms // 16 - 1, n_atoms // 16 + 1),
            cell=numbers(10.0, 3, 3),
            positions=numbers(8.0, n_atoms, 3),
            energy=numbers(100.0, 1).item(),
            forces=numbers(0.5, n_atoms, 3),
            stress_kbar=numbers(5.0, 6),
            ctifor=numbers(0.02, 1).item(),
        )

    few = [frame() for _ in range(50)]
    width = printer.width if printer else 25
    n_frames = int(megabytes * 1e6 / (6 * n_atoms * width + 2000)) + 1
    return MLAB.from_frames([few[i % 50] for i in range(n_frames)], float_layout=layout)


def with_pymlff(path):
    import pymlff

    return np.array([one.forces for one in pymlff.MLAB.from_file(str(path)).configurations])


def timed(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def main(megabytes=55, n_atoms=136):
    print(f'{n_atoms} atoms in a configuration\n{"":24s} {"MB":>6s} {"CPU s":>8s} {"MB/s":>7s} {"ratio":>7s}')
    for layout in ('intel', 'nvidia', 'gnu', None):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'ML_AB')
            frames = random_set(megabytes, n_atoms, layout)
            seconds, _ = timed(lambda frames=frames, path=path: write_ml_ab(frames, path))
            size = path.stat().st_size / 1e6
            label = f'{layout or "exact"}: written'
            print(f'{label:24s} {size:6.1f} {seconds:8.2f} {size / seconds:7.1f}', flush=True)
            own, found = timed(lambda path=path: read_ml_ab(path))
            label = f'{layout or "exact"}: read'
            print(f'{label:24s} {size:6.1f} {own:8.2f} {size / own:7.1f} {1.0:7.1f}', flush=True)
            forces = np.array([frame.forces for frame in frames])
            np.testing.assert_array_equal(np.array([frame.forces for frame in found]), forces)
            try:
                seconds, values = timed(lambda path=path: with_pymlff(path))
            except ImportError:
                continue
            np.testing.assert_array_equal(values, forces)
            label = f'{layout or "exact"}: pymlff reads'
            print(f'{label:24s} {size:6.1f} {seconds:8.2f} {size / seconds:7.1f} {seconds / own:7.1f}', flush=True)


if __name__ == '__main__':
    main(*(int(argument) for argument in sys.argv[1:]))
