"""The columns of a result: their names and types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from penstock import names
from penstock.errors import ConfigurationError
from penstock.model.entries import Column
from penstock.queries.text import identifier
from penstock.schema import Type, parse, spell, storage
from penstock.values import dataclass

INTERNAL = frozenset({names.LOAD, names.ORDER, names.CREATED, names.UPDATED, names.INTERVAL})
"""Columns that Penstock adds to warehouse tables: hidden from transforms that do not name them, never in a result."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a result and how they are selected from what was computed.

    Attributes:
        columns: Name, type and stored type of each.
        select: The select list that drops internal columns and narrows types.
        plain: True if the select list changes nothing.
    """

    columns: tuple[Column, ...]
    select: str
    plain: bool


def shape(relation: duckdb.DuckDBPyRelation, *, what: str, starred: bool) -> Shape:
    """Return the columns that a result will have.

    HUGEINT, which DuckDB gives to sums of integers, becomes BIGINT; a sum that does not fit fails when it is computed.
    The type of a bare NULL becomes VARCHAR.

    Args:
        relation: What was computed, not yet run.
        what: What made it, for messages.
        starred: Internal columns may have come by a star, and are dropped; else they were asked for, and are refused.

    Raises:
        ConfigurationError: Two columns have the same name, or a name is reserved.
    """
    found = [(name, str(type_)) for name, type_ in zip(relation.columns, relation.types, strict=True)]
    kept = [(name, type_) for name, type_ in found if name.lower() not in INTERNAL]
    if len(kept) < len(found) and not starred:
        reserved = next(name for name, _ in found if name.lower() in INTERNAL)
        raise ConfigurationError(
            f"{what} makes a column with a name that Penstock keeps for itself",
            value=reserved,
            remedy=f"Give it another name: {reserved} AS {reserved.strip('_')}",
        )
    if not kept:
        raise ConfigurationError(f"{what} makes no columns")
    _refuse_repeats([name for name, _ in kept], what)
    columns = tuple(_column(name, type_) for name, type_ in kept)
    casts = {name: narrowed for name, type_ in kept if (narrowed := _narrowed(type_)) is not None}
    select = ", ".join(
        f"CAST({identifier(name)} AS {casts[name]}) AS {identifier(name)}" if name in casts else identifier(name)
        for name, _ in kept
    )
    return Shape(columns, select, plain=len(kept) == len(found) and not casts)


def visible(columns: Sequence[Column], named: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of a warehouse table that a transform sees: all but the internal ones it does not name."""
    wanted = set(named)
    return tuple(
        column.name for column in columns if column.name.lower() not in INTERNAL or column.name.lower() in wanted
    )


def _refuse_repeats(column_names: Sequence[str], what: str) -> None:
    taken: set[str] = set()
    for name in column_names:
        if name.lower() in taken:
            raise ConfigurationError(
                f"{what} makes two columns with the same name",
                value=name,
                remedy="Name the columns of the result, or leave one out with * EXCLUDE",
            )
        taken.add(name.lower())


def _column(name: str, type_: str) -> Column:
    final = _narrowed(type_) or type_
    how = storage(final)
    return Column(name=name, type=final, stored=how.stored if how else None)


def _narrowed(type_: str) -> str | None:
    """Return the type that a result gets instead of this one, or None."""
    if type_ == "HUGEINT":
        return "BIGINT"
    try:
        parsed = parse(type_)
    except ValueError:
        return None
    settled = _settled(parsed)
    return None if settled == parsed else spell(settled)


def _settled(type_: Type) -> Type:
    """Return a type with VARCHAR for the type of a bare NULL."""
    if type_.name == "NULL":
        return Type("VARCHAR")
    return Type(type_.name, type_.arguments, tuple((label, _settled(member)) for label, member in type_.members))
