"""Details of a run made from a random walk on the octahedral sites of an fcc host."""

from itertools import pairwise

import numpy as np

from aiida_hdiff.report.details import (
    Collective,
    GraphNode,
    PairSeries,
    ProvenanceGraph,
    RunDetails,
    SiteNetwork,
    VanHove,
    WindowScan,
)
from aiida_hdiff.report.learning import LearningHistory, TrainingSpan
from aiida_hdiff.report.learning_curves import LearningCurve, LearningCurves
from aiida_hdiff.report.path import hydrogen_path

LATTICE_A = 3.52
REPEATS = 3


def host_positions():
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cells = np.stack(np.meshgrid(*[np.arange(REPEATS)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
    return LATTICE_A * (cells[:, None] + basis).reshape(-1, 3)


def walk(n_hydrogen=4, n_frames=4000, jump_probability=0.02, seed=3):
    """Return the sites (index, unwrapped position) and the vibrating positions of a walk."""
    rng = np.random.default_rng(seed)
    directions = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])
    directions = directions[np.abs(directions).sum(axis=1) == 2]
    steps = directions[rng.integers(12, size=(n_frames, n_hydrogen))]
    steps *= (rng.random((n_frames, n_hydrogen, 1)) < jump_probability).astype(int)
    start = np.array([[1, 0, 0], [0, 1, 2], [2, 3, 4], [3, 2, 0]])[:n_hydrogen]
    sites = start + np.cumsum(steps, axis=0)
    positions = sites * LATTICE_A / 2 + rng.normal(0.0, 0.15, size=(n_frames, n_hydrogen, 3))
    return sites, positions


def network(sites):
    """Return the sites visited and the jumps between them."""
    cell = np.diag([LATTICE_A * REPEATS] * 3)
    folded = sites % (2 * REPEATS)
    unique, index = np.unique(folded.reshape(-1, 3), axis=0, return_inverse=True)
    index = index.reshape(folded.shape[:2])
    jumps = [(a, b) for walker in index.T for a, b in pairwise(walker) if a != b]
    edges, counts = np.unique(np.sort(np.array(jumps), axis=1), axis=0, return_counts=True)
    kinds = (unique.sum(axis=1) % 2 == 0).astype(int)
    octahedral = float(np.mean(kinds[index] == 0))
    return SiteNetwork(
        positions_A=unique * LATTICE_A / 2,
        kinds=kinds,
        kind_names=('octahedral', 'tetrahedral'),
        cell_A=cell,
        host_positions_A=host_positions(),
        host_numbers=np.full(4 * REPEATS**3, 28),
        edges=edges,
        edge_counts=counts,
        occupation={'octahedral': (octahedral, 0.012), 'tetrahedral': (1.0 - octahedral, 0.012)},
        residence_times_ps={'octahedral': (2.1, 0.2), 'tetrahedral': None},
        jump_rates_per_ps={'octahedral-octahedral': (0.48, 0.05, len(jumps)), 'tetrahedral-octahedral': (0.0, None, 0)},
        site_occupation=np.bincount(index.ravel(), minlength=len(unique)) / len(index),
        lattice='fcc',
        n_jumps=len(jumps),
        mean_jump_length_A=2.49,
        jump_diffusivity_m2_s=5.0e-9,
        jump_diffusivity_std_error_m2_s=4.0e-10,
        correlation_factor=0.94,
        correlation_factor_std_error=0.09,
    )


def details(kelvin, value_m2_s=3e-9):
    """Return everything that a run can have."""
    rng = np.random.default_rng(int(kelvin))
    sites, positions = walk(jump_probability=0.02 * (kelvin / 1000.0) ** 4, seed=int(kelvin))
    times = np.arange(len(positions)) * 0.05
    starts = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    lags = np.array([0.1, 1.0, 5.0, 20.0])
    r = np.linspace(0.02, 8.0, 200)
    widths = np.sqrt(0.05 + 6.0 * value_m2_s * 1e8 * lags / 3.0)[:, None]
    density = np.sqrt(2.0 / np.pi) * r**2 / widths**3 * np.exp(-(r**2) / (2.0 * widths**2))
    pair_times = np.arange(0.5, 200.0)
    return RunDetails(
        windows=WindowScan(
            starts, 5.0 * starts, value_m2_s * np.array([1.25, 1.08, 1.0, 1.01, 0.97]), value_m2_s * 0.04 * starts**0.5
        ),
        pairs=PairSeries(pair_times, rng.poisson(0.4, pair_times.size), 3.0, 0.4, 0.05, 0.31),
        van_hove=VanHove(r, lags, density, np.array([0.9, 0.6, 0.3, 0.1])),
        collective=Collective(1.2 * value_m2_s, 0.4 * value_m2_s, 0.83, 0.28),
        sites=network(sites),
        path=hydrogen_path(
            times, positions, list(range(108, 112)), host_positions(), ['Ni'] * 108, np.diag([LATTICE_A * REPEATS] * 3)
        ),
        walker_std_error_m2_s=0.07 * value_m2_s,
        warnings=('the error from the scatter of the atoms is 3.4 times the one from blocks',) if kelvin > 1300 else (),
    )


def graph():
    """Return a small provenance graph."""
    names = (
        ('a', 'create host', 'calculation'),
        ('b', 'structure', 'data'),
        ('c', 'potential', 'data'),
        ('d', 'Molecular dynamics (LAMMPS)', 'job'),
        ('e', 'trajectory', 'data'),
        ('f', 'diffusivity from trajectory', 'calculation'),
        ('g', 'D(1200 K)', 'result'),
    )
    uuids = {name: f'0000000{number}-1111-4222-8333-444444444444' for number, (name, _, _) in enumerate(names)}
    nodes = tuple(GraphNode(uuids[name], label, kind, 'note') for name, label, kind in names)
    links = (('a', 'b'), ('b', 'd'), ('c', 'd'), ('d', 'e'), ('e', 'f'), ('c', 'f'), ('f', 'g'))
    edges = tuple((uuids[a], uuids[b], 'result') for a, b in links)
    return ProvenanceGraph('D at 1200 K', nodes, edges, left_out=2)


def learning_history():
    """Return a training on the fly: a ramp and a plateau with fewer and fewer calls."""
    rng = np.random.default_rng(2)
    times = np.arange(3000) / 1000
    return LearningHistory(
        times_ps=times,
        bayesian_error_eV_A=0.02 * rng.random(3000),
        threshold_eV_A=np.full(3000, 0.015),
        call_times_ps=np.array([0.0, 0.001, 0.002, 0.7, 2.2]),
        rmse_times_ps=np.array([0.01, 1.0]),
        rmse_force_eV_A=np.array([0.03, 0.02]),
        spans=(TrainingSpan('ramp', 0.0, 2.0, 1.0, 700.0), TrainingSpan('train_300K', 2.0, 3.0, 300.0, 300.0)),
        emulated=False,
        title='on the fly: Mg H',
        node_uuid='00000001-aaaa-4222-8333-444444444444',
    )


def learning_curves():
    """Return the errors of a fine-tuning, of which the stress has fewer epochs."""
    epochs = np.arange(31)
    curves = [
        LearningCurve(quantity, 'RMSE', unit, split, epochs[:stop], (start * np.exp(-epochs / 8.0) + end)[:stop])
        for quantity, unit, start, stop in (('energy', 'meV/atom', 9.0, 31), ('force', 'meV/Å', 90.0, 31),
                                            ('stress', 'meV/Å³', 2.0, 20))
        for split, end in (('valid', 0.1 * start), ('replay', 0.2 * start))
    ]  # fmt: skip
    return LearningCurves('MACE, multihead replay', tuple(curves), 24, '00000002-aaaa-4222-8333-444444444444')
