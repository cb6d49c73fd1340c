"""ML_ABN, ML_FFN and ML_REG."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.formats.ml_ab import MLAB, NAME_LENGTH, MLABFrame
from aiida_hdiff.formats.ml_ab_write import write_ml_ab
from aiida_hdiff.standin import VERSION, StandinError
from aiida_hdiff.standin.features import Features
from aiida_hdiff.standin.model import VOIGT, Fit, Model
from aiida_hdiff.standin.record import Run
from aiida_hdiff.standin.reference import Labels

Floats = NDArray[np.float64]

HEADER_BYTES = 4096
MAGIC = 'hdiff-vasp-standin'
FORMAT_VERSION = '0.2.2'
_ROW, _COLUMN = np.array(VOIGT).T


def frame(run: Run, cell: Floats, scaled: Floats, labels: Labels, ctifor: float | None) -> MLABFrame:
    """Return a labelled structure for ML_ABN, wrapped into the cell as VASP does."""
    name = f'EMULATED {run.poscar.comment.strip()}'.encode()[:NAME_LENGTH].decode(errors='ignore')
    return MLABFrame(
        name=name.strip(),
        elements=run.poscar.elements,
        counts=run.poscar.counts,
        cell=cell.copy(),
        positions=(scaled % 1.0) @ cell,
        energy=labels.energy,
        forces=labels.forces.copy(),
        stress_kbar=labels.stress_kbar[_ROW, _COLUMN].copy(),
        ctifor=ctifor,
    )


def labels_of(one: MLABFrame) -> Labels:
    """Return the labels of a frame of ML_AB."""
    stress = np.zeros((3, 3))
    stress[_ROW, _COLUMN] = stress[_COLUMN, _ROW] = one.stress_kbar
    return Labels(one.energy, one.forces, stress)


def write_training_set(
    path: Path,
    frames: list[MLABFrame],
    elements: tuple[str, ...],
    masses: tuple[float, ...],
    basis: list[list[tuple[int, int]]],
) -> None:
    """Write ML_ABN whole, and then put it into its place."""
    present = dict.fromkeys(symbol for one in frames for symbol in one.elements)
    known = dict(zip(elements, range(len(elements)), strict=True))
    order = [symbol for symbol in elements if symbol in present] + [symbol for symbol in present if symbol not in known]
    from_frames = MLAB.from_frames(frames, elements=order, masses=dict(zip(elements, masses, strict=True)))
    sets = [np.array(basis[known[symbol]] if symbol in known else []) for symbol in from_frames.elements]
    ml_ab = MLAB(
        frames=from_frames.frames,
        elements=from_frames.elements,
        reference_energies=from_frames.reference_energies,
        masses=from_frames.masses,
        basis_sets=tuple(pairs.astype(np.int64) if len(pairs) else np.array([[1, 1]]) for pairs in sets),
        max_atoms=from_frames.max_atoms,
        max_atoms_per_element=from_frames.max_atoms_per_element,
    )
    unfinished = path.with_name(path.name + '.part')
    write_ml_ab(ml_ab, unfinished)
    unfinished.replace(path)


def write_force_field(
    path: Path, features: Features, fit: Fit, run: Run, n_local: list[int], n_frames: int, *, fast: bool
) -> None:
    """Write ML_FFN: a header of 4096 characters as VASP 6.4 has it, then the coefficients."""
    content = {
        'EMULATED': True,
        'program': MAGIC,
        'standin_version': VERSION,
        'types': list(features.elements),
        'training_structures': n_frames,
        'local_reference_cfgs': n_local,
        'ML_LFAST': fast,
        'ML_RCUT1': run.settings.rcut1,
        'ML_RCUT2': run.settings.rcut2,
        'cutoff_A': features.cutoff_A,
        'date': 'not recorded',
        'banner': run.banner,
        'reference': run.reference,
    }
    header = f'ML_FF {FORMAT_VERSION} binary {json.dumps(content)}'
    body = io.BytesIO()
    np.save(body, fit.weights)
    np.save(body, fit.atom_energies)
    unfinished = path.with_name(path.name + '.part')
    unfinished.write_bytes(header.ljust(HEADER_BYTES).encode('ascii') + body.getvalue())
    unfinished.replace(path)


def read_force_field(path: Path) -> tuple[Features, Fit, bool]:
    """Return features, coefficients and whether it was refitted.

    Raises
    ------
    StandinError
        A file that the stand-in did not write: a force field of VASP means nothing to it.
    """
    content = _header(path)
    try:
        body = io.BytesIO(path.read_bytes()[HEADER_BYTES:])
        weights, offsets = np.load(body, allow_pickle=False), np.load(body, allow_pickle=False)
        features = Features(tuple(content['types']), float(content['cutoff_A']))
    except (ValueError, KeyError, TypeError) as error:
        raise StandinError(f'{path.name} is damaged: {error}: train anew or copy it again') from None
    if len(weights) != features.n_features:
        raise StandinError(f'{path.name} has {len(weights)} coefficients, not {features.n_features}: train anew')
    return features, Fit(weights, offsets, None, (0.0, 0.0, 0.0)), bool(content.get('ML_LFAST'))


def trained_on(path: Path) -> str:
    """Return the name of the reference that a force field was trained on.

    Raises
    ------
    StandinError
        A file that the stand-in did not write.
    """
    return str(_header(path).get('reference', 'unknown'))


def _header(path: Path) -> dict[str, Any]:
    with path.open('rb') as stream:
        head = stream.read(HEADER_BYTES).decode('latin-1')
    try:
        content = json.loads(head[head.index('{') :].strip())
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get('EMULATED') is not True or content.get('program') != MAGIC:
        raise StandinError(
            f'{path.name} was not written by hdiff-vasp-standin: train and refit with the stand-in, or run VASP itself'
        )
    return content


def regression_text(model: Model, step: int, run: Run) -> str:
    """Return ML_REG: labels and fit, for the whole training set."""
    energies, forces, stress = [], [], []
    for example in model.examples:
        fitted = model.predict(example.kinds, example.cell, example.positions)
        energies.append((example.labels.energy, fitted.energy))
        forces.append(np.column_stack([example.labels.forces.ravel(), fitted.forces.ravel()]))
        stress.append(np.column_stack([one.stress_kbar[_ROW, _COLUMN] for one in (example.labels, fitted)]))
    ruler = '*' * 50 + '\n'
    text = f'{ruler}     Results at {step:10d} step ({run.banner})\n'
    for title, table in (
        ('Energies (eV): ab initio, fit', np.array(energies)),
        ('Forces (eV ang.^-1): ab initio, fit', np.concatenate(forces)),
        ('Stress (kbar): ab initio, fit', np.concatenate(stress)),
    ):
        rows = ''.join('{:24.15E}{:24.15E}\n'.format(*row) for row in table.tolist())
        text += f'{ruler}     {title}\n{"-" * 50}\n{rows}'
    return text
