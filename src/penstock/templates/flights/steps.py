"""Steps in Python: plain functions, testable alone. Parameter names are the tables they read."""

import pyarrow as pa
import pyarrow.compute as pc


def routes(departures: pa.Table) -> pa.Table:
    """Return one row per route: how many flights, how far, how late they leave on average (minutes)."""
    flown = departures.filter(pc.is_valid(departures["dep_delay"]))
    grouped = flown.group_by(["origin", "dest"]).aggregate(
        [("flight", "count"), ("distance", "max"), ("dep_delay", "mean")]
    )
    return grouped.rename_columns(["origin", "dest", "flights", "distance", "mean_dep_delay"]).sort_by(
        [("origin", "ascending"), ("dest", "ascending")]
    )
