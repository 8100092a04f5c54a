"""The judge that a user of Penstock has: suggested checks, run as the pipeline runs them, and the drift of profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.mistakes.batches import Batch, History
from benchmarks.mistakes.judging import Alarm
from penstock.checks.suggested import made
from penstock.errors import PenstockError
from penstock.model.entries import Column, DataFile
from penstock.model.interval import Interval, midnight
from penstock.model.specs import CheckSpec
from penstock.monitor.usual import unusual
from penstock.orchestrate.backtesting import Backtest
from penstock.profiles.profile import TableProfile
from penstock.queries.relations import FileSet, accepted, parquet
from penstock.stores.engine import LocalEngine
from penstock.stores.objects import LocalObjects
from penstock.suggest.proposing import propose
from penstock.suggest.recent import LOAD, PLACE, STARTS, Recent
from penstock.suggest.suggestion import module
from penstock.validate.checking import Checking, CheckPorts, check
from penstock.validate.kinds.whole import PastLoad
from penstock.validate.measuring import profiled
from penstock.validate.rows import described, opened

LEARNED = 43
"""Loads by which checks are suggested: those that every history begins with."""
MOST_BEFORE = 60


@dataclass
class _Known:
    """What is suggested for a table."""

    columns: dict[str, str]
    checks: tuple[CheckSpec, ...]
    code: str


_ENGINE = LocalEngine()
_KNOWN: dict[Path, _Known] = {}
_PROFILES: dict[Path, TableProfile] = {}
_KEPT: dict[str, list[Path]] = {}


def checks_and_drift(history: History, batch: Batch) -> Sequence[Alarm]:
    """Judge by the checks that the first loads suggest, and by what the profiles before make expect."""
    with _ENGINE.session() as connection:
        known = _known(connection, history)
        return [*_checked(connection, known, history, batch), *_drifted(connection, history, batch)]


def _known(connection: duckdb.DuckDBPyConnection, history: History) -> _Known:
    first = history.batches[0].file
    if first not in _KNOWN:
        _KNOWN[first] = suggested(connection, history)
    return _KNOWN[first]


def suggested(connection: duckdb.DuckDBPyConnection, history: History) -> _Known:
    """Return the checks that the first loads of a history suggest."""
    learned = history.batches[:LEARNED]
    parts = [
        f"SELECT *, {number} AS {LOAD}, file_row_number AS {PLACE}, TIMESTAMP '{batch.day} 00:00:00' AS {STARTS} "
        f"FROM read_parquet('{batch.file}', file_row_number=true)"
        for number, batch in enumerate(learned)
    ]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE recent AS {' UNION ALL BY NAME '.join(parts)}")
    if "file_row_number" in described(connection, "recent"):
        connection.execute("ALTER TABLE recent DROP file_row_number")
    own = (LOAD, PLACE, STARTS)
    columns = {name: type_ for name, type_ in described(connection, "recent").items() if name not in own}
    related = {name: parquet([str(file)]) for name, file in history.related.items()}
    days = [_day(each) for each in learned]
    recent = Recent(connection, "recent", history.table, columns, len(learned), intervals=days, related=related)
    tried = Backtest(recent, made, LocalObjects(learned[0].file.parent))
    code = module(history.table, propose(recent, tried.failing))
    space: dict[str, object] = {}
    exec(code, space)
    listed = space["CHECKS"][history.table]  # type: ignore[index]
    return _Known(columns, tuple(listed), code)


def _checked(connection: duckdb.DuckDBPyConnection, known: _Known, history: History, batch: Batch) -> Sequence[Alarm]:
    tables = {name: parquet([str(file)]) for name, file in history.related.items()}
    accepted_before = _before(connection, history)
    tables |= {f"raw_{history.table}": accepted_before, history.table: accepted_before}
    there = described(connection, parquet([str(batch.file)]))
    seen = {**known.columns, **{name: type_ for name, type_ in there.items() if name not in known.columns}}
    spec = Checking(
        table=f"raw_{history.table}",
        checks=known.checks,
        relation=accepted([FileSet((str(batch.file),))], located=True),
        columns=tuple(Column(name=name, type=type_) for name, type_ in seen.items()),
        tables=tables,
        now=_day(batch).end + timedelta(hours=2),
        quarantine_path=None,
        files=(DataFile(path=batch.file.name, rows=pq.read_metadata(batch.file).num_rows, bytes=0),),
        history=tuple(
            PastLoad(_day(each).end, pq.read_metadata(each.file).num_rows, _day(each))
            for each in reversed(history.batches)
        ),
        interval=_day(batch),
        profiled=False,
    )
    try:
        receipt = check(spec, CheckPorts(connection=connection, objects=LocalObjects(batch.file.parent)))
    except PenstockError as error:
        return [Alarm("cannot be checked", str(error).partition("\n")[0][:80])]
    return [Alarm(failure.check) for failure in receipt.report.failures]


def _before(connection: duckdb.DuckDBPyConnection, history: History) -> str:
    """Return the rows of the loads before, kept in memory: what the lake would give."""
    name = f"accepted_{history.table}"
    files = [each.file for each in history.batches]
    kept = _KEPT.setdefault(name, [])
    for file in files[len(kept) :]:
        rows = f"SELECT *, {len(kept)} AS {LOAD} FROM {parquet([str(file)])}"
        connection.execute(f"INSERT INTO {name} BY NAME {rows}" if kept else f"CREATE TABLE {name} AS {rows}")
        kept.append(file)
    if kept[: len(files)] != files:
        connection.execute(f"DROP TABLE {name}")
        del _KEPT[name]
        return _before(connection, history)
    return f"(SELECT * EXCLUDE ({LOAD}) FROM {name} WHERE {LOAD} < {len(files)})"


def _drifted(connection: duckdb.DuckDBPyConnection, history: History, batch: Batch) -> Sequence[Alarm]:
    before = [_profile(connection, each) for each in history.batches[-MOST_BEFORE:]]
    return [Alarm(f"drift: {found.figure}", found.column) for found in unusual(before, _taken(connection, batch))]


def _profile(connection: duckdb.DuckDBPyConnection, batch: Batch) -> TableProfile:
    if batch.file not in _PROFILES:
        _PROFILES[batch.file] = _taken(connection, batch)
    return _PROFILES[batch.file]


def _taken(connection: duckdb.DuckDBPyConnection, batch: Batch) -> TableProfile:
    relation = parquet([str(batch.file)])
    columns = tuple(Column(name=name, type=type_) for name, type_ in described(connection, relation).items())
    return profiled(opened(connection, batch.table, relation, columns, (), ()), ())


def _day(batch: Batch) -> Interval:
    start = midnight(datetime.fromisoformat(batch.day).replace(tzinfo=UTC).date())
    return Interval(start, start + timedelta(days=1))
