from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.model.interval import Interval
from penstock.model.specs import TransformSpec
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake
from penstock.stores.port import WarehouseTransaction
from penstock.stores.warehouse import DuckDBWarehouse
from penstock.transform.computing import Computed, Transforming, TransformPorts, compute

FLIGHTS = """
    create table raw_flights as
    select i::bigint as flight_id, ['EWR', 'JFK', null][i % 3 + 1] as origin,
           timestamp '2013-01-05' + to_hours(i) as time_hour, (i * 7 % 40 - 5)::integer as dep_delay,
           1::bigint as _load, i as _order, now() as _created_at, now() as _updated_at
    from range(48) t(i)
"""


@dataclass(frozen=True)
class Bench:
    """A warehouse with the table raw_flights, and a lake."""

    warehouse: DuckDBWarehouse
    lake: DeltaLake

    def writing(self) -> AbstractContextManager[WarehouseTransaction]:
        return self.warehouse.writing()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    engine = LocalEngine(memory=256 * 2**20)
    warehouse = DuckDBWarehouse(str(tmp_path / "warehouse.duckdb"), engine)
    with warehouse.writing() as transaction:
        transaction.connection.execute(FLIGHTS)
    yield Bench(warehouse, DeltaLake(tmp_path / "lake"))
    engine.close()


Rows = list[tuple[object, ...]]


@pytest.fixture
def computed(bench: Bench) -> Callable[..., tuple[Computed, Rows]]:
    """Compute a transform over ``flights`` and return its rows in order; nothing is kept."""

    def run(transform: TransformSpec, interval: Interval | None = None) -> tuple[Computed, Rows]:
        with _dropped(bench) as transaction:
            spec = Transforming(transform=transform, names={"flights": "raw_flights"}, interval=interval)
            found = compute(spec, TransformPorts(transaction))
            return found, transaction.execute(f'select * from "{found.relation}"')

    return run


@contextmanager
def _dropped(bench: Bench) -> Iterator[WarehouseTransaction]:
    with bench.warehouse.reading() as transaction:
        yield transaction
