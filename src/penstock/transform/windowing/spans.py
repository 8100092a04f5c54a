"""In which time the events of each load lie, so that events of a time are found without looking through all of them.

Rows of a load lie together in the warehouse's file, so a condition on the load lets DuckDB pass over the others,
whatever the type of the column that holds the event time.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.names import LOAD
from penstock.queries.moments import moment
from penstock.queries.text import identifier
from penstock.stores.port import WarehouseTransaction
from penstock.stores.warehouse import OWN_SCHEMA

_MOST = 16
"""Stretches of loads that are read by themselves; beyond them those with the least between are read as one."""
_FEW, _GRID = 4096, 1000
"""More times than the first are taken on a grid of the second."""


class Spans:
    """The spans of the loads of one table, as one table of windows keeps them.

    Args:
        transaction: The open transaction.
        table: The table of windows.
        events: The warehouse table of the events.
        event_time: Its column of event times.
    """

    def __init__(self, transaction: WarehouseTransaction, table: str, events: str, event_time: str) -> None:
        self._transaction = transaction
        self._name = f"{OWN_SCHEMA}.{identifier(f'spans {table}')}"
        self._events = identifier(events)
        self._moment = moment(event_time)

    def begin(self) -> None:
        """Note the spans of all loads."""
        self._transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}")
        self._transaction.execute(f"CREATE OR REPLACE TABLE {self._name} AS {self._query('true')}")

    def add(self, loads: Sequence[int]) -> None:
        """Note the spans of new loads."""
        self._transaction.execute(f"INSERT INTO {self._name} {self._query(of_loads(loads))}", [list(loads)])

    def stretches(self, scopes: str, before: int, after: int | None) -> tuple[list[tuple[int, int]], int]:
        """Return which loads, from which to which number, may have events of some times, and how many rows these have.

        Args:
            scopes: A table of times: from ``lo`` until before ``hi``.
            before: How far before them events may lie, in microseconds.
            after: How far after them; None: for ever.
        """
        times = self._times(scopes, before, after)
        hit = " OR ".join(
            f"(epoch_us(upper) >= {first}{f' AND epoch_us(lower) < {last}' if last is not None else ''})"
            for first, last in times
        )
        found = self._transaction.execute(
            f"SELECT min(number), max(number), sum(events) FROM "
            f"(SELECT number, events, place - row_number() OVER (ORDER BY number) AS stretch FROM "
            f"(SELECT *, row_number() OVER (ORDER BY number) AS place FROM {self._name}) WHERE {hit or 'false'}) "
            "GROUP BY stretch ORDER BY 1"
        )
        return _fewer([(first, last) for first, last, _ in found]), sum(int(rows) for *_, rows in found)

    def _times(self, scopes: str, before: int, after: int | None) -> list[tuple[int, int | None]]:
        """Return the times of scopes, from when until before when, few of them and none over another."""
        count, low, high = self._transaction.execute(
            f"SELECT count(*), epoch_us(min(lo)), epoch_us(max(lo)) FROM (SELECT DISTINCT lo, hi FROM {scopes})"
        )[0]
        # Many times are taken on a grid, so that there are few of them however many scopes there are.
        step = max(1, (high - low) // _GRID) if count > _FEW else 1
        found = self._transaction.execute(
            f"SELECT DISTINCT (epoch_us(lo) // {step} - 1) * {step} AS first, "
            f"CASE WHEN isfinite(hi) THEN (epoch_us(hi) // {step} + 1) * {step} END AS last FROM {scopes} ORDER BY 1"
        )
        if after is None or any(last is None for _, last in found):
            return [(min(first for first, _ in found) - before, None)]
        joined: list[tuple[int, int]] = []
        for first, last in ((first - before, last + after) for first, last in found):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return list(_fewer(joined))

    def _query(self, condition: str) -> str:
        return (
            f"SELECT {LOAD} AS number, min(d) AS lower, max(d) AS upper, count(*) AS events FROM "
            f"(SELECT {LOAD}, {self._moment} AS d FROM {self._events} WHERE {condition}) GROUP BY {LOAD}"
        )


def of_loads(loads: Sequence[int], row: str = "") -> str:
    """Return the condition that a row came with one of some loads, whose numbers are bound to ``?``."""
    name = f"{row}.{LOAD}" if row else LOAD
    bounds = f"{name} BETWEEN {min(loads)} AND {max(loads)}" if loads else "false"
    return f"{bounds} AND {name} IN (SELECT unnest(?::BIGINT[]))"


def _fewer(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return stretches that cover no less, at most ``_MOST``."""
    if len(stretches) <= _MOST:
        return list(stretches)
    gaps = sorted(
        range(1, len(stretches)), key=lambda place: stretches[place][0] - stretches[place - 1][1], reverse=True
    )
    cuts = sorted(gaps[: _MOST - 1])
    pairs = zip([0, *cuts], [*cuts, len(stretches)], strict=True)
    return [(stretches[first][0], stretches[after - 1][1]) for first, after in pairs]
