import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin

from aiida_hdiff.analysis import host_state, host_warnings


def vibrate(rng, positions, frames=240, amplitude=0.2):
    """Independent vibration of that amplitude per axis (Å) about fixed or moving positions."""
    return positions + amplitude * rng.normal(size=(frames, positions.shape[-2], 3))


HOSTS = {
    'fcc': bulk('Cu', cubic=True).repeat(3),
    'bcc': bulk('Fe', cubic=True).repeat(3),
    'hcp': bulk('Mg').repeat((3, 3, 2)),
    'other': bulk('Si', cubic=True).repeat(2),
}


@pytest.mark.parametrize('lattice', HOSTS)
def test_a_hot_crystal_that_drifts_is_no_finding(rng, lattice):
    atoms = HOSTS[lattice]
    drift = np.arange(240)[:, None, None] * np.array([0.05, 0.02, -0.01])
    state = host_state(vibrate(rng, atoms.positions) + drift, atoms.cell[:], 100.0)
    assert set(state.lattices) == {lattice}
    assert state.window_ps == pytest.approx(5.0)
    np.testing.assert_allclose(state.times_ps, [2.5, 7.5, 12.5, 17.5])
    spacing = (np.sqrt(2) * atoms.get_volume() / len(atoms)) ** (1 / 3)
    expected = 0.2 * np.sqrt(3 * (1 - 1 / 50) * (1 - 1 / len(atoms))) / spacing
    np.testing.assert_allclose(state.lindemann, expected, rtol=0.03)
    np.testing.assert_allclose(state.displacement_A[1:], 0.2 * np.sqrt(6 / 50), rtol=0.2)
    assert state.moved_fraction.max() == 0.0
    assert host_warnings(state) == []


def molecular_dynamics(*stages):
    """Copper with ASE's effective medium theory in a cell of 32 atoms, every 20 fs; stages are (K, ps)."""
    atoms = bulk('Cu', cubic=True, a=3.75).repeat(2)
    atoms.calc = EMT()
    rng = np.random.RandomState(1)
    atoms.set_velocities(rng.normal(size=(32, 3)) * np.sqrt(2 * units.kB * stages[0][0] / atoms.get_masses()[:, None]))
    dynamics = Langevin(atoms, 4 * units.fs, temperature_K=0.0, friction=0.005 / units.fs, rng=rng, fixcm=False)
    positions = []
    dynamics.attach(lambda: positions.append(atoms.positions.copy()), interval=5)
    for kelvin, picoseconds in stages:
        dynamics.set_temperature(temperature_K=kelvin)
        dynamics.run(int(250 * picoseconds))
    return np.array(positions), atoms.cell[:]


def test_emt_copper_solid_and_molten():
    solid = host_state(*molecular_dynamics((900.0, 0.8)), 20.0, window_ps=0.2)
    assert solid.lindemann.max() < 0.12
    assert host_warnings(solid) == []
    liquid = host_state(*molecular_dynamics((6000.0, 0.6), (2500.0, 1.6)), 20.0, window_ps=0.55)
    (warning,) = host_warnings(liquid)
    assert warning.kind == 'melting'
    assert warning.time_ps < 0.6
    assert liquid.lattices[-1] == 'other'
    assert 'molten' in warning.message


def test_a_melt_from_a_brownian_walk_has_its_time(rng):
    atoms = HOSTS['fcc']
    walk = np.cumsum(0.2 * rng.normal(size=(240, 108, 3)) * (np.arange(240) >= 100)[:, None, None], axis=0)
    (warning,) = host_warnings(host_state(vibrate(rng, atoms.positions, amplitude=0.1) + walk, atoms.cell[:], 100.0))
    assert warning.kind == 'melting'
    assert warning.time_ps == pytest.approx(10.0)


def bain(positions, cell, ratio):
    """Stretch along z at constant volume: bcc at 1, fcc at √2."""
    strain = np.diag([ratio ** (-1 / 3), ratio ** (-1 / 3), ratio ** (2 / 3)])
    return positions @ strain, cell @ strain


def test_bain_path_from_bcc_to_fcc(rng):
    atoms = HOSTS['bcc']
    before = vibrate(rng, atoms.positions, frames=120, amplitude=0.1)
    positions, cell = bain(atoms.positions, atoms.cell[:], np.sqrt(2))
    after = vibrate(rng, positions, frames=120, amplitude=0.1)
    cells = np.concatenate([np.broadcast_to(atoms.cell[:], (120, 3, 3)), np.broadcast_to(cell, (120, 3, 3))])
    state = host_state(np.concatenate([before, after]), cells, 100.0, window_ps=2.0)
    assert (state.lattices[0], state.lattices[-1]) == ('bcc', 'fcc')
    assert state.moved_fraction.max() == 0.0
    (warning,) = host_warnings(state)
    assert warning.kind == 'phase_change'
    assert warning.time_ps == pytest.approx(12.0)
    assert 'bcc to fcc' in warning.message


def test_burgers_path_from_bcc_to_hcp_in_a_fixed_cell(rng):
    """Alternate (110) planes of bcc slide; the cell has the shape of the hcp crystal from the start."""
    a, c = 3.2, 3.2 * np.sqrt(8 / 3)
    cell = np.diag([a, np.sqrt(3) * a, c])
    hcp = np.array([[0, 0, 0], [0.5, 0.5, 0], [0, 1 / 3, 0.5], [0.5, 5 / 6, 0.5]])
    bcc = hcp - [[0, 0, 0], [0, 0, 0], [0, -1 / 6, 0], [0, -1 / 6, 0]]
    cubic = np.diag([3.6, 3.6 * np.sqrt(2), 3.6 * np.sqrt(2)])
    offsets = np.array(list(np.ndindex(4, 3, 3)))
    scaled = [(offsets[:, None] + basis).reshape(-1, 3) for basis in (bcc, hcp)]
    frames = [vibrate(rng, s @ c, frames=100, amplitude=0.08) for s, c in zip(scaled, (cubic, cell), strict=True)]
    cells = np.concatenate([np.broadcast_to(c * [[4], [3], [3]], (100, 3, 3)) for c in (cubic, cell)])
    state = host_state(np.concatenate(frames), cells, 100.0, window_ps=2.0)
    assert (state.lattices[0], state.lattices[-1]) == ('bcc', 'hcp')
    (warning,) = host_warnings(state)
    assert warning.kind == 'phase_change'
    assert warning.time_ps == pytest.approx(10.0)


def test_an_unnamed_lattice_that_changes(rng):
    """From diamond to β-tin along its tetragonal path at constant volume."""
    atoms = HOSTS['other']
    positions, cell = bain(atoms.positions, atoms.cell[:], 0.39)
    cells = np.concatenate([np.broadcast_to(x, (100, 3, 3)) for x in (atoms.cell[:], cell)])
    frames = [vibrate(rng, x, frames=100, amplitude=0.1) for x in (atoms.positions, positions)]
    (warning,) = host_warnings(host_state(np.concatenate(frames), cells, 100.0))
    assert warning.kind == 'phase_change'


def test_atoms_that_exchange_places_are_neither(rng):
    """Self-diffusion by an exchange leaves the crystal what it is."""
    atoms = HOSTS['fcc']
    order = np.arange(108)
    order[[0, 1]] = [1, 0]
    frames = [vibrate(rng, x, frames=120, amplitude=0.1) for x in (atoms.positions, atoms.positions[order])]
    state = host_state(np.concatenate(frames), atoms.cell[:], 100.0)
    assert state.moved_fraction[-1] == pytest.approx(2 / 108)
    assert host_warnings(state) == []


def test_short_runs_have_four_windows(rng):
    atoms = HOSTS['fcc']
    state = host_state(vibrate(rng, atoms.positions, frames=40, amplitude=0.1), atoms.cell[:], 10.0)
    assert len(state.lattices) == 4
    assert state.window_ps == pytest.approx(0.1)
    assert host_warnings(state) == []


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'host_positions': np.zeros((7, 4, 3))},
            'host_positions has 7 frames: the state of the host needs at least 8',
        ),
        ({'host_positions': np.zeros((9, 0, 3))}, 'host_positions is empty'),
        ({'window_ps': 0.0}, 'window_ps must be positive, not 0.0'),
        ({'cells': np.zeros((3, 3))}, 'volume'),
    ],
)
def test_refuses(changes, message):
    arguments = {'host_positions': np.zeros((9, 4, 3)), 'cells': np.eye(3), 'timestep_fs': 10.0, **changes}
    with pytest.raises(ValueError, match=message):
        host_state(**arguments)
