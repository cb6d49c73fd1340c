"""The source code inside model files: only calls of tensor operations may be in it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from aiida_hdiff.engine.model_allow_list import GRAPH_FUNCTIONS, GRAPH_IMPORTS, SCRIPT_FUNCTIONS

MAX_SOURCE_CHARACTERS = 1_000_000
_EXPRESSIONS = (ast.Call, ast.Constant, ast.Tuple, ast.List, ast.UnaryOp, ast.USub, ast.keyword, ast.Load, ast.Store)
_GRAPH_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.Return, ast.Name, ast.Attribute, *_EXPRESSIONS,
)  # fmt: skip
_SCRIPT_NODES = (*_GRAPH_NODES, ast.ClassDef, ast.AnnAssign, ast.If, ast.Expr, ast.Subscript)
_OWN_NAME = re.compile(
    r'__torch__\.torch\.(fx\.graph_module|functional)(\.___torch_mangle_\d+)?\.(GraphModule|\w*forward|tensordot)'
)
_OWN_ATTRIBUTE = re.compile(r'self\.(_code|_w\d[\w]*)')
_LOCAL_FUNCTION = re.compile(r'_\d+|unchecked_cast|annotate|uninitialized')


def graph_code_error(imports: str, source: str) -> str | None:
    """Return what the source of a ``torch.fx.GraphModule`` has that no model needs, or ``None``.

    Loading such a module executes both texts as Python.

    Parameters
    ----------
    imports
        Lines with imports.
    source
        The definition of ``forward``.
    """
    for line in imports.splitlines():
        if line.strip() and line not in GRAPH_IMPORTS:
            return f'its source has the line {_short(line)}'
    tree = _parse(source)
    if isinstance(tree, str):
        return tree
    functions = tree.body
    if len(functions) != 1 or not isinstance(functions[0], ast.FunctionDef) or functions[0].name != 'forward':
        return 'its source is not one function `forward`'
    return next(_unknown_nodes(tree, _GRAPH_NODES), None) or next(_graph_calls(tree), None)


def script_code_error(source: str) -> str | None:
    """Return what a file of TorchScript has that no model needs, or ``None``."""
    tree = _parse(source)
    if isinstance(tree, str):
        return tree
    return next(_unknown_nodes(tree, _SCRIPT_NODES), None) or next(_script_calls(tree), None)


def _parse(source: str) -> ast.Module | str:
    if len(source) > MAX_SOURCE_CHARACTERS:
        return f'its source has more than {MAX_SOURCE_CHARACTERS} characters'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f'its source cannot be read: {type(error).__name__}'


def _unknown_nodes(tree: ast.AST, known: tuple[type[ast.AST], ...]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, known):
            yield f'its source has {_describe(node)}'
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.decorator_list:
            yield f'its source decorates {node.name}'
        if isinstance(node, ast.ClassDef) and (node.keywords or [ast.dump(base) for base in node.bases] != [_MODULE]):
            yield f'its source derives {node.name} from something else than Module'


_MODULE = ast.dump(ast.Name('Module', ast.Load()))


def _graph_calls(tree: ast.Module) -> Iterator[str]:
    """Yield the calls that are not allowed; annotations and defaults are refused, they would run on loading."""
    forward = tree.body[0]
    assert isinstance(forward, ast.FunctionDef)
    arguments = forward.args
    if arguments.defaults or arguments.kw_defaults or arguments.kwarg or forward.returns:
        yield 'the arguments of its `forward` have defaults or annotations'
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg):
        if argument is not None and argument.annotation:
            yield 'the arguments of its `forward` have defaults or annotations'
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            method = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
            if name not in GRAPH_FUNCTIONS and not (method and re.fullmatch(r'(?!torch\.)\w+\.permute', name)):
                yield f'its source calls {_short(name)}'
            called |= {id(part) for part in ast.walk(node.func)}
    for node in ast.walk(tree):
        stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        if isinstance(node, ast.Attribute) and id(node) not in called:
            yield f'its source takes {_short(ast.unparse(node))}'
        if (
            isinstance(node, ast.Name)
            and node.id in ('torch', 'device', 'pytree', 'fx_pytree')
            and id(node) not in called
        ):
            yield f'its source {"sets" if stored else "takes"} {node.id}'


def _script_calls(tree: ast.Module) -> Iterator[str]:
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            name = ast.unparse(node)
            if name not in SCRIPT_FUNCTIONS and not _OWN_NAME.fullmatch(name) and not _OWN_ATTRIBUTE.fullmatch(name):
                yield f'its TorchScript uses {_short(name)}'
        elif isinstance(node, ast.Name) and node.id in ('torch', 'ops', '__torch__') and id(node) not in inner:
            yield f'its TorchScript takes {node.id}'
        elif isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            if not _LOCAL_FUNCTION.fullmatch(name):
                yield f'its TorchScript calls {_short(name)}'


def _describe(node: ast.AST) -> str:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return f'the line {_short(ast.unparse(node))}'
    return f'a statement or expression of the kind {type(node).__name__}'


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + '...')
