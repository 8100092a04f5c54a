"""Kinds that judge all new rows together by what is no single figure: number, history, shape, other tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta

from penstock.model.durations import show_duration
from penstock.model.interval import Interval
from penstock.profiles.ranges import MAD_TO_DEVIATION
from penstock.validate.bound import Bound
from penstock.validate.kinds.wording import spanned
from penstock.validate.rows import Rows
from penstock.values import dataclass

_SPREADS, _LEAST_SHARE = 5.0, 0.1


@dataclass(frozen=True, slots=True)
class PastLoad:
    """A load or version before the rows that are checked.

    Attributes:
        at: When it came.
        rows: Its rows, before any was set aside.
        interval: What it covers, if it is one of an interval.
    """

    at: datetime
    rows: int
    interval: Interval | None = None


def counted(check: Bound, rows: int) -> str | None:
    """Return what is wrong with the number of rows for ``row_count``, or None."""
    least, most = check.says("min"), check.says("max")
    if (least or 0) <= rows <= (rows if most is None else most):
        return None
    condition = check.says("where")
    suffix = "" if condition is None else f" where {' '.join(condition.split())}"
    return f"{_rows(rows)}{suffix}, expected {spanned(least, most)}"


def usual(check: Bound, rows: int, history: Sequence[PastLoad], interval: Interval | None) -> str | None:
    """Return what is wrong with the number of rows for ``volume``, or None.

    Args:
        check: The check.
        rows: The number of new rows.
        history: The loads before, newest first.
        interval: What the new rows cover.
    """
    alike = [load for load in history if interval and load.interval and _weekday(load.interval) == _weekday(interval)]
    least, most = check.says("least"), check.says("history")
    chosen = (alike if len(alike) >= least else list(history))[:most]
    if len(chosen) < least:
        return None
    counts = [load.rows for load in chosen]
    middle = statistics.median(counts)
    low, high = _range(check, counts, middle)
    if low <= rows <= high:
        return None
    days = f" of {interval.start:%A}s" if interval and chosen == alike[:most] else ""
    many = spanned(low if low > 0 else None, None if math.isinf(high) else high, "{:,.0f}".format)
    return f"{_rows(rows)}, expected {many}: the {len(counts)} loads{days} before had {middle:,.0f} in the middle"


def _range(check: Bound, counts: Sequence[int], middle: float) -> tuple[float, float]:
    low, high = check.says("low"), check.says("high")
    if low is not None or high is not None:
        return (low or 0.0) * middle, math.inf if high is None else high * middle
    spread = MAD_TO_DEVIATION * statistics.median([abs(count - middle) for count in counts])
    width = max(_SPREADS * spread, _LEAST_SHARE * middle)
    return middle - width, middle + width


def arrived(check: Bound, now: datetime, history: Sequence[PastLoad]) -> str | None:
    """Return what is wrong with the time since the load before, for ``arrives``, or None."""
    limit = timedelta(seconds=check.says("within"))
    if not history or now - history[0].at <= limit:
        return None
    late = show_duration(timedelta(seconds=int((now - history[0].at).total_seconds())))
    return f"it came {late} after the load before, expected at most {show_duration(limit)}"


def shaped(check: Bound, rows: Rows) -> str | None:
    """Return what is wrong with the columns, for ``schema``, or None."""
    wanted = {name.lower(): (name, type_) for name, type_ in check.says("columns").items()}
    there = {column.name.lower(): column for column in rows.columns if column.name.lower() in rows.stored}
    lacking = [name for lower, (name, _) in wanted.items() if lower not in there]
    extra = [] if check.says("extra") else [column.name for lower, column in there.items() if lower not in wanted]
    other = [
        f"{column.name} is {column.type}, not {wanted[lower][1]}"
        for lower, column in there.items()
        if lower in wanted and wanted[lower][1] not in (None, column.type)
    ]
    said = [f"{_listed(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"] if lacking else []
    said += other[:5] + ([f"{len(other) - 5} more have another type"] if len(other) > 5 else [])
    said += [f"{_listed(extra)} {'was' if len(extra) == 1 else 'were'} not expected"] if extra else []
    return "; ".join(said) or None


def reconciled(check: Bound, rows: Rows, hidden: bool) -> str | None:
    """Return how the figure of the new rows differs from that of the other table, for ``reconciles``, or None."""
    where = "" if check.where is None else f" WHERE {check.where}"
    ((ours, theirs),) = rows.connection.execute(
        f"SELECT (SELECT {check.figure} FROM {rows.sql()}{where}), ({check.query})"
    ).fetchall()
    if ours == theirs:
        return None
    numbers = [value for value in (ours, theirs) if isinstance(value, int | float) or hasattr(value, "as_tuple")]
    near = len(numbers) == 2 and abs(float(ours) - float(theirs)) <= check.says("tolerance") * abs(float(theirs))
    said = f"{check.says('ours')} is {ours}, {check.says('theirs')} of {check.says('table')} is {theirs}"
    if hidden:
        said = f"{check.says('ours')} is not {check.says('theirs')} of {check.says('table')}"
    return None if near else said


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _weekday(interval: Interval) -> int:
    return interval.start.weekday()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
