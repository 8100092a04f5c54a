"""Mistakes of whole deliveries: late, stale, of somebody else."""

from __future__ import annotations

from benchmarks.mistakes.mistake import Mistake
from benchmarks.mistakes.site import Site


def _stopped(site: Site, moment: str) -> str:
    # A cursor with a lag of hours still finds the end of yesterday.
    latest = f"(SELECT max({moment}) FROM yesterday)"
    since = f"{latest} - INTERVAL ({site.dice.choice((1, 2, 3))}) HOUR"
    return f"SELECT * FROM yesterday WHERE {moment} > {since} ORDER BY rowid"


def _late_missing(site: Site, moment: str) -> str:
    share = site.between(0.1, 0.3)
    last = f"(SELECT max({moment}) - (max({moment}) - min({moment})) * {share} FROM batch)"
    return site.only(f"{moment} <= {last}")


def _under_todays_date(site: Site, moment: str) -> str:
    days = f"(SELECT date_diff('day', (SELECT max({moment}) FROM yesterday), max({moment})) FROM batch)"
    return f"SELECT * REPLACE ({moment} + to_days(CAST({days} AS INTEGER)) AS {moment}) FROM yesterday ORDER BY rowid"


def _test_rows(site: Site) -> str:
    columns = site.columns
    invented = {
        name: "'TEST'" if column.type == "VARCHAR" else f"CAST(1 AS {column.type})"
        for name, column in columns.items()
        if column.type in {"VARCHAR", "BIGINT", "DOUBLE"}
    }
    values = ", ".join(f"{invented.get(name, name)} AS {name}" for name in columns)
    return _with(f"SELECT {values} FROM batch WHERE {site.some()}")


def _tenants_rows(site: Site) -> str:
    factor = site.dice.choice((0.2, 0.3, 3.0, 5.0))
    numbers = set(site.candidates("number"))
    values = []
    for name, column in site.columns.items():
        if name in numbers:
            values.append(f"CAST({name} * {factor} AS {column.type}) AS {name}")
        elif name in site.candidates("code") or name in site.candidates("category"):
            values.append(f"'T2-' || {name} AS {name}")
        else:
            values.append(name)
    where = site.some(fewest=0.15, most=0.5)
    return _with(f"SELECT {', '.join(values)} FROM batch WHERE {where}")


def _with(others: str) -> str:
    """Return the SELECT of the batch and then of other rows."""
    return f"(SELECT * FROM batch ORDER BY rowid) UNION ALL ({others} ORDER BY rowid)"


MISTAKES = (
    Mistake(
        "source stopped a day ago",
        "Only the last hours of yesterday come, again, and nothing of today.",
        ("moment",),
        _stopped,
    ),
    Mistake("late rows missing", "The batch was closed before its last hours were in.", ("moment",), _late_missing),
    Mistake(
        "day delivered twice",
        "The whole batch stands there two times, one after the other.",
        (),
        lambda site: _with("SELECT * FROM batch"),
    ),
    Mistake(
        "yesterday's batch again",
        "The copy is stale: it is that of yesterday.",
        (),
        lambda site: "SELECT * FROM yesterday ORDER BY rowid",
    ),
    Mistake(
        "yesterday under today's date", "The rows of yesterday, with today's moments.", ("moment",), _under_todays_date
    ),
    Mistake("test rows mixed in", "Rows of the test environment were delivered, too.", (), _test_rows),
    Mistake(
        "another tenant's rows", "Rows of another customer, with other codes and another scale.", (), _tenants_rows
    ),
)
