"""Protocols: named sets of settings in YAML files, with overrides."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


def unknown_key_error(values: Mapping[str, Any], known: Mapping[str, Any], where: str = '') -> str | None:
    """Return the first key of ``values`` that ``known`` lacks, with the nearest valid one, or ``None``."""
    for key, value in values.items():
        name = f'{where}{key}'
        if key not in known:
            near = get_close_matches(str(key), [str(k) for k in known], n=1, cutoff=0.5)
            hint = f'Did you mean `{where}{near[0]}`?' if near else f'Known here: {", ".join(map(str, known))}.'
            return f'unknown key `{name}`. {hint}'
        if isinstance(known[key], Mapping):
            if not isinstance(value, Mapping):
                return f'`{name}` is {value!r}: give a mapping with keys among {", ".join(known[key])}.'
            error = unknown_key_error(value, known[key], f'{name}.')
            if error:
                return error
    return None


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the leaves of ``overrides`` put in."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


@cache
def _read_protocols(name: str) -> dict[str, Any]:
    text = (files('aiida_hdiff.workflows.protocols') / name).read_text(encoding='utf-8')
    return dict(yaml.safe_load(text))


class ProtocolMixin:
    """Settings by protocol name, from the YAML file that the class names."""

    _protocol_file: str

    @classmethod
    def _load_protocols(cls) -> dict[str, Any]:
        return deepcopy(_read_protocols(cls._protocol_file))

    @classmethod
    def get_default_protocol(cls) -> str:
        """Return the name of the default protocol."""
        return str(cls._load_protocols()['default_protocol'])

    @classmethod
    def get_available_protocols(cls) -> dict[str, str]:
        """Return the descriptions of the protocols by name."""
        return {name: values['description'] for name, values in cls._load_protocols()['protocols'].items()}

    @classmethod
    def get_protocol_settings(
        cls, protocol: str | None = None, overrides: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the settings of a protocol.

        Raises
        ------
        ValueError
            If the protocol or a key of the overrides is unknown; the message names the nearest valid one.
        """
        content = cls._load_protocols()
        name = protocol or content['default_protocol']
        if name not in content['protocols']:
            near = get_close_matches(name, content['protocols'], n=1)
            hint = f'Did you mean `{near[0]}`?' if near else f'Choose one of {", ".join(content["protocols"])}.'
            raise ValueError(f'unknown protocol `{name}`. {hint}')
        chosen = {key: value for key, value in content['protocols'][name].items() if key != 'description'}
        settings = merge(content['defaults'], chosen)
        error = unknown_key_error(overrides or {}, settings)
        if error:
            raise ValueError(error)
        return merge(settings, overrides or {})
