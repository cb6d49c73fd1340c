"""Jobs of a training that were never run, with the outputs that the parser would give."""

import numpy as np
from aiida import orm

from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from tests.conftest import nickel_hydride

REFERENCE = 'vasp:0123456789abcdef'


def labelled_frames(steps, *, unconverged=(), seed=0, reference=REFERENCE):
    """Return frames of nickel hydride with made-up labels, one for each step."""
    rng, frames = np.random.default_rng([seed, *steps]), []
    for step in steps:
        atoms = nickel_hydride(1, 1)
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        frames.append(
            LabelledFrame(
                numbers=atoms.numbers,
                positions=atoms.positions,
                cell=atoms.cell.array,
                energy=float(rng.normal()),
                forces=rng.normal(size=atoms.positions.shape),
                stress=rng.normal(size=6),
                origin=f'step {step} 300 K',
                reference=reference,
                ctifor=0.01,
                scf_converged=step not in unconverged,
            )
        )
    return LabelledFrames.from_frames(frames)


def labelled_dataset(steps, **kwargs):
    return LabelledDataset(labelled_frames(steps, **kwargs))


def learning_table(steps, threshold=0.02):
    node = orm.ArrayData()
    steps = np.asarray(steps, dtype=np.int64)
    values = {'threshold': threshold, 'bayesian_error_force_max': 0.03, 'rmse_energy': 1e-3, 'rmse_force': 0.05}
    for name, value in values.items():
        node.set_array(name, np.full(len(steps), value))
    for name in ('step', 'rmse_step', 'status_step'):
        node.set_array(name, steps)
    node.set_array('dft', steps % 2 == 0)
    return node
