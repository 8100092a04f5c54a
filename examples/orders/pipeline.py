"""Orders from a website, a marketplace and tills in one table, each in euros by the rate of its moment."""

from __future__ import annotations

from penstock import Pipeline, checks, sources, sql

_MONEY = "DECIMAL(12,2)"
_WHEN = "TIMESTAMP WITH TIME ZONE"

orders = Pipeline(
    name="orders",
    sources=[
        sources.webhook(
            "shop",
            table="shop_orders",
            key="id",
            write="merge",
            contract={"each": {"placed_at": _WHEN}},
            stream={"every": "1s"},
        ),
        sources.rest(
            "marketplace",
            path="/orders",
            table="marketplace_orders",
            cursor="updated_at",
            key="order_number",
            write="merge",
            options={"records": "orders", "since": {"start": "updated_since", "format": "iso"}},
        ),
        sources.files("tills/*.csv", table="till_sales", stream={"every": "1s"}),
        sources.files("rates.csv", table="rates", write="replace"),
    ],
    checks={
        "shop_orders": [checks.between("total", 0, 100_000, severity="quarantine")],
        "rates": [checks.unique("currency", "valid_from"), checks.between("euros", 0.000_001, 1000)],
        "orders": [checks.unique("channel", "id"), checks.not_null("euros", severity="warn")],
    },
    transforms=[
        sql(
            "orders",
            text=f"""
                WITH taken AS (
                    SELECT 'shop' AS channel, id::VARCHAR AS id, placed_at::{_WHEN} AS ordered_at, currency,
                        total::{_MONEY} AS amount
                    FROM shop_orders
                    UNION ALL
                    SELECT 'marketplace', order_number::VARCHAR, bought_at::{_WHEN}, currency, price::{_MONEY}
                    FROM marketplace_orders
                    UNION ALL
                    SELECT 'till', till || '-' || receipt, sold_at::{_WHEN}, 'EUR', amount::{_MONEY}
                    FROM till_sales
                )
                SELECT t.*, r.euros AS rate, round(t.amount * r.euros, 2)::{_MONEY} AS euros
                FROM taken t
                ASOF LEFT JOIN rates r ON t.currency = r.currency AND t.ordered_at >= r.valid_from
            """,
        )
    ],
    promote=["orders"],
)
