"""The write mode scd2: every state that a key had, with the time in which it was valid.

The history of a key is a function of the rows that the live loads have of it, in the order of (cursor, load, position).
Each row counts from a moment: that of its cursor, if this is a date or time, else that of its load. A row whose cursor
is unknown stands where its load's moment is. Then

1. a row that no moment separates from a later one (equal, or after it) is not shown: it was valid at no time;
2. of the rows left, one that says what the one before said makes no version; key, cursor and the column that says
   deletion do not count, nulls are equal, so are 0.0 and -0.0, and NaN equals NaN;
3. a version is valid from its own moment to that of the next version or deletion; null: it is the current one.

A version has the values, ``_load`` and ``_order`` of the row that opened it, ``_created_at`` of that row's load, and
``_updated_at`` of the load that closed it.

Rows newer than all that is known of their key need no more than the versions that stand: these stand for all older
rows in every one of the three rules. Keys with an older row, or a row in a superseded load, are taken from the raw zone
again. What was the newest of a key stands in a table of Penstock's own, where there is a cursor.
"""

from __future__ import annotations

from dataclasses import replace

from penstock.load import captured, snapshots
from penstock.load.change import (
    OLDER,
    Change,
    Effect,
    Prepared,
    data_columns,
    define_rows,
    gather,
    none_of,
    prepare,
    rows_of,
)
from penstock.load.deletes import deletion_column, means_deletion
from penstock.load.merge import ROW_ALIAS, ROWS, TOUCHED
from penstock.load.own_tables import follow, own_table
from penstock.load.rows import ORDER_LOAD, POSITION
from penstock.load.spec import AcceptedLoad
from penstock.load.versioning import GONE, MOMENT, RANK, Versioning, write_versions
from penstock.model.capture import COLUMNS
from penstock.model.capture import captured as is_captured
from penstock.names import CREATED, LOAD, ORDER, VALID_FROM, VALID_TO
from penstock.queries.text import identifier, identifiers
from penstock.values import dataclass

_VALIDITY = ((VALID_FROM, "TIMESTAMP WITH TIME ZONE"), (VALID_TO, "TIMESTAMP WITH TIME ZONE"))
_SEEN = "penstock_load_seen"
_AGAIN = "penstock_load_again"
_NEWEST = "newest"
_ZONELESS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_ZONED = "TIMESTAMP WITH TIME ZONE"


def keep_history(change: Change) -> Effect:
    """Bring the history of every key that the loads touch up to date."""
    if change.spec.source.by_snapshot:
        return snapshots.one_by_one(change, _take)
    return _take(change)


def _take(change: Change) -> Effect:
    prepared = prepare(change, change.new, _VALIDITY)
    if prepared is None:
        return Effect()
    merging = define_rows(change, prepared)
    captured.settle(change, prepared, merging)
    if change.dead or change.spec.source.by_snapshot:
        # Keys that the new rows lack are looked at as well, and they may be null.
        merging = merging.with_nulls(True)
    history = _History(change, replace(prepared, merging=merging))
    history.see()
    notes = history.end_missing() if change.spec.source.by_snapshot else ()
    history.look_again()
    effect = write_versions(history.versioning)
    history.remember()
    return replace(effect, notes=notes)


@dataclass(frozen=True, slots=True)
class _History:
    """The history of one table while loads are taken in."""

    change: Change
    prepared: Prepared

    @property
    def versioning(self) -> Versioning:
        """Return what the making of versions needs to know."""
        merging, deletion = self.prepared.merging, deletion_column(self.change, self.prepared)
        aside = {*merging.key, merging.cursor, deletion[0] if deletion else None}
        if is_captured(self.change.spec.source):
            # What is told of a change is nothing of the row.
            aside |= set(COLUMNS)
        return Versioning(
            transaction=self.change.ports.transaction,
            table=self.change.spec.table,
            merging=merging,
            business=tuple(name for name in data_columns(self.change) if name not in aside),
            seen=_SEEN,
            again=_AGAIN,
        )

    def see(self) -> None:
        """Put the new rows into ``_SEEN``, with the moment from which each counts, its rank, and whether it deletes."""
        self._execute(f"CREATE OR REPLACE TEMP TABLE {_SEEN} AS {self._observed(ROWS)}")

    def end_missing(self) -> tuple[str, ...]:
        """Add a deletion for each key that is current and that the snapshot, which is the one new load, lacks."""
        (load,), merging, table = self.change.new, self.prepared.merging, self.change.table
        if not snapshots.is_snapshot(load.entry):
            return ()
        aside = snapshots.put_aside(self.change, self.prepared, load)
        row = ROW_ALIAS
        keys = ", ".join(f"{row}.{identifier(name)}" for name in merging.key)
        gone = f"{{'load': {load.entry.number}::BIGINT, 'position': NULL::BIGINT}}"
        self._execute(
            f"INSERT INTO {_SEEN} BY NAME SELECT {keys}, {load.entry.number}::BIGINT AS {LOAD}, "
            f"?::TIMESTAMPTZ AS {CREATED}, ?::TIMESTAMPTZ AS {MOMENT}, true AS {GONE}, "
            f"{gone} AS {ORDER}, {gone} AS {RANK} "
            f"FROM {table} {row} WHERE {row}.{VALID_TO} IS NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {_SEEN} s WHERE {merging.same_key(row, 's')}) "
            f"AND NOT EXISTS (SELECT 1 FROM {snapshots.ASIDE} a WHERE {merging.same_key(row, 'a')})",
            [load.entry.created_at, load.entry.created_at],
        )
        return snapshots.kept(load, aside, self.change.spec.table)

    def look_again(self) -> None:
        """Put all rows of keys into ``_AGAIN`` that have one older than another known, or in a superseded load."""
        self._touch()
        self._execute(f"CREATE OR REPLACE TEMP TABLE {_AGAIN} AS {self._observed(f'({none_of(self.change)})')}")
        if self._execute(f"SELECT count(*) FROM {TOUCHED}") == [(0,)]:
            return
        gather(self.change, self.prepared, new=True)
        if is_captured(self.change.spec.source):
            captured.end_again(self.change, self.prepared)
            captured.fill(self.change, self.prepared, self.prepared.merging, OLDER)
        self._execute(f"CREATE OR REPLACE TEMP TABLE {_AGAIN} AS {self._observed(OLDER)}")

    def remember(self) -> None:
        """Keep the newest row of each key: what comes later and is older makes its key be looked at again."""
        merging = self.prepared.merging
        if merging.cursor is None:
            return
        newest, keys, row = self._newest, identifiers(merging.key), ROW_ALIAS
        self._execute(
            f"DELETE FROM {newest} AS {row} WHERE EXISTS (SELECT 1 FROM {_SEEN} s WHERE {merging.same_key(row, 's')}) "
            f"OR EXISTS (SELECT 1 FROM {TOUCHED} s WHERE {merging.same_key(row, 's')})"
        )
        self._execute(
            f"INSERT INTO {newest} BY NAME SELECT {keys}, max({RANK}) AS {RANK} FROM "
            f"(SELECT {keys}, {RANK} FROM {_SEEN} UNION ALL SELECT {keys}, {RANK} FROM {_AGAIN}) GROUP BY {keys}"
        )

    def _touch(self) -> None:
        """Find the keys whose rows must all be read again."""
        merging, keys = self.prepared.merging, identifiers(self.prepared.merging.key)
        found = [f"SELECT {keys} FROM {_SEEN} WHERE false"]
        if self.change.dead:
            found.append(self._dead_keys())
        if merging.cursor is not None:
            self._follow_newest()
            found.append(
                f"SELECT {', '.join(f's.{identifier(name)}' for name in merging.key)} FROM {_SEEN} s "
                f"JOIN {self._newest} n ON {merging.same_key('s', 'n')} WHERE s.{RANK} < n.{RANK}"
            )
        if not self.change.in_order and (merging.cursor is None or is_captured(self.change.spec.source)):
            found.append(f"SELECT {keys} FROM {_SEEN}")
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {TOUCHED} AS SELECT DISTINCT * FROM ({' UNION ALL BY NAME '.join(found)})"
        )

    def _dead_keys(self) -> str:
        """Return a query for the keys in superseded loads, which may have hidden or confirmed what is shown."""
        loads = [AcceptedLoad(self.change.ports.lake_table.entry(number)) for number in sorted(self.change.dead)]
        rows = rows_of(self.change, self.prepared, loads)
        return f"SELECT {identifiers(self.prepared.merging.key)} FROM ({rows})"

    def _follow_newest(self) -> None:
        transaction, merging = self.change.ports.transaction, self.prepared.merging
        types = {column.name: column.type for column in transaction.columns(self.change.spec.table) or ()}
        described = self._execute(f"DESCRIBE SELECT {RANK} FROM {_SEEN}")
        columns = [*((name, types[name]) for name in merging.key), (RANK, str(described[0][1]))]
        follow(transaction, self._newest, columns)

    @property
    def _newest(self) -> str:
        return own_table(_NEWEST, self.change.spec.table)

    def _observed(self, rows: str) -> str:
        """Return a query that adds order, moment, rank and deletion to rows."""
        merging = self.prepared.merging
        means = means_deletion(self.change, self.prepared, "r")
        ordered = (
            f"SELECT r.* EXCLUDE ({POSITION}, {ORDER_LOAD}), {merging.order('r')} AS {ORDER}, "
            f"{self._moment('r')} AS {MOMENT}, {means} AS {GONE} FROM {rows} r"
        )
        rank = merging.rank(f"o.{ORDER}")
        if self._dated:
            rank = f"{{'moment': o.{MOMENT}, 'newer': {rank}}}"
        return f"SELECT o.*, {rank} AS {RANK} FROM ({ordered}) o"

    @property
    def _dated(self) -> bool:
        return self.prepared.merging.cursor_type in (*_ZONELESS, _ZONED)

    def _moment(self, row: str) -> str:
        if not self._dated:
            return f"{row}.{CREATED}"
        merging = self.prepared.merging
        cursor = f"{row}.{identifier(merging.cursor or '')}"
        if merging.cursor_type != _ZONED:
            cursor = f"CAST({cursor} AS TIMESTAMP) AT TIME ZONE 'UTC'"
        return f"coalesce({cursor}, {row}.{CREATED})"

    def _execute(self, sql: str, values: list[object] | None = None) -> list[tuple[object, ...]]:
        return self.change.ports.transaction.execute(sql, values or [])
