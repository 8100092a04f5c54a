"""What a database's own catalog says, in the words that ``scope`` and the finding of a table need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract import scoping
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable
from penstock.names import unknown
from penstock.values import dataclass

Ask = Callable[[str], Sequence[Sequence[Any]]]

SAMPLE = 200
COUNTED_BYTES = 64 * 2**20
"""Tables up to this size are counted; of others the catalog's figure is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A table or view.

    Attributes:
        schema: Its schema.
        name: Its name.
        here: True where it needs no schema before its name.
        rows: How many rows the catalog thinks it has; None where it does not know.
        row_bytes: About how many bytes a row has.
        bytes: Its size, where known.
    """

    schema: str
    name: str
    here: bool
    rows: int | None = None
    row_bytes: int | None = None
    bytes: int | None = None

    @property
    def full(self) -> str:
        """Return its name as a source names it."""
        return self.name if self.here else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The columns of a table, by what they are good for.

    Attributes:
        spelt: Column to type, as the database spells it.
        key: Columns of the primary key.
        times: Columns of dates and times.
        counting: Columns of whole numbers.
        texts: Columns of short texts.
    """

    spelt: Mapping[str, str]
    key: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    counting: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def sampled(self) -> tuple[str, ...]:
        """Return the columns whose values are looked at."""
        return tuple(name for name in self.spelt if name in (*self.times, *self.texts))


def asked(request: Request) -> tuple[str | None, str | None]:
    """Return table and query of a request, just one of them a text.

    Raises:
        ConfigurationError: Neither or both are named.
    """
    table, query = request.source.options.get("table"), request.source.options.get("query")
    if (table is None) == (query is None):
        raise ConfigurationError(
            f"The source {request.source.table} must name either a table or a query",
            remedy="Add table= or query= (in a URL ?table=NAME); penstock scope lists the tables",
        )
    return (None, str(query).strip().rstrip(";")) if table is None else (str(table), None)


def tables_of(listed: Iterable[tuple[str, str, Any]]) -> tuple[SourceTable, ...]:
    """Return tables in the order of their names.

    Args:
        listed: Table, column, and the column's place in the primary key (none, or from 1); a table's columns in order.
    """
    columns: dict[str, list[str]] = {}
    keys: dict[str, dict[int, str]] = {}
    for name, column, place in listed:
        columns.setdefault(name, []).append(column)
        if place:
            keys.setdefault(name, {})[int(place)] = column
    return tuple(
        SourceTable(
            name=name, columns=tuple(found), key=tuple(column for _, column in sorted(keys.get(name, {}).items()))
        )
        for name, found in sorted(columns.items())
    )


def found(tables: Sequence[Listed], table: str, where: str) -> Listed:
    """Return the table of that name, its case ignored where only one fits.

    Raises:
        ConfigurationError: There is none; says which there are.
    """
    for each in tables:
        if table == f"{each.schema}.{each.name}" or (each.here and table == each.name):
            return each
    folded = table.casefold()
    near = [
        each
        for each in tables
        if folded == f"{each.schema}.{each.name}".casefold() or (each.here and folded == each.name.casefold())
    ]
    if len(near) == 1:
        return near[0]
    raise unknown("table", table, [each.full for each in tables], where=where)


def described(
    table: Listed,
    shape: Shape,
    request: Request,
    count: Callable[[], int],
    sample: Mapping[str, Sequence[Any]],
    remarks: Sequence[str] = (),
) -> TableDescription:
    """Return what ``scope`` says of a table.

    Args:
        table: The table.
        shape: Its columns.
        request: Names the connection.
        count: Counts its rows; called only where it is small.
        sample: Column to some of its values.
        remarks: What else is to be said.
    """
    small = table.bytes is not None and table.bytes <= COUNTED_BYTES
    rows = count() if small else table.rows
    cursors = scoping.cursors({name: name in shape.times for name in shape.spelt}, shape.key, shape.counting)
    pattern, reason = scoping.pattern(cursors, shape.key, rows)
    connection = request.connection.name if request.connection is not None else "database"
    personal = scoping.personal(shape.spelt, sample)
    return TableDescription(
        name=table.full,
        columns=shape.spelt,
        rows=rows,
        estimated=rows is not None and not small,
        bytes=table.bytes,
        key=shape.key,
        cursors=cursors,
        pattern=pattern,
        reason=reason,
        remarks=(*personal, *scoping.malformed(sample, shape.times, cursors), *remarks),
        suggestion=scoping.protecting(scoping.suggestion(connection, table.full, cursors, shape.key), personal),
    )


def sampled(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return rows by column."""
    return dict(zip(columns, zip(*rows, strict=True), strict=True)) if rows else {}
