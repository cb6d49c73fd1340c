"""Store, reload and analyse a trajectory of 100 000 frames of 136 atoms, as a node and as peers would.

Run with ``python tests/benchmarks/bench_trajectory.py [n_frames]``; it uses a temporary in-memory profile. Printed are
CPU seconds, MiB, and ratios to TrajectoryData of aiida-core on the same frames.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N_HOST, N_HYDROGEN, INTERVAL_FS = 128, 8, 10.0
VIBRATION_A, CORRELATION = 0.15, 0.9


def frames(n_frames: int, seed: int = 1) -> np.ndarray:
    """Return (n_frames, 136, 3) positions in Å: vibrating atoms, of which the last eight hop."""
    rng = np.random.default_rng(seed)
    positions = np.empty((n_frames, N_HOST + N_HYDROGEN, 3))
    noise = rng.normal(scale=VIBRATION_A * np.sqrt(1 - CORRELATION**2), size=positions.shape)
    current = rng.normal(scale=VIBRATION_A, size=positions.shape[1:])
    for index in range(n_frames):
        current = CORRELATION * current + noise[index]
        positions[index] = current
    hops = rng.random((n_frames, N_HYDROGEN, 3)) < 1e-3
    positions[:, N_HOST:] += np.cumsum(2.0 * hops * rng.choice([-1, 1], size=hops.shape), axis=0)
    return positions + rng.uniform(0, 13, size=positions.shape[1:])


def timed(label: str, function: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result and CPU seconds of a call, and print them."""
    start = time.process_time()
    result = function()
    seconds = time.process_time() - start
    print(f'{label:<58} {seconds:8.2f} s')
    return result, seconds


def main(n_frames: int) -> None:
    """Run the comparison."""
    from aiida import load_profile, orm
    from aiida.storage.sqlite_temp import SqliteTempBackend

    load_profile(SqliteTempBackend.create_profile('bench'), allow_switch=True)
    from aiida_hdiff.analysis import diffusion_coefficient, mean_squared_displacement
    from aiida_hdiff.data.trajectory import MDTrajectory
    from aiida_hdiff.formats.trajectory import OBSERVABLES, TrajectoryWriter

    positions, cell = frames(n_frames), np.eye(3) * 13.0
    numbers = np.array([12] * N_HOST + [1] * N_HYDROGEN)
    print(f'{n_frames} frames of {len(numbers)} atoms, {positions.nbytes / 2**20:.0f} MiB in memory')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trajectory.h5'

        def write() -> None:
            with TrajectoryWriter(path, numbers, timestep_fs=1.0) as writer:
                for start in range(0, n_frames, 1000):
                    block = positions[start : start + 1000]
                    scalars = {name: np.zeros(len(block)) for name in OBSERVABLES}
                    steps = np.arange(start, start + len(block)) * int(INTERVAL_FS)
                    writer.append(steps, block, np.broadcast_to(cell, (len(block), 3, 3)), scalars)

        _, encode = timed('MDTrajectory: encode', write)
        node, store = timed('MDTrajectory: store the node', lambda: MDTrajectory(path).store())
        print(f'{"MDTrajectory: size":<58} {path.stat().st_size / 2**20:8.1f} MiB')
        _, read_all = timed('MDTrajectory: read all positions', node.get_positions)
        hydrogen, read_h = timed(
            'MDTrajectory: read H only', lambda: node.get_positions(range(N_HOST, N_HOST + N_HYDROGEN))
        )
        timed(
            'MDTrajectory: read one frame', lambda: node.get_positions(frames=slice(n_frames // 2, n_frames // 2 + 1))
        )
        timed('analysis: all-origins MSD of H', lambda: mean_squared_displacement(hydrogen, INTERVAL_FS))
        timed('analysis: D with its error', lambda: diffusion_coefficient(hydrogen, INTERVAL_FS))

    def peer() -> Any:
        peer_node = orm.TrajectoryData()
        symbols = ['Mg'] * N_HOST + ['H'] * N_HYDROGEN
        cells = np.broadcast_to(cell, (n_frames, 3, 3))
        peer_node.set_trajectory(symbols, positions, cells=cells, pbc=(True, True, True))
        return peer_node.store()

    peer_node, peer_store = timed('TrajectoryData of aiida-core: store', peer)
    size = sum(
        len(peer_node.base.repository.get_object_content(name, mode='rb'))
        for name in peer_node.base.repository.list_object_names()
    )
    print(f'{"TrajectoryData of aiida-core: size":<58} {size / 2**20:8.1f} MiB')
    _, peer_read = timed(
        'TrajectoryData of aiida-core: read all positions', lambda: peer_node.get_array('positions').sum()
    )
    print(
        f'ratios to TrajectoryData: store {(encode + store) / peer_store:.2f}, size {node_size(node) / size:.2f}, '
        f'read all {read_all / peer_read:.2f}, read H {read_h / peer_read:.2f}'
    )


def node_size(node: Any) -> int:
    """Return the bytes of the trajectory file of a node."""
    return len(node.base.repository.get_object_content(node.filename, mode='rb'))


if __name__ == '__main__':
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
