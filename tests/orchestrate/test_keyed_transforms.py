"""Tables that are kept up by key: just the keys that new data touches are computed, and the rows are those of all."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from incremental import Place

from penstock import checks, sources, sql, transform
from penstock.declare import Pipeline
from penstock.errors import ConfigurationError
from penstock.model.receipts import RunReceipt, State
from penstock.model.specs import PipelineSpec

TOTALS = (
    "SELECT o.customer, c.name, count(*) AS orders, sum(o.amount)::DECIMAL(18,2) AS amount, "
    "list(o.id ORDER BY o.id) AS ids FROM orders o LEFT JOIN countries c ON c.customer_group = o.amount % 3 "
    "GROUP BY ALL"
)


class Shop:
    def __init__(self, folder: Path, seed: int, **reading: Any) -> None:
        self.chance, self.seq, self.url = random.Random(seed), 0, folder / "ops.db"
        self.place = Place(folder, f"sqlite:///{self.url}")
        self.sources = (
            sources.sql("ops", table="orders", cursor="seq", **reading),
            sources.sql("ops", table="countries", write="replace"),
        )
        self.change(
            "CREATE TABLE orders (seq INTEGER, id INTEGER PRIMARY KEY, customer TEXT, amount INTEGER, gone INTEGER);"
            "CREATE TABLE countries (customer_group INTEGER, name TEXT);"
            "INSERT INTO countries VALUES (0, 'no'), (1, 'one'), (2, 'two');"
        )

    def change(self, script: str) -> None:
        with closing(sqlite3.connect(self.url)) as ops:
            ops.executescript(script)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.url)) as ops:
            return ops.execute(query).fetchall()

    def order(self, id_: int) -> set[str | None]:
        """Place or change an order; return the customers that it touches."""
        self.seq += 1
        before = {row[0] for row in self.rows(f"SELECT customer FROM orders WHERE id = {id_}")}
        customer = self.chance.choice([*"abcdefghijklmnop", None])
        gone = int(self.chance.random() < 0.2)
        amount = self.chance.randrange(50)
        spelt = "NULL" if customer is None else f"'{customer}'"
        self.change(f"INSERT OR REPLACE INTO orders VALUES ({self.seq}, {id_}, {spelt}, {amount}, {gone})")
        return before | {customer}

    def run(self, text: str = TOTALS, **more: Any) -> RunReceipt:
        spec = PipelineSpec(
            name="p",
            sources=self.sources,
            transforms=(sql("totals", key="customer", text=text), sql("whole", text=text)),
            **more,
        )
        from penstock.orchestrate import running

        receipt = running.run(self.place.workspace, spec, running.Asked())
        assert receipt.state in (State.DONE, State.UNCHANGED), receipt.error
        return receipt

    def holds(self) -> None:
        totals, whole = (sorted(self.place.rows(f"SELECT * FROM {table}"), key=repr) for table in ("totals", "whole"))
        assert totals == whole
        described = (self.place.rows(f"DESCRIBE {table}") for table in ("totals", "whole"))
        assert next(described) == next(described)


def note(receipt: RunReceipt) -> str:
    (step,) = [step for step in receipt.steps if step.step == "transform totals"]
    return " ".join(step.notes)


@pytest.fixture
def shops() -> Iterator[list[Shop]]:
    opened: list[Shop] = []
    yield opened
    for shop in opened:
        shop.place.close()


READINGS = [
    {"write": "append"},
    {"write": "merge", "key": "id"},
    {"write": "merge", "key": "id", "deletes": {"column": "gone", "values": [1]}},
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("reading", READINGS, ids=["append", "merge", "deletes"])
def test_just_the_keys_that_change_are_computed(
    tmp_path: Path, shops: list[Shop], reading: dict[str, Any], seed: int
) -> None:
    shop = Shop(tmp_path, seed, **reading)
    shops.append(shop)
    for number in range(40):
        shop.order(number)
    assert note(shop.run()) == ""
    shop.holds()
    for batch in range(4):
        touched: set[str | None] = set()
        for place in range(shop.chance.randrange(1, 4)):
            new = reading["write"] == "append"
            found = shop.order(1000 + 10 * batch + place if new else shop.chance.randrange(50))
            touched |= found
        receipt = shop.run()
        assert note(receipt) == f"{len(touched)} {'key was' if len(touched) == 1 else 'keys were'} computed anew"
        shop.holds()
        assert shop.run().state is State.UNCHANGED


def test_a_change_of_another_table_or_of_code_makes_all_keys_anew(tmp_path: Path, shops: list[Shop]) -> None:
    shop = Shop(tmp_path, 1, **READINGS[1])
    shops.append(shop)
    for number in range(20):
        shop.order(number)
    shop.run()
    shop.change("UPDATE countries SET name = 'uno' WHERE customer_group = 1")
    assert note(shop.run()) == ""
    shop.holds()
    shop.order(3)
    assert "computed anew" in note(shop.run())
    shop.order(4)
    changed = TOTALS.replace("count(*)", "count(*) + 1")
    assert note(shop.run(changed)) == ""
    shop.holds()


def test_a_table_of_which_rows_were_set_aside_is_made_whole(tmp_path: Path, shops: list[Shop]) -> None:
    shop = Shop(tmp_path, 2, **READINGS[1])
    shops.append(shop)
    for number in range(20):
        shop.order(number)
    guarded = {"checks": {"totals": (checks.not_null("customer", severity="quarantine"),)}}
    shop.run(**guarded)
    assert shop.place.rows("SELECT count(*) FROM totals WHERE customer IS NULL") == [(0,)]
    shop.order(3)
    assert note(shop.run(**guarded)) == ""


def test_a_row_that_depends_on_other_keys_is_refused(tmp_path: Path, shops: list[Shop]) -> None:
    shop = Shop(tmp_path, 3, **READINGS[0])
    shops.append(shop)
    for number in range(20):
        shop.order(number)
    text = "SELECT upper(customer) AS customer, count(*) AS n FROM orders GROUP BY ALL"
    shop.run(text)
    shop.order(50)
    shop.change("UPDATE orders SET customer = 'a' WHERE id = 50")
    with pytest.raises(AssertionError, match="made 1 rows of keys that were not in what it read"):
        shop.run(text)


@transform(key="customer")
def totals(orders: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return orders.aggregate("customer, count(*) AS orders")


def test_functions_get_the_rows_of_touched_keys_alone(tmp_path: Path, shops: list[Shop]) -> None:
    from penstock.orchestrate import running

    shop = Shop(tmp_path, 4, **READINGS[1])
    shops.append(shop)
    for number in range(20):
        shop.order(number)
    spec = Pipeline("p", sources=shop.sources, transforms=[totals]).spec
    running.run(shop.place.workspace, spec, running.Asked())
    touched = shop.order(3)
    receipt = running.run(shop.place.workspace, spec, running.Asked())
    assert note(receipt).startswith(f"{len(touched)} key")
    counted = "SELECT customer, count(*) FROM raw_orders GROUP BY ALL ORDER BY ALL"
    assert shop.place.rows("SELECT * FROM totals ORDER BY ALL") == shop.place.rows(counted)


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="by interval and by key"):
        sql("t", key="id", interval="day", text="SELECT 1")
    with pytest.raises(ConfigurationError, match="has a look-back, but is not made by interval"):
        sql("t", lookback="6d", text="SELECT 1")
