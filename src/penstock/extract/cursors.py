"""How far a source was read: positions of cursor columns, their lag, and the bounds of intervals.

A position is JSON: ``{"column": "time_hour", "cursor": "2013-01-05T10:00:00", "cursor_type": "text"}``. Its value is
kept in the source's own form, so that no digit is lost on the way. ``cursor_type`` is ``text``, ``integer``, ``real``,
``decimal``, ``date``, ``timestamp``, ``timestamptz`` or ``uuid``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.errors import ConfigurationError, DataError
from penstock.extract.port import Request
from penstock.values import dataclass

AHEAD = timedelta(days=1)
"""A row that is dated further than this in the future is told of."""

_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:(?P<separator>[T ])\d\d:\d\d(?::\d\d(?P<fraction>[.,]\d+)?)?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_UNITS = ((1e8, 1e11, 1), (1e11, 1e14, 1_000), (1e14, 1e17, 1_000_000))


@dataclass(frozen=True, slots=True)
class Form:
    """How a column without a type of its own writes moments.

    Attributes:
        kind: ``date``, ``iso`` or ``epoch``.
        separator: Of ISO times: ``T`` or a space.
        zone: Of ISO times: ``""``, ``Z`` or ``+00:00``; ``offset`` where values carry other or several offsets.
        unit: Of epochs: how many make a second.
    """

    kind: str
    separator: str = "T"
    zone: str = ""
    unit: int = 1

    def bound(self, moment: datetime) -> str | int:
        """Return the least value of this form that is not before a UTC moment.

        A text is cut after its last part that is not zero: no spelling of that midnight is less than ``2013-01-05``.
        """
        at = moment.astimezone(UTC)
        if self.kind == "epoch":
            return int(at.timestamp()) * self.unit + at.microsecond * self.unit // 1_000_000
        text = at.date().isoformat()
        parts = [f"{at.hour:02d}", f":{at.minute:02d}", f":{at.second:02d}"]
        # "Z" sorts after ".", so that 10:00:00Z would come after 10:00:00.5Z: such texts are parted at whole seconds.
        if at.microsecond and self.zone != "Z":
            parts.append(f".{at.microsecond:06d}".rstrip("0"))
        while parts and parts[-1].strip(":0") == "":
            parts.pop()
        return text if not parts or self.kind == "date" else text + self.separator + "".join(parts)


def form_of(sample: Sequence[Any]) -> Form | None:
    """Tell how a column writes moments from a sample of its values; None where that cannot be told."""
    values = [value for value in sample if value is not None]
    if not values:
        return None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _epoch(values)
    matches = [_ISO.fullmatch(value) if isinstance(value, str) else None for value in values]
    found = [match for match in matches if match is not None]
    if len(found) < len(values):
        return None
    separators = {match["separator"] for match in found if match["separator"]}
    if not separators:
        return Form("date")
    zones = {match["zone"] or "" for match in found if match["separator"]}
    zone = zones.pop() if len(zones) == 1 else "offset"
    if zone not in ("", "Z", "+00:00", "+0000", "+00"):
        zone = "offset"
    return Form("iso", separator=min(separators, key="T ".index), zone=zone) if len(separators) == 1 else None


def steers(request: Request) -> bool:
    """Say whether a reading goes by its cursor: not one by interval, nor of a source that is read whole."""
    source = request.source
    return request.interval is None and source.cursor is not None and not source.whole


def resume(request: Request) -> Mapping[str, Any] | None:
    """Return the position to resume from; None where everything, or just an interval, is to be read.

    Raises:
        ConfigurationError: If the position belongs to another cursor column.
    """
    source, position = request.source, request.position
    if not steers(request) or not position:
        return None
    if position.get("cursor") is None:
        return None
    column = position.get("column", source.cursor)
    if column != source.cursor:
        raise ConfigurationError(
            f"The cursor of {source.table} is now {source.cursor!r}, but it was last read by {column!r}; "
            "how far it was read cannot be carried over",
            value=source.cursor,
            valid=f"cursor={column!r}, or a new table name, which is read from the start",
        )
    return position


def earlier(at: datetime, lag: timedelta) -> datetime:
    """Return a moment moved back by the lag, but not before the year 1."""
    first = datetime.min.replace(tzinfo=at.tzinfo)
    return at - lag if at - first > lag else first


def behind(value: Any, cursor_type: str, lag: timedelta, table: str) -> Any:
    """Return the bound from which reading resumes: a cursor value moved back by the lag, in its own form.

    Raises:
        ConfigurationError: If the value is not a time, so that a lag in time means nothing.
    """
    form = form_of([value]) if isinstance(value, str) else None
    if not lag and (form is None or form.zone != "Z"):
        return value
    if isinstance(value, str):
        at = moment(value)
        if form is not None and at is not None:
            try:
                moved = at - lag
            except OverflowError:
                return ""
            if form.kind == "date":
                return moved.date().isoformat()
            if cursor_type in ("timestamp", "timestamptz"):
                return moved.isoformat()
            if form.zone == "offset":
                return moved.isoformat(sep=form.separator)
            return form.bound(moved if moved.tzinfo else moved.replace(tzinfo=UTC))
    elif isinstance(value, int | float):
        form = _epoch([value])
        if form is not None:
            return value - int(lag.total_seconds() * form.unit)
    raise ConfigurationError(
        f"The lag of {table} cannot be taken from its cursor: its values are no times", value=value, valid="no lag"
    )


def greatest(values: Sequence[Any], column: str, table: str) -> Any:
    """Return the greatest of plain values (numbers or texts); nulls are passed over, None if there is nothing else.

    Raises:
        DataError: If numbers and texts are mixed, which have no common order.
    """
    try:
        return max((value for value in values if value is not None), default=None)
    except TypeError:
        raise DataError(
            f"The cursor column {column!r} of {table} mixes numbers and texts, which have no common order",
            remedy="Name another cursor, or read a query that casts the column to one type",
        ) from None


def moment(value: Any) -> datetime | None:
    """Return the moment that an ISO text or a count of seconds since 1970 stands for; None for all else."""
    if isinstance(value, str) and _ISO.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        form = _epoch([value])
        try:
            return None if form is None else datetime.fromtimestamp(value / form.unit, UTC)
        except (OverflowError, ValueError, OSError):
            return None
    return None


def _epoch(values: Sequence[Any]) -> Form | None:
    middle = sorted(abs(value) for value in values)[len(values) // 2]
    for least, most, unit in _UNITS:
        if least <= middle < most:
            return Form("epoch", unit=unit)
    return None
