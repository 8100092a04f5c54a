"""A lake table as a folder of real Parquet files, and loads made of it, as landing would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from penstock.load.loading import apply_loads
from penstock.load.session import count
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts
from penstock.model.entries import Column, DataFile, Entry, EntryKind, Work
from penstock.model.receipts import LoadReceipt
from penstock.model.specs import Deletes, SourceSpec, WriteMode
from penstock.names import stored_names
from penstock.queries.relations import FileSet
from penstock.queries.text import identifier
from penstock.schema import storage, store
from penstock.stores.port import WarehouseTransaction

START = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def landing() -> duckdb.DuckDBPyConnection:
    """The DuckDB that writes the files; one for all tests, because opening it takes longer than most of them."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(LoadReceipt):
    """A receipt, and how many rows the table had after it."""

    rows: int


def counted(receipt: LoadReceipt, transaction: WarehouseTransaction) -> Counted:
    told = {each.name: getattr(receipt, each.name) for each in fields(receipt)}
    return Counted(**told, rows=count(transaction, receipt.table))


class FolderTable:
    def __init__(self, root: Path, name: str = "raw_t") -> None:
        self.name = name
        self.root = root / name
        self.root.mkdir(parents=True, exist_ok=True)
        self.files: list[DataFile] = []
        self.entries: dict[int, Entry] = {}
        self.stored: tuple[Column, ...] = ()

    def uri(self, path: str) -> str:
        found = self.root / path
        found.parent.mkdir(parents=True, exist_ok=True)
        return str(found)

    def place(self, path: str) -> str:
        return str(self.root / path)

    def places(self, files: Sequence[DataFile]) -> tuple[str, ...]:
        return tuple(self.place(file.path) for file in files)

    def reading(self, files: Sequence[DataFile], excluded: str | None = None) -> FileSet:
        return FileSet(tuple(self.place(file.path) for file in files), excluded)

    def live(self) -> tuple[DataFile, ...]:
        return tuple(self.files)

    def entry(self, number: int) -> Entry:
        return self.entries[number]

    def columns(self) -> tuple[Column, ...]:
        return self.stored

    def load(
        self,
        number: int,
        queries: str | Sequence[str],
        *,
        supersedes: Sequence[int] = (),
        quarantined: Sequence[tuple[int, int]] = (),
        values: Sequence[object] = (),
        at: datetime | None = None,
        snapshot: bool = False,
    ) -> AcceptedLoad:
        """Land one query per file; ``quarantined`` are (file, row)."""
        at = at or START + timedelta(hours=number)
        connection = landing()
        files, schema = [], ()
        for index, query in enumerate([queries] if isinstance(queries, str) else queries):
            described = connection.execute(f"DESCRIBE {query}", list(values)).fetchall()
            names = stored_names([row[0] for row in described])
            schema = tuple(
                Column(
                    name=names[name],
                    type=type_,
                    stored=None if storage(type_) is None else storage(type_).stored,
                    source_name=None if names[name] == name else name,
                )
                for name, type_, *_ in described
            )
            path = f"created_at={number:04d}/part-{index}.parquet"
            stored = ", ".join(
                f"{store('q.' + identifier(c.source_name or c.name), c.type)} AS {identifier(c.name)}" for c in schema
            )
            count = connection.execute(
                f"COPY (SELECT {stored + ', ' if stored else ''}{number}::BIGINT AS _load FROM ({query}) q) "
                f"TO '{self.uri(path)}' (FORMAT parquet)",
                list(values),
            ).fetchone()[0]
            files.append(DataFile(path=path, rows=count, bytes=Path(self.uri(path)).stat().st_size))
        quarantine = None
        if quarantined:
            quarantine = str(self.root.parent / f"quarantine-{self.name}-{number}.parquet")
            rows = ", ".join(f"('{files[file].path}', {row}::BIGINT)" for file, row in quarantined)
            connection.execute(
                f"COPY (SELECT * FROM (VALUES {rows}) q(_file, _row)) TO '{quarantine}' (FORMAT parquet)"
            )
        self.entries[number] = Entry(
            table=self.name,
            number=number,
            previous=None,
            kind=EntryKind.LOAD,
            created_at=at,
            files=tuple(file for file in files if file.rows),
            schema=schema,
            rows=sum(file.rows for file in files),
            supersedes=tuple(supersedes),
            work=Work(snapshot=snapshot),
        )
        return AcceptedLoad(self.entries[number], quarantine)


def source(
    write: WriteMode,
    key: tuple[str, ...] = (),
    cursor: str | None = None,
    deletes: Deletes | None = None,
    forget_after: timedelta | None = None,
    **more: Any,
) -> SourceSpec:
    return SourceSpec(
        table="t",
        kind="python",
        write=write,
        key=key,
        cursor=cursor,
        deletes=deletes,
        forget_after=forget_after,
        **more,
    )


def apply(
    transaction: WarehouseTransaction,
    lake: FolderTable,
    source_spec: SourceSpec,
    loads: Sequence[AcceptedLoad],
    live: Sequence[AcceptedLoad] | None = None,
    prepare: str | None = None,
    *,
    settled: bool = False,
    superseded: frozenset[int] = frozenset(),
) -> Counted:
    ports = LoadPorts(transaction=transaction, lake_table=lake, live=None if live is None else lambda: live)
    spec = Loading(
        source=source_spec,
        table=lake.name,
        loads=tuple(loads),
        prepare=prepare,
        settled=settled,
        superseded=superseded,
    )
    return counted(apply_loads(spec, ports), transaction)
