"""Labelled frames as CHGNet trains on them: graphs and targets in its units, made once and never replaced.

CHGNet's own `StructureData` puts a random other frame in the place of one whose graph it cannot make, and takes the
stress in kbar with VASP's sign. Here such a frame is refused, and the stress is in GPa with ASE's sign, in which the
model predicts it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from aiida_hdiff.analysis.errors import Predictions
from aiida_hdiff.common.units import EV_PER_ANGSTROM3_IN_GPA
from aiida_hdiff.engine.exit_codes import BAD_INPUT, EngineError
from aiida_hdiff.formats import LabelledFrames
from aiida_hdiff.formats.configurations import Configurations

Floats = NDArray[np.float64]
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class FramesOfChgnet(Dataset):  # type: ignore[misc]
    """Graphs and targets of frames, in their order.

    Parameters
    ----------
    name
        Name of the set in messages.
    frames
        The set.
    model
        A `chgnet.model.CHGNet`, whose converter makes the graphs.
    targets
        Which of energy, forces, stress and magnetic moments, such as ``efs``.
    magmoms
        Of all atoms, shape (n_total,), NaN where unknown; or ``None``.

    Raises
    ------
    EngineError
        If a frame has no graph, or lacks a label.
    """

    def __init__(
        self, name: str, frames: LabelledFrames, model: Any, targets: str, magmoms: Floats | None = None
    ) -> None:
        import torch
        from pymatgen.io.ase import AseAtomsAdaptor

        def tensor(values: Any) -> Any:
            return torch.tensor(np.asarray(values), dtype=torch.float32)

        self.frames, self.graphs, self._targets = frames, [], []
        structures = Configurations.from_labelled(frames)
        model.graph_converter.set_isolated_atom_response('error')
        for index, frame in enumerate(frames):
            if not all(frame.pbc):
                raise EngineError(BAD_INPUT, f'frame {index} of `{name}` is not periodic, as CHGNet needs it.')
            try:
                graph = model.graph_converter(AseAtomsAdaptor.get_structure(structures.to_ase(index)))
            except ValueError as error:
                raise EngineError(
                    BAD_INPUT,
                    f'frame {index} of `{name}` has an atom without neighbours within the cutoff, so CHGNet cannot '
                    f'describe it: leave it out ({error}).',
                ) from error
            labels = {'e': tensor(frame.energy / len(frame.numbers)), 'f': tensor(frame.forces)}
            if 's' in targets:
                if frame.stress is None:
                    raise EngineError(
                        BAD_INPUT, f'frame {index} of `{name}` has no stress: give it, or set `stress_weight` to 0.'
                    )
                labels['s'] = tensor(stress_matrix(frame.stress) * EV_PER_ANGSTROM3_IN_GPA)
            if 'm' in targets:
                own = None if magmoms is None else magmoms[slice(*frames.offsets[index : index + 2])]
                labels['m'] = None if own is None or np.isnan(own).any() else tensor(np.abs(own))
            self.graphs.append(graph)
            self._targets.append(labels)

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        return self.graphs[index], self._targets[index]

    def predict(self, model: Any, *, stress: bool, batch_size: int = 8) -> Predictions:
        """Return what a model says about the frames."""
        found = model.predict_graph(self.graphs, task='efs' if stress else 'ef', batch_size=batch_size)
        found = [found] if isinstance(found, dict) else found
        unknown = np.full(6, np.nan)
        return Predictions(
            frames=self.frames,
            energies=np.array([float(one['e']) for one in found]) * self.frames.n_atoms,
            forces=np.concatenate([one['f'] for one in found]).astype(np.float64),
            stresses=np.array(
                [voigt(one['s']) / EV_PER_ANGSTROM3_IN_GPA if stress else unknown for one in found], dtype=np.float64
            ),
        )


def stress_matrix(stress: Floats) -> Floats:
    """Return a stress of six components, xx, yy, zz, yz, xz, xy, as a matrix, shape (3, 3)."""
    matrix = np.empty((3, 3))
    for value, (row, column) in zip(stress, _VOIGT, strict=True):
        matrix[row, column] = matrix[column, row] = value
    return matrix


def voigt(matrix: Any) -> Floats:
    """Return the six components xx, yy, zz, yz, xz, xy of a stress, shape (6,)."""
    symmetric = (np.asarray(matrix, dtype=np.float64) + np.asarray(matrix, dtype=np.float64).T) / 2.0
    return np.array([symmetric[place] for place in _VOIGT])
