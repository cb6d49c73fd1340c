"""Looking for code in the model files of CHGNet and MACE, which are pickles, without opening them as such.

Two readers go through every pickle: the unpickler of the standard library on inert records
(:mod:`aiida_hdiff.engine.inert_pickle`), whose result is held against what genuine files contain, and the scanner
fickling. Each must find nothing beyond the list.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any

from aiida_hdiff.engine.inert_pickle import Call, Global, InertPickleError, Persistent, read_inert
from aiida_hdiff.engine.model_allow_list import (
    CALLED,
    FUNCTION_NAMES,
    GETATTR,
    GRAPH_MODULE_KEYS,
    NAMED,
    ORDERED_DICT,
    REDUCE_GRAPH_MODULE,
    VARIABLE_FUNCTIONS,
)
from aiida_hdiff.engine.model_archive import ZIP_MAGIC, ArchiveError, read_archive
from aiida_hdiff.engine.model_code import graph_code_error, script_code_error

PICKLED = tuple(CALLED)
"""The architectures whose files are pickles."""
MAX_FINDINGS = 5
BYTES = '_codecs.encode'
"""How protocol 2 writes bytes; the inert reader carries out the form that pickles write and records any other."""
MAX_KNOWN = 64
_TRACER = Global('torch.fx._symbolic_trace', 'Tracer')
_SCRIPT_GLOBAL = re.compile(
    r'collections\.OrderedDict|torch\.(Bool|Double|Float|Int|Long)Storage|torch\._utils\._rebuild_tensor_v2|'
    r'torch\.jit\._pickle\.(restore_type_tag|build_(int|double|bool|tensor)list)|'
    r'__torch__\.torch\.fx\.graph_module(\.___torch_mangle_\d+)?\.(GraphModule|\w*forward)'
)


@dataclass(frozen=True)
class ModelScan:
    """What was found in a model file.

    Attributes
    ----------
    architecture
        ``chgnet`` or ``mace``.
    sha256
        Of the file.
    names
        Everything that its pickle names, as ``module.name``.
    findings
        What no genuine file of this architecture has; empty if it may be loaded.
    """

    architecture: str
    sha256: str
    names: tuple[str, ...]
    findings: tuple[str, ...]

    @property
    def is_safe(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def message(self, file: str) -> str:
        """Return why a file is refused and what to do.

        Parameters
        ----------
        file
            What to call it.
        """
        return (
            f'{file} is not loaded: {"; ".join(self.findings)}. Genuine {self.architecture} models are not like '
            'that, and loading it could run any code. Get the file from its source again, or, if you know who made it '
            'and trust them, allow it with --trust.'
        )


_KNOWN: dict[tuple[str, str], ModelScan] = {}


def scan_model(content: bytes, architecture: str) -> ModelScan:
    """Look for anything in a model file that a genuine one does not have.

    Nothing in the file is imported or called.

    Parameters
    ----------
    content
        The whole file.
    architecture
        One of :data:`PICKLED`.

    Raises
    ------
    ValueError
        If the files of this architecture are no pickles.
    ModuleNotFoundError
        If fickling is not installed.
    """
    if architecture not in PICKLED:
        raise ValueError(
            f'files of the architecture {architecture!r} are not scanned: give one of {", ".join(PICKLED)}.'
        )
    sha256 = hashlib.sha256(content).hexdigest()
    key = (architecture, sha256)
    if key not in _KNOWN:
        names: set[str] = set()
        findings = dict.fromkeys(_findings(content, architecture, names))
        if len(_KNOWN) == MAX_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[key] = ModelScan(architecture, sha256, tuple(sorted(names)), tuple(findings)[:MAX_FINDINGS])
    return _KNOWN[key]


def _findings(content: bytes, architecture: str, names: set[str]) -> Iterator[str]:
    try:
        pickled = read_archive(content)['data.pkl']
    except ArchiveError as error:
        yield str(error)
        return
    scripts: list[bytes] = []
    yield from _pickle_findings(pickled, architecture, names, scripts)
    yield from _second_opinion(pickled, lambda name: name in CALLED[architecture] | NAMED[architecture])
    for script in scripts:
        yield from _script_findings(script)


def _pickle_findings(pickled: bytes, architecture: str, names: set[str], scripts: list[bytes]) -> Iterator[str]:
    try:
        record = read_inert(pickled)
        values = record.values()
    except InertPickleError as error:
        yield f'its data.pkl is refused: {error}'
        return
    names |= {str(name) for name in record.names}
    called, named = CALLED[architecture], NAMED[architecture]
    unknown = names - called - named - {BYTES}
    for name in sorted(unknown):
        yield f'it names `{name}`'
    for value in values:
        for held in _held(value):
            if str(held) not in named | unknown:
                yield f'it holds `{held}` as a value'
        if isinstance(value, Call):
            if str(value.function) not in called | unknown:
                yield f'it calls `{value.function}`'
            yield from _call_findings(value)
        elif isinstance(value, Persistent):
            yield from _storage_findings(value)
        elif isinstance(value, (bytes, bytearray)):
            if bytes(value).startswith(ZIP_MAGIC):
                scripts.append(bytes(value))
            else:
                yield 'it holds bytes that are no TorchScript'


def _held(value: Any) -> Iterator[Global]:
    """Yield the names that a value holds, other than as the function of a call."""
    held: Any = ()
    if isinstance(value, dict):
        held = (*value.keys(), *value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = value
    elif isinstance(value, Persistent):
        held = (value.identifier,)
    yield from (item for item in held if isinstance(item, Global))


def _call_findings(call: Call) -> Iterator[str]:
    name = str(call.function)
    if call.keywords:
        yield f'it calls `{name}` with named arguments'
    if name == GETATTR:
        owner, attribute = (*call.arguments, None, None)[:2]
        if len(call.arguments) != 2 or str(owner) != VARIABLE_FUNCTIONS or attribute not in FUNCTION_NAMES:
            yield f'it calls `getattr` for {_shown(attribute)} of {_shown(owner)}'
    elif name == REDUCE_GRAPH_MODULE:
        yield from _graph_module_findings(call.arguments)
    elif name.startswith(('mace.', 'torch.nn.')) and call.arguments:
        yield f'it calls `{name}` with arguments'
    module = name.startswith(('e3nn.', 'mace.', 'torch.nn.'))
    if call.states and not (module or name == ORDERED_DICT):
        yield f'it sets attributes of what `{name}` returns'
    if any(type(state) is not dict for state in call.states):
        yield f'it sets attributes of `{name}` in an unusual way'
    if call.items and name != ORDERED_DICT:
        yield f'it sets items of what `{name}` returns'


def _graph_module_findings(arguments: tuple[Any, ...]) -> Iterator[str]:
    if len(arguments) != 2 or type(arguments[0]) is not dict or type(arguments[1]) is not str:
        yield f'it calls `{REDUCE_GRAPH_MODULE}` with unusual arguments'
        return
    error = graph_module_error(arguments[0], arguments[1], _TRACER)
    if error:
        yield error


def graph_module_error(body: dict[str, Any], imports: str, tracer: Any) -> str | None:
    """Return what a stored ``torch.fx.GraphModule`` has that no model needs, or ``None``.

    Parameters
    ----------
    body
        Its attributes.
    imports
        The lines before its source.
    tracer
        The only value that ``_tracer_cls`` may have, beside none.
    """
    unknown = sorted(str(key) for key in body if key not in GRAPH_MODULE_KEYS)
    if unknown:
        return f'a GraphModule in it has `{unknown[0]}`'
    if body.get('_tracer_cls') not in (None, tracer) or body.get('_tracer_extras', {}) != {}:
        return 'a GraphModule in it is traced in an unusual way'
    source = body.get('_code')
    if type(source) is not str:
        return 'a GraphModule in it has no source'
    return graph_code_error(imports, source)


def _storage_findings(value: Persistent) -> Iterator[str]:
    found = value.identifier
    if not isinstance(found, tuple) or len(found) != 5 or found[0] != 'storage' or not isinstance(found[1], Global):
        yield f'it refers to {_shown(found)} outside the pickle'
    elif not re.fullmatch(r'\d+', str(found[2])):
        yield f'it refers to the storage {_shown(found[2])}'


def _script_findings(script: bytes) -> Iterator[str]:
    try:
        files = read_archive(script, script=True)
    except ArchiveError as error:
        yield f'the TorchScript inside is refused: {error}'
        return
    for name, content in files.items():
        if name.endswith('.py'):
            found = script_code_error(content.decode('utf-8', errors='replace'))
            if found:
                yield found
        elif name.endswith(('.pkl', '.debug_pkl')):
            yield from _script_pickle_findings(content)


def _script_pickle_findings(content: bytes) -> Iterator[str]:
    try:
        found = {str(name) for name in read_inert(content).names}
    except InertPickleError as error:
        yield f'a pickle of the TorchScript inside is refused: {error}'
        return
    for name in sorted(found):
        if not _SCRIPT_GLOBAL.fullmatch(name):
            yield f'the TorchScript inside names `{name}`'


def _second_opinion(pickled: bytes, allowed: Callable[[str], bool]) -> Iterator[str]:
    """Yield what fickling finds in a pickle."""
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import Pickled

    try:
        with redirect_stderr(io.StringIO()):
            parsed = Pickled.load(pickled)
            result = check_safety(parsed)
        imports = [(node.module or '', alias.name) for node in parsed.properties.imports for alias in node.names]
    except Exception as error:
        yield f'fickling cannot read its data.pkl: {type(error).__name__}'
        return
    if parsed.has_interpretation_error or parsed.has_resource_exhaustion:
        yield 'fickling gives up on its data.pkl'
    if result.severity >= Severity.OVERTLY_MALICIOUS:
        yield 'fickling calls it overtly malicious'
    for module, name in imports:
        found = f'{"__builtin__" if module == "builtins" else module}.{name}'
        if not allowed(found) and found != BYTES:
            yield f'it names `{module}.{name}`'


def _shown(value: Any) -> str:
    text = f'`{value}`' if isinstance(value, Global) else repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
