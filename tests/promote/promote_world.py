"""A staging lake with versions, a production beside it, and what their readers see."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

from penstock import schema
from penstock.model.entries import CheckReport, Column, DataFile, Entry, EntryKind
from penstock.model.interval import Interval
from penstock.model.releases import Candidate, Decision, Release
from penstock.names import INTERVAL
from penstock.promote.ports import PromotePorts, ReleaseFiles
from penstock.promote.promoting import Promoting, promote
from penstock.promote.proposing import Proposing, candidate
from penstock.promote.rolling_back import RollingBack, rollback
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake
from penstock.stores.port import Lake

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)


def at(minute: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def day(number: int) -> Interval:
    start = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Interval(start, start + timedelta(days=1))


@dataclass
class World:
    """A project's roots below one folder."""

    root: Path
    engine: LocalEngine
    minute: int = 0
    staging: DeltaLake = field(init=False)

    def __post_init__(self) -> None:
        self.staging = DeltaLake(self.root / "staging" / "lake")

    @property
    def warehouse(self) -> Path:
        return self.root / "production" / "warehouse.duckdb"

    @property
    def folder(self) -> Path:
        return self.root / "production" / "warehouse.releases"

    @property
    def lake(self) -> Path:
        return self.root / "production" / "lake"

    def ports(self, production: Lake | None = None, files: ReleaseFiles | None = None) -> PromotePorts:
        return PromotePorts(
            self.staging, production or DeltaLake(self.lake), str(self.warehouse), self.engine, files=files
        )

    def clock(self) -> datetime:
        self.minute += 1
        return at(self.minute)

    def version(
        self,
        table: str,
        *queries: str,
        interval: Interval | None = None,
        report: CheckReport | None = None,
        statistics: Mapping[str, tuple[Any, Any, int]] | None = None,
    ) -> Entry:
        """Commit a version with one file per query; with an interval it replaces that interval's files."""
        lake_table = self.staging.table(table)
        number = lake_table.next_number()
        partition = {INTERVAL: interval.path} if interval else {}
        columns: tuple[Column, ...] = ()
        files = []
        with self.engine.session() as connection:
            for part, query in enumerate(queries):
                described = connection.execute(f"DESCRIBE {query}").fetchall()
                columns = tuple(column(name, type_) for name, type_, *_ in described)
                stored = ", ".join(f"{schema.store(quoted(c.name), c.type)} AS {quoted(c.name)}" for c in columns)
                folder = "".join(f"{name}={value}/" for name, value in partition.items())
                path = f"{folder}part-{number}-{part}.parquet"
                uri = lake_table.uri(path)
                done = connection.execute(f"COPY (SELECT {stored} FROM ({query})) TO '{uri}' (FORMAT parquet)")
                row = done.fetchone()
                assert row is not None
                size = os.path.getsize(uri)
                files.append(
                    DataFile(path=path, rows=row[0], bytes=size, partition=partition, statistics=statistics or {})
                )
        live = lake_table.live()
        removed = [file for file in live if interval is None or file.partition.get(INTERVAL) == interval.path]
        gone = {file.path for file in removed}
        return lake_table.commit(
            Entry(
                table=table,
                number=number,
                previous=None,
                kind=EntryKind.VERSION,
                created_at=self.clock(),
                files=tuple(files),
                removed=tuple(gone),
                schema=columns or _former_schema(lake_table),
                rows=sum(file.rows for file in (*files, *live) if file.path not in gone),
                interval=interval,
                report=report,
            ),
            (INTERVAL,) if interval else (),
        )

    def propose(self, *tables: str, pipeline: str = "flights", ports: PromotePorts | None = None) -> Candidate:
        return candidate(Proposing(pipeline=pipeline, tables=tables, created_at=self.clock()), ports or self.ports())

    def promote(self, *tables: str, pipeline: str = "flights", fence: int = 0, keep: int = 5) -> Release:
        found = self.propose(*tables, pipeline=pipeline)
        return promote(Promoting(candidate=found, by="ada", at=self.clock(), fence=fence, keep=keep), self.ports())

    def rollback(self, to: int | None = None, *, fence: int = 0, keep: int = 5) -> Release:
        spec = RollingBack(to=to, by="ada", reason="wrong", at=self.clock(), fence=fence, keep=keep)
        return rollback(spec, self.ports())

    def served(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse, as a reader with nothing but DuckDB does."""
        with duckdb.connect(str(self.warehouse), read_only=True, config={"threads": 1}) as connection:
            return connection.execute(query).fetchall()


def faces(root: Path) -> dict[str, Any]:
    """Return what each kind of reader sees: the warehouse, the pointer's Parquet files, Delta, and what lies about.

    Args:
        root: The folder of a world.
    """
    production = root / "production"
    return {
        "warehouse": _warehouse(production / "warehouse.duckdb"),
        "parquet": parquet_face(production / "lake"),
        "delta": {
            place.name: sorted(_rows(DeltaTable(str(place)).file_uris()))
            # A log without an entry, as a kill before the first one leaves it, is no table to any reader.
            for place in sorted({path.parents[1] for path in (production / "lake").glob("*/_delta_log/*.json")})
        },
        "kept": sorted(path.name for path in (production / "warehouse.releases").glob("*")),
    }


def parquet_face(lake: Path) -> dict[str, list[str]]:
    """Return table to rows, as somebody reads them who follows ``releases/current``."""
    pointer = lake / "releases" / "current"
    if not pointer.exists():
        return {}
    number = json.loads(pointer.read_text())["release"]
    release = json.loads((lake / "releases" / f"{number}.json").read_text())
    return {
        table["table"]: sorted(_rows([str(lake / table["table"] / file["path"]) for file in table["files"]]))
        for table in release["tables"]
    }


def _warehouse(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            name: sorted(str(row) for row in connection.execute(f"SELECT * FROM {quoted(name)}").fetchall())
            for name in tables
        }


def _rows(files: Sequence[str]) -> Iterator[str]:
    if files:
        listed = ", ".join(f"'{file}'" for file in files)
        found = duckdb.sql(f"FROM read_parquet([{listed}], union_by_name=true, hive_partitioning=false)")
        yield from (str(row) for row in found.fetchall())


def approval(subject: str, *, kind: str = "approve", minute: int = 0, reason: str = "") -> Decision:
    return Decision(id=f"{minute}-{kind}", kind=kind, at=at(minute), by="ada", subject=subject, reason=reason)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def column(name: str, type_: str) -> Column:
    how = schema.storage(type_)
    return Column(name=name, type=type_, stored=how.stored if how else None)


def _former_schema(table: Any) -> tuple[Column, ...]:
    return table.entry(table.head()).schema if table.head() else (Column(name="id", type="BIGINT"),)


@contextmanager
def small_engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(memory=256 * 2**20, threads=1)
    try:
        yield engine
    finally:
        engine.close()
