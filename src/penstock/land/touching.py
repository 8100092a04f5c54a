"""Which time a load touches: the intervals in which its rows lie, and those in which rows lie that it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import duckdb

from penstock.errors import ConfigurationError
from penstock.model.entries import Column, column_called
from penstock.model.interval import Interval
from penstock.queries.text import alike, identifier
from penstock.values import dataclass

MOST = 1000
"""Spans of time that are kept of one load; beyond them those with the least gaps between are taken as one."""
_EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
_LATEST = datetime(9998, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touching:
    """What is asked.

    Attributes:
        table: The raw table, for messages.
        column: The column that says when the event of a row happened, as the source calls it.
        columns: The columns of the load.
        rows: Its rows, as SQL of a FROM clause.
        before: The rows that stood before it, of which those with a key of its own are replaced; None: none are.
        key: The columns that name a row.
        origin: The start of an interval.
        step: The length of intervals.
    """

    table: str
    column: str
    columns: Sequence[Column]
    rows: str
    before: str | None
    key: Sequence[str]
    origin: datetime
    step: timedelta


def touched(asked: Touching, connection: duckdb.DuckDBPyConnection) -> tuple[Interval, ...] | None:
    """Return the time that a load touches, in whole intervals, one after the other; None: it cannot be told.

    Rows without a moment lie in no interval.

    Raises:
        ConfigurationError: The column holds no moments.
    """
    column = column_called(asked.column, asked.columns)
    keys = [column_called(name, asked.columns) for name in asked.key]
    if column is None or None in keys:
        return None
    if not column.type.startswith(("TIMESTAMP", "DATE")):
        raise ConfigurationError(
            f"The event_time {asked.column!r} of {asked.table} holds no moments",
            value=column.type,
            valid="DATE, TIMESTAMP or TIMESTAMP WITH TIME ZONE",
        )
    name = identifier(column.name) + ("::TIMESTAMP" if column.type == "DATE" else "")
    selects = [f"SELECT {_micros(name)} AS d FROM {asked.rows}"]
    if asked.before is not None and keys:
        same = alike([key.name for key in keys if key], "b", "n")
        selects.append(f"SELECT {_micros(f'b.{name}')} AS d FROM {asked.before} b SEMI JOIN {asked.rows} n ON {same}")
    try:
        spans = connection.execute(_query(" UNION ALL ".join(selects), asked)).fetchall()
    except duckdb.BinderException:
        # The rows before were of another shape, without the column.
        return None
    return tuple(
        Interval(asked.origin + first * asked.step, asked.origin + (last + 1) * asked.step)
        for first, last in _fewer(spans)
    )


def _micros(moment: str) -> str:
    return f"epoch_us(CASE WHEN isfinite({moment}) THEN {moment} END)"


def _query(rows: str, asked: Touching) -> str:
    """Return the query for runs of intervals that follow each other: number of the first, number of the last."""
    step = asked.step // timedelta(microseconds=1)
    low, high = ((moment - asked.origin) // asked.step for moment in (_EARLIEST, _LATEST))
    origin = (asked.origin - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return (
        f"WITH moments AS (SELECT d - {origin} AS d FROM ({rows})), "
        f"numbers AS (SELECT DISTINCT (d - ((d % {step}) + {step}) % {step}) // {step} AS n FROM moments) "
        f"SELECT min(n), max(n) FROM (SELECT n, n - row_number() OVER (ORDER BY n) AS run FROM numbers "
        f"WHERE n BETWEEN {low} AND {high}) GROUP BY run ORDER BY 1"
    )


def _fewer(spans: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return spans that cover no less, at most ``MOST``."""
    if len(spans) <= MOST:
        return spans
    gaps = sorted(range(1, len(spans)), key=lambda place: spans[place][0] - spans[place - 1][1], reverse=True)
    cuts = sorted(gaps[: MOST - 1])
    return [(spans[a][0], spans[b - 1][1]) for a, b in zip([0, *cuts], [*cuts, len(spans)], strict=True)]
