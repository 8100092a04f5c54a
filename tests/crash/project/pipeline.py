"""A shop: orders day by day, prices as files, events by cursor with late ones; two tables and a training set."""

import shop_data
from shop_steps import totals

from penstock import Pipeline, checks, sources, split_by, sql, training_set

shop = Pipeline(
    name="shop",
    schedule="@daily",
    start="2026-01-01",
    end="2026-02-01",
    sources=[
        sources.sql("ops", table="orders", interval="at", key="id", write="merge"),
        sources.files("prices/*.csv", table="prices", write="replace"),
        sources.python(shop_data.events, table="events", cursor="at", lag="6h"),
    ],
    checks={
        "orders": [
            checks.not_null("id", "customer"),
            checks.unique("id"),
            checks.between("amount", 1, 1000, severity="quarantine"),
        ],
        "prices": [checks.unique("product")],
        "events": [checks.in_set("kind", ["view", "click"], severity="quarantine")],
        "daily": [checks.between("revenue", 0, 200, severity="quarantine")],
        "totals": [checks.unique("product")],
    },
    transforms=[sql("daily.sql", interval="day"), totals],
    datasets=[
        training_set(
            "spending",
            from_="daily",
            label="revenue > 100",
            label_name="much",
            event_time="day",
            columns=["customer", "product", "orders", "revenue"],
            split=split_by("customer", train=0.5, test=0.5),
            rows_per_shard=8,
        )
    ],
    promote=["daily", "totals"],
)
