"""Interstitial sites and the insertion of hydrogen."""

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.sampling import find_interstitial_sites, host_structure, insert_interstitials
from aiida_hdiff.sampling.hosts import HOSTS, supercell

SITES_PER_ATOM = {'fcc': (1, 2), 'hcp': (1, 2), 'bcc': (3, 6)}


def count(atoms):
    kinds = Counter(site.kind for site in find_interstitial_sites(atoms))
    return kinds['octahedral'], kinds['tetrahedral']


@pytest.mark.parametrize('host', HOSTS, ids=lambda host: f'{host.lattice}-{host.symbol}')
@pytest.mark.parametrize('repeats', [(1, 1, 1), (2, 3, 2)])
@pytest.mark.parametrize('displacement', [0.0, 0.05])
def test_site_counts(host, repeats, displacement):
    atoms = supercell(host_structure(host.symbol, host.lattice), repeats)
    atoms.rattle(displacement, seed=1)
    atoms.positions += [0.3, -7.0, 0.1]
    per_atom = SITES_PER_ATOM[host.lattice]
    assert count(atoms) == tuple(len(atoms) * number for number in per_atom)


@pytest.mark.parametrize(('symbol', 'lattice'), [('Ni', 'fcc'), ('Fe', 'bcc')])
def test_primitive_cell(symbol, lattice):
    atoms = bulk(symbol, lattice, a=3.0)
    assert count(atoms) == SITES_PER_ATOM[lattice]


def test_strained_and_sheared_cell():
    atoms = supercell(host_structure('Ni'), (2, 2, 2))
    atoms.set_cell(atoms.cell.array @ [[1.03, 0.02, 0], [0, 0.98, 0.01], [0, 0, 1]], scale_atoms=True)
    assert count(atoms) == (32, 64)


def test_fcc_positions_are_the_crystallographic_ones():
    a = 3.52
    sites = find_interstitial_sites(host_structure('Ni', a_A=a))
    octahedral = {tuple(np.round(s.position / a, 6)) for s in sites if s.kind == 'octahedral'}
    assert octahedral == {(0.5, 0.5, 0.5), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5)}
    tetrahedral = np.array([s.position / a for s in sites if s.kind == 'tetrahedral'])
    assert np.allclose(np.abs(tetrahedral - 0.5), 0.25)
    assert {round(s.host_distance_A / a, 6) for s in sites} == {0.5, round(3**0.5 / 4, 6)}
    assert all(len(s.neighbours) == (6 if s.kind == 'octahedral' else 4) for s in sites)


def test_bcc_positions_are_the_crystallographic_ones():
    a = 2.87
    sites = find_interstitial_sites(host_structure('Fe', a_A=a))
    distances = {(s.kind, round(s.host_distance_A / a, 6)) for s in sites}
    assert distances == {('octahedral', 0.5), ('tetrahedral', round(5**0.5 / 4, 6))}


def test_sites_ignore_hydrogen_in_the_host():
    host = supercell(host_structure('Pd'), (2, 2, 2))
    assert count(insert_interstitials(host, n_hydrogen=3, seed=1)) == (32, 64)


@pytest.mark.parametrize('sites', ['octahedral', 'tetrahedral', 'mixed', 'random'])
def test_insertion(sites):
    host = supercell(host_structure('Mg'), (4, 4, 4))
    first = insert_interstitials(host, ratio=1 / 16, sites=sites, seed=5)
    again = insert_interstitials(host, n_hydrogen=8, sites=sites, seed=5)
    other = insert_interstitials(host, n_hydrogen=8, sites=sites, seed=6)
    assert first == again
    assert first != other
    assert len(host) == 128
    assert first[:128] == host
    assert first.get_chemical_symbols()[128:] == ['H'] * 8
    distances = first.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    assert distances[128:, 128:].min() >= 1.8
    assert distances[128:].min() >= 1.2


def test_second_insertion_avoids_the_first():
    host = supercell(host_structure('Ni'), (2, 2, 2))
    half = insert_interstitials(host, n_hydrogen=16, seed=1)
    full = insert_interstitials(half, n_hydrogen=16, seed=2)
    assert len(full) == 64
    assert full.get_all_distances(mic=True)[np.triu_indices(64, 1)].min() > 1.7
    with pytest.raises(ValueError, match='no room for 1 H on 0 free sites'):
        insert_interstitials(full, n_hydrogen=1, seed=3)


def test_cell_as_small_as_one_conventional_cell():
    assert insert_interstitials(host_structure('Ni'), ratio=1, seed=1).get_chemical_formula() == 'H4Ni4'


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'either `n_hydrogen` or `ratio`'),
        ({'n_hydrogen': 1, 'ratio': 0.1}, 'not both'),
        ({'ratio': 0.01}, 'less than one H.*at least 0.25'),
        ({'ratio': -1}, 'positive'),
        ({'ratio': float('nan')}, 'positive'),
        ({'n_hydrogen': 0}, 'at least 1'),
        ({'n_hydrogen': 1.5}, 'whole number'),
        ({'n_hydrogen': 5}, 'no room for 5 H on 4 free sites.*at most 4'),
        ({'n_hydrogen': 60, 'sites': 'random'}, 'no room for 60 H'),
        ({'n_hydrogen': 1, 'sites': 'octahedra'}, 'choose one of octahedral, tetrahedral'),
        ({'n_hydrogen': 1, 'seed': -1}, '`seed` is -1'),
        ({'n_hydrogen': 1, 'seed': None}, '`seed` is None'),
        ({'n_hydrogen': 1, 'min_distance_A': -1}, 'min_distance_A'),
        ({'n_hydrogen': 1, 'min_host_distance_A': 1.9}, 'widest has 1.76 Å'),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        insert_interstitials(host_structure('Ni'), **{'seed': 1, **settings})


def test_errors_of_hosts_without_sites():
    with pytest.raises(ValueError, match='no host atom'):
        insert_interstitials(Atoms('H', cell=[3, 3, 3], pbc=True), n_hydrogen=1, seed=1)
    with pytest.raises(ValueError, match='no host atom'):
        find_interstitial_sites(Atoms('H', cell=[3, 3, 3], pbc=True))
    with pytest.raises(ValueError, match='no cell volume'):
        find_interstitial_sites(Atoms('Ni4', positions=np.eye(4, 3)))
    with pytest.raises(ValueError, match='enclose no volume'):
        find_interstitial_sites(Atoms('Ni', cell=[3, 3, 3]))
    simple_cubic = Atoms('Po', cell=[3.3] * 3, pbc=True)
    with pytest.raises(ValueError, match='no octahedral sites'):
        insert_interstitials(simple_cubic, n_hydrogen=1, seed=1)


def test_slab_has_sites_inside_only():
    slab = supercell(host_structure('Ni'), (2, 2, 3))
    slab.center(vacuum=8, axis=2)
    slab.pbc = (True, True, False)
    sites = find_interstitial_sites(slab)
    heights = [site.position[2] for site in sites]
    assert sites
    assert min(heights) >= slab.positions[:, 2].min()
    assert max(heights) <= slab.positions[:, 2].max()


def test_host_structure():
    mg = host_structure('Mg')
    assert len(mg) == 2
    assert mg.cell.lengths() == pytest.approx([3.2094, 3.2094, 5.2105])
    assert len(host_structure('Ni')) == 4
    assert host_structure('Ti', 'bcc').cell.lengths() == pytest.approx([3.3065] * 3)
    assert host_structure('W', 'bcc', a_A=3.165).cell.lengths() == pytest.approx([3.165] * 3)
    assert host_structure('Mg', c_A=5.3).cell.lengths()[2] == pytest.approx(5.3)
    with pytest.raises(ValueError, match=r'hcp Mg.*bcc V'):
        host_structure('W')
    with pytest.raises(ValueError, match='choose one of fcc'):
        host_structure('Ni', 'diamond')
    with pytest.raises(ValueError, match='cubic'):
        host_structure('Ni', c_A=3)
    with pytest.raises(ValueError, match='positive length'):
        host_structure('Ni', a_A=-3)
    with pytest.raises(ValueError, match='three whole numbers'):
        supercell(mg, (1, 2, 0))
