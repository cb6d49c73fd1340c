"""Calcfunctions that join trajectories and choose the states between the stages."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis import mean_energy_frame
from aiida_hdiff.common.units import KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.data.trajectory import MDTrajectory


@calcfunction
def concatenate_trajectories(**segments: MDTrajectory) -> MDTrajectory:
    """Join the segments of one run, in the order of their names; frames must follow each other without gap."""
    from contextlib import ExitStack

    from aiida_hdiff.formats.joined import concatenate

    with TemporaryDirectory() as scratch, ExitStack() as stack:
        readers = [stack.enter_context(segments[name].reader()) for name in sorted(segments)]
        path = Path(scratch) / MDTrajectory.DEFAULT_FILENAME
        concatenate(readers, path)
        return MDTrajectory(path)


@calcfunction
def mean_volume_state(trajectory: MDTrajectory, final_state: MDState, settings: orm.Dict) -> MDState:
    """Return the last state of an NpT run, scaled to the mean cell over the last part of the run.

    The part is `npt.average_fraction` of the settings of the diffusivity.

    Velocities are kept. The mean is over the cell vectors, so that a full barostat averages the shape too.
    """
    fraction = settings['npt']['average_fraction']
    with trajectory.reader() as reader:
        cells = reader.cells
    cell = cells[int(len(cells) * (1.0 - fraction)) :].mean(axis=0)
    scaled = np.linalg.solve(final_state.get_array('cell').T, final_state.get_array('positions').T).T
    return MDState(
        numbers=final_state.get_array('numbers'),
        positions=scaled @ cell,
        velocities=final_state.velocities,
        cell=cell,
    )


@calcfunction
def mean_energy_state(trajectory: MDTrajectory, settings: orm.Dict, parameters: orm.Dict | None = None) -> MDState:
    """Return the frame of an NVT run whose total energy is nearest the mean, with its velocities scaled to the mean.

    The mean is over the last `nvt.average_fraction` of the run. The centre of mass is at rest. With the `parameters` of
    the stage, for an engine that stores no velocities, they are drawn from a Maxwell distribution with its seed: in
    the canonical ensemble momenta do not depend on positions.
    """
    fraction = settings['nvt']['average_fraction']
    with trajectory.reader() as reader:
        potential, kinetic = reader.observable('potential_energy'), reader.observable('kinetic_energy')
        total = potential + kinetic
        start = int(len(total) * (1.0 - fraction))
        frame = mean_energy_frame(total, start=start)
        target = float(total[start:].mean())
        positions = reader.positions(frames=slice(frame, frame + 1))[0]
        velocities = reader.velocities(frames=slice(frame, frame + 1))[0] if parameters is None else None
        cell, numbers = reader.cells[frame], reader.numbers
    from ase.data import atomic_masses

    masses = atomic_masses[numbers][:, None]
    wanted = target - potential[frame]
    if parameters is not None:
        velocities = np.random.default_rng(parameters['seed']).standard_normal(positions.shape) / np.sqrt(masses)
        # The thermostats of such engines move the centre of mass too, which is at rest here.
        wanted *= 1.0 - 1.0 / len(numbers)
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    energy = 0.5 * KINETIC_EV_PER_AMU_ANGSTROM2_PER_FS2 * float((masses * velocities**2).sum())
    velocities *= np.sqrt(wanted / energy)
    state = MDState(numbers=numbers, positions=positions, velocities=velocities, cell=cell)
    if parameters is not None:
        state.base.attributes.set('velocities_from', 'maxwell')
    return state
