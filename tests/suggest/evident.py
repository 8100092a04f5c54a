"""Loads of rows that a function makes, and what they suggest."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from penstock.model.interval import Interval
from penstock.suggest.proposing import called, propose
from penstock.suggest.recent import LOAD, PLACE, STARTS, Recent

LOADS, ROWS = 40, 24
Row = dict[str, Any]
Rows = Callable[[random.Random, int, int], Row]


def day(load: int) -> Interval:
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=load)
    return Interval(start, start + timedelta(days=1))


def gathered(connection: duckdb.DuckDBPyConnection, row: Rows, *, loads: int = LOADS, rows: int = ROWS) -> Recent:
    """Return loads of rows that a function of dice, load and place makes, an hour apart."""
    dice = random.Random(7)
    made_rows = [
        {
            "at": day(load).start.replace(tzinfo=None) + timedelta(days=1) * place / rows,
            **row(dice, load, place),
            LOAD: load,
            PLACE: place,
            STARTS: day(load).start.replace(tzinfo=None),
        }
        for load in range(loads)
        for place in range(rows)
    ]
    listed = pa.Table.from_pylist(made_rows)  # noqa: F841 (DuckDB finds it by its name)
    connection.execute("CREATE TABLE recent AS SELECT * FROM listed")
    described = connection.execute("DESCRIBE recent").fetchall()
    columns = {name: type_ for name, type_, *_ in described if name not in (LOAD, PLACE, STARTS)}
    return Recent(connection, "recent", "readings", columns, loads, intervals=[day(load) for load in range(loads)])


def suggested(recent: Recent) -> dict[str, str]:
    return {called(suggestion): suggestion.code() for suggestion in propose(recent)}


def level(dice: random.Random, values: Sequence[Any]) -> Any:
    return dice.choice(values)


def bounds(code: str) -> dict[str, float]:
    """Return the bounds that a suggested ``between`` has."""
    return {name: float(value) for name, value in re.findall(r"(low|high)=([-0-9.e]+)", code)}


def told(recent: Recent, name: str, *changes: str, load: int = 8) -> int:
    """Return how many rows a suggested query gives of a load in which something was changed.

    Args:
        recent: The loads.
        name: Of the suggestion.
        changes: What follows ``readings`` in statements that change the load: ``SET …``, or ``WHERE …`` to delete.
        load: Its number.
    """
    query = next(str(each.arguments[0]) for each in propose(recent) if called(each) == name)
    recent.connection.execute(f"CREATE OR REPLACE TABLE readings AS SELECT * FROM recent WHERE {LOAD} = {load}")
    for change in changes:
        recent.connection.execute(f"{'UPDATE' if change.startswith('SET') else 'DELETE FROM'} readings {change}")
    return len(recent.connection.execute(query).fetchall())
