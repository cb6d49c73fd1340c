"""What a set of labelled frames consists of, and what may be wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.formats.configurations import structure_keys
from aiida_hdiff.formats.labelled import LabelledFrames
from aiida_hdiff.formats.labelled_checks import check_labels
from aiida_hdiff.formats.origins import NOMINAL, formulas, parse_origins, places

Floats = NDArray[np.float64]

CONTACT_FRACTION = 0.6
"""Atoms nearer than this times the sum of their covalent radii are reported; H₂ is at 1.2, H in metals above 0.8."""
REACH_A = 3.0
N_LISTED = 20


def dataset_statistics(
    frames: LabelledFrames, *, contact_fraction: float = CONTACT_FRACTION, n_listed: int = N_LISTED
) -> dict[str, Any]:
    """Return the statistics of a set in terms of JSON; what is not known is ``None``.

    Standard deviations are of the frames or components themselves (divided by n).

    Parameters
    ----------
    frames
        The set.
    contact_fraction
        Distances below this times the sum of the covalent radii are reported as close contacts.
    n_listed
        Most single frames that a list names; each list has the number of all beside it.

    Returns
    -------
    dict
        ``n_frames``, ``n_atoms``, ``elements``; ``energy_eV_per_atom`` of all and in ``compositions``;
        ``forces_eV_A`` by element; ``stress_GPa`` with ASE's sign; ``cells``; ``temperatures_K``; ``runs``,
        ``config_types``, ``references`` with numbers of frames; ``duplicates``, ``contacts``, ``doubtful_labels`` and
        ``warnings``.

    Raises
    ------
    ValueError
        No frames, or a fraction that is not positive.
    """
    if not len(frames):
        raise ValueError('no frames: give at least one.')
    if not contact_fraction > 0.0:
        raise ValueError(f'`contact_fraction` must be positive, not {contact_fraction!r}.')
    names = formulas(frames)
    per_atom = frames.energies / frames.n_atoms
    found: dict[str, Any] = {
        'n_frames': len(frames),
        'n_atoms': int(frames.offsets[-1]),
        'n_atoms_per_frame': summary(frames.n_atoms.astype(float)),
        'elements': {chemical_symbols[n]: int((frames.numbers == n).sum()) for n in np.unique(frames.numbers)},
        'energy_eV_per_atom': summary(per_atom),
        'compositions': _compositions(frames, names, per_atom),
        'forces_eV_A': _forces(frames),
        'stress_GPa': _stress(frames),
        'cells': _cells(frames),
        **_origins(frames, names, n_listed),
        'duplicates': _duplicates(frames, n_listed),
        'contacts': _contacts(frames, contact_fraction, n_listed),
        'doubtful_labels': _doubtful(frames, n_listed),
    }
    return {**found, 'warnings': _warnings(found)}


def summary(values: Floats) -> dict[str, float]:
    """Return mean, standard deviation, smallest and largest of values."""
    return {
        'mean': float(values.mean()),
        'std': float(values.std()),
        'min': float(values.min()),
        'max': float(values.max()),
    }


def _compositions(frames: LabelledFrames, names: Sequence[str], per_atom: Floats) -> dict[str, Any]:
    members: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(name, []).append(index)
    volumes = _volumes(frames)
    return {
        name: {
            'n_frames': len(own),
            'energy_eV_per_atom': summary(per_atom[own]),
            'volume_A3_per_atom': None
            if np.isnan(volumes[own]).all()
            else summary(volumes[own][~np.isnan(volumes[own])]),
        }
        for name, own in members.items()
    }


def _volumes(frames: LabelledFrames) -> Floats:
    """Return the volume per atom of each frame in Å³, NaN of those that are not periodic in all directions."""
    volumes = np.abs(np.linalg.det(frames.cells)) / frames.n_atoms
    known: Floats = np.where(frames.pbc.all(axis=1) & (volumes > 0.0), volumes, np.nan)
    return known


def _forces(frames: LabelledFrames) -> dict[str, Any]:
    lengths = np.linalg.norm(frames.forces, axis=1)
    found = {}
    for number in np.unique(frames.numbers).tolist():
        own = frames.numbers == number
        found[chemical_symbols[number]] = {
            'n_atoms': int(own.sum()),
            'rms_component': float(np.sqrt((frames.forces[own] ** 2).mean())),
            'mean_length': float(lengths[own].mean()),
            'percentile_99_length': float(np.percentile(lengths[own], 99.0)),
            'max_length': float(lengths[own].max()),
        }
    return found


def _stress(frames: LabelledFrames) -> dict[str, Any] | None:
    known = frames.stresses[~np.isnan(frames.stresses).any(axis=1)] * EV_PER_ANGSTROM3_IN_GPA
    if not len(known):
        return None
    return {
        'n_frames': len(known),
        'pressure': summary(-known[:, :3].mean(axis=1)),
        'rms_component': float(np.sqrt((known**2).mean())),
        'components': {
            name: summary(known[:, column]) for column, name in enumerate(('xx', 'yy', 'zz', 'yz', 'xz', 'xy'))
        },
    }


def _cells(frames: LabelledFrames) -> dict[str, Any]:
    lengths = np.linalg.norm(frames.cells, axis=2)
    volumes = _volumes(frames)
    known = volumes[~np.isnan(volumes)]
    return {
        'n_different': len(np.unique(frames.cells.reshape(-1, 9), axis=0)),
        'n_not_periodic': int((~frames.pbc.all(axis=1)).sum()),
        'volume_A3_per_atom': summary(known) if len(known) else None,
        'lengths_A': {
            name: [float(column.min()), float(column.max())] for name, column in zip('abc', lengths.T, strict=True)
        },
    }


def _origins(frames: LabelledFrames, names: Sequence[str], n_listed: int) -> dict[str, Any]:
    origins = parse_origins(frames)
    where = places(origins, names)
    known = np.array([one.temperature_K for one in origins if one.temperature_K is not None], dtype=float)
    nominal = Counter(one.temperature_K or 0.0 for one in origins if one.temperature_from in NOMINAL)
    counts = np.bincount(where.runs, minlength=len(where.names))
    runs = []
    for run in np.argsort(-counts, kind='stable')[:n_listed].tolist():
        steps = np.sort(where.steps[(where.runs == run) & (where.steps >= 0)])
        runs.append(
            {
                'name': where.names[run],
                'n_frames': int(counts[run]),
                'first_step': int(steps[0]) if len(steps) else None,
                'last_step': int(steps[-1]) if len(steps) else None,
                'median_spacing_steps': float(np.median(np.diff(steps))) if len(steps) > 1 else None,
            }
        )
    return {
        'temperatures_K': {
            'n_frames': len(known),
            'of_runs': {f'{value:g}': nominal[value] for value in sorted(nominal)},
            'all': summary(known) if len(known) else None,
        },
        'runs': {'n': len(where.names), 'n_frames_without_step': int((where.steps < 0).sum()), 'largest': runs},
        'config_types': dict(sorted(Counter(frames.config_types).items())),
        'references': dict(sorted(Counter(frames.references).items())),
    }


def _duplicates(frames: LabelledFrames, n_listed: int) -> dict[str, Any]:
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(structure_keys(frames)):
        groups.setdefault(key, []).append(index)
    repeated = [group for group in groups.values() if len(group) > 1]
    spread = [float(np.ptp(frames.energies[group])) for group in repeated]
    return {
        'n_structures': len(groups),
        'n_superfluous': len(frames) - len(groups),
        'largest_energy_difference_eV': max(spread, default=0.0),
        'groups': repeated[:n_listed],
    }


def _contacts(frames: LabelledFrames, fraction: float, n_listed: int) -> dict[str, Any]:
    from ase.neighborlist import primitive_neighbor_list

    kinds = np.unique(frames.numbers)
    radii = np.array(covalent_radii)
    reach = max(REACH_A, fraction * 2.0 * float(radii[kinds].max()))
    shortest = dict.fromkeys(combinations_with_replacement(kinds.tolist(), 2), (np.inf, -1))
    close: list[dict[str, Any]] = []
    for index in range(len(frames)):
        atoms = slice(*frames.offsets[index : index + 2])
        numbers = frames.numbers[atoms]
        i, j, distances = primitive_neighbor_list(
            'ijd', frames.pbc[index], frames.cells[index], frames.positions[atoms], reach
        )
        if not len(distances):
            continue
        pairs = np.sort(numbers[np.stack([i, j], axis=1)], axis=1)
        for pair in {tuple(one) for one in np.unique(pairs, axis=0).tolist()}:
            nearest = float(distances[(pairs == pair).all(axis=1)].min())
            if nearest < shortest[pair][0]:
                shortest[pair] = (nearest, index)
        ratios = distances / radii[pairs].sum(axis=1)
        least = int(np.argmin(ratios))
        if ratios[least] < fraction:
            symbols = [chemical_symbols[number] for number in pairs[least].tolist()]
            close.append({'frame': index, 'pair': symbols, 'distance_A': float(distances[least])})
    return {
        'shortest_A': {
            '-'.join(chemical_symbols[number] for number in pair): {'distance_A': distance, 'frame': frame}
            for pair, (distance, frame) in shortest.items()
            if frame >= 0
        },
        'searched_to_A': reach,
        'n_frames': len(close),
        'frames': sorted(close, key=lambda one: float(one['distance_A']))[:n_listed],
    }


def _doubtful(frames: LabelledFrames, n_listed: int) -> dict[str, Any]:
    bad = [one for one in check_labels(frames) if not one.kept]
    return {
        'n_frames': len(bad),
        'n_not_converged': int((frames.scf_converged == 0).sum()),
        'frames': [{'frame': one.index, 'origin': one.origin, 'reasons': list(one.reasons)} for one in bad[:n_listed]],
    }


def _warnings(found: dict[str, Any]) -> list[str]:
    warnings = []
    references = found['references']
    if len(references) > 1:
        levels = ', '.join(f'{name or "(none)"} ({n})' for name, n in references.items())
        warnings.append(f'labels of {len(references)} references: {levels}; their energies may not belong together')
    for key, text in (('contacts', 'have atoms too near each other'), ('doubtful_labels', 'have doubtful labels')):
        if found[key]['n_frames']:
            warnings.append(f'{found[key]["n_frames"]} frames {text}')
    if found['duplicates']['n_superfluous']:
        warnings.append(f'{found["duplicates"]["n_superfluous"]} frames repeat the structure of another')
    stress = found['stress_GPa']
    if stress is not None and stress['n_frames'] < found['n_frames']:
        warnings.append(f'only {stress["n_frames"]} of {found["n_frames"]} frames have a stress')
    return warnings
