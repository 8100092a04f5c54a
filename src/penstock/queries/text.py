"""Quoting: the only way by which a name or a value enters SQL text."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PATTERN = re.compile(r"[*?\[]")
_BRACKETED = re.compile(r"\[([*?\[])\]")


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Return names as a comma-separated list of quoted identifiers."""
    return ", ".join(identifier(name) for name in names)


def alike(columns: Iterable[str], left: str, right: str) -> str:
    """Return the condition that two rows, under their aliases, have the same values in columns; NULL is a value."""
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in map(identifier, columns))


def file_literal(path: str) -> str:
    """Return the path of a file as a SQL string literal, for functions of DuckDB that take patterns of paths.

    A star, a question mark or a bracket in a local path would stand for other files; within brackets each is itself.
    """
    return literal(path if "://" in path else _PATTERN.sub(r"[\g<0>]", path))


def file_literals(paths: Iterable[str]) -> str:
    """Return the paths of files as such literals, with commas between."""
    return ", ".join(map(file_literal, paths))


def file_named(literal_: str) -> str:
    """Return the path of the file that the text of a ``file_literal`` names."""
    return literal_ if "://" in literal_ else _BRACKETED.sub(r"\1", literal_)


def literal(text: str) -> str:
    """Return a text as a SQL string literal, for places where no value can be bound (COPY, ATTACH, SET)."""
    return "'" + text.replace("'", "''") + "'"
