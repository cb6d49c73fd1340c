"""Reading pickles without running anything in them.

The opcodes are carried out by the unpickler of the standard library itself, so that nothing is read otherwise than when
the file is loaded, but no module is imported and nothing is called: names and calls become inert records.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_VALUES = 5_000_000
_PLAIN_KEYS = (str, int, float, bytes, bool, type(None))


class InertPickleError(ValueError):
    """A pickle that cannot be read as inert data."""


@dataclass(frozen=True)
class Global:
    """What a pickle names in a module; ``str`` gives ``module.name``."""

    module: str
    name: str

    def __str__(self) -> str:
        return f'{self.module}.{self.name}'


@dataclass(frozen=True)
class Persistent:
    """What a pickle leaves to its container, such as the storage of a tensor."""

    identifier: Any = field(hash=False)


@dataclass(eq=False)
class Call:
    """A call that loading the pickle would make, with what it would do to the result.

    Attributes
    ----------
    function
        What is called.
    arguments
        Positional arguments.
    keywords
        Named arguments.
    states
        What is handed to ``__setstate__``, or becomes its attributes.
    items
        Keys and values set, ``(None, value)`` for appended ones.
    """

    function: Global
    arguments: tuple[Any, ...]
    keywords: dict[Any, Any] = field(default_factory=dict)
    states: list[Any] = field(default_factory=list)
    items: list[tuple[Any, Any]] = field(default_factory=list)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, value: Any) -> None:
        """Record an appended or added value."""
        self.items.append((None, value))

    def extend(self, values: Any) -> None:
        """Record appended values."""
        self.items.extend((None, value) for value in values)

    add = append


_ENCODE = Global('_codecs', 'encode')
"""How pickles of protocol 2 write bytes: as a text and its encoding."""


def _is_latin1(arguments: tuple[Any, ...]) -> bool:
    return len(arguments) == 2 and type(arguments[0]) is str and arguments[1] == 'latin1'


@dataclass(frozen=True)
class InertPickle:
    """What a pickle holds, and all that reading it would import and call, also what it throws away again.

    Attributes
    ----------
    value
        What it holds.
    names
        Everything it imports.
    calls
        Everything it calls.
    persistent
        Everything it leaves to its container.
    """

    value: Any
    names: tuple[Global, ...]
    calls: tuple[Call, ...]
    persistent: tuple[Persistent, ...]

    def values(self) -> list[Any]:
        """Return all values in it, each once.

        Raises
        ------
        InertPickleError
            If there are too many.
        """
        return list(walk([self.value, [*self.calls], [*self.persistent]]))


class _Reader(pickle._Unpickler):
    """The unpickler of the standard library, with all that would run code replaced."""

    dispatch = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.names: list[Global] = []
        self.calls: list[Call] = []
        self.persistent: list[Persistent] = []

    def find_class(self, module: str, name: str) -> Any:
        self.names.append(Global(module, name))
        return self.names[-1]

    def persistent_load(self, pid: Any) -> Any:
        self.persistent.append(Persistent(pid))
        return self.persistent[-1]

    def get_extension(self, code: int) -> None:
        raise InertPickleError(f'it takes code {code} of the extension registry, which hides what is loaded')

    def _call(self, function: Any, arguments: Any, keywords: Any = None) -> Call:
        if not isinstance(function, Global):
            raise InertPickleError(f'it calls {type(function).__name__}, the result of another call or a plain value')
        if not isinstance(arguments, tuple) or not isinstance(keywords or {}, dict):
            raise InertPickleError(f'it calls {function} with arguments that are no tuple')
        self.calls.append(Call(function, arguments, dict(keywords or {})))
        return self.calls[-1]

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.stack.append(self._call(klass, tuple(args)))

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        if self.stack[-1] == _ENCODE and isinstance(arguments, tuple) and _is_latin1(arguments):
            self.stack[-1] = arguments[0].encode('latin1')
            return
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def load_newobj_ex(self) -> None:
        keywords, arguments = self.stack.pop(), self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments, keywords)

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Call):
            raise InertPickleError(f'it sets attributes of {_describe(self.stack[-1])}, which is no new object')
        self.stack[-1].states.append(state)

    def _check_keys(self, keys: Any) -> None:
        for key in keys:
            if not isinstance(key, (*_PLAIN_KEYS, Global, Call, Persistent)):
                raise InertPickleError(f'it has a {type(key).__name__} as key or element of a set')

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()  # type: ignore[misc]

    def _marked(self, step: int) -> None:
        """Check the keys of an opcode that takes all items down to the mark."""
        self._check_keys(self.stack[::step])

    def load_setitems(self) -> None:
        self._marked(2)
        super().load_setitems()  # type: ignore[misc]

    def load_dict(self) -> None:
        self._marked(2)
        super().load_dict()  # type: ignore[misc]

    def load_additems(self) -> None:
        self._marked(1)
        super().load_additems()  # type: ignore[misc]

    def load_frozenset(self) -> None:
        self._marked(1)
        super().load_frozenset()  # type: ignore[misc]

    for _opcode, _function in (
        (pickle.REDUCE, load_reduce),
        (pickle.NEWOBJ, load_reduce),
        (pickle.NEWOBJ_EX, load_newobj_ex),
        (pickle.BUILD, load_build),
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.DICT, load_dict),
        (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset),
    ):
        dispatch[_opcode[0]] = _function  # type: ignore[assignment]


def _describe(value: Any) -> str:
    return str(value) if isinstance(value, Global) else f'a {type(value).__name__}'


def read_inert(content: bytes) -> InertPickle:
    """Read a pickle without importing or calling what it names.

    Parameters
    ----------
    content
        One complete pickle, with nothing behind it.

    Raises
    ------
    InertPickleError
        If it is cut off, no pickle, followed by other bytes, or does what no genuine model file does.
    """
    stream = io.BytesIO(content)
    try:
        reader = _Reader(stream)
        value = reader.load()
    except InertPickleError:
        raise
    except Exception as error:
        raise InertPickleError(f'it cannot be read as a pickle: {type(error).__name__}: {error}') from error
    if stream.read(1):
        raise InertPickleError('further bytes follow the end of the pickle')
    return InertPickle(value, tuple(reader.names), tuple(reader.calls), tuple(reader.persistent))


def walk(root: Any) -> Iterator[Any]:
    """Go through all values in a record of :func:`read_inert`, each once.

    Raises
    ------
    InertPickleError
        If there are too many.
    """
    seen: set[int] = set()
    pending = [root]
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if len(seen) > MAX_VALUES:
            raise InertPickleError(f'it holds more than {MAX_VALUES} values')
        yield value
        if isinstance(value, dict):
            pending.extend(value.keys())
            pending.extend(value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            pending.extend(value)
        elif isinstance(value, Persistent):
            pending.append(value.identifier)
        elif isinstance(value, Call):
            pending += [value.function, value.arguments, value.keywords, value.states, value.items]
