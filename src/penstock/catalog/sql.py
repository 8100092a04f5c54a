"""The catalog in SQL that SQLite and PostgreSQL both run.

Values stand as JSON in ``body``; the columns beside it are what questions are asked by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.catalog import standing
from penstock.catalog.database import Database
from penstock.catalog.leases import Leases
from penstock.catalog.migrations import migrate
from penstock.catalog.moments import from_micros, to_micros
from penstock.catalog.port import Lease, LoadRecord
from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.codec import decode, encode
from penstock.model.entries import Entry, EntryKind, Verdict
from penstock.model.interval import Interval
from penstock.model.queries import ParsedQuery
from penstock.model.receipts import RunReceipt, State, StepReceipt
from penstock.model.releases import Candidate, Decision, Release
from penstock.model.specs import SourceTable
from penstock.values import dataclass

T = TypeVar("T")

_INDEXED = (
    "entries",
    "supersessions",
    "staging_tables",
    "runs",
    "unchanged_steps",
    "decisions",
    "candidates",
    "releases",
    "arrivals",
    "queries",
)

_INSERT_ENTRY = (
    "INSERT INTO entries (table_name, number, kind, created_at, run, interval_start, interval_end, verdict, load, "
    "superseded, positioned, fingerprint, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_LOADS = (
    "SELECT l.body, l.verdict, v.body FROM entries l LEFT JOIN entries v "
    "ON v.table_name = l.table_name AND v.number = l.verdict_number WHERE l.table_name = ? AND l.kind = 'load'"
)
_TOGETHER = 500
"""Loads that are asked for by one statement."""
_INTERVALS = (
    "SELECT DISTINCT interval_start, interval_end FROM entries WHERE table_name = ? AND kind <> 'verdict' "
    "AND verdict = 'accepted' AND superseded = 0 AND interval_start IS NOT NULL ORDER BY 1, 2"
)


if TYPE_CHECKING:
    from penstock.catalog.alerts import AlertBook
    from penstock.catalog.schedules import Schedules


@dataclass(frozen=True, slots=True)
class _Schema:
    """The tables of a database, as they are kept."""

    tables: tuple[SourceTable, ...]


@dataclass(frozen=True, slots=True)
class _Queries:
    """The parsed queries of a pipeline, as they are kept."""

    parsed: Mapping[str, ParsedQuery]


class SqlCatalog:
    """Implements ``penstock.catalog.port.Catalog`` over one database.

    Args:
        database: Where the tables are; they are made or migrated at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases = Leases(database)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise

    @cached_property
    def alerts(self) -> AlertBook:
        """The state of alerts."""
        from penstock.catalog.alerts import AlertBook

        return AlertBook(self._database)

    @cached_property
    def schedules(self) -> Schedules:
        """Schedules and their firings."""
        from penstock.catalog.schedules import Schedules

        return Schedules(self._database)

    # Questions

    def head(self, table: str) -> int:
        """Return the number of the newest staging entry that is indexed; 0 for none."""
        return int(self._rows("SELECT coalesce(max(number), 0) FROM entries WHERE table_name = ?", (table,))[0][0])

    def entries(self, table: str, kind: EntryKind | None = None, limit: int | None = None) -> tuple[Entry, ...]:
        """Return indexed entries, newest first."""
        where, values = "WHERE table_name = ?", [table]
        if kind is not None:
            where, values = where + " AND kind = ?", [*values, kind.value]
        rows = self._rows(f"SELECT body FROM entries {where} ORDER BY number DESC{_limit(limit)}", values)
        return tuple(self._entry(row[0]) for row in rows)

    def loads(self, table: str, verdict: Verdict | None = None, limit: int | None = None) -> tuple[LoadRecord, ...]:
        """Return the loads of a raw table, newest first, all or those with one verdict."""
        sql, values = _LOADS, [table]
        if verdict is not None:
            sql, values = sql + " AND l.verdict = ?", [*values, verdict.value]
        return self._loads(f"{sql} ORDER BY l.number DESC{_limit(limit)}", values)

    def pending(self, table: str) -> tuple[LoadRecord, ...]:
        """Return loads without a verdict, oldest first."""
        return self._loads(f"{_LOADS} AND l.verdict IS NULL ORDER BY l.number", [table])

    def standing(self, table: str) -> tuple[tuple[int, Verdict | None, bool], ...]:
        """Return number, verdict and whether it is superseded of each load of a raw table, oldest first."""
        asked = "SELECT number, verdict, superseded FROM entries WHERE table_name = ? AND kind = 'load' ORDER BY number"
        verdicts = {None: None} | {each.value: each for each in Verdict}
        return tuple((number, verdicts[said], bool(gone)) for number, said, gone in self._rows(asked, (table,)))

    def loads_of(self, table: str, numbers: Sequence[int]) -> tuple[LoadRecord, ...]:
        """Return those loads of a raw table that have one of these numbers, oldest first."""
        found: list[LoadRecord] = []
        wanted = sorted(numbers)
        for first in range(0, len(wanted), _TOGETHER):
            chunk = wanted[first : first + _TOGETHER]
            asked = f"{_LOADS} AND l.number IN ({', '.join('?' * len(chunk))}) ORDER BY l.number"
            found += self._loads(asked, [table, *chunk])
        return tuple(found)

    def moved(self, table: str, after: int) -> tuple[int, ...]:
        """Return the loads that entries with a number greater than ``after`` brought or judged, ascending."""
        asked = (
            "SELECT DISTINCT CASE WHEN kind = 'load' THEN number ELSE load END FROM entries "
            "WHERE table_name = ? AND number > ? AND kind IN ('load', 'verdict') ORDER BY 1"
        )
        return tuple(number for (number,) in self._rows(asked, (table, after)))

    def newest_accepted(self, table: str) -> Entry | None:
        """Return the newest accepted load that carries a position: where extraction resumes."""
        rows = self._rows(
            "SELECT body FROM entries WHERE table_name = ? AND kind = 'load' AND verdict = 'accepted' "
            "AND positioned = 1 ORDER BY number DESC LIMIT 1",
            (table,),
        )
        return self._entry(rows[0][0]) if rows else None

    def intervals_done(self, table: str) -> tuple[Interval, ...]:
        """Return the intervals of accepted loads (or versions) that no later entry superseded, sorted.

        A re-run supersedes only once it is accepted. Of an interval's versions the newest counts, if its checks let it.
        """
        return tuple(Interval(from_micros(start), from_micros(end)) for start, end in self._rows(_INTERVALS, (table,)))

    def tables(self) -> tuple[str, ...]:
        """Return the indexed staging tables, sorted."""
        return tuple(sorted(row[0] for row in self._rows("SELECT table_name FROM staging_tables")))

    def unchanged(self, table: str) -> tuple[StepReceipt, ...]:
        """Return the steps of runs that found a transform's result equal to a version, oldest first."""
        rows = self._rows("SELECT body FROM unchanged_steps WHERE table_name = ? ORDER BY run, position", (table,))
        return self._decoded(StepReceipt, rows)

    def runs(self, pipeline: str | None = None, limit: int | None = 50) -> tuple[RunReceipt, ...]:
        """Return runs, newest first."""
        where, values = ("WHERE pipeline = ? ", [pipeline]) if pipeline is not None else ("", [])
        rows = self._rows(f"SELECT body FROM runs {where}ORDER BY started DESC, id DESC{_limit(limit)}", values)
        return self._decoded(RunReceipt, rows)

    def run(self, id: str) -> RunReceipt:  # noqa: A002 - the port's name
        """Return one run; raises NotFoundError. A unique beginning of the id suffices."""
        rows = self._rows("SELECT body FROM runs WHERE id = ?", (id,))
        if not rows and id:
            rows = self._rows("SELECT body FROM runs WHERE substr(id, 1, ?) = ? LIMIT 12", (len(id), id))
        if not rows:
            raise NotFoundError("There is no such run", value=id, remedy="penstock runs lists them")
        found = self._decoded(RunReceipt, rows)
        if len(found) > 1:
            raise ConfigurationError(
                "Several runs begin so", value=id, valid=[run.id for run in found], remedy="Give more of the id"
            )
        return found[0]

    def decisions(self, subject: str | None = None, limit: int | None = None) -> tuple[Decision, ...]:
        """Return decisions, newest first."""
        where, values = ("WHERE subject = ? ", [subject]) if subject is not None else ("", [])
        rows = self._rows(f"SELECT body FROM decisions {where}ORDER BY at DESC, id DESC{_limit(limit)}", values)
        return self._decoded(Decision, rows)

    def candidates(self, pipeline: str | None = None) -> tuple[Candidate, ...]:
        """Return candidates, newest first."""
        where, values = ("WHERE pipeline = ? ", [pipeline]) if pipeline is not None else ("", [])
        rows = self._rows(f"SELECT body FROM candidates {where}ORDER BY created_at DESC, id DESC", values)
        return self._decoded(Candidate, rows)

    def releases(self) -> tuple[Release, ...]:
        """Return production's releases, newest first."""
        return self._decoded(Release, self._rows("SELECT body FROM releases ORDER BY number DESC"))

    # Changes

    def index(self, entries: Sequence[Entry]) -> None:
        """Add entries of staging tables; quiet about those it has. The order of indexing does not matter."""
        if not entries:
            return
        superseded = [(entry.table, old, entry.number) for entry in entries for old in entry.supersedes]
        with self._database.writing() as statements:
            statements.many(
                "INSERT INTO staging_tables VALUES (?) ON CONFLICT DO NOTHING",
                [(table,) for table in sorted({entry.table for entry in entries})],
            )
            statements.many(_INSERT_ENTRY, (_entry_row(entry) for entry in entries))
            statements.many("INSERT INTO supersessions VALUES (?, ?, ?) ON CONFLICT DO NOTHING", superseded)
            standing.settle(statements, entries)

    def put_run(self, run: RunReceipt) -> None:
        """Insert or update a run."""
        unchanged = [
            (run.id, position, step.table, encode(step))
            for position, step in enumerate(run.steps)
            if step.state is State.UNCHANGED and step.fingerprint
        ]
        with self._database.writing() as statements:
            statements.rows(
                "INSERT INTO runs VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "pipeline = excluded.pipeline, started = excluded.started, body = excluded.body",
                (run.id, run.pipeline, to_micros(run.started), encode(run)),
            )
            statements.many("INSERT INTO unchanged_steps VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", unchanged)

    def drop_run(self, id: str) -> None:  # noqa: A002 - the port's name
        """Forget a run that found nothing to do; quiet if it is not there."""
        self._write("DELETE FROM runs WHERE id = ?", (id,))

    def put_decision(self, decision: Decision) -> None:
        """Index a decision that stands in the lake; quiet if it has it."""
        self._write(
            "INSERT INTO decisions VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (decision.id, to_micros(decision.at), decision.subject, encode(decision)),
        )

    def schema(self, connection: str) -> tuple[SourceTable, ...]:
        """Return the tables that the database of a connection was last found to have; empty if it was never asked."""
        rows = self._rows("SELECT body FROM schemas WHERE connection = ?", (connection,))
        return decode(_Schema, bytes(rows[0][0]), where=f"the schema of {connection}").tables if rows else ()

    def put_schema(self, connection: str, tables: Sequence[SourceTable]) -> None:
        """Remember the tables that the database of a connection has; may be lost, for it can be asked again."""
        self._write(
            "INSERT INTO schemas VALUES (?, ?) ON CONFLICT (connection) DO UPDATE SET body = excluded.body",
            (connection, encode(_Schema(tuple(tables)))),
        )

    def queries(self, pipeline: str) -> Mapping[str, ParsedQuery]:
        """Return the parsed queries of a pipeline by the digest of their text."""
        rows = self._rows("SELECT body FROM queries WHERE pipeline = ?", (pipeline,))
        return decode(_Queries, bytes(rows[0][0]), where=f"the queries of {pipeline}").parsed if rows else {}

    def put_queries(self, pipeline: str, parsed: Mapping[str, ParsedQuery]) -> None:
        """Remember the parsed queries of a pipeline in the place of all before; may be lost."""
        self._write(
            "INSERT INTO queries VALUES (?, ?) ON CONFLICT (pipeline) DO UPDATE SET body = excluded.body",
            (pipeline, encode(_Queries(parsed))),
        )

    def put_candidate(self, candidate: Candidate) -> None:
        """Index a candidate; quiet if it has it."""
        self._write(
            "INSERT INTO candidates VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (candidate.id, candidate.pipeline, to_micros(candidate.created_at), encode(candidate)),
        )

    def put_release(self, release: Release) -> None:
        """Index a release; quiet if it has it."""
        self._write("INSERT INTO releases VALUES (?, ?) ON CONFLICT DO NOTHING", (release.number, encode(release)))

    def acquire(self, name: str, holder: str, seconds: float) -> Lease:
        """Take the lease if it is free, expired, or its holder is a dead process of this machine.

        Raises:
            LeaseHeldError: Somebody holds it; the sentence says who and since when.
        """
        return self._leases.acquire(name, holder, seconds)

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Prolong a lease; raises StaleWriterError if somebody took it over."""
        return self._leases.renew(lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give a lease back; quiet if it is not held any more."""
        self._leases.release(lease)

    def held(self, name: str) -> bool:
        """Say whether somebody holds a lease: it has not run out, and its holder is not known to be dead."""
        return self._leases.held(name)

    def held_among(self, names: Sequence[str]) -> set[str]:
        """Return those of several leases that somebody holds."""
        return self._leases.held_among(names)

    def raise_fence(self, name: str, fence: int) -> None:
        """Make sure that the next lease gets a fence greater than ``fence`` (after a rebuild)."""
        self._leases.raise_fence(name, fence)

    def clear(self) -> None:
        """Forget everything but leases (before a rebuild)."""
        with self._database.writing() as statements:
            for table in _INDEXED:
                statements.rows(f"DELETE FROM {table}")

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._database.reading() as statements:
            return statements.rows(sql, values)

    def _write(self, sql: str, values: Sequence[Any]) -> None:
        with self._database.writing() as statements:
            statements.rows(sql, values)

    def _loads(self, sql: str, values: Sequence[Any]) -> tuple[LoadRecord, ...]:
        return tuple(
            LoadRecord(
                entry=self._entry(body),
                verdict=Verdict(verdict) if verdict is not None else None,
                verdict_entry=self._entry(verdict_body) if verdict_body is not None else None,
            )
            for body, verdict, verdict_body in self._rows(sql, values)
        )

    def _entry(self, body: bytes) -> Entry:
        return decode(Entry, bytes(body), where=f"An entry in the catalog {self._database.shown}")

    def _decoded(self, kind: type[T], rows: Iterable[tuple[Any, ...]]) -> tuple[T, ...]:
        where = f"A {kind.__name__} in the catalog {self._database.shown}"
        return tuple(decode(kind, bytes(row[0]), where=where) for row in rows)


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    interval = entry.span
    return (
        entry.table,
        entry.number,
        entry.kind.value,
        to_micros(entry.created_at),
        entry.run,
        to_micros(interval.start) if interval else None,
        to_micros(interval.end) if interval else None,
        _own_verdict(entry),
        entry.load,
        int(entry.work is not None and entry.work.position is not None),
        entry.fingerprint,
        encode(entry),
    )


def _own_verdict(entry: Entry) -> str | None:
    """A load has none of its own; a version is judged by the checks that made it."""
    if entry.kind is EntryKind.VERSION:
        rejected = entry.report is not None and entry.report.rejects
        return (Verdict.REJECTED if rejected else Verdict.ACCEPTED).value
    return entry.verdict.value if entry.kind is EntryKind.VERDICT and entry.verdict is not None else None


def _limit(limit: int | None) -> str:
    return "" if limit is None else f" LIMIT {max(0, int(limit))}"
