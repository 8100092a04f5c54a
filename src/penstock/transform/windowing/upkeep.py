"""Keeping windows up in DuckDB: what new events touch is computed anew, by the query that computes all of them.

The events are those that the touched windows are made of, and of the result only what was touched is taken, so that the
table is what a computation of all events would give. Everything happens in the transaction that loads the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import duckdb

from penstock.model.entries import Column
from penstock.model.windows import Emit, WindowKind
from penstock.names import LOAD
from penstock.queries import edges
from penstock.queries.moments import at, moment, span
from penstock.queries.text import alike, identifier, identifiers
from penstock.stores.port import WarehouseTransaction
from penstock.stores.warehouse import OWN_SCHEMA
from penstock.transform.columns import shape, visible
from penstock.transform.computing import sentences
from penstock.transform.windowing.port import ENTERED, LEFT, Came, Keeping, Kept
from penstock.transform.windowing.spans import Spans, of_loads
from penstock.transform.windowing.statement import END, statement
from penstock.transform.windowing.touching import MOMENTS, SCOPES, reach, scopes, within

_EVENTS, _KNOWN, _MADE = "_penstock_events", "_penstock_known", "_penstock_windows"


class DuckDBWindows:
    """Keeps windows up in the warehouse's own engine."""

    def keep_up(self, spec: Keeping, transaction: WarehouseTransaction) -> Kept:
        """Bring a table of windows up to the events that are in the warehouse now."""
        with sentences(f"Window {spec.spec.table!r}"):
            work = _Upkeep(spec, transaction)
            try:
                return work.some() if work.fits() else work.whole()
            finally:
                work.clean()


class _Upkeep:
    """One table of windows in one transaction."""

    def __init__(self, spec: Keeping, transaction: WarehouseTransaction) -> None:
        self._spec = spec
        self._window = spec.spec.window
        self._transaction = transaction
        self._execute = transaction.execute
        self._events = spec.names[self._window.of]
        self._table = identifier(spec.spec.table)
        self._open = f"{OWN_SCHEMA}.{identifier(f'open {spec.spec.table}')}"
        self._closes = self._window.emit is Emit.CLOSED
        self._text = spec.spec.sql or ""
        if self._closes:
            self._text = statement(replace(self._window, emit=Emit.GROWING), spec.spec.event_time)
        self._spans = Spans(transaction, spec.spec.table, self._events, spec.spec.event_time)

    def fits(self) -> bool:
        """Say whether the table as it stands can take what came: it is known, and no column changed."""
        if self._spec.came is None:
            return False
        made = {name: identifier(table) for name, table in self._spec.names.items()}
        _, columns = self._query(made)
        return self._transaction.columns(self._spec.spec.table) == tuple(
            Column(name=column.name, type=column.type) for column in columns
        )

    def whole(self) -> Kept:
        """Compute all windows."""
        query, _ = self._query({name: identifier(table) for name, table in self._spec.names.items()})
        self._execute(f"CREATE OR REPLACE TEMP TABLE {_MADE} AS {query}")
        self._execute(f"DROP TABLE IF EXISTS {self._table}")
        closed = self._closed if self._closes else "true"
        self._execute(f"CREATE TABLE {self._table} AS SELECT * FROM {_MADE} WHERE {closed}")
        self._spans.begin()
        if self._closes:
            self._execute(f"CREATE OR REPLACE TABLE {self._open} AS SELECT * FROM {_MADE} WHERE NOT ({closed})")
        rows = int(self._execute(f"SELECT count(*) FROM {_MADE}")[0][0])
        events = int(self._execute(f"SELECT count(*) FROM {identifier(self._events)}")[0][0])
        return Kept(rows=rows, deleted=0, scanned=events, read=events, whole=True)

    def some(self) -> Kept:
        """Compute the windows that what came touches."""
        came = self._spec.came or {}
        if self._spec.told:
            for name in (LEFT, ENTERED):
                self._execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {self._table} WHERE false")
        loads = came.get(self._window.of, Came()).loads
        if loads:
            self._spans.add(loads)
        kept = self._joined(came) if self._window.kind is WindowKind.JOIN else self._grouped(came)
        if self._closes:
            self._enter(self._table, f"SELECT * FROM {self._open} WHERE {self._closed}")
            self._execute(f"DELETE FROM {self._open} WHERE {self._closed}")
        return kept

    def clean(self) -> None:
        """Drop what is needed no more; after a failure the transaction takes no statement, and the session ends."""
        for name in (MOMENTS, SCOPES, _EVENTS, _KNOWN, _MADE):
            if name in self._temporary():
                self._execute(f"DROP TABLE temp.{name}")

    def _temporary(self) -> set[str]:
        try:
            found = self._execute("SELECT table_name FROM duckdb_tables() WHERE temporary")
        except duckdb.Error:
            return set()
        return {str(name) for (name,) in found}

    @property
    def _closed(self) -> str:
        watermark = self._spec.watermark
        return f"{END} <= {at(watermark)}" if watermark is not None else "false"

    def _query(self, relations: dict[str, str]) -> tuple[str, Sequence[Column]]:
        """Return the query over relations in the places of its inputs, and the columns that it makes."""
        spec = self._spec.spec
        named = edges.named_columns(self._text, origin=spec.origin)
        seen = {}
        for name, relation in relations.items():
            columns = self._transaction.columns(self._spec.names[name]) or ()
            seen[name] = f"(SELECT {identifiers(visible(columns, named))} FROM {relation})"
        text = edges.substitute(self._text, seen, origin=spec.origin)
        found = shape(self._transaction.connection.sql(text), what=f"Window {spec.table!r}", starred=True)
        return f"SELECT {found.select} FROM ({text})", found.columns

    def _grouped(self, came: Mapping[str, Came]) -> Kept:
        """Compute the rows of the scopes that new events touch."""
        self._moments(came[self._window.of], self._events, self._spec.spec.event_time)
        standing = f"(SELECT * FROM {self._table} UNION ALL BY NAME SELECT * FROM {self._open})"
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {SCOPES} AS "
            + scopes(self._spec.spec, standing if self._closes else self._table)
        )
        scanned = self._restrict(reach(self._spec.spec).before, reach(self._spec.spec).after)
        if scanned is None:
            return Kept(rows=0, deleted=0, scanned=0, read=0)
        read = int(self._execute(f"SELECT count(*) FROM {_EVENTS}")[0][0])
        deleted = self._delete(self._table) + (self._delete(self._open) if self._closes else 0)
        query, _ = self._query({self._window.of: _EVENTS})
        target = self._open if self._closes else self._table
        rows = self._enter(
            target, f"SELECT q.* FROM ({query}) q SEMI JOIN {SCOPES} s ON {within(self._spec.spec, 'q')}"
        )
        return Kept(rows=rows, deleted=deleted, scanned=scanned, read=read)

    def _moments(self, came: Came, table: str, event_time: str) -> None:
        """Note the keys and moments of what came to a table, and of what left it."""
        keys = "".join(f"{identifier(name)}, " for name in self._window.key)
        asked = f"SELECT {keys}{moment(event_time)} AS m FROM "
        pieces = [f"{asked}{identifier(table)} WHERE {of_loads(came.loads)}"]
        pieces += [f"{asked}{came.replaced}"] if came.replaced else []
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {MOMENTS} AS SELECT DISTINCT * FROM ({' UNION ALL '.join(pieces)}) "
            "WHERE m IS NOT NULL",
            [list(came.loads)],
        )

    def _restrict(self, before: int, after: int | None, besides: Sequence[int] = ()) -> int | None:
        """Take the events of the scopes; return how many were looked at, None where there is no scope.

        Args:
            before: How far before a scope they may lie.
            after: How far after it; None: for ever.
            besides: Loads whose events are left out.
        """
        if not self._execute(f"SELECT 1 FROM {SCOPES} LIMIT 1"):
            return None
        stretches, scanned = self._spans.stretches(SCOPES, before, after)
        happened = moment(self._spec.spec.event_time, "e")
        upper = f" AND {happened} < s.hi + {span(after)}" if after is not None else ""
        time = f"{happened} >= s.lo - {span(before)}{upper}"
        same = " AND ".join(filter(None, (alike(self._window.key, "e", "s"), time)))
        source = " UNION ALL ".join(
            f"SELECT * FROM {identifier(self._events)} WHERE {LOAD} BETWEEN {first} AND {last}"
            for first, last in stretches
        )
        left = f"WHERE NOT ({of_loads(besides, 'e')})" if besides else ""
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {_EVENTS} AS SELECT e.* FROM "
            f"({source or f'SELECT * FROM {identifier(self._events)} WHERE false'}) e "
            f"SEMI JOIN {SCOPES} s ON {same} {left}",
            [list(besides)] if besides else [],
        )
        return scanned

    def _enter(self, table: str, query: str) -> int:
        """Bring rows into a table of windows."""
        if self._spec.told and table == self._table:
            self._execute(f"INSERT INTO {ENTERED} BY NAME {query}")
            query = f"SELECT * FROM {ENTERED}"
        return int(self._execute(f"INSERT INTO {table} BY NAME {query}")[0][0])

    def _leave(self, table: str, chosen: str, values: Sequence[object] = ()) -> int:
        """Take out the rows ``v`` of a table that meet something."""
        if self._spec.told and table == self._table:
            self._execute(f"INSERT INTO {LEFT} SELECT v.* FROM {table} v {chosen}", values)
        gone = f"DELETE FROM {table} WHERE rowid IN (SELECT v.rowid FROM {table} v {chosen})"
        return int(self._execute(gone, values)[0][0])

    def _delete(self, table: str) -> int:
        return self._leave(table, f"SEMI JOIN {SCOPES} s ON {within(self._spec.spec, 'v')}")

    def _joined(self, came: Mapping[str, Came]) -> Kept:
        """Join new events, and those whose row in the other table came to be another."""
        window = self._window
        events, known = came.get(window.of, Came()), came.get(window.to, Came())
        deleted, scanned = self._forget(events), 0
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {SCOPES} AS SELECT {identifiers(window.key)}, NULL::TIMESTAMPTZ AS lo, "
            f"NULL::TIMESTAMPTZ AS hi FROM {identifier(self._events)} WHERE false"
        )
        if known.loads or known.replaced:
            self._moments(known, self._spec.names[window.to], window.since)
            self._execute(
                f"CREATE OR REPLACE TEMP TABLE {SCOPES} AS SELECT {identifiers(window.key)}, min(m) AS lo, "
                f"'infinity'::TIMESTAMPTZ AS hi FROM {MOMENTS} GROUP BY {identifiers(window.key)}"
            )
            deleted += self._delete(self._table)
        taken = self._restrict(0, None, events.loads) if known.loads or known.replaced else None
        if taken is None:
            self._execute(
                f"CREATE OR REPLACE TEMP TABLE {_EVENTS} AS SELECT * FROM {identifier(self._events)} WHERE false"
            )
        if events.loads:
            fresh = f"SELECT * FROM {identifier(self._events)} WHERE {of_loads(events.loads)}"
            scanned = int(self._execute(f"INSERT INTO {_EVENTS} {fresh}", [list(events.loads)])[0][0])
        read = int(self._execute(f"SELECT count(*) FROM {_EVENTS}")[0][0])
        same = " AND ".join(f"p.{identifier(name)} = e.{identifier(name)}" for name in window.key)
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {_KNOWN} AS SELECT p.* FROM {identifier(self._spec.names[window.to])} p "
            f"SEMI JOIN {_EVENTS} e ON {same}"
        )
        query, _ = self._query({window.of: _EVENTS, window.to: _KNOWN})
        rows = self._enter(self._table, query)
        return Kept(rows=rows, deleted=deleted, scanned=scanned + (taken or 0), read=read)

    def _forget(self, events: Came) -> int:
        """Take out the rows of events that were merged; those that were appended are new."""
        if not self._spec.key:
            return 0
        keys = identifiers(self._spec.key)
        brought = f"SELECT {keys} FROM {identifier(self._events)} WHERE {of_loads(events.loads)}"
        left = f" UNION ALL SELECT {keys} FROM {events.replaced}" if events.replaced else ""
        same = alike(self._spec.key, "v", "k")
        return self._leave(self._table, f"SEMI JOIN ({brought}{left}) k ON {same}", [list(events.loads)])
