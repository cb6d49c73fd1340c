"""The states between the stages."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.trajectories import concatenate_trajectories, mean_energy_state, mean_volume_state
from aiida_hdiff.data.md_state import MDState
from aiida_hdiff.workflows.settings import DiffusionProtocols

RNG = np.random.default_rng(4)
MASSES = np.array([58.6934] * 4 + [1.008])
KINETIC = 103.642696562


def settings(**overrides):
    return orm.Dict(DiffusionProtocols.get_protocol_settings('fast', overrides))


@pytest.mark.parametrize('fraction', [0.5, 0.25, 1.0])
def test_mean_volume_state_has_the_mean_cell_of_the_last_part(generate_trajectory, fraction):
    shear = np.array([[7.0, 0, 0], [0.3, 7.1, 0], [0, 0.2, 7.2]])
    cells = shear * (1.0 + 0.01 * np.arange(20))[:, None, None]
    trajectory = generate_trajectory(np.zeros((20, 5, 3)), cells=cells)
    positions, velocities = RNG.normal(0.0, 4.0, (5, 3)), RNG.normal(0.0, 0.01, (5, 3))
    numbers = [28] * 4 + [1]
    final = MDState(numbers=numbers, positions=positions, velocities=velocities, cell=cells[-1], step=500)
    state = mean_volume_state(trajectory, final, settings(npt={'average_fraction': fraction}))
    mean = cells[20 - int(20 * fraction) :].mean(axis=0)
    np.testing.assert_allclose(state.get_array('cell'), mean, rtol=1e-12)
    scaled = positions @ np.linalg.inv(cells[-1])
    np.testing.assert_allclose(state.get_array('positions') @ np.linalg.inv(mean), scaled, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(state.velocities, velocities)
    assert (state.step, state.checkpoint) == (0, None)


def nvt(generate_trajectory, frames=40):
    velocities = RNG.normal(0.0, 0.01, (frames, 5, 3))
    velocities[:, 4] *= 5
    velocities += 0.002
    kinetic = 0.5 * KINETIC * (MASSES[:, None] * velocities**2).sum(axis=(1, 2))
    potential = RNG.normal(-20.0, 0.3, frames)
    potential[:10] += 50.0
    positions = RNG.normal(0.0, 3.0, (frames, 5, 3))
    node = generate_trajectory(
        positions, velocities=velocities, kinetic_energy=kinetic, potential_energy=potential, timestep_fs=0.5
    )
    return node, potential, kinetic


def test_mean_energy_state(generate_trajectory):
    node, potential, kinetic = nvt(generate_trajectory)
    state = mean_energy_state(node, settings(nvt={'average_fraction': 0.75}))
    total = potential + kinetic
    target = total[10:].mean()
    frame = 10 + int(np.argmin(np.abs(total[10:] - target)))
    np.testing.assert_allclose(state.get_array('positions'), node.get_positions(frames=slice(frame, frame + 1))[0])
    velocities = state.velocities
    np.testing.assert_allclose((MASSES[:, None] * velocities).sum(axis=0), 0.0, atol=1e-12)
    energy = 0.5 * KINETIC * (MASSES[:, None] * velocities**2).sum()
    assert potential[frame] + energy == pytest.approx(target, abs=1e-9)
    assert abs(total[frame] - target) > 1e-6


def test_mean_energy_state_leaves_the_directions(generate_trajectory):
    node, _, _ = nvt(generate_trajectory)
    state = mean_energy_state(node, settings(nvt={'average_fraction': 0.75}))
    with node.reader() as reader:
        frame = int(np.argmin(np.abs(reader.positions() - state.get_array('positions')).max(axis=(1, 2))))
        velocities = reader.velocities(frames=slice(frame, frame + 1))[0]
    rest = velocities - (MASSES[:, None] * velocities).sum(axis=0) / MASSES.sum()
    ratio = state.velocities / rest
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-9)


def test_mean_energy_state_of_an_engine_without_velocities(generate_trajectory):
    frames, n_atoms = 60, 40
    numbers = [28] * (n_atoms - 4) + [1] * 4
    potential, kinetic = RNG.normal(-200.0, 0.3, frames), RNG.normal(4.0, 0.3, frames)
    node = generate_trajectory(
        RNG.normal(0.0, 3.0, (frames, n_atoms, 3)), numbers=numbers, kinetic_energy=kinetic, potential_energy=potential
    ).store()
    choice = settings(nvt={'average_fraction': 0.75})
    states = [mean_energy_state(node, choice, orm.Dict({'seed': seed})) for seed in (4, 4, 5)]
    np.testing.assert_array_equal(states[0].velocities, states[1].velocities)
    assert np.abs(states[0].velocities - states[2].velocities).max() > 1e-5
    from ase.data import atomic_masses

    masses, velocities = atomic_masses[numbers], states[0].velocities
    np.testing.assert_allclose((masses[:, None] * velocities).sum(axis=0), 0.0, atol=1e-12)
    total = potential + kinetic
    frame = 15 + int(np.argmin(np.abs(total[15:] - total[15:].mean())))
    np.testing.assert_allclose(states[0].get_array('positions'), node.get_positions(frames=slice(frame, frame + 1))[0])
    energy = 0.5 * KINETIC * (masses[:, None] * velocities**2).sum()
    assert energy == pytest.approx((total[15:].mean() - potential[frame]) * (1.0 - 1.0 / n_atoms), rel=1e-9)
    assert states[0].base.attributes.get('velocities_from') == 'maxwell'
    light = np.mean(velocities[-4:] ** 2) / np.mean(velocities[:-4] ** 2)
    assert 10.0 < light < 200.0


def test_concatenate_orders_the_segments_by_name(generate_trajectory):
    positions = RNG.normal(0.0, 3.0, (9, 5, 3))
    first = generate_trajectory(positions[:4], steps=np.arange(4) * 10)
    second = generate_trajectory(positions[4:], steps=np.arange(4, 9) * 10)
    joined = concatenate_trajectories(segment_001=second, segment_000=first)
    np.testing.assert_allclose(joined.get_positions(), positions, atol=6e-6)
    assert joined.creator.process_type == 'aiida.calculations:hdiff.concatenate_trajectories'
    assert len(joined.creator.base.links.get_incoming().all()) == 2
    with pytest.raises(ValueError, match='steps apart'):
        concatenate_trajectories(segment_000=second, segment_001=first)
