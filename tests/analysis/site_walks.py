"""Walks on the sites of a crystal with known rates; lengths in Å, times in ps, rates in 1/ps."""

import numpy as np

from tests.analysis.models import vibration


def neighbours(positions, cell, lengths, tolerance=0.05):
    """Return per point the targets, vectors and index into `lengths` of the neighbours at these distances."""
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    found = []
    for point in positions:
        vectors = (positions[None] + (shifts @ cell)[:, None] - point).reshape(-1, 3)
        distances = np.linalg.norm(vectors, axis=1)
        which = np.abs(distances[:, None] - np.array(lengths)) < tolerance
        hits = np.flatnonzero(which.any(axis=1))
        found.append((hits % len(positions), vectors[hits], which[hits].argmax(axis=1)))
    return found


def site_walk(rng, positions, cell, rates, n_frames, n_atoms, timestep, *, back=0.0):
    """Continuous-time walk: `rates` maps a jump length to the rate to each neighbour at that distance.

    With the probability `back` a jump is the reverse of the one before. Returns the positions of the sites in
    each frame, unwrapped, and the number of jumps.
    """
    table = neighbours(positions, cell, list(rates))
    values = np.array(list(rates.values()))
    path = np.empty((n_frames, n_atoms, 3))
    n_jumps = 0
    for atom in range(n_atoms):
        site, place = int(rng.integers(len(positions))), None
        place, time, frame, last = positions[site].copy(), 0.0, 0, None
        while frame < n_frames:
            targets, vectors, kinds = table[site]
            weights = values[kinds]
            time += rng.exponential(1.0 / weights.sum())
            end = min(int(time / timestep) + 1, n_frames)
            path[frame:end, atom] = place
            frame = end
            if frame < n_frames:
                n_jumps += 1
                choice = rng.choice(len(targets), p=weights / weights.sum())
                if last is not None and rng.random() < back:
                    choice = int(np.argmin(np.linalg.norm(vectors + last, axis=1)))
                place, site, last = place + vectors[choice], int(targets[choice]), vectors[choice]
    return path, n_jumps


def with_vibration(rng, path, timestep, amplitude):
    """Add thermal motion to a path."""
    return path + vibration(rng, *path.shape[:2], timestep, amplitude=amplitude, relaxation=0.05)
