"""Live tables in PostgreSQL: each a table that micro-batches are written into, and a view that readers read.

The lake's live table is what counts, and says up to which load of the raw zone it goes. Here the line of ``_live`` in
the schema of versions says the same of the table beside it, and changes in the transaction that brings the rows: so a
micro-batch is there once, whatever dies, and what a crash or an outage left out is brought from the lake's files. Where
rows do not only come (a column has another type, a rollback), the table is loaded anew and the view shows that one.
Releases know nothing of these tables: their names are no version's.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.errors import ConflictError, StaleWriterError
from penstock.model.entries import Column
from penstock.model.production import PostgresSpec
from penstock.names import LOAD
from penstock.queries.text import identifier, identifiers, literal
from penstock.schema import restore
from penstock.stores.filelock import Tell
from penstock.stores.live_files import LiveShape, LiveState
from penstock.stores.port import Engine
from penstock.stores.postgres.connecting import connect, explained, make_schemas
from penstock.stores.postgres.loading import Loading, defined, refuse_unfit
from penstock.stores.postgres.swapping import Swapping, Words
from penstock.stores.postgres.views import RELEASE_VIEW, Swap, Table, columns_of, shown
from penstock.stores.release_tables import ServedTable, stored_rows
from penstock.values import dataclass

if TYPE_CHECKING:
    import psycopg

_KEY, _RANK, _GONE = "_penstock_key", "_penstock_rank", "_penstock_gone"
"""Columns that readers do not see: what rows replace each other by, which one counts, whether its key was deleted."""
_MARKS = (Column(name=_KEY, type="BLOB"), Column(name=_RANK, type="BLOB"), Column(name=_GONE, type="BOOLEAN"))
_LONGEST_KEY = 32
"""Bytes of a key from which on its hash stands for it: an index of PostgreSQL has no place for long values."""
_LONGEST_PART = 40
_DROP_SECONDS = 0.1
_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}._live (name text PRIMARY KEY, lake text NOT NULL, relation text NOT NULL,
    columns jsonb NOT NULL, key jsonb NOT NULL, entry bigint NOT NULL, turn bigint NOT NULL, loads bigint NOT NULL,
    at timestamptz NOT NULL, leaving jsonb NOT NULL)
"""
_OVERTAKEN = "IF NOT FOUND THEN RAISE EXCEPTION 'overtaken' USING ERRCODE = '40001'; END IF"


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the server has of a live table.

    Attributes:
        lake: The lake's table that it was written from; empty: not known.
        relation: The table with its rows; empty for none.
        columns: The columns that readers see, with their types in DuckDB.
        key: The columns by which rows replace each other.
        entry: The entry of the lake's table that it was written up to.
        turn: How often that had replaced its rows.
        loads: The newest load whose rows are in it.
        leaving: Tables that were replaced, or were being made, and are to be dropped.
        viewed: Its view is there.
    """

    lake: str
    relation: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    entry: int
    turn: int
    loads: int
    leaving: tuple[str, ...]
    viewed: bool


class PostgresLive:
    """The live tables in one schema of a PostgreSQL database.

    Args:
        spec: The warehouse.
        engine: The local DuckDB, which reads the lake's files.
        tell: Called with sentences while something takes long.
    """

    def __init__(self, spec: PostgresSpec, engine: Engine, tell: Tell | None = None) -> None:
        self._spec = spec
        self._engine = engine
        self._tell = tell
        self._connection: psycopg.Connection[Any] | None = None
        self._incoming: dict[str, str] = {}

    def serve(self, state: LiveState) -> None:
        """Let readers see what the lake shows; the same call again changes nothing.

        Raises:
            DataError: PostgreSQL cannot hold a value.
            ConfigurationError: A name or a width has no place there, or the user may not write there.
            ConflictError: Somebody else's relation has the name of the table, stands upon a view that must go, or the
                table was written from another lake.
            StaleWriterError: A successor has taken over.
            TransientError: The server is gone, or its disk is full; readers held the view for too long.
        """
        try:
            with explained(self._spec):
                self._serve(state, self._opened())
        except BaseException:
            # What the session was at is not known: the next attempt begins with another.
            self.close()
            raise

    def close(self) -> None:
        """Leave the server."""
        if self._connection is not None:
            self._connection.close()
            self._connection, self._incoming = None, {}

    def _opened(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = connect(self._spec)
            place = f"{identifier(self._spec.versions)}._live"
            if self._connection.execute("SELECT to_regclass(%s) IS NULL", (place,)).fetchone() == (True,):
                make_schemas(self._connection, self._spec)
                self._connection.execute(_TABLE.format(schema=identifier(self._spec.versions)).encode())
        return self._connection

    def _serve(self, state: LiveState, connection: psycopg.Connection[Any]) -> None:
        work = _Serving(self._spec, connection, state)
        found = work.standing()
        columns = _visible(state.shape, [name for name, _ in found.columns] if found else [])
        refuse_unfit([_served(state, columns, (), 0)], self._spec, (RELEASE_VIEW,))
        if found is not None and found.viewed:
            self._refuse_other(state, found)
        goes_on = found is not None and _goes_on(found, state, columns)
        if found is None or not goes_on:
            self._make_anew(state, columns, work, found)
        else:
            if len(found.columns) < len(columns):
                work.swap(found, replace(found, columns=_typed(columns)), self._tell)
            if found.loads < state.loads:
                self._bring(state, columns, work, found)
        if found is None or found.leaving or not goes_on:
            work.drop_left()

    def _refuse_other(self, state: LiveState, found: _Standing) -> None:
        if found.lake and state.lake and found.lake != state.lake:
            raise ConflictError(
                f"The live table {state.table!r} in {self._spec.shown} was written from another production lake, or "
                "from this one before the table's folder was deleted",
                remedy=f"Choose another schema in [environments.production]; to begin anew there, drop the view "
                f"{self._spec.schema}.{state.table}",
            )
        # The lake is looked at after what the server has: whoever has written more there has committed before.
        if found.entry > state.entry and not state.newest():
            raise _overtaken(state)

    def _make_anew(self, state: LiveState, columns: Sequence[Column], work: _Serving, found: _Standing | None) -> None:
        """Load all rows into a new table, and let the view show that one."""
        relation = f"{state.table.encode()[:_LONGEST_PART].decode(errors='ignore')}__live_{secrets.token_hex(6)}"
        former = found or work.begin()
        work.remember(relation)
        table = _served(state, columns, state.files(), 0)
        with work.connection.transaction():
            work.make(relation, table.columns)
            self._copied(work.connection, state, table, work.place(relation), relation, "(FREEZE)")
            if state.shape.key:
                work.connection.execute(
                    f"ALTER TABLE {work.place(relation)} ADD PRIMARY KEY ({identifier(_KEY)})".encode()
                )
            work.connection.execute(f"ANALYZE {work.place(relation)}".encode())
        # Whoever has looked meanwhile found no such table, and noted that it is gone.
        work.remember(relation)
        wanted = replace(
            former,
            lake=state.lake,
            relation=relation,
            columns=_typed(columns),
            key=tuple(state.shape.key),
            entry=state.entry,
            turn=state.turn,
            loads=state.loads,
        )
        work.swap(former, wanted, self._tell)

    def _bring(self, state: LiveState, columns: Sequence[Column], work: _Serving, found: _Standing) -> None:
        """Write the rows that have come, and up to where they go, in one transaction."""
        place = work.place(found.relation)
        incoming = self._temporary(work, found.relation, len(columns)) if state.shape.key else place
        with work.connection.transaction():
            loads = work.locked(found)
            if loads >= state.loads:
                return
            # What an attempt before has left out is in older files.
            files = state.fresh() if loads >= state.since else state.files()
            table = _served(state, columns, files, loads)
            if files:
                self._copied(work.connection, state, table, incoming, found.relation)
                if state.shape.key:
                    work.connection.execute(_merged(place, incoming, table.columns).encode())
            work.reach()

    def _temporary(self, work: _Serving, relation: str, width: int) -> str:
        """Return a table of this session for rows on their way."""
        kept = f"{relation} {width}"
        if kept not in self._incoming:
            name = f"pg_temp.{identifier(f'penstock_{len(self._incoming)}')}"
            work.connection.execute(
                f"CREATE TEMPORARY TABLE {name} (LIKE {work.place(relation)}) ON COMMIT DELETE ROWS".encode()
            )
            self._incoming[kept] = name
        return self._incoming[kept]

    def _copied(
        self,
        connection: psycopg.Connection[Any],
        state: LiveState,
        table: ServedTable,
        place: str,
        relation: str,
        how: str = "",
    ) -> None:
        remedy = (
            f"Take its load back, penstock rollback --table {state.table} --to {state.since}, and let a check with "
            "severity quarantine set such rows aside"
        )
        Loading(connection, self._spec, self._engine, self._tell, remedy).copy(table, place, relation, how)


class _Serving:
    """What is asked of the server for one live table.

    Args:
        spec: The warehouse.
        connection: In autocommit mode.
        state: What readers are to see.
    """

    def __init__(self, spec: PostgresSpec, connection: psycopg.Connection[Any], state: LiveState) -> None:
        self.connection = connection
        self._spec = spec
        self._state = state
        self._live = f"{identifier(spec.versions)}._live"

    def place(self, relation: str) -> str:
        """Return a relation in the schema of versions, quoted."""
        return f"{identifier(self._spec.versions)}.{identifier(relation)}"

    def standing(self) -> _Standing | None:
        """Return what the server has of the table."""
        view = f"{identifier(self._spec.schema)}.{identifier(self._state.table)}"
        row = self.connection.execute(
            "SELECT lake, relation, columns, key, entry, turn, loads, leaving, to_regclass(%s) IS NOT NULL "
            f"FROM {self._live} WHERE name = %s".encode(),
            (view, self._state.table),
        ).fetchone()
        if row is None:
            return None
        lake, relation, columns, key, entry, turn, loads, leaving, viewed = row
        named = tuple((name, type_) for name, type_ in columns)
        return _Standing(lake, relation, named, tuple(key), entry, turn, loads, tuple(leaving), viewed)

    def begin(self) -> _Standing:
        """Make the line of a table that is new there."""
        self.connection.execute(
            f"INSERT INTO {self._live} VALUES (%s, '', '', '[]', '[]', 0, 0, 0, now(), '[]') "
            "ON CONFLICT DO NOTHING".encode(),
            (self._state.table,),
        )
        found = self.standing()
        if found is None or found.relation:
            raise _overtaken(self._state)
        return found

    def remember(self, relation: str) -> None:
        """Note a table that is going to be made, so that it is dropped if it never counts."""
        self.connection.execute(
            f"UPDATE {self._live} SET leaving = leaving - %s::text || %s::jsonb WHERE name = %s".encode(),
            (relation, json.dumps([relation]), self._state.table),
        )

    def make(self, relation: str, columns: Sequence[Column]) -> None:
        """Make a table for rows."""
        self.connection.execute(f"CREATE TABLE {self.place(relation)} ({defined(columns)})".encode())

    def locked(self, found: _Standing) -> int:
        """Keep others from writing the table to the end of the transaction; returns up to which load it goes.

        Raises:
            StaleWriterError: Somebody has replaced it meanwhile.
        """
        row = self.connection.execute(
            f"SELECT relation, turn, loads FROM {self._live} WHERE name = %s FOR UPDATE".encode(), (self._state.table,)
        ).fetchone()
        if row is None or row[:2] != (found.relation, found.turn):
            raise _overtaken(self._state)
        return int(row[2])

    def reach(self) -> None:
        """Note up to where the rows go."""
        self.connection.execute(
            f"UPDATE {self._live} SET loads = %s, entry = greatest(entry, %s), "
            "lake = coalesce(nullif(%s, ''), lake), at = now() WHERE name = %s".encode(),
            (self._state.loads, self._state.entry, self._state.lake, self._state.table),
        )

    def swap(self, former: _Standing, wanted: _Standing, tell: Tell | None) -> None:
        """Let the view show a table with its columns, and note that, in one transaction.

        Raises:
            TransientError: Readers held the view for too long; nothing has changed.
            ConflictError: Somebody else's relation is in the way.
            StaleWriterError: Somebody has written the table meanwhile.
        """
        spec, name = self._spec, self._state.table
        words = Words(
            f"The live table {name!r}",
            f"has come to have other columns or rows, but {spec.shown} still shows it as it was",
            "penstock stream goes on with it",
        )
        swapping = Swapping(self.connection, spec, spec.lock_wait, tell)
        swapping.run(words, lambda: self._plan(former, wanted), self._recorded(former, wanted))

    def drop_left(self) -> None:
        """Drop tables that were replaced, or never counted; one that somebody reads is left for later."""
        from psycopg import errors

        found = self.standing()
        held = (errors.LockNotAvailable, errors.DeadlockDetected, errors.DependentObjectsStillExist)
        for relation in found.leaving if found is not None else ():
            with suppress(*held), self.connection.transaction():
                self.connection.execute(f"SET LOCAL lock_timeout = {int(_DROP_SECONDS * 1000)}".encode())
                gone = self.connection.execute(
                    f"UPDATE {self._live} SET leaving = leaving - %s::text WHERE name = %s AND relation <> %s".encode(),
                    (relation, self._state.table, relation),
                )
                if gone.rowcount:
                    self.connection.execute(f"DROP TABLE IF EXISTS {self.place(relation)}".encode())

    def _plan(self, former: _Standing, wanted: _Standing) -> Swap:
        now = self.standing()
        if now is None or (now.relation, now.entry, now.loads) != (former.relation, former.entry, former.loads):
            raise _overtaken(self._state)
        there = columns_of(self.connection, self._spec.versions, [wanted.relation])[wanted.relation]
        marks = {mark.name for mark in _MARKS}
        columns = [column for column in there if column[0] not in marks]
        added: list[str] = []
        if wanted.relation == former.relation:
            shape = self._state.shape
            new = _visible(shape, [name for name, _ in former.columns])[len(columns) :]
            added = [f"ALTER TABLE {self.place(wanted.relation)} ADD COLUMN {defined([column])}" for column in new]
            columns += [(column.name, "") for column in new]
        table = Table(wanted.relation, columns, f"NOT {identifier(_GONE)}" if wanted.key else "")
        found = shown(self.connection, self._spec, self._state.table, table, ours=bool(former.relation))
        return Swap((*added, *found.statements), (*found.oids, *self._oids(wanted.relation)))

    def _oids(self, relation: str) -> tuple[int, ...]:
        row = self.connection.execute("SELECT to_regclass(%s)::oid::int8", (self.place(relation),)).fetchone()
        return (int(row[0]),) if row and row[0] is not None else ()

    def _recorded(self, former: _Standing, wanted: _Standing) -> list[str]:
        """Return the statements that note a swap, in its own transaction."""
        leaving = f"(leaving - {literal(wanted.relation)})"
        if former.relation not in ("", wanted.relation):
            leaving += f" || {literal(json.dumps([former.relation]))}::jsonb"
        return [
            f"UPDATE {self._live} SET lake = {literal(wanted.lake)}, relation = {literal(wanted.relation)}, "
            f"columns = {literal(json.dumps(wanted.columns))}::jsonb, key = {literal(json.dumps(wanted.key))}::jsonb, "
            f"entry = {wanted.entry}, turn = {wanted.turn}, loads = {wanted.loads}, at = now(), leaving = {leaving} "
            f"WHERE name = {literal(self._state.table)} AND relation = {literal(former.relation)} "
            f"AND entry = {former.entry} AND loads = {former.loads}",
            _OVERTAKEN,
        ]


def _goes_on(found: _Standing, state: LiveState, columns: Sequence[Column]) -> bool:
    """Say whether rows, and columns, have only come since the server was written."""
    same = found.columns == _typed(columns)[: len(found.columns)] and found.key == tuple(state.shape.key)
    return same and found.viewed and bool(found.relation) and found.turn == state.turn and found.entry <= state.entry


def _visible(shape: LiveShape, known: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns that readers see: those that they know first, as these are spelled there."""
    found = {column.name.lower(): column for column in shape.columns if column.name not in shape.hidden}
    first = [replace(found.pop(name.lower()), name=name) for name in known if name.lower() in found]
    return (*first, *found.values())


def _typed(columns: Sequence[Column]) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, column.type) for column in columns)


def _served(state: LiveState, columns: Sequence[Column], files: Sequence[str], above: int) -> ServedTable:
    """Return the rows of loads above one, as they are copied."""
    query = _query(state.shape, columns, files, above)
    marks = _MARKS if state.shape.key else ()
    return ServedTable(name=state.table, columns=(*columns, *marks), uris=tuple(files), rows=0, query=query)


def _query(shape: LiveShape, columns: Sequence[Column], files: Sequence[str], above: int) -> str:
    """Return the SELECT of the rows of loads above one, with the types that readers get: of each key the newest."""
    rows = f"(SELECT * FROM ({stored_rows(shape.columns, files)}) WHERE {LOAD} > {above})"
    chosen = [
        f"CAST({restore(identifier(column.name), column.type)} AS {column.type}) AS {identifier(column.name)}"
        for column in columns
    ]
    if not shape.key:
        standing = f" WHERE NOT {identifier(shape.deleted)}" if shape.deleted else ""
        return f"SELECT {', '.join(chosen)} FROM {rows}{standing}"
    # The engine's own order as bytes, which PostgreSQL compares as it does: of texts, moments, nulls and all else.
    # Of narrow types alone it were a number; the text makes bytes of it always.
    key = f"create_sort_key({', '.join(f'{identifier(name)}, {_NULLS}' for name in shape.key)}, '', {_NULLS})"
    chosen += [
        f"CASE WHEN octet_length({key}) < {_LONGEST_KEY} THEN {key} ELSE unhex(sha256({key})) END AS {_KEY}",
        f"create_sort_key({shape.rank}, {_NULLS}) AS {_RANK}",
        f"coalesce({identifier(shape.deleted)}, true) AS {_GONE}" if shape.deleted else f"false AS {_GONE}",
    ]
    return f"SELECT {', '.join(chosen)} FROM ({shape.newest(rows)})"


_NULLS = "'ASC NULLS FIRST'"


def _merged(place: str, incoming: str, columns: Sequence[Column]) -> str:
    """Return the statement that lets rows replace those of their keys that are older."""
    names = [column.name for column in columns]
    changed = ", ".join(f"{identifier(name)} = excluded.{identifier(name)}" for name in names if name != _KEY)
    return (
        f"INSERT INTO {place} AS standing ({identifiers(names)}) SELECT {identifiers(names)} FROM {incoming} "
        f"ON CONFLICT ({identifier(_KEY)}) DO UPDATE SET {changed} WHERE standing.{_RANK} < excluded.{_RANK}"
    )


def _overtaken(state: LiveState) -> StaleWriterError:
    return StaleWriterError(
        f"Another process has written the live table {state.table} since entry {state.entry}",
        remedy="This one stops; begin again, and it goes on from there",
    )
