"""A lake, an engine and an extraction that gives what it was told to: what tests of landing work with."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from penstock.extract.port import ArrowBatch
from penstock.land.landing import Landing, LandPorts, land
from penstock.model.budget import ReadingShare
from penstock.model.entries import Work
from penstock.model.interval import Interval
from penstock.model.specs import SourceSpec
from penstock.queries.text import identifier
from penstock.schema import restore
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake

AT = datetime(2026, 11, 20, 15, 4, 5, 123000, tzinfo=UTC)
DAY = Interval.parse("2013-01-05")


class Batches:
    """An extraction that gives what it was told to."""

    def __init__(self, batches, position=None, schema=None):
        self._batches = batches
        self._position = position
        self.schema = schema
        self.committed = self.closed = 0

    def batches(self):
        yield from self._batches() if callable(self._batches) else self._batches

    def position(self) -> Mapping | None:
        return self._position

    def notes(self):
        return ("from the source",)

    def commit(self):
        self.committed += 1

    def close(self):
        self.closed += 1


class Place:
    """A lake and an engine, and short ways to land and to read back."""

    def __init__(self, root):
        self.lake = DeltaLake(root)
        self.engine = LocalEngine()
        self.passed = [0, 0]
        self.chunk_bytes = ReadingShare().chunk
        self._times = 0

    def land(self, batches, *, table="t", position=None, schema=None, extraction=None, **more):
        self._times += 1
        taken = ("write", "key", "cursor", "on_empty", "reconcile", "contract")
        spec = {name: more.pop(name) for name in taken if name in more}
        work = Work(interval=more.pop("interval", None), since=more.pop("since", None))
        landing = Landing(
            source=more.pop("source", None) or SourceSpec(table=table, kind="python", **spec),
            work=work,
            run="run",
            fence=more.pop("fence", 1),
            created_at=AT + timedelta(seconds=self._times),
            **more,
        )
        self.extraction = extraction or Batches(batches, position, schema)
        ports = LandPorts(self.lake, self.engine, self.extraction, self.advance, chunk_bytes=self.chunk_bytes)
        return land(landing, ports)

    def advance(self, rows, size):
        self.passed[0] += rows
        self.passed[1] += size

    def table(self, name="t"):
        return self.lake.table(f"raw_{name}")

    def rows(self, entry, what="*", name="t"):
        """Read an entry's rows in their order, original types restored."""
        table = self.table(name)
        uris = [table.uri(file.path) for file in entry.files]
        if not uris:
            return []
        restored = ", ".join(
            f"{restore(identifier(column.name), column.type)} AS {identifier(column.name)}" for column in entry.schema
        )
        return duckdb.sql(
            f"SELECT {what} FROM (SELECT {restored} FROM read_parquet({uris}, union_by_name=true, "
            "hive_partitioning=false))"
        ).fetchall()

    def files(self):
        """Return every Parquet file below the root, committed or not."""
        return sorted(info.path for info in self.lake.objects.list() if info.path.endswith(".parquet"))


def batch(values, origin="source", **detail):
    data = values if isinstance(values, pa.RecordBatch) else pa.RecordBatch.from_pydict(values)
    return ArrowBatch(data, (origin, detail))


def types(entry):
    return {column.name: column.type for column in entry.schema}
