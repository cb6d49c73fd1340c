"""One published diffusion coefficient."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiida import orm

from aiida_hdiff.literature import LiteratureValue, parse_values


class LiteratureData(orm.Dict):
    """A published D0 and Ea, or a published D at one temperature, with its reference.

    The attributes are the fields of :class:`~aiida_hdiff.literature.LiteratureValue`, flat: ``attributes.key``,
    ``attributes.host``, ``attributes.doi``, ``attributes.activation_energy_eV``.
    """

    def __init__(self, dictionary: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Build from a dictionary of fields.

        Raises
        ------
        ValueError
            If a field is missing, unknown or out of range.
        """
        (value,) = parse_values([dictionary or {}])
        super().__init__(_fields(value), **kwargs)
        self.label = value.key

    @classmethod
    def from_value(cls, value: LiteratureValue) -> LiteratureData:
        """Return a new, unstored node."""
        return cls(_fields(value))

    @classmethod
    def get_or_create(cls, value: LiteratureValue) -> LiteratureData:
        """Return the stored node of an equal value, or store a new one."""
        node = cls.from_value(value)
        wanted = dict(node.base.attributes.all)
        query = orm.QueryBuilder().append(cls, filters={'attributes.key': value.key}).order_by({cls: 'id'})
        for (candidate,) in query.iterall():
            if dict(candidate.base.attributes.all) == wanted:
                return candidate
        return node.store()

    @property
    def published(self) -> LiteratureValue:
        """The published value."""
        return parse_values([self.get_dict()])[0]

    def __str__(self) -> str:
        value = self.published
        parts = [f'Ea = {value.activation_energy_eV:.3f} eV'] if value.activation_energy_eV is not None else []
        if value.prefactor_m2_s is not None:
            parts.append(f'D0 = {value.prefactor_m2_s:.2e} m²/s')
        if value.point is not None:
            parts.append(f'D({value.point[0]:g} K) = {value.point[1]:.2g} m²/s')
        return f'{value.isotope} in {value.phase} {value.host}: {", ".join(parts)} ({value.citation})'


def _fields(value: LiteratureValue) -> dict[str, Any]:
    """Return the fields as the database keeps them."""
    return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(value).items()}
