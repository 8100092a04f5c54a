"""Quoting: the only way by which a name or a value enters SQL text."""

from __future__ import annotations

from collections.abc import Iterable


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Return names as a comma-separated list of quoted identifiers."""
    return ", ".join(identifier(name) for name in names)


def alike(columns: Iterable[str], left: str, right: str) -> str:
    """Return the condition that two rows, under their aliases, have the same values in columns; NULL is a value."""
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in map(identifier, columns))


def literal(text: str) -> str:
    """Return a text as a SQL string literal, for places where no value can be bound (COPY, ATTACH, SET)."""
    return "'" + text.replace("'", "''") + "'"
