"""Close contacts, paths between sites, and the frames of hot runs that are labelled."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.sampling.close_contacts import ContactSettings, close_contacts, contact_warnings, shortest_distances
from aiida_hdiff.sampling.hot_frames import (
    chosen_frames,
    frame_with_nearest_hydrogen,
    n_before_expansion,
    nearest_distance_A,
)
from aiida_hdiff.sampling.site_paths import site_paths
from tests.conftest import nickel_hydride

STRUCTURES = [nickel_hydride(2, 1), nickel_hydride(2, 3)]


def nearest(atoms, pair):
    """Return the shortest distance of a pair of elements."""
    first, second = (np.flatnonzero(np.array(atoms.get_chemical_symbols()) == symbol) for symbol in pair.split('-'))
    distances = atoms.get_all_distances(mic=True)[np.ix_(first, second)]
    return distances[distances > 0].min()


def test_each_frame_has_the_contact_that_it_says():
    settings = ContactSettings(n_frames=40, seed=3)
    found = close_contacts(STRUCTURES, settings)
    assert [pair for _, pair in found] == ['H-H', 'H-Ni'] * 20
    for atoms, pair in found:
        low, high = settings.h_h_A if pair == 'H-H' else settings.h_host_A
        assert low <= nearest(atoms, pair) <= high + 1e-9
        other = 'H-Ni' if pair == 'H-H' else 'Ni-Ni'
        assert nearest(atoms, other) > 0.8
        scaled = atoms.get_scaled_positions(wrap=False)
        assert ((scaled >= -1e-6) & (scaled < 1.0)).all()
    lengths = np.array([nearest(atoms, pair) for atoms, pair in found[1::2]])
    assert lengths.min() < 1.05 < 1.5 < lengths.max()


def test_a_lonely_hydrogen_gets_company_and_the_input_stays_as_it_is():
    before = STRUCTURES[0].positions.copy()
    (atoms, _), *_ = close_contacts(STRUCTURES[:1], ContactSettings(n_frames=1, seed=1))
    assert (atoms.numbers == 1).sum() == 2
    np.testing.assert_array_equal(STRUCTURES[0].positions, before)


def test_the_seed_decides():
    one, same, other = (close_contacts(STRUCTURES, ContactSettings(n_frames=4, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[3][0].positions, same[3][0].positions)
    assert not np.allclose(one[3][0].positions, other[3][0].positions)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'seed': 1}, '`n_frames` is None: give a whole number of at least 1'),
        ({'n_frames': 2}, '`seed` is None'),
        ({'n_frames': 2, 'seed': 1, 'range': 2}, 'unknown setting `range`'),
        ({'n_frames': 2, 'seed': 1, 'h_h_A': [2.0, 1.0]}, 'give the smallest and the largest distance'),
        ({'n_frames': 2, 'seed': 1, 'rattle_A': 0.7}, '`rattle_A` is 0.7: give a number from 0 to 0.5'),
    ],
)
def test_settings_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ContactSettings.from_dict(values)


def test_structures_that_are_refused():
    with pytest.raises(ValueError, match='no structures'):
        close_contacts([], ContactSettings(n_frames=1, seed=1))
    with pytest.raises(ValueError, match='Ni is no host with hydrogen'):
        close_contacts([bulk('Ni')], ContactSettings(n_frames=1, seed=1))


def labelled(atoms):
    return LabelledFrame(
        numbers=atoms.numbers.astype(np.int64), positions=atoms.positions, cell=atoms.cell.array, energy=0.0,
        forces=np.zeros((len(atoms), 3)), pbc=(True, True, True),
    )  # fmt: skip


def test_warnings_name_the_pairs_without_contacts():
    calm = LabelledFrames.from_frames([labelled(atoms) for atoms in STRUCTURES])
    found = shortest_distances(calm)
    assert found['H-Ni'] == pytest.approx(1.76)
    assert any('no close contacts of H-Ni: the nearest are 1.76 Å apart' in text for text in contact_warnings(found))
    frames = [atoms for atoms, _ in close_contacts(STRUCTURES, ContactSettings(n_frames=30, seed=1))]
    close = LabelledFrames.from_frames([labelled(atoms) for atoms in frames])
    assert contact_warnings(shortest_distances(close)) == []
    assert contact_warnings({'Ni-Ni': 2.4}) == []


@pytest.mark.parametrize(
    ('host', 'ratios'),
    [
        (bulk('Ni', 'fcc', a=3.52, cubic=True) * 2, (0.5, 3**0.5 / 4)),
        (bulk('Mg', 'hcp', a=3.2, c=3.2 * (8 / 3) ** 0.5) * (3, 3, 2), (0.4082, 0.6124)),
    ],
    ids=['fcc', 'hcp'],
)
def test_paths_join_the_nearest_sites(host, ratios):
    """Distances in units of the lattice constant a of the ideal lattices."""
    lattice = 3.52 if host.symbols[0] == 'Ni' else 3.2
    paths = site_paths(host, 5)
    for name, ratio in zip(('T-T', 'T-O'), ratios, strict=True):
        images = paths[name]
        assert len(images) == 5
        assert all(atoms.get_chemical_formula().endswith(host.symbols[0] + str(len(host))) for atoms in images)
        ends = images[0].copy()
        ends.extend(images[-1][-1:])
        assert ends.get_distance(-1, -2, mic=True) == pytest.approx(ratio * lattice, abs=2e-3)
        np.testing.assert_allclose(images[0].positions[:-1], images[-1].positions[:-1])
    assert nearest(paths['T-O'][-1], f'H-{host.symbols[0]}') == pytest.approx(
        lattice * (0.5 if lattice > 3.4 else 0.5**0.5), abs=2e-3
    )


def test_hydrogen_of_the_host_is_left_out():
    assert all((atoms.numbers == 1).sum() == 1 for atoms in site_paths(nickel_hydride(2, 3), 3)['T-O'])


@pytest.mark.parametrize(
    ('n_frames', 'n_wanted', 'failed', 'expected'),
    [
        (1, 5, True, []),
        (2, 5, False, [1]),
        (11, 2, False, [5, 10]),
        (11, 2, True, [5, 8, 9, 10]),
        (4, 10, True, [1, 2, 3]),
    ],
)
def test_frames_of_a_run(n_frames, n_wanted, failed, expected):
    assert chosen_frames(n_frames, n_wanted, failed=failed) == expected


def test_nearest_distance():
    assert nearest_distance_A(nickel_hydride(2, 1)) == pytest.approx(1.76)
    assert nearest_distance_A(bulk('Mg', 'hcp', a=3.2, c=5.2)) == float('inf')


@pytest.mark.parametrize(
    ('volumes', 'n_frames'),
    [([100.0, 110.0, 120.0], 3), ([100.0, 110.0, 131.0, 100.0], 2), ([100.0, 69.0], 1), ([100.0], 1), ([], 0)],
)
def test_a_run_ends_where_its_volume_has_changed_too_much(volumes, n_frames):
    assert n_before_expansion(volumes, 0.3) == n_frames


def test_the_frame_with_the_nearest_pair_of_hydrogen():
    frames = [
        Atoms('HHNi', [[0.2, 0, 0], [x, 0, 0], [4.0, 4.0, 4.0]], cell=[8.0] * 3, pbc=True) for x in (3.0, 7.0, 0.5)
    ]
    assert frame_with_nearest_hydrogen(frames, 0.6) == 1, 'across the boundary; the last one is too near'
    assert frame_with_nearest_hydrogen(frames, 0.1) == 2
    assert frame_with_nearest_hydrogen(frames, 4.0) is None
    assert frame_with_nearest_hydrogen([one[1:] for one in frames], 0.6) is None
    assert frame_with_nearest_hydrogen([], 0.6) is None


def test_distances_of_contacts_cover_their_range():
    settings = ContactSettings(n_frames=20, seed=3, rattle_A=0.0)
    found = [atoms.get_distance(*np.flatnonzero(atoms.numbers == 1)[:2], mic=True)
             for atoms, pair in close_contacts(STRUCTURES[:1], settings) if pair == 'H-H']  # fmt: skip
    low, high = settings.h_h_A
    parts = np.floor((np.array(found) - low) / (high - low) * len(found))
    assert sorted(parts) == list(range(len(found)))
