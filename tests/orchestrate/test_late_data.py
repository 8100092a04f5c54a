"""Late data: a run computes just the intervals again that it touches, and the result is that of a full refresh."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from incremental import Place

from penstock import sources, sql
from penstock.model.interval import Interval
from penstock.model.plan import Action, Plan
from penstock.model.receipts import RunReceipt, State
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.orchestrate import running

FIRST, DAYS = date(2024, 1, 1), 14
LOOKBACK = 6
TRANSFORMS = (
    sql(
        "daily",
        interval="day",
        text="SELECT placed::DATE AS day, customer, sum(amount) AS amount FROM orders "
        "WHERE placed >= :interval_start AND placed < :interval_end GROUP BY ALL",
    ),
    sql(
        "rolling",
        interval="day",
        lookback="6d",
        text="SELECT CAST(:interval_start AS DATE) AS day, sum(amount) AS week, count(*) AS orders FROM daily "
        "WHERE day >= CAST(:interval_start AS DATE) - 6 AND day < CAST(:interval_end AS DATE)",
    ),
    sql(
        "busy",
        interval="day",
        text="SELECT day, week > 300 AS busy FROM rolling WHERE day >= :interval_start AND day < :interval_end",
    ),
    sql("weeks", text="SELECT max(week) AS most FROM rolling"),
)
WHOLE = {
    "daily": (
        "customer, amount",
        "SELECT placed::DATE AS day, customer, sum(amount) AS amount FROM raw_orders WHERE placed < ? GROUP BY ALL",
    ),
    "rolling": (
        "week, orders",
        "SELECT d::DATE AS day, sum(o.amount)::DOUBLE AS week, count(o.customer) AS orders FROM "
        "range(DATE '2024-01-01', ?::DATE, INTERVAL 1 DAY) days(d) LEFT JOIN "
        "(SELECT placed::DATE AS day, customer, sum(amount) AS amount FROM raw_orders GROUP BY ALL) o "
        "ON o.day >= d - INTERVAL 6 DAY AND o.day <= d GROUP BY ALL",
    ),
}
"""What a full refresh in one query gives."""


class Shop:
    """Orders in a SQLite database, and the pipeline over them; ``seq`` grows with each change."""

    def __init__(self, folder: Path, source: SourceSpec, chance: random.Random) -> None:
        self.url = folder / "ops.db"
        self.place = Place(folder, f"sqlite:///{self.url}")
        self.source, self.chance, self.seq, self.ids = source, chance, 0, 0
        with closing(sqlite3.connect(self.url)) as ops:
            ops.execute(
                "CREATE TABLE orders "
                "(seq INTEGER, id INTEGER PRIMARY KEY, placed TIMESTAMP, customer TEXT, amount REAL)"
            )
            ops.commit()

    def spec(self) -> PipelineSpec:
        start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
        return PipelineSpec(
            name="p",
            sources=(self.source,),
            schedule="@daily",
            start=start,
            end=start + timedelta(days=DAYS),
            transforms=TRANSFORMS,
        )

    def order(self, day: int, id_: int | None = None) -> set[date]:
        """Place or change an order; return the days that it changes."""
        placed = FIRST + timedelta(days=day)
        moment = f"{placed} {self.chance.randrange(24):02}:00:00"
        self.seq += 1
        touched = {placed}
        with closing(sqlite3.connect(self.url)) as ops:
            if id_ is None:
                self.ids += 1
                id_ = self.ids
            else:
                (before,) = ops.execute("SELECT placed FROM orders WHERE id = ?", (id_,)).fetchone()
                touched.add(date.fromisoformat(before[:10]))
            row = (self.seq, id_, moment, self.chance.choice("abc"), float(self.chance.randrange(1, 100)))
            ops.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)", row)
            ops.commit()
        return touched

    def plan(self, asked: running.Asked) -> Plan:
        return running.plan(self.place.workspace, self.spec(), asked.interval, asked)

    def run(self, **asked: Any) -> RunReceipt:
        """Run, and hold the run against the plan that was made just before."""
        given = running.Asked(**asked)
        planned = self.plan(given)
        receipt = running.run(self.place.workspace, self.spec(), given)
        assert receipt.state in (State.DONE, State.UNCHANGED), receipt.error
        would = {(f"{step.action} {step.table}", step.interval) for step in planned.steps}
        did = {
            (step.step, step.interval)
            for step in receipt.steps
            if step.state in (State.DONE, State.UNCHANGED) and step.step.partition(" ")[0] in ("extract", "transform")
        }
        if self.source.interval:
            assert did <= would
        surely = {
            (f"{step.action} {step.table}", step.interval)
            for step in planned.steps
            if not step.if_new and step.action is Action.TRANSFORM
        }
        assert surely <= did
        return receipt

    def served(self, table: str) -> list[tuple[Any, ...]]:
        return sorted(self.place.rows(f"SELECT * FROM {table}"), key=repr)

    def holds(self) -> None:
        """Compare with a full refresh: by one query over all rows, and by the pipeline itself in another place."""
        end = FIRST + timedelta(days=DAYS)
        with self.place.workspace.warehouse.reading() as transaction:
            for table, (columns, query) in WHOLE.items():
                wanted = sorted(transaction.execute(query, [end]), key=repr)
                found = transaction.execute(f"SELECT day, {columns} FROM {table}")
                assert sorted(found, key=repr) == wanted, table


def computed(receipt: RunReceipt, table: str, *states: State) -> set[date]:
    wanted = states or (State.DONE, State.UNCHANGED)
    return {
        step.interval.start.date()
        for step in receipt.steps
        if step.step == f"transform {table}" and step.interval is not None and step.state in wanted
    }


def reached(days: set[date], far: int) -> set[date]:
    end = FIRST + timedelta(days=DAYS)
    found = {day + timedelta(days=n) for day in days for n in range(far + 1)}
    return {day for day in found if FIRST <= day < end}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    opened: list[Place] = []
    yield opened
    for place in opened:
        place.close()


def begun(folder: Path, places: list[Place], source: SourceSpec, chance: random.Random) -> Shop:
    """A shop after its first thirty orders and the first run."""
    shop = Shop(folder, source, chance)
    places.append(shop.place)
    for _ in range(30):
        shop.order(chance.randrange(DAYS))
    shop.run()
    shop.holds()
    return shop


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("write", ["append", "merge"])
def test_late_batches_reopen_just_the_intervals_that_they_touch(
    tmp_path: Path, places: list[Place], write: str, seed: int
) -> None:
    chance = random.Random(seed)
    source = sources.sql(
        "ops", table="orders", cursor="seq", event_time="placed", write=write, key="id" if write == "merge" else ()
    )
    shop = begun(tmp_path, places, source, chance)
    for _ in range(3):
        touched: set[date] = set()
        for _ in range(chance.randrange(1, 4)):
            changes = write == "merge" and chance.random() < 0.5
            touched |= shop.order(chance.randrange(DAYS), chance.randrange(1, shop.ids + 1) if changes else None)
        receipt = shop.run()
        assert computed(receipt, "daily") == touched
        changed = computed(receipt, "daily", State.DONE)
        assert computed(receipt, "rolling") == reached(changed, LOOKBACK)
        assert computed(receipt, "busy") == computed(receipt, "rolling", State.DONE)
        shop.holds()
        assert shop.run().state is State.UNCHANGED
    before = {table: shop.served(table) for table in ("daily", "rolling", "busy", "weeks")}
    refreshed = shop.run(refresh=frozenset(("daily", "rolling", "busy", "weeks")))
    assert computed(refreshed, "rolling") == reached({FIRST}, DAYS)
    assert {table: shop.served(table) for table in before} == before


@pytest.mark.parametrize("seed", SEEDS)
def test_intervals_that_are_read_again_reach_as_far_as_the_look_back(
    tmp_path: Path, places: list[Place], seed: int
) -> None:
    """A backfill of one day carries its change into the days after it, though they were not asked for."""
    chance = random.Random(seed)
    source = sources.sql("ops", table="orders", interval="placed", write="append")
    shop = begun(tmp_path, places, source, chance)
    for _ in range(3):
        day = chance.randrange(DAYS)
        touched = shop.order(day) if chance.random() < 0.8 else set()
        again = Interval.parse((FIRST + timedelta(days=day)).isoformat())
        receipt = shop.run(interval=again, again=True)
        assert computed(receipt, "daily") == touched
        assert computed(receipt, "rolling") == reached(touched, LOOKBACK)
        shop.holds()
        assert not {step.step for step in shop.run().steps if step.step.startswith("transform")}
