"""What a transform means, as hex digits that stay while the meaning stays: for skipping what is unchanged.

Comments, docstrings, white space and keyword case change nothing. Of a function, its defaults, the values it closes
over, and the functions, classes and constants of its own package that it names count too, as far as they can be found.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from penstock.model import codec
from penstock.model.entries import InputVersion
from penstock.model.interval import Interval
from penstock.model.queries import ParsedQuery
from penstock.model.specs import TransformSpec
from penstock.values import dataclass

_OPEN = (bool, int, float, type(None), date, time, timedelta)
"""Values that are written down as they are."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), date, time, timedelta, Decimal, PurePath, Enum)


def code_fingerprint(transform: TransformSpec, query: ParsedQuery | None = None) -> str:
    """Return 16 hex digits of what a transform does, its inputs' versions aside.

    Args:
        transform: The transform.
        query: Its query, where it was parsed already.
    """
    if query is not None:
        code = query.meaning
    elif transform.sql is not None:
        from penstock.queries import edges

        code = edges.meaning(transform.sql, origin=transform.origin or transform.table)
    else:
        code = _meaning(transform.function, _Walk()) if transform.function is not None else ""
    return codec.fingerprint(transform.table, transform.interval, code, *_options(transform))


def function_fingerprint(function: Callable[..., Any]) -> str:
    """Return 16 hex digits of what a function does: comments, descriptions and form are left out."""
    return codec.fingerprint(_meaning(function, _Walk()))


def code_text(transform: TransformSpec) -> str:
    """Return the code of a transform line by line, for people: to be kept, and compared with the code of later days.

    A query is as it is written. Of a function it is the source, with that of the functions and classes of its package
    that it names; texts and other values that it closes over or finds beside it are given by a digest, since
    they may be secret.
    """
    options = [f"-- {option}" for option in _options(transform)]
    if transform.interval is not None:
        options.insert(0, f"-- interval: {transform.interval}")
    if transform.sql is not None:
        return "\n".join([*options, *transform.sql.strip().splitlines()]) + "\n"
    code = _meaning(transform.function, _Walk(shown=True)) if transform.function is not None else ""
    return "\n".join([*options, *code.splitlines()]) + "\n"


def _options(transform: TransformSpec) -> list[str]:
    """Return what else decides about the rows; nothing where nothing was said, so that old fingerprints hold."""
    found = [f"lookback: {transform.lookback.total_seconds():.0f} s"] if transform.lookback else []
    return found + ([f"key: {', '.join(transform.key)}"] if transform.key else [])


@dataclass(slots=True)
class _Walk:
    """A walk through what a function names: what was seen, and whether it is written down or only hashed."""

    seen: set[int] = field(default_factory=set)
    shown: bool = False


def fingerprint(
    transform: TransformSpec,
    inputs: Sequence[InputVersion],
    interval: Interval | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> str:
    """Return 16 hex digits of what a transform would make: its code, the versions it reads, interval, parameters."""
    pairs = sorted((version.table, version.number) for version in inputs)
    return codec.fingerprint(code_fingerprint(transform), pairs, interval, parameters or {})


def _meaning(function: Callable[..., Any], walk: _Walk) -> str:
    """Return the meaning of a function as text."""
    if isinstance(function, MethodType):
        return f"{type(function.__self__).__qualname__}.{_meaning(function.__func__, walk)}"
    plain = inspect.unwrap(function)
    if id(plain) in walk.seen:
        return f"again {getattr(plain, '__qualname__', '')}"
    walk.seen.add(id(plain))
    if not isinstance(plain, FunctionType):
        return f"{type(plain).__qualname__} {_source(type(plain))}"
    parts = [_source(plain) or _bytecode(plain.__code__)]
    parts.append(f"defaults {_value(plain.__defaults__, plain, walk)} {_value(plain.__kwdefaults__, plain, walk)}")
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True):
        try:
            parts.append(f"closes {name} = {_value(cell.cell_contents, plain, walk)}")
        except ValueError:  # an empty cell: the name is not bound yet
            parts.append(f"closes {name}")
    named = sorted(set(_names(plain.__code__)))
    parts += [
        f"names {name} = {_value(plain.__globals__[name], plain, walk, named)}"
        for name in named
        if name in plain.__globals__
    ]
    return "\n".join(parts)


def _value(value: Any, owner: FunctionType, walk: _Walk, named: Sequence[str] = ()) -> str:
    """Return the meaning of a value that a function uses; of foreign things only their name."""
    if isinstance(value, _PLAIN):
        return repr(value) if not walk.shown or isinstance(value, _OPEN) else f"#{codec.fingerprint(repr(value))}"
    if isinstance(value, re.Pattern):
        return f"re {value.pattern!r} {value.flags}"
    if isinstance(value, Mapping | tuple | list | set | frozenset):
        return _collection(value, owner, walk)
    if isinstance(value, ModuleType):
        if not _same_package(value.__name__, owner):
            return value.__name__
        used = [name for name in named if name in vars(value)]
        return value.__name__ + " " + "; ".join(_value(vars(value)[name], owner, walk) for name in used)
    if _same_package(getattr(value, "__module__", None) or "", owner):
        if isinstance(value, FunctionType | MethodType):
            return _meaning(value, walk)
        if isinstance(value, type):
            return _source(value) or _source_of_class(value, owner) or value.__qualname__
        if is_dataclass(value):
            return f"{type(value).__qualname__} {_collection(_fields(value), owner, walk)}"
    kind = value if isinstance(value, type | FunctionType) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _collection(value: Any, owner: FunctionType, walk: _Walk) -> str:
    if isinstance(value, Mapping):
        items = sorted(f"{_value(key, owner, walk)}: {_value(item, owner, walk)}" for key, item in value.items())
    else:
        items = [_value(item, owner, walk) for item in value]
        items = sorted(items) if isinstance(value, set | frozenset) else items
    return f"{type(value).__name__}({', '.join(items)})"


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _same_package(module: str, owner: FunctionType) -> bool:
    return bool(module) and module.partition(".")[0] == (owner.__module__ or "").partition(".")[0]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _source(thing: Any) -> str:
    """Return the source without comments, docstrings and formatting; empty where there is none."""
    if isinstance(thing, FunctionType) and thing.__code__.co_filename == "<string>":
        # Python 3.13 and newer give the text after ``python -c`` as the source of whatever was made by ``eval``.
        return ""
    try:
        return _bare(ast.parse(textwrap.dedent(inspect.getsource(thing))))
    except (OSError, TypeError, SyntaxError):
        return ""


def _source_of_class(kind: type, owner: FunctionType) -> str:
    """Return the source of a class from the file of a function beside it, where its module is not registered."""
    file = owner.__globals__.get("__file__")
    if not file or kind.__module__ != owner.__module__:
        return ""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    return "".join(_bare(node) for node in found)


def _bare(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = body[1:] or [ast.Pass()] if body else []
    return ast.unparse(tree)


def _bytecode(code: CodeType) -> str:
    constants = [_bytecode(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {constants} {code.co_names} {code.co_varnames}"
