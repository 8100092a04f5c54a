"""The new rows as SQL: with their original types, and with their place in the load where they stand in lake files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import datetime
from functools import cached_property
from typing import cast

import duckdb

from penstock.arrow import pa
from penstock.errors import BugError, ConfigurationError
from penstock.model.entries import Column, DataFile, Origin
from penstock.model.interval import Interval
from penstock.names import RAW_PREFIX, unknown
from penstock.queries.relations import FILE, ROW
from penstock.queries.text import identifier
from penstock.schema import restore, storage
from penstock.stores.port import Answerer, Asked
from penstock.values import dataclass

POSITION = "_penstock_position"
"""The row's position within the load, from 0: order of the files, then of the rows in them."""
PLACES = "_penstock_places"
"""The files of the load as a relation: ``uri``, ``path``, ``start``."""
_FEW, _LIGHT = 10_000, 2**20
"""Rows, and bytes of their files, up to which reading them takes less time than planning a query."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the load: as a scan names it, as the lake names it, the position of its first row, its name's hash."""

    uri: str
    path: str
    start: int
    mark: int


@dataclass(frozen=True)
class Rows:
    """The rows that are checked.

    Attributes:
        table: Their table.
        relation: SQL of a FROM clause, in stored types.
        columns: The columns, with the types that checks see; a column that the relation lacks is all null.
        stored: Name in lower case to type of the columns that the relation has, without the place of the row.
        names: Their names as they are written.
        located: Whether the relation says file and row of each row.
        files: The files of the load, in order.
        origins: Where the rows came from, by position.
        engine: DuckDB of this machine, which reads the files too.
        asked: Who is asked about the rows; None: ``engine``.
    """

    table: str
    relation: str
    columns: tuple[Column, ...]
    stored: dict[str, str]
    names: tuple[str, ...]
    located: bool
    files: tuple[DataFile, ...]
    origins: tuple[Origin, ...]
    engine: duckdb.DuckDBPyConnection = field(repr=False)
    asked: Answerer | None = field(default=None, repr=False)

    @property
    def connection(self) -> Asked:
        """Who is asked about the rows."""
        return cast("Asked", self.engine) if self.asked is None else self.asked

    @property
    def alias(self) -> str:
        """The name by which conditions may call the rows: the table's, as the user knows it."""
        return identifier(self.table.removeprefix(RAW_PREFIX))

    def sql(self, columns: Collection[str] | None = None, *, place: bool = False) -> str:
        """Return the rows as a FROM clause with an alias, columns in their original types.

        Args:
            columns: Only these; planning a query over a wide table takes longer than reading two columns of it.
            place: Add ``FILE`` and ``ROW``.
        """
        return f"{self.unnamed(columns, place=place)} AS {self.alias}"

    def unnamed(self, columns: Collection[str] | None = None, *, place: bool = False) -> str:
        """Return the same without the alias."""
        listed = self._listed(columns) + ([FILE, ROW] if place else [])
        return f"(SELECT {', '.join(listed) or '1'} FROM {self.relation})"

    def positioned(self, columns: Collection[str] | None = None) -> str:
        """Return the rows with ``FILE``, ``ROW`` and ``POSITION``; only while ``registered``, in no certain order."""
        listed = [*self._listed(columns), FILE, ROW, f"places.start + {ROW} AS {POSITION}"]
        joined = f"{self.relation} JOIN {PLACES} AS places ON {FILE} = places.uri"
        return f"(SELECT {', '.join(listed)} FROM {joined}) AS {self.alias}"

    def _listed(self, columns: Collection[str] | None) -> list[str]:
        wanted = None if columns is None else set(columns)
        return [
            f"{self.restored(column)} AS {identifier(column.name)}"
            for column in self.columns
            if wanted is None or column.name in wanted
        ]

    def bare(self) -> str:
        """Return a relation of the same columns without rows, to bind conditions against."""
        listed = ", ".join(f"CAST(NULL AS {column.type}) AS {identifier(column.name)}" for column in self.columns)
        return f"(SELECT {listed or '1'} WHERE false) AS {self.alias}"

    def column(self, name: str, *, where: str) -> Column:
        """Return a column by its name, without regard to case.

        Raises:
            ConfigurationError: If there is none; says the nearest.
        """
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        for column in self.columns:
            if column.source_name == name:
                raise ConfigurationError(
                    f"Column {name!r} of the source is stored under another name ({where})",
                    valid=column.name,
                    remedy=f"Write {column.name!r}",
                )
        raise unknown("column", name, [column.name for column in self.columns], where=where)

    def restored(self, column: Column) -> str:
        """Return the SQL of a column in its original type, over ``relation``."""
        actual, name = self.stored.get(column.name.lower()), identifier(column.name)
        if actual is None:
            return f"CAST(NULL AS {column.type})"
        if column.type in ("DOUBLE", "FLOAT"):
            # Arrow leaves NaN out of a file's statistics, and DuckDB would conclude from them that there is none.
            return f"CASE WHEN isnan({name}) THEN CAST('nan' AS {column.type}) ELSE {name} END"
        return restore(name, column.type) if actual != column.type else name

    @property
    def few(self) -> bool:
        """Whether the rows are known to be so few that one look at all of them costs less than another query."""
        counted = 0 < sum(file.rows for file in self.files) <= _FEW
        return counted and sum(file.bytes for file in self.files) <= _LIGHT

    @cached_property
    def unbounded(self) -> frozenset[str]:
        """The columns with values for which a file tells neither the least nor the greatest."""
        return frozenset(
            name
            for file in self.files
            for name, (low, high, nulls) in file.statistics.items()
            if low is None and high is None and nulls < file.rows
        )

    def long_json_as_text(self) -> Rows:
        """Return the rows with columns of long JSON texts as the texts that they are, for what needs no more.

        The profile of both is the same, and the text is not held once more to become JSON. Another engine lacks our
        function for it, and takes all JSON for text.
        """
        json = {column.name for column in self.columns if column.type == "JSON"}
        long = json if self.asked is not None else json & self.unbounded
        if not long:
            return self
        return replace(self, columns=tuple(replace(c, type="VARCHAR") if c.name in long else c for c in self.columns))

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The files that have rows in the relation, in order."""
        query = f"SELECT uri, hash(uri) FROM (SELECT DISTINCT {FILE} AS uri FROM {self.relation}) WHERE uri IS NOT NULL"
        uris: dict[str, int] = dict(self.connection.execute(query).fetchall())
        by_name: dict[str, list[str]] = {}
        for uri in uris:
            by_name.setdefault(uri.replace("\\", "/").rpartition("/")[2], []).append(uri)
        places, start = [], 0
        for file in self.files:
            ending = "/" + file.path
            named = by_name.get(file.path.rpartition("/")[2], ())
            matching = [uri for uri in named if uri in uris and ("/" + uri.replace("\\", "/")).endswith(ending)]
            places += [Place(uri, file.path, start, uris.pop(uri)) for uri in matching]
            start += file.rows
        if uris:
            raise BugError(f"Rows of {self.table} stand in a file that is not of the load", value=next(iter(uris)))
        return tuple(places)

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Make ``PLACES`` visible to the connection, where the rows have places."""
        if not self.located:
            yield
            return
        self._register()
        try:
            yield
        finally:
            self.connection.unregister(PLACES)

    def _register(self) -> None:
        places = self.places
        self.connection.register(
            PLACES,
            pa.table(
                {
                    "uri": pa.array([place.uri for place in places], pa.string()),
                    "path": pa.array([place.path for place in places], pa.string()),
                    "start": pa.array([place.start for place in places], pa.int64()),
                }
            ),
        )

    def position(self, uri: str, row: int) -> int:
        """Return the position of a row, by its file as a scan names it and its place in it."""
        return self._starts[uri] + row

    def origin(self, position: int) -> tuple[Origin, int] | None:
        """Return where a row came from, and its position there from 0; None where nobody recorded it."""
        index = bisect_right(self._firsts, position) - 1
        if index < 0:
            return None
        origin = self._filled[index]
        return (origin, position - origin.first) if position < origin.first + origin.rows else None

    @cached_property
    def _starts(self) -> dict[str, int]:
        return {place.uri: place.start for place in self.places}

    @cached_property
    def _filled(self) -> tuple[Origin, ...]:
        return tuple(sorted((item for item in self.origins if item.rows), key=lambda item: item.first))

    @cached_property
    def _firsts(self) -> list[int]:
        return [item.first for item in self._filled]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a condition may name: the rows, other tables, ``:now``, and ``:interval_start`` and ``:interval_end``."""

    rows: Rows
    tables: Mapping[str, str]
    now: datetime
    connection: duckdb.DuckDBPyConnection
    interval: Interval | None = None

    @property
    def values(self) -> dict[str, datetime]:
        """Return the moments that a condition may name; where there is no interval, checks that name it are skipped."""
        start, end = (self.interval.start, self.interval.end) if self.interval else (self.now, self.now)
        return {"now": self.now, "interval_start": start, "interval_end": end}


def described(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return column name to DuckDB type of a relation, in order."""
    # Bound and not run, which takes half the time of DESCRIBE.
    found = connection.sql(f"SELECT * FROM {relation}")
    return {name: str(type_) for name, type_ in zip(found.columns, found.types, strict=True)}


def opened(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    relation: str,
    columns: Sequence[Column],
    files: Sequence[DataFile],
    origins: Sequence[Origin],
    stored: Mapping[str, str] | None = None,
) -> Rows:
    """Look at a relation and return its rows, columns with the types that checks see.

    Args:
        connection: DuckDB, to which the relation is visible.
        table: The table, as messages call it.
        relation: SQL of a FROM clause.
        columns: The columns of the table.
        files: The files of the rows.
        origins: Where the rows came from.
        stored: Name to type of the relation's columns in order, where they are known; else it is asked.
    """
    actual = described(connection, relation) if stored is None else stored
    located = FILE in actual and ROW in actual
    stored = {name.lower(): type_ for name, type_ in actual.items() if name not in (FILE, ROW)}
    seen = tuple(
        Column(name=column.name, type=_seen(column, stored), source_name=column.source_name) for column in columns
    )
    names = tuple(name for name in actual if name not in (FILE, ROW))
    return Rows(table, relation, seen, stored, names, located, tuple(files), tuple(origins), connection)


def _seen(column: Column, stored: dict[str, str]) -> str:
    """Return the type that checks see: the original one if the relation holds its stored form, else what is there."""
    actual = stored.get(column.name.lower())
    how = storage(column.type)
    untyped = column.type.upper().startswith("ENUM(") or column.type.upper() in ("NULL", '"NULL"')
    original = "VARCHAR" if untyped else column.type
    if actual is None or (how is not None and actual == how.stored):
        return original
    return actual
