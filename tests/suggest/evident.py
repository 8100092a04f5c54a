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
