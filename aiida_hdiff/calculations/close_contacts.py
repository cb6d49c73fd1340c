"""Calcfunction that makes configurations with close contacts of hydrogen."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.data.configurations import ConfigurationsData
from aiida_hdiff.formats.configurations import Configurations
from aiida_hdiff.sampling.close_contacts import ContactSettings, close_contacts

CONTACT = 'close_contact'
"""Group of the configurations; the pair stands behind it: ``close_contact_H-Ni``."""


@calcfunction
def close_contact_frames(settings: orm.Dict, **structures: orm.StructureData) -> ConfigurationsData:
    """Make configurations with hydrogen too near to another atom, to be labelled.

    Settings: those of `aiida_hdiff.sampling.close_contacts.ContactSettings`. The origin of a frame is its number here:
    ``close_contacts:0``.
    """
    hosts = [structures[name].get_ase() for name in sorted(structures)]
    found = close_contacts(hosts, ContactSettings.from_dict(settings.get_dict()))
    node = ConfigurationsData(
        Configurations.from_ase(
            [atoms for atoms, _ in found],
            [f'close_contacts:{index}' for index in range(len(found))],
            [f'{CONTACT}_{pair}' for _, pair in found],
        )
    )
    node.label = f'{len(found)} frames with close contacts'
    return node
