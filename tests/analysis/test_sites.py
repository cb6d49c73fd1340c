"""The averaged host, its lattice, its interstitial sites, and the nearest site of an atom."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial import cKDTree

from aiida_hdiff.analysis import average_host, find_sites, lattice_type, nearest_sites
from aiida_hdiff.sampling import find_interstitial_sites

FCC = bulk('Ni', 'fcc', a=3.52, cubic=True)
BCC = bulk('Nb', 'bcc', a=3.3, cubic=True)
HCP = bulk('Mg', 'hcp', a=3.21, c=5.21)
SITES_PER_ATOM = {'fcc': (1, 2), 'bcc': (3, 6), 'hcp': (1, 2)}
HOSTS = {
    'fcc-108': (FCC * (3, 3, 3), 'fcc'),
    'fcc-primitive': (bulk('Ni', 'fcc', a=3.52), 'fcc'),
    'fcc-triclinic': (bulk('Pd', 'fcc', a=3.89) * (3, 4, 3), 'fcc'),
    'bcc-54': (BCC * (3, 3, 3), 'bcc'),
    'bcc-triclinic': (bulk('Fe', 'bcc', a=2.87) * (4, 3, 4), 'bcc'),
    'hcp-36': (HCP * (3, 3, 2), 'hcp'),
    'hcp-primitive': (HCP, 'hcp'),
    'hcp-flat': (bulk('Be', 'hcp', a=2.29, c=2.29 * 1.5) * (4, 4, 3), 'hcp'),
    'hcp-tall': (bulk('Zn', 'hcp', a=2.66, c=2.66 * 1.86) * (4, 4, 3), 'hcp'),
}
STRAIN = np.array([[1.03, 0.02, 0.0], [0.0, 0.98, 0.015], [0.01, 0.0, 1.0]])


def blurred(atoms, sigma, seed=1):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0.0, sigma, atoms.positions.shape)
    atoms.positions += (5.0, -30.0, 0.7)
    return atoms


def sites_of(atoms):
    return find_sites(atoms.positions, atoms.cell.array)


def offsets(first, second, cell):
    """Distances from each of the first points to the nearest of the second, with periodic boundaries."""
    scaled = (first[:, None] - second[None]) @ np.linalg.inv(cell)
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    vectors = (scaled - np.round(scaled))[..., None, :] + shifts
    return np.linalg.norm(vectors @ cell, axis=-1).min(axis=(1, 2))


@pytest.mark.parametrize('name', HOSTS)
@pytest.mark.parametrize('sigma', [0.0, 0.05])
@pytest.mark.parametrize('strained', [False, True])
def test_sites_per_host_atom(name, sigma, strained):
    """1 octahedral and 2 tetrahedral sites per atom in fcc and hcp, 3 and 6 in bcc: textbook crystallography."""
    atoms, lattice = HOSTS[name]
    if strained:
        atoms = atoms.copy()
        atoms.set_cell(atoms.cell.array @ STRAIN, scale_atoms=True)
    sites = sites_of(blurred(atoms, sigma))
    assert sites.lattice == lattice
    assert sites.kind_names == ('octahedral', 'tetrahedral')
    assert (sites.count('octahedral'), sites.count('tetrahedral')) == tuple(
        len(atoms) * n for n in SITES_PER_ATOM[lattice]
    )
    scaled = sites.positions @ np.linalg.inv(sites.cell)
    assert scaled.min() >= -1e-5
    assert scaled.max() < 1.0


def test_positions_in_fcc_are_the_crystallographic_ones():
    sites = sites_of(FCC)
    octahedral = {tuple(np.round(p / 3.52, 6) + 0.0) for p in sites.positions[sites.kinds == 0]}
    assert octahedral == {(0.5, 0.5, 0.5), (0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)}
    assert np.allclose(np.abs(sites.positions[sites.kinds == 1] / 3.52 - 0.5), 0.25)
    assert sites.nearest_distance_A == pytest.approx(3.52 * 3**0.5 / 4)


def test_positions_in_bcc_are_the_crystallographic_ones():
    sites = sites_of(BCC)
    octahedral = Counter(tuple(sorted(np.round(p / 1.65, 6) % 2)) for p in sites.positions[sites.kinds == 0])
    assert octahedral == {(0, 1, 1): 3, (0, 0, 1): 3}
    tetrahedral = Counter(tuple(sorted(np.round(p / 0.825, 6) % 4)) for p in sites.positions[sites.kinds == 1])
    assert tetrahedral == {(0, 1, 2): 6, (0, 2, 3): 6}
    assert sites.nearest_distance_A == pytest.approx(3.3 / 4)
    assert sites.select(['tetrahedral']).nearest_distance_A == pytest.approx(3.3 / 8**0.5)


def test_positions_in_hcp_follow_c():
    a, c = 3.21, 5.0
    sites = sites_of(bulk('Mg', 'hcp', a=a, c=c) * (3, 3, 2))
    octahedral = sites.positions[sites.kinds == 0]
    assert offsets(octahedral, octahedral + np.array([0, 0, c / 2]), sites.cell) == pytest.approx(0.0, abs=1e-6)
    host = (bulk('Mg', 'hcp', a=a, c=c) * (3, 3, 2)).positions
    assert offsets(octahedral, host, sites.cell) == pytest.approx((a**2 / 3 + c**2 / 16) ** 0.5)
    assert sites.nearest_distance_A == pytest.approx(c / 4)


@pytest.mark.parametrize('name', ['fcc-triclinic', 'bcc-54', 'hcp-36', 'hcp-tall'])
def test_agreement_with_the_sites_for_insertion(name):
    """The finder that inserts hydrogen works on polyhedra of atoms; both must put the sites in the same places."""
    atoms = blurred(HOSTS[name][0], 0.04)
    found = sites_of(atoms)
    expected = find_interstitial_sites(atoms)
    assert len(found) == len(expected)
    for kind in found.kind_names:
        ours = found.positions[found.kinds == found.kind_names.index(kind)]
        theirs = np.array([site.position for site in expected if site.kind == kind])
        assert offsets(ours, theirs, found.cell).max() < 1e-6


def test_other_lattices_have_sites_named_by_coordination():
    cubic = sites_of(blurred(bulk('Po', 'sc', a=3.35) * (3, 3, 3), 0.03))
    assert (cubic.lattice, cubic.kind_names, len(cubic)) == ('other', ('8-coordinated',), 27)
    diamond = sites_of(bulk('Si', 'diamond', a=5.43, cubic=True))
    assert diamond.lattice == 'other'
    cage = diamond.positions[diamond.kinds == diamond.kind_names.index('tetrahedral')]
    assert offsets(np.array([[0.5, 0.5, 0.5]]) * 5.43, cage, diamond.cell) == pytest.approx(0.0, abs=1e-6)


def test_a_vacancy_is_a_site_and_leaves_the_others():
    atoms = blurred(FCC * (3, 3, 3), 0.02)
    del atoms[40]
    sites = sites_of(atoms)
    assert sites.lattice == 'fcc'
    assert sites.count('octahedral') >= 108 - 6
    assert sites.count('tetrahedral') >= 216 - 8


def test_lattice_type_of_a_faulted_stacking_is_other():
    """Half of the layers of dhcp are stacked like fcc, half like hcp."""
    shift = np.array([1 / 3, 1 / 3])
    scaled = [[*(shift * n), 0.25 * i] for i, n in enumerate((0, 1, 0, 2))]
    dhcp = Atoms('La4', scaled_positions=scaled, cell=[3.77, 3.77, 12.2, 90, 90, 60], pbc=True) * (3, 3, 1)
    assert lattice_type(dhcp.positions, dhcp.cell.array) == 'other'
    sites = sites_of(dhcp)
    assert (sites.count('octahedral'), sites.count('tetrahedral')) == (len(dhcp), 2 * len(dhcp))


def test_select():
    sites = sites_of(FCC)
    octahedral = sites.select(['octahedral'])
    assert (octahedral.kind_names, len(octahedral)) == (('octahedral',), 4)
    assert np.all(octahedral.kinds == 0)
    assert sites.select(['tetrahedral', 'octahedral']).kind_names == sites.kind_names
    with pytest.raises(ValueError, match="no 'cubic' sites: choose from octahedral, tetrahedral"):
        sites.select(['cubic'])


def test_errors_of_find_sites():
    with pytest.raises(ValueError, match='no host atoms'):
        find_sites(np.empty((0, 3)), np.eye(3))
    with pytest.raises(ValueError, match=r'shape \(n_host, 3\), not \(2, 4, 3\)'):
        find_sites(np.zeros((2, 4, 3)), np.eye(3))
    with pytest.raises(ValueError, match='cells must have shape'):
        find_sites(FCC.positions, np.eye(2))
    with pytest.raises(ValueError, match='volume'):
        find_sites(FCC.positions, np.zeros((3, 3)))
    with pytest.raises(ValueError, match='not finite'):
        find_sites(np.full((4, 3), np.nan), np.eye(3))


# --- averaged host


def host_run(rng, n_frames=400, sigma=0.15, drift=0.01):
    atoms = FCC * (2, 2, 2)
    run = atoms.positions + rng.normal(0.0, sigma, (n_frames, len(atoms), 3))
    return atoms, run + drift * np.arange(n_frames)[:, None, None]


def test_average_removes_the_drift(rng):
    atoms, run = host_run(rng)
    host = average_host([run[:130], run[130:]], atoms.cell.array)
    assert host.drift_A == pytest.approx(run.mean(axis=1) - run[0].mean(axis=0))
    assert np.abs(host.positions - atoms.positions).max() < 5 * 0.15 / 400**0.5 + 0.15  # the first frame's mean is kept
    centred = host.positions - host.positions.mean(axis=0) - (atoms.positions - atoms.positions.mean(axis=0))
    assert centred.std() == pytest.approx(0.15 / 400**0.5, rel=0.2)
    assert host.rms_displacement_A == pytest.approx(0.15 * 3**0.5, rel=0.03)
    whole = average_host([run], atoms.cell.array)
    assert whole.positions == pytest.approx(host.positions, abs=1e-12)


def test_a_molten_host_is_refused(rng):
    atoms, run = host_run(rng, drift=0.0)
    molten = run + np.cumsum(rng.normal(0.0, 0.1, run.shape), axis=0)
    with pytest.raises(ValueError, match=r'no lattice: its atoms are spread by \d\.\d\d Å \(rms\).*solid'):
        average_host([molten], atoms.cell.array)


def test_host_atoms_that_meet_are_refused(rng):
    atoms, run = host_run(rng, sigma=0.02)
    run[:, 3] = run[:, 4] + 0.1
    with pytest.raises(ValueError, match=r'two averaged host atoms are 0\.17 Å apart'):
        average_host([run], atoms.cell.array)


def test_errors_of_average_host(rng):
    atoms, run = host_run(rng)
    cell = atoms.cell.array
    with pytest.raises(ValueError, match='no frames'):
        average_host([], cell)
    with pytest.raises(ValueError, match='32 and 31 atoms'):
        average_host([run, run[:, :31]], cell)
    with pytest.raises(ValueError, match='host_positions is empty'):
        average_host([run[:, :0]], cell)
    with pytest.raises(ValueError, match='shape'):
        average_host([run[0]], cell)
    with pytest.raises(ValueError, match='cells must have shape'):
        average_host([run], np.broadcast_to(cell, (400, 3, 3)))


# --- nearest site


def brute_force(points, sites):
    """Nearest site over the cell and two layers of images."""
    shifts = np.array(list(np.ndindex(5, 5, 5))) - 2
    wrapped = points - np.floor(points @ np.linalg.inv(sites.cell)) @ sites.cell
    images = (sites.positions[None] + (shifts @ sites.cell)[:, None]).reshape(-1, 3)
    return cKDTree(images).query(wrapped)[1] % len(sites)


@pytest.mark.parametrize('name', ['fcc-triclinic', 'fcc-primitive', 'bcc-54', 'hcp-36'])
@pytest.mark.parametrize('step', [0.03, 1.0])
def test_nearest_sites_are_exact(rng, name, step):
    """Slow paths use the last site, fast ones the tree: both must agree with a search over all images."""
    sites = sites_of(blurred(HOSTS[name][0], 0.04))
    positions = np.cumsum(rng.normal(0.0, step, (4000, 2, 3)), axis=0)
    found = nearest_sites(positions, sites)
    assert found.dtype == np.int32
    assert np.array_equal(found, brute_force(positions.reshape(-1, 3), sites).reshape(4000, 2))


def test_sparse_sites_need_far_images(rng):
    """Few sites in a long thin cell: the nearest may lie beyond the first layer of images."""
    sites = sites_of(HOSTS['fcc-108'][0]).select(['octahedral'])
    cell = np.array([[2.0, 0, 0], [0, 30.0, 0], [0.7, 0, 25.0]])
    few = replace(sites, positions=np.array([[0.1, 0.2, 0.3], [0.5, 1.0, 0.9]]), kinds=np.zeros(2, int), cell=cell)
    points = rng.uniform(-60, 60, (500, 1, 3))
    shifts = np.array(list(np.ndindex(41, 7, 7))) - [20, 3, 3]
    images = (few.positions[None] + (shifts @ cell)[:, None]).reshape(-1, 3)
    wrapped = points[:, 0] - np.floor(points[:, 0] @ np.linalg.inv(cell)) @ cell
    assert np.array_equal(nearest_sites(points, few)[:, 0], cKDTree(images).query(wrapped)[1] % 2)


def test_agreement_with_site_analysis():
    """The Voronoi analysis of the independent package site_analysis, where it is installed."""
    site_analysis = pytest.importorskip('site_analysis')
    core = pytest.importorskip('pymatgen.core')
    atoms = HOSTS['fcc-108'][0]
    sites = sites_of(atoms)
    cell = atoms.cell.array
    hydrogen = np.random.default_rng(4).uniform(0, 1, (40, 2, 3)) @ cell
    scaled = sites.positions @ np.linalg.inv(cell)
    voronoi = [site_analysis.voronoi_site.VoronoiSite(frac_coords=s) for s in scaled]
    collection = site_analysis.voronoi_site_collection.VoronoiSiteCollection(voronoi)
    numbers = [site.index for site in voronoi]
    tracked = [site_analysis.atom.Atom(index=i) for i in range(2)]
    for frame, ours in zip(hydrogen, nearest_sites(hydrogen, sites), strict=True):
        structure = core.Structure(cell, ['H', 'H'], frame, coords_are_cartesian=True, to_unit_cell=True)
        collection.analyse_structure(tracked, structure)
        assert [numbers.index(atom.in_site) for atom in tracked] == ours.tolist()


def test_errors_of_nearest_sites():
    sites = sites_of(FCC)
    with pytest.raises(ValueError, match='no sites'):
        nearest_sites(np.zeros((3, 1, 3)), sites.__class__(np.empty((0, 3)), np.empty(0, int), (), sites.cell, 'other'))
    with pytest.raises(ValueError, match='shape'):
        nearest_sites(np.zeros((3, 3)), sites)
    with pytest.raises(ValueError, match='not finite: frame 1'):
        nearest_sites(np.array([[[0.0, 0, 0]], [[np.nan, 0, 0]]]), sites)
