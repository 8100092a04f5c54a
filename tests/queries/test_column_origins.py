"""Columns of a result and the columns that they come from."""

from __future__ import annotations

import pytest

from penstock.queries.columns import column_origins

SCHEMA = {"orders": ("Id", "price", "at", "customer"), "rates": ("day", "rate")}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT id, price * 2 AS p FROM orders", {"id": [("orders", "Id")], "p": [("orders", "price")]}),
        (
            "SELECT o.price * r.rate AS euro FROM orders o JOIN rates r ON o.at = r.day WHERE customer > 'a'",
            {"euro": [("orders", "price"), ("rates", "rate")]},
        ),
        (
            "WITH a AS (SELECT *, price + 1 AS more FROM orders) SELECT more FROM a WHERE at >= :interval_start",
            {"more": [("orders", "price")]},
        ),
        ("SELECT * EXCLUDE (at, customer) FROM orders", {"Id": [("orders", "Id")], "price": [("orders", "price")]}),
        ("SELECT count(*) AS n, 1 AS one FROM orders", {"n": [], "one": []}),
        (
            "SELECT price AS x FROM orders UNION ALL SELECT rate FROM rates",
            {"x": [("orders", "price"), ("rates", "rate")]},
        ),
        (
            "SELECT sum(price) OVER (PARTITION BY customer ORDER BY at) AS s FROM orders",
            {"s": [("orders", "price"), ("orders", "customer"), ("orders", "at")]},
        ),
        ("SELECT (SELECT max(rate) FROM rates) AS top FROM orders", {"top": [("rates", "rate")]}),
        ("FROM orders SELECT upper(customer) AS c", {"c": [("orders", "customer")]}),
    ],
)
def test_columns_are_followed_to_the_tables(query: str, wanted: dict[str, list[tuple[str, str]]]) -> None:
    found = column_origins(query, SCHEMA, origin="q.sql")
    assert found is not None
    assert {name.lower(): sorted(pairs) for name, pairs in found.items()} == {
        name.lower(): sorted(pairs) for name, pairs in wanted.items()
    }
