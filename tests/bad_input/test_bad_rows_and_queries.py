"""Transforms and checks that fail when they meet the data: the others go on, and nothing of theirs is published."""

from __future__ import annotations

import pytest
from spoiled import ORDERS, REVENUE, Shop

GOOD = f'sql("revenue", text="{REVENUE}")'
QUERIES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "value": ("SELECT CAST(country AS INTEGER) AS n FROM orders", 3, ("transform bad", "INT")),
    "column": ("SELECT amuont FROM orders", 2, ("transform bad", "amuont", "amount")),
    "function": ("SELECT summ(amount) AS n FROM orders", 2, ("transform bad", "summ")),
    "types": ("SELECT country + amount AS n FROM orders", 2, ("transform bad",)),
    "no group": ("SELECT country, sum(amount) AS n FROM orders", 2, ("transform bad", "country")),
    "column twice": ("SELECT amount, amount FROM orders", 2, ("transform bad", "amount")),
    "reserved column": ("SELECT amount AS _load FROM orders", 2, ("transform bad", "_load")),
}


@pytest.mark.parametrize("given", QUERIES)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_query_that_fails_does_not_keep_another_back(shop: Shop, given: str, first: bool) -> None:
    text, code, words = QUERIES[given]
    bad = f'sql("bad", text="{text}")'
    shop.declare(transforms=f"{bad}, {GOOD}" if first else f"{GOOD}, {bad}")
    shop.refused(shop.type("run"), code, *words)
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 15.5)]
    assert not [name for name in shop.tree() if "/bad/" in name]
    shop.whole()


def test_what_stands_below_a_failure_is_left_out_and_said(shop: Shop) -> None:
    bad = 'sql("bad", text="SELECT CAST(country AS INTEGER) AS n FROM orders")'
    shop.declare(transforms=f'{bad}, sql("below", text="SELECT n FROM bad"), {GOOD}')
    said = shop.type("run")
    shop.refused(said, 3, "transform bad")
    assert "skipped" in said.out
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 15.5)]
    shop.whole()


FUNCTIONS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "raises": ("raise KeyError('amuont')", 3, ("bad", "KeyError", "amuont", "pipeline.py:5")),
    "gives nothing": ("return None", 2, ("bad", "None")),
    "gives a number": ("return 7", 2, ("bad", "int")),
    "spoils the transaction": ("return orders.filter('CAST(country AS INTEGER) = 1')", 3, ("bad",)),
}


@pytest.mark.parametrize("given", FUNCTIONS)
def test_a_function_that_fails_does_not_keep_another_back(shop: Shop, given: str) -> None:
    body, code, words = FUNCTIONS[given]
    shop.declare(transforms=f"bad, {GOOD}", code=f"def bad(orders):\n    {body}")
    shop.refused(shop.type("run"), code, *words)
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 15.5)]
    shop.whole()


CHECKS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "column": ('"orders": [checks.unique("ordr_id")]', 2, ("ordr_id", "orders", "Did you mean 'order_id'?")),
    "column of an expression": ('"orders": [checks.expression("amuont > 0")]', 2, ("amuont", "orders")),
    "syntax": ('"orders": [checks.expression("amount >")]', 2, ("amount >", "orders")),
    "bounds of another kind": ('"orders": [checks.between("day", 1, 5)]', 2, ("day", "orders")),
    "column referred to": (
        '"orders": [checks.references("country", "orders.cuontry")]', 2, ("cuontry", "Did you mean 'country'?"),
    ),
    "of a transform": ('"revenue": [checks.not_null("contry")]', 2, ("contry", "Did you mean 'country'?")),
    "pattern": ('"orders": [checks.matches("country", "(?=x)")]', 2, ("country", "(?=x)")),
}  # fmt: skip


@pytest.mark.parametrize("given", CHECKS)
def test_a_bad_check(shop: Shop, given: str) -> None:
    listed, code, words = CHECKS[given]
    shop.declare(checks=listed)
    shop.refused(shop.type("run"), code, *words)
    shop.whole()
    # What was landed waits; with the check mended it goes on, and is not read again.
    shop.declare()
    assert shop.type("run").code == 0
    assert shop.rows("revenue") == [("NZ", 20.0), ("PE", 15.5)]
    shop.whole()


def test_a_check_that_raises_rejects_and_says_what_it_raised(shop: Shop) -> None:
    shop.declare(checks='"orders": [torn]', code="def torn(rows):\n    raise ValueError('no ruler')")
    said = shop.type("run")
    assert said.code == 3
    assert "Traceback" not in said.out + said.err
    assert "torn" in said.out
    assert "ValueError" in said.out
    shop.whole()


def test_a_rejected_load_ends_with_three_and_says_what_to_do(shop: Shop) -> None:
    assert shop.type("run").code == 0
    revenue = shop.rows("revenue")
    shop.declare(checks='"orders": [checks.unique("order_id")]')
    shop.write("orders.csv", ORDERS + "1,PE,2026-01-01,10.5\n")
    said = shop.type("run")
    assert said.code == 3
    assert "rejected: raw_orders: unique(order_id)" in said.out
    assert "penstock retry" in said.out
    assert shop.rows("revenue") == revenue
    shop.whole()
