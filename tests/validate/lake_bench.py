"""One table of a real lake folder, whose rows are checked again and again by a real engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from penstock import checks
from penstock.model.entries import CheckFailure, Column, DataFile, Origin
from penstock.model.receipts import CheckReceipt
from penstock.queries.relations import parquet
from penstock.stores.objects import LocalObjects
from penstock.validate import quarantine
from penstock.validate.checking import Checking, CheckPorts, check

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PATH = "_quarantine/raw_flights/7.parquet"


@dataclass
class Bench:
    """One lake root with one table, whose rows are checked again and again."""

    root: Path
    connection: duckdb.DuckDBPyConnection
    relation: str = ""
    columns: tuple[Column, ...] = ()
    files: tuple[DataFile, ...] = ()

    @property
    def objects(self) -> LocalObjects:
        return LocalObjects(self.root)

    def land(self, rows: pa.Table, sizes: Sequence[int] | None = None, types: dict[str, str] | None = None) -> Bench:
        """Write rows as files of the given sizes."""
        folder = self.root / "raw_flights" / "created_at=2026-11-21"
        folder.mkdir(parents=True, exist_ok=True)
        start, files = 0, []
        for number, size in enumerate(sizes or [rows.num_rows]):
            # Names against the order: the order of the files counts, not that of their names.
            path = folder / f"part-{99 - number}.parquet"
            pq.write_table(rows.slice(start, size), path)
            name = path.relative_to(self.root / "raw_flights").as_posix()
            files.append(DataFile(path=name, rows=size, bytes=path.stat().st_size))
            start += size
        self.files = tuple(files)
        self.relation = parquet([str(self.root / "raw_flights" / file.path) for file in files], located=True)
        found = self.connection.execute(f"DESCRIBE SELECT * FROM {self.relation}").fetchall()
        self.columns = tuple(
            Column(name=name, type=(types or {}).get(name, type_))
            for name, type_, *_ in found
            if not name.startswith("_penstock")
        )
        return self

    def check(self, *found: Any, **changes: Any) -> CheckReceipt:
        """Run checks over the landed rows."""
        spec: dict[str, Any] = {
            "table": "raw_flights",
            "checks": tuple(checks.as_check(one) for one in found),
            "relation": self.relation,
            "columns": self.columns,
            "now": NOW,
            "quarantine_path": PATH,
            "files": self.files,
            "origins": (Origin(uri="flights.csv", first=0, rows=sum(file.rows for file in self.files)),),
        }
        ports = CheckPorts(connection=self.connection, objects=self.objects, scale_out=changes.pop("scale_out", None))
        return check(Checking(**{**spec, **changes}), ports)

    def failure(self, found: Any, **changes: Any) -> CheckFailure:
        """Run one check that must fail, and return its finding."""
        receipt = self.check(found, **changes)
        assert len(receipt.report.failures) == 1, receipt.report
        return receipt.report.failures[0]

    def set_aside(self, receipt: CheckReceipt) -> dict[int, list[str]]:
        """Return position to reasons, from the quarantine file."""
        if receipt.quarantine is None:
            assert not list(self.objects.list("_quarantine/"))
            return {}
        starts, start = {}, 0
        for file in self.files:
            starts[file.path] = start
            start += file.rows
        table = quarantine.rows(self.objects, receipt.quarantine, 10**6)
        listed = table.select(["_file", "_row", "_reasons"]).to_pylist()
        found = {starts[row["_file"]] + row["_row"]: row["_reasons"] for row in listed}
        assert len(found) == table.num_rows == receipt.report.quarantined
        assert list(found) == sorted(found)
        return found
