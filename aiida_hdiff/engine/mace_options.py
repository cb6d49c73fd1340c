"""The options of ``mace_run_train``: of the installed mace, or as recorded from a release.

The argument parser of an installed mace is loaded from its file alone, so that neither mace nor torch is imported.
Where mace is not installed, the list in ``mace_options.json`` counts, written from the parser of the release it names::

    python -m aiida_hdiff.engine.mace_options > aiida_hdiff/engine/mace_options.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

RECORDED = Path(__file__).with_name('mace_options.json')
_PACKAGE = '_aiida_hdiff_mace_tools'
_KINDS = {'str2bool': 'bool', 'int': 'int', 'float': 'float', 'check_float_or_none': 'float_or_none'}


@dataclass(frozen=True)
class MaceOption:
    """One option.

    Attributes
    ----------
    kind
        ``int``, ``float``, ``float_or_none``, ``bool``, ``str``, or ``flag`` for an option without value.
    choices
        What it may be, empty if anything of its kind.
    """

    kind: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaceOptions:
    """What a release of mace takes.

    Attributes
    ----------
    version
        Of mace.
    source
        ``installed`` or ``recorded``.
    options
        By name, without the dashes.
    """

    version: str
    source: str
    options: Mapping[str, MaceOption]

    def __str__(self) -> str:
        return f'mace {self.version} ({self.source})'


class _ParserError(ValueError):
    pass


def _raise(message: str) -> NoReturn:
    raise _ParserError(message)


@lru_cache
def installed_parser() -> argparse.ArgumentParser | None:
    """Return the argument parser of the installed mace, or ``None`` without mace; errors are raised, not printed."""
    spec = find_spec('mace')
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / 'tools'
    if not (folder / 'arg_parser.py').is_file():
        return None
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[_PACKAGE] = package
    parser: argparse.ArgumentParser = importlib.import_module(f'{_PACKAGE}.arg_parser').build_default_arg_parser()
    parser.error = _raise  # type: ignore[method-assign]
    return parser


@lru_cache
def mace_options() -> MaceOptions:
    """Return the options of the installed mace, or those recorded."""
    parser = installed_parser()
    if parser is None:
        recorded = json.loads(RECORDED.read_text(encoding='utf-8'))
        options = {name: MaceOption(one[0], tuple(one[1:])) for name, one in recorded['options'].items()}
        return MaceOptions(recorded['version'], 'recorded', options)
    return MaceOptions(_installed_version(), 'installed', _options(parser))


def _installed_version() -> str:
    try:
        return version('mace-torch')
    except PackageNotFoundError:
        return 'unknown'


def _options(parser: argparse.ArgumentParser) -> dict[str, MaceOption]:
    options = {}
    for action in parser._actions:
        kind = _KINDS.get(getattr(action.type, '__name__', ''), 'flag' if action.nargs == 0 else 'str')
        choices = tuple(map(str, action.choices or ()))
        for name in action.option_strings:
            if name.startswith('--') and name not in ('--help', '--config'):
                options[name.removeprefix('--')] = MaceOption(kind, choices)
    return options


def option_arguments(values: Mapping[str, Any]) -> list[str]:
    """Return the command-line arguments for options, without those that are ``None`` or flags that are off.

    Parameters
    ----------
    values
        By name of the option; mappings and lists become JSON.
    """
    options, arguments = mace_options().options, []
    for name, value in sorted(values.items()):
        if value is None:
            continue
        if name in options and options[name].kind == 'flag':
            arguments += [f'--{name}'] if value else []
            continue
        text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
        arguments.append(f'--{name}={text}')
    return arguments


def options_error(values: Mapping[str, Any]) -> str | None:
    """Return what mace would not take, or ``None``.

    With mace installed its own parser decides, otherwise the recorded list.
    """
    known = mace_options()
    for name, value in values.items():
        if name not in known.options:
            near = _near(name, known.options)
            return f'`{name}` is no option of {known}{near}.'
        error = _value_error(name, value, known.options[name])
        if error:
            return f'{error} ({known}).'
    parser = installed_parser()
    if parser is not None:
        try:
            parser.parse_args(option_arguments({'name': 'check', **values}))
        except _ParserError as error:
            return f'mace {known.version} refuses it: {error}.'
    return None


def _near(name: str, options: Mapping[str, MaceOption]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, options, n=1)
    return f': did you mean `{found[0]}`?' if found else ''


def _value_error(name: str, value: Any, option: MaceOption) -> str | None:
    if value is None:
        return None
    given = f'`{name}` is {value!r}'
    if option.kind in ('bool', 'flag') and not isinstance(value, bool):
        return f'{given}: give true or false'
    if option.kind not in ('bool', 'flag', 'str') and isinstance(value, bool):
        return f'{given}: give a number'
    if option.kind == 'int' and not isinstance(value, int):
        return f'{given}: give a whole number'
    if option.kind == 'float' and not isinstance(value, (int, float)):
        return f'{given}: give a number'
    if option.kind == 'float_or_none' and not isinstance(value, (int, float)) and value != 'None':
        return f'{given}: give a number or "None"'
    if option.choices and str(value) not in option.choices:
        return f'{given}: choose one of {", ".join(option.choices)}'
    return None


def _record() -> str:
    parser = installed_parser()
    if parser is None:
        raise SystemExit('mace is not installed')
    rows = [f'{json.dumps(name)}: {json.dumps([one.kind, *one.choices])}' for name, one in _options(parser).items()]
    return f'{{"version": {json.dumps(_installed_version())},\n"options": {{\n' + ',\n'.join(rows) + '\n}}'


if __name__ == '__main__':
    print(_record())
