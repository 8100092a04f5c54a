"""Which rows are wanted: interval and cursor as query parameters, and the filter that holds the server to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract import cursor_values, cursors
from penstock.extract.port import Request
from penstock.extract.progress import Gate, Progress, encoded, local_clock
from penstock.extract.rest.options import RestOptions, TimeParameters
from penstock.model.interval import Interval
from penstock.names import unknown
from penstock.values import dataclass

_DAY = timedelta(days=1)
_TYPES = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_NUMBERS = ("integer", "real", "decimal")


def parameters(request: Request, options: RestOptions) -> dict[str, Any]:
    """Return the query parameters that ask for the interval and from the position.

    Raises:
        ConfigurationError: An interval is asked for and the source does not say how to ask; the position belongs to
            another cursor; a lag that cannot be taken from it.
    """
    found: dict[str, Any] = {}
    if request.interval is not None:
        if options.interval is None:
            raise ConfigurationError(
                f"Source {request.source.table!r} is read by interval, and does not say which parameters ask for one",
                remedy='Add interval = {"start": …, "end": …} to its options',
            )
        found.update(_interval(request.interval, options.interval))
    position = cursors.resume(request)
    if position is not None and options.since is not None:
        found[options.since.start] = _since(request, position, options.since)
    return found


def _since(request: Request, position: Mapping[str, Any], how: TimeParameters) -> Any:
    """Return the first cursor value that is wanted as the query spells it; None where that is before all times."""
    type_ = _TYPES.get(str(position.get("cursor_type")))
    if type_ is None:
        return position["cursor"]
    try:
        value = _begin(request, position, type_).as_py()
    except OverflowError:
        return None
    if not isinstance(value, date):
        return value
    at = value if isinstance(value, datetime) else datetime.combine(value, time())
    return _spelt(at if at.tzinfo else at.replace(tzinfo=UTC), how)


def _begin(request: Request, position: Mapping[str, Any], type_: pa.DataType) -> pa.Scalar:
    """Return the first cursor value that is wanted: the position, less the lag."""
    value = cursor_values.decode(position["cursor"], type_)
    return cursor_values.earlier(value, request.source.lag, request.source.table)


@dataclass(slots=True)
class RowFilter:
    """Leaves out rows that were not asked for, and counts them.

    Attributes:
        request: What is asked for.
        unit: ``epoch`` or ``epoch_ms``: what a number in the interval column counts.
        outside: Rows outside the interval.
        before: Rows before the cursor's position.
        undated: Rows without a value in the interval column.
        gate: Chooses by the cursor.
    """

    request: Request
    unit: str = "epoch"
    outside: int = 0
    before: int = 0
    undated: int = 0
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(self.request.source, repr(self.request.source.table))

    def keep(self, table: pa.Table, *, where: str) -> pa.Table:
        """Return the rows that were asked for."""
        interval, column = self.request.interval, self.request.source.interval
        if interval is not None and column is not None:
            table = self._inside(table, column, interval, where)
        position, cursor = cursors.resume(self.request), self.request.source.cursor
        if cursor is not None and cursors.steers(self.request):
            table = self._after(table, cursor, position, where)
        return table

    def notes(self) -> list[str]:
        """Return what was left out, as sentences."""
        said = []
        table = self.request.source.table
        if self.outside:
            said.append(f"{self.outside} rows of {table!r} lay outside the interval that was asked for; left out")
        if self.undated:
            said.append(f"{self.undated} rows of {table!r} have no {self.request.source.interval!r}; left out")
        if self.before:
            said.append(f"{self.before} rows of {table!r} lay before the position that was asked for; left out")
        return [*said, *self.gate.notes()]

    def _inside(self, table: pa.Table, name: str, interval: Interval, where: str) -> pa.Table:
        column = _column(table, name, where)
        if pa.types.is_null(column.type):
            self.undated += len(table)
            return table.slice(0, 0)
        start = self._bound(column.type, interval.start, name, where)
        end = self._bound(column.type, interval.end, name, where)
        inside = pc.and_(pc.greater_equal(column, start), pc.less(column, end))
        kept = table.filter(inside)
        self.undated += column.null_count
        self.outside += len(table) - len(kept) - column.null_count
        return kept

    def _after(self, table: pa.Table, name: str, position: Mapping[str, Any] | None, where: str) -> pa.Table:
        column = _column(table, name, where)
        begin = None if position is None or pa.types.is_null(column.type) else self._begin(column, position, where)
        without = self.gate.without
        kept = table.filter(self.gate.wanted(column, begin))
        self.before += len(table) - len(kept) - (self.gate.without - without)
        return kept

    def _begin(self, column: Any, position: Mapping[str, Any], where: str) -> pa.Scalar:
        name = self.request.source.cursor
        kinds = (cursor_values.kind(column.type), position.get("cursor_type"))
        if kinds[0] != kinds[1] and not all(kind in _NUMBERS for kind in kinds):
            raise ConfigurationError(
                f"The cursor {name!r} of {where} changed its type since it was last read",
                value=str(column.type),
                valid=str(position.get("cursor_type")),
                remedy=f"Declare it in types of source {self.request.source.table!r}",
            )
        try:
            return _begin(self.request, position, column.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return _begin(self.request, position, pa.float64())

    def _bound(self, type_: pa.DataType, moment: datetime, name: str, where: str) -> Any:
        """Return a moment as a scalar comparable to a column; a date counts as its midnight."""
        if pa.types.is_timestamp(type_):
            return pa.scalar(moment if type_.tz else moment.replace(tzinfo=None), type_)
        if pa.types.is_date(type_):
            return pa.scalar(_ceiling(moment), type_)
        if pa.types.is_integer(type_) or pa.types.is_floating(type_):
            seconds = moment.timestamp()
            return pa.scalar(seconds * 1000 if self.unit == "epoch_ms" else seconds, pa.float64())
        raise DataError(
            f"Column {name!r} of {where} holds no times but {type_}",
            valid="ISO 8601 times with or without a zone, dates, or seconds since 1970",
        )


class Greatest:
    """The greatest value of the cursor so far, as far as it may move the position.

    Args:
        request: What is asked for; a reading by interval has no position.
        now: The present moment.
    """

    def __init__(self, request: Request, now: datetime) -> None:
        self._name = None if request.interval is not None else request.source.cursor
        self._progress = Progress(request.source, repr(request.source.table), local_clock(now))

    def add(self, table: pa.Table, *, where: str) -> None:
        """Look at further rows.

        Raises:
            ConfigurationError: The column is not there, has no order, or holds numbers as text, whose order is wrong.
        """
        if self._name is None or len(table) == 0:
            return
        column = _column(table, self._name, where).combine_chunks()
        if column.null_count == len(column):
            self._progress.nulls += len(column)
            return
        if cursor_values.kind(column.type) is None:
            raise ConfigurationError(
                f"The cursor {self._name!r} of {where} has no useful order", value=str(column.type)
            )
        if pa.types.is_string(column.type) and pc.any(pc.match_substring_regex(column, r"^-?\d+(\.\d+)?$")).as_py():
            raise ConfigurationError(
                f"The cursor {self._name!r} of {where} holds numbers as text, which sort wrongly ('10' before '9')",
                remedy=f'Declare its type: types = {{"{self._name}": "BIGINT"}}',
            )
        self._progress.add(column)

    def position(self) -> Mapping[str, Any] | None:
        """Return the position; None where no row had a value."""
        return None if self._name is None else encoded(self._progress, self._name)

    def notes(self) -> list[str]:
        """Return what was met, as sentences."""
        return self._progress.notes()


def _interval(interval: Interval, how: TimeParameters) -> dict[str, Any]:
    found = {how.start: _spelt(interval.start, how)}
    if how.end is not None:
        end: datetime = interval.end
        if how.format == "date":
            day = _ceiling(end)
            end = datetime.combine(day - _DAY if how.inclusive else day, time(), UTC)
        found[how.end] = _spelt(end, how)
    return found


def _spelt(moment: datetime, how: TimeParameters) -> Any:
    utc = moment.astimezone(UTC)
    if how.format == "date":
        return utc.date().isoformat()
    if how.format == "iso":
        return utc.isoformat().replace("+00:00", "Z")
    milliseconds = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return milliseconds if how.format == "epoch_ms" else milliseconds // 1000


def _ceiling(moment: datetime) -> date:
    """Return the first day whose midnight is not before a moment."""
    day = moment.astimezone(UTC)
    return day.date() if day.time() == time() else day.date() + _DAY


def _column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise unknown("column", name, table.column_names, where=f"records of {where}")
    return table.column(name)
