"""What is read from a SQLite file: the relation, its columns and the condition of a cursor or an interval."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract import cursors
from penstock.extract.database.sqlite import files
from penstock.extract.database.sqlite.types import Declared
from penstock.extract.port import Request
from penstock.extract.progress import in_no_interval, null_excluded, null_refused
from penstock.model.specs import OnNullCursor
from penstock.names import unknown
from penstock.queries.text import identifier, identifiers
from penstock.values import dataclass

_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Query:
    """What is read.

    Attributes:
        relation: The table, or the temporary view over the user's query, quoted.
        columns: Its columns.
        where: The condition; empty for none.
        values: The values bound in it.
        zones: The cursor holds texts of times with offsets from UTC, compared as moments.
    """

    relation: str
    columns: tuple[Declared, ...]
    where: str
    values: tuple[Any, ...]
    zones: bool = False

    def select(self, columns: Sequence[str] | None = None) -> str:
        """Return the statement for all columns or some."""
        names = columns or [column.name for column in self.columns]
        return f"SELECT {identifiers(names)} FROM {self.relation}{self.where}"


class Planner:
    """Plans one reading.

    Args:
        request: What is asked for.
        connection: The open file, in its transaction.
        path: The file, for messages.
        notes: Gets sentences for the user.
    """

    def __init__(self, request: Request, connection: sqlite3.Connection, path: Path, notes: list[str]) -> None:
        self._request = request
        self._connection = connection
        self._path = path
        self._notes = notes
        self._named = named(request)

    def plan(self) -> Query:
        """Return the query.

        Raises:
            ConfigurationError: A table or column does not exist, or a cursor or interval column cannot be used.
        """
        relation = files.relation(self._connection, self._request, self._path)
        columns = files.columns(self._connection, relation)
        query = Query(relation, columns, "", ())
        source = self._request.source
        names = [column.name for column in columns]
        for column in (source.cursor, source.interval, *source.key):
            if column is not None and column not in names:
                raise unknown("column", column, names, where=f"{self._named} of {self._path}")
        if self._request.interval is not None:
            return self._between(query)
        return self._since(query)

    def _between(self, query: Query) -> Query:
        interval, column = self._request.interval, self._request.source.interval
        if interval is None or column is None:
            raise ConfigurationError(
                f"{self._request.source.table} was asked for an interval but names no interval column",
                remedy="Add interval=… to the source",
            )
        sample = self._sample(query, column)
        form = cursors.form_of(sample)
        if form is None and any(value is not None for value in sample):
            raise ConfigurationError(
                f"How the interval column {column!r} of {self._named} writes moments cannot be told",
                value=next(value for value in sample if value is not None),
                valid="ISO 8601 texts of one spelling, or whole seconds, milliseconds or microseconds since 1970",
            )
        form = form or cursors.Form("date")
        quoted = identifier(column)
        self._tell_outside(query, column, form)
        if form.zone == "offset":
            seconds = f"CAST(strftime('%s', {quoted}) AS INTEGER)"
            bounds = (int(interval.start.timestamp()), int(interval.end.timestamp()))
            return replace(query, where=f" WHERE {seconds} >= ? AND {seconds} < ?", values=bounds)
        values = (form.bound(interval.start), form.bound(interval.end))
        return replace(query, where=f" WHERE {quoted} >= ? AND {quoted} < ?", values=values)

    def _tell_outside(self, query: Query, column: str, form: cursors.Form) -> None:
        """Note how many rows are in no interval, where that is asked for."""
        if not self._request.without_interval:
            return
        value = identifier(column)
        missing = f"strftime('%s', {value}) IS NULL" if form.zone == "offset" else f"{value} IS NULL"
        (rows,) = self._connection.execute(f"SELECT count(*) FROM {query.relation} WHERE {missing}").fetchone()
        if rows:
            self._notes.append(in_no_interval(rows, column, self._named))

    def _since(self, query: Query) -> Query:
        source = self._request.source
        if source.horizon:
            raise ConfigurationError(
                f"Source {source.table!r} has a horizon, and only tables of PostgreSQL have one",
                value=str(self._path),
                remedy="Drop horizon, and give it a lag as long as its longest transaction",
            )
        if source.cursor is None or not cursors.steers(self._request):
            return query
        sample = self._sample(query, source.cursor)
        # A few texts that are no times do not make the others none.
        times = [value for value in sample if isinstance(value, str) and cursors.moment(value) is not None]
        form = cursors.form_of(times if 2 * len(times) > len(sample) else sample)
        query = replace(query, zones=form is not None and form.zone == "offset")
        position = cursors.resume(self._request)
        wanted, values = ("", ()) if position is None else self._after(query, position, sample)
        return replace(query, where=self._with_nulls(query, wanted), values=values)

    def _after(self, query: Query, position: Mapping[str, Any], sample: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        source = self._request.source
        value, quoted = position["cursor"], identifier(str(source.cursor))
        if sample and isinstance(value, str) != isinstance(next(iter(sample)), str):
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} changed its type since it was last read",
                value=value,
                valid="values as before, or a new table name, which is read from the start",
            )
        at = cursors.moment(value) if query.zones else None
        if at is not None:
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            seconds = f"CAST(strftime('%s', {quoted}) AS INTEGER)"
            # What is no time has no order among times, and is never passed.
            wanted = f"({seconds} >= ? OR ({seconds} IS NULL AND {quoted} IS NOT NULL))"
            return wanted, (int((at.timestamp() - source.lag.total_seconds()) // 1),)
        bound = cursors.behind(value, str(position.get("cursor_type", "text")), source.lag, source.table)
        return f"{quoted} >= ? COLLATE BINARY", (bound,)

    def _with_nulls(self, query: Query, wanted: str) -> str:
        """Return the condition with what the source says of rows without a cursor value."""
        policy, quoted = self._request.source.on_null_cursor, identifier(str(self._request.source.cursor))
        if policy is OnNullCursor.INCLUDE:
            return f" WHERE ({wanted} OR {quoted} IS NULL)" if wanted else ""
        counted = self._connection.execute(f"SELECT count(*) FROM {query.relation} WHERE {quoted} IS NULL")
        (without,) = counted.fetchone()
        if without and policy is OnNullCursor.RAISE:
            raise null_refused(without, str(self._request.source.cursor), self._named)
        if without:
            self._notes.append(null_excluded(without, str(self._request.source.cursor), self._named))
        return f" WHERE {quoted} IS NOT NULL" + (f" AND {wanted}" if wanted else "")

    def _sample(self, query: Query, column: str) -> list[Any]:
        quoted = identifier(column)
        taken = self._connection.execute(
            f"SELECT {quoted} FROM {query.relation} WHERE {quoted} IS NOT NULL LIMIT {_SAMPLE}"
        )
        return [value for (value,) in taken]


def named(request: Request) -> str:
    """Return what is read, for messages."""
    return str(request.source.options.get("table", "the query"))
