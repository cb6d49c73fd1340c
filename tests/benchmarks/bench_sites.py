"""CPU time and memory of the assignment of hydrogen to interstitial sites, against GEMDAT and site_analysis.

Run `python tests/benchmarks/bench_sites.py [n_frames] [n_atoms]` where the peers are installed; without them only the
rows of this package and of a plain k-d tree are printed. On a shared machine trust only the ratios.
"""

import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from ase.build import bulk
from scipy.spatial import cKDTree

from aiida_hdiff.analysis import find_jumps, find_sites, find_stays, nearest_sites
from tests.analysis.models import vibration
from tests.analysis.site_walks import site_walk

SAMPLE = 500
"""Frames given to site_analysis, whose time is scaled up."""


def measured(function):
    """Return CPU seconds, the result, and in a second call the memory beyond the input in MB."""
    start = time.process_time()
    result = function()
    seconds = time.process_time() - start
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return seconds, result, peak


def plain_tree(positions, sites):
    """One query for all points in a tree of the sites and the images in the 26 cells around."""
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    tree = cKDTree((sites.positions[None] + (shifts @ sites.cell)[:, None]).reshape(-1, 3))
    scaled = positions.reshape(-1, 3) @ np.linalg.inv(sites.cell)
    nearest = tree.query((scaled - np.floor(scaled)) @ sites.cell)[1] % len(sites)
    return nearest.reshape(positions.shape[:2])


def gemdat(positions, sites):
    """The spheres of GEMDAT, of half the distance of the nearest sites."""
    from gemdat.trajectory import Trajectory
    from gemdat.transitions import _calculate_atom_states
    from pymatgen.core import Structure

    scaled = positions @ np.linalg.inv(sites.cell)
    structure = Structure(sites.cell, ['H'] * len(sites), sites.positions, coords_are_cartesian=True)
    trajectory = Trajectory(
        species=['H'] * positions.shape[1], coords=scaled % 1.0, lattice=sites.cell, time_step=1e-14, metadata={}
    )
    radius = 0.499 * sites.nearest_distance_A
    return lambda: _calculate_atom_states(
        sites=structure, trajectory=trajectory, site_radius={'': radius}, site_inner_fraction={'': 1.0}
    )


def site_analysis(positions, sites):
    """The Voronoi sites of site_analysis for a few frames."""
    from pymatgen.core import Structure
    from site_analysis.atom import Atom
    from site_analysis.voronoi_site import VoronoiSite
    from site_analysis.voronoi_site_collection import VoronoiSiteCollection

    voronoi = [VoronoiSite(frac_coords=s) for s in sites.positions @ np.linalg.inv(sites.cell)]
    order = {site.index: number for number, site in enumerate(voronoi)}
    collection = VoronoiSiteCollection(voronoi)
    atoms = [Atom(index=i) for i in range(positions.shape[1])]
    species = ['H'] * len(atoms)

    def run():
        found = []
        for frame in positions[:SAMPLE]:
            structure = Structure(sites.cell, species, frame, coords_are_cartesian=True, to_unit_cell=True)
            collection.analyse_structure(atoms, structure)
            found.append([order[atom.in_site] for atom in atoms])
        return np.array(found)

    return run


def main(n_frames=100_000, n_atoms=8):
    host = bulk('Mg', 'hcp', a=3.21, c=5.21) * (4, 4, 4)
    rng = np.random.default_rng(1)
    host.positions += rng.normal(0.0, 0.02, host.positions.shape)
    start = time.process_time()
    sites = find_sites(host.positions, host.cell.array)
    print(f'find_sites: {len(sites)} sites of {len(host)} atoms in {time.process_time() - start:.2f} CPU s')
    octahedral = sites.positions[sites.kinds == 0]
    path, n_jumps = site_walk(rng, octahedral, sites.cell, {3.21: 0.1, 2.6: 0.3}, n_frames, n_atoms, 0.01)
    positions = path + vibration(rng, n_frames, n_atoms, 0.01, amplitude=0.25)
    jobs = {
        'nearest_sites': lambda: nearest_sites(positions, sites),
        'find_stays and find_jumps': lambda: find_jumps(find_stays(positions, sites), sites, 10.0),
        'plain k-d tree': lambda: plain_tree(positions, sites),
    }
    for name, prepare in (('GEMDAT atom states', gemdat), ('site_analysis Voronoi', site_analysis)):
        try:
            jobs[name] = prepare(positions, sites)
        except ImportError:
            print(f'{name}: not installed')
    scale = {'site_analysis Voronoi': n_frames / min(SAMPLE, n_frames)}
    print(f'{n_frames} frames of {n_atoms} H, {positions.nbytes / 1e6:.0f} MB, {n_jumps} jumps made')
    own = expected = None
    nearest_sites(positions[:100], sites)
    for name, job in jobs.items():
        seconds, result, peak = measured(job)
        seconds *= scale.get(name, 1.0)
        own = own or seconds
        line = f'{name:28s} {seconds:9.3f} CPU s  x{seconds / own:8.1f} {peak:8.0f} MB'
        if isinstance(result, np.ndarray):
            expected = result if expected is None else expected
            inside = result >= 0
            differ = np.mean(result[inside] != expected[: len(result)][inside])
            line += f'   {inside.mean():7.2%} assigned, {differ:.2%} of them differ'
        else:
            line += f'   {len(result)} jumps found'
        print(line)


if __name__ == '__main__':
    main(*(int(argument) for argument in sys.argv[1:]))
