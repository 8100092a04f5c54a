"""Tables as their changes describe them, with the types that a reading of them gives."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from penstock.extract.database.postgres.connection import address, snapshot
from penstock.extract.database.postgres.types import columns
from penstock.extract.port import Request
from penstock.extract.streams.changes.postgres.messages import Relation
from penstock.queries.text import identifier
from penstock.schema import SOURCE_TYPE
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Described:
    """A table of one shape.

    Attributes:
        relation: As a message described it.
        bases: The names of its columns' types beneath domains.
        fields: Its columns in Arrow.
        key: Which of them name a row.
    """

    relation: Relation
    bases: tuple[str, ...]
    fields: tuple[pa.Field, ...]
    key: tuple[int, ...]


def described(relation: Relation, request: Request) -> Described:
    """Return a table with its types; a type that the database has no longer is read as text."""
    with snapshot(request) as connection:
        numbers = [column.type for column in relation.columns]
        there = {oid for (oid,) in connection.execute("SELECT oid FROM pg_type WHERE oid = ANY(%s::oid[])", (numbers,))}
        spelt = connection.execute(
            "SELECT format_type(oid, modifier) FROM unnest(%s::oid[], %s::int[]) AS t(oid, modifier)",
            (
                [each.type if each.type in there else _TEXT for each in relation.columns],
                [each.modifier for each in relation.columns],
            ),
        ).fetchall()
        nothing = ", ".join(
            f"NULL::{type_} AS {identifier(each.name)}" for each, (type_,) in zip(relation.columns, spelt, strict=True)
        )
        # What a query of the table would tell of its columns: a domain is the type beneath it.
        result = connection.execute(f"SELECT {nothing} LIMIT 0".encode()).pgresult
        assert result is not None
        asked = [(each.name, result.ftype(place), result.fmod(place)) for place, each in enumerate(relation.columns)]
        planned = columns(connection, asked)
    chosen = ", ".join(f"{column.expression} AS {identifier(column.name)}" for column in planned)
    kinds = _kinds(request, f"SELECT {chosen or '1'} FROM (SELECT {nothing}) AS t LIMIT 0")
    fields = tuple(
        pa.field(column.name, column.target or kind, metadata={SOURCE_TYPE: column.spelt})
        for column, kind in zip(planned, kinds, strict=True)
    )
    names = [column.name for column in planned]
    key = tuple(names.index(name) for name in request.source.key if name in names)
    return Described(relation, tuple(column.base for column in planned), fields, key)


_TEXT = 25


def _kinds(request: Request, statement: str) -> list[pa.DataType]:
    """Return the types that the driver gives."""
    import adbc_driver_manager as manager
    import adbc_driver_postgresql

    with (
        adbc_driver_postgresql.connect(address(request)) as database,
        manager.AdbcConnection(database) as connection,
        manager.AdbcStatement(connection) as query,
    ):
        query.set_sql_query(statement)
        handle, _ = query.execute_query()
        reader: Any = pa.RecordBatchReader._import_from_c(handle.address)  # noqa: SLF001 - the documented way in
        with reader:
            return [field.type for field in reader.schema]
