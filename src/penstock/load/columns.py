"""Columns of warehouse tables: their names, and which type holds the values of two types without loss."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import duckdb

from penstock.errors import DataError
from penstock.model.entries import Column
from penstock.names import RESERVED, is_internal
from penstock.queries.text import identifier
from penstock.queries.widening import grows
from penstock.schema import restore
from penstock.stores.port import WarehouseTransaction
from penstock.values import dataclass

UNKNOWN = '"NULL"'
"""The type of a column that has held nothing but nulls."""

_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_CHAINS = (_SIGNED, _UNSIGNED, ("FLOAT", "DOUBLE"), ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP"))
_CANONICAL: dict[str, str] = {}
"""Types, as somebody wrote them, to how DuckDB writes them."""
_MOST_TYPES = 1000
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


@dataclass(frozen=True, slots=True)
class ServedColumn:
    """A column as the warehouse serves it.

    Attributes:
        name: In the warehouse.
        type: In the warehouse, as DuckDB spells it; ``UNKNOWN`` for a column of nulls.
        expression: SQL over the rows as read, that gives its values.
        source_name: In the source.
    """

    name: str
    type: str
    expression: str
    source_name: str


def served_names(columns: Sequence[Column], reserved: Sequence[str]) -> dict[str, str]:
    """Return stored name to warehouse name.

    The name in the source is given back where the warehouse can have it: not where it is empty, the name of a column
    that Penstock adds, or equal but for case to that of another column.

    Args:
        columns: The columns of the lake, without those that the lake adds.
        reserved: Names that the warehouse table uses itself.
    """
    taken = {name.lower() for name in reserved}
    taken |= {column.name.lower() for column in columns if column.source_name is None}
    own = {name.lower() for name in reserved}
    found = {}
    for column in columns:
        wanted = column.at_source
        if column.source_name is None and wanted.lower() in own:
            found[column.name] = clear_of(wanted, taken)
            taken.add(found[column.name].lower())
            continue
        if column.source_name is not None:
            wanted = column.name if not wanted or is_internal(wanted) or wanted.lower() in taken else wanted
            taken.add(wanted.lower())
        found[column.name] = wanted
    return found


def clear_of(name: str, taken: Collection[str]) -> str:
    """Return the name with ``__source`` put behind it as often as makes it another one than those taken."""
    while name.lower() in taken:
        name += "__source"
    return name


def served(schema: Sequence[Column], reserved: Iterable[str]) -> tuple[ServedColumn, ...]:
    """Return how the warehouse serves the columns of an entry's files, original types restored."""
    columns = [column for column in schema if column.name.lower() not in RESERVED]
    names = served_names(columns, tuple(reserved))
    return tuple(
        ServedColumn(
            names[column.name],
            served_type(column.type),
            # A column without a type held nothing but nulls, and is in no file.
            "NULL" if column.type == UNKNOWN else restore(f"r.{identifier(column.name)}", column.type),
            column.at_source,
        )
        for column in columns
    )


def served_type(type_: str) -> str:
    """Return the type that restoring gives: enumerations become text."""
    if type_.strip('"').upper() == "NULL":
        return UNKNOWN
    return "VARCHAR" if type_.upper().startswith("ENUM(") else type_


def wider(first: str, second: str, connection: Any) -> str | None:
    """Return the type that holds every value of two types exactly, or None.

    Integers widen to integers, FLOAT to DOUBLE, decimals to 38 digits, timestamps to microseconds, and lists and
    structs by their parts; a struct may gain fields. Integers never become floating, and nothing becomes text.

    Args:
        first: A DuckDB type.
        second: Another.
        connection: A DuckDB connection, which reads the nested types.
    """
    first, second = _canonical(first, connection), _canonical(second, connection)
    if second in (first, UNKNOWN):
        return first
    if first == UNKNOWN:
        return second
    return _wider_integer(first, second) or _wider_decimal(first, second) or _wider_nested(first, second, connection)


def _canonical(type_: str, connection: Any) -> str:
    """Return how DuckDB writes a type; a table's types are the same at each load."""
    found = _CANONICAL.get(type_)
    if found is None:
        found = str(connection.sqltype(type_))
        if len(_CANONICAL) < _MOST_TYPES:
            _CANONICAL[type_] = found
    return found


def present(schema: Sequence[Column], stored: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns of a load as its files hold them now.

    Args:
        schema: The columns as they were when the load landed.
        stored: The columns of the lake's table: types may have become wider since, and files were written anew; not
            for new members of a nested value.
    """
    now = {column.name: column for column in stored}
    return tuple(
        column if column.type == UNKNOWN else _newer(column, now.get(column.name, column)) for column in schema
    )


def _newer(landed: Column, now: Column) -> Column:
    if landed.type == now.type or grows(landed.stored or landed.type, now.stored or now.type):
        return landed
    return now


def _wider_integer(first: str, second: str) -> str | None:
    for chain in _CHAINS:
        if first in chain and second in chain:
            return max(first, second, key=chain.index)
    if first in _SIGNED and second in _UNSIGNED:
        first, second = second, first
    if first in _UNSIGNED[:-1] and second in _SIGNED:
        return _SIGNED[max(_UNSIGNED.index(first) + 1, _SIGNED.index(second))]
    return None


def _wider_decimal(first: str, second: str) -> str | None:
    one, two = _DECIMAL.fullmatch(first), _DECIMAL.fullmatch(second)
    if one is None or two is None:
        return None
    scale = max(int(one[2]), int(two[2]))
    digits = max(int(one[1]) - int(one[2]), int(two[1]) - int(two[2])) + scale
    return f"DECIMAL({digits},{scale})" if digits <= 38 else None


def _wider_nested(first: str, second: str, connection: Any) -> str | None:
    one, two = connection.sqltype(first), connection.sqltype(second)
    if one.id != two.id:
        return None
    if one.id == "list":
        inside = wider(str(one.children[0][1]), str(two.children[0][1]), connection)
        return None if inside is None else f"{inside}[]"
    if one.id != "struct":
        return None
    fields = {name: str(type_) for name, type_ in one.children}
    for name, type_ in two.children:
        joined = wider(fields[name], str(type_), connection) if name in fields else str(type_)
        if joined is None:
            return None
        fields[name] = joined
    return "STRUCT(" + ", ".join(f"{identifier(name)} {type_}" for name, type_ in fields.items()) + ")"


def fit(
    transaction: WarehouseTransaction,
    table: str,
    wanted: Sequence[tuple[str, str]],
    where: str,
    told: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """Make the table, or widen it, so that rows with these columns fit; return name in lower case to type.

    Args:
        transaction: The open transaction.
        table: The warehouse table.
        wanted: Name and type of each column.
        where: What brings the columns, for messages: ``load 7``.
        told: Name in lower case to type, for columns of which the lake says which type they have now: it has tried
            every value.

    Raises:
        DataError: A column of the table and one of the rows cannot be held by one type.
    """
    present = transaction.columns(table)
    if present is None:
        listed = ", ".join(f"{identifier(name)} {created(type_)}" for name, type_ in wanted)
        transaction.execute(f"CREATE TABLE {identifier(table)} ({listed})")
        return {name.lower(): created(type_) for name, type_ in wanted}
    types = {column.name.lower(): column.type for column in present}
    for name, type_ in wanted:
        had = types.get(name.lower())
        if had is None:
            types[name.lower()] = created(type_)
            transaction.execute(f"ALTER TABLE {identifier(table)} ADD COLUMN {identifier(name)} {types[name.lower()]}")
            continue
        joined = wider(had, type_, transaction.connection)
        if joined is None and (told or {}).get(name.lower()) == type_ and _holds_same(transaction, table, name, type_):
            joined = type_
        if joined is None and had == "VARCHAR" and _holds_nothing(transaction, table, name):
            joined = type_
        if joined is None:
            raise DataError(
                f"Column {name!r} of {table} has the type {had} in the warehouse; {where} brings {type_}, "
                "and no type holds both without loss",
                remedy="Mend the type at the source, or give the table another name",
            )
        if joined != str(transaction.connection.sqltype(had)):
            types[name.lower()] = joined
            transaction.execute(f"ALTER TABLE {identifier(table)} ALTER COLUMN {identifier(name)} TYPE {joined}")
    return types


def created(type_: str) -> str:
    """Return the type with which a column is made: text where none is known."""
    return type_.replace(UNKNOWN, "VARCHAR")


def _holds_same(transaction: WarehouseTransaction, table: str, column: str, type_: str) -> bool:
    """Say whether every value of a column is the same in another type."""
    had = next(str(known.type) for known in transaction.columns(table) or () if known.name.lower() == column.lower())
    value = identifier(column)
    try:
        changed = transaction.execute(
            f"SELECT count(*) FROM {identifier(table)} "
            f"WHERE CAST(TRY_CAST({value} AS {type_}) AS {had}) IS DISTINCT FROM {value}"
        )
    except duckdb.Error:
        return False
    return changed == [(0,)]


def _holds_nothing(transaction: WarehouseTransaction, table: str, column: str) -> bool:
    return transaction.execute(f"SELECT count({identifier(column)}) FROM {identifier(table)}") == [(0,)]
