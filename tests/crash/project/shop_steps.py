"""The transform in Python: all days together, with the events beside them."""

import pyarrow as pa
import pyarrow.compute as pc


def totals(daily: pa.Table, events: pa.Table) -> pa.Table:
    """Return orders, revenue and events of each product."""
    bought = daily.group_by("product").aggregate([("orders", "sum"), ("revenue", "sum")])
    seen = events.group_by("product").aggregate([("event", "count")])
    joined = bought.join(seen, "product").rename_columns(["product", "orders", "revenue", "events"])
    rounded = pc.round(joined["revenue"], ndigits=2)
    return joined.set_column(2, "revenue", rounded).sort_by("product")
