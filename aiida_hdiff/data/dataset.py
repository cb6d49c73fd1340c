"""Labelled configurations: what potentials are trained on and tested against."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_hdiff.data.frame_arrays import read_frame_arrays, structure_attributes, write_frame_arrays
from aiida_hdiff.formats import LabelledFrames, ml_ab_from_labelled, write_extxyz, write_ml_ab

if TYPE_CHECKING:
    from ase import Atoms

_ARRAYS = (
    'numbers',
    'positions',
    'forces',
    'offsets',
    'cells',
    'pbc',
    'energies',
    'stresses',
    'ctifors',
    'scf_converged',
)
_TEXTS = ('origins', 'references', 'config_types')


class LabelledDataset(orm.ArrayData):
    """Configurations with energies (eV), forces (eV/Å), stresses (eV/Å³, ASE's sign), and where each comes from.

    Equal data hash equally: arrays with fixed names, no paths, no identifiers. Attributes for queries: ``n_frames``,
    ``n_atoms_min``, ``n_atoms_max``, ``elements``, ``config_types``, ``references``, ``has_stress`` (of all frames),
    ``n_with_stress``, ``n_not_converged``, ``energy_min_eV_per_atom``, ``energy_max_eV_per_atom``,
    ``force_max_eV_A``, ``force_rms_eV_A``.
    """

    def __init__(self, frames: LabelledFrames, **kwargs: Any) -> None:
        """Build from labelled frames.

        Raises
        ------
        ValueError
            If there are none.
        """
        super().__init__(**kwargs)
        self.base.attributes.set_many({**structure_attributes(frames), **_label_attributes(frames)})
        write_frame_arrays(self, frames, _ARRAYS, _TEXTS)

    def _validate(self) -> None:
        super()._validate()
        if 'n_frames' not in self.base.attributes.all:
            raise ValidationError('no configurations: build the node from `LabelledFrames`.')

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.base.attributes.get('n_frames'))

    @property
    def elements(self) -> list[str]:
        """Chemical symbols, by atomic number."""
        return list(self.base.attributes.get('elements'))

    @property
    def references(self) -> list[str]:
        """Methods and settings of the labels; more than one means that the labels do not belong together."""
        return list(self.base.attributes.get('references'))

    def frames(self) -> LabelledFrames:
        """Return the labelled frames."""
        return LabelledFrames(**read_frame_arrays(self, _ARRAYS, _TEXTS))

    def to_ase(self) -> list[Atoms]:
        """Return the frames as ASE structures with their labels as results."""
        return [frame.to_ase() for frame in self.frames()]

    def _prepare_extxyz(self, main_file_name: str = '') -> tuple[bytes, dict[str, bytes]]:
        """Return the set as extended xyz, for `export` of AiiDA."""
        stream = io.StringIO()
        write_extxyz(self.frames(), stream)
        return stream.getvalue().encode('utf-8'), {}

    def _prepare_ml_ab(self, main_file_name: str = '') -> tuple[bytes, dict[str, bytes]]:
        """Return the set as a ML_AB file of VASP, for `export` of AiiDA."""
        stream = io.StringIO()
        write_ml_ab(ml_ab_from_labelled(self.frames(), drop_ctifor=True), stream)
        return stream.getvalue().encode('utf-8'), {}


def _label_attributes(frames: LabelledFrames) -> dict[str, Any]:
    per_atom = frames.energies / frames.n_atoms
    lengths = np.linalg.norm(frames.forces, axis=1)
    with_stress = int((~np.isnan(frames.stresses).any(axis=1)).sum())
    return {
        'references': sorted(set(frames.references)),
        'has_stress': with_stress == len(frames),
        'n_with_stress': with_stress,
        'n_not_converged': int((frames.scf_converged == 0).sum()),
        'energy_min_eV_per_atom': float(per_atom.min()),
        'energy_max_eV_per_atom': float(per_atom.max()),
        'force_max_eV_A': float(lengths.max()),
        'force_rms_eV_A': float(np.sqrt((frames.forces**2).mean())),
    }
