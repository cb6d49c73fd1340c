"""CPU time of three partial RDFs of 128 Mg + 8 H against freud, MDAnalysis, pymatgen and vesin, in one run.

Run `OMP_NUM_THREADS=1 python tests/benchmarks/bench_rdf.py [n_frames] [n_peer_frames]`. Peers that are not installed are
left out; the time of a peer is measured on fewer frames and scaled. On a shared machine trust only the ratios.
"""

import sys
import time
import tracemalloc
import warnings

import numpy as np
from ase.build import bulk

from aiida_hdiff.analysis import in_sphere_radius_A, radial_distribution

R_MAX, BINS = 5.5, 220
PAIRS = [(12, 12), (12, 1), (1, 1)]


def trajectory(n_frames):
    """Return vibrating hcp Mg with eight H that walk, its cell and atomic numbers; 100 fs between frames."""
    rng = np.random.default_rng(1)
    atoms = bulk('Mg', 'hcp', a=3.2, c=5.19).repeat((4, 4, 4))
    host = atoms.positions + 0.15 * rng.normal(size=(n_frames, 128, 3))
    start = rng.random((8, 3)) @ atoms.cell[:]
    hydrogen = start + np.cumsum(0.3 * rng.normal(size=(n_frames, 8, 3)), axis=0)
    return np.concatenate([host, hydrogen], axis=1), atoms.cell[:], np.array([12] * 128 + [1] * 8)


def own(positions, cell, numbers, r_max=R_MAX):
    result = radial_distribution(positions, cell, numbers, PAIRS, r_max=r_max, bins=BINS)
    return {pair: result.coordination[pair] for pair in PAIRS}


def freud_rdf(positions, cell, numbers, r_max=R_MAX):
    import freud

    freud.parallel.set_num_threads(1)
    box = freud.box.Box.from_matrix(cell.T)
    groups = {z: np.flatnonzero(numbers == z) for z in (12, 1)}
    rdfs = {pair: freud.density.RDF(BINS, r_max) for pair in PAIRS}
    for frame in map(box.wrap, positions):
        for (a, b), rdf in rdfs.items():
            if a == b:
                rdf.compute((box, frame[groups[a]]), reset=False)
            else:
                rdf.compute((box, frame[groups[b]]), query_points=frame[groups[a]], reset=False)
    return {pair: rdf.n_r for pair, rdf in rdfs.items()}


def vesin_rdf(positions, cell, numbers, r_max=R_MAX):
    from vesin import NeighborList

    neighbours = NeighborList(cutoff=r_max, full_list=False)
    hydrogen = (numbers == 1).astype(np.int64)
    counts = np.zeros((3, BINS))
    for frame in positions:
        i, j, distances = neighbours.compute(points=frame, box=cell, periodic=True, quantities='ijd')
        index = (distances * (BINS / r_max)).astype(np.int64) + BINS * (hydrogen[i] + hydrogen[j])
        counts += np.bincount(index, minlength=3 * BINS).reshape(3, BINS)
    ends = np.array([2 / 128, 1 / 128, 2 / 8])[:, None] / len(positions)
    return dict(zip(PAIRS, np.cumsum(counts * ends, axis=1), strict=True))


def mdanalysis_rdf(positions, cell, numbers, r_max=R_MAX):
    import MDAnalysis
    from ase.geometry import cell_to_cellpar
    from MDAnalysis.analysis.rdf import InterRDF
    from MDAnalysis.coordinates.memory import MemoryReader

    dimensions = np.tile(cell_to_cellpar(cell), (len(positions), 1)).astype(np.float32)
    universe = MDAnalysis.Universe.empty(len(numbers), trajectory=False)
    universe.load_new(positions.astype(np.float32), format=MemoryReader, dimensions=dimensions)
    groups = {z: universe.atoms[np.flatnonzero(numbers == z)] for z in (12, 1)}
    for a, b in PAIRS:
        block = (1, 1) if a == b else None
        InterRDF(groups[a], groups[b], nbins=BINS, range=(0.0, r_max), exclusion_block=block).run()


def pymatgen_rdf(positions, cell, numbers, r_max=R_MAX):
    from pymatgen.analysis.diffusion.aimd.rdf import RadialDistributionFunctionFast
    from pymatgen.core import Structure

    species = ['Mg' if z == 12 else 'H' for z in numbers]
    structures = [Structure(cell, species, frame, coords_are_cartesian=True) for frame in positions]
    start = time.process_time()
    rdf = RadialDistributionFunctionFast(structures, rmax=r_max, ngrid=BINS + 1, sigma=0.0)
    for a, b in (('Mg', 'Mg'), ('Mg', 'H'), ('H', 'H')):
        rdf.get_rdf(a, b)
    return time.process_time() - start


PEERS = {
    'vesin + numpy': vesin_rdf,
    'freud RDF': freud_rdf,
    'pymatgen RadialDistributionFunctionFast': pymatgen_rdf,
    'MDAnalysis InterRDF': mdanalysis_rdf,
}


def milliseconds(function, positions, *arguments):
    """CPU time per frame, the smallest of three; a peer whose set-up does not count returns its time."""
    times = []
    for _ in range(3):
        start = time.process_time()
        result = function(positions, *arguments)
        times.append(result if isinstance(result, float) else time.process_time() - start)
    return 1e3 * min(times) / len(positions), result


def main(n_frames=10_000, n_peer_frames=300):
    warnings.simplefilter('ignore')
    positions, cell, numbers = trajectory(n_frames)
    own(positions[:300], cell, numbers)
    tracemalloc.start()
    own(positions, cell, numbers)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    own_time, _ = milliseconds(own, positions, cell, numbers)
    print(
        f'{n_frames} frames of 128 Mg + 8 H, r_max {R_MAX} Å (in-sphere {in_sphere_radius_A(cell):.2f} Å), {BINS} bins'
    )
    print(f'{"":44s}{"ms/frame":>10s}{"s/1e4":>8s}{"ratio":>8s}')
    print(
        f'{"aiida-hdiff radial_distribution":44s}{own_time:10.3f}{10 * own_time:8.2f}{1.0:8.1f}   peak {peak:.1f} MiB'
    )
    few = positions[:n_peer_frames]
    reference = own(few, cell, numbers)
    for name, peer in PEERS.items():
        try:
            taken, result = milliseconds(peer, few, cell, numbers)
        except ImportError as error:
            print(f'{name:44s}   not installed ({error.name})')
            continue
        deviation = ''
        if isinstance(result, dict):
            largest = max(np.abs(np.asarray(result[pair]) - reference[pair]).max() for pair in PAIRS)
            deviation = f'   coordination within {largest:.1e}'
        print(f'{name:44s}{taken:10.3f}{10 * taken:8.2f}{taken / own_time:8.1f}{deviation}')
    beyond, _ = milliseconds(own, few, cell, numbers, 8.0)
    print(f'{"aiida-hdiff, r_max 8 Å by images":44s}{beyond:10.3f}{10 * beyond:8.2f}')
    try:
        taken, result = milliseconds(vesin_rdf, few, cell, numbers, 8.0)
        print(
            f'{"vesin + numpy, r_max 8 Å":44s}{taken:10.3f}{10 * taken:8.2f}{taken / beyond:8.1f} (to the line above)'
        )
    except ImportError:
        pass


if __name__ == '__main__':
    main(*(int(argument) for argument in sys.argv[1:]))
