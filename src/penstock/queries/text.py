"""Quoting: the only way by which a name or a value enters SQL text."""

from __future__ import annotations

from collections.abc import Iterable


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Return names as a comma-separated list of quoted identifiers."""
    return ", ".join(identifier(name) for name in names)


def literal(text: str) -> str:
    """Return a text as a SQL string literal, for places where no value can be bound (COPY, ATTACH, SET)."""
    return "'" + text.replace("'", "''") + "'"
