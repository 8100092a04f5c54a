from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from penstock.dataset.building import Building, DatasetPorts, build
from penstock.dataset.receipts import DatasetReceipt
from penstock.model.specs import DatasetSpec
from penstock.stores.engine import LocalEngine
from penstock.stores.objects import LocalObjects


@dataclass
class Bench:
    """A root of training sets, and tables as Parquet files."""

    root: Path
    engine: LocalEngine
    relations: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def table(self, name: str, query: str) -> None:
        """Write a new version of a table from a query."""
        self.versions[name] = self.versions.get(name, 0) + 1
        path = self.root / "tables" / f"{name}-{self.versions[name]}.parquet"
        path.parent.mkdir(exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(f"copy ({query}) to '{path}' (format parquet)")
        self.relations[name] = f"read_parquet(['{path}'], union_by_name=true, hive_partitioning=false)"

    def build(self, spec: DatasetSpec, engine: LocalEngine | None = None, **fields: Any) -> DatasetReceipt:
        building = Building(
            dataset=spec,
            relations=fields.pop("relations", self.relations),
            versions=fields.pop("versions", self.versions),
            created_at=fields.pop("created_at", datetime(2026, 11, 21, tzinfo=UTC)),
            **fields,
        )
        return build(building, DatasetPorts(engine or self.engine, LocalObjects(self.root / "datasets")))

    def folder(self, receipt: DatasetReceipt) -> Path:
        return self.root / "datasets" / receipt.path

    def rows(self, receipt: DatasetReceipt) -> list[dict[str, Any]]:
        """Return the samples of all shards, in the order of the files, with their split as ``_split``."""
        found: list[dict[str, Any]] = []
        for path in sorted(self.folder(receipt).glob("*.parquet")):
            split = path.name.rsplit("-", 3)[0]
            found += [{**row, "_split": split} for row in pq.read_table(path).to_pylist()]
        return found


@pytest.fixture(scope="session")
def engine() -> Iterator[LocalEngine]:
    found = LocalEngine(memory=256 * 2**20, threads=2)
    yield found
    found.close()


@pytest.fixture
def bench(tmp_path: Path, engine: LocalEngine) -> Bench:
    return Bench(tmp_path, engine)


@pytest.fixture
def flights(bench: Bench) -> Bench:
    """3,000 flights of 97 planes over 30 days and hourly weather that is known an hour after it happened."""
    bench.table(
        "departures",
        """select i as flight_id, case when i % 50 = 0 then null else 'N' || (i * 31 % 97) end as tailnum,
                  ['EWR', 'JFK', 'LGA'][i % 3 + 1] as origin,
                  timestamptz '2013-01-01 00:07:00+00' + to_minutes(i * 14) as at,
                  case when i % 40 = 7 then null else (i * 7919 % 60 - 20)::double end as dep_delay
           from range(3000) t(i)""",
    )
    bench.table(
        "weather",
        """select o as origin, timestamptz '2012-12-31 00:00:00+00' + to_hours(h) as time_hour,
                  h * 3 + length(o) as temp, h % 7 as wind
           from range(24 * 32) t(h), unnest(['EWR', 'JFK']) u(o)""",
    )
    return bench


Digests = Callable[[Path], Mapping[str, str]]
