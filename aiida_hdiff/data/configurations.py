"""Configurations that wait for labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_hdiff.data.frame_arrays import read_frame_arrays, structure_attributes, write_frame_arrays
from aiida_hdiff.formats.configurations import ARRAYS, Configurations

if TYPE_CHECKING:
    from ase import Atoms

_TEXTS = ('origins', 'config_types')


class ConfigurationsData(orm.ArrayData):
    """Structures with varying numbers of atoms, to be labelled: `LabelledDataset` without energies and forces.

    Attributes for queries: ``n_frames``, ``n_atoms_min``, ``n_atoms_max``, ``elements``, ``config_types``.
    """

    def __init__(self, frames: Configurations, **kwargs: Any) -> None:
        """Build from configurations.

        Raises
        ------
        ValueError
            If there are none.
        """
        super().__init__(**kwargs)
        self.base.attributes.set_many(structure_attributes(frames))
        write_frame_arrays(self, frames, ARRAYS, _TEXTS)

    def _validate(self) -> None:
        super()._validate()
        if 'n_frames' not in self.base.attributes.all:
            raise ValidationError('no configurations: build the node from `Configurations`.')

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.base.attributes.get('n_frames'))

    @property
    def elements(self) -> list[str]:
        """Chemical symbols, by atomic number."""
        return list(self.base.attributes.get('elements'))

    def frames(self) -> Configurations:
        """Return the configurations."""
        return Configurations(**read_frame_arrays(self, ARRAYS, _TEXTS))

    def to_ase(self) -> list[Atoms]:
        """Return the configurations as ASE structures, with origin and group in ``info``."""
        frames = self.frames()
        images = [frames.to_ase(index) for index in range(len(frames))]
        for atoms, origin, config_type in zip(images, frames.origins, frames.config_types, strict=True):
            atoms.info |= {key: text for key, text in (('origin', origin), ('config_type', config_type)) if text}
        return images
