"""The tree of settings of a diffusivity, as the protocols define it."""

from __future__ import annotations

from functools import cache
from typing import Any

from aiida_hdiff.common.protocols import ProtocolMixin


class DiffusionProtocols(ProtocolMixin):
    """Protocols of the diffusion workchains."""

    _protocol_file = 'diffusion.yaml'


@cache
def settings_template() -> dict[str, Any]:
    """Return the default protocol: every key that the settings have."""
    return DiffusionProtocols.get_protocol_settings()


class TrainProtocols(ProtocolMixin):
    """Protocols of the training of potentials: the limits of their gate."""

    _protocol_file = 'train.yaml'
